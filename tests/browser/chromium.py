"""A headless Chromium for tests: opens one page, tells what it loaded, and evaluates expressions.

Talks the DevTools protocol on loopback. The process is ended by its own handle.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--no-first-run", "--remote-debugging-port=0",
)  # fmt: skip
START_SECONDS = 60.0


def find() -> str | None:
    """Path of a Chromium on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page; `requests` are the addresses it asked for, data: addresses left out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.requests: list[str] = []
        self._number = 0
        self._loaded = False

    async def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded."""
        for domain in ("Page", "Network", "Runtime"):
            await self.call(f"{domain}.enable")
        self._loaded = False
        await self.call("Page.navigate", url=url)
        while not self._loaded:
            self._event(await self._receive())

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One protocol call and its result."""
        self._number += 1
        await self.socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._event(message)

    async def evaluate(self, expression: str) -> Any:
        """The JSON value of an expression, which may be a promise."""
        told = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def _receive(self) -> dict[str, Any]:
        return dict(await self.socket.receive_json(timeout=30))

    def _event(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith("data:"):
                self.requests.append(url)


def visit(page: Path, profile: Path, look: Callable[[Tab], Awaitable[None]]) -> None:
    """Open a local file in a fresh Chromium and let `look` examine the tab."""
    browser = find()
    assert browser is not None, "no Chromium: the caller checks find() first"
    command = [browser, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            asyncio.run(_drive(_port(profile, process), page, look))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"Chromium ended at once with {process.returncode}"
        if told.is_file() and (lines := told.read_text().split()):
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError(f"Chromium did not open its port in {START_SECONDS:.0f} s")


async def _drive(port: int, page: Path, look: Callable[[Tab], Awaitable[None]]) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            target = next(t for t in await answer.json() if t["type"] == "page")
        address = target["webSocketDebuggerUrl"]
        async with session.ws_connect(address, max_msg_size=64 << 20) as socket:
            tab = Tab(socket)
            await tab.open(page.resolve().as_uri())
            await look(tab)
