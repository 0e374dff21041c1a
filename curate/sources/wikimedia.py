"""Wikimedia Commons: files of a category or a search, from its API or from files of its objects.

Commons states licences in machine-readable form (`extmetadata`), read off each file's own page by
Commons itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, Self
from urllib.parse import urlencode

from pydantic import Field, model_validator

from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN
from curate.sources.live import Live, Query, text_of, told
from curate.sources.paging import Api, Body, Page
from curate.sources.plain import first_link, plain_text
from curate.sources.read import RawBatch
from curate.sources.text import to_python

SITE: Final = "https://commons.wikimedia.org/"
_CLAIMED: Final = ("License", "LicenseShortName", "LicenseUrl", "UsageTerms", "Copyrighted",
                   "Restrictions", "AttributionRequired", "NonFree")  # fmt: skip
_MAKES: Final = ("license of extmetadata", "url", "page", "title in plain text", "creator",
                 "address of creator", "captions", "width", "height", "api address")  # fmt: skip
_NOT_RASTER: Final = frozenset({"image/svg+xml", "image/vnd.djvu", "image/x-xcf"})
_MIME: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,60}")
_ASK: Final = {
    "action": "query", "format": "json", "formatversion": "2", "prop": "imageinfo",
    "iiprop": "url|size|mime|sha1|user|timestamp|extmetadata", "maxlag": "5",
}  # fmt: skip


class WikimediaQuery(Query):
    """Files of a `category` (without those of its subcategories), or of a `search`."""

    category: str | None = Field(default=None, min_length=1)
    search: str | None = Field(default=None, min_length=1)
    files_per_page: int = Field(default=50, ge=1, le=500)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.category is None) == (self.search is None):
            raise ValueError("ask for a `category` or for a `search`, one of them")
        return self

    def parameters(self) -> dict[str, str]:
        """What the API is asked, without the continuation."""
        if self.category is not None:
            title = f"Category:{self.category.removeprefix('Category:')}"
            own = {"generator": "categorymembers", "gcmtitle": title, "gcmtype": "file",
                   "gcmlimit": str(self.files_per_page)}  # fmt: skip
        else:
            own = {"generator": "search", "gsrsearch": self.search or "", "gsrnamespace": "6",
                   "gsrlimit": str(self.files_per_page)}  # fmt: skip
        return _ASK | own


class Wikimedia(Live):
    """Files of Wikimedia Commons, keyed by `pageid`; what is no raster picture is not fetched.

    The claim is the licence part of `extmetadata`, with `Copyrighted` and `Restrictions` (marks
    of trademark or personality rights) beside it as they are noted there.
    """

    ENDPOINT: ClassVar[str] = f"{SITE}w/api.php"
    PUBLISHED: ClassVar[tuple[str, ...]] = ("commons.wikimedia.org", "dumps.wikimedia.org")
    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        id="pageid", url="url", landing_url="page", title="title in plain text",
        creator="creator", creator_url="address of creator", captions=("captions",),
        width="width", height="height",
    )  # fmt: skip
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column="license of extmetadata", kind="wikimedia", level=5,
                    claimed_by="Wikimedia Commons",
                    evidence=EvidenceColumns(locator="api address")),
    )  # fmt: skip
    DERIVED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **dict.fromkeys(_MAKES, ("imageinfo",)),
        "title in plain text": ("title", "imageinfo"),
        "api address": ("pageid",),
    }
    WHY: ClassVar[str] = (
        "Commons' own record of each file: L5 from its API with the page kept, or from its own dump "
        "with `dump`; L4 from anybody's copy."
    )
    WORTH: ClassVar[str] = (
        "Very good: volunteers review what is uploaded, and code, name and address must agree. It is "
        "the uploader's word all the same, deletions happen every day, and trademark or personality "
        "rights (`Restrictions`) are noted but not cleared."
    )

    kind: Literal["wikimedia"] = "wikimedia"
    name: str = Field(default="wikimedia", pattern=NAME_PATTERN)
    query: WikimediaQuery | None = None

    def asked(self) -> WikimediaQuery | None:
        return self.query

    def api(self) -> Api:
        """Pages by `continue`: what an answer says is to be asked next."""
        given = self.query.parameters() if self.query else {}

        def url(more: Mapping[str, Any]) -> str:
            return f"{self.place}?{urlencode({**given, **more})}"

        def follow(said: Body, number: int) -> str | None:
            more = said.get("continue")
            return url(more) if isinstance(more, dict) and more else None

        return Api(first=url({}), follow=follow, complaint=_complaint, total=lambda said: None)

    def items(self, said: Body) -> list[dict[str, Any]]:
        return [item for item in _pages(said) if isinstance(item, dict)]

    def rows(self, pages: Iterator[Page]) -> Iterator[dict[str, Any]]:
        """Each file once a batch: one answer may name files whose details come with another."""
        shown: set[Any] = set()
        waiting: dict[Any, dict[str, Any]] = {}
        for page in pages:
            for item in self.items(page.said):
                name = text_of(item.get("pageid")) or text_of(item.get("title"))
                if "imageinfo" in item:
                    shown.add(name)
                    yield item | told(page)
                else:
                    waiting[name] = item | told(page)
            if "batchcomplete" in page.said:
                yield from (item for name, item in waiting.items() if name not in shown)
                shown, waiting = set(), {}
        yield from (item for name, item in waiting.items() if name not in shown)

    def derive(self, batch: RawBatch) -> RawBatch:
        """Columns out of `imageinfo`, texts without their HTML, and what is no raster picture."""
        raw = (to_python(batch.columns[name]) for name in ("pageid", "title", "imageinfo"))
        made = [self._file(*row) for row in zip(*raw, strict=True)]
        columns = {name: [row[name] for row in made] for name in _MAKES}
        unfit = {n: f"not_an_image:{row['unfit']}" for n, row in enumerate(made) if row["unfit"]}
        return RawBatch(batch.rows, {**batch.columns, **columns}, batch.broken, unfit)

    def _file(self, pageid: object, title: object, imageinfo: object) -> dict[str, Any]:
        info = _info(imageinfo)
        said = _said(info)
        artist = said.get("Artist") or said.get("Attribution") or said.get("Credit")
        mime = text_of(info.get("mime"))
        name = text_of(title) or ""
        return {
            "license of extmetadata": _claim(said),
            "url": text_of(info.get("url")),
            "page": text_of(info.get("descriptionurl")),
            "title in plain text": plain_text(said.get("ObjectName")) or name.removeprefix("File:"),
            "creator": plain_text(artist),
            "address of creator": first_link(artist, base=SITE),
            "captions": _captions(info),
            "width": info.get("width"),
            "height": info.get("height"),
            "api address": self._address(text_of(pageid)),
            "unfit": _unfit(mime),
        }

    def _address(self, pageid: str | None) -> str | None:
        asked = {**_ASK, "pageids": pageid}
        return f"{self.place}?{urlencode(asked, errors='replace')}" if pageid else None


def claim_from_response(body: bytes, source_id: str) -> str | None:
    """The claim value that an answer of the API holds for a file, or None if it holds none.

    `body` is any answer with `query.pages` (of either `formatversion`) and `imageinfo`.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for page in _pages(said) if isinstance(said, dict) else []:
        if isinstance(page, dict) and text_of(page.get("pageid")) == source_id:
            return _claim(_said(_info(page.get("imageinfo"))))
    return None


