"""Licence claims by the million: each distinct value is parsed once, rows only look it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.license.evidence import NOTHING, Claim, Decision, resolve
from curate.license.parse import parse
from curate.license.policy import group_of

Rows = npt.NDArray[np.int64]

SCHEMA = pa.schema(
    [("status", pa.string()), ("id", pa.string()), ("expression", pa.string()),
     ("reason", pa.string()), ("matched", pa.string()), ("family", pa.string())]
)  # fmt: skip


def parse_column(values: pa.Array | pa.ChunkedArray, source_kind: str) -> pa.Table:
    """A table of dictionary-encoded answers, one row a value; a null is `reject`, `empty`.

    Columns as in SCHEMA, each a dictionary over the distinct answers. Cast to string where needed.
    """
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = whole if pa.types.is_dictionary(whole.type) else pc.dictionary_encode(whole)
    answers = [parse(value, source_kind) for value in _texts(coded.dictionary)]
    answers.append(parse(None, source_kind))
    indices = pc.fill_null(coded.indices.cast(pa.int32()), len(answers) - 1)
    columns = {
        name: _look_up([getattr(answer, name) for answer in answers], indices)
        for name in SCHEMA.names
    }
    return pa.table(columns)


def _texts(dictionary: pa.Array) -> list[object]:
    """Distinct values as Python objects; bytes that are not UTF-8 become None."""
    kind = dictionary.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        dictionary = dictionary.cast(pa.large_binary())
    if not (pa.types.is_binary(dictionary.type) or pa.types.is_large_binary(dictionary.type)):
        return list(dictionary.to_pylist())
    return [_decoded(raw) for raw in dictionary.to_pylist()]


def _decoded(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _look_up(entries: Sequence[str | None], indices: pa.Array) -> pa.DictionaryArray:
    """The column that holds `entries[index]`, as a dictionary over the distinct entries."""
    distinct = list(dict.fromkeys(entry for entry in entries if entry is not None))
    place = {entry: number for number, entry in enumerate(distinct)}
    remap = pa.array([None if e is None else place[e] for e in entries], pa.int32())
    return pa.DictionaryArray.from_arrays(remap.take(indices), pa.array(distinct, pa.string()))


@dataclass(frozen=True, slots=True)
class Judged:
    """Decisions of a table: the distinct ones, and the place of each row's among them."""

    decisions: Sequence[Decision]
    rows: Rows

    def column(self, values: Sequence[object], type_: pa.DataType) -> pa.Array:
        """A column with one value a row, from one value a distinct decision."""
        return pa.array(values, type_).take(pa.array(self.rows))


def judge(claims: pa.Array | pa.ChunkedArray) -> Judged:
    """Resolve a CLAIMS column; every distinct set of claims is resolved once."""
    whole = claims.combine_chunks() if isinstance(claims, pa.ChunkedArray) else claims
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], c.CLAIMS.type)
    counts = np.asarray(pc.fill_null(pc.list_value_length(whole), 0), np.int64)
    codes, distinct = _claim_codes(pc.list_flatten(whole))
    starts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    decisions: list[Decision] = [NOTHING]
    rows: Rows = np.zeros(len(counts), np.int64)
    for count in np.unique(counts[counts > 0]):
        where = np.flatnonzero(counts == count)
        matrix = codes[starts[where][:, None] + np.arange(count)]
        sets, inverse = np.unique(matrix, axis=0, return_inverse=True)
        rows[where] = inverse.reshape(-1) + len(decisions)
        decisions += [resolve(distinct[code] for code in found) for found in sets.tolist()]
    return Judged(decisions, rows)


def _claim_codes(flat: pa.StructArray) -> tuple[Rows, list[Claim]]:
    """A number for each claim, equal for claims of equal kind, value and rung; and those claims."""
    kinds, values = (_codes(flat.field(name)) for name in ("kind", "value"))
    levels = np.asarray(pc.fill_null(flat.field("level"), 0), np.int64).clip(0, 5)
    width = len(values[1]) or 1
    combined = (kinds[0] * width + values[0]) * 6 + levels
    distinct, codes = np.unique(combined, return_inverse=True)
    claims = []
    for code in distinct.tolist():
        rest, level = divmod(code, 6)
        kind, value = divmod(rest, width)
        claims.append(Claim(kind=kinds[1][kind] or "", value=values[1][value], level=level))
    return codes.reshape(-1), claims


def _codes(texts: pa.Array) -> tuple[Rows, list[str | None]]:
    """A number for each text and the texts by number; the last stands for null."""
    coded = pc.dictionary_encode(texts)
    known = [_decoded(raw) for raw in coded.dictionary.cast(pa.large_binary()).to_pylist()]
    indices = np.asarray(pc.fill_null(coded.indices.cast(pa.int64()), len(known)), np.int64)
    return indices, [*known, None]


def group_column(table: pa.Table) -> pa.Array:
    """LICENSE_GROUP for each row from its CLAIMS, whatever a policy makes of it.

    Undecided rows go with the most restricted, `noncommercial`.
    """
    judged = judge(table[c.CLAIMS.name])
    return judged.column([group_of(d) for d in judged.decisions], c.LICENSE_GROUP.type)
