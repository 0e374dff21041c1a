"""Licence claims by the million: each distinct value is parsed once, rows only look it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.license.answer import REASONS, Parsed
from curate.license.codes import Codes, Rows, chunks_of, encode, factorize
from curate.license.evidence import NOTHING, Claim, Decision, resolve
from curate.license.parse import parse
from curate.license.policy import group_of

_FEW = pa.dictionary(pa.int8(), pa.string())
_MANY = pa.dictionary(pa.int32(), pa.string())
SCHEMA: Final = pa.schema(
    [("status", _FEW), ("id", _MANY), ("expression", _MANY), ("reason", _FEW), ("matched", _MANY),
     ("family", _MANY)]
)  # fmt: skip
_CLOSED: Final = {"status": ("ok", "ambiguous", "reject"), "reason": tuple(REASONS)}
"""Columns whose values are known beforehand: their dictionaries are always these."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The distinct answers of a column, and for each row the place of its answer among them."""

    distinct: Sequence[Parsed]
    codes: Codes

    @property
    def rows(self) -> Rows:
        """For each row the place of its answer among the distinct ones."""
        return self.codes.rows()

    def table(self) -> pa.Table:
        """One row a value, columns as in SCHEMA; no dictionary holds a value twice."""
        named = [self._named(name) for name in SCHEMA.names]
        found = self.codes.look_up([places for places, _ in named])
        return pa.table(
            [_coded(places, values) for places, (_, values) in zip(found, named, strict=True)],
            schema=SCHEMA,
        )

    def _named(self, name: str) -> tuple[pa.Array, pa.Array]:
        """For each distinct answer the place of one attribute in a dictionary, and that."""
        given: list[str | None] = [getattr(answer, name) for answer in self.distinct]
        values = _CLOSED.get(name) or list(dict.fromkeys(v for v in given if v is not None))
        place = {value: number for number, value in enumerate(values)}
        places = [None if value is None else place[value] for value in given]
        type_ = SCHEMA.field(name).type
        return pa.array(places, type_.index_type), pa.array(values, pa.string())


def _coded(places: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray:
    """A dictionary column whose chunks share their dictionary."""
    chunks = [
        pa.DictionaryArray.from_arrays(chunk, values, safe=False) for chunk in places.chunks
    ]  # fmt: skip
    return pa.chunked_array(chunks, pa.dictionary(places.type, pa.string()))


def read_column(values: pa.Array | pa.ChunkedArray, source_kind: str) -> Answers:
    """`parse` over a column of text, bytes, numbers or truth values, plain or dictionary-encoded.

    A null is `reject`, `empty`; bytes that are not UTF-8 are `reject`, `not_text`. TypeError for a
    column of lists or structs.
    """
    codes = encode(values)
    answers = [parse(value, source_kind) for value in _values(codes)]
    return Answers([*answers, parse(None, source_kind)], codes)


def parse_column(values: pa.Array | pa.ChunkedArray, source_kind: str) -> pa.Table:
    """The table of `read_column`: dictionary columns as in SCHEMA, one row a value."""
    return read_column(values, source_kind).table()


def _values(codes: Codes) -> list[object]:
    """Distinct values as Python objects; text that is not UTF-8 stays bytes."""
    try:
        values = codes.distinct.to_pylist()
    except UnicodeDecodeError:
        values = codes.distinct.cast(pa.large_binary()).to_pylist()
    return [_decoded(value) if isinstance(value, bytes) else value for value in values]


def _decoded(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


@dataclass(frozen=True, slots=True)
class Judged:
    """Decisions of a table: the distinct ones, and the place of each row's among them."""

    decisions: Sequence[Decision]
    rows: Rows

    def column(self, values: Sequence[object], type_: pa.DataType) -> pa.Array:
        """A column with one value a row, from one value a distinct decision."""
        return pa.array(values, type_).take(pa.array(self.rows))


def judge(claims: pa.Array | pa.ChunkedArray) -> Judged:
    """Resolve a CLAIMS column; every distinct sequence of claims is resolved once."""
    chunks = chunks_of(claims)
    if not chunks:
        return Judged([NOTHING], np.zeros(0, np.int32))
    counts = np.concatenate([_counts(chunk) for chunk in chunks])
    codes, distinct = _claim_codes(pa.chunked_array([pc.list_flatten(chunk) for chunk in chunks]))
    starts = np.cumsum(counts) - counts
    decisions: list[Decision] = [NOTHING]
    rows: Rows = np.zeros(len(counts), np.int32)
    for count in np.unique(counts[counts > 0]).tolist():
        where = np.flatnonzero(counts == count) if (counts != count).any() else slice(None)
        found, sequences = _sequences(codes, starts[where], count)
        rows[where] = found + len(decisions)
        decisions += [resolve(distinct[code] for code in codes) for codes in sequences]
    return Judged(decisions, rows)


def _counts(chunk: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.list_value_length(chunk), 0), np.int64)


def _sequences(
    codes: Rows, starts: npt.NDArray[np.int64], count: int
) -> tuple[Rows, list[list[int]]]:
    """The distinct runs of `count` codes that begin at `starts`, and which run each start has."""
    width = np.int64(codes.max() + 1)
    found, _ = factorize(codes[starts].astype(np.int64))
    for step in range(1, count):
        found, _ = factorize(found * width + codes[starts + step])
    first = np.zeros(found.max() + 1, np.int64)
    first[found[::-1]] = starts[::-1]  # of several, the last assignment stands: the first row
    return found, codes[first[:, None] + np.arange(count)].tolist()


def _claim_codes(flat: pa.ChunkedArray) -> tuple[Rows, list[Claim]]:
    """A number for each claim, equal for claims of equal kind, value and rung; and those claims."""
    kinds, values = (encode(pc.struct_field(flat, name)) for name in ("kind", "value"))
    levels = pc.fill_null(pc.struct_field(flat, "level"), 0)
    width, rungs = len(values.distinct) + 1, 6
    combined = kinds.rows().astype(np.int64) * width + values.rows()
    combined = combined * rungs + np.asarray(levels, np.int64).clip(0, rungs - 1)
    codes, distinct = factorize(combined)
    kind_texts, value_texts = (
        [v if isinstance(v, str) else None for v in [*_values(part), None]]
        for part in (kinds, values)
    )
    claims = []
    for code in distinct.tolist():
        rest, level = divmod(code, rungs)
        kind, value = divmod(rest, width)
        claims.append(Claim(kind=kind_texts[kind] or "", value=value_texts[value], level=level))
    return codes, claims


def group_column(table: pa.Table) -> pa.Array:
    """LICENSE_GROUP for each row from its CLAIMS, whatever a policy makes of it.

    Undecided rows go with the most restricted, `noncommercial`.
    """
    judged = judge(table[c.CLAIMS.name])
    return judged.column([group_of(d) for d in judged.decisions], c.LICENSE_GROUP.type)
