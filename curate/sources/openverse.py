"""Openverse: an index of openly licensed pictures, from its API or from files of its objects.

Openverse copies what Flickr, Wikimedia, museums and others say of a picture, so its claim is a
copy of a record and not the record itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlencode

from pydantic import Field, model_validator

from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN
from curate.sources.live import Live, Query, parameters, text_of
from curate.sources.paging import Api, Body
from curate.sources.read import RawBatch
from curate.sources.text import to_python

_PAIR = "license, license_version and license_url"
_PARTS = ("license", "license_version", "license_url")


class OpenverseQuery(Query):
    """Parameters of `/v1/images/`; lists are joined by commas.

    `page_size` above 20 needs an account with Openverse, which this adapter does not use.
    """

    q: str | None = None
    license: tuple[str, ...] = ()
    license_type: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    excluded_source: tuple[str, ...] = ()
    creator: str | None = None
    tags: str | None = None
    title: str | None = None
    category: tuple[str, ...] = ()
    extension: tuple[str, ...] = ()
    aspect_ratio: tuple[str, ...] = ()
    size: tuple[str, ...] = ()
    mature: bool = False
    page_size: int = Field(default=20, ge=1, le=500)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any((self.q, self.creator, self.tags, self.title, self.source)):
            raise ValueError("ask for something: `q`, `tags`, `title`, `creator` or `source`")
        return self


class Openverse(Live):
    """Pictures of Openverse, keyed by its `id`; `creator` and `title` are as the provider has them."""

    ENDPOINT: ClassVar[str] = "https://api.openverse.org/v1/images/"
    INTERVAL_SECONDS: ClassVar[float] = 3.0  # twenty requests a minute without an account
    PUBLISHED: ClassVar[tuple[str, ...]] = ("api.openverse.org", "api.openverse.engineering")
    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        id="id", url="url", landing_url="foreign_landing_url", title="title", creator="creator",
        creator_url="creator_url", captions=("title",), width="width", height="height",
    )  # fmt: skip
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column=_PAIR, kind="openverse_pair", level=4,
                    claimed_by="Openverse, as it copies the provider's record",
                    evidence=EvidenceColumns(locator="detail_url")),
    )  # fmt: skip
    DERIVED: ClassVar[Mapping[str, tuple[str, ...]]] = {_PAIR: _PARTS}
    MAY_LACK: ClassVar[frozenset[str]] = frozenset(
        {"detail_url", "width", "height", "creator", "creator_url", "license_url", "title"}
    )
    WHY: ClassVar[str] = (
        "The provider's own record (L5 there), copied by an aggregator: L4 from Openverse's API "
        "with the page kept, or from its own dump with `dump`; L3 from anybody's copy of either."
    )
    WORTH: ClassVar[str] = (
        "Good: licence and version are separate fields that must agree with the address. But it is "
        "as old as Openverse's last visit to the provider, and errors of the copying are Openverse's "
        "(a bug once turned unknown licences into the public domain mark): follow the landing page."
    )

    kind: Literal["openverse"] = "openverse"
    name: str = Field(default="openverse", pattern=NAME_PATTERN)
    query: OpenverseQuery | None = None

    def asked(self) -> OpenverseQuery | None:
        return self.query

    def api(self) -> Api:
        """Pages by number, up to the `page_count` of the last answer: the total may change."""
        given = parameters(self.query.model_dump()) if self.query else {}

        def url(number: int) -> str:
            return f"{self.place}?{urlencode({**given, 'page': number})}"

        def follow(said: Body, number: int) -> str | None:
            last = said.get("page_count")
            return url(number + 1) if isinstance(last, int) and number < last else None

        return Api(first=url(1), follow=follow, complaint=_complaint, total=_total)

    def items(self, said: Body) -> list[dict[str, Any]]:
        return [item for item in said["results"] if isinstance(item, dict)]

    def derive(self, batch: RawBatch) -> RawBatch:
        """The three licence fields as one JSON object; null where all three are empty."""
        parts = [to_python(batch.columns[name]) for name in _PARTS]
        pairs = [
            _pair(dict(zip(_PARTS, values, strict=True))) for values in zip(*parts, strict=True)
        ]
        return RawBatch(batch.rows, {**batch.columns, _PAIR: pairs}, batch.broken)


def claim_from_response(body: bytes, source_id: str) -> str | None:
    """The claim value that an answer of the API holds for a picture, or None if it holds none.

    `body` is a page of results or the answer of `/v1/images/<id>/`.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    results = said.get("results")
    for item in results if isinstance(results, list) else [said]:
        if isinstance(item, dict) and text_of(item.get("id")) == source_id:
            return _pair(item)
    return None


def _pair(item: Mapping[str, Any]) -> str | None:
    told = {name: text_of(item.get(name)) for name in _PARTS}
    return json.dumps(told, ensure_ascii=False) if any(told.values()) else None


def _complaint(said: Body) -> tuple[str, bool] | None:
    if isinstance(said.get("results"), list):
        return None
    return f"no `results` but {json.dumps(dict(said))[:300]}", False


def _total(said: Body) -> int | None:
    total = said.get("result_count")
    return total if isinstance(total, int) else None
