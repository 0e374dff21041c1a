"""Reject the rows whose score is under a number, or under a quantile of all scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Annotated, ClassVar, Final, Literal, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from curate import columns as c
from curate.errors import ContractError
from curate.stage import Barrier, kind_of

SCORES: Final = {
    field.name: field
    for field in vars(c).values()
    if isinstance(field, pa.Field)
    and (pa.types.is_floating(field.type) or pa.types.is_signed_integer(field.type))
}
"""The columns that hold one signed number a row."""
LEAST: Final = "least"
"""What the barrier remembers: the lowest score that stays."""


def _score(name: str) -> str:
    if name not in SCORES:
        raise ValueError(f"{name!r} is not a number a row; columns that are: {', '.join(SCORES)}")
    return name


def _reason(reason: str) -> str:
    try:
        kind_of(reason)
    except ContractError as error:
        raise ValueError(str(error)) from error
    return reason


class _KeyAndScore:
    """The consumed columns: they depend on which column a recipe names."""

    def __get__(self, threshold: Threshold | None, owner: type[Threshold]) -> pa.Schema:
        return pa.schema([c.KEY, SCORES[threshold.column if threshold else "clip_score"]])


class Threshold(Barrier):
    """Rejects `reason` where `column` is under `at_least`, or under the given quantile.

    `quantile: 0.1` rejects at most a tenth of the rows with a score: rows equal to the score at
    that place stay. Null and NaN are rejected, and are no part of the quantile. The measured
    value is the score, the text what was asked.
    """

    kind: Literal["threshold"] = "threshold"
    column: Annotated[str, AfterValidator(_score)] = "clip_score"
    at_least: Annotated[float, Field(allow_inf_nan=False)] | None = None
    quantile: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    reason: Annotated[str, AfterValidator(_reason)] = "clip_score"

    consumes: ClassVar[pa.Schema] = cast(pa.Schema, _KeyAndScore())

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.at_least is None) == (self.quantile is None):
            raise ValueError("threshold needs at_least or quantile, and not both")
        return self

    def decide(
        self, tables: Iterable[pa.Table], *, remembered: Mapping[str, float] | None = None
    ) -> pa.Table:
        rows, scores = self._scores(tables)
        least = (remembered or {}).get(LEAST, self.least(scores))
        under = np.flatnonzero(~(scores >= least))
        count = len(under)
        values = scores[under]
        return pa.table({
            c.KEY.name: rows[c.KEY.name].take(under),
            c.VERDICT.name: ["rejected"] * count,
            c.REASON.name: [self.reason] * count,
            c.RETRYABLE.name: [False] * count,
            c.STAGE.name: [self.kind] * count,
            c.MEASURED_VALUE.name: pa.array(values, pa.float64(), mask=np.isnan(values)),
            c.MEASURED_TEXT.name: [self._asked()] * count,
            c.RELATED_KEY.name: pa.nulls(count, pa.string()),
        }, schema=pa.schema([c.KEY, *c.MARKS])).sort_by(c.KEY.name)  # fmt: skip

    def remember(self, tables: Iterable[pa.Table]) -> dict[str, float]:
        """The score at the quantile, which rows that go would move."""
        return {} if self.quantile is None else {LEAST: self.least(self._scores(tables)[1])}

    def _scores(self, tables: Iterable[pa.Table]) -> tuple[pa.Table, NDArray[np.float64]]:
        """Keys, and the score of each as float64, NaN for null."""
        names = [c.KEY.name, self.column]
        rows = pa.concat_tables([self.consumes.empty_table(), *(t.select(names) for t in tables)])
        return rows, pc.fill_null(rows[self.column].cast(pa.float64()), np.nan).to_numpy()

    def _asked(self) -> str:
        """What the recipe asked; not the score at a quantile, which is a model's number."""
        if self.quantile is None:
            return f"at least {self.at_least:.6g}"
        return f"quantile {self.quantile:.6g}"

    def least(self, scores: NDArray[np.float64]) -> float:
        """The lowest score that stays; NaN among `scores` does not count."""
        if self.quantile is None:
            return cast(float, self.at_least)
        known = np.sort(scores[~np.isnan(scores)])
        if not len(known):
            return 0.0
        # in fractions: 0.29 × 100 is 28.999… in binary, and one row more or less would go
        return float(known[int(Fraction(str(self.quantile)) * len(known))]) + 0.0  # no -0.0
