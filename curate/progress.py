"""One line a pass: a live bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from curate.store.commit import Commit
from curate.store.record import PassRate

if TYPE_CHECKING:
    from curate.train.metrics import StepReport

NAME_WIDTH = 18


class ConsoleWatch:
    """Tells a person what the run does (see curate.engine.Watch)."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress: Progress | None = None
        self._rows = self._done = self._todo = self._skipped = 0

    def planned(self, *, rows: int, parts: int, done: int, todo: int) -> None:
        part = "part" if parts == 1 else "parts"
        self._line("shards", f"{done:,} done, {todo:,} to do")
        self._line("plan", f"{rows:,} candidates in {parts:,} {part}")

    def pass_started(self, layer: str, *, todo: int, done: int, rows: int) -> None:
        self._rows, self._done, self._todo, self._skipped = 0, 0, todo, done
        if not todo:
            return
        if self.console.is_terminal:
            columns = (
                TextColumn(f"  {layer:<{NAME_WIDTH}}"), BarColumn(24), MofNCompleteColumn(),
                TextColumn("shards  {task.fields[rows]:,} rows"), TimeRemainingColumn(),
            )  # fmt: skip
            self._progress = Progress(*columns, console=self.console, transient=True)
            self._progress.start()
            self._progress.add_task(layer, total=todo + done, completed=done, rows=0)
        else:
            self._line(layer, f"{todo:,} shards to do, {done:,} done, {rows:,} rows")

    def shard_done(self, layer: str, commit: Commit) -> None:
        self._rows += commit.rows_in
        self._done += 1
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], advance=1, rows=self._rows)

    def checked(self, layer: str, sentence: str) -> None:
        self._line(layer, sentence)

    def pass_ended(self, layer: str, *, seconds: float, rate: PassRate | None) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        if not self._todo:
            self._line(layer, f"{self._skipped:,} shards, already committed")
            return
        per_second = self._rows / seconds if seconds else 0.0
        before = f" ({self._skipped:,} already committed)" if self._skipped else ""
        self._line(
            layer,
            f"{self._done:,} shards{before}, {self._rows:,} rows, {seconds:.1f} s, {per_second:,.0f} rows/s",
        )
        if rate is not None:
            self._line(layer, rate_line(rate))

    def _line(self, name: str, text: str) -> None:
        self.console.print(f"  {name:<{NAME_WIDTH}}{text}", highlight=False, soft_wrap=True)


def rate_line(rate: PassRate) -> str:
    """Rate after start-up, start-up, total and use of the GPUs, in one line."""
    told = [f"{rate.steady_rows_per_second:,.0f} rows/s over {rate.steady_seconds:.1f} s in steady state"
            if rate.steady_rows_per_second else "too short for a steady state",
            f"start-up {rate.startup_seconds:.1f} s", f"total {rate.seconds_total:.1f} s"]  # fmt: skip
    if rate.gpus:
        told.append(f"{rate.gpus:g} × {rate.device}" if rate.device else f"{rate.gpus:g} GPUs")
    if rate.gpu_busy is not None:
        told.append(f"GPU busy {rate.gpu_busy:.0%}")
    return ", ".join(told)


class TrainLine:
    """One line for a training run: rewritten on a terminal, every tenth of the run elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._tenth = -1

    def __call__(self, report: StepReport) -> None:
        text = (
            f"  {'training':<{NAME_WIDTH}}step {report.step:,}  loss {report.loss:.4f}  "
            f"{report.samples_per_second:,.0f} samples/s  {report.waiting:.0%} waiting  "
            f"{report.eta_seconds:,.0f} s left"
        )
        tenth = int(report.done * 10)
        if self.console.is_terminal:
            end = "\n" if report.done >= 1 else "\r"
            self.console.print(text, highlight=False, end=end, soft_wrap=True)
        elif tenth != self._tenth:
            self.console.print(text, highlight=False, soft_wrap=True)
        self._tenth = tenth
