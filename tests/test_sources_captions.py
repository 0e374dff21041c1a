"""Imported captions: each way to join, what does not join, and what decides the digests."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate import columns as c
from curate.errors import MissingInput, OutputMismatch, RecipeError
from curate.plan import Plan, make_plan, plan_commits
from curate.recipe import Recipe, recipe_from
from curate.sources.assemble import ColumnMap, Layout, assemble
from curate.sources.captions import MAX_IMPORTED, CaptionImport, CaptionIndex, Joined
from curate.sources.keys import row_key
from curate.sources.read import RawBatch
from curate.store.files import LocalFiles

BY = "https://creativecommons.org/licenses/by/4.0/"
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def source_rows(tmp_path: Path, rows: int = 8) -> Path:
    return jsonl(
        tmp_path / "source.jsonl",
        [
            {"id": f"i{n}", "url": f"https://x.org/d{n % 2}/p%20{n // 2}.jpg", "text": f"own {n}",
             "license": BY}
            for n in range(rows)
        ],
    )  # fmt: skip


def recipe_with(source: Path, *imports: dict[str, Any], shard_rows: int = 4) -> Recipe:
    stages = [{"kind": "license", "policy": "sharealike"}, {"kind": "opt_out"}]
    value = {
        "name": "captions", "shard_rows": shard_rows, "captions": list(imports),
        "source": {
            "kind": "table", "name": "s", "path": str(source),
            "columns": {"id": "id", "url": "url", "captions": ["text"]},
            "licenses": [{"column": "license", "kind": "url", "level": 5}],
        },
        "passes": [{"layer": "images", "stages": stages}],
    }  # fmt: skip
    return recipe_from(value, origin="test")


def given_by(path: Path, by: str, **more: Any) -> dict[str, Any]:
    return {"path": str(path), "by": by, "column": "name", "captions": ["words"], "origin": "own",
            **more}  # fmt: skip


def planned(recipe: Recipe, to: Path) -> tuple[Plan, dict[str, list[dict[str, Any]]]]:
    """The plan, and the captions of each source id."""
    plan = make_plan(recipe, LocalFiles(to))
    found = {}
    for commit in plan_commits(LocalFiles(to), plan):
        entry = commit.file("data")
        assert entry is not None
        for row in pq.read_table(to / entry.path).to_pylist():
            found[row["source_id"]] = row["captions"]
    return plan, found


def texts(captions: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {id_: [entry["text"] for entry in entries] for id_, entries in captions.items()}


NAMES = {
    "key": (row_key("s", "i3"), "i4", "nobody"),
    "url": ("HTTPS://X.org:443/d1/p%201.jpg#here", "https://x.org/d0/p%202.jpg", "https://x.org/"),
    "file": ("p 9.jpg", "p 8.jpg", "p 99.jpg"),
}


@pytest.mark.parametrize("by", ["key", "url"])
@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl"])
def test_captions_join_by_key_and_by_url(by: str, format: str, tmp_path: Path) -> None:
    rows = [{"name": name, "words": f"said of {n}"} for n, name in enumerate(NAMES[by], 3)]
    path = tmp_path / f"more.{format}"
    if format == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif format == "jsonl":
        jsonl(path, rows)
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["name", "words"])
            writer.writeheader()
            writer.writerows(rows)
    told = {"origin": "model", "model": "a captioner", "model_digest": "ab", "language": "en"}
    plan, captions = planned(
        recipe_with(source_rows(tmp_path), given_by(path, by, **told)), tmp_path / "o"
    )
    assert texts(captions) == {
        **{f"i{n}": [f"own {n}"] for n in (0, 1, 2, 5, 6, 7)},
        "i3": ["own 3", "said of 3"],
        "i4": ["own 4", "said of 4"],
    }
    assert captions["i3"][1] == {"text": "said of 3", **told}
    assert captions["i3"][0]["origin"] == "source"
    [joined] = plan.captions
    assert (joined.rows, joined.added, joined.unmatched, joined.unusable) == (3, 2, 1, 0)
    assert "1 rows fit no candidate" in joined.sentence()


def test_a_file_name_joins_the_last_part_of_an_address_if_only_one_picture_has_it(
    tmp_path: Path,
) -> None:
    rows = [{"id": "a", "url": "https://x.org/1/p%201.jpg?w=2", "text": "own", "license": BY},
            {"id": "b", "url": "https://x.org/2/same.jpg", "text": "own", "license": BY},
            {"id": "c", "url": "https://x.org/3/same.jpg", "text": "own", "license": BY},
            {"id": "d", "url": "https://x.org/", "text": "own", "license": BY}]  # fmt: skip
    more = jsonl(
        tmp_path / "more.jsonl",
        [{"name": "p 1.jpg", "words": "one"}, {"name": "same.jpg", "words": "which?"},
         {"name": "gone.jpg", "words": "nobody's"}],
    )  # fmt: skip
    source = jsonl(tmp_path / "source.jsonl", rows)
    plan, captions = planned(recipe_with(source, given_by(more, "file")), tmp_path / "o")
    assert texts(captions) == {"a": ["own", "one"], "b": ["own"], "c": ["own"], "d": ["own"]}
    assert plan.captions == [
        Joined(name="more.jsonl", rows=3, added=1, unmatched=1, several=1, unusable=0, too_many=0)
    ]
    assert "none got them" in plan.captions[0].sentence()


def test_a_file_name_of_a_local_picture_is_its_whole_path(tmp_path: Path) -> None:
    layout = Layout(source="s", columns=ColumnMap(id="path", path="path"))
    table = assemble(RawBatch(3, {"path": ["a.jpg", "sub/a.jpg", "sub/b.jpg"]}), layout)
    more = jsonl(
        tmp_path / "more.jsonl",
        [{"name": "./a.jpg", "words": "one"}, {"name": "sub\\b.jpg", "words": ["two", "three"]},
         {"name": "b.jpg", "words": "not this one"}],
    )  # fmt: skip
    index = CaptionIndex(CaptionImport(**given_by(more, "file")), tmp_path, 0)
    index.note(table)
    found = index.join(table)
    assert found.schema.equals(c.CANDIDATE)
    assert [[e["text"] for e in row] for row in found["captions"].to_pylist()] == [
        ["one"], [], ["two", "three"],
    ]  # fmt: skip
    assert index.told().unmatched == 1
    index.close()


def test_rows_without_use_are_counted_and_rows_at_fault_get_nothing(tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    jsonl(more, [{"name": None, "words": "whose?"}, {"name": "i0", "words": None},
                 {"name": {"a": 1}, "words": "x"}, {"name": "i0", "words": "own 0"},
                 {"name": "i0", "words": "once"}, {"name": "i0", "words": "once"},
                 {"name": "i1", "words": "\ud800"}, {"name": "bad", "words": "for a bad row"}])  # fmt: skip
    with more.open("a") as stream:
        stream.write("{broken\n")
    source = source_rows(tmp_path, 3)
    with source.open("a") as stream:
        stream.write(json.dumps({"id": "bad", "url": "no address", "text": "x", "license": BY}))
    plan, captions = planned(recipe_with(source, given_by(more, "key")), tmp_path / "o")
    assert texts(captions)["i0"] == ["own 0", "own 0", "once"], "another origin is another caption"
    assert texts(captions)["bad"] == ["x"]
    [told] = plan.captions
    assert (told.rows, told.unusable, told.unmatched, told.added) == (9, 5, 1, 2)


def test_one_picture_takes_a_bounded_number_of_captions(tmp_path: Path) -> None:
    rows = [{"name": "i0", "words": f"text {n}"} for n in range(MAX_IMPORTED + 50)]
    plan, captions = planned(
        recipe_with(source_rows(tmp_path), given_by(jsonl(tmp_path / "m.jsonl", rows), "key")),
        tmp_path / "o",
    )
    assert len(captions["i0"]) == 1 + MAX_IMPORTED
    assert (plan.captions[0].added, plan.captions[0].too_many) == (MAX_IMPORTED, 50)


def test_imports_append_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "one.jsonl", [{"name": "i0", "words": "first"}])
    two = jsonl(tmp_path / "two.jsonl", [{"name": "i0", "words": ["second", "third"]}])
    both = recipe_with(source_rows(tmp_path), given_by(one, "key"), given_by(two, "key"))
    _, captions = planned(both, tmp_path / "o")
    assert texts(captions)["i0"] == ["own 0", "first", "second", "third"]


def test_content_decides_the_fingerprint_and_location_does_not(tmp_path: Path) -> None:
    source = source_rows(tmp_path)
    plain = recipe_with(source)
    one = jsonl(tmp_path / "one.jsonl", [{"name": "i0", "words": "first"}])
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "other.jsonl"
    moved.write_bytes(one.read_bytes())
    here, there = (recipe_with(source, given_by(path, "key")) for path in (one, moved))
    assert here.fingerprint() == there.fingerprint() != plain.fingerprint()
    plan, _ = planned(here, tmp_path / "o")
    assert [item["name"] for item in plan.inputs] == ["source.jsonl", "captions/one.jsonl"]
    assert str(tmp_path) not in json.dumps(plan.recipe["captions"])
    again = recipe_from(plan.recipe, origin="plan/PLAN.json")
    assert again.fingerprint() == plan.recipe_fingerprint, "read from the plan, without the files"
    jsonl(one, [{"name": "i0", "words": "changed"}])
    assert here.fingerprint() != plan.recipe_fingerprint
    with pytest.raises(OutputMismatch):
        make_plan(here, LocalFiles(tmp_path / "o"))
    changed, _ = planned(here, tmp_path / "p")
    assert changed.shards != plan.shards


def test_a_digest_that_does_not_fit_names_both(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "one.jsonl", [{"name": "i0", "words": "first"}])
    recipe = recipe_with(source_rows(tmp_path), given_by(one, "key", sha256="0" * 64))
    with pytest.raises(RecipeError, match="0" * 64) as refused:
        make_plan(recipe, LocalFiles(tmp_path / "o"))
    assert CaptionImport(**given_by(one, "key")).digest() in str(refused.value)


def test_mistakes_are_said(tmp_path: Path) -> None:
    source, one = source_rows(tmp_path), tmp_path / "one.jsonl"
    jsonl(one, [{"who": "i0", "words": "first"}])
    with pytest.raises(RecipeError, match="no column 'name'"):
        make_plan(recipe_with(source, given_by(one, "key")), LocalFiles(tmp_path / "o"))
    with pytest.raises(MissingInput, match="captions"):
        recipe_with(source, given_by(tmp_path / "gone.csv", "key")).fingerprint()
    with pytest.raises(ValidationError, match="which one wrote them"):
        CaptionImport(**given_by(one, "key", origin="model"))
    with pytest.raises(ValidationError, match="have no model"):
        CaptionImport(**given_by(one, "key", model="x"))
    with pytest.raises(RecipeError, match="key"):
        recipe_with(source, given_by(one, "guess"))


@QUICK
@given(
    names=st.lists(st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["i0", "i1", "i2"])),
                   min_size=1, max_size=12),
    words=st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=12, max_size=12),
    by=st.sampled_from(["key", "url", "file"]),
)  # fmt: skip
def test_every_row_of_an_import_is_accounted_for(
    tmp_path: Path, names: list[str | None], words: list[str | None], by: str
) -> None:
    rows = [{"name": name, "words": word} for name, word in zip(names, words, strict=False)]
    more = jsonl(tmp_path / "more.jsonl", rows)
    table = pa.concat_tables(recipe_with(source_rows(tmp_path)).source.candidates())
    index = CaptionIndex(CaptionImport(**given_by(more, by)), tmp_path, 0)
    index.note(table)
    found = index.join(table)
    found.validate(full=True)
    assert found.drop_columns("captions").equals(table.drop_columns("captions"))
    told = index.told()
    index.close()
    assert told.rows == len(rows)
    assert told.unmatched + told.several + told.unusable <= told.rows
    added = sum(map(len, found["captions"].to_pylist())) - sum(
        map(len, table["captions"].to_pylist())
    )
    assert added == told.added


PROGRAM = """
import sys, tracemalloc
from pathlib import Path
import pyarrow as pa
from curate.sources.captions import CaptionImport, CaptionIndex
from test_sources_captions import given_by, recipe_with

