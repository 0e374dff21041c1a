"""One guarded fetch of a real URL: redirects by hand, deadlines, caps, back-off, reservations.

Every hop is judged anew (scheme, credentials, host, address), and a response's X-Robots-Tag is
judged before its body is read, so the bytes of a reserved picture are never taken.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from curate.fetch import guard
from curate.fetch.hosts import HostGates
from curate.fetch.outcome import FetchSettings, Outcome, Refusal

Judge = Callable[[list[str]], Sequence[str]]
"""X-Robots-Tag values of one response → the directives in them that apply to us."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
BUSY = frozenset({429, 503})
_FIRST_BACKOFF_SECONDS = 0.5
_LEFT_OUT = frozenset({"set-cookie", "set-cookie2"})


@dataclass(slots=True)
class _Trace:
    """The last response met by a fetch, whatever came of it."""

    status: int | None = None
    url: str | None = None
    headers: str | None = None

    def see(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.url = str(response.url)
        self.headers = json.dumps(
            [
                [_text(name), _text(value)]
                for name, value in response.raw_headers
                if name.decode("latin-1").lower() not in _LEFT_OUT
            ],
            ensure_ascii=False,
        )


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

    async def close(self) -> None:
        """Close the connections; resolver threads end when their last look-up does."""
        for session in self._sessions.values():
            await session.close()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, text: str) -> Outcome:
        """Fetch one URL, asking again where that may help. Never raises for what a server does."""
        started, trace, attempts = time.monotonic(), _Trace(), 0
        refusal, body = None, None
        while body is None:
            attempts += 1
            try:
                body = await self._attempt(text, trace)
            except Refusal as found:
                refusal = found
                pause = self._pause_seconds(attempts, found)
                if pause is None:
                    break
                await asyncio.sleep(pause)
        return _outcome(body, refusal, trace, time.monotonic() - started, attempts)

    def _pause_seconds(self, attempts: int, refusal: Refusal) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        if not refusal.retryable or attempts > self._settings.retries:
            return None
        limit = self._settings.max_backoff_seconds
        if refusal.retry_after is not None:
            return refusal.retry_after if refusal.retry_after <= limit else None
        return min(limit, _FIRST_BACKOFF_SECONDS * 2.0 ** (attempts - 1))

    async def _attempt(self, text: str, trace: _Trace) -> bytes:
        """One attempt with all its redirects; the waits for a host's turn do not count."""
        url, budget = guard.parse_url(text), self._settings.timeout_seconds
        for _ in range(self._settings.max_redirects + 1):
            host = guard.check_url(url)
            private = host in self._private
            guard.check_literal(url.host or "", private=private)
            async with self._gates.slot(host):
                started = time.monotonic()
                try:
                    async with asyncio.timeout(max(budget, 0.001)):
                        got = await self._hop(self._sessions[private], url, host, trace)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    raise _refusal_of(error, host) from error
            budget -= time.monotonic() - started
            if isinstance(got, bytes):
                return got
            url = got
        raise Refusal("http:too_many_redirects")

    async def _hop(
        self, session: aiohttp.ClientSession, url: URL, host: str, trace: _Trace
    ) -> bytes | URL:
        """Ask one URL: its body, or where it redirects to."""
        response = await session.get(url, allow_redirects=False)
        try:
            trace.see(response)
            if response.status in REDIRECTS and "Location" in response.headers:
                self._check_reservation(response)
                return _redirect_target(url, response.headers["Location"])
            if response.status != 200:
                raise self._status_refusal(response, host)
            self._check_reservation(response)
            return _decoded(
                await self._read(response),
                response.headers.get("Content-Encoding", ""),
                self._settings.max_bytes,
            )
        finally:
            response.close() if not response.content.at_eof() else response.release()

    def _status_refusal(self, response: aiohttp.ClientResponse, host: str) -> Refusal:
        status = response.status
        wait = _retry_after(response.headers.get("Retry-After"))
        if status in BUSY:
            limit = self._settings.max_backoff_seconds
            self._gates.pause(host, min(_FIRST_BACKOFF_SECONDS if wait is None else wait, limit))
        return Refusal(
            f"http:{status}",
            retryable=status in RETRYABLE_STATUS or status >= 500,
            retry_after=wait,
        )

    def _check_reservation(self, response: aiohttp.ClientResponse) -> None:
        values = response.headers.getall("X-Robots-Tag", [])
        if values and set(self._judge(list(values))) & set(self._settings.honour_reservations):
            text = "; ".join(_text(value.encode("utf-8", "surrogateescape")) for value in values)
            raise Refusal("reservation:x-robots-tag", verdict="rejected", text=text[:2000])

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body as sent, within the byte cap and no slower than the least throughput."""
        cap, least = self._settings.max_bytes, self._settings.least_bytes_per_second
        declared = response.content_length
        if declared is not None and declared > cap:
            raise _too_large()
        chunks: list[bytes] = []
        size, loop = 0, asyncio.get_running_loop()
        allowed_until = loop.time() + self._settings.throughput_grace_seconds
        while True:
            async with asyncio.timeout_at(allowed_until + size / least if least else None):
                chunk = await response.content.readany()
            if not chunk:
                return b"".join(chunks) if len(chunks) != 1 else chunks[0]
            size += len(chunk)
            if size > cap:
                raise _too_large()
            chunks.append(chunk)

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
        seconds=round(seconds, 4),
        attempts=attempts,
    )


def _refusal_of(error: Exception, host: str) -> Refusal:
    """The reason for what aiohttp or the system raised. Details that chance decides stay out."""
    if isinstance(error, TimeoutError):
        return Refusal("timeout", retryable=True)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, guard.BlockedAddress):
        return Refusal("blocked:address", text=host)
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return Refusal("malformed:url", verdict="rejected")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Refusal("connection:dns", retryable=True)
    if isinstance(error, aiohttp.ClientSSLError):
        return Refusal("connection:tls", retryable=True)
    return Refusal("connection", retryable=True)


def _redirect_target(url: URL, location: str) -> URL:
    if len(location) > guard.MAX_URL_CHARACTERS:
        raise Refusal("http:bad_redirect")
    try:
        return url.join(guard.exact_url(location))
    except (ValueError, UnicodeError) as error:
        raise Refusal("http:bad_redirect") from error


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, in either of its two forms; None if it has none."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _decoded(body: bytes, encoding: str, cap: int) -> bytes:
    """Undo a Content-Encoding that we did not ask for, never beyond the byte cap."""
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    if not set(names) - {"identity"}:
        return body
    if names not in (["gzip"], ["x-gzip"], ["deflate"]):
        raise Refusal("http:content_encoding")
    unpacker = zlib.decompressobj(wbits=47)
    try:
        plain = unpacker.decompress(body, cap + 1)
    except zlib.error as error:
        raise Refusal("http:content_encoding") from error
    if len(plain) > cap:
        raise _too_large()
    if not unpacker.eof or unpacker.unused_data:
        raise Refusal("http:content_encoding")
    return plain


def _too_large() -> Refusal:
    return Refusal("too_large:bytes", verdict="rejected")


def _text(raw: bytes) -> str:
    """Header bytes as text that Arrow and JSON can carry."""
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
