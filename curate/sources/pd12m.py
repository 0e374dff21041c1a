"""PD12M: public domain and CC0 pictures of museums, libraries and Commons, captioned by a model."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from curate.sources.adapter import Adapter
from curate.sources.assemble import CaptionColumn, ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN


class Pd12m(Adapter):
    """Rows of PD12M or PD3M, keyed by `id`; the releases before `source` are read too."""

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(id="id", url="url", width="width", height="height")
    CAPTIONS: ClassVar[tuple[CaptionColumn, ...]] = (
        CaptionColumn(column="caption", origin="model", model="Florence-2", language="en"),
    )
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column="license", kind="pd12m_license", level=4,
                    claimed_by="the holding institution, as PD12M copies it",
                    evidence=EvidenceColumns(claimed_by="source")),
    )  # fmt: skip
    MAY_LACK: ClassVar[frozenset[str]] = frozenset({"source"})
    PUBLISHED: ClassVar[tuple[str, ...]] = ("huggingface.co/datasets/Spawning/",)
    WHY: ClassVar[str] = (
        "The record of the institution that holds the work (L5 there), copied once by a third "
        "party: L4 from PD12M's own files with `dump`, L3 from a copy of them."
    )
    WORTH: ClassVar[str] = (
        "Good where the institution released its own pictures under CC0. A public domain mark says "
        "that nobody is known to hold rights, by the law of some country, and grants nothing; "
        "records on Commons are the uploader's word. There is no page and no creator to look up: "
        "`source` names the institution only."
    )

    kind: Literal["pd12m"] = "pd12m"
    name: str = Field(default="pd12m", pattern=NAME_PATTERN)
