"""Results of a device as an Arrow column: their memory is handed over, not copied.

Only where rows of several buckets alternate are they put into the order of the table once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SPAN_BYTES: Final = 1 << 30
"""Bytes of one array that is put together here: its offsets have 32 bits."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Block:
    """Values of some rows of a table, one row after another in one piece of memory."""

    rows: Rows
    sizes: Rows
    values: NDArray[np.uint8]

    @property
    def starts(self) -> Rows:
        return np.cumsum(self.sizes) - self.sizes


def binary(blocks: Sequence[Block], valid: NDArray[np.bool_]) -> pa.ChunkedArray:
    """A binary column of len(valid) rows; null where not valid or in no block."""
    blocks = [block for block in blocks if len(block.rows)]
    if not blocks:
        return pa.chunked_array([pa.nulls(len(valid), pa.binary())])
    rows = np.concatenate([block.rows for block in blocks])
    found = np.zeros(len(valid), bool)
    found[rows] = True
    if not (np.diff(rows) > 0).all():
        blocks = _in_order(blocks, len(valid))
    ends = [int(block.rows[-1]) + 1 for block in blocks[:-1]] + [len(valid)]
    spans = zip([0, *ends[:-1]], ends, blocks, strict=True)
    return pa.chunked_array(
        [_array(block, start, (found & valid)[start:stop]) for start, stop, block in spans]
    )


def _array(block: Block, start: int, valid: NDArray[np.bool_]) -> pa.Array:
    """The rows `start` … of the table around a block, over the block's own memory."""
    sizes = np.zeros(len(valid), np.int64)
    sizes[block.rows - start] = block.sizes
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    mask = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [mask, pa.py_buffer(offsets), pa.py_buffer(block.values)]
    return pa.Array.from_buffers(pa.binary(), len(valid), buffers)


def _in_order(blocks: Sequence[Block], count: int) -> list[Block]:
    """The same values in the order of the table, copied into new blocks of at most SPAN_BYTES."""
    sizes, place = np.zeros(count, np.int64), np.zeros((count, 2), np.int64)
    for number, block in enumerate(blocks):
        sizes[block.rows] = block.sizes
        place[block.rows, 0], place[block.rows, 1] = number, block.starts
    rows = np.flatnonzero(sizes)
    spans = np.cumsum(sizes[rows]) // SPAN_BYTES
    made = []
    for own in np.split(rows, np.flatnonzero(np.diff(spans)) + 1):
        values, end = np.empty(int(sizes[own].sum()), np.uint8), 0
        for (number, start), size in zip(place[own].tolist(), sizes[own].tolist(), strict=True):
            values[end : end + size] = blocks[number].values[start : start + size]
            end += size
        made.append(Block(own, sizes[own], values))
    return made
