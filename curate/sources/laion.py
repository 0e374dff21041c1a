"""LAION-style tables (LAION-400M, LAION-2B and their many cuts): alt texts and addresses.

Rows are keyed by URL: SAMPLE_ID is a float in several releases and loses digits there.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from curate.sources.adapter import Adapter
from curate.sources.assemble import ClaimColumn, ColumnMap
from curate.sources.base import NAME_PATTERN


class Laion(Adapter):
    """Rows of a LAION release; cuts without LICENSE, WIDTH or HEIGHT are read as they are."""

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        url="URL", captions=("TEXT",), width="WIDTH", height="HEIGHT"
    )
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column="LICENSE", kind="laion_license", level=2,
                    claimed_by="a licence link on the page", locator="LICENSE of the LAION table"),
    )  # fmt: skip
    MAY_LACK: ClassVar[frozenset[str]] = frozenset({"LICENSE", "WIDTH", "HEIGHT"})
    COPY_LOSES: ClassVar[int] = 0
    WHY: ClassVar[str] = (
        "LICENSE is a Creative Commons address that the crawler met on the page, `?` otherwise: "
        "L2, whoever hands the table on. The table does not even say which page."
    )
    WORTH: ClassVar[str] = (
        "Little, and seldom there: about one row in a hundred has any; it speaks of the page, and "
        "neither page, creator nor title is in the table. It often has a version, so that "
        "`evidence_at_least: L2` alone accepts it, by name."
    )

    kind: Literal["laion"] = "laion"
    name: str = Field(default="laion", pattern=NAME_PATTERN)
