"""One guarded fetch of a real URL: redirects by hand, deadlines, caps, back-off, reservations.

Every hop is judged anew (scheme, credentials, host, address, the origin's robots.txt and
tdmrep.json), and a response's header fields are judged before its body is read, so the bytes of a
reserved picture are never taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import aiohttp
from yarl import URL

from curate.fetch import guard
from curate.fetch import response as rsp
from curate.fetch.hosts import HostGates
from curate.fetch.origins import Origins, unknown
from curate.fetch.outcome import FetchSettings, Look, Outcome, Refusal, Small
from curate.fetch.pages import LandingPages
from curate.license.reservations import ROBOTS_TXT, TDM_RESERVATION, Unreadable
from curate.license.tdmrep import POLICY, RESERVATION, tdm_field

Judge = Callable[[list[str]], Sequence[str]]
"""X-Robots-Tag values of one response → the directives in them that apply to us."""
T = TypeVar("T")
Got = TypeVar("Got", covariant=True)

BUSY = frozenset({429, 503})
_FIRST_BACKOFF_SECONDS = 0.5
_FILE_REDIRECTS = 5
"""RFC 9309, 2.3.1.2."""
_LEFT_OUT = frozenset({"set-cookie", "set-cookie2"})


@dataclass(slots=True)
class _Trace:
    """The last response met by a fetch, whatever came of it, and where reservations were sought."""

    status: int | None = None
    url: str | None = None
    headers: str | None = None
    looks: list[Look] = field(default_factory=list)
    before: int = 0
    """How many looks came before the picture itself: they hold for every attempt."""

    def see(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.url = str(response.url)
        self.headers = json.dumps(
            [
                [rsp.text_of(name), rsp.text_of(value)]
                for name, value in response.raw_headers
                if name.decode("latin-1").lower() not in _LEFT_OUT
            ],
            ensure_ascii=False,
        )

    @property
    def reservations(self) -> str | None:
        if not self.looks:
            return None
        return f"[{', '.join([look.text for look in self.looks])}]"


class _Asking(Protocol[Got]):
    """What to do around the requests of one attempt."""

    async def before(self, url: URL) -> None:
        """Judge a URL before it is asked. Raises Refusal."""

    def redirected(self, response: aiohttp.ClientResponse) -> None:
        """Judge a redirect before it is followed. Raises Refusal."""

    async def read(self, response: aiohttp.ClientResponse) -> Got:
        """What the last response is read for. Raises Refusal."""
        ...


class Web:
    """Fetches URLs for one gateway; lives in that gateway's event loop."""

    def __init__(
        self, settings: FetchSettings, *, judge: Judge, lookup: guard.Lookup | None = None
    ) -> None:
        self._settings = settings
        self._judge = judge
        self._private = frozenset(guard.host_name(h) for h in settings.allow_private_hosts)
        self._gates = HostGates(
            connections=settings.connections_per_host,
            requests_per_second=settings.requests_per_second_per_host,
        )
        self._resolvers = ThreadPoolExecutor(min(32, settings.threads), "curate-dns")
        lookup = lookup or guard.system_lookup(self._resolvers)
        connect_to = {
            guard.host_name(host): guard.Endpoint.parse(to)
            for host, to in settings.connect_to.items()
        }
        self._sessions = {
            private: self._session(lookup, connect_to, private=private) for private in (False, True)
        }
        self._origins = Origins(settings, self.file)
        self._pages = LandingPages(settings, self.judged_file, judge)

    async def close(self) -> None:
        """Close the connections; resolver threads end when their last look-up does."""
        self._origins.close()
        for session in self._sessions.values():
            await session.close()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, text: str, landing_page: str | None = None) -> Outcome:
        """Fetch one URL, asking again where that may help. Never raises for what a server does."""
        started, trace = time.monotonic(), _Trace()
        body, attempts = None, 1
        refusal = await self._refused_by_page(text, landing_page, trace)
        if refusal is None:
            body, refusal, attempts = await self._persist(lambda: self._picture(text, trace))
        return _outcome(body, refusal, trace, time.monotonic() - started, attempts)

    async def file(self, url: URL, most_bytes: int) -> Small:
        """A small file about an origin itself. Raises Refusal where no answer can be had."""
        return await self._file(url, _File(self._settings, most_bytes, _nothing))

    async def judged_file(self, url: URL, most_bytes: int, looks: list[Look]) -> Small:
        """A small file that its origin may reserve. Raises Refusal if it does, too."""
        asking = _File(self._settings, most_bytes, lambda hop: self._origins.check(hop, looks))
        return await self._file(url, asking)

    async def _file(self, url: URL, asking: _Asking[Small]) -> Small:
        got, refusal, _ = await self._persist(
            lambda: self._follow(url, asking, redirects=_FILE_REDIRECTS)
        )
        if got is None:
            raise refusal or Refusal("connection", retryable=True)
        return got

    async def _persist(
        self, attempt: Callable[[], Awaitable[T]]
    ) -> tuple[T | None, Refusal | None, int]:
        """What an attempt brought, or why the last one failed; and how many there were."""
        attempts = 0
        while True:
            attempts += 1
            try:
                return await attempt(), None, attempts
            except Refusal as found:
                pause = self._pause_seconds(attempts, found)
                if pause is None:
                    return None, found, attempts
            await asyncio.sleep(pause)

    def _pause_seconds(self, attempts: int, refusal: Refusal) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        if not refusal.retryable or refusal.settled or attempts > self._settings.retries:
            return None
        limit = self._settings.max_backoff_seconds
        if refusal.retry_after is not None:
            return refusal.retry_after if refusal.retry_after <= limit else None
        return min(limit, _FIRST_BACKOFF_SECONDS * 2.0 ** (attempts - 1))

    async def _refused_by_page(
        self, text: str, landing_page: str | None, trace: _Trace
    ) -> Refusal | None:
        """What the landing page says against the picture, if it is to be asked."""
        if self._settings.landing_pages == "skip":
            return None
        try:
            url = guard.parse_url(text)
            guard.check_url(url)
            await self._pages.check(landing_page, url, trace.looks)
        except Refusal as refusal:
            return refusal
        trace.before = len(trace.looks)
        return None

    async def _picture(self, text: str, trace: _Trace) -> bytes:
        """One attempt at a picture."""
        del trace.looks[trace.before :]
        asking = _Picture(self._settings, self._judge, self._origins, trace)
        url = guard.parse_url(text)
        return await self._follow(url, asking, redirects=self._settings.max_redirects)

    async def _follow(self, url: URL, asking: _Asking[T], *, redirects: int) -> T:
        """One attempt with all its redirects; the waits for a host's turn do not count."""
        budget = self._settings.timeout_seconds
        for _ in range(redirects + 1):
            host = guard.check_url(url)
            private = host in self._private
            guard.check_literal(url.host or "", private=private)
            await asking.before(url)
            async with self._gates.slot(host):
                started = time.monotonic()
                try:
                    async with asyncio.timeout(max(budget, 0.001)):
                        got = await self._hop(self._sessions[private], url, host, asking)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    raise rsp.refusal_of(error, host) from error
            budget -= time.monotonic() - started
            if not isinstance(got, _Redirect):
                return got
            url = got.url
        raise Refusal("http:too_many_redirects")

    async def _hop(
        self, session: aiohttp.ClientSession, url: URL, host: str, asking: _Asking[T]
    ) -> T | _Redirect:
        """Ask one URL: what it is read for, or where it redirects to."""
        response = await session.get(url, allow_redirects=False)
        try:
            if response.status in BUSY:
                self._give_time(response, host)
            if response.status in rsp.REDIRECTS and "Location" in response.headers:
                asking.redirected(response)
                return _Redirect(rsp.redirect_target(url, response.headers["Location"]))
            return await asking.read(response)
        finally:
            response.close() if not response.content.at_eof() else response.release()

    def _give_time(self, response: aiohttp.ClientResponse, host: str) -> None:
        """A busy host is left alone for all rows, not only for the one that met the answer."""
        wait = rsp.status_refusal(response).retry_after
        limit = self._settings.max_backoff_seconds
        self._gates.pause(host, min(_FIRST_BACKOFF_SECONDS if wait is None else wait, limit))

    def _session(
        self, lookup: guard.Lookup, connect_to: Mapping[str, guard.Endpoint], *, private: bool
    ) -> aiohttp.ClientSession:
        """One session for named private hosts, one for the rest: they share no connection."""
        resolver = guard.GuardedResolver(lookup, connect_to=connect_to, private=private)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=resolver,
                limit=0,
                ttl_dns_cache=60,
                socket_factory=None if private else guard.guarded_socket,
            ),
            headers={
                "User-Agent": self._settings.user_agent,
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._settings.connect_timeout_seconds,
                sock_read=self._settings.first_byte_timeout_seconds,
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


@dataclass(frozen=True)
class _Redirect:
    url: URL


@dataclass(frozen=True)
class _Picture:
    """Ask for a picture: each hop by its origin's files, each answer by its fields."""

    settings: FetchSettings
    judge: Judge
    origins: Origins
    trace: _Trace

    async def before(self, url: URL) -> None:
        await self.origins.check(url, self.trace.looks)

    def redirected(self, response: aiohttp.ClientResponse) -> None:
        self.trace.see(response)
        self._check_fields(response)

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        self.trace.see(response)
        if response.status != 200:
            raise rsp.status_refusal(response)
        self._check_fields(response)
        return await rsp.body_of(response, self.settings)

    def _check_fields(self, response: aiohttp.ClientResponse) -> None:
        honoured = self.settings.honour_reservations
        tags = rsp.values_of(response, "X-Robots-Tag")
        asked = tags if set(honoured) - {ROBOTS_TXT, TDM_RESERVATION} else []
        try:
            held = [name for name in self.judge(asked) if name in honoured]
        except Unreadable as error:
            raise unknown("x-robots-tag", f"{response.url}: {error}") from error
        declared = rsp.values_of(response, RESERVATION) if TDM_RESERVATION in honoured else []
        answer = "; ".join([*tags, *(f"{RESERVATION}: {value}" for value in declared)])[:2000]
        self.trace.looks.append(
            Look(self.trace.url or "", answer or "no field reserves", response.status)
        )
        if held:
            raise Refusal(
                "reservation:x-robots-tag", verdict="rejected", text="; ".join(tags)[:2000]
            )
        if not declared:
            return
        try:
            told = tdm_field(declared, rsp.values_of(response, POLICY))
        except Unreadable as error:
            raise unknown(RESERVATION, f"{response.url}: {error}") from error
        if told is not None and told.reserved:
            raise Refusal(f"reservation:{RESERVATION}", verdict="rejected", text=told.text[:2000])


@dataclass(frozen=True)
class _File:
    """Ask for a small file, whatever its status."""

    settings: FetchSettings
    most_bytes: int
    judge: Callable[[URL], Awaitable[None]]

    async def before(self, url: URL) -> None:
        await self.judge(url)

    def redirected(self, response: aiohttp.ClientResponse) -> None:
        """A redirect of a file says nothing of its own."""

    async def read(self, response: aiohttp.ClientResponse) -> Small:
        if response.status != 200 and rsp.retryable_status(response.status):
            raise rsp.status_refusal(response)
        return Small(
            status=response.status,
            body=await rsp.start_of(response, self.settings, most_bytes=self.most_bytes),
            url=str(response.url),
            content_type=response.headers.get("Content-Type", ""),
            robots_tags=rsp.values_of(response, "X-Robots-Tag"),
            tdm_reservations=rsp.values_of(response, RESERVATION),
            tdm_policies=rsp.values_of(response, POLICY),
        )


async def _nothing(url: URL) -> None:
    """An origin's own file is asked for without asking first."""


def _outcome(
    body: bytes | None, refusal: Refusal | None, trace: _Trace, seconds: float, attempts: int
) -> Outcome:
    failed = refusal if body is None else None
    return Outcome(
        verdict=failed.verdict if failed else None,
        reason=failed.reason if failed else None,
        retryable=failed.retryable if failed else False,
        text=failed.text if failed else None,
        value=failed.value if failed else None,
        body=body,
        sha256=None if body is None else hashlib.sha256(body).hexdigest(),
        size_bytes=None if body is None else len(body),
        observed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        status=trace.status,
        final_url=trace.url,
        headers=trace.headers,
        reservations=trace.reservations,
        seconds=round(seconds, 4),
        attempts=attempts,
    )
