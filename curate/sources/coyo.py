"""COYO-700M: alt texts and addresses from Common Crawl. It says nothing about licences."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from curate.sources.adapter import Adapter
from curate.sources.assemble import CaptionColumn, ColumnMap
from curate.sources.base import NAME_PATTERN


class Coyo(Adapter):
    """Rows of COYO-700M, keyed by its `id`; no row makes a claim, so no policy keeps any."""

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(id="id", url="url", width="width", height="height")
    CAPTIONS: ClassVar[tuple[CaptionColumn, ...]] = (CaptionColumn(column="text", language="en"),)
    COPY_LOSES: ClassVar[int] = 0
    WHY: ClassVar[str] = "L0: there is no licence column, so there is no claim to stand anywhere."
    WORTH: ClassVar[str] = (
        "Nothing: the CC BY 4.0 of COYO-700M covers its table, not the pictures, and never fills in "
        "for them. Every row is rejected (`license:none`). Pictures of it that carry a licence "
        "elsewhere are to be read from there."
    )

    kind: Literal["coyo"] = "coyo"
    name: str = Field(default="coyo-700m", pattern=NAME_PATTERN)
