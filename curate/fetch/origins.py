"""robots.txt and tdmrep.json of every origin, asked for once and judged before each request.

404 and 410 mean that an origin has no such file. Whatever else keeps us from reading one keeps us
from the origin's pictures too, as failed rows: nobody may take silence or an error for consent.
What a file reserves is not asked for, so a response field that would lift it is never seen.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from yarl import URL

from curate.fetch.outcome import FetchSettings, Look, Refusal, Small
from curate.fetch.response import retryable_status
from curate.license import robots, tdmrep
from curate.license.reservations import ROBOTS_TXT, TDM_RESERVATION, Unreadable

KEPT_SECONDS: Final = 24 * 3600.0
"""How long an answer holds (RFC 9309, 2.4)."""
FAILURE_KEPT_SECONDS: Final = 60.0
_MOST_ORIGINS: Final = 4096
_PARSED_AT_ONCE_BYTES: Final = 16 * 1024

Ask = Callable[[URL, int], Awaitable[Small]]
"""(URL, most bytes) → the answer, redirects followed; raises Refusal."""
Rules = Callable[[str], str | None]
"""A URL of the origin → the rule that reserves it, or None. Raises Unreadable."""
Parse = Callable[[bytes, URL], Rules]


@dataclass(frozen=True)
class _Kind:
    """One kind of file: where it lies, how it is read, and the reason it gives."""

    reason: str
    path: str
    most_bytes: int
    parse: Parse


@dataclass(frozen=True)
class _File:
    """What came of asking for one file of one origin."""

    url: str
    at: str
    status: int | None = None
    sha256: str | None = None
    rules: Rules | None = None
    refusal: Refusal | None = None

    @cached_property
    def lets_pass(self) -> Look:
        """What every picture that the file does not reserve has to tell: one object for all."""
        return self.look("no file" if self.rules is None else "not reserved")

    def look(self, answer: str) -> Look:
        return Look(self.url, answer, status=self.status, sha256=self.sha256, at=self.at)


@dataclass
class _Entry:
    task: asyncio.Task[_File]
    expires: float = math.inf


@dataclass(frozen=True)
class _Answered:
    """An origin all of whose files are known: a picture of it costs one look-up and its rules."""

    files: Sequence[tuple[_Kind, _File]]
    expires: float
    empty: bool
    """No file holds a rule or a refusal."""


class Origins:
    """The files of the origins that one gateway meets; lives in that gateway's event loop."""

    def __init__(self, settings: FetchSettings, ask: Ask) -> None:
        self._settings, self._ask = settings, ask
        honoured = set(settings.honour_reservations)
        self._kinds = [kind for name, kind in _kinds(settings).items() if name in honoured]
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._answered: dict[tuple[str, str], _Answered] = {}

    async def check(self, url: URL, looks: list[Look]) -> None:
        """Return if the URL may be asked; what was looked at is added to `looks`.

        Raises Refusal: rejected if a rule reserves the URL, failed if a file cannot be read.
        """
        if not self._kinds:
            return
        origin = (url.scheme, url.raw_authority)
        known = self._answered.get(origin)
        if known is None or known.expires <= asyncio.get_running_loop().time():
            known = await self._answers(url.origin())
            if len(self._answered) >= _MOST_ORIGINS:
                self._answered.clear()
            self._answered[origin] = known
        if known.empty:
            looks.extend([file.lets_pass for _, file in known.files])
            return
        text = str(url)
        for kind, file in known.files:
            self._judge(kind, file, text, looks)

    def close(self) -> None:
        """Ask no further."""
        for entry in self._entries.values():
            entry.task.cancel()

    async def _answers(self, origin: URL) -> _Answered:
        """All files of an origin, asked for side by side."""
        entries = [self._entry(kind, origin) for kind in self._kinds]
        files = [await asyncio.shield(entry.task) for entry in entries]
        return _Answered(
            list(zip(self._kinds, files, strict=True)),
            min(entry.expires for entry in entries),
            not any(file.rules or file.refusal for file in files),
        )

    def _judge(self, kind: _Kind, file: _File, url: str, looks: list[Look]) -> None:
        if file.refusal is not None:
            looks.append(file.look(file.refusal.text or file.refusal.reason))
            raise file.refusal
        if file.rules is None:
            looks.append(file.lets_pass)
            return
        try:
            rule = file.rules(url)
        except Unreadable as error:
            looks.append(file.look(str(error)))
            raise unknown(kind.reason, f"{file.url}: {error}") from error
        looks.append(file.lets_pass if rule is None else file.look(rule))
        if rule is not None:
            raise Refusal(f"reservation:{kind.reason}", verdict="rejected", text=rule)

    def _entry(self, kind: _Kind, origin: URL) -> _Entry:
        """The file, known or being asked for: whoever comes first asks for all."""
        key, now = (kind.path, str(origin)), asyncio.get_running_loop().time()
        entry = self._entries.get(key)
        if entry is None or entry.expires <= now:
            self._sweep()
            task = asyncio.get_running_loop().create_task(self._get(kind, origin, key))
            entry = self._entries[key] = _Entry(task)
        return entry

    async def _get(self, kind: _Kind, origin: URL, key: tuple[str, str]) -> _File:
        file = await self._read(kind, origin)
        seconds = KEPT_SECONDS if file.refusal is None else FAILURE_KEPT_SECONDS
        self._entries[key].expires = asyncio.get_running_loop().time() + seconds
        return file

    async def _read(self, kind: _Kind, origin: URL) -> _File:
        """Ask and parse; whatever goes wrong is a refusal for every row of the origin."""
        url = str(origin.with_path(kind.path))
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            got = await self._ask(URL(url), kind.most_bytes)
        except Refusal as refusal:
            return _File(url, at, refusal=_unreachable(kind, url, refusal))
        found = _File(url, at, got.status, hashlib.sha256(got.body).hexdigest())
        if got.status in self._settings.no_file_statuses:
            return found
        if got.status != 200:
            again = retryable_status(got.status)
            refused = unknown(kind.reason, f"{url}: http:{got.status}", retryable=again)
            return replace(found, refusal=refused)
        try:
            return replace(found, rules=await _parsed(kind, got.body, origin))
        except Unreadable as error:
            return replace(found, refusal=unknown(kind.reason, f"{url}: {error}"))

    def _sweep(self) -> None:
        """Forget the oldest answers before there are too many."""
        if len(self._entries) >= _MOST_ORIGINS:
            old = [key for key, entry in self._entries.items() if entry.task.done()]
            for key in old[: _MOST_ORIGINS // 2]:
                del self._entries[key]


async def _parsed(kind: _Kind, body: bytes, origin: URL) -> Rules:
    """The file's rules; a large file is read beside the event loop."""
    if len(body) <= _PARSED_AT_ONCE_BYTES:
        return kind.parse(body, origin)
    return await asyncio.to_thread(kind.parse, body, origin)


def unknown(what: str, text: str, *, retryable: bool = True) -> Refusal:
    """Failed: a file or field that could reserve the use cannot be read."""
    return Refusal(
        f"reservation_unknown:{what}", retryable=retryable, text=text[:2000], settled=True
    )


def _unreachable(kind: _Kind, url: str, refusal: Refusal) -> Refusal:
    """An origin that may not be met, or that no name leads to, fails for that reason itself."""
    if refusal.reason.startswith("blocked:") or refusal.reason == "connection:dns":
        return Refusal(refusal.reason, retryable=refusal.retryable, text=refusal.text, settled=True)
    return unknown(kind.reason, f"{url}: {refusal.reason}")


def _kinds(settings: FetchSettings) -> dict[str, _Kind]:
    """By the name of the signal."""
    return {
        ROBOTS_TXT: _Kind(
            "robots_txt", "/robots.txt", robots.LIMIT_BYTES, _robots_rules(settings.robots_names)
        ),
        TDM_RESERVATION: _Kind(
            "tdmrep", tdmrep.WELL_KNOWN, tdmrep.LIMIT_BYTES, _tdmrep_rules
        ),
    }  # fmt: skip


def _robots_rules(names: Sequence[str]) -> Parse:
    return lambda body, origin: robots.parse_robots(body, names=names).forbidding


def _tdmrep_rules(body: bytes, origin: URL) -> Rules:
    if len(body) > tdmrep.LIMIT_BYTES:
        raise Unreadable(f"larger than {tdmrep.LIMIT_BYTES:,} bytes")
    found = tdmrep.parse_tdmrep(body, host=origin.host or "")

    def reserving(url: str) -> str | None:
        told = found.declaration(url)
        return told.text if told is not None and told.reserved else None

    return reserving
