"""Of pictures that are the same, keep one: the best licensed, best evidenced, largest.

Exact copies share the hash of their file or of their pixels; near copies are re-encoded, resized
or lightly cropped (up to 4 % of each side). The verdict depends on the set of rows alone, not on
their order. Thumbprints wait in a temporary file: about 400 bytes a row stay in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Annotated, Any, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from curate import columns as c
from curate.images.neighbours import Found, Neighbours, Rows
from curate.license.policy import openness_rank
from curate.stage import Barrier

PRINT_BYTES: Final = c.THUMBPRINT.type.byte_width
METHOD: Final = "phash, thumbprint aligned, greedy/1"  # change it when verdicts would change
NARROW: Final = (
    c.KEY, c.ORIGINAL_SHA256, c.PIXEL_SHA256, c.PHASH, c.WIDTH, c.HEIGHT, c.LICENSE,
    c.EVIDENCE_LEVEL,
)  # fmt: skip


class Duplicates(Barrier):
    """Rejects `duplicate:exact` and `duplicate:near`; RELATED_KEY names the survivor.

    Near means at most `near_bits` of the 64-bit perceptual hash differ, and the thumbprints differ
    by at most `near_rgb` levels of 255 after the best light crop is allowed for. The measured
    value is that difference (0 for exact copies), the text the number of bits. A mirrored picture
    is another picture.
    """

    kind: Literal["duplicates"] = "duplicates"
    near_bits: Annotated[int, Field(ge=0, le=24)] = 20
    near_rgb: Annotated[float, Field(ge=0.0, le=16.0)] = 3.0

    consumes: ClassVar[pa.Schema] = pa.schema([*NARROW, c.THUMBPRINT])

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"method": METHOD}

    def decide(
        self, tables: Iterable[pa.Table], *, remembered: Mapping[str, float] | None = None
    ) -> pa.Table:
        with tempfile.TemporaryFile(prefix="curate-thumbprints-") as spool:
            rows = _spooled(tables, spool)
            rank = _ranked(rows)
            original = _codes(rows[c.ORIGINAL_SHA256.name], rank)
            pixels = _codes(_pixels_and_size(rows), rank)
            exact = _exact(original, pixels)
            near = self._near(rows, rank, exact, spool)
        return _marks(rows[c.KEY.name].take(rank), exact, near)

    def _near(self, rows: pa.Table, rank: Rows, exact: Rows, spool: IO[bytes]) -> Found:
        """Near copies among the rows that are no exact copies and have been measured."""
        phash = rows[c.PHASH.name].take(rank)
        if not len(rank):
            return Found(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0))
        prints = np.memmap(spool, np.uint8, "r", shape=(len(rank), PRINT_BYTES))
        neighbours = Neighbours(
            pc.fill_null(phash, 0).to_numpy(), prints, rank,
            near_bits=self.near_bits, near_rgb=self.near_rgb,
        )  # fmt: skip
        measured = pc.is_valid(phash).to_numpy()
        return neighbours.repeats(np.flatnonzero(measured & (exact < 0)))


def _spooled(tables: Iterable[pa.Table], spool: IO[bytes]) -> pa.Table:
    """The narrow columns in memory; the thumbprints, zeros where null, in the spool."""
    parts = [pa.schema(NARROW).empty_table()]
    for table in tables:
        # a row without a print has nothing to be compared by, whatever its hash says
        phash = pc.if_else(pc.is_valid(table[c.THUMBPRINT.name]), table[c.PHASH.name], None)
        at = table.column_names.index(c.PHASH.name)
        parts.append(table.set_column(at, c.PHASH, phash).select([f.name for f in NARROW]))
        for chunk in pc.fill_null(table[c.THUMBPRINT.name], bytes(PRINT_BYTES)).chunks:
            start = chunk.offset * PRINT_BYTES
            spool.write(chunk.buffers()[1][start : start + len(chunk) * PRINT_BYTES])
    spool.flush()
    return pa.concat_tables(part.cast(pa.schema(NARROW)) for part in parts)


def _ranked(rows: pa.Table) -> Rows:
    """Row numbers, the best first: licence, evidence, pixels, key."""
    width, height = (rows[f.name].cast(pa.int64()) for f in (c.WIDTH, c.HEIGHT))
    order = pa.table({
        "openness": _openness(rows[c.LICENSE.name]),
        "evidence": pc.fill_null(rows[c.EVIDENCE_LEVEL.name], -1),
        "pixels": pc.fill_null(pc.multiply(width, height), -1),
        "key": rows[c.KEY.name],
    })  # fmt: skip
    keys = [("openness", "ascending"), ("evidence", "descending"), ("pixels", "descending"),
            ("key", "ascending")]  # fmt: skip
    return np.asarray(pc.sort_indices(order, sort_keys=keys).to_numpy(), np.int64)


def _openness(licenses: pa.ChunkedArray) -> pa.ChunkedArray:
    """How little each licence asks, 0 first; each distinct licence is judged once."""
    distinct = pc.unique(licenses)
    ranks = pa.array([openness_rank(text) for text in distinct.to_pylist()], pa.int8())
    return ranks.take(pc.index_in(licenses, distinct))


def _pixels_and_size(rows: pa.Table) -> pa.ChunkedArray:
    """Pixel hash and size in one: the hash alone does not know a row from a column."""
    size = [rows[f.name].cast(pa.string()) for f in (c.WIDTH, c.HEIGHT)]
    return pc.binary_join_element_wise(rows[c.PIXEL_SHA256.name], *size, "x")


def _codes(values: pa.ChunkedArray, rank: Rows) -> Rows:
    """A number for each distinct value, in rank order, -1 for null."""
    codes = pc.index_in(values, pc.drop_null(pc.unique(values)))
    return np.asarray(pc.fill_null(codes, -1).to_numpy(), np.int64)[rank]


def _exact(*codes: Rows) -> Rows:
    """For each rank the first leader that shares one of its codes, -1 where none does."""
    leader = np.full(len(codes[0]), -1, np.int64)
    shared = np.zeros(len(leader), bool)
    for code in codes:
        shared |= (np.bincount(code + 1)[code + 1] > 1) & (code >= 0)
    first: list[dict[int, int]] = [{} for _ in codes]
    for row in np.flatnonzero(shared).tolist():
        mine = [int(code[row]) for code in codes]
        known = [seen[m] for seen, m in zip(first, mine, strict=True) if m in seen]
        if known:
            leader[row] = min(known)
            continue
        for seen, m in zip(first, mine, strict=True):
            if m >= 0:
                seen[m] = row
    return leader


def _marks(keys: pa.ChunkedArray, exact: Rows, near: Found) -> pa.Table:
    """One row a duplicate, sorted by key. A copy of a near copy goes to the near copy's survivor."""
    source = np.where(exact >= 0, exact, np.arange(len(exact)))  # the row that was compared
    is_near = near.leader[source] >= 0
    leader = np.where(is_near, near.leader[source], exact)
    at = np.flatnonzero(leader >= 0)
    count, source, is_near = len(at), source[at], is_near[at]
    columns: dict[str, Sequence[object] | pa.Array | pa.ChunkedArray | NDArray[np.float64]] = {
        c.KEY.name: keys.take(at),
        c.VERDICT.name: ["rejected"] * count,
        c.REASON.name: ["duplicate:near" if n else "duplicate:exact" for n in is_near],
        c.RETRYABLE.name: [False] * count,
        c.STAGE.name: ["duplicates"] * count,
        c.MEASURED_VALUE.name: np.where(is_near, near.difference[source], 0.0),
        c.MEASURED_TEXT.name: [
            f"{bits} bits" if n else None
            for n, bits in zip(is_near, near.bits[source], strict=True)
        ],
        c.RELATED_KEY.name: keys.take(leader[at]),
    }
    return pa.table(columns, schema=pa.schema([c.KEY, *c.MARKS])).sort_by(c.KEY.name)
