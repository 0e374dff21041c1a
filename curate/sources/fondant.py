"""fondant-cc-25m: pictures of Common Crawl pages that link to a Creative Commons licence.

The licence is the page's, its version was thrown away, and nobody is named as creator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from curate.sources.adapter import Adapter
from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN
from curate.sources.read import RawBatch
from curate.sources.text import to_python, to_text

_PAGE = EvidenceColumns(locator="webpage_url")
_EDGES = frozenset({"footer", "aside", "sidebar", "nav", "header"})
"""Places of a page that speak of the site and not of what the page shows."""
BODY, EDGE = "license_type in the page", "license_type in a footer or sidebar"


class Fondant(Adapter):
    """Rows of fondant-cc-25m, keyed by `image_url` (the set has no ids)."""

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        url="image_url", landing_url="webpage_url", captions=("alt_text",)
    )
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column=BODY, kind="fondant_license_type", level=2,
                    claimed_by="a licence link on the page", evidence=_PAGE),
        ClaimColumn(column=EDGE, kind="fondant_license_type", level=1,
                    claimed_by="a licence link at the edge of the page", evidence=_PAGE),
    )  # fmt: skip
    MAY_LACK: ClassVar[frozenset[str]] = frozenset({"license_location"})
    DERIVED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        BODY: ("license_type", "license_location"),
        EDGE: ("license_type", "license_location"),
    }
    COPY_LOSES: ClassVar[int] = 0
    WHY: ClassVar[str] = (
        "A crawler found the licence link somewhere on the page: L2, or L1 where "
        "`license_location` says footer, sidebar, navigation or header. That is what the claim is, "
        "whoever hands the table on."
    )
    WORTH: ClassVar[str] = (
        "Little: the link speaks of a page, often of a whole site, and not of each picture on it; "
        "its version is gone (`by` may be any of six), and without creator and title no attribution "
        "can be complete. With the defaults nothing is kept; two lines of a recipe accept it by name."
    )

    kind: Literal["fondant"] = "fondant"
    name: str = Field(default="fondant-cc-25m", pattern=NAME_PATTERN)

    def derive(self, batch: RawBatch) -> RawBatch:
        """The licence column taken apart by the place where the link was found."""
        where = to_text(batch.columns["license_location"]).values.to_pylist()
        at_edge = [(place or "").strip().lower() in _EDGES for place in where]
        pairs = list(zip(to_python(batch.columns["license_type"]), at_edge, strict=True))
        split: dict[str, list[object]] = {
            BODY: [None if edge else value for value, edge in pairs],
            EDGE: [value if edge else None for value, edge in pairs],
        }
        return RawBatch(batch.rows, {**batch.columns, **split}, batch.broken)
