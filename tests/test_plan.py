"""The plan: the same parts whatever memory may hold, and memory that does not grow with the rows."""

from __future__ import annotations

import subprocess
import sys
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
    ids = [str(0 if n >= rows - repeats else n) for n in range(rows)]
    urls = [f"https://x.org/{n}.jpg" for n in range(rows)]
    texts = [f"text {n}" for n in range(rows)]
    table = pa.table([ids, urls, texts, [BY] * rows], names=NAMES)
    pq.write_table(table, path, use_dictionary=False)
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


PROGRAM = """
import sys, tracemalloc
from pathlib import Path
import pyarrow as pa
from curate import plan as plans
from curate.ranges import key_ranges
from curate.store.files import LocalFiles
from test_plan import recipe_over

plans.key_ranges = lambda tables, folder, range_rows: key_ranges(
    tables, folder, range_rows=range_rows, held_rows=4096
)
recipe = recipe_over(Path(sys.argv[1]), shard_rows=8192)
tracemalloc.start()
plans.make_plan(recipe, LocalFiles(Path(sys.argv[2])))
print(pa.default_memory_pool().max_memory(), tracemalloc.get_traced_memory()[1])
"""


def peaks(rows: int, tmp_path: Path) -> tuple[int, int]:
    """Arrow's and Python's peak, in bytes, of a process that plans this many rows."""
    path = write_rows(tmp_path / f"{rows}.parquet", rows)
    command = [sys.executable, "-c", PROGRAM, str(path), str(tmp_path / str(rows))]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=120
    )
    arrow, python = map(int, done.stdout.split())
    return arrow, python


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    small, large = peaks(20_000, tmp_path), peaks(120_000, tmp_path)
    for few, many in zip(small, large, strict=True):
        grown = (many - few) / 100_000
        assert grown < 20, f"{grown:.0f} bytes a further row: one that is held takes hundreds"
