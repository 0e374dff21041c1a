"""The plan: the same parts whatever memory may hold, and memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate import columns as c
from curate import plan as plans
from curate.plan import make_plan
from curate.ranges import key_ranges
from curate.recipe import Recipe, recipe_from
from curate.sources.keys import settle_repeats
from curate.store.files import LocalFiles

BY = "https://creativecommons.org/licenses/by/4.0/"


def recipe_over(path: Path, *, shard_rows: int = 256) -> Recipe:
    stages: list[dict[str, Any]] = [
        {"kind": "license", "policy": "sharealike"}, {"kind": "opt_out"},
    ]  # fmt: skip
    source = {
        "kind": "table", "name": "rows", "path": str(path),
        "columns": {"id": "id", "url": "url", "captions": ["text"]},
        "licenses": [{"column": "license", "kind": "url", "level": 5}],
    }  # fmt: skip
    passes = [{"layer": "images", "stages": stages}]
    value = {"name": "rows", "source": source, "shard_rows": shard_rows, "passes": passes}
    return recipe_from(value, origin="test")


def write_rows(path: Path, rows: int, *, repeats: int = 0) -> Path:
    """A Parquet table of `rows` rows, the last `repeats` of which carry the id of the first."""
    with pq.ParquetWriter(path, pa.schema([(n, pa.string()) for n in NAMES])) as writer:
        for start in range(0, rows, 10_000):
            part = range(start, min(start + 10_000, rows))
            ids = [str(0 if n >= rows - repeats else n) for n in part]
            columns = [ids, [f"https://x.org/{n}.jpg" for n in part], [f"text {n}" for n in part]]
            writer.write_table(pa.table([*columns, [BY] * len(part)], names=NAMES))
    return path


NAMES = ["id", "url", "text", "license"]


def bounded(patch: pytest.MonkeyPatch, **bounds: int) -> None:
    """Plans made from here on hold no more than this."""

    def ranges(tables: Any, folder: Path, *, range_rows: int) -> Iterator[tuple[str, pa.Table]]:
        return key_ranges(tables, folder, range_rows=range_rows, **bounds)

    patch.setattr(plans, "key_ranges", ranges)


def test_parts_and_digests_do_not_depend_on_what_memory_may_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_over(write_rows(tmp_path / "a.parquet", 400, repeats=9), shard_rows=32)
    usual = make_plan(recipe, LocalFiles(tmp_path / "usual")).shards
    assert len(usual) >= 16
    for name, bounds in (("one", {"held_rows": 1}), ("bytes", {"held_bytes": 1})):
        bounded(monkeypatch, **bounds)
        assert make_plan(recipe, LocalFiles(tmp_path / name)).shards == usual


def test_ranges_are_the_rows_once_each_in_key_order(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", 3000, repeats=40)
    source = recipe_over(path).source
    everything = settle_repeats(pa.concat_tables(source.candidates())).sort_by(c.KEY.name)
    for number, held in enumerate((1, 64, 1 << 20)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = list(key_ranges(source.candidates(), folder, range_rows=32, held_rows=held))
        assert pa.concat_tables(rows for _, rows in found).equals(everything)
        assert not list(folder.iterdir()), "spill files are removed as they are used up"
        for bits, rows in found:
            binary = [f"{int(key[:16], 16):064b}" for key in rows["key"].to_pylist()]
            assert all(key.startswith(bits) for key in binary)
            assert len(rows) <= 32 or len(bits) == 64


def test_repeats_of_one_key_stay_together_however_many(tmp_path: Path) -> None:
    source = recipe_over(write_rows(tmp_path / "a.parquet", 500, repeats=450)).source
    (tmp_path / "spill").mkdir()
    found = list(key_ranges(source.candidates(), tmp_path / "spill", range_rows=8, held_rows=8))
    bits, rows = max(found, key=lambda entry: len(entry[1]))
    assert (len(bits), len(rows)) == (64, 451)
    assert rows["defect"].to_pylist().count("malformed:duplicate_id") == 450


def peak_bytes(path: Path, to: Path) -> int:
    """Arrow's peak while a plan is made."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        make_plan(recipe_over(path, shard_rows=8192), LocalFiles(to))
    finally:
        pa.set_memory_pool(before)
    return int(pool.max_memory())


def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch, held_rows=4096)
    small = peak_bytes(write_rows(tmp_path / "s.parquet", 20_000), tmp_path / "small")
    large = peak_bytes(write_rows(tmp_path / "l.parquet", 200_000), tmp_path / "large")
    assert large < 1.25 * small, f"{small:,} bytes for 20,000 rows, {large:,} for 200,000"
