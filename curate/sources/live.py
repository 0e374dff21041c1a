"""What sources with an API share: with `query` they page through it once, into a snapshot.

Without `query` they read the same objects from files, as any adapter does. The network is met
only where a recipe says `query` and its snapshot is not closed yet.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, model_validator

from curate.sources.adapter import Adapter
from curate.sources.assemble import Layout
from curate.sources.base import BATCH_ROWS, InputFile
from curate.sources.paging import Api, Body, Page, Snapshot, take
from curate.sources.read import RawBatch

if TYPE_CHECKING:
    from curate.fetch.outcome import FetchSettings

_HOW_ONLY: Final = frozenset({"contact", "min_interval_seconds"})
_OF_PAGE: Final = {
    "retrieved_at": "when the page came", "http_status": "status of the page",
    "final_url": "address of the page", "response_sha256": "sha256 of the page",
}  # fmt: skip


class Query(BaseModel, frozen=True, extra="forbid"):
    """What to ask an API for; each source has its own fields."""


class Live(Adapter):
    """A source that an API serves. `path` is the folder of its snapshot, or of files of objects.

    `pages` bounds the pages, `contact` (an address or page) tells the operators who asks, and
    `min_interval_seconds` lies between the starts of two requests, one at a time.
    """

    ENDPOINT: ClassVar[str]
    INTERVAL_SECONDS: ClassVar[float] = 1.0
    LIVE: ClassVar[str] = (
        "Not run live: there was no network where this was made. The tests replay answers, "
        "written in the API's documented shape, from a loopback server."
    )

    pages: int = Field(default=100, ge=1, le=1_000_000)
    contact: str | None = Field(default=None, min_length=3, max_length=200)
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s/]+")
    min_interval_seconds: float | None = Field(default=None, ge=0, le=3600)

    @abstractmethod
    def asked(self) -> Query | None:
        """The query of the recipe, or None if objects are read from files."""

    @abstractmethod
    def api(self) -> Api:
        """How the API is paged for the query."""

    @abstractmethod
    def items(self, said: Body) -> list[dict[str, Any]]:
        """The objects in the body of a page."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.asked() is None:
            return self
        if self.contact is None:
            raise ValueError(
                "`query` needs `contact`: an address or page where the API's operators reach whoever runs this"
            )
        if self.dump is not None:
            raise ValueError("`dump` records files; with `query` each page keeps its own record")
        return self

    @property
    def place(self) -> str:
        """The address of the API: its own, or that of a mirror which the recipe names."""
        return self.endpoint or self.ENDPOINT

    def layout(self) -> Layout:
        """As any adapter's; claims of a snapshot carry the page that held them.

        Pages of the publisher's own host lose no rung, those of a mirror count as its copy.
        """
        layout = super().layout()
        if self.asked() is None:
            return layout
        claims = tuple(
            claim.model_copy(update={"evidence": claim.evidence.model_copy(update=_OF_PAGE)})
            for claim in self.ranked(self.place)
        )
        return layout.model_copy(update={"licenses": claims})

    def inputs(self) -> list[InputFile]:
        """The files, or the snapshot, taken first if it is not there yet. Raises FetchError."""
        return super().inputs() if self.asked() is None else self.snapshot().inputs()

    def batches(self, wanted: list[str]) -> Iterator[RawBatch]:
        if self.asked() is None:
            yield from super().batches(wanted)
            return
        names = [n for name in wanted for n in self.DERIVED.get(name, (name,))]
        rows: list[dict[str, Any]] = []
        for row in self.rows(self.snapshot().pages()):
            rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield self._batch(rows, names)
                rows = []
        if rows:
            yield self._batch(rows, names)

    def rows(self, pages: Iterator[Page]) -> Iterator[dict[str, Any]]:
        """The objects of all pages, each with what is known of the page that held it."""
        for page in pages:
            for item in self.items(page.said):
                yield item | told(page)

    def _batch(self, rows: list[dict[str, Any]], names: list[str]) -> RawBatch:
        columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(names)}
        batch = RawBatch(len(rows), columns)
        return self.derive(batch) if self.DERIVED else batch

    def snapshot(self) -> Snapshot:
        """The closed snapshot of the query; takes what is lacking. Raises FetchError."""
        query = self.asked()
        told = query.model_dump(mode="json", exclude_defaults=True) if query else {}
        snapshot = Snapshot(self.path, {"endpoint": self.place, "query": told, "pages": self.pages})
        snapshot.check()
        if not snapshot.done:
            take(snapshot, self.api(), self._manners(), limit=self.pages)
        return snapshot

    def identity(self) -> dict[str, Any]:
        """Everything but where the snapshot lies, who asks and how fast."""
        return {name: value for name, value in super().identity().items() if name not in _HOW_ONLY}

    def _manners(self) -> FetchSettings:
        """One request at a time, an interval between them, and patience with a busy server.

        A host that the recipe names itself, as `endpoint`, may be one of its own network.
        """
        from curate.fetch.outcome import FetchSettings

        interval = self.min_interval_seconds
        interval = self.INTERVAL_SECONDS if interval is None else interval
        named = {urlsplit(self.endpoint).hostname or ""} if self.endpoint else set()
        return FetchSettings(
            user_agent=f"curate/{_version()} (+{self.contact})",
            allow_private_hosts=frozenset(named), threads=1,
            connections_per_host=1, retries=6, max_backoff_seconds=120.0,
            first_byte_timeout_seconds=60.0, timeout_seconds=120.0,
            requests_per_second_per_host=1.0 / interval if interval else None,
        )  # fmt: skip


def told(page: Page) -> dict[str, Any]:
    """What is known of a page, under the names that the claims' evidence is read from."""
    values = (page.retrieved_at, page.status, page.final_url, page.sha256)
    return dict(zip(_OF_PAGE.values(), values, strict=True))


def text_of(value: object) -> str | None:
    """A single JSON value as text; None for what is empty or no single value."""
    if isinstance(value, bool) or value is None or isinstance(value, dict | list):
        return None
    return str(value).strip() or None


def parameters(given: Mapping[str, object]) -> dict[str, str]:
    """Query parameters as text: lists joined by commas, booleans in lower case, nulls left out."""
    made = {}
    for name, value in given.items():
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if value not in (None, ""):
            made[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return made


def _version() -> str:
    try:
        return version("curate-t2i")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
