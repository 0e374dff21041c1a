"""Candidates by key range, through disk: sorted and whole, with a bound on what memory holds.

Rows stream into a file for each first hex digit of their key; a file with more rows than the bound
is split by the next digit, and so on. Which ranges come out depends on the keys alone, never on the
bound: a range is split in halves until it holds at most `range_rows` rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.sources.base import BATCH_ROWS
from curate.sources.keys import settle_repeats

DIGITS: Final = "0123456789abcdef"
HELD_ROWS: Final = 1 << 16
HELD_BYTES: Final = 1 << 28
"""What memory holds at once, whichever is less, unless a single range is more than that."""
SPLIT_BITS: Final = 64
"""Repeats of a key share its first 64 bits, so ranges are split no finer."""


@dataclass(frozen=True)
class _Spill:
    """The rows whose keys begin with `digits`, in a file."""

    digits: str
    path: Path
    rows: int

    @property
    def bits(self) -> str:
        return "".join(f"{int(digit, 16):04b}" for digit in self.digits)

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size

    def batches(self) -> Iterator[pa.Table]:
        """Its rows, BATCH_ROWS or a little more at a time."""
        held: list[pa.RecordBatch] = []
        with pa.ipc.open_file(str(self.path)) as reader:
            for number in range(reader.num_record_batches):
                held.append(reader.get_batch(number))
                if sum(len(batch) for batch in held) >= BATCH_ROWS:
                    yield pa.Table.from_batches(held)
                    held = []
        if held:
            yield pa.Table.from_batches(held)


def key_ranges(
    tables: Iterable[pa.Table],
    folder: Path,
    *,
    range_rows: int,
    held_rows: int = HELD_ROWS,
    held_bytes: int = HELD_BYTES,
) -> Iterator[tuple[str, pa.Table]]:
    """(leading key bits, rows sorted by key) of each range that has rows, in key order.

    `tables` have the schema CANDIDATE; repeats of a key are settled. `folder` takes the spill
    files, which are removed as they are used up. Rows of one key, repeated, stay together however
    many they are.
    """
    todo = [("", _spill(tables, folder, ""))]
    while todo:
        bits, spills = todo.pop()
        rows = sum(spill.rows for spill in spills)
        large = rows > held_rows or sum(spill.bytes for spill in spills) > held_bytes
        if large and rows > range_rows and len(bits) < SPLIT_BITS:
            finer = _finer(spills[0], folder) if spills[0].bits == bits else spills
            todo += [
                (bits + "1", _below(bits + "1", finer)),
                (bits + "0", _below(bits + "0", finer)),
            ]
        elif rows:
            yield from _split(bits, _sorted(spills), range_rows)


def _below(bits: str, spills: list[_Spill]) -> list[_Spill]:
    return [spill for spill in spills if spill.bits.startswith(bits)]


def _finer(spill: _Spill, folder: Path) -> list[_Spill]:
    """The same rows in sixteen files by the next digit of their keys."""
    found = _spill(spill.batches(), folder, spill.digits)
    spill.path.unlink()
    return found


def _spill(tables: Iterable[pa.Table], folder: Path, digits: str) -> list[_Spill]:
    """Write rows into one Arrow file for each digit that follows `digits` in any of their keys."""
    place = len(digits)
    paths = {digit: folder / f"rows-{digits}{digit}" for digit in DIGITS}
    counts = dict.fromkeys(DIGITS, 0)
    writers: dict[str, pa.RecordBatchWriter] = {}
    try:
        for table in tables:
            next_digit = pc.utf8_slice_codeunits(table[c.KEY.name], place, place + 1)
            for digit in pc.unique(next_digit).to_pylist():
                if digit not in writers:
                    writers[digit] = pa.ipc.new_file(str(paths[digit]), c.CANDIDATE)
                rows = table.filter(pc.equal(next_digit, digit)).cast(c.CANDIDATE)
                writers[digit].write_table(rows.combine_chunks())
                counts[digit] += len(rows)
    finally:
        for writer in writers.values():
            writer.close()
    return [
        _Spill(digits + digit, paths[digit], counts[digit]) for digit in DIGITS if counts[digit]
    ]


def _sorted(spills: list[_Spill]) -> pa.Table:
    """All rows of some files by key, each key once; the files are removed."""
    batches = [batch for spill in spills for batch in spill.batches()]
    for spill in spills:
        spill.path.unlink()
    return settle_repeats(pa.concat_tables(batches)).sort_by(c.KEY.name)


def _split(bits: str, rows: pa.Table, range_rows: int) -> Iterator[tuple[str, pa.Table]]:
    if len(rows) <= range_rows or len(bits) == SPLIT_BITS:
        if len(rows):
            yield bits, rows
        return
    heads = bytes.fromhex("".join(key[:16] for key in rows[c.KEY.name].to_pylist()))
    middle = int(f"{bits}1".ljust(SPLIT_BITS, "0"), 2)
    cut = int(np.searchsorted(np.frombuffer(heads, ">u8").astype(np.uint64), np.uint64(middle)))
    yield from _split(bits + "0", rows.slice(0, cut), range_rows)
    yield from _split(bits + "1", rows.slice(cut), range_rows)
