"""A column as its distinct values and one small number a row, so that work is done once a value.

Pieces are encoded on threads, since Arrow lets go of the interpreter while it works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Rows = npt.NDArray[np.int32]

_PIECE_ROWS: Final = 500_000
_PIECES: Final = 64
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Codes:
    """`distinct` holds each value once, without null; a row's code is its place there.

    The code of a null is `len(distinct)`, whether a null occurs or not. `pieces` hold, for
    consecutive rows, their places in a table of codes.
    """

    distinct: pa.Array
    pieces: Sequence[tuple[pa.Array, pa.Array]]

    def rows(self) -> Rows:
        """The code of each row."""
        found = self.look_up([pa.array(np.arange(len(self.distinct) + 1, dtype=np.int32))])[0]
        return np.asarray(found) if self.pieces else np.zeros(0, np.int32)

    def look_up(self, tables: Sequence[pa.Array]) -> list[pa.ChunkedArray]:
        """Columns with one value a row, from tables with one value a code, null's the last.

        Tables that are equal are looked up once and share their column.
        """
        apart: list[pa.Array] = []
        for table in tables:
            if not any(table.equals(other) for other in apart):
                apart.append(table)
        work = [(table.take(codes), places) for table in apart for codes, places in self.pieces]
        rows = len(apart) * sum(len(places) for _, places in self.pieces)
        found = on_threads(_taken, work, rows=rows)
        count = len(self.pieces)
        columns = [
            pa.chunked_array(found[n * count : (n + 1) * count], table.type)
            for n, table in enumerate(apart)
        ]
        return [columns[next(n for n, a in enumerate(apart) if a.equals(t))] for t in tables]


def encode(values: pa.Array | pa.ChunkedArray) -> Codes:
    """The codes of a flat column of any type and any chunks; TypeError for a nested one."""
    chunks = [_plain(chunk) for chunk in chunks_of(values)]
    if not chunks:
        return Codes(pa.array([], values.type), [])
    encoded = [part for parts in on_threads(_encoded, _pieces(chunks), rows=len(values))
               for part in parts]  # fmt: skip
    dictionaries, places = _apart([dictionary for dictionary, _ in encoded])
    joined = dictionaries[0] if len(dictionaries) == 1 else pa.concat_arrays(dictionaries)
    whole = pc.dictionary_encode(joined)
    null = len(whole.dictionary)
    codes = np.asarray(pc.fill_null(whole.indices, null))
    ends = np.cumsum([len(d) for d in dictionaries])[:-1]
    tables = [pa.array(np.append(part, np.int32(null))) for part in np.split(codes, ends)]
    return Codes(
        whole.dictionary,
        [(tables[at], _filled(indices, len(tables[at]) - 1))
         for at, (_, indices) in zip(places, encoded, strict=True)],
    )  # fmt: skip


def chunks_of(values: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    """The chunks of a column; none that is empty."""
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    return [chunk for chunk in chunks if len(chunk)]


def on_threads(work: Callable[[In], Out], items: Sequence[In], *, rows: int) -> list[Out]:
    """`work` of every item, in order; on threads where the rows are worth it."""
    threads = min(len(items), pa.cpu_count())
    if threads < 2 or rows < _PIECE_ROWS:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def factorize(keys: npt.NDArray[np.int64]) -> tuple[Rows, npt.NDArray[np.int64]]:
    """For each number its place among the distinct ones, and those, in order of appearance."""
    codes = encode(pa.array(keys))
    return codes.rows(), np.asarray(codes.distinct, np.int64)


def _plain(chunk: pa.Array) -> pa.Array:
    """The chunk without what hides its values: extension types and run ends."""
    if isinstance(chunk, pa.ExtensionArray):
        chunk = chunk.storage
    if pa.types.is_run_end_encoded(chunk.type):
        chunk = pc.run_end_decode(chunk)
    if pa.types.is_nested(chunk.type):
        raise TypeError(f"a column of {chunk.type} has no single value a row: pass its text column")
    return chunk


def _pieces(chunks: list[pa.Array]) -> list[pa.ChunkedArray]:
    """Runs of rows, long enough to be worth a thread and few enough to be put together."""
    whole = pa.chunked_array(chunks)
    rows = max(_PIECE_ROWS, len(whole) // _PIECES)
    return [whole.slice(start, rows) for start in range(0, len(whole), rows)]


def _encoded(piece: pa.ChunkedArray) -> list[tuple[pa.Array, pa.Array]]:
    """Dictionary and indices of each chunk of a piece; plain chunks share one dictionary."""
    if pa.types.is_dictionary(piece.type):
        return [_narrowed(chunk) for chunk in piece.chunks if len(chunk)]
    coded = pc.dictionary_encode(piece)
    return [(chunk.dictionary, chunk.indices) for chunk in coded.chunks]


def _narrowed(chunk: pa.DictionaryArray) -> tuple[pa.Array, pa.Array]:
    """Its own dictionary, or only what is used of one that is longer than the chunk."""
    if len(chunk.dictionary) <= len(chunk):
        return chunk.dictionary, chunk.indices
    used = pc.dictionary_encode(chunk.indices)
    return chunk.dictionary.take(used.dictionary), used.indices


def _apart(dictionaries: Sequence[pa.Array]) -> tuple[list[pa.Array], list[int]]:
    """The dictionaries that differ in memory, and for each one given its place among them."""
    known: dict[Any, int] = {}
    kept: list[pa.Array] = []
    places: list[int] = []
    for dictionary in dictionaries:
        where = tuple(buffer.address if buffer else 0 for buffer in dictionary.buffers())
        place = known.setdefault((where, dictionary.offset, len(dictionary)), len(kept))
        if place == len(kept):
            kept.append(dictionary)
        places.append(place)
    return kept, places


def _filled(indices: pa.Array, null: int) -> pa.Array:
    """Indices where a null has a place of its own."""
    return pc.fill_null(indices.cast(pa.int32()), null) if indices.null_count else indices


def _taken(work: tuple[pa.Array, pa.Array]) -> pa.Array:
    """A table's values at places that are known to lie in it.

    Nulls are taken as flags of one byte each, which is half the work of taking them as bits.
    """
    table, places = work
    if table.null_count == len(table):
        return pa.nulls(len(places), table.type)
    if not table.null_count or not pa.types.is_integer(table.type):
        return pc.take(table, places, boundscheck=False)
    flags = pc.take(table.is_valid().cast(pa.int8()), places, boundscheck=False)
    filled = pa.array(np.asarray(pc.fill_null(table, 0)))  # without the bits of its own nulls
    values = pc.take(filled, places, boundscheck=False)
    valid = pc.equal(flags, pa.scalar(1, pa.int8()))
    return pa.Array.from_buffers(
        table.type, len(places), [valid.buffers()[1], values.buffers()[1]], -1, 0
    )
