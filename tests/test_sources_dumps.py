"""Dumps of Flickr, YFCC100M and iNaturalist: joined, decoded, and streamed at any length."""

from __future__ import annotations

import bz2
import gzip
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import ROOT, candidates

from curate.errors import MissingInput, RecipeError
from curate.sources import Flickr, Inaturalist, Source, Yfcc100m
from curate.sources.adapter import Dump, dump_sha256
from curate.sources.base import BATCH_ROWS
from curate.sources.lookup import lookup
from curate.sources.plain import first_link, plain_text

MANY = 200_000
MEBIBYTE = 1024 * 1024


def packed(kind: str, folder: Path) -> Path:
    """The fixture's files as they are published: gzip for iNaturalist, bzip2 for YFCC100M."""
    folder.mkdir()
    for file in (ROOT / kind).iterdir():
        if file.suffix == ".csv":
            with gzip.open(folder / f"{file.name}.gz", "wb") as sink:
                sink.write(file.read_bytes())
        elif not file.suffix:
            (folder / f"{file.name}.bz2").write_bytes(bz2.compress(file.read_bytes()))
    return folder


def test_published_and_unpacked_files_give_the_same_rows(tmp_path: Path) -> None:
    plain = candidates(Inaturalist(path=ROOT / "inaturalist"))
    assert candidates(Inaturalist(path=packed("inaturalist", tmp_path / "i"))).equals(plain)
    plain = candidates(Yfcc100m(path=ROOT / "yfcc100m" / "yfcc100m_dataset"))
    assert candidates(Yfcc100m(path=packed("yfcc100m", tmp_path / "y"))).equals(plain)


def test_a_photo_of_inaturalist_has_its_observer_and_its_address() -> None:
    rows = candidates(Inaturalist(path=ROOT / "inaturalist", size="medium")).to_pylist()
    first = rows[0]
    assert first["url"] == (
        "https://inaturalist-open-data.s3.amazonaws.com/photos/9000/medium.jpeg"
    )
    assert first["landing_url"] == first["claims"][0]["locator"]
    assert first["landing_url"] == "https://www.inaturalist.org/photos/9000"
    assert (first["declared_width"], first["declared_height"]) == (2048, 1536)
    who = [(row["creator"], row["creator_url"]) for row in rows]
    assert who[0] == ("Anna B.", "https://www.inaturalist.org/people/100")
    assert who[1] == ("birder", "https://www.inaturalist.org/people/101"), "no name: the login"
    assert who[2][0] == 'Jo "the owl" Doe' and who[3][0] == "Two\tNames"
    assert who[13] == (None, "https://www.inaturalist.org/people/999")
    assert who[14] == (None, None)


def test_a_dump_of_two_files_counts_as_the_publishers_record() -> None:
    copied = Inaturalist(path=ROOT / "inaturalist")
    assert [item.name for item in copied.inputs()] == ["observers.csv", "photos.csv"]
    dump = Dump(url="https://inaturalist-open-data.s3.amazonaws.com/metadata/x.tar.gz", date="2025-03-27",
                sha256=dump_sha256(copied.inputs()))  # fmt: skip
    own = copied.model_copy(update={"dump": dump})
    [claim] = candidates(own).to_pylist()[1]["claims"]
    assert (claim["level"], claim["response_sha256"]) == (5, dump.sha256)
    assert candidates(copied).to_pylist()[1]["claims"][0]["level"] == 4


def test_texts_of_yfcc100m_are_decoded_and_lose_their_html() -> None:
    rows = candidates(Yfcc100m(path=ROOT / "yfcc100m")).to_pylist()
    assert rows[6]["title"] == "Vélo + bicyclette"
    assert [c["text"] for c in rows[6]["captions"]] == [
        "Two bicycles & a wall",
        "Vélo + bicyclette",
    ]
    assert rows[18]["title"] == "100% wool"
    assert rows[0]["creator"] == "maker 0"
    assert rows[0]["creator_url"] == "https://www.flickr.com/people/40000000@N00/"
    assert [claim["kind"] for claim in rows[0]["claims"]] == ["yfcc100m_licensename", "url"]
    assert {claim["locator"] for claim in rows[0]["claims"]} == {rows[0]["landing_url"]}


def test_the_first_release_of_yfcc100m_has_two_columns_less(tmp_path: Path) -> None:
    lines = (ROOT / "yfcc100m" / "yfcc100m_dataset").read_text().splitlines()
    cut = [line.split("\t") for line in lines if line.count("\t") == 24]
    old = "".join("\t".join([cells[1], *cells[3:]]) + "\n" for cells in cut)
    (tmp_path / "yfcc100m_dataset-0").write_text(old)
    full = [row for row in candidates(Yfcc100m(path=ROOT / "yfcc100m")).to_pylist()
            if row["defect"] != "malformed:row"]  # fmt: skip
    assert candidates(Yfcc100m(path=tmp_path)).to_pylist() == full
    (tmp_path / "yfcc100m_dataset-0").write_text("1\t2\t3\n")
    with pytest.raises(RecipeError, match="3 columns, wanted are 25 or 23"):
        candidates(Yfcc100m(path=tmp_path))


