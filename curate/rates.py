"""How fast a pass went: rows a second once all workers were at work, start-up beside it.

Workers note the time after each commit; what is worked out here is a pure function of the notes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import BaseModel

from curate.models.agreement import Agreement
from curate.store.record import PassRate


class Note(BaseModel, frozen=True, extra="forbid"):
    """What a worker says beside a commit; `busy_seconds` of its device count from its start."""

    worker: str
    at: float  # seconds since the epoch, after the commit
    rows: int
    shards_in_flight: int
    startup_seconds: float  # until its models were loaded and checked
    busy_seconds: float | None = None  # null without a GPU
    gpus: float = 0.0
    device: str | None = None  # name of the GPU
    agreements: tuple[Agreement, ...] = ()


class Stamp(NamedTuple):
    """One commit: who, when (seconds), how many rows."""

    worker: str
    at: float
    rows: int


class Steady(NamedTuple):
    """Rows a second and over how many seconds that was measured."""

    rows_per_second: float
    seconds: float


def steady_rate(stamps: Iterable[Stamp], *, shards_in_flight: int = 1) -> Steady | None:
    """Rows a second from the first commit after start-up to the last, with every worker at work.

    A worker with k shards in hand begins k during its start-up and ends k without new ones behind
    them: counting starts at its k-th commit, and ends at its k-th from the end, so that work done
    before is not counted, nor time in which it ran dry. Of several workers the latest start and the
    earliest end count. Of runs too short for that all commits after every worker's first count;
    None where there is none.
    """
    stamps = list(stamps)
    times: dict[str, list[float]] = defaultdict(list)
    for stamp in stamps:
        times[stamp.worker].append(stamp.at)
    if not stamps:
        return None
    own = [sorted(of) for of in times.values()]
    depth = shards_in_flight
    if all(len(of) >= 2 * depth for of in own):
        found = _between(stamps, max(of[depth - 1] for of in own), min(of[-depth] for of in own))
        if found:
            return found
    return _between(stamps, max(of[0] for of in own), max(of[-1] for of in own))


def _between(stamps: Iterable[Stamp], begin: float, end: float) -> Steady | None:
    rows = sum(stamp.rows for stamp in stamps if begin < stamp.at <= end)
    return Steady(rows / (end - begin), end - begin) if rows else None


def pass_rate(notes: Sequence[Note], *, seconds: float) -> PassRate:
    """The rates of a pass that took so long, from the notes of its commits."""
    stamps = [Stamp(note.worker, note.at, note.rows) for note in notes]
    depth = max((note.shards_in_flight for note in notes), default=1)
    steady = steady_rate(stamps, shards_in_flight=depth)
    gpus = {note.worker: note.gpus for note in notes}
    return PassRate(
        rows=sum(note.rows for note in notes),
        seconds_total=seconds,
        startup_seconds=max((note.startup_seconds for note in notes), default=0.0),
        steady_rows_per_second=steady.rows_per_second if steady else None,
        steady_seconds=steady.seconds if steady else 0.0,
        gpu_busy=_busy(notes, sum(gpus.values(), 0.0)),
        gpus=sum(gpus.values(), 0.0),
        workers=len({note.worker for note in notes}),
        device=", ".join(sorted({note.device for note in notes if note.device})) or None,
    )


def _busy(notes: Iterable[Note], gpus: float) -> float | None:
    """Share of the time between each worker's first and last commit that its GPU computed."""
    by_worker: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for note in notes:
        if note.busy_seconds is not None:
            by_worker[note.worker].append((note.at, note.busy_seconds))
    computing = passed = 0.0
    for told in by_worker.values():
        (begin, before), (end, after) = min(told), max(told)
        computing += after - before
        passed += end - begin
    if not passed:
        return None
    workers_per_gpu = len(by_worker) / gpus if gpus else 1.0
    return min(1.0, workers_per_gpu * computing / passed)
