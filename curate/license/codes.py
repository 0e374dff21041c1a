"""A column as its distinct values and one small number a row, so that work is done once a value.

Pieces are encoded on threads, since Arrow lets go of the interpreter while it works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

    The code of a null is `len(distinct)`, whether a null occurs or not.
    """

    distinct: pa.Array
    rows: Rows


def encode(values: pa.Array | pa.ChunkedArray) -> Codes:
    """The codes of a flat column of any type and any chunks; TypeError for a nested one."""
    chunks = [_plain(chunk) for chunk in chunks_of(values)]
    rows = len(values)
    pieces = on_threads(_encoded, _pieces(chunks), rows=rows)
    dictionaries, places = _apart([dictionary for dictionary, _ in pieces])
    if not dictionaries:
        return Codes(pa.array([], values.type), np.zeros(0, np.int32))
    joined = dictionaries[0] if len(dictionaries) == 1 else pa.concat_arrays(dictionaries)
    whole = pc.dictionary_encode(joined)
    codes = _filled(whole.indices, len(whole.dictionary))
    tables = np.split(codes, np.cumsum([len(d) for d in dictionaries])[:-1])
    null = len(whole.dictionary)
    work = [(tables[at], indices, null) for at, (_, indices) in zip(places, pieces, strict=True)]
    return Codes(whole.dictionary, np.concatenate(on_threads(_translated, work, rows=rows)))


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
    return codes.rows, np.asarray(codes.distinct, np.int64)


def _plain(chunk: pa.Array) -> pa.Array:
    """The chunk without what hides its values: extension types and run ends."""
    if isinstance(chunk, pa.ExtensionArray):
        chunk = chunk.storage
    if pa.types.is_run_end_encoded(chunk.type):
        chunk = pc.run_end_decode(chunk)
    if pa.types.is_nested(chunk.type):
        raise TypeError(f"a column of {chunk.type} has no single value a row: pass its text column")
    return chunk


def _pieces(chunks: Iterable[pa.Array]) -> list[pa.Array]:
    """Slices of the chunks, long enough to be worth a thread and few enough to be put together."""
    listed = list(chunks)
    rows = max(_PIECE_ROWS, sum(len(chunk) for chunk in listed) // _PIECES)
    return [
        chunk.slice(start, rows) for chunk in listed for start in range(0, len(chunk), rows)
    ]  # fmt: skip


def _encoded(piece: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Dictionary and indices of a piece."""
    if pa.types.is_dictionary(piece.type):
        if len(piece.dictionary) <= len(piece):
            return piece.dictionary, piece.indices
        # a slice of something larger: only the values that occur here are worth reading
        used = pc.dictionary_encode(piece.indices)
        return piece.dictionary.take(used.dictionary), used.indices
    coded = pc.dictionary_encode(piece)
    return coded.dictionary, coded.indices


def _apart(dictionaries: Sequence[pa.Array]) -> tuple[list[pa.Array], list[int]]:
    """The dictionaries that differ in memory, and for each one given its place among them."""
    known: dict[Any, int] = {}
    kept, places = [], []
    for dictionary in dictionaries:
        where = tuple(buffer.address if buffer else 0 for buffer in dictionary.buffers())
        place = known.setdefault((where, dictionary.offset, len(dictionary)), len(kept))
        if place == len(kept):
            kept.append(dictionary)
        places.append(place)
    return kept, places


def _filled(indices: pa.Array, null: int) -> Rows:
    plain = pc.fill_null(indices.cast(pa.int64()), null) if indices.null_count else indices
    return np.asarray(plain).astype(np.int32, copy=False)


def _translated(work: tuple[Rows, pa.Array, int]) -> Rows:
    """A piece's own indices as codes of the whole column."""
    table, indices, null = work
    with_null = np.append(table, np.int32(null))
    return np.take(with_null, _filled(indices, len(table)))
