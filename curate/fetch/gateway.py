"""The loopback gateway: what img2dataset asks instead of the web.

A small HTTP server in a thread of the worker process. `GET /<token>/<key>` fetches the real URL
registered under that key (`curate.fetch.web`), answers with its bytes or an error, and keeps the
record of what happened. It binds loopback only and knows no URL but those of its own run.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote, unquote

from curate.errors import FetchError
from curate.fetch.guard import Lookup
from curate.fetch.outcome import FetchSettings, Outcome
from curate.fetch.web import Judge, Web

_START_SECONDS = 30.0
_HEAD_SECONDS = 30.0
_SEND_SECONDS = 60.0
_ONE_WRITE_BYTES = 64 * 1024
_NONE: Mapping[str, str] = MappingProxyType({})


class Gateway:
    """Serves registered keys on 127.0.0.1. Its methods may be called from any thread."""

    def __init__(
        self, settings: FetchSettings, *, judge: Judge, lookup: Lookup | None = None
    ) -> None:
        self._settings, self._judge, self._lookup = settings, judge, lookup
        self._token = secrets.token_urlsafe(24)
        self._urls: dict[str, str] = {}
        self._landing_pages: dict[str, str] = {}
        self._records: dict[str, Outcome] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._last_activity = time.monotonic()
        self._started = threading.Event()
        self._problem: OSError | FetchError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="curate-gateway", daemon=True)

    def start(self) -> None:
        """Bind and serve. Raises FetchError if that fails."""
        self._thread.start()
        self._started.wait(_START_SECONDS)
        if isinstance(self._problem, FetchError):
            raise self._problem
        if not self._started.is_set() or self._problem is not None:
            problem = self._problem or "it did not start in time"
            raise FetchError(
                f"the fetch gateway could not listen on 127.0.0.1: {problem}; "
                "check that loopback is up and that file descriptors are left (ulimit -n)"
            ) from self._problem

    def close(self) -> None:
        """Stop serving; fetches under way are cancelled."""
        if self._loop is not None and self._end is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(_START_SECONDS)

    def register(
        self, urls: Mapping[str, str], landing_pages: Mapping[str, str] = _NONE
    ) -> dict[str, str]:
        """Serve these URLs, by key. Returns the gateway's own URL of each key."""
        self._last_activity = time.monotonic()
        self._landing_pages.update(landing_pages)
        self._urls.update(urls)
        base = f"http://127.0.0.1:{self.port}/{self._token}"
        return {key: f"{base}/{quote(key, safe='')}" for key in urls}

    def withdraw(self, keys: Iterable[str]) -> dict[str, Outcome]:
        """Serve these keys no longer; returns the records of those that were asked for."""
        records = {}
        for key in keys:
            self._urls.pop(key, None)
            self._landing_pages.pop(key, None)
            task = self._tasks.get(key)
            if task is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(task.cancel)
            if (record := self._records.pop(key, None)) is not None:
                records[key] = record
        return records

    def idle_seconds(self) -> float:
        """Seconds since anybody asked or was answered; 0 while a fetch is under way."""
        return 0.0 if self._tasks else time.monotonic() - self._last_activity

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (OSError, FetchError) as error:
            self._problem = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        web = Web(self._settings, judge=self._judge, lookup=self._lookup)
        try:
            server = await asyncio.start_server(
                lambda reader, writer: self._answer(web, reader, writer),
                "127.0.0.1", 0, limit=16 * 1024, backlog=1024,
            )  # fmt: skip
            self.port = server.sockets[0].getsockname()[1]
            self._started.set()
            await self._end.wait()
            server.close()
            for task in list(self._tasks.values()):
                task.cancel()
        finally:
            await web.close()

    async def _answer(
        self, web: Web, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                key = self._key_of(await reader.readuntil(b"\r\n\r\n"))
            url = self._urls.get(key) if key is not None else None
            if key is None or url is None or key in self._tasks:
                await _send(writer, "404 Not Found", b"")
                return
            await self._answer_key(web, key, url, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone or does not speak HTTP: there is nobody to tell
        except asyncio.CancelledError:
            pass  # the gateway closes; passed on, it would end as a traceback in somebody's terminal
        finally:
            writer.close()

    async def _answer_key(self, web: Web, key: str, url: str, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks[key] = task
        try:
            outcome = await web.fetch(url, self._landing_pages.get(key))
            self._records[key] = replace(outcome, body=None)
            if outcome.body is None:
                await _send(writer, "502 Bad Gateway", (outcome.reason or "").encode())
            else:
                await _send(writer, "200 OK", outcome.body)
        finally:
            self._tasks.pop(key, None)
            self._last_activity = time.monotonic()

    def _key_of(self, head: bytes) -> str | None:
        """The key in a request's head; None unless it is a GET with this run's token."""
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or words[0] != "GET":
            return None
        _, _, path = words[1].partition("/")
        token, _, key = path.partition("/")
        if not secrets.compare_digest(token.encode("latin-1"), self._token.encode()):
            return None
        return unquote(key)


async def _send(writer: asyncio.StreamWriter, status: str, body: bytes) -> None:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    if len(body) < _ONE_WRITE_BYTES:
        writer.write(head.encode() + body)  # one system call
    else:
        writer.write(head.encode())
        writer.write(body)  # not copied
    async with asyncio.timeout(_SEND_SECONDS):
        await writer.drain()
