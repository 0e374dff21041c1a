"""Fetch each row's URL: the bytes, their sha256, and what was observed on the way.

The bytes come through img2dataset and the loopback gateway of `curate.fetch`; img2dataset itself
never meets the web. Where hosts really are (`CURATE_CONNECT_TO`, JSON as `{"pictures.example":
"127.0.0.1:8123"}`) is a fact of the moment and not of the recipe.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from curate import columns as c
from curate.errors import FetchError
from curate.license.reservations import SIGNALS
from curate.stage import Stage, Transform, mark

if TYPE_CHECKING:
    from curate.fetch.client import Fetcher
    from curate.fetch.outcome import FetchSettings, Outcome

HONOURED = tuple(sorted(SIGNALS))
NO_FILE = (404, 410)
_NEVER_NO_FILE = frozenset({408, 425, 429})  # come back later
CONNECT_TO = "CURATE_CONNECT_TO"
_PRINTABLE = r"^[\x20-\x7e]+$"
_HOW_ONLY = {"threads", "connections_per_host", "requests_per_second_per_host", "contact"}


class Download(Stage, frozen=True, extra="forbid"):
    """URL → BODY with its hash and size, or a verdict: `http:404`, `timeout`, `reservation:…`."""

    kind: Literal["download"] = "download"
    contact: str = Field(min_length=3, max_length=200, pattern=_PRINTABLE)
    """An address or page where a web master reaches whoever runs this; sent with every request."""
    user_agent: str = Field(default="curate", pattern=r"^[A-Za-z0-9_.-]+$", max_length=60)
    """Product name of the User-Agent; X-Robots-Tag headers may address us by it."""
    honour_reservations: tuple[str, ...] = HONOURED
    """Signals that keep us from taking a picture, by name: X-Robots-Tag directives, `robots_txt`,
    `tdm_reservation`. What each means stands in `curate.license.reservations.SIGNALS`. An empty
    list ignores all; the outputs say what was left out."""
    no_file_statuses: tuple[int, ...] = NO_FILE
    """Answers to robots.txt, tdmrep.json and landing pages that mean: there is none. Any other
    4xx or 5xx fails the rows of the origin. Some stores answer 403 for a file that is not there."""
    landing_pages: Literal["look", "skip"] = "look"
    """`look` asks each row's landing page what it reserves (robots and TDM meta elements, fields)
    before its picture. `skip` halves the requests, and the outputs say that no page was asked."""
    allow_private_hosts: tuple[str, ...] = ()
    """Hosts that may live at addresses which are not globally routable (a mirror of your own)."""
    threads: int = Field(default=32, ge=1, le=512)
    retries: int = Field(default=2, ge=0, le=10)
    """Further attempts after a timeout, a broken connection, 429 or 5xx."""
    timeout_seconds: float = Field(default=60.0, gt=0)
    """Bound of one attempt, redirects included."""
    connect_timeout_seconds: float = Field(default=10.0, gt=0)
    first_byte_timeout_seconds: float = Field(default=20.0, gt=0)
    """Longest silence once connected."""
    least_bytes_per_second: int = Field(default=1024, ge=0)
    max_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    max_redirects: int = Field(default=5, ge=0, le=20)
    max_backoff_seconds: float = Field(default=30.0, ge=0)
    """A server that asks for a longer wait (Retry-After) fails the row instead."""
    connections_per_host: int = Field(default=8, ge=1)
    requests_per_second_per_host: float | None = Field(default=50.0, gt=0)
    """A worker's own bound; null for none."""

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.URL, c.LANDING_URL])
    produces: ClassVar[pa.Schema] = pa.schema(
        [c.BODY, c.ORIGINAL_SHA256, c.ORIGINAL_BYTES, c.OBSERVED_AT, c.HTTP_STATUS, c.FINAL_URL,
         c.RESPONSE_HEADERS, c.RESERVATIONS, c.FETCH_SECONDS, c.FETCH_ATTEMPTS]
    )  # fmt: skip

    @field_validator("honour_reservations")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """A misspelt directive would be one that is not honoured."""
        if unknown := sorted({name.lower() for name in names} - set(HONOURED)):
            raise ValueError(f"{unknown} unknown: choose from {', '.join(HONOURED)}")
        return tuple(sorted({name.lower() for name in names}))

    @field_validator("no_file_statuses")
    @classmethod
    def _refusals(cls, statuses: tuple[int, ...]) -> tuple[int, ...]:
        """An error or a busy server is never the absence of a reservation."""
        wrong = [n for n in statuses if not 400 <= n < 500 or n in _NEVER_NO_FILE]
        if wrong:
            raise ValueError(
                f"{wrong}: only 4xx may mean that there is no file, and not 408, 425, 429"
            )
        return tuple(sorted(set(statuses)))

    def identity(self) -> dict[str, Any]:
        """Everything but how fast we ask and whom to call about it."""
        return {k: v for k, v in super().identity().items() if k not in _HOW_ONLY}

    def settings(self, connect_to: Mapping[str, str]) -> FetchSettings:
        """What the fetch package is told."""
        from curate.fetch.outcome import FetchSettings

        same = {"user_agent", "allow_private_hosts", "no_file_statuses", "kind", "contact"}
        return FetchSettings(
            user_agent=f"{self.user_agent}/{_version()} (+{self.contact})",
            robots_names=(self.user_agent.lower(), "img2dataset"),
            no_file_statuses=frozenset(self.no_file_statuses),
            allow_private_hosts=frozenset(self.allow_private_hosts),
            connect_to=connect_to,
            **self.model_dump(exclude=same),
        )

    def open(self) -> Transform:
        """Start gateway and img2dataset; they end with the transform's `close` or our process."""
        from curate.fetch.client import Fetcher

        return _Transform(
            Fetcher(self.settings(connect_to())).open(), look_at_pages=self.landing_pages == "look"
        )


