"""A forecast as lines for a person: storage, batches, hours and cost, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from curate.bench.result import BenchResult
from curate.forecast.batches import batches
from curate.forecast.bench import model_sizes, same_size, unlike
from curate.forecast.hours import Hours, PassHours, hours
from curate.forecast.rows import Assumed, area, encoding, judged_between
from curate.forecast.storage import storage
from curate.recipe import Recipe

NAME_WIDTH = 18
NO_BENCH = (
    "hours and cost: no bench yet: run `curate bench` with these models on the device that shall do "
    "the work (elsewhere: give its JSON with --bench)"
)


class Prices(BaseModel, frozen=True, extra="forbid"):
    """What an hour of one GPU and a decimal gigabyte a month cost in USD, where that is known."""

    gpu_hour: Annotated[float, Field(ge=0)] | None = None
    gigabyte_month: Annotated[float, Field(ge=0)] | None = None


def storage_lines(recipe: Recipe, assumed: Assumed, prices: Prices) -> Iterator[str]:
    """Bytes of each layer, and what keeping them costs."""
    yield f"storage for {assumed.rows:,} rows that pass every filter of the images:"
    sizes = storage(recipe, assumed)
    for name, size in sizes:
        yield _line(name, f"{size / 1e9:,.3g} GB")
    if prices.gigabyte_month is not None:
        cost = dict(sizes)["all"] / 1e9 * prices.gigabyte_month
        yield _line("cost", f"{cost:,.2f} USD a month at {prices.gigabyte_month:g} USD a GB")


def batch_lines(recipe: Recipe, assumed: Assumed) -> Iterator[str]:
    """Pictures a batch and tokens a pack of each encoder."""
    told = batches(recipe, assumed)
    if told:
        yield "batches, from recipe and shard alone:"
    for name, sentence in told:
        yield f"  {name}: {sentence}"


def hour_lines(
    recipe: Recipe, assumed: Assumed, prices: Prices, bench: BenchResult | None, *, devices: float
) -> Iterator[str]:
    """Device-hours by pass, hours on the clock and cost; says so where there is no bench."""
    if not encoding(recipe):
        return
    if bench is None:
        yield NO_BENCH
        return
    told = hours(recipe, assumed, bench, devices=devices)
    unit = "GPU" if bench.device.kind == "cuda" else "worker"
    yield (
        f"{unit}-hours from the bench of {bench.date[:10]} on {bench.device.name}, {bench.px} px, captions "
        f"of {bench.data.caption_tokens:.3g} tokens:"
    )
    for step in told.passes:
        yield _line(step.layer, _pass(step, unit))
    yield _line("pipeline", _overhead(told))
    yield _line("all", _whole(told, unit, prices))
    yield from _caveats(recipe, assumed, bench)


def _pass(step: PassHours, unit: str) -> str:
    rates = ", ".join(f"{kind} {_number(rate)} rows/s" for kind, rate in step.rates.items())
    return f"{step.rows:,.0f} rows, {rates}: {_number(step.device_hours)} {unit}-hours"


def _overhead(told: Hours) -> str:
    if not told.measured_pipeline:
        return "not in the bench: hours are those of a bare loop without start-up"
    more = told.overhead - 1
    side = "over" if more >= 0 else "under"
    return (
        f"{abs(more):.1%} {side} the sum of its encoders, as in the bench; "
        f"{told.startup_seconds:,.0f} s of start-up a worker and pass"
    )


def _whole(told: Hours, unit: str, prices: Prices) -> str:
    many = "" if told.devices == 1 else "s"
    whole = (
        f"{_number(told.device_hours)} {unit}-hours, {_number(told.wall_hours)} hours on "
        f"{told.devices:g} {unit}{many}"
    )
    if prices.gpu_hour is None:
        return whole
    cost = told.device_hours * prices.gpu_hour
    return f"{whole}, {cost:,.2f} USD at {prices.gpu_hour:g} USD a {unit}-hour"


def _caveats(recipe: Recipe, assumed: Assumed, bench: BenchResult) -> Iterator[str]:
    """What the figures rest on beside the bench."""
    for part in unlike(bench, model_sizes(recipe)):
        yield f"  the bench measured a {part} model of other dimensions: hours are of that one"
    if not same_size(bench, recipe):
        yield (
            f"  buckets of {area(recipe):,} pixels, the bench's of {bench.px**2:,}: the VAE's time is "
            "taken to grow with them"
        )
    if assumed.keep < 1 and not judged_between(recipe):
        yield (
            "  --keep saves nothing here: every row reaches all encoders; put clip_score into a pass "
            "of its own with a threshold as its barrier"
        )
    yield "  downloads and the decoding of the images pass are no part of a bench, nor of these hours"


def _number(value: float) -> str:
    """Three digits, and no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(name: str, text: str) -> str:
    return f"  {name:<{NAME_WIDTH}}{text}"
