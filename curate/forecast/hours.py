"""How long a recipe's encoders take and what that costs, from a bench of the same kind of device.

Encoders run one after another on a device, so their times a row add up; what the pipeline took
beyond that sum in the bench is carried over.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from curate.bench.result import BareRates, BenchResult, PipelineRun
from curate.errors import RecipeError
from curate.forecast.bench import part_rate
from curate.forecast.rows import Assumed, area, encoders, encoding, rows_of
from curate.models import Part
from curate.recipe import Recipe

HOUR: Final = 3600.0
ALL_PARTS: Final[tuple[Part, ...]] = ("clip", "t5", "vae")


class PassHours(BaseModel, frozen=True, extra="forbid"):
    """One pass: rows, each encoder's rows a second alone in the bare loop, device-hours in the end."""

    layer: str
    rows: float
    rates: dict[str, float]
    device_hours: float


class Hours(BaseModel, frozen=True, extra="forbid"):
    """All passes that encode, on `devices` GPUs (or CPU workers).

    `overhead` is the pipeline's time a row over the sum of its encoders' times, `startup_seconds`
    what each worker takes before its first shard. `device_hours` counts the start-up too.
    """

    passes: tuple[PassHours, ...]
    devices: float
    overhead: float
    startup_seconds: float
    wall_hours: float
    device_hours: float
    measured_pipeline: bool


def hours(recipe: Recipe, assumed: Assumed, bench: BenchResult, *, devices: float) -> Hours:
    """Forecast a recipe's encoding passes; raises RecipeError if the bench has no bare loop."""
    bare = bare_of(bench)
    run = _like(bench, devices)
    overhead = _overhead(bare, run)
    rows, pixels = rows_of(recipe, assumed), area(recipe)
    passes = []
    for step in encoding(recipe):
        rates = {
            stage.kind: rate(bench, bare, stage.part, pixels=pixels, tokens=assumed.tokens)
            for stage in encoders(step)
        }
        took = rows[step.layer] * overhead * sum(1 / each for each in rates.values())
        passes.append(
            PassHours(
                layer=step.layer, rows=rows[step.layer], rates=rates, device_hours=took / HOUR
            )
        )
    startup = run.startup_seconds if run else 0.0
    wall = sum(step.device_hours for step in passes) / devices + len(passes) * startup / HOUR
    return Hours(
        passes=tuple(passes), devices=devices, overhead=overhead, startup_seconds=startup,
        wall_hours=wall, device_hours=wall * devices, measured_pipeline=run is not None,
    )  # fmt: skip


def bare_of(bench: BenchResult) -> BareRates:
    """The bench's bare loop; raises RecipeError if it was not run."""
    if bench.bare is None:
        raise RecipeError(
            f"the bench of {bench.date[:10]} on {bench.device.name} has no bare loop, from which times "
            "are forecast: run `curate bench` with it"
        )
    return bench.bare


def rate(bench: BenchResult, bare: BareRates, part: Part, *, pixels: float, tokens: float) -> float:
    """Rows a second of one encoder alone: T5's time goes with tokens, the VAE's with pixels."""
    per_second = part_rate(bare, part)
    if part == "t5":
        return per_second * bench.data.caption_tokens / tokens
    if part == "vae":
        return per_second * bench.px**2 / pixels
    return per_second


def _like(bench: BenchResult, devices: float) -> PipelineRun | None:
    """The pipeline's run with the most workers that are not more than `devices`, else the smallest."""
    runs = [run for run in bench.pipeline if run.workers <= devices]
    return max(runs, key=lambda run: run.workers, default=bench.one_worker)


def _overhead(bare: BareRates, run: PipelineRun | None) -> float:
    """Time a row as measured over the sum of the three encoders' times."""
    measured = run.per_second / run.workers if run else bare.all.per_second
    return 1 / measured / sum(1 / part_rate(bare, part) for part in ALL_PARTS)
