"""Licence claims in data that nobody described: which columns hold them, and what they come to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.license.column import judge
from curate.license.evidence import Decision
from curate.license.parse import parse
from curate.license.policy import policy

KINDS: Final = ("url", "text", "spdx", "fondant_license_type", "hf_card")
"""How a column of unknown making may be read: no number is a licence without its source's rules."""
NAMED: Final = re.compile(r"licen[cs]e|rights|usage_?terms", re.I)
SAMPLE: Final = 500
LONGEST: Final = 200
COPY_LEVEL: Final = 4
TOP: Final = 8
ACCEPTING: Final = policy("noncommercial")
"""The widest policy there is: what it refuses, all refuse."""


@dataclass(frozen=True)
class LicenseColumns:
    """Columns that hold licence claims, each with the source kind that reads most of its values."""

    kinds: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Mapping[str, pa.Array]) -> LicenseColumns:
        """Guess from names and a sample of values; a name alone counts if no column does better."""
        best = {name: _best(name, values) for name, values in columns.items()}
        fits = {name: kind for name, (kind, hits) in best.items() if hits}
        if not fits:
            fits = {name: "text" for name in columns if NAMED.search(name)}
        return cls(fits)


def _best(name: str, values: pa.Array) -> tuple[str, int]:
    """The kind that recognises most of a column's distinct values, if it is a fifth of them."""
    if not pa.types.is_string(values.type):
        return "text", 0
    distinct = [v for v in pc.unique(values).drop_null()[:SAMPLE].to_pylist() if len(v) < LONGEST]
    kinds = KINDS if NAMED.search(name) else ("url",)
    hits = {kind: sum(parse(v, kind).status != "reject" for v in distinct) for kind in kinds}
    kind = max(kinds, key=lambda each: hits[each])
    return kind, hits[kind] if 5 * hits[kind] >= len(distinct) else 0


@dataclass
class Licenses:
    """Rows by what their claims come to."""

    claimed: int = 0
    accepted: int = 0
    ids: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def sentence(self, rows: int) -> str:
        """One line of counts."""
        return (
            f"{self.claimed:,} of {rows:,} rows claim a licence, {self.accepted:,} claim one that a "
            f"policy here accepts"
        )

    def details(self) -> Iterator[str]:
        """The accepted by id and the others by reason."""
        for title, counts in (("accepted", self.ids), ("not accepted", self.refused)):
            if counts:
                shown = ", ".join(f"{name} {n:,}" for name, n in counts.most_common(TOP))
                more = f" and {len(counts) - TOP:,} more" if len(counts) > TOP else ""
                yield f"{title}: {shown}{more}"


def judged(
    columns: Mapping[str, pa.Array], rows: int, named: LicenseColumns, count: Licenses
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each row has an accepted licence; counts them all."""
    if not rows:
        return np.zeros(0, bool)
    found = judge(_claims(columns, rows, named))
    numbers, rows_of = np.unique(found.rows, return_counts=True)
    for number, n in zip(numbers.tolist(), rows_of.tolist(), strict=True):
        _count(found.decisions[number], n, count)
    accepted = np.array([ACCEPTING.verdict(d) is None for d in found.decisions], bool)
    return np.asarray(accepted[found.rows])


def _claims(columns: Mapping[str, pa.Array], rows: int, named: LicenseColumns) -> pa.ListArray:
    """A CLAIMS column: one claim a licence column that says something in that row."""
    own = [(name, kind) for name, kind in named.kinds.items() if name in columns]
    values = [columns[name].cast(pa.string()) for name, _ in own]
    said = np.array([np.asarray(pc.is_valid(value)) for value in values], bool).reshape(-1, rows)
    place, row = np.nonzero(said)
    order = np.argsort(row, kind="stable")
    place, row = place[order], row[order]
    texts = pa.concat_arrays(values) if values else pa.array([], pa.string())
    flat: dict[str, Any] = {
        "kind": pa.array([kind for _, kind in own], pa.string()).take(pa.array(place)),
        "value": texts.take(pa.array(place * rows + row)),
        "level": pa.array(np.full(len(row), COPY_LEVEL), pa.int8()),
    }
    parts = [flat.get(f.name, pa.nulls(len(row), f.type)) for f in c.CLAIM]
    claims = pa.StructArray.from_arrays(parts, fields=list(c.CLAIM))
    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), claims)


def _count(decision: Decision, rows: int, count: Licenses) -> None:
    if decision.basis == "none":
        count.refused["no claim"] += rows
        return
    count.claimed += rows
    if ACCEPTING.verdict(decision) is None:
        count.accepted += rows
        count.ids[decision.id or ""] += rows
    else:
        count.refused[_why(decision)] += rows


def _why(decision: Decision) -> str:
    """Why a claim is not accepted, with the family or id where that is known."""
    if decision.id is not None:
        return f"{decision.id} (in no policy)"
    name = f" {decision.family}" if decision.family else ""
    return f"{decision.basis.replace('_', ' ')}{name}"
