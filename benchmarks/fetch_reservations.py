"""What judging reservations costs: 2,000 loopback pictures with and without robots.txt and TDMRep.

    python -m benchmarks.fetch_reservations [--pictures 2000] [--runs 7]

The gateway's own fetches (`curate.fetch.web`), 32 at a time, against a server in a process of its
own that answers a robots.txt and a tdmrep.json of fifty rules each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from benchmarks.machine import interleaved, store, summary
from curate.fetch.outcome import FetchSettings
from curate.fetch.web import Web
from curate.license.reservations import ROBOTS_TXT, SIGNALS, TDM_RESERVATION, x_robots_tag

HOST: Final = "pictures.example"
AT_ONCE: Final = 32
PICTURE: Final = bytes(range(256)) * 80
ROBOTS: Final = (
    "User-agent: *\n" + "".join(f"Disallow: /private-{n}/*.jpg$\n" for n in range(50))
).encode()
TDMREP: Final = json.dumps(
    [{"location": f"/private-{n}/*.jpg", "tdm-reservation": 1} for n in range(50)]
).encode()
FILES: Final = {b"/robots.txt": ROBOTS, b"/.well-known/tdmrep.json": TDMREP}


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    command = [sys.executable, "-c", "from benchmarks.fetch_reservations import serve; serve()"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline()) if server.stdout else 0
            fields = tuple(set(SIGNALS) - {ROBOTS_TXT, TDM_RESERVATION})
            contestants = {
                "X-Robots-Tag alone": partial(fetch_all, port, fields, given.pictures),
                "all reservations": partial(fetch_all, port, tuple(SIGNALS), given.pictures),
            }
            taken = interleaved(contestants, runs=given.runs)
        finally:
            server.terminate()
    figures = {name: summary(seconds) for name, seconds in taken.items()}
    print(json.dumps(figures, indent=1))
    packages = ["aiohttp", "protego"]
    print(
        store(
            "fetch_reservations",
            {"pictures": given.pictures, "seconds": figures},
            packages=packages,
        )
    )


def fetch_all(port: int, honoured: Sequence[str], pictures: int) -> None:
    """Fetch so many pictures through a gateway of its own, as a new run would."""
    asyncio.run(_fetch_all(port, tuple(honoured), pictures))


async def _fetch_all(port: int, honoured: tuple[str, ...], pictures: int) -> None:
    settings = FetchSettings(
        user_agent="curate/0 (+benchmark)", robots_names=("curate",), honour_reservations=honoured,
        allow_private_hosts=frozenset({HOST}), connect_to={HOST: f"127.0.0.1:{port}"},
        connections_per_host=AT_ONCE,
    )  # fmt: skip
    web = Web(settings, judge=lambda values: x_robots_tag(values, user_agents=("curate",)))
    waiting = iter(range(pictures))

    async def work() -> None:
        for number in waiting:
            got = await web.fetch(f"http://{HOST}/pictures/{number:05d}.jpg")
            if got.body != PICTURE:
                raise SystemExit(f"picture {number}: {got.reason}")

    try:
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    finally:
        await web.close()


def serve() -> None:
    """Answer on a free loopback port, which is printed, until ended."""
    asyncio.run(_serve())


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
            body = FILES.get(path, PICTURE)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has gone
    finally:
        writer.close()


if __name__ == "__main__":
    main()
