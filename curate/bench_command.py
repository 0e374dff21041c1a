"""What `curate bench` does with its options, and how its result reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast, get_args

from pydantic import ValidationError
from rich.console import Console

from curate.bench.machine import has_gpu
from curate.bench.result import BareRates, BenchResult, Captions, Phase, Rate, save_bench
from curate.bench.run import bench
from curate.bench.settings import Settings, settings_for
from curate.errors import RecipeError
from curate.models import Part, resolve
from curate.yaml_lines import explain

_LABELS: Final = {
    "clip_images": "CLIP pictures", "clip_texts": "CLIP captions", "clip": "CLIP both",
    "t5": "T5", "vae": "VAE", "all": "all three", "decode": "decoding alone",
    "all_decoded": "all, from JPEGs",
}  # fmt: skip


def run(
    *, skip: str | None, named: Mapping[str, str | None], captions: str, out: Path | None,
    console: Console, **options: Any,
) -> BenchResult:  # fmt: skip
    """Measure, print, keep the result for forecasts, and write it where `out` says.

    Raises RecipeError for options out of range, MissingInput for a model that is not there.
    """
    models = {cast("Part", part): ref for part, ref in named.items() if ref is not None}
    for part, ref in models.items():
        resolve(ref, part)
    settings = _settings(skip=_phases(skip), models=models, captions=_captions(captions), **options)
    console.print(f"[bold]bench[/] at {settings.px} px → {settings.folder}", highlight=False)
    for result in bench(settings):  # what was measured stays if a later phase is cut short
        if result.phases:
            save_bench(result)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for line in lines(result):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return result


def _settings(**options: Any) -> Settings:
    try:
        return settings_for(gpu=has_gpu(), started=time.time(), **options)
    except ValidationError as error:
        told = explain(error, origin="curate bench", lines={}, model=Settings)
        raise RecipeError(told) from error


def _phases(skip: str | None) -> frozenset[Phase]:
    """The phases of a list `bare,at1`; raises RecipeError for a name that is none."""
    names = [name.strip() for name in (skip or "").split(",") if name.strip()]
    known = get_args(Phase)
    if wrong := sorted(set(names) - set(known)):
        raise RecipeError(f"--skip {', '.join(wrong)}: the phases are {', '.join(known)}")
    return cast("frozenset[Phase]", frozenset(names))


def _captions(name: str) -> Captions:
    """The kind of captions; raises RecipeError for another name."""
    if name not in get_args(Captions):
        raise RecipeError(f"--captions {name!r}: there are {', '.join(get_args(Captions))}")
    return cast("Captions", name)


def lines(result: BenchResult) -> Iterator[str]:
    """The result as lines for a person."""
    data, device = result.data, result.device
    yield (
        f"{device.name}, {result.px} px, {data.rows:,} rows of {data.picture_pixels / 1e6:.2f} Mpx "
        f"JPEGs ({data.jpeg}, {data.picture_bytes / 1e3:,.0f} kB), captions of "
        f"{data.caption_tokens:.1f} tokens"
    )
    for part, facts in sorted(result.models.items()):
        kind = "random weights" if facts.random else "as given"
        yield f"  {part:<18}{facts.ref}, {kind}, {facts.sizes}"
    if result.roof:
        yield f"matmul peak, measured: {result.roof['matmul_tflops']:,.4g} TFLOP/s"
    if result.bare:
        yield from _bare_lines(result.bare)
    if result.at1:
        yield "AT1's way, samples a second:"
        yield f"  {'T5':<18}{result.at1['t5_per_second']:>12,.1f}"
        yield f"  {'VAE':<18}{result.at1['vae_per_second']:>12,.1f}"
        yield f"  {'T5, then VAE':<18}{result.at1['both_per_second']:>12,.1f}"
    yield from _pipeline_lines(result)
    yield from _storage_lines(result)
    took = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in result.seconds.items())
    yield f"wall time: {took}"
    for phase, since in sorted(result.reused.items()):
        yield f"{phase} was not run again: it is of {since}"


def _bare_lines(bare: BareRates) -> Iterator[str]:
    yield f"bare loop, samples a second (warm-up {bare.warmup_seconds:.1f} s before):"
    for name, label in _LABELS.items():
        rate: Rate | None = getattr(bare, name)
        if rate is None:
            continue
        told = f"  {label:<18}{rate.per_second:>12,.1f}  over {rate.seconds:.1f} s"
        if rate.tflop_per_second is not None and rate.peak_share is not None:
            told += f"  {rate.tflop_per_second:>9,.3g} TFLOP/s  {rate.peak_share:>6.1%} of the peak"
        yield told


def _pipeline_lines(result: BenchResult) -> Iterator[str]:
    if not result.pipeline:
        return
    yield "pipeline, committed shards in and committed shards out, samples a second:"
    for ran in result.pipeline:
        busy = "" if ran.gpu_busy is None else f", GPU busy {ran.gpu_busy:.0%}"
        yield (
            f"  {_workers(ran.workers):<18}{ran.per_second:>12,.1f}  over {ran.seconds:.1f} s{busy}, "
            f"start-up {ran.startup_seconds:.1f} s, first shard after "
            f"{ran.first_commit_seconds:.1f} s, {ran.total_seconds:.1f} s in all, "
            f"{ran.kept:,} of {ran.rows:,} rows kept"
        )
    for count, times in result.scaling.items():
        yield f"  {count} workers are {times:.2f} × as fast as one"
    if result.pipeline_to_bare is not None:
        yield f"pipeline ÷ bare loop: {result.pipeline_to_bare:.3f}"
    if result.pipeline_to_at1 is not None:
        yield f"pipeline ÷ AT1's way: {result.pipeline_to_at1:.1f}"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _storage_lines(result: BenchResult) -> Iterator[str]:
    stored = result.storage
    if stored is None:
        return
    yield (
        f"stored: {stored.feature_bytes / 1e3:,.1f} kB a row; T5 at 15 tokens "
        f"{stored.t5_bytes_at_15_tokens / 1e6:.4f} MB in bfloat16, "
        f"{stored.t5_int8_bytes_at_15_tokens / 1e6:.4f} MB in 8 bits "
        f"(relative error {stored.t5_int8_error:.4f})"
    )
