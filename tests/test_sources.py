"""Sources: every row comes out once, with a key of its own, whatever is in it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate import columns as c
from curate.errors import MissingInput, RecipeError
from curate.sources.base import BATCH_ROWS, Source
from curate.sources.demo import Demo
from curate.sources.folder import Declaration, Folder
from curate.sources.keys import canonical_url, repeat_key, row_key, settle_repeats
from curate.sources.table import Table
from curate.sources.text import MAX_BYTES, to_numbers, to_text

NAMES = ["id", "url", "caption", "license", "width"]
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def table_source(path: Path, **more: Any) -> Table:
    return Table.model_validate(
        {
            "name": "test",
            "path": path,
            "columns": {"id": "id", "url": "url", "captions": ["caption"], "width": "width"},
            "licenses": [{"column": "license", "kind": "url", "level": 5}],
            **more,
        }
    )


def rows_of(source: Source) -> pa.Table:
    tables = list(source.candidates())
    for table in tables:
        assert table.schema.equals(c.CANDIDATE)
        assert len(table) <= BATCH_ROWS
        table.validate(full=True)
    return pa.concat_tables(tables) if tables else c.CANDIDATE.empty_table()


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def good(n: int, **more: Any) -> dict[str, Any]:
    row = {"id": f"i{n}", "url": f"https://x.org/{n}.jpg", "caption": f"a caption {n}"}
    return {**row, "license": "https://creativecommons.org/licenses/by/4.0/", "width": 640, **more}


def test_the_same_rows_from_csv_parquet_and_jsonl(tmp_path: Path) -> None:
    rows = [good(n) for n in range(BATCH_ROWS + 3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    write_jsonl(tmp_path / "a.jsonl", rows)
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, NAMES)
        writer.writeheader()
        writer.writerows(rows)
    first, *others = (
        rows_of(table_source(tmp_path / f"a.{end}")) for end in ("parquet", "jsonl", "csv")
    )
    assert all(other.equals(first) for other in others)
    assert first["defect"].null_count == len(rows)
    one = first.slice(7, 1).to_pylist()[0]
    assert one["key"] == row_key("test", "i7") == hashlib.sha256(b"test\0i7").hexdigest()
    assert one["captions"][0]["text"] == "a caption 7"
    assert one["claims"] == [
        {
            "kind": "url",
            "value": "https://creativecommons.org/licenses/by/4.0/",
            "level": 5,
            "claimed_by": "test",
            "locator": "test#license",
            "retrieved_at": None,
            "http_status": None,
            "final_url": None,
            "response_sha256": None,
        }
    ]


BAD_ROWS = {
    "huge_caption": (good(1, caption="x" * 10_000_000), "malformed:caption"),
    "long_title": (good(2, title="t" * (MAX_BYTES + 1)), "malformed:title"),
    "wrong_width": (good(3, width="wide"), "malformed:width"),
    "negative_width": (good(4, width=-1), "malformed:width"),
    "nested_id": (good(5, id={"a": 1}), "malformed:id"),
    "list_url": (good(6, url=["https://x.org"]), "malformed:url"),
    "no_scheme": (good(7, url="picture.jpg"), "malformed:url"),
    "file_scheme": (good(8, url="file:///etc/passwd"), "malformed:url"),
    "nul_id": (good(9, id="a\0b"), "malformed:id"),
    "lone_surrogate": (good(10, caption="\ud800"), "malformed:caption"),
    "nothing": ({"id": None, "url": None, "caption": "kept"}, "malformed:id"),
    "no_address": (good(12, url=None), "malformed:url"),
    "long_license": (good(13, license="CC BY 4.0 " * 10_000), "malformed:license"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_keeps_its_place_and_says_why(tmp_path: Path, name: str) -> None:
    bad, reason = BAD_ROWS[name]
    path = write_jsonl(tmp_path / "a.jsonl", [good(100, title="t"), bad, good(101)])
    columns = {
        "id": "id",
        "url": "url",
        "title": "title",
        "captions": ["caption"],
        "width": "width",
    }
    table = rows_of(table_source(path, columns=columns))
    assert table["defect"].to_pylist() == [None, reason, None]
    assert len(set(table["key"].to_pylist())) == 3


def test_what_is_merely_absent_is_no_defect(tmp_path: Path) -> None:
    empty = {"id": None, "caption": None, "license": None, "width": None}
    zero = good(2, id="", width=0, caption="  ")
    table = rows_of(
        table_source(write_jsonl(tmp_path / "a.jsonl", [good(0), good(1, **empty), zero]))
    )
    assert table["defect"].null_count == 3
    assert table["captions"].to_pylist()[1:] == [[], []]
    assert table["claims"].to_pylist()[1] == []
    assert table["key"][1].as_py() == row_key("test", "https://x.org/1.jpg")
    assert table["declared_width"].to_pylist() == [640, None, None]


def test_broken_lines_of_json_and_csv_stay_in_the_account(tmp_path: Path) -> None:
    lines = [json.dumps(good(0)), "{broken", "[1, 2]", '"text"', "[" * 100_000, json.dumps(good(1))]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n\n")
    table = rows_of(table_source(tmp_path / "a.jsonl"))
    assert table["defect"].to_pylist() == [None, *["malformed:row"] * 4, None]
    assert len(set(table["key"].to_pylist())) == 6
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbfid,url,caption,license,width\n"
        b"1,https://x.org/1,ok,by,3\n"
        b"2,https://x.org/2,short\n"
        b"3,https://x.org/3,long,by,3,4,5\n"
        b"4,https://x.org/4,\xff\xfe,by,3\n"
        b'5,https://x.org/5,"two\nlines",by,3\n'
        b"\xff,https://x.org/6,bad id,by,3\n"
    )
    table = rows_of(table_source(tmp_path / "a.csv"))
    row = "malformed:row"
    assert table["defect"].to_pylist() == [
        None,
        row,
        row,
        "malformed:caption",
        None,
        "malformed:id",
    ]
    assert table["captions"].to_pylist()[4][0]["text"] == "two\nlines"
    assert table["key"][1].as_py() == row_key("test", "2")


def test_parquet_types_are_read_as_what_they_say(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(
        pa.string(),
        2,
        [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"ok\xff\xff")],
    )
    table = pa.table(
        {
            "id": pa.array([7, 8], pa.int64()),
            "url": pa.array(["https://x.org/a", "https://x.org/b"]).dictionary_encode(),
            "caption": pa.array([["one", None, "two"], []], pa.list_(pa.string())),
            "title": bad,
            "license": pa.array([{"a": "x"}, None], pa.struct([("a", pa.string())])),
            "width": pa.array([512.0, float("nan")]),
            "height": pa.array([b"12", b"x"]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    columns = {"id": "id", "url": "url", "title": "title", "captions": ["caption"]}
    columns |= {"width": "width", "height": "height"}
    rows = rows_of(table_source(tmp_path / "a.parquet", columns=columns)).to_pylist()
    assert [row["source_id"] for row in rows] == ["7", "8"]
    assert [caption["text"] for caption in rows[0]["captions"]] == ["one", "two"]
    assert rows[0]["claims"][0]["value"] == '{"a": "x"}'
    assert [row["declared_width"] for row in rows] == [512, None]
    assert [row["declared_height"] for row in rows] == [12, None]
    assert [row["defect"] for row in rows] == [None, "malformed:title"]


def test_a_missing_column_or_file_says_what_there_is(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "uri": "https://x.org"}])
    with pytest.raises(RecipeError, match=r"no column 'url'.*'uri'"):
        rows_of(table_source(path))
    with pytest.raises(MissingInput, match=r"nothing\.csv"):
        rows_of(table_source(tmp_path / "nothing.csv"))
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(MissingInput, match=r"b\.parquet"):
        rows_of(table_source(tmp_path / "b.parquet"))
    with pytest.raises(ValidationError, match="level"):
        table_source(path, licenses=[{"column": "license", "kind": "url"}])


def test_identity_leaves_out_where_files_lie_and_nothing_else(tmp_path: Path) -> None:
    one = table_source(tmp_path / "a.csv", retrieved_at="2024-05-01")
    assert one.identity() == table_source(tmp_path / "b.csv", retrieved_at="2024-05-01").identity()
    assert one.identity() != table_source(tmp_path / "a.csv", retrieved_at="2024-05-02").identity()
    assert str(tmp_path) not in json.dumps(one.identity())


def test_inputs_hash_every_file(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_jsonl(tmp_path / f"{name}.jsonl", [good(ord(name))])
    found = table_source(tmp_path).inputs()
    assert [file.name for file in found] == ["a.jsonl", "b.jsonl"]
    assert found[0].sha256 == hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()


CELL = st.one_of(
    st.none(), st.text(max_size=8), st.integers(), st.floats(), st.booleans(),
    st.binary(max_size=6), st.sampled_from(["i1", "i2", "https://x.org/1", "\ud800", "a\0b", "64"]),
    st.lists(st.one_of(st.text(max_size=3), st.integers(), st.none()), max_size=3),
)  # fmt: skip


@QUICK
@given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, CELL)), min_size=1, max_size=12))
def test_any_jsonl_rows_are_conserved(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    text = "\n".join(json.dumps(row, default=lambda value: value.hex()) for row in rows)
    (tmp_path / "a.jsonl").write_text(text)
    check_conserved(rows_of(table_source(tmp_path / "a.jsonl")), len(rows))


@QUICK
@given(rows=st.lists(st.lists(st.binary(max_size=12), max_size=7), max_size=12))
def test_any_csv_bytes_are_read_without_an_error(tmp_path: Path, rows: list[list[bytes]]) -> None:
    body = b"\n".join(b",".join(cells) for cells in rows)
    (tmp_path / "a.csv").write_bytes(b",".join(name.encode() for name in NAMES) + b"\n" + body)
    table = rows_of(table_source(tmp_path / "a.csv"))
    check_conserved(table, len(table))


@QUICK
@given(cells=st.lists(st.binary(max_size=10), max_size=20), start=st.integers(0, 3))
def test_arrow_and_python_judge_the_same_bytes_alike(cells: list[bytes], start: int) -> None:
    array = pa.array([b""] * start + cells, pa.binary()).slice(start)
    slow = to_text(cells)
    assert to_text(array).values.equals(slow.values)
    assert set(to_text(array).bad) == set(slow.bad)
    to_numbers(array).values.validate(full=True)


def check_conserved(table: pa.Table, rows: int) -> None:
    settled = settle_repeats(table)
    assert len(settled) == rows
    assert len(set(settled["key"].to_pylist())) == rows
    for row in settled.to_pylist():
        if row["defect"] is None:
            name = row["source_id"] or canonical_url(row["url"])
            assert row["key"] == row_key("test", name)


def test_repeats_are_settled_by_content_not_by_order(tmp_path: Path) -> None:
    other = "https://creativecommons.org/licenses/by-nc/4.0/"
    rows = [good(1), good(1, license=other), good(1, url="no url"), good(2), good(1)]
    found = []
    for order in (rows, rows[::-1]):
        table = settle_repeats(rows_of(table_source(write_jsonl(tmp_path / "a.jsonl", order))))
        assert len(set(table["key"].to_pylist())) == 5
        assert Counter(table["defect"].to_pylist()) == {"malformed:duplicate_id": 3, None: 2}
        found.append(sorted(table.to_pylist(), key=lambda row: row["key"]))
    assert found[0] == found[1]
    kept = next(row for row in found[0] if row["key"] == row_key("test", "i1"))
    assert {claim["value"] for claim in kept["claims"]} == {good(1)["license"], other}
    assert {repeat_key(row_key("test", "i1"), n) for n in (1, 2, 3)} < {
        row["key"] for row in found[0]
    }


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://X.org:80/A?b=C#d", "http://x.org/A?b=C"),
        ("https://x.org:443", "https://x.org"),
        ("https://u:P@X.org:8443/", "https://u:P@x.org:8443/"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_canonical_url(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical


@given(st.text())
def test_canonical_url_never_raises(url: str) -> None:
    canonical_url(url)


def test_a_folder_with_every_kind_of_caption(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "sub/c.webp", ".hidden.jpg", "notes.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")
    (tmp_path / "a.txt").write_text("from a text file\n\nand a second line\n")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe bad")
    write_jsonl(
        tmp_path / "metadata.jsonl",
        [
            {"file_name": "a.jpg", "text": "from metadata"},
            {"file_name": "gone.jpg", "text": "no picture"},
            {"file_name": "../out.jpg", "text": "outside"},
            {"file_name": None, "text": "nameless"},
        ],
    )
    rows = rows_of(Folder(path=tmp_path)).to_pylist()
    captions = {row["path"]: [caption["text"] for caption in row["captions"]] for row in rows}
    assert captions["a.jpg"] == ["from metadata", "from a text file", "and a second line"]
    defects = {row["path"]: row["defect"] for row in rows}
    assert defects == {
        "a.jpg": None,
        "b.PNG": "malformed:caption",
        "sub/c.webp": None,
        "gone.jpg": None,
        "../out.jpg": "malformed:path",
        None: "malformed:row",
    }
    assert all(row["claims"] == [] for row in rows)
    before = Folder(path=tmp_path).inputs()
    (tmp_path / "a.jpg").write_bytes(b"another picture")
    assert Folder(path=tmp_path).inputs() != before


def test_a_declaration_is_kept_as_a_declaration(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    declare = Declaration(license="CC-BY-4.0", by="Ada", statement="I took these pictures")
    [row] = rows_of(Folder(path=tmp_path, declare=declare)).to_pylist()
    [claim] = row["claims"]
    assert (claim["kind"], claim["value"], claim["claimed_by"]) == (
        "declaration",
        "CC-BY-4.0",
        "Ada",
    )
    assert claim["level"] == 0
    assert "I took these pictures" in claim["locator"]


def test_file_names_that_are_no_text_are_kept_in_the_account(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(b"picture")
    try:
        with open(os.fsencode(tmp_path) + b"/bad\xff.jpg", "wb") as stream:
            stream.write(b"picture")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    rows = rows_of(Folder(path=tmp_path)).to_pylist()
    assert sorted(row["defect"] or "" for row in rows) == ["", "malformed:id"]
    Folder(path=tmp_path).inputs()


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no picture"):
        rows_of(Folder(path=tmp_path))
    with pytest.raises(MissingInput, match="does not exist"):
        rows_of(Folder(path=tmp_path / "none"))


def test_the_demo_corpus_is_read_through_the_same_machinery(demo_dataset: Path) -> None:
    corpus = demo_dataset / "corpus"
    truth = {row["key"]: row for row in pq.read_table(corpus / "truth.parquet").to_pylist()}
    source = Demo(path=corpus, pictures=len(truth))
    rows = {row["key"]: row for row in rows_of(source).to_pylist()}
    assert set(rows) == set(truth)
    broken = {key for key, row in rows.items() if row["defect"] is not None}
    planted = {key for key, row in truth.items() if row["fault"] == "malformed"}
    assert broken <= planted
    spared = {truth[key]["detail"] for key in planted - broken}
    assert spared <= {"caption_null", "caption_blank"}
    assert "path" not in source.identity()
    with pytest.raises(MissingInput, match="curate demo"):
        Demo().inputs()
