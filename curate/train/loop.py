"""Training from cached latents: one loop that can be read in a sitting.

`train` opens a dataset, goes on from the checkpoint in `to` if there is one, and leaves there
`checkpoint/`, `metrics.jsonl` and `samples.png`. Cut off, a run of `steps` ends with the same bits
on a like machine; with `max_seconds` the clock decides its end, and the rate of a cosine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curate.store.dataset import Dataset
from curate.train.checkpoint import Progress
from curate.train.data import Prefetch
from curate.train.metrics import Clock, Metrics, StepReport
from curate.train.run import Run, count, device_name
from curate.train.sample import grid, sample
from curate.train.settings import TrainSettings

OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class TrainResult:
    """What a run left behind; `losses` are (step, mean loss) pairs, `seconds` those of the loop."""

    checkpoint: Path
    metrics: Path
    samples: Path | None
    losses: tuple[tuple[int, float], ...]
    steps: int
    resumed_from_step: int
    samples_seen: int
    seconds: float
    samples_per_second: float
    waiting: float
    parameters: int
    device: str


def train(
    dataset_dir: str | Path, settings: TrainSettings, to: str | Path, on_step: OnStep | None = None
) -> TrainResult:
    """Train from a finished dataset until the budget is spent, and draw the sample grid.

    Raises MissingInput without features, StoreError for a shard that does not verify, ModelError
    if the encoders are not those that made the features, and OutputMismatch if `to` holds a
    checkpoint of other settings or of another dataset.
    """
    result = fit(Dataset.open(dataset_dir), settings, Path(to), on_step=on_step)
    return result if not settings.samples.prompts else _draw(result, settings, Path(to))


def fit(
    dataset: Dataset, settings: TrainSettings, to: Path, *, on_step: OnStep | None = None,
    rank: int = 0, world: int = 1, prepare: Callable[[Any], Any] = lambda model: model,
    share: Callable[[float], float] = lambda done: done,
) -> TrainResult:  # fmt: skip
    """The loop of one process; several share a run by rank, world, `prepare` and `share`.

    `prepare` wraps the model so that gradients are averaged. `share` is called once before every
    step in every process with its share of the budget spent, and returns rank 0's (a broadcast):
    one clock decides for all, or they would stop at different steps and wait for each other.
    """
    run = Run.start(dataset, settings, to, rank=rank, world=world, prepare=prepare)
    before = progress = run.progress
    metrics = Metrics(to / "metrics.jsonl", before.step, enabled=rank == 0)
    clock = Clock(settings, before)
    with Prefetch(run.reader.batches(run.state), settings.prefetch_batches) as batches:
        while (done := share(clock.done(progress.step))) < 1:
            batch = clock.wait_for(batches)
            loss = run.trainer.step(batch, progress.step, done)
            progress = clock.after(progress, batch, loss)
            if _due(progress.step, settings.log_every_steps):
                _tell(clock.report(progress, run.trainer.rate), metrics, on_step)
            if _due(progress.step, settings.checkpoint_every_steps) and rank == 0:
                run.save(clock.stop(progress))
    progress = clock.stop(progress)
    if progress.step > before.step and progress.loss_count:
        _tell(clock.report(progress, run.trainer.rate), metrics, on_step)
    if progress.step > before.step and rank == 0:
        run.save(progress)
    return _result(run, before, progress, metrics)


def _tell(report: StepReport, metrics: Metrics, on_step: OnStep | None) -> None:
    metrics.write(report)
    if on_step:
        on_step(report)


def _result(run: Run, before: Progress, after: Progress, metrics: Metrics) -> TrainResult:
    batch = run.settings.batch_size
    steps, seconds = after.step - before.step, max(after.seconds - before.seconds, 1e-9)
    return TrainResult(
        checkpoint=run.to / "checkpoint", metrics=metrics.path, samples=None,
        losses=tuple(metrics.losses), steps=after.step, resumed_from_step=before.step,
        samples_seen=after.step * batch, seconds=after.seconds,
        samples_per_second=steps * batch / seconds,
        waiting=(after.waited_seconds - before.waited_seconds) / seconds,
        parameters=count(run.trainer.model), device=device_name(run.trainer.device),
    )  # fmt: skip


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _draw(result: TrainResult, settings: TrainSettings, to: Path) -> TrainResult:
    """The grid of samples, with what made it written under it."""
    told, path = settings.samples, to / "samples.png"
    images = sample(
        result.checkpoint, told.prompts, seed=told.seed, steps=told.steps, guidance=told.guidance,
        device=settings.device,
    )  # fmt: skip
    footer = (
        f"{settings.size}, {result.parameters / 1e6:.1f} M parameters, {result.steps} steps of "
        f"{settings.batch_size} in {result.seconds:.0f} s on {result.device}; sampled with seed "
        f"{told.seed}, {told.steps} steps, guidance {told.guidance:g}"
    )
    grid(images, told.prompts, columns=told.columns, footer=footer).save(path)
    return replace(result, samples=path)
