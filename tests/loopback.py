"""A real web server on loopback for the fetch tests, with every bad manner a server can have."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

PICTURE = bytes(range(256)) * 40
HOST = "pictures.example"
ORIGIN_FILES = ("/robots.txt", "/.well-known/tdmrep.json")


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    number: int
    """How often this path was asked for, this time included."""


@dataclass
class Server:
    """Knows what it was asked; `base` is its URL under a host name that only tests map."""

    port: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    requests: list[Request] = field(default_factory=list)
    files: dict[str, tuple[str, bytes, dict[str, str]]] = field(default_factory=dict)
    """Status line, body and headers by path: what tests set before they ask."""
    sent_bytes: int = 0
    at_once: int = 0
    most_at_once: int = 0

    @property
    def base(self) -> str:
        return f"http://{HOST}"

    @property
    def here(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                start = await reader.readexactly(1)
                if start == b"\x16":  # TLS, which is not spoken here
                    await self.send(writer, "400 Plain HTTP here", b"")
                    return
                head = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                path = first.split(" ")[1]
                self.asked[path] += 1
                headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
                request = Request(path, headers, self.asked[path])
                self.requests.append(request)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self.answer(request, writer)
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        name = request.path.split("?")[0].strip("/").split("/")[0]
        if request.path in self.files:
            status, body, headers = self.files[request.path]
            await self.send(writer, status, body, **headers)
        elif request.path in ORIGIN_FILES:
            await self.send(writer, "404 Not Found", b"no such file")
        elif name.startswith("redirect-"):
            await self.send(
                writer, "302 Found", b"", Location=unquote(request.path.partition("?to=")[2])
            )
        elif name.startswith("status-"):
            body = b"" if name[7:] in ("204", "304") else b"no picture"
            await self.send(writer, f"{name[7:]} Because", body)
        elif name in ROUTES:
            await ROUTES[name](self, request, writer)
        else:
            await self.send(writer, "200 OK", PICTURE + request.path.encode())

    async def send(
        self, writer: asyncio.StreamWriter, status: str, body: bytes, **headers: str
    ) -> None:
        lines = "".join(f"{n.replace('_', '-')}: {v}\r\n" for n, v in headers.items())
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        await self.write(writer, head.encode("latin-1") + body)

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)


Route = Callable[[Server, Request, asyncio.StreamWriter], Awaitable[None]]


async def _flaky(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "500 Oops" if request.number == 1 else "200 OK", PICTURE)


async def _busy(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    if request.number == 1:
        await server.send(writer, "429 Later", b"", Retry_After="1")
    else:
        await server.send(writer, "200 OK", PICTURE)


async def _busy_for_long(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "503 Later", b"", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT")


async def _silent(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _trickle(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await server.write(writer, b"x")
        await asyncio.sleep(0.05)


async def _endless(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        await server.write(writer, b"\0" * 65536)


async def _declared_huge(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    await asyncio.sleep(3600)


async def _cut(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
    writer.close()


async def _noai(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    """Sends the head alone: who waits for the body waits for ever."""
    value = request.path.partition("?")[2].replace("%20", " ") or "noai"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Robots-Tag: {value}\r\n\r\n"
    await server.write(writer, head.encode())
    await asyncio.sleep(3600)


async def _robots_allows(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "200 OK", PICTURE, X_Robots_Tag="nofollow, otherbot: noai")


async def _noai_redirect(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "302 Found", b"", Location="/after", X_Robots_Tag="noai")


async def _odd_headers(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(
        writer, "200 OK", PICTURE, Set_Cookie="session=secret", X_Name="caf\xe9", ETag='"1"'
    )


async def _gzip(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "200 OK", gzip.compress(PICTURE), Content_Encoding="gzip")


async def _bomb(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "200 OK", gzip.compress(bytes(1 << 26)), Content_Encoding="gzip")


async def _brotli(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "200 OK", b"whatever", Content_Encoding="br")


async def _slow(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.1)
    await server.send(writer, "200 OK", PICTURE)


async def _loop(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, "301 Round", b"", Location="/loop")


async def _not_http(server: Server, request: Request, writer: asyncio.StreamWriter) -> None:
    await server.write(writer, b"SSH-2.0-what do you want\r\n\r\n")
    writer.close()


ROUTES: dict[str, Route] = {
    "flaky": _flaky, "busy": _busy, "busy-for-long": _busy_for_long, "silent": _silent,
    "trickle": _trickle, "endless": _endless, "declared-huge": _declared_huge, "cut": _cut,
    "noai": _noai, "robots-allows": _robots_allows, "noai-redirect": _noai_redirect,
    "odd-headers": _odd_headers, "gzip": _gzip, "bomb": _bomb, "brotli": _brotli, "slow": _slow,
    "loop": _loop, "not-http": _not_http,
}  # fmt: skip


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server in a thread of its own, on a free port, until the block ends."""
    server, started = Server(), threading.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        listening = await asyncio.start_server(server.connected, "127.0.0.1", 0, backlog=512)
        server.port = listening.sockets[0].getsockname()[1]
        started.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
