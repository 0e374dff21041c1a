"""An API on loopback that answers as it is told: also late, broken, cut off or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Answer:
    """`cut` sends that many bytes of the body and closes the connection."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


Script = Callable[[dict[str, str], int], Answer]
"""Query parameters, and how often this same query was asked for, to an answer."""


@dataclass
class Asked:
    path: str
    query: dict[str, str]
    user_agent: str


@dataclass
class ApiServer:
    port: int
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(script: Script) -> Iterator[ApiServer]:
    lock = threading.Lock()
    known = ApiServer(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            with lock:
                known.at_once += 1
                known.most_at_once = max(known.most_at_once, known.at_once)
                times = 1 + sum(one.query == query for one in known.asked)
                agent = self.headers.get("User-Agent", "")
                known.asked.append(Asked(parts.path, query, agent))
            try:
                self._send(script(query, times))
            finally:
                with lock:
                    known.at_once -= 1

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.cut])
            if answer.cut is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    known.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
