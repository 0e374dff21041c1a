"""Reject rows none of whose captions has usable text; single captions are never dropped."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curate import columns as c
from curate.stage import Stage, Transform, reject


class Captions(Stage):
    """Rejects `caption` where no caption, white space trimmed, has a length inside the bounds.

    The measured value is the length in characters of the row's longest caption, 0 without one.
    """

    kind: Literal["captions"] = "captions"
    min_characters: Annotated[int, Field(ge=1)] = 1
    max_characters: Annotated[int, Field(ge=1)] | None = None

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.CAPTIONS])

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.max_characters is not None and self.max_characters < self.min_characters:
            raise ValueError("captions: max_characters is under min_characters")
        return self

    def open(self) -> Transform:
        return self._filter

    def _filter(self, table: pa.Table) -> pa.Table:
        captions = table[c.CAPTIONS.name].combine_chunks()
        texts = pc.struct_field(pc.list_flatten(captions), "text")
        lengths = pc.fill_null(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)
        usable = pc.greater_equal(lengths, self.min_characters)
        if self.max_characters is not None:
            usable = pc.and_(usable, pc.less_equal(lengths, self.max_characters))
        rows = pa.table({
            "row": pc.list_parent_indices(captions), "usable": usable, "length": lengths,
        }).group_by("row").aggregate([("usable", "any"), ("length", "max")])  # fmt: skip
        found = pc.index_in(pa.array(range(len(table)), rows["row"].type), rows["row"])
        good = pc.fill_null(rows["usable_any"].take(found), False)
        longest = pc.fill_null(rows["length_max"].take(found), 0).cast(pa.float64())
        return reject(
            table, pc.invert(good).to_pylist(), "caption", stage=self.kind,
            value=longest.to_pylist(),
        )  # fmt: skip
