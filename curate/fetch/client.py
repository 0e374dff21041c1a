"""`Fetcher`: pictures by URL, through the gateway and img2dataset behind it.

The body comes from img2dataset, everything else from the gateway's record, and both must agree on
the sha256. A row that img2dataset lost is asked for once more and is then a failed row.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType, TracebackType

from curate.errors import FetchError
from curate.fetch.downloader import Broken, Img2Dataset
from curate.fetch.gateway import Gateway
from curate.fetch.guard import Lookup
from curate.fetch.outcome import FetchSettings, Outcome
from curate.license.reservations import x_robots_tag

_NONE: Mapping[str, str] = MappingProxyType({})
_LOST = Outcome(verdict="failed", reason="connection:downloader", retryable=True)


class Fetcher:
    """Owns one gateway and one img2dataset subprocess. `fetch` may be called from many threads."""

    def __init__(
        self, settings: FetchSettings, *, lookup: Lookup | None = None,
        stall_seconds: float = 60.0,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._stall_seconds = stall_seconds
        self._gateway = Gateway(settings, judge=self._directives, lookup=lookup)
        self._downloader: Img2Dataset | None = None
        self._restart = threading.Lock()

    def open(self) -> Fetcher:
        """Start both; the subprocess goes on importing while the caller does other work."""
        self._gateway.start()
        self._downloader = Img2Dataset()
        return self

    def close(self) -> None:
        """End the subprocess and the gateway. May be called twice."""
        with self._restart:
            if self._downloader is not None:
                self._downloader.close()
            self._downloader = None
        self._gateway.close()

    def __enter__(self) -> Fetcher:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the img2dataset subprocess, if it was started."""
        return self._downloader.pid if self._downloader else None

    def fetch(
        self, rows: Sequence[tuple[str, str]], landing_pages: Mapping[str, str] = _NONE
    ) -> list[Outcome]:
        """One outcome a row (key, url), in order; a URL of several rows is fetched once.

        `landing_pages` are looked at by key; rows of one URL but several pages are fetched apart.
        Raises FetchError if the machinery itself fails, which a restart did not cure.
        """
        first: dict[tuple[str, str | None], str] = {}
        for key, url in rows:
            first.setdefault((url, landing_pages.get(key)), key)
        pending = {key: url for (url, _), key in first.items()}
        outcomes: dict[str, Outcome] = {}
        for _ in range(2):
            if pending:
                outcomes |= self._ask(pending, landing_pages)
                pending = {key: url for key, url in pending.items() if key not in outcomes}
        return [outcomes.get(first[url, landing_pages.get(key)], _LOST) for key, url in rows]

    def _ask(self, urls: dict[str, str], pages: Mapping[str, str]) -> dict[str, Outcome]:
        """Outcomes of the keys that came through whole; the others are missing."""
        downloader = self._running()
        try:
            return self._ask_once(downloader, urls, pages)
        except Broken:
            downloader = self._restarted(downloader)
        try:
            return self._ask_once(downloader, urls, pages)
        except Broken as broken:
            raise FetchError(
                f"img2dataset {broken}. It was restarted once already. Check that "
                "`pip install 'curate-t2i[pipeline]'` is complete, that memory and temporary disk "
                "space are left, and run again: committed shards are kept"
            ) from broken

    def _ask_once(
        self, downloader: Img2Dataset, urls: dict[str, str], pages: Mapping[str, str]
    ) -> dict[str, Outcome]:
        asked = self._gateway.register(urls, {key: pages[key] for key in urls if key in pages})
        try:
            table = downloader.run(
                asked, threads=self._settings.threads,
                is_stalled=lambda: self._gateway.idle_seconds() > self._stall_seconds,
            )  # fmt: skip
        finally:
            records = self._gateway.withdraw(urls)
        outcomes = {key: record for key, record in records.items() if record.verdict is not None}
        columns = (table[name].to_pylist() for name in ("curate_key", "sha256", "jpg"))
        for key, sha256, body in zip(*columns, strict=True):
            record = records.get(key)
            if record is None or record.verdict is not None or body is None:
                continue
            if record.sha256 == sha256 == hashlib.sha256(body).hexdigest():
                outcomes[key] = replace(record, body=body)
        return outcomes

    def _running(self) -> Img2Dataset:
        if self._downloader is None:
            raise FetchError("this Fetcher is not open: call open() first")
        return self._downloader

    def _restarted(self, old: Img2Dataset) -> Img2Dataset:
        """The successor of a broken subprocess; whoever comes first starts it."""
        with self._restart:
            if self._downloader is old:
                self._downloader = Img2Dataset()
                old.close()
            return self._running()

    def _directives(self, values: list[str]) -> Sequence[str]:
        return x_robots_tag(values, user_agents=self._settings.robots_names)
