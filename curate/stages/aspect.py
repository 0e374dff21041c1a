"""Reject pictures that are longer or wider than the recipe asks."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate import columns as c
from curate.stage import Stage, Transform, reject


class Aspect(Stage):
    """Rejects `aspect` where longer side ÷ shorter side is over `max_ratio`, with that ratio.

    A row without a size is rejected.
    """

    kind: Literal["aspect"] = "aspect"
    max_ratio: Annotated[float, Field(ge=1.0)] = 2.0

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.WIDTH, c.HEIGHT])

    def open(self) -> Transform:
        return self._filter

    def _filter(self, table: pa.Table) -> pa.Table:
        sides = [table[name].cast(pa.float64()) for name in (c.WIDTH.name, c.HEIGHT.name)]
        longer = pc.max_element_wise(*sides, skip_nulls=False)
        shorter = pc.min_element_wise(*sides, skip_nulls=False)
        ratio = pc.divide(longer, shorter)
        fits = pc.fill_null(pc.less_equal(ratio, self.max_ratio), False)
        return reject(
            table, pc.invert(fits).to_pylist(), "aspect", stage=self.kind, value=ratio.to_pylist()
        )
