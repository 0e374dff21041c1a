"""The one abstraction: a stage turns a table into one with the same rows.

A stage adds the columns it produces and marks rows; it never drops one, so conservation is a
property of the contract. `apply` holds every stage to it. A barrier is a pure function between
two passes, from narrow columns of a committed layer to marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel

from curate import columns as c
from curate.errors import ContractError

Transform = Callable[[pa.Table], pa.Table]

REASONS: Final[Mapping[str, str]] = {
    # rejected: the row is not wanted, and asking again gives the same answer
    "malformed": "the metadata row itself is unusable",
    "license": "no accepted licence: unknown, ambiguous, contradictory or outside the policy",
    "reservation": "the rights holder reserved this use (opt-out signal)",
    "not_an_image": "the bytes are not a picture of an allowed format",
    "corrupt": "the picture is truncated or does not decode",
    "too_large": "more pixels or bytes than the recipe's cap",
    "too_small": "fewer pixels than the recipe asks",
    "aspect": "longer or wider than the recipe asks",
    "caption": "no usable caption",
    "duplicate": "another row keeps the same picture",
    "clip_score": "the caption does not fit the picture",
    "numeric": "a feature is not finite or out of range",
    "removed": "taken out on request",
    # failed: the row could not be judged
    "http": "the server answered with an error status",
    "reservation_unknown": "a file or field that could reserve this use could not be read",
    "timeout": "the server did not answer in time",
    "connection": "the connection failed",
    "blocked": "the address is not one that may be fetched",
    "missing_file": "the local file is not there",
    "worker_died": "the row kills the process that works on it",
    "out_of_memory": "the row does not fit in memory even alone",
}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one worker of a stage asks for; stages of equal resource class share a worker."""

    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def resource_class(self) -> str:
        return "gpu" if self.gpus else "cpu"


class Stage(BaseModel, frozen=True, extra="forbid"):
    """Same rows out as in: a stage may add the columns it produces and mark rows, nothing else.

    Subclasses carry a `kind: Literal[...]` field, the column schemas, and `open`, which loads what
    the work needs (models, processes) once a worker and returns the transform.
    """

    consumes: ClassVar[pa.Schema]
    produces: ClassVar[pa.Schema] = pa.schema([])
    needs: ClassVar[Resources] = Resources()

    def open(self) -> Transform:
        """Load what the stage needs and return its transform over living rows."""
        raise ContractError(f"{type(self).__name__} does not implement open()")

    version: ClassVar[int] = 1  # raise it when the same parameters would give other rows

    def identity(self) -> dict[str, Any]:
        """What the fingerprint of a pass covers: parameters, version, model digests, codecs."""
        return self.model_dump(mode="json") | {"version": self.version}

    def portable(self) -> dict[str, Any]:
        """The settings as a record keeps them: of local places, the last name only."""
        return self.model_dump(mode="json")

    def field_metadata(self) -> dict[str, dict[str, str]]:
        """Per produced column, what a reader needs beside the type: model digest, dtype, shape."""
        return {}


class Barrier(BaseModel, frozen=True, extra="forbid"):
    """A pure function between passes: narrow columns of all living rows in, marks out."""

    consumes: ClassVar[pa.Schema]

    def decide(
        self, tables: Iterable[pa.Table], *, remembered: Mapping[str, float] | None = None
    ) -> pa.Table:
        """Marks for the rows to drop: KEY and the columns of `columns.MARKS`, sorted by key.

        `remembered` is what `remember` said of a set that held these rows and others since removed.
        """
        raise ContractError(f"{type(self).__name__} does not implement decide()")

    def remember(self, tables: Iterable[pa.Table]) -> dict[str, float]:
        """What a verdict owes to the whole set, in numbers; a removal keeps them in the plan.

        So the verdicts of the rows that stay do not hang on rows that are gone.
        """
        return {}

    version: ClassVar[int] = 1

    def identity(self) -> dict[str, Any]:
        """What the fingerprint covers: parameters and version."""
        return self.model_dump(mode="json") | {"version": self.version}


