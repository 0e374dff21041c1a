"""Captions of a table by number, and vectors of a device as Arrow columns over their own memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.errors import ContractError

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Captions:
    """The captions of a table, row after row.

    `counts` says how many each row has, `rows` whose each is, `number` which of the `distinct`
    texts it has, −1 where there is none or only white space.
    """

    counts: Numbers
    rows: Numbers
    number: Numbers
    distinct: list[str]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Captions:
        """From the captions column; a null list counts as empty."""
        counts = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
        text = pc.struct_field(pc.list_flatten(column), "text").combine_chunks()
        coded = text.dictionary_encode()
        words = coded.dictionary.to_pylist()
        usable = np.array([bool(word.strip()) for word in words], bool)
        numbers = np.append(np.where(usable, np.cumsum(usable) - 1, -1), -1)  # the last: no text
        codes = np.asarray(pc.fill_null(coded.indices, len(words)), np.int64)
        distinct = [word for word, kept in zip(words, usable, strict=True) if kept]
        return cls(counts, np.repeat(np.arange(len(counts)), counts), numbers[codes], distinct)

    def lists(self, values: pa.Array) -> pa.Array:
        """One value a caption as one list a row."""
        offsets = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), values)


def blobs(vectors: NDArray[np.float16], where: Flags) -> pa.Array:
    """A binary array, null but `where`; its bytes are the vectors' own memory, one a place."""
    size = vectors.shape[1] * vectors.itemsize if len(vectors) else 0
    if len(vectors) * size >= 1 << 31:
        raise ContractError(
            f"{len(vectors)} embeddings of {size} bytes exceed one Arrow array; use smaller shards"
        )
    offsets = np.concatenate([[0], np.cumsum(where) * size]).astype(np.int32)
    mask = None if where.all() else pa.py_buffer(np.packbits(where, bitorder="little"))
    values = pa.py_buffer(np.ascontiguousarray(vectors).view(np.uint8))
    return pa.Array.from_buffers(pa.binary(), len(where), [mask, pa.py_buffer(offsets), values])


def floats(values: NDArray[np.float32], where: Flags) -> pa.Array:
    """A float array with the values `where`, in order, null elsewhere."""
    full = np.zeros(len(where), np.float32)
    full[where] = values
    return pa.array(full, pa.float32(), mask=~where)


def best(scores: NDArray[np.float32], rows: Numbers, count: int) -> pa.Array:
    """The largest finite score of each of `count` rows; null for a row that has none."""
    finite = np.isfinite(scores)
    top = np.full(count, -np.inf, np.float32)
    np.maximum.at(top, rows[finite], scores[finite])
    return pa.array(top, pa.float32(), mask=np.isneginf(top))
