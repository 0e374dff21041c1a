"""What is read from one response: its body within bounds, its redirect, the reason for an error."""

from __future__ import annotations

import asyncio
import email.utils
import zlib
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from curate.fetch import guard
from curate.fetch.outcome import FetchSettings, Refusal

REDIRECTS = frozenset({301, 302, 303, 307, 308})
RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


def status_refusal(response: aiohttp.ClientResponse) -> Refusal:
    """The reason for a status that is not the one we need."""
    return Refusal(
        f"http:{response.status}",
        retryable=retryable_status(response.status),
        retry_after=_retry_after(response.headers.get("Retry-After")),
    )


def retryable_status(status: int) -> bool:
    """Whether asking later may help."""
    return status in RETRYABLE_STATUS or status >= 500


async def body_of(response: aiohttp.ClientResponse, settings: FetchSettings) -> bytes:
    """The whole body, decoded. Raises Refusal if it is larger than the settings allow."""
    cap = settings.max_bytes
    declared = response.content_length
    if declared is not None and declared > cap:
        raise too_large()
    body = await _read(response, settings, cap)
    if len(body) > cap:
        raise too_large()
    return _decoded(body, response, cap)


async def start_of(
    response: aiohttp.ClientResponse, settings: FetchSettings, *, most_bytes: int
) -> bytes:
    """The body as far as one byte beyond `most_bytes`, so that the caller sees that it is longer."""
    body = await _read(response, settings, most_bytes)
    if len(body) > most_bytes and not response.headers.get("Content-Encoding"):
        return body[: most_bytes + 1]
    return _decoded(body, response, most_bytes)


async def _read(
    response: aiohttp.ClientResponse, settings: FetchSettings, most_bytes: int
) -> bytes:
    """The body as sent, until it passes `most_bytes`, and no slower than the least throughput."""
    least, loop = settings.least_bytes_per_second, asyncio.get_running_loop()
    chunks: list[bytes] = []
    size = 0
    allowed_until = loop.time() + settings.throughput_grace_seconds
    while size <= most_bytes:
        async with asyncio.timeout_at(allowed_until + size / least if least else None):
            chunk = await response.content.readany()
        if not chunk:
            break
        size += len(chunk)
        chunks.append(chunk)
    return b"".join(chunks) if len(chunks) != 1 else chunks[0]


def refusal_of(error: Exception, host: str) -> Refusal:
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


def redirect_target(url: URL, location: str) -> URL:
    """Where a redirect leads. Raises Refusal if that is no URL."""
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


def _decoded(body: bytes, response: aiohttp.ClientResponse, cap: int) -> bytes:
    """Undo a Content-Encoding that we did not ask for, never beyond the byte cap."""
    encoding = response.headers.get("Content-Encoding", "")
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
        raise too_large()
    if not unpacker.eof or unpacker.unused_data:
        raise Refusal("http:content_encoding")
    return plain


def too_large() -> Refusal:
    """More bytes than the settings allow."""
    return Refusal("too_large:bytes", verdict="rejected")


def text_of(raw: bytes) -> str:
    """Header bytes as text that Arrow and JSON can carry."""
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def values_of(response: aiohttp.ClientResponse, name: str) -> list[str]:
    """All values of a header, as text that Arrow and JSON can carry."""
    found = response.headers.getall(name, ())
    return [text_of(value.encode("utf-8", "surrogateescape")) for value in found]