def _pages(said: Body) -> list[Any]:
    """`query.pages`: a list in format version 2, an object by page id in version 1."""
    query = said.get("query")
    pages = query.get("pages") if isinstance(query, dict) else None
    if isinstance(pages, dict):
        return list(pages.values())
    return pages if isinstance(pages, list) else []


def _info(imageinfo: object) -> dict[str, Any]:
    """The first entry of `imageinfo`: the file as it is now."""
    first = imageinfo[0] if isinstance(imageinfo, list) and imageinfo else None
    return first if isinstance(first, dict) else {}


def _said(info: Mapping[str, Any]) -> dict[str, str]:
    """The single values of `extmetadata` as text, HTML as it is."""
    entries = info.get("extmetadata")
    found = {}
    for name, entry in entries.items() if isinstance(entries, dict) else []:
        value = entry.get("value") if isinstance(entry, dict) else entry
        if isinstance(value, bool):
            value = str(value)
        if (text := text_of(value)) is not None:
            found[name] = text
    return found


def _claim(said: Mapping[str, str]) -> str | None:
    claimed = {name: said[name] for name in _CLAIMED if name in said}
    return json.dumps(claimed, ensure_ascii=False) if claimed else None


def _captions(info: Mapping[str, Any]) -> list[str]:
    """The description in plain text; in each of its languages where the answer has several."""
    entries = info.get("extmetadata")
    entry = entries.get("ImageDescription") if isinstance(entries, dict) else None
    value = entry.get("value") if isinstance(entry, dict) else None
    if isinstance(value, dict):
        texts = [text for name, text in value.items() if not name.startswith("_")]
    else:
        texts = [value]
    plain = (plain_text(text) for text in texts if isinstance(text, str))
    return [text for text in plain if text]


def _unfit(mime: str | None) -> str | None:
    """What a file is that is no raster picture; None for a picture, and where nothing is said."""
    if mime is None or (mime.startswith("image/") and mime not in _NOT_RASTER):
        return None
    return mime if _MIME.fullmatch(mime) else "mime"


def _complaint(said: Body) -> tuple[str, bool] | None:
    error = said.get("error")
    if isinstance(error, dict):
        code = text_of(error.get("code")) or "error"
        return f"{code}: {text_of(error.get('info'))}", code in (
            "maxlag",
            "ratelimited",
            "readonly",
        )
    return None
