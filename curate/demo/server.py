"""The web server of the demo: serves a corpus on loopback, with the faults of `server.json`.

Only GET and HEAD of the paths of one host, HTTP/1.1 with keep-alive. Every picture is read from
disk when asked for; a path that is told to hang holds its connection until the server closes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from curate.errors import FetchError, MissingInput

HOST: Final = "pictures.example"
"""The host of every URL of the corpus; a gateway maps it to the address of the server."""
PICTURES: Final = "pictures"
BEHAVIOUR: Final = "server.json"

_TYPES: Final = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
_TEXTS: Final = {".json": "application/json", ".txt": "text/plain"}
_PHRASES: Final = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    421: "Misdirected Request", 500: "Internal Server Error",
}  # fmt: skip
_LONGEST_HOLD_SECONDS: Final = 600.0
_LONGEST_IDLE_SECONDS: Final = 120.0
_START_SECONDS: Final = 10.0
_PARENT_CHECK_SECONDS: Final = 1.0
_ORPHAN_SECONDS: Final = 15.0


class Address(NamedTuple):
    """Where the server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Site:
    """What is served by URL path: pictures, texts of the origin, and what goes wrong at some."""

    files: Mapping[str, Path]
    texts: Mapping[str, str]
    behaviour: Mapping[str, Mapping[str, object]]

    @classmethod
    def read(cls, directory: Path) -> Site:
        """The site of a corpus directory.

        Raises MissingInput where the directory holds no corpus.
        """
        rules = directory / BEHAVIOUR
        if not rules.is_file():
            raise MissingInput(f"{rules} is missing: write a corpus to {directory} first")
        pictures = (path for path in (directory / PICTURES).rglob("*") if path.is_file())
        files = {f"/{path.relative_to(directory).as_posix()}": path for path in pictures}
        told = json.loads(rules.read_text())
        return cls(files, told["files"], told["paths"])


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def keeps_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


@dataclass
class _Server:
    """One running server; its connections are tasks of one event loop."""

    site: Site
    log: TextIO | None
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=512)

    async def stop(self, server: asyncio.Server) -> None:
        self.closing.set()
        server.close()
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.connections.add(task)
            task.add_done_callback(self.connections.discard)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (
            ConnectionError,
            TimeoutError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ):
            pass  # the client went away or sent no request: nobody is left to be told
        except asyncio.CancelledError:
            pass  # the server closes
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer the next request of a connection; False when it was the last."""
        async with asyncio.timeout(_LONGEST_IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        request = _parse(head)
        if request is None:
            writer.write(_response(400, keep_alive=False))
            return False
        rule = self.site.behaviour.get(request.path, {})
        if rule.get("hold"):
            self._record(request, "hold")
            await self._hold(reader)
            return False
        status, headers, body = self._respond(request, rule)
        self._record(request, str(status))
        writer.write(
            _response(status, headers, body, keep_alive=request.keeps_alive,
                      with_body=request.method != "HEAD")
        )  # fmt: skip
        await writer.drain()
        return request.keeps_alive

    def _respond(
        self, request: _Request, rule: Mapping[str, object]
    ) -> tuple[int, Sequence[tuple[str, str]], bytes]:
        if request.headers.get("host", "").partition(":")[0].lower() != HOST:
            return 421, (), f"this server is {HOST}\n".encode()
        if request.method not in ("GET", "HEAD"):
            return 405, (("Allow", "GET, HEAD"),), b""
        if (text := self.site.texts.get(request.path)) is not None:
            kind = _TEXTS.get(Path(request.path).suffix, "text/html")
            return 200, (("Content-Type", f"{kind}; charset=utf-8"),), text.encode()
        status = rule.get("status", 200)
        path = self.site.files.get(request.path)
        if status != 200 or path is None:
            code = status if isinstance(status, int) and status != 200 else 404
            return code, (), f"{code} {_PHRASES[code]}\n".encode()
        headers = [("Content-Type", _TYPES.get(path.suffix, "application/octet-stream"))]
        extra = rule.get("headers", [])
        headers += [(name, value) for name, value in extra] if isinstance(extra, list) else []
        return 200, headers, path.read_bytes()

    async def _hold(self, reader: asyncio.StreamReader) -> None:
        """Say nothing until the client leaves, the server closes or ten minutes are over."""
        gone = asyncio.ensure_future(reader.read())
        closing = asyncio.ensure_future(self.closing.wait())
        waiting = {gone, closing}
        try:
            await asyncio.wait(
                waiting, timeout=_LONGEST_HOLD_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for future in waiting:
                future.cancel()

    def _record(self, request: _Request, outcome: str) -> None:
        if self.log is not None:
            self.log.write(f"{request.method} {request.path} {outcome}\n")


def _parse(head: bytes) -> _Request | None:
    """A request without a body; None for anything else."""
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        return None
    pairs = (line.partition(":") for line in rest if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return None
    return _Request(words[0], words[1].partition("?")[0], headers)


def _response(
    status: int, headers: Sequence[tuple[str, str]] = (), body: bytes = b"", *,
    keep_alive: bool, with_body: bool = True,
) -> bytes:  # fmt: skip
    lines = [f"HTTP/1.1 {status} {_PHRASES[status]}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Content-Length: {len(body)}")
    lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head + body if with_body else head


async def _run(
    site: Site, port: int, log: TextIO | None, stop: asyncio.Event, started: _Started
) -> None:
    server = _Server(site, log)
    listening = await server.start(port)
    started.tell(listening.sockets[0].getsockname()[1])
    await stop.wait()
    await server.stop(listening)


@dataclass
class _Started:
    """Hands the port from the server's event loop to whoever waits for it."""

    ready: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    printed: bool = False

    def tell(self, port: int) -> None:
        self.port = port
        self.ready.set()
        if self.printed:
            print(port, flush=True)


@contextmanager
def serve(directory: str | Path, *, log: TextIO | None = None) -> Iterator[Address]:
    """Serve a corpus directory on a free loopback port while the block runs.

    `log` gets one line a request: method, path, and the status or `hold`.
    Raises MissingInput where the directory holds no corpus, FetchError if no port can be had.
    """
    site, started = Site.read(Path(directory)), _Started()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(_run(site, 0, log, stop, started)),
        name="demo-server", daemon=True,
    )  # fmt: skip
    thread.start()
    try:
        if not started.ready.wait(_START_SECONDS):
            raise FetchError(
                "the demo's web server did not start: no loopback port could be opened"
            )
        yield Address("127.0.0.1", started.port)
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join(_START_SECONDS)
        if not thread.is_alive():
            loop.close()


def main(arguments: Sequence[str]) -> int:
    """`python -m curate.demo.server DIR`: print the port, serve until SIGTERM or Ctrl-C.

    It also ends when the process that started it does.
    """
    if len(arguments) != 1:
        print("usage: python -m curate.demo.server DIRECTORY", file=sys.stderr)
        return 2
    try:
        site = Site.read(Path(arguments[0]))
    except MissingInput as error:
        print(error, file=sys.stderr)
        return error.exit_code
    asyncio.run(_serve_until_signal(site))
    return 0


async def _serve_until_signal(site: Site) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_stop_with_parent(stop))
    await _run(site, 0, None, stop, _Started(printed=True))
    watch.cancel()


async def _stop_with_parent(stop: asyncio.Event) -> None:
    """A parent that was killed cannot end its server: the server sees that it has another one.

    It stays a while: workers of the killed run may outlive it by seconds, and must not commit a
    missing server as what the web said.
    """
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(_PARENT_CHECK_SECONDS)
    await asyncio.sleep(_ORPHAN_SECONDS)
    stop.set()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
