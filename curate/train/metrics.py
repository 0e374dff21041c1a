"""What training says while it runs: time, budget, mean loss, and one JSON line now and then."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.train.checkpoint import Progress
from curate.train.data import Batch, Prefetch
from curate.train.settings import TrainSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class StepReport:
    """One line of metrics.jsonl: means since the last line, and how far the run is.

    `learning_rate` is that of the last step, `waiting` the share of time spent waiting for data, `done` the share of the budget spent.
    """

    step: int
    loss: float
    learning_rate: float
    samples: int
    samples_per_second: float
    waiting: float
    seconds: float
    done: float
    eta_seconds: float


class Clock:
    """Time, budget and the running mean of the loss; on a GPU it looks at the loss only to log."""

    def __init__(self, settings: TrainSettings, progress: Progress) -> None:
        self._settings = settings
        self._began = time.perf_counter() - progress.seconds
        self._waited = progress.waited_seconds
        self._mark = (progress.step, progress.seconds, progress.waited_seconds)
        self._loss_sum: Any = progress.loss_sum
        self._loss_count = progress.loss_count

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def done(self, step: int) -> float:
        """Share of the budget spent, by steps or by this process's time, whichever is further."""
        by_steps = step / self._settings.steps if self._settings.steps else 0.0
        limit = self._settings.max_seconds
        return max(by_steps, self.seconds / limit if limit else 0.0)

    def wait_for(self, batches: Prefetch) -> Batch:
        began = time.perf_counter()
        batch = batches.next()
        self._waited += time.perf_counter() - began
        return batch

    def after(self, progress: Progress, batch: Batch, loss: torch.Tensor) -> Progress:
        self._loss_sum = loss.double() + self._loss_sum
        self._loss_count += 1
        state = {"position": batch.state.position, "pending": batch.state.pending}
        return progress.model_copy(update={"step": progress.step + 1, **state})

    def report(self, progress: Progress, learning_rate: float) -> StepReport:
        """The line for the steps since the last one; the means start again."""
        mean = float(self._loss_sum) / self._loss_count
        seconds, done = self.seconds, self.done(progress.step)
        step, since, waited = self._mark
        passed = max(seconds - since, 1e-9)
        batch = self._settings.batch_size
        report = StepReport(
            step=progress.step, loss=mean, learning_rate=learning_rate,
            samples=progress.step * batch,
            samples_per_second=(progress.step - step) * batch / passed,
            waiting=(self._waited - waited) / passed, seconds=seconds, done=min(done, 1.0),
            eta_seconds=seconds * (1 / done - 1) if 0 < done < 1 else 0.0,
        )  # fmt: skip
        self._mark = (progress.step, seconds, self._waited)
        self._loss_sum, self._loss_count = 0.0, 0
        return report

    def stop(self, progress: Progress) -> Progress:
        """The progress with time and the unfinished mean filled in."""
        return progress.model_copy(update={
            "seconds": self.seconds, "waited_seconds": self._waited,
            "loss_sum": float(self._loss_sum), "loss_count": self._loss_count,
        })  # fmt: skip


class Metrics:
    """metrics.jsonl: one line a report; a resumed run drops the lines after its checkpoint."""

    def __init__(self, path: Path, step: int, *, enabled: bool) -> None:
        self.path, self._enabled = path, enabled
        kept = [line for line in self._read() if line["step"] <= step]
        self.losses = [(int(line["step"]), float(line["loss"])) for line in kept]
        if enabled:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def write(self, report: StepReport) -> None:
        self.losses.append((report.step, report.loss))
        if self._enabled:
            with self.path.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(asdict(report)) + "\n")

    def _read(self) -> Iterator[dict[str, Any]]:
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                yield json.loads(line)