def living(table: pa.Table) -> pa.BooleanArray:
    """True for each row without a verdict."""
    return pc.is_null(table[c.VERDICT.name]).combine_chunks()


def with_marks(table: pa.Table) -> pa.Table:
    """The table with the mark columns, all null, appended where they are missing."""
    for field in c.MARKS:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table


def kind_of(reason: str) -> str:
    """`kind` of a reason `kind` or `kind:detail`.

    Raises ContractError for a kind outside the closed set REASONS.
    """
    kind = reason.partition(":")[0]
    if kind not in REASONS:
        raise ContractError(f"reason {reason!r}: {kind!r} is not one of {', '.join(REASONS)}")
    return kind


def mark(
    table: pa.Table, reasons: Sequence[str | None], *, verdict: str = "rejected", stage: str,
    retryable: Sequence[bool] | bool = False, value: Sequence[float | None] | None = None,
    text: Sequence[str | None] | None = None, related: Sequence[str | None] | None = None,
) -> pa.Table:  # fmt: skip
    """Mark each living row whose reason is not None; rows already marked keep their first mark.

    All sequences have one entry a row of `table`. `value` and `text` are what was measured.
    """
    table = with_marks(table)
    if len(reasons) != len(table):
        raise ContractError(f"{stage}: {len(reasons)} reasons for {len(table)} rows")
    for reason in {r for r in reasons if r is not None}:
        kind_of(reason)
    new = pc.and_(living(table), pc.is_valid(pa.array(reasons, pa.string())))
    hit = [r is not None for r in reasons]
    retry = [retryable] * len(table) if isinstance(retryable, bool) else list(retryable)
    filled: dict[str, pa.Array] = {
        c.VERDICT.name: pa.array([verdict if h else None for h in hit], pa.string()),
        c.REASON.name: pa.array(reasons, pa.string()),
        c.RETRYABLE.name: pa.array([r if h else None for r, h in zip(retry, hit, strict=True)], pa.bool_()),
        c.STAGE.name: pa.array([stage if h else None for h in hit], pa.string()),
    }  # fmt: skip
    for field, given in (
        (c.MEASURED_VALUE, value),
        (c.MEASURED_TEXT, text),
        (c.RELATED_KEY, related),
    ):
        if given is not None:
            filled[field.name] = pa.array(given, field.type)
    for name, array in filled.items():
        index = table.column_names.index(name)
        merged = pc.if_else(new, array, table[name])
        table = table.set_column(index, c.MARKS.field(name), merged)
    return table


def reject(
    table: pa.Table, where: pa.BooleanArray | Sequence[bool], reason: str, *, stage: str,
    value: Sequence[float | None] | None = None, text: Sequence[str | None] | None = None,
) -> pa.Table:  # fmt: skip
    """Reject the living rows where the mask is true; a null in the mask rejects (fail closed)."""
    flags = pa.array(where, pa.bool_()).to_pylist() if not isinstance(where, list) else where
    reasons = [None if flag is False else reason for flag in flags]
    return mark(table, reasons, stage=stage, value=value, text=text)


def apply(stage: Stage, table: pa.Table, transform: Transform | None = None) -> pa.Table:
    """Run one stage over the living rows of a table and hold it to the contract.

    Rows come back in the order they came in, marked rows with nulls in the new columns.
    Raises ContractError if the stage loses, adds or reorders rows, touches a column that is not
    its own, or produces a column of another type than declared.
    """
    kind = str(getattr(stage, "kind", type(stage).__name__))
    table = with_marks(table)
    _check_types(kind, "consumes", stage.consumes, table.schema)
    alive = living(table)
    everything = bool(pc.all(alive, min_count=0).as_py())
    given = table if everything else table.filter(alive)
    done = (transform or stage.open())(given) if len(given) else _add_nulls(given, stage.produces)
    done = _check(kind, stage, given, done)
    if everything:
        return done
    return _put_back(table, done, np.asarray(alive), stage)


