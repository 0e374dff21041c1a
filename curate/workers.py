"""A worker of one pass: opens its stages once, then turns tasks into commits, several at a time.

Models load on a thread of their own, beside the reading of the first shards, and are held against
float32 on the first rows of the pass: the same for every worker. Ray does not appear here.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from curate.checks import finite, write_check
from curate.models.agreement import Agreement
from curate.models.launch import lane
from curate.rates import Note
from curate.recipe import FIRST_LAYER, Pass
from curate.shards import Task, first_rows, needed_columns, run_task
from curate.stage import Stage, Transform, apply, living, with_marks
from curate.stages.encoders import SAMPLE_ROWS, Encoder, Opened
from curate.stages.pixels import sharing
from curate.store.commit import Commit
from curate.store.files import LocalFiles


@dataclass(frozen=True)
class Done:
    """One shard committed, and what its worker says beside it."""

    commit: Commit
    note: Note


def has_encoders(step: Pass) -> bool:
    """Whether a pass runs models."""
    return any(isinstance(stage, Encoder) for stage in step.stages)


def sample_tasks(step: Pass, tasks: Sequence[Task]) -> list[Task]:
    """The first tasks of a pass that together hold the sample of its encoders.

    None for the first pass: its pictures are not there before it ran.
    """
    if step.layer == FIRST_LAYER or not has_encoders(step):
        return []
    chosen: list[Task] = []
    rows = 0
    for task in tasks:
        if rows >= SAMPLE_ROWS:
            break
        alive = task.data[0].rows - sum(entry.rows for entry in task.marks)
        if alive > 0:
            chosen.append(task)
            rows += alive
    return chosen


class Worker:
    """Safe to call from several threads, each with a task of its own.

    `gpus` is the worker's share of GPUs; `shards_in_flight` is how many tasks it is given at once.
    """

    def __init__(
        self, files: LocalFiles, step: Pass, sample: Sequence[Task], *,
        shards_in_flight: int = 1, gpus: float = 0.0,
    ) -> None:  # fmt: skip
        self.files = files
        self.step = step
        self.name = uuid.uuid4().hex
        self.shards_in_flight = shards_in_flight
        self.gpus = gpus
        self.startup_seconds = 0.0
        self.agreements: tuple[Agreement, ...] = ()
        self._telling = threading.Lock()
        self._closing = ExitStack()
        self._begun = time.perf_counter()
        opened = _open(step, self._closing)
        loader = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._loading = loader.submit(self._load, opened, sample)
        loader.shutdown(wait=False)
        self.transforms = [self._waiting(transform) for transform in opened]

    def work(self, task: Task) -> Done:
        """Compute and commit one shard. Raises what loading raised, if a model did not load."""
        commit = run_task(self.files, self.step, self.transforms, task)
        self._loading.result()
        return Done(commit, self._note(commit))

    def close(self) -> None:
        """End what the stages started, after loading if that still goes on."""
        wait([self._loading])
        self._closing.close()

    def _load(self, opened: Sequence[Transform], sample: Sequence[Task]) -> None:
        """Start every encoder on the sample; without one, each starts on the first table it gets."""
        if sample:
            columns = needed_columns(self.step)
            table = with_marks(first_rows(self.files, sample, columns, rows=SAMPLE_ROWS))
            with sharing():
                self._tell(self._started(opened, table))
        self.startup_seconds = time.perf_counter() - self._begun

    def _started(self, opened: Sequence[Transform], table: pa.Table) -> list[Agreement]:
        """What the encoders found; stages that make what they consume run over the sample too."""
        found: list[Agreement] = []
        stages = self.step.stages
        for stage, work, feeds in zip(stages, opened, _feeding(stages), strict=True):
            if isinstance(work, Opened) and len(table):
                found += work.start(table)
            if feeds:
                table = apply(stage, table, work)
                table = table.filter(living(table))
        return found

    def _waiting(self, transform: Transform) -> Transform:
        """The transform of an encoder with a wait for its model before it; others as they are."""
        if not isinstance(transform, Opened):
            return transform

        def encode(table: pa.Table) -> pa.Table:
            self._loading.result()
            self._tell(transform.start(table))
            return transform(table)

        return encode

    def _tell(self, agreements: Iterable[Agreement]) -> None:
        """Keep what was not known yet."""
        with self._telling:
            new = [told for told in map(finite, agreements) if told not in self.agreements]
            if new:
                write_check(self.files, self.step.layer, new)
                self.agreements += tuple(new)

    def _note(self, commit: Commit) -> Note:
        busy, device = _gpu() if has_encoders(self.step) else (None, None)
        return Note(
            worker=self.name, at=time.time(), rows=commit.rows_in,
            shards_in_flight=self.shards_in_flight, startup_seconds=self.startup_seconds,
            busy_seconds=busy, device=device, gpus=0.0 if busy is None else self.gpus or 1.0,
            agreements=self.agreements,
        )  # fmt: skip


def _open(step: Pass, closing: ExitStack) -> list[Transform]:
    """Open every stage of a pass; transforms with a `close` method are closed at the end."""
    transforms = []
    for stage in step.stages:
        transform = stage.open()
        close = getattr(transform, "close", None)
        if close is not None:
            closing.callback(close)
        transforms.append(transform)
    return transforms


def _feeding(stages: Sequence[Stage]) -> list[bool]:
    """For each stage, whether an encoder behind it consumes what it makes."""
    wanted: set[str] = set()
    found: list[bool] = []
    for stage in reversed(stages):
        feeds = not wanted.isdisjoint(stage.produces.names)
        if feeds or isinstance(stage, Encoder):
            wanted |= set(stage.consumes.names)
        found.append(feeds)
    return found[::-1]


def _gpu() -> tuple[float, str] | tuple[None, None]:
    """Seconds that this process's GPU computed so far, and its name; None without one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None, None
    device = torch.device("cuda", torch.cuda.current_device())
    return lane(device).busy_seconds(), torch.cuda.get_device_name(device)