class _Transform:
    """The opened stage. Safe to call from several threads, each with a shard of its own."""

    def __init__(self, fetcher: Fetcher, *, look_at_pages: bool) -> None:
        self._fetcher = fetcher
        self._look_at_pages = look_at_pages
        self.close = weakref.finalize(self, fetcher.close)

    def __call__(self, table: pa.Table) -> pa.Table:
        keys, urls = table[c.KEY.name].to_pylist(), table[c.URL.name].to_pylist()
        asked = [(key, url) for key, url in zip(keys, urls, strict=True) if url is not None]
        pages = dict(zip(keys, table[c.LANDING_URL.name].to_pylist(), strict=True))
        known = {k: page for k, page in pages.items() if page is not None and self._look_at_pages}
        outcomes = self._fetcher.fetch(asked, known)
        answers = dict(zip((key for key, _ in asked), outcomes, strict=True))
        return _with_outcomes(table, [answers.get(key) for key in keys])


def _with_outcomes(table: pa.Table, outcomes: Sequence[Outcome | None]) -> pa.Table:
    """The table with the produced columns and marks; None stands for a row without a URL."""
    attributes = {
        c.BODY: "body", c.ORIGINAL_SHA256: "sha256", c.ORIGINAL_BYTES: "size_bytes",
        c.OBSERVED_AT: "observed_at", c.HTTP_STATUS: "status", c.FINAL_URL: "final_url",
        c.RESPONSE_HEADERS: "headers", c.RESERVATIONS: "reservations",
        c.FETCH_SECONDS: "seconds", c.FETCH_ATTEMPTS: "attempts",
    }  # fmt: skip
    for column, name in attributes.items():
        values = [None if o is None else getattr(o, name) for o in outcomes]
        table = table.append_column(column, pa.chunked_array([pa.array(values, column.type)]))
    for verdict in ("rejected", "failed"):
        hit = [o if o is not None and o.verdict == verdict else None for o in outcomes]
        reasons = [None if o is None else o.reason for o in hit]
        if verdict == "rejected":
            reasons = [
                "malformed:url" if o is None else r for o, r in zip(outcomes, reasons, strict=True)
            ]
        table = mark(
            table, reasons, verdict=verdict, stage="download",
            retryable=[o is not None and o.retryable for o in hit],
            value=[None if o is None else o.value for o in hit],
            text=[None if o is None else o.text for o in hit],
        )  # fmt: skip
    return table


def connect_to() -> dict[str, str]:
    """The run's host map from the environment. Raises FetchError if it is not one."""
    text = os.environ.get(CONNECT_TO, "{}")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise FetchError(f"{CONNECT_TO} is not JSON ({error}): {text!r}") from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise FetchError(f'{CONNECT_TO} must be like {{"host": "127.0.0.1:8123"}}, not {text!r}')
    return found


def _version() -> str:
    try:
        return version("curate-t2i")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
