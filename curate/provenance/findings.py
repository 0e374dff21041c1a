"""What an audit found, in a form for people and for machines, and the small tools of comparing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.provenance.promises import Promise

MOST_OF_ONE_CHECK: Final = 20


@dataclass(frozen=True)
class AuditResult:
    """The outcome of an audit.

    Counts come from the ledger itself, digests are recomputed. `promises` are the seven of the
    design, each with its state; `verified` says what was checked and how far; `notes` are remarks
    that break no promise.
    """

    ok: bool
    dataset_digest: str
    bytes_digest: str
    kept: int
    rejected: dict[str, int]
    failed: dict[str, int]
    problems: list[str]
    notes: list[str]
    verified: list[str]
    promises: list[Promise] = field(default_factory=list)

    def to_json(self) -> str:
        """The result as a JSON object with the names of the fields."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """The result for a person: verdict, counts, problems, notes, what was verified."""
        rejected, failed = sum(self.rejected.values()), sum(self.failed.values())
        broken = f"audit: FAILED, {len(self.problems)} problems"
        unknown = sum(promise.state != "held" for promise in self.promises)
        lines = [
            "audit: all claims hold" if self.ok
            else broken if self.problems
            else f"audit: FAILED, {unknown} promises cannot be shown to hold",
            f"kept {self.kept:,}, rejected {rejected:,}, failed {failed:,}",
        ]  # fmt: skip
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines += [line for promise in self.promises for line in promise.to_text()]
        lines += [f"  note: {note}" for note in self.notes]
        if not self.promises:
            lines += [f"  verified: {claim}" for claim in self.verified]
        if self.dataset_digest:
            lines += [
                f"dataset_digest {self.dataset_digest}",
                f"bytes_digest   {self.bytes_digest}",
            ]
        return "\n".join(lines)


def bounded(problems: Iterable[str]) -> list[str]:
    """The first problems of one check, and one line for the rest: a broken set has millions."""
    return Few(problems).told()


class Few:
    """The problems of one check as they come in from many places: the first, and how many more."""

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self._first: list[str] = []
        self._rest = 0
        self.take(problems)

    def take(self, problems: Iterable[str]) -> None:
        """Add problems one by one, so that what stops the check keeps those before it."""
        for problem in problems:
            if len(self._first) < MOST_OF_ONE_CHECK:
                self._first.append(problem)
            else:
                self._rest += 1

    def merge(self, other: Few) -> None:
        """Add what another place found."""
        self.take(other._first)
        self._rest += other._rest

    def told(self) -> list[str]:
        """The first problems, and one line for the rest."""
        if not self._rest:
            return list(self._first)
        return [*self._first, f"… and {self._rest:,} more of this kind"]


def flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array from a column."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)  # combining copies even a single one
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def differing(left: pa.Array | pa.ChunkedArray, right: pa.Array | pa.ChunkedArray) -> Iterator[int]:
    """Rows in which two columns of equal length and type differ; null equals null, NaN equals NaN."""
    left, right = flat(left), flat(right)
    if left.equals(right):
        return
    if pa.types.is_nested(left.type):
        pairs = zip(left, right, strict=True)
        yield from (row for row, (a, b) in enumerate(pairs) if a.as_py() != b.as_py())
        return
    either = pc.xor(pc.is_null(left), pc.is_null(right))
    unequal = pc.fill_null(pc.not_equal(left, right), False)
    if pa.types.is_floating(left.type):
        both_nan = pc.fill_null(pc.and_(pc.is_nan(left), pc.is_nan(right)), False)
        unequal = pc.and_not(unequal, both_nan)
    yield from np.flatnonzero(np.asarray(pc.or_(either, unequal))).tolist()


def shown(value: Any) -> str:
    """A value in a problem line: short, on one line, escaped."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}…"


def compare_rows(
    where: str, keys: pa.Array, stored: pa.Table, derived: pa.Table, columns: Iterable[str]
) -> Iterator[str]:
    """A problem for each value in which stored rows differ from derived rows of the same keys."""
    for name in columns:
        if stored.schema.field(name).type != derived.schema.field(name).type:
            types = (stored.schema.field(name).type, derived.schema.field(name).type)
            yield f"{where}: column {name!r} has type {types[0]}, expected {types[1]}"
            continue
        for row in differing(stored[name], derived[name]):
            have, want = stored[name][row].as_py(), derived[name][row].as_py()
            yield f"{where}: row {keys[row]}: {name} is {shown(have)}, re-derived {shown(want)}"


def compare_sets(where: str, what: str, stored: pa.Array, derived: pa.Array) -> Iterator[str]:
    """A problem for each key that is in one set and not in the other, and for each doubled key."""
    for key in derived.filter(pc.invert(pc.is_in(derived, value_set=stored))).to_pylist():
        yield f"{where}: row {key} is missing from the {what}"
    for key in stored.filter(pc.invert(pc.is_in(stored, value_set=derived))).to_pylist():
        yield f"{where}: row {key} does not belong in the {what}"
    if pc.count_distinct(stored).as_py() != len(stored):
        counted = pc.value_counts(stored)
        for entry in counted.filter(pc.greater(counted.field("counts"), 1)).to_pylist():
            yield f"{where}: row {entry['values']} is {entry['counts']} times in the {what}"
