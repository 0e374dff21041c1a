"""The speed-of-light ratio: what a run reached over what a bare loop reaches on the same device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow.compute as pc

from curate import columns as c
from curate.bench.result import BenchResult
from curate.forecast.bench import part_rate
from curate.forecast.hours import ALL_PARTS, bare_of
from curate.forecast.rows import encoders, encoding
from curate.models import Part
from curate.recipe import Recipe
from curate.store.dataset import Dataset
from curate.store.record import PassRate

SHARDS_READ = 8
HOW = (
    "the ratio to a bare loop needs a bench of these models and this picture size on this device: "
    "run `curate bench`"
)


@dataclass(frozen=True)
class Reached:
    """One pass that encoded: its steady rate on so many GPUs (CPU workers where there is none)."""

    layer: str
    parts: tuple[Part, ...]
    rows: int
    per_second: float
    devices: float


def bare_rate(bench: BenchResult, parts: Sequence[Part], *, tokens: float | None = None) -> float:
    """Rows a second of the bare loop over some encoders: as measured for all three, else in sum.

    `tokens` are those of a row's captions, if they are not those of the bench: T5's time goes with
    them.
    """
    bare = bare_of(bench)
    took = (
        1 / bare.all.per_second
        if set(parts) == set(ALL_PARTS)
        else sum(1 / part_rate(bare, part) for part in parts)
    )
    if "t5" in parts and tokens is not None:
        took += (tokens / bench.data.caption_tokens - 1) / bare.t5.per_second
    return 1 / took


def reached(recipe: Recipe, rates: Mapping[str, PassRate]) -> list[Reached]:
    """The passes that encode and ran long enough for a steady rate."""
    return [
        Reached(
            layer=step.layer, parts=tuple(stage.part for stage in encoders(step)), rows=rate.rows,
            per_second=rate.steady_rows_per_second, devices=rate.gpus or float(rate.workers),
        )
        for step in encoding(recipe)
        if (rate := rates.get(step.layer)) is not None and rate.steady_rows_per_second
    ]  # fmt: skip


def ratio(
    bench: BenchResult, passes: Sequence[Reached], *, tokens: float | None = None
) -> float | None:
    """Time of the bare loop over the time of the run, for the same rows; None without a pass."""
    light = sum(step.rows / bare_rate(bench, step.parts, tokens=tokens) for step in passes)
    taken = sum(step.rows * step.devices / step.per_second for step in passes)
    return light / taken if taken else None


def tokens_of(dataset: Dataset, passes: Sequence[Reached]) -> float | None:
    """Mean T5 tokens of a row's captions, over a few shards; None where T5 did not run."""
    layer = next((step.layer for step in passes if "t5" in step.parts), None)
    if layer is None:
        return None
    rows = tokens = 0
    for table in islice(dataset.tables(layer, [c.T5_TOKENS.name]), SHARDS_READ):
        lists = table[c.T5_TOKENS.name].drop_null()
        rows += len(lists)
        tokens += pc.sum(pc.list_flatten(lists), min_count=0).as_py()
    return tokens / rows if rows else None


def speed_lines(
    recipe: Recipe, rates: Mapping[str, PassRate], bench: BenchResult | None, tokens: float | None
) -> Iterator[str]:
    """What `curate run` says at its end: rate, GPU busy, start-up and the ratio of each pass."""
    passes = reached(recipe, rates)
    for step in passes:
        yield _line(step.layer, _told(step, rates[step.layer], bench, tokens))
    if not passes:
        return
    if bench is None:
        yield _line("speed of light", HOW)
        return
    whole = ratio(bench, passes, tokens=tokens) or 0.0
    yield _line(
        "speed of light",
        f"{whole:.2f} of the bare loop, from the bench of {bench.date[:10]} on {bench.device.name} at "
        f"{bench.px} px",
    )


def _told(step: Reached, rate: PassRate, bench: BenchResult | None, tokens: float | None) -> str:
    on = f"{step.devices:g} GPU" if rate.gpus else f"{step.devices:g} CPU worker"
    parts = [f"{step.per_second:,.0f} rows/s on {on}{'' if step.devices == 1 else 's'}"]
    if bench is not None:
        light = bare_rate(bench, step.parts, tokens=tokens)
        share = step.per_second / step.devices / light
        parts.append(f"{share:.2f} of a bare loop's {light:,.0f}")
    if rate.gpu_busy is not None:
        parts.append(f"GPU {rate.gpu_busy:.0%} busy")
    parts.append(f"{rate.startup_seconds:,.1f} s of start-up, {rate.seconds_total:,.1f} s in all")
    return ", ".join(parts)


def _line(name: str, text: str) -> str:
    return f"  {name:<18}{text}"
