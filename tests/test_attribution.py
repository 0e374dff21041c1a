"""Credits as each licence version asks for them, in pages that stay small, and taken out on request."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from provenance_dataset import build, jpeg, key, picture

from curate.errors import MissingInput, RecipeError, StoreError
from curate.license.duties import duties
from curate.license.tools import TOOLS, VERSIONLESS, tool
from curate.provenance import attribution_pages, write_outputs
from curate.provenance.attribute import attribute
from curate.provenance.attribution import _cell
from curate.provenance.attribution_pages import _row
from curate.provenance.attribution_requests import LOG, withheld, withhold
from curate.provenance.audit import audit
from curate.provenance.credit import credit_of
from curate.provenance.lines import JOINERS
from curate.provenance.pages import seal
from curate.report import write_report
from curate.store.dataset import Dataset
from curate.train.export import export_files, export_webdataset

ROW: dict[str, Any] = {"key": "k" * 64}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build(tmp_path_factory.mktemp("attribution"))
    write_outputs(path)
    seal(Dataset.open(path))
    return path


@pytest.fixture
def copy(out: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(out, tmp_path / "out"))


# --- what each version asks ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("license_id", "missing"),
    [
        ("CC-BY-4.0", "author, source"),
        ("CC-BY-SA-4.0", "author, source"),
        ("CC-BY-3.0", "author, title, source"),
        ("CC-BY-SA-3.0-DE", "author, title, source"),
        ("CC-BY-3.0-IGO", "author, title, source"),
        ("CC-BY-2.5-SCOTLAND", "author, title, source"),
        ("CC-BY-SA-2.1-JP", "author, title, source"),
        ("CC-BY-2.0", "author, title, source"),
        ("CC-BY-1.0", "author, title"),
        ("CC-BY", "author, title, source"),
        ("CC0-1.0", None), ("CC-PDM-1.0", None), ("CC-PDDC", None), ("PD-US-GOV", None),
        ("GFDL-1.2", "author, title"), ("LAL-1.3", "author, source"), ("PDDL-1.0", None),
        ("OGL-UK-3.0", "author, source"),
    ],
)  # fmt: skip
def test_what_is_missing_is_what_this_version_asks_for(
    license_id: str, missing: str | None
) -> None:
    assert credit_of(ROW | {"license": license_id}).missing == missing
    whole = {
        "license": license_id,
        "title": "T",
        "creator": "C",
        "landing_url": "https://a.example/",
    }
    assert credit_of(ROW | whole).missing is None


def test_every_tool_has_its_duties() -> None:
    for found in (*TOOLS.values(), *VERSIONLESS.values()):
        asked = duties(found)
        assert (
            "author" in asked.parts or "source" in asked.parts or found.kind in ("open", "retired")
        ) or not found.by
        assert bool(asked.parts) == bool(asked.clause) or found.kind == "open"
        if found.kind in ("cc0", "pdm", "pddc", "us_gov"):
            assert not asked.parts and asked.changes == "none"
    assert duties(tool("CC-BY-4.0")).changes == "always"
    assert duties(tool("CC-BY-3.0")).changes == "adaptations"
    assert "parties" not in duties(tool("CC-BY-2.0")).parts  # they came with 2.5


@pytest.mark.parametrize(
    ("license_id", "words"),
    [
        ("CC-BY-4.0", "licensed under Attribution 4.0 International (https://creativecommons.org/licenses/by/4.0/)"),
        ("CC0-1.0", "released under CC0 1.0 Universal (https://creativecommons.org/publicdomain/zero/1.0/)"),
        ("CC-PDM-1.0", "marked with Public Domain Mark 1.0 Universal"),
        ("PD-US-GOV", "as a Work of the United States government"),
    ],
)  # fmt: skip
def test_a_mark_is_no_licence_and_a_waiver_is_none_either(license_id: str, words: str) -> None:
    assert words in credit_of(ROW | {"license": license_id}).text


def test_what_the_file_supplies_is_kept_with_the_credit() -> None:
    exif = Image.Exif()
    exif[0x8298], exif[0x013B] = "Copyright 2020 Ann Example", "Ann Example"
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Credit="Museum"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    row = ROW | {
        "license": "CC-BY-4.0",
        "landing_url": "https://a.example/",
        "embedded_exif": exif.tobytes(),
    }
    told = credit_of(row | {"embedded_xmp": [xmp.encode()]})
    assert (told.creator, told.parties, told.missing) == ("Ann Example", "Museum", None)
    assert told.copyright_notice == "Copyright 2020 Ann Example"
    assert "by Ann Example, credit to Museum" in told.text
    assert "Notice: “Copyright 2020 Ann Example”." in told.text
    assert credit_of(row | {"creator": "Ann of the source"}).creator == "Ann of the source"
    claims = [{"kind": "dc_rights", "value": "All rights are described on the page"}]
    assert credit_of(ROW | {"license": "CC-BY-4.0", "claims": claims}).copyright_notice is None


@given(st.text(), st.text(), st.text())
def test_a_credit_is_one_printable_line_and_a_cell_no_formula(a: str, b: str, c: str) -> None:
    told = credit_of(ROW | {"license": "CC-BY-3.0", "title": a, "creator": b, "landing_url": c})
    assert told.text.translate(dict.fromkeys(map(ord, JOINERS))).isprintable()
    assert (told.title, told.creator) == (a, b or None)
    for value in (a, b, c):
        cell = str(_cell(value))
        assert cell.lstrip()[:1] not in ("=", "+", "-", "@") and cell[:1] not in ("\t", "\r")
    row = _row(told)
    assert row.count("<") == row.count(">") and "<script" not in row.lower()


# --- pages --------------------------------------------------------------------------------------
def test_pages_hold_a_bounded_number_of_credits_and_follow_each_other(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution_pages, "PAGE_ROWS", 10)
    write_outputs(copy)
    pages = sorted((copy / "attribution").iterdir())
    assert [page.name for page in pages] == ["page-0001.html", "page-0002.html", "page-0003.html"]
    rows = [page.read_text().count("<tr id=") for page in pages]
    assert rows == [10, 10, 9]
    assert 'rel="next" href="page-0002.html"' in pages[0].read_text()
    assert 'rel="prev" href="page-0002.html"' in pages[2].read_text()
    assert 'rel="next"' not in pages[2].read_text()
    index = (copy / "ATTRIBUTION.html").read_text()
    assert all(f'href="attribution/{page.name}"' in index for page in pages)
    assert "http://" not in index and "<script" not in index
    assert (
        "Credits that lack what their licence asks for: 1," in index
        and "author, source: 1" in index
    )


def test_very_many_pages_get_indexes_of_their_own(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution_pages, "PAGE_ROWS", 5)
    monkeypatch.setattr(attribution_pages, "INDEX_ROWS", 4)
    write_outputs(copy)
    index = (copy / "ATTRIBUTION.html").read_text()
    assert "attribution/index-0001.html" in index and "page-0001" not in index
    second = (copy / "attribution" / "index-0002.html").read_text()
    assert 'href="page-0005.html"' in second and 'href="page-0006.html"' in second


def test_a_page_left_over_goes_and_one_put_there_is_named(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:
        small.setattr(attribution_pages, "PAGE_ROWS", 10)
        write_outputs(copy)
    write_outputs(copy)
    seal(Dataset.open(copy))
    assert [page.name for page in (copy / "attribution").iterdir()] == ["page-0001.html"]
    assert audit(copy, hashes=True).problems == []
    shutil.copy(copy / "attribution" / "page-0001.html", copy / "attribution" / "page-0009.html")
    assert "attribution/page-0009.html" in "\n".join(audit(copy).problems)


def test_a_credit_changed_on_a_page_and_sealed_again_is_found(copy: Path) -> None:
    page = copy / "attribution" / "page-0001.html"
    page.write_text(page.read_text().replace("<bdi>Ann<", "<bdi>Bob<"))
    assert "page-0001.html: its sha256" in "\n".join(audit(copy, hashes=True).problems)
    seal(Dataset.open(copy))
    assert "page-0001.html does not say" in "\n".join(audit(copy, hashes=True).problems)


# --- one picture's credit -----------------------------------------------------------------------
def stored(out: Path, n: int) -> tuple[bytes, dict[str, Any]]:
    for table in Dataset.open(out).tables("images"):
        for row in table.to_pylist():
            if row["key"] == key(n):
                return row["image"]["bytes"], row
    raise AssertionError(n)


def test_a_picture_is_found_by_its_own_bytes_those_that_were_fetched_and_by_name(
    out: Path, tmp_path: Path
) -> None:
    kept, row = stored(out, 0)
    (tmp_path / "kept.jpg").write_bytes(kept)
    wanted = [tmp_path / "kept.jpg", out.parent / "pictures" / "0.jpg", key(0), key(0)[:16].upper(),
              row["original_sha256"], row["stored_sha256"], "https://photos.example/0", "p0"]  # fmt: skip
    for what in wanted:
        lines = attribute(out, what)
        assert lines[0].startswith("“Title 0” by Ann, https://photos.example/0, licensed under"), (
            what
        )
        assert lines[1] == f"  key {key(0)}"
    assert "found by sha256 of the file's bytes" in attribute(out, wanted[0])[2]


def test_a_picture_without_the_bytes_is_found_by_pixels_and_then_by_looks(
    out: Path, tmp_path: Path
) -> None:
    with Image.open(out.parent / "pictures" / "0.jpg") as image:
        image.convert("RGB").save(tmp_path / "same.png")
    lines = attribute(out, tmp_path / "same.png")
    assert lines[1] == f"  key {key(0)}" and "its pixels" in lines[-1]
    small = io.BytesIO()
    picture(0).resize((60, 60)).save(small, "JPEG", quality=70)
    (tmp_path / "near.jpg").write_bytes(small.getvalue())
    lines = attribute(out, tmp_path / "near.jpg")
    assert lines[1] == f"  key {key(0)}"
    assert "hash bits and" in lines[-1] and "colour levels apart" in lines[-1]


def test_what_has_no_credit_says_why(out: Path, tmp_path: Path) -> None:
    (tmp_path / "other.jpg").write_bytes(jpeg(picture(4321)))
    with pytest.raises(MissingInput, match="the nearest"):
        attribute(out, tmp_path / "other.jpg")
    (tmp_path / "note.txt").write_text("no picture")
    with pytest.raises(MissingInput, match="no picture"):
        attribute(out, tmp_path / "note.txt")
    with pytest.raises(MissingInput, match="license:"):
        attribute(out, key(3))
    for nothing in ("f" * 64, "https://nowhere.example/", "\0", "x" * 5000):
        with pytest.raises(MissingInput):
            attribute(out, nothing)


def test_a_duplicate_is_credited_as_the_picture_that_was_kept(out: Path) -> None:
    ledger = Dataset.open(out).ledger(["key", "reason", "related_key"]).to_pylist()
    [twin] = [row for row in ledger if (row["reason"] or "").startswith("duplicate")]
    lines = attribute(out, twin["key"])
    assert lines[1] == f"  key {twin['related_key']}"
    assert "duplicate" in "\n".join(lines)


def test_what_nobody_stated_is_told_with_the_credit(out: Path) -> None:
    lines = attribute(out, key(16))
    assert lines[2] == "  the licence asks for it and nobody stated it: author, source"


# --- a licensor who asks for no credit ----------------------------------------------------------
PERSONAL = ("Title 0", "https://photos.example/0")


def test_a_withheld_credit_keeps_licence_and_changes_and_nothing_that_names(
    copy: Path, tmp_path: Path
) -> None:
    before = Dataset.open(copy).manifest
    assert "Title 0" in write_report(copy).read_text()
    shards = {path: path.read_bytes() for path in copy.glob("*/data/*.parquet")}
    assert withhold(copy, key(0)[:20], reason="the author, by letter, section 3(a)(3)") == key(0)
    assert Dataset.open(copy).manifest == before
    assert all(path.read_bytes() == data for path, data in shards.items())
    write_report(copy)
    texts = [*(p for p in copy.iterdir() if p.is_file()), *(copy / "attribution").iterdir()]
    for path in texts:
        said = (
            str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text()
        )
        assert not any(
            f"{word}{end}" in said for word in PERSONAL for end in (" ", "<", "'", '"', ",")
        ), path
    [row] = [
        r for r in pq.read_table(copy / "ATTRIBUTION.parquet").to_pylist() if r["key"] == key(0)
    ]
    assert row["withheld"] and row["creator"] is None and row["license"] == "CC-BY-4.0"
    assert (
        "https://creativecommons.org/licenses/by/4.0/" in row["text"]
        and "re-encoded" in row["text"]
    )
    assert "Credits withheld at the licensors' request: 1" in (copy / "README.md").read_text()
    assert "attribution withheld" in attribute(copy, key(0))[0]
    seal(Dataset.open(copy))
    assert audit(copy, hashes=True).problems == []
    export_files(copy, tmp_path / "files")
    lines = (tmp_path / "files" / "metadata.jsonl").read_text().splitlines()
    [told] = [row for row in map(json.loads, lines) if row["key"] == key(0)]
    assert told["creator"] is None and told["url"] is None and told["title"] is None
    assert told["source_id"] is None and "withheld" in told["credit"]
    assert export_webdataset(copy, tmp_path / "tars") == len(lines)


def test_the_log_of_requests_holds_keys_and_hashes_only(copy: Path) -> None:
    withhold(copy, key(0), reason="Ann asked")
    withhold(copy, key(0), reason="Ann asked again")
    withhold(copy, key(10), reason="so did another")
    entries = [json.loads(line) for line in (copy / LOG).read_text().splitlines()]
    assert [(e["number"], e["key"]) for e in entries] == [(1, key(0)), (2, key(10))]
    assert entries[1]["previous"] == entries[0]["digest"]
    assert "Ann" not in (copy / LOG).read_text()
    assert withheld(Dataset.open(copy)) == {key(0), key(10)}
    with pytest.raises(MissingInput, match="keeps no row"):
        withhold(copy, key(3), reason="not kept")
    with pytest.raises(RecipeError, match="reason"):
        withhold(copy, key(0), reason=" ")
    with pytest.raises(MissingInput):
        withhold(copy, "", reason="nobody")


@pytest.mark.parametrize("damage", ["edit", "drop", "garbage"])
def test_an_edited_log_stops_every_credit(copy: Path, damage: str) -> None:
    withhold(copy, key(0), reason="one")
    withhold(copy, key(10), reason="two")
    lines = (copy / LOG).read_text().splitlines(keepends=True)
    changed = {
        "edit": [lines[0].replace(key(0), key(1)), lines[1]], "drop": lines[1:],
        "garbage": [*lines, "no json\n"],
    }  # fmt: skip
    (copy / LOG).write_text("".join(changed[damage]))
    with pytest.raises(StoreError, match=LOG):
        attribute(copy, key(0))
    assert LOG in "\n".join(audit(copy, hashes=True).problems)
    with pytest.raises(StoreError, match=LOG):
        withhold(copy, key(14), reason="three")


def test_an_append_that_never_ended_is_no_request(copy: Path) -> None:
    withhold(copy, key(0), reason="one")
    with (copy / LOG).open("a") as log:
        log.write('{"number": 2, "key": "')
    assert withheld(Dataset.open(copy)) == {key(0)}
    withhold(copy, key(10), reason="two")
    assert withheld(Dataset.open(copy)) == {key(0), key(10)}
    assert len((copy / LOG).read_text().splitlines()) == 2


def test_a_log_that_is_gone_is_missed(copy: Path) -> None:
    withhold(copy, key(0), reason="one")
    (copy / LOG).unlink()
    assert f"{LOG} is missing" in "\n".join(audit(copy).problems)
