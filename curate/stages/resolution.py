"""Reject pictures with fewer pixels than the recipe asks."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curate import columns as c
from curate.stage import Stage, Transform, reject


class Resolution(Stage):
    """Rejects `too_small` where the shorter side or the pixel count is under its minimum.

    The measured value is the shorter side in pixels, or else the pixel count. A row without a
    size is rejected.
    """

    kind: Literal["resolution"] = "resolution"
    min_side: Annotated[int, Field(ge=1)] | None = None
    min_pixels: Annotated[int, Field(ge=1)] | None = None

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.WIDTH, c.HEIGHT])

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.min_side is None and self.min_pixels is None:
            raise ValueError("resolution needs min_side, min_pixels or both")
        return self

    def open(self) -> Transform:
        return self._filter

    def _filter(self, table: pa.Table) -> pa.Table:
        width, height = table[c.WIDTH.name], table[c.HEIGHT.name]
        side = pc.min_element_wise(width, height, skip_nulls=False)
        pixels = pc.multiply(width.cast(pa.int64()), height.cast(pa.int64()))
        for measured, least in ((side, self.min_side), (pixels, self.min_pixels)):
            if least is not None:
                enough = pc.fill_null(pc.greater_equal(measured, least), False)
                table = reject(
                    table, pc.invert(enough).to_pylist(), "too_small", stage=self.kind,
                    value=measured.cast(pa.float64()).to_pylist(),
                )  # fmt: skip
        return table