def test_flickr_takes_the_first_size_that_is_there() -> None:
    path = ROOT / "flickr"
    first = candidates(Flickr(path=path, sizes=("l", "o"))).to_pylist()[0]
    assert first["url"] == "https://live.staticflickr.com/65535/50000000_0000000000_b.jpg"
    assert (first["declared_width"], first["declared_height"]) == (1024, 768)
    rows = candidates(Flickr(path=path)).to_pylist()
    assert rows[0]["url"].endswith("_o.jpg") and rows[0]["declared_width"] == 4000
    assert rows[17]["url"] == "https://live.staticflickr.com/65535/50000017_0000000011_b.jpg"
    assert rows[0]["landing_url"] == "https://www.flickr.com/photos/40000000@N00/50000000/"
    assert (rows[21]["title"], rows[21]["creator"]) == ("A title of getInfo", "A Maker")
    assert rows[21]["creator_url"] == "https://www.flickr.com/people/40000021@N00/"
    assert [c["text"] for c in rows[0]["captions"]] == ["A view, number 0", "Picture 0"]


def test_a_damaged_or_lacking_dump_is_named(tmp_path: Path) -> None:
    folder = packed("inaturalist", tmp_path / "i")
    whole = (folder / "photos.csv.gz").read_bytes()
    (folder / "photos.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MissingInput, match=r"photos\.csv\.gz is damaged"):
        candidates(Inaturalist(path=folder))
    (folder / "photos.csv.gz").write_bytes(b"no gzip at all")
    with pytest.raises(MissingInput, match=r"photos\.csv\.gz is damaged"):
        candidates(Inaturalist(path=folder))
    (folder / "observers.csv.gz").unlink()
    with pytest.raises(MissingInput, match=r"holds no observers\.csv\.gz"):
        candidates(Inaturalist(path=folder))
    shutil.copy(ROOT / "inaturalist" / "photos.csv", folder / "observers.csv")
    with pytest.raises(RecipeError, match="no column 'login'"):
        candidates(Inaturalist(path=folder))


# --- at any length ------------------------------------------------------------------------------
def write_inaturalist(folder: Path) -> Source:
    """MANY photos of a fifth as many observers, in no order."""
    folder.mkdir()
    people = MANY // 5
    with gzip.open(folder / "observers.csv.gz", "wt", compresslevel=1) as sink:
        sink.write("observer_id\tlogin\tname\n")
        sink.writelines(f"{n}\tlogin{n}\tName {n}\n" for n in range(1, people + 1))
    with gzip.open(folder / "photos.csv.gz", "wt", compresslevel=1) as sink:
        sink.write("photo_uuid\tphoto_id\tobservation_uuid\tobserver_id\textension\tlicense\t"
                   "width\theight\tposition\n")  # fmt: skip
        sink.writelines(
            f"u{n}\t{n}\to{n}\t{n * 7919 % people + 1}\tjpg\tCC-BY\t2048\t1536\t0\n"
            for n in range(1, MANY + 1)
        )
    return Inaturalist(path=folder)


def write_yfcc100m(folder: Path) -> Source:
    folder.mkdir()
    line = (ROOT / "yfcc100m" / "yfcc100m_dataset").read_text().splitlines()[0].split("\t")
    with (folder / "yfcc100m_dataset").open("w") as sink:
        for n in range(MANY):
            sink.write("\t".join([str(n), str(n), *line[2:]]) + "\n")
    return Yfcc100m(path=folder)


def tables(source: Source) -> Iterator[int]:
    for table in source.candidates():
        assert len(table) <= BATCH_ROWS
        yield len(table)


@pytest.mark.parametrize("write", [write_inaturalist, write_yfcc100m])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, write: object) -> None:
    source = write(tmp_path / "many")  # type: ignore[operator]
    process = psutil.Process(os.getpid())
    seen, sizes, started = 0, [], time.monotonic()
    for rows in tables(source):
        seen += rows
        sizes.append(process.memory_info().rss)
    assert seen == MANY
    assert time.monotonic() - started < 60
    early = max(sizes[: len(sizes) // 4])
    assert max(sizes) - early < 48 * MEBIBYTE, "three quarters of the rows cost no more memory"


def test_a_lookup_keeps_the_first_of_a_key_and_leaves_nothing_behind() -> None:
    with lookup(values=2) as known:
        known.add([("a", "1", None), (None, "x", "y"), ("a", "2", "3"), ("b", None, "4")])
        known.add((str(n), "v", "w") for n in range(2000))
        found = known.find(["a", "b", "c", None, *map(str, range(1200))])
        place = Path(known._connection.execute("PRAGMA database_list").fetchone()[2])
    assert (found["a"], found["b"], len(found)) == (("1", None), (None, "4"), 1202)
    assert not place.parent.exists()


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab <>/&;=\"'!-pscriptyle\n#x"), max_size=60))
def test_any_html_becomes_one_line_of_text_or_nothing(html: str) -> None:
    text = plain_text(html)
    assert text is None or (text and "\n" not in text and text == text.strip())
    link = first_link(html, base="https://commons.wikimedia.org/")
    assert link is None or link.startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("html", "text", "link"),
    [
        ("<script>x()</script>Anna", "Anna", None),
        ('<a href="//commons.wikimedia.org/wiki/User:A">A</a><br>and B', "A and B",
         "https://commons.wikimedia.org/wiki/User:A"),
        ('<a href="javascript:x">A</a> &copy; B', "A © B", None),
        ('seen <span style="display: none"><b>not</b> this</span>so', "seen so", None),
        ("5 &lt; 6", "5 < 6", None),
        ("<ul><li>one</li><li>two</li></ul>", "one two", None),
        ('<a href="http://[">x</a>', "x", None),
        ("<b></b>", None, None),
    ],
)  # fmt: skip
def test_html_of_sources_as_plain_text(html: str, text: str | None, link: str | None) -> None:
    assert plain_text(html) == text
    assert first_link(html, base="https://commons.wikimedia.org/") == link
