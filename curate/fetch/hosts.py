"""Politeness a host: how many connections, how many requests a second, and when to leave it alone.

A host that answers 429 or 503 is paused for all rows, not only for the one that met the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_SWEEP_ABOVE = 4096


class _Gate:
    def __init__(self, connections: int) -> None:
        self.semaphore = asyncio.Semaphore(connections)
        self.users = 0
        self.next_start = 0.0


class HostGates:
    """One gate a host; gates of hosts that nobody uses are forgotten."""

    def __init__(self, *, connections: int, requests_per_second: float | None) -> None:
        self._connections = connections
        self._interval = 1.0 / requests_per_second if requests_per_second else 0.0
        self._gates: dict[str, _Gate] = {}

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Wait for this host's turn, then hold one of its connections."""
        gate = self._gates.get(host)
        if gate is None:
            self._sweep()
            gate = self._gates[host] = _Gate(self._connections)
        gate.users += 1
        try:
            async with gate.semaphore:
                await self._turn(gate)
                yield
        finally:
            gate.users -= 1

    def pause(self, host: str, seconds: float) -> None:
        """Start no further request to this host for so many seconds."""
        gate = self._gates.get(host)
        if gate is not None:
            gate.next_start = max(gate.next_start, _now() + seconds)

    async def _turn(self, gate: _Gate) -> None:
        while (wait := gate.next_start - _now()) > 0:
            await asyncio.sleep(wait)
        gate.next_start = _now() + self._interval

    def _sweep(self) -> None:
        if len(self._gates) >= _SWEEP_ABOVE:
            now = _now()
            idle = [h for h, g in self._gates.items() if not g.users and g.next_start <= now]
            for host in idle:
                del self._gates[host]


def _now() -> float:
    return asyncio.get_running_loop().time()