path, source, folder = map(Path, sys.argv[1:])
table = pa.concat_tables(recipe_with(source).source.candidates())
tracemalloc.start()
index = CaptionIndex(CaptionImport(**given_by(path, "key")), folder, 0)
index.note(table)
index.join(table)
assert index.told().added == len(table)
print(pa.default_memory_pool().max_memory(), tracemalloc.get_traced_memory()[1])
"""


def peaks(rows: int, tmp_path: Path) -> tuple[int, int]:
    """Arrow's and Python's peak, in bytes, of a process that joins this many captions."""
    path, folder = tmp_path / f"{rows}.parquet", tmp_path / str(rows)
    folder.mkdir()
    words = [f"some words about {n}" for n in range(rows)]
    names = [f"i{n}" for n in range(rows)]
    pq.write_table(pa.table({"name": names, "words": words}), path, use_dictionary=False)
    command = [sys.executable, "-c", PROGRAM, str(path), str(source_rows(tmp_path)), str(folder)]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=120
    )
    arrow, python = map(int, done.stdout.split())
    return arrow, python


def test_memory_does_not_grow_with_the_captions(tmp_path: Path) -> None:
    small, large = peaks(20_000, tmp_path), peaks(120_000, tmp_path)
    for few, many in zip(small, large, strict=True):
        grown = (many - few) / 100_000
        assert grown < 20, f"{grown:.0f} bytes a further row: one that is held takes hundreds"