def _put_back(
    table: pa.Table, done: pa.Table, alive: NDArray[np.bool_], stage: Stage
) -> pa.Table:  # fmt: skip
    """The stage's own columns of the living rows beside the marked ones; no other column is copied."""
    names = [n for n in done.column_names if n in {*stage.produces.names, *c.MARKS.names}]
    before = table.select([n for n in names if n in table.column_names])
    rest = _add_nulls(before.filter(pa.array(~alive)), stage.produces).select(names)
    own = done.select(names)
    order = np.empty(len(table), np.int64)
    order[alive] = np.arange(len(done))
    order[~alive] = np.arange(len(done), len(table))
    both = pa.concat_tables([own, rest.cast(own.schema)]).take(pa.array(order))
    columns = [(both if n in names else table)[n] for n in done.column_names]
    return pa.table(columns, schema=done.schema)


def _check(kind: str, stage: Stage, given: pa.Table, done: pa.Table) -> pa.Table:
    if not done[c.KEY.name].equals(given[c.KEY.name]):
        raise ContractError(
            f"stage {kind}: rows were lost, added or reordered ({len(given)} → {len(done)})"
        )
    expected = set(given.column_names) | set(stage.produces.names)
    if sorted(done.column_names) != sorted(expected):
        odd = sorted(set(done.column_names) ^ expected)
        twice = sorted({n for n in done.column_names if done.column_names.count(n) > 1})
        raise ContractError(f"stage {kind}: undeclared or missing columns {odd}, twice {twice}")
    _check_types(kind, "produces", pa.schema([*stage.produces, *c.MARKS]), done.schema)
    own = set(stage.produces.names) | set(c.MARKS.names)
    for name in given.column_names:
        if name not in own and not _same(done[name], given[name]):
            raise ContractError(f"stage {kind}: column {name!r} is not its own but was changed")
    _check_marks(kind, done)
    fields = [_declared(stage, field) for field in done.schema]
    return done.cast(pa.schema(fields, metadata=done.schema.metadata))


def _check_marks(kind: str, done: pa.Table) -> None:
    """A row has a verdict and a reason or neither, both out of the closed sets."""
    for verdict in pc.unique(done[c.VERDICT.name]).to_pylist():
        if verdict not in (None, "rejected", "failed"):
            raise ContractError(f"stage {kind}: verdict {verdict!r} is not rejected or failed")
    verdicts, reasons = (pc.is_valid(done[f.name]) for f in (c.VERDICT, c.REASON))
    if not verdicts.equals(reasons):
        raise ContractError(f"stage {kind}: a row has a verdict without a reason, or the reverse")
    for reason in pc.unique(done[c.REASON.name]).drop_null().to_pylist():
        kind_of(reason)


def _declared(stage: Stage, field: pa.Field) -> pa.Field:
    """The field as declared by the stage or the marks (role metadata included)."""
    for schema in (stage.produces, c.MARKS):
        if field.name in schema.names:
            return schema.field(field.name)
    return field


def _same(left: pa.ChunkedArray, right: pa.ChunkedArray) -> bool:
    """Equal values; NaN, which equals nothing, is compared by its bits.

    Columns that a stage hands through are the same object, which Arrow does not look into.
    """
    if left.type != right.type:
        return False
    return bool(left.equals(right) or _bits(left).equals(_bits(right)))


def _bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    type_ = _bits_type(column.type)
    return pa.chunked_array([chunk.view(type_) for chunk in column.chunks], type_)


def _bits_type(type_: pa.DataType) -> pa.DataType:
    """The type with every float read as an integer of its width, lists of floats too."""
    if pa.types.is_list(type_):
        return pa.list_(_bits_type(type_.value_type))
    if pa.types.is_floating(type_):
        return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[type_.bit_width]
    return type_


def _check_types(kind: str, what: str, schema: pa.Schema, actual: pa.Schema) -> None:
    for field in schema:
        if field.name not in actual.names:
            raise ContractError(
                f"stage {kind} {what} column {field.name!r}, which is not in the table"
            )
        if actual.field(field.name).type != field.type:
            found = actual.field(field.name).type
            raise ContractError(
                f"stage {kind} {what} {field.name!r} as {field.type}, found {found}"
            )


def _add_nulls(table: pa.Table, schema: pa.Schema) -> pa.Table:
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table
