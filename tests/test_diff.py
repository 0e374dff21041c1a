"""What changed between two datasets and why; equal datasets say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provenance_dataset import CC, Forger, build, jpeg, key, picture, replaced, rows

from curate.engine import run_inline
from curate.errors import MissingInput
from curate.provenance.diff import Diff, _common_ranges, changes, diff
from curate.provenance.diff_rows import RETRIEVED, differing
from curate.recipe import recipe_from
from curate.store.dataset import Dataset


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def stricter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("stricter"), policy="attribution")


def test_a_dataset_equals_itself_and_another_of_the_same_recipe(base: Path, tmp_path: Path) -> None:
    again = build(tmp_path)
    for other in (base, again):
        told = diff(base, other)
        assert told.equal and told.causes == () and told.unchanged == 29
        assert "equal: every row" in str(told) and json.loads(told.to_json())["equal"] is True
    assert list(changes(base, again)) == []


def test_what_left_says_by_which_reason_and_setting(base: Path, stricter: Path) -> None:
    told = diff(base, stricter)
    assert not told.equal and told.kept == (29, 22)
    [left] = [cause for cause in told.causes if cause.kind == "left"]
    assert (left.why, left.rows) == ("now rejected: license:policy (license)", 7)
    assert len(left.keys) == 5
    assert ("images.license.policy", "'sharealike'", "'attribution'") in told.settings
    assert told.unchanged == 22
    text = told.to_text()
    assert "left: 7" in text and "images.license.policy: 'sharealike' → 'attribution'" in text
    back = diff(stricter, base)
    [entered] = [cause for cause in back.causes if cause.kind == "entered"]
    assert (entered.why, entered.rows) == ("was rejected: license:policy (license)", 7)
    assert {c.key for c in changes(base, stricter) if c.kind == "left"} == {
        c.key for c in changes(stricter, base) if c.kind == "entered"
    }


def remade(base: Path, change: Any, *, shard_rows: int = 32) -> Path:
    """The same recipe over rows that `change` has edited, in other shards."""
    folder = base / "pictures"
    folder.mkdir(parents=True)
    found = rows(folder)
    change(found, folder)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    columns = {"id": "id", "path": "file", "captions": ["caption"], "title": "title"}
    claim = {"column": "license", "kind": "url", "level": 5, "claimed_by": "photos.example"}
    source = {"kind": "table", "name": "photos", "path": str(folder / "rows.jsonl"),
              "columns": columns | {"creator": "by", "landing_url": "page"},
              "licenses": [claim], "retrieved_at": "2024-05-01"}  # fmt: skip
    stages = [{"kind": "license", "policy": "sharealike"}, {"kind": "captions"},
              {"kind": "read_file", "root": str(folder)}, {"kind": "inspect"},
              {"kind": "embedded"}, {"kind": "resolution", "min_side": 64}, {"kind": "aspect"}]  # fmt: skip
    passes = [{"layer": "images", "stages": stages, "barrier": {"kind": "duplicates"}}]
    value = {"name": "photos", "source": source, "shard_rows": shard_rows, "passes": passes}
    run_inline(recipe_from(value, origin="test"), base / "out")
    return base / "out"


def test_every_kind_of_change_is_told_across_shards_of_other_sizes(
    base: Path, tmp_path: Path
) -> None:
    def change(found: list[dict[str, Any]], folder: Path) -> None:
        found[0]["license"] = f"{CC}/by/3.0/"
        found[21]["license"] = "all rights reserved"
        found[4]["license"] = f"{CC}/by/4.0/"
        (folder / "17.jpg").write_bytes(jpeg(picture(917)))
        (folder / "50.jpg").write_bytes(jpeg(picture(50)))
        found[18] = found[19] | {"id": "p50", "file": "50.jpg"}
        found[5]["caption"] = ""

    told = diff(base, remade(tmp_path, change, shard_rows=8))
    why = {(cause.kind, cause.why): cause for cause in told.causes}
    assert why["relicensed", "CC-BY-4.0 → CC-BY-3.0"].keys == (key(0),)
    assert why["other picture", "the source gave other bytes"].keys == (key(17),)
    assert why["entered", "was no candidate"].keys == (key(50),)
    assert why["left", "now no candidate"].keys == (key(18),)
    assert key(4) in why["entered", "was rejected: license:none (license)"].keys
    assert any(kind == "left" and key(21) in cause.keys for (kind, _), cause in why.items())
    [other] = [cause for (kind, _), cause in why.items() if kind == "other verdict"]
    assert other.keys == (key(5),) and "too_small" in other.why and "caption" in other.why
    assert any(name.startswith("input ") for name, _, _ in told.settings)
    assert ("shard_rows", "32", "8") in told.settings
    assert sum(cause.rows for cause in told.causes) == len(list(changes(base, tmp_path / "out")))
    assert told.rows("relicensed") == 1


def test_a_change_that_no_verdict_shows_is_still_a_difference(base: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(base, tmp_path / "copy"))
    forger = Forger(copy)
    part, _ = forger.entry("images", "data", key(0))
    forger.rewrite("images", part, "data", lambda t: replaced(t, "thumbnail", key(0), b"other"))
    forger.publish()
    told = diff(base, copy)
    assert not told.equal and told.causes == ()
    assert "no row's verdict, licence, picture, captions or metadata differs" in str(told)


def test_other_captions_and_other_metadata_are_no_unchanged_rows(
    base: Path, tmp_path: Path
) -> None:
    def change(found: list[dict[str, Any]], folder: Path) -> None:
        found[0]["caption"] = "another caption"
        found[17] |= {"caption": "a third caption", "title": "Another"}
        found[14]["title"] = "Another"
        found[18] |= {"by": "Bob", "page": "https://photos.example/other"}
        found[19]["license"] = f"{CC}/by/4.0/deed.en"
        found[3]["caption"] = "of a row that was never kept"

    told = diff(base, remade(tmp_path, change, shard_rows=8))
    why = {(cause.kind, cause.why): cause.keys for cause in told.causes}
    assert why["other captions", "other captions"] == (key(0),)
    assert why["other captions", "other captions, title"] == (key(17),)
    assert why["other metadata", "other title"] == (key(14),)
    assert why["other metadata", "other creator, landing_url"] == (key(18),)
    [(_, claims)] = [each for each in why if why[each] == (key(19),)]
    assert claims.startswith("other claims")
    assert (told.rows("other captions"), told.rows("other metadata")) == (2, 3)
    assert told.unchanged == told.kept[0] - 5
    assert "other captions: 2" in str(told) and "other metadata: 3" in str(told)
    found = [change.key for change in changes(base, tmp_path / "out")]
    assert found == sorted(found) and len(found) == 5


def test_claims_taken_from_another_response_are_told_apart(base: Path, tmp_path: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(base, tmp_path / "copy"))
    forger = Forger(copy)
    part, entry = forger.entry("images", "data", key(0))
    table = Dataset.open(copy).read(entry)
    [row] = [row for row in table.to_pylist() if row["key"] == key(0)]
    later = [claim | {"retrieved_at": "2031-01-01"} for claim in row["claims"]]
    forger.rewrite("images", part, "data", lambda t: replaced(t, "claims", key(0), later))
    forger.publish()
    [cause] = diff(base, copy).causes
    assert cause.kind == "other metadata" and cause.why == f"other {RETRIEVED}"


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=60))
def test_differing_finds_every_place_and_no_other(pairs: list[tuple[int, int]]) -> None:
    nested = [pa.array([[{"x": pair[side]}] if pair[side] else None for pair in pairs],
                       pa.list_(pa.struct([("x", pa.int8())]))) for side in (0, 1)]  # fmt: skip
    assert list(differing(*nested)) == [n for n, (a, b) in enumerate(pairs) if a != b]


def test_ranges_inside_a_wider_one_are_read_with_it() -> None:
    assert _common_ranges({"": 1}, {"0": 1, "1": 1}) == [""]
    assert _common_ranges({"00": 1, "01": 1, "1": 1}, {"0": 1, "10": 1, "11": 1}) == ["0", "1"]
    assert _common_ranges({"00": 1, "1": 1}, {"01": 1}) == ["00", "01", "1"]


def test_no_part_is_read_twice_and_never_more_than_one_range(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = remade(tmp_path, lambda found, folder: found[0].update(caption=""), shard_rows=4)
    seen: list[tuple[str, int]] = []
    real = Dataset.read

    def read(self: Dataset, entry: Any, columns: Any = None) -> pa.Table:
        seen.append((entry.path, entry.rows))
        return real(self, entry, columns)

    monkeypatch.setattr(Dataset, "read", read)
    diff(base, small)
    paths = [path for path, _ in seen]
    assert len(paths) == len(set(paths))
    assert {path.split("/")[0] for path in paths} == {"ledger", "images"}


def test_what_is_no_dataset_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput):
        diff(base, tmp_path)
    assert isinstance(diff(base, base), Diff)
