"""CommonCatalog: Flickr pictures of YFCC100M under Creative Commons, captioned anew by BLIP-2.

Its texts are YFCC100M's, which writes blanks as `+` and other signs as `%XX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal
from urllib.parse import quote, unquote_plus

from pydantic import Field

from curate.sources.adapter import Adapter
from curate.sources.assemble import CaptionColumn, ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN
from curate.sources.read import RawBatch
from curate.sources.text import Raw, to_python, to_text

_PAGE = EvidenceColumns(locator="pageurl")
_COPIED = "Flickr, as YFCC100M and CommonCatalog copy it"
_DECODED = {"title in plain text": "title", "unickname in plain text": "unickname"}
_PERSON = "address of uid"


class CommonCatalog(Adapter):
    """Rows of a CommonCatalog release, keyed by Flickr's `photoid`."""

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        id="photoid", url="downloadurl", landing_url="pageurl", title="title in plain text",
        creator="unickname in plain text", creator_url=_PERSON, width="original_width",
        height="original_height",
    )  # fmt: skip
    CAPTIONS: ClassVar[tuple[CaptionColumn, ...]] = (
        CaptionColumn(column="blip2_caption", origin="model", model="BLIP-2", language="en"),
    )
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column="licensename", kind="yfcc100m_licensename", level=4,
                    claimed_by=_COPIED, evidence=_PAGE),
        ClaimColumn(column="licenseurl", kind="url", level=4, claimed_by=_COPIED, evidence=_PAGE),
    )  # fmt: skip
    MAY_LACK: ClassVar[frozenset[str]] = frozenset(
        {"original_width", "original_height", "blip2_caption", "licenseurl"}
    )
    DERIVED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **{name: (raw,) for name, raw in _DECODED.items()},
        _PERSON: ("uid",),
    }
    PUBLISHED: ClassVar[tuple[str, ...]] = ("huggingface.co/datasets/common-canvas/",)
    WHY: ClassVar[str] = (
        "Flickr's record of each picture (L5 at Flickr), copied once by a third party: L4 from "
        "CommonCatalog's own files with `dump`, L3 from a copy of them."
    )
    WORTH: ClassVar[str] = (
        "Good for what photographers chose on Flickr in 2014, with name, title and page for the "
        "credit: the names mean version 2.0. Flickr users upload what is not theirs too, and some "
        "have left or changed their mind since: Creative Commons grants stay, but look at the page."
    )

    kind: Literal["commoncatalog"] = "commoncatalog"
    name: str = Field(default="commoncatalog", pattern=NAME_PATTERN)

    def derive(self, batch: RawBatch) -> RawBatch:
        """Titles and names decoded, and the creator's page made from the user id."""
        columns = dict(batch.columns)
        for name, raw in _DECODED.items():
            columns[name] = decoded(batch.columns[raw])
        columns[_PERSON] = people(batch.columns["uid"])
        return RawBatch(batch.rows, columns, batch.broken)


def decoded(raw: Raw) -> list[object]:
    """Values with `+` and `%XX` decoded; one with a blank in it is plain text already.

    Values that are no text stay as they are, to be judged with the others.
    """
    return [
        unquote_plus(v) if isinstance(v, str) and " " not in v.strip() else v
        for v in to_python(raw)
    ]


def people(raw: Raw) -> list[object]:
    """Flickr's page of each user id, null without one."""
    texts = to_text(raw).values.to_pylist()
    return [f"https://www.flickr.com/people/{quote(t, safe='@')}/" if t else None for t in texts]
