"""Whatever a source's rows hold, each comes out once, with a key of its own, and nothing raises."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_fixtures import ROOT, candidates

from curate.sources import Flickr, Img2dataset, Inaturalist, Openverse, Source, Wikimedia, Yfcc100m

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6),
    st.sampled_from(["by", "4.0", "4", "https://x.org/1", "<a href='http://['>x</a>", "\ud800",
                     "a\0b", "image/jpeg", "File:A.jpg", "photo", "%zz+", "1"]),
)  # fmt: skip
VALUE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
INFO = st.fixed_dictionaries(
    {},
    optional={
        "url": VALUE, "descriptionurl": VALUE, "mime": VALUE, "width": VALUE, "height": VALUE,
        "extmetadata": st.one_of(VALUE, st.fixed_dictionaries({}, optional={
            name: st.one_of(VALUE, st.fixed_dictionaries({"value": VALUE}))
            for name in ("License", "LicenseUrl", "Artist", "ImageDescription", "ObjectName")})),
    },
)  # fmt: skip
ROW: dict[str, dict[str, Any]] = {
    "openverse": dict.fromkeys(
        ("id", "url", "title", "creator", "license", "license_version", "license_url", "width",
         "foreign_landing_url", "creator_url", "detail_url", "height"), VALUE),
    "wikimedia": {"pageid": VALUE, "title": VALUE,
                  "imageinfo": st.one_of(VALUE, st.lists(INFO, max_size=2))},
    "flickr": dict.fromkeys(
        ("id", "owner", "ownername", "title", "description", "license", "media", "server",
         "secret", "url_o", "width_o"), VALUE),
}  # fmt: skip
CLASS: dict[str, Any] = {"openverse": Openverse, "wikimedia": Wikimedia, "flickr": Flickr}


def conserved(source: Source, rows: int) -> pa.Table:
    table = candidates(source)
    assert len(table) == rows
    assert len(set(table["key"].to_pylist())) == rows
    return table


@pytest.mark.parametrize("kind", ROW)
@QUICK
@given(data=st.data())
def test_any_object_of_an_api_is_one_candidate(tmp_path: Path, kind: str, data: Any) -> None:
    rows = data.draw(st.lists(st.fixed_dictionaries(ROW[kind]), min_size=1, max_size=6))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    conserved(CLASS[kind](path=tmp_path / "rows.jsonl"), len(rows))


CELL = st.one_of(
    st.text(st.characters(exclude_characters="\t\r\n\0\"", exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["1", "0", "jpg", "CC-BY", "Attribution License", "%e9", "https://x.org/1.jpg"]),
)  # fmt: skip


@QUICK
@given(rows=st.lists(st.lists(CELL, min_size=20, max_size=27), min_size=1, max_size=6))
def test_any_line_of_yfcc100m_is_one_candidate(tmp_path: Path, rows: list[list[str]]) -> None:
    first = (ROOT / "yfcc100m" / "yfcc100m_dataset").read_text().splitlines()[0]
    lines = [first, *("\t".join(cells) for cells in rows)]
    (tmp_path / "yfcc100m_dataset").write_text("\n".join(lines) + "\n")
    conserved(Yfcc100m(path=tmp_path), len(lines))


@QUICK
@given(
    photos=st.lists(st.lists(CELL, min_size=7, max_size=10), max_size=6),
    people=st.lists(st.lists(CELL, min_size=1, max_size=4), max_size=4),
)
def test_any_line_of_inaturalist_is_one_candidate(
    tmp_path: Path, photos: list[list[str]], people: list[list[str]]
) -> None:
    head = ["photo_uuid", "photo_id", "observation_uuid", "observer_id", "extension", "license",
            "width", "height", "position"]  # fmt: skip
    for name, first, rows in (("photos", head, [*photos, ["u", "7", "o", "1", "jpg", "CC0", "1", "1", "0"]]),
                              ("observers", ["observer_id", "login", "name"], people)):  # fmt: skip
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
            writer.writerows([first, *rows])
    conserved(Inaturalist(path=tmp_path), len(photos) + 1)


TEXTS = st.one_of(
    st.binary(max_size=12),
    st.dictionaries(
        st.sampled_from(["key", "url", "sha256", "caption", "x"]), VALUE, max_size=4
    ).map(lambda told: json.dumps(told).encode()),
)


@QUICK
@given(
    members=st.lists(
        st.tuples(st.binary(min_size=1, max_size=5), st.sampled_from(["jpg", "json", "txt", "x"]), TEXTS),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_any_tar_of_samples_is_read(
    tmp_path: Path, members: list[tuple[bytes, str, bytes]]
) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for name, suffix, body in members:
            stem = name.replace(b"\0", b"_").replace(b"/", b"_").replace(b".", b"_")
            info = tarfile.TarInfo(stem.decode("utf-8", "surrogateescape") + f".{suffix}")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    rows = len(candidates(Img2dataset(path=tmp_path)))
    assert 1 <= rows <= len(members)
