"""Encoders without a model, to watch a worker by: what was loaded, on what, and how many at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import pyarrow as pa

from curate import columns as c
from curate.errors import ModelError
from curate.models.agreement import Agreement
from curate.recipe import Pass
from curate.shards import Task
from curate.stage import Stage, Transform
from curate.stages.encoders import Encoder
from curate.store.commit import commit_shard
from curate.store.files import LocalFiles

loaded: list[tuple[str, list[str]]] = []
"""(stage, keys of its sample) of every load in this process."""
inside: list[int] = []
"""How many threads were in `encode`, at each call."""
gates: dict[str, threading.Event] = {}
_now = 0
_counting = threading.Lock()


def agreement(**changes: Any) -> Agreement:
    told = {"encoder": "fake", "path": "fast", "device": "cpu", "rows": 4, "error": 0.01,
            "tolerance": 0.02, "used": True}  # fmt: skip
    return Agreement.model_validate(told | changes)


class Scores(Encoder):
    """The length of the title as a score; `halved` rows say that memory ran out."""

    kind: Literal["scores"] = "scores"
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.TITLE])
    produces: ClassVar[pa.Schema] = pa.schema([c.CLIP_SCORE, c.CLIP_BATCH])
    breaks: str = ""
    waits_for: str = ""
    halved: tuple[str, ...] = ()
    error: float | None = 0.01
    seconds: float = 0.0
    log: Path | None = None

    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def load(self, sample: pa.Table) -> Any:
        loaded.append((self.kind, sample["key"].to_pylist()))
        if self.waits_for and not gates[self.waits_for].wait(20):
            raise ModelError(f"{self.waits_for} did not come")
        if self.breaks:
            raise ModelError(self.breaks)
        return SimpleNamespace(agreements=(agreement(error=self.error),))

    def encode(self, table: pa.Table, model: Any) -> pa.Table:
        with self._counted():
            time.sleep(self.seconds)
            titles = table["title"].to_pylist()
            scores = [float(len(title)) for title in titles]
            batch = [8 if key in self.halved else None for key in table["key"].to_pylist()]
        table = table.append_column(c.CLIP_SCORE, pa.array(scores, pa.float32()))
        return table.append_column(c.CLIP_BATCH, pa.array(batch, pa.int32()))

    def _counted(self) -> Any:
        return _Counted(self.log)


class _Counted:
    """Counts the threads inside; with a log, also for who looks from another process."""

    def __init__(self, log: Path | None) -> None:
        self.log = log

    def __enter__(self) -> None:
        global _now
        with _counting:
            _now += 1
            inside.append(_now)
            if self.log is not None:
                with self.log.open("a") as out:
                    out.write(f"{_now}\n")

    def __exit__(self, *_: object) -> None:
        global _now
        with _counting:
            _now -= 1


class Second(Scores):
    """Another encoder, over what `Titles` makes."""

    kind: Literal["second"] = "second"  # type: ignore[assignment]
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.CREATOR])
    produces: ClassVar[pa.Schema] = pa.schema([c.LATENT_WIDTH])

    def encode(self, table: pa.Table, model: Any) -> pa.Table:
        return table.append_column(c.LATENT_WIDTH, pa.array([1] * len(table), pa.int32()))


class Titles(Stage):
    """A plain stage that makes a column and rejects titles of one letter; it opens a gate."""

    kind: Literal["titles"] = "titles"
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.TITLE])
    produces: ClassVar[pa.Schema] = pa.schema([c.CREATOR])
    opens: str = ""

    def open(self) -> Transform:
        return self._run

    def _run(self, table: pa.Table) -> pa.Table:
        from curate.stage import mark

        if self.opens:
            gates[self.opens].set()
        table = table.append_column(c.CREATOR, table["title"])
        short = ["caption" if len(t) == 1 else None for t in table["title"].to_pylist()]
        return mark(table, short, stage=self.kind)


def a_pass(*stages: Stage, layer: str = "features/fake") -> Pass:
    """A pass of stages that no recipe knows."""
    unknown: list[Any] = list(stages)
    return Pass.model_construct(layer=layer, stages=unknown, barrier=None)


def tasks(files: LocalFiles, step: Pass, *, rows: tuple[int, ...], dead: int = 0) -> list[Task]:
    """One task a part over made-up rows; the first `dead` rows of each were marked by a barrier."""
    found = []
    for part, count in enumerate(rows):
        keys = [f"{part:02}{row:04}" for row in range(count)]
        titles = ["t" * (2 + row % 5) for row in range(count)]
        data = commit_shard(
            files, layer="images", part=f"{part}-open", fingerprint="f", input_digest="i",
            rows_in=count, marked={},
            tables={"data": pa.table([keys, titles], schema=pa.schema([c.KEY, c.TITLE]))},
        )  # fmt: skip
        marks = commit_shard(
            files, layer="verdicts/images", part=f"{part}-open", fingerprint="f",
            input_digest=str(dead), rows_in=count, marked={}, tables={"marks": pa.table({"key": keys[:dead]})},
        )  # fmt: skip
        task = Task(layer=step.layer, part=f"{part}-open", fingerprint="f",
                    data=data.files, marks=marks.files if dead else [])  # fmt: skip
        found.append(task)
    return found
