"""Puts measured figures into docs/performance.md: nothing there is typed by hand.

    python -m benchmarks.figures

Rewrites each block `<!-- figures: NAME VIEW -->` … `<!-- /figures -->` from `results/NAME.json`, a
result of `curate bench`; `goals`, `scaling` and `roofline` take what they need from all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from benchmarks.machine import RESULTS
from curate.bench.result import FORMAT, BenchResult, Rate

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
_BLOCK: Final = re.compile(
    r"(?P<head><!-- figures: (?P<name>\S+)(?: (?P<view>\S+))? -->\n)"
    r".*?(?P<tail><!-- /figures -->)",
    re.S,
)
Results = Mapping[str, BenchResult]
ENCODERS: Final = {
    "clip_images": "CLIP, pictures", "clip_texts": "CLIP, captions", "clip": "CLIP, both",
    "t5": "T5", "vae": "VAE", "all": "all three", "all_decoded": "all three, from JPEGs",
    "decode": "decoding alone",
}  # fmt: skip
CEILINGS: Final = {
    "matmul_tflops": ("matrix product", "TFLOP/s"),
    "conv_tflops": ("3 × 3 convolution, channels last", "TFLOP/s"),
    "copy_tbps": ("copy on the device, read and written", "TB/s"),
    "to_device_gbps": ("pinned memory to the device", "GB/s"),
    "from_device_gbps": ("device to pinned memory", "GB/s"),
    "sha256_gbps": ("sha256, one core", "GB/s"),
    "parquet_gbps": ("writing Parquet, one core", "GB/s"),
}  # fmt: skip


def main() -> None:
    """Rewrite the page and the plot."""
    from benchmarks.roofline import PLOT, draw

    results = load_results(RESULTS)
    plot = draw(results)
    if plot is not None:
        PLOT.write_text(plot, encoding="utf-8")
        print(PLOT)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(PAGE)


def load_results(folder: Path) -> dict[str, BenchResult]:
    """The results of `curate bench` in a folder, by name; other benchmarks' files are passed over."""
    found: dict[str, BenchResult] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            result = BenchResult.model_validate_json(file.read_bytes())
        except ValidationError:
            continue
        if result.format == FORMAT:
            found[file.stem] = result
    return found


def filled(page: str, results: Results) -> str:
    """The page with every block made anew; raises KeyError for a view that is not known."""

    def anew(match: re.Match[str]) -> str:
        lines = block(match["name"], match["view"], results)
        return match["head"] + "\n" + "\n".join(lines) + "\n\n" + match["tail"]

    return _BLOCK.sub(anew, page)


def block(name: str, view: str | None, results: Results) -> list[str]:
    """The lines of one block."""
    from benchmarks.goals import goals
    from benchmarks.roofline import caption

    of_all = {"goals": goals, "roofline": caption, "scaling": scaling}
    if name in of_all:
        return of_all[name](results)
    result = results.get(name)
    if result is None:
        return [f"Not run yet: no `benchmarks/results/{name}.json`."]
    views = [VIEWS[view]] if view else list(VIEWS.values())
    parts = [lines for make in views if (lines := make(result))]
    return [line for part in parts for line in [*part, ""]][:-1] or ["Not in this run."]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; the columns after the first are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


def number(value: float | None) -> str:
    """Three digits and thousands; a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def scaling(results: Results) -> list[str]:
    """Every run with more workers than one, beside the same run with the fewest."""
    rows = [
        [f"`{name}`", f"{result.px} px", workers, f"{times:.2f}"]
        for name, result in results.items()
        for workers, times in result.scaling.items()
    ]
    if not rows:
        return ["Not run yet: no result in `benchmarks/results` has more workers than one."]
    return table(["run", "pictures", "workers", "times one worker"], rows)


# --- views ----------------------------------------------------------------------------------------
def run(result: BenchResult) -> list[str]:
    """When, where, on what and over which data."""
    device, data = result.device, result.data
    models = ", ".join(
        f"{facts.ref}{' (random weights)' if facts.random else ''}"
        for facts in result.models.values()
    )
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    lines = [
        f"{device.count} × {device.name}, {device.cores} CPU cores, {device.host_memory_gib:.0f} GiB; "
        f"{result.date[:10]}, commit `{result.commit}`; {versions}.",
        f"{result.px} px; {models}; {data.rows:,} rows of {data.pictures:,} different JPEGs "
        f"({data.picture_pixels / 1e6:.2f} Mpx, {data.picture_bytes / 1e3:.0f} kB, {data.jpeg}), "
        f"{data.captions} captions of {data.caption_tokens:.3g} tokens.",
    ]
    for phase, told in result.reused.items():
        lines.append(f"The phase {phase} is of an earlier call: {told}.")
    return lines


def rates(result: BenchResult) -> list[str]:
    """The bare loop."""
    if result.bare is None:
        return []
    found = {name: getattr(result.bare, name) for name in ENCODERS}
    rows = [[ENCODERS[name], *_rate(rate)] for name, rate in found.items() if rate is not None]
    head = ["bare loop", "rows/s", "TFLOP a row", "TFLOP/s", "of the matmul peak", "seconds"]
    after = f"Loaded, checked and compiled in {number(result.bare.warmup_seconds)} s"
    memory = result.bare.peak_memory_gib
    return [
        *table(head, rows),
        "",
        f"{after}; {number(memory)} GiB of device memory at most." if memory else f"{after}.",
    ]


def _rate(rate: Rate) -> list[str]:
    return [
        number(rate.per_second), number(rate.tflop), number(rate.tflop_per_second),
        percent(rate.peak_share), number(rate.seconds),
    ]  # fmt: skip


def pipeline(result: BenchResult) -> list[str]:
    """`curate run`, shards in and shards out."""
    if not result.pipeline:
        return []
    bare = result.bare.all.per_second if result.bare else None
    rows = [
        [
            str(run.workers), number(run.per_second),
            number(run.per_second / run.workers / bare if bare else None), number(run.seconds),
            number(run.startup_seconds), number(run.total_seconds), percent(run.gpu_busy),
        ]
        for run in sorted(result.pipeline, key=lambda run: run.workers)
    ]  # fmt: skip
    head = ["workers", "rows/s", "of the bare loop, a worker", "steady seconds", "start-up s", "in all s",
            "GPU busy"]  # fmt: skip
    return table(head, rows)


def at1(result: BenchResult) -> list[str]:
    """AT1's way on the same device and data."""
    found = result.at1
    if not found:
        return []
    names = {
        "t5_per_second": "T5, one caption at a time", "vae_per_second": "VAE, one picture at a time",
        "both_per_second": "T5, then VAE", "clip_per_second": "CLIP",
        "all_per_second": "CLIP, T5, then VAE",
    }  # fmt: skip
    rows = [[told, number(found[name])] for name, told in names.items() if name in found]
    lines = table(["AT1's way", "rows/s"], rows)
    if result.pipeline_to_at1 is not None:
        lines += ["", f"One worker of the pipeline is {result.pipeline_to_at1:.1f} times as fast as "
                  "T5, then VAE."]  # fmt: skip
    return lines


def storage(result: BenchResult) -> list[str]:
    """Bytes a row, as written."""
    found = result.storage
    if found is None:
        return []
    sizes = {
        f"T5, bfloat16, {found.caption_tokens:.3g} tokens on the mean": found.t5_bytes,
        "T5, bfloat16, at 15 tokens": found.t5_bytes_at_15_tokens,
        "T5, 8 bits, at 15 tokens": found.t5_int8_bytes_at_15_tokens,
        "latent": found.latent_bytes,
        "CLIP": found.clip_bytes,
        "all features, with keys and what Parquet adds": found.feature_bytes,
    }
    rows = [[name, number(value)] for name, value in sizes.items()]
    lines = table(["stored", "bytes a row"], rows)
    return [
        *lines,
        "",
        f"The 8-bit form is {found.t5_int8_error:.2%} off the bfloat16 vectors that were stored.",
    ]


def agreements(result: BenchResult) -> list[str]:
    """Each path beside float32 on rows of the run."""
    if not result.agreements:
        return []
    rows = [
        [a.encoder, a.path, "–" if a.error is None else f"{a.error:.4f}", f"{a.tolerance:g}",
         "yes" if a.used else "no", a.note or "–"]
        for a in result.agreements
    ]  # fmt: skip
    return table(["encoder", "path", "relative error", "tolerance", "used", "note"], rows)


def roof(result: BenchResult) -> list[str]:
    """The device's measured ceilings."""
    if not result.roof:
        return []
    known = {name: told for name, told in CEILINGS.items() if name in result.roof}
    rows = [[what, f"{number(result.roof[name])} {unit}"] for name, (what, unit) in known.items()]
    return table(["ceiling", "measured"], rows)


VIEWS: Final[Mapping[str, Callable[[BenchResult], list[str]]]] = {
    "run": run, "rates": rates, "pipeline": pipeline, "at1": at1, "storage": storage,
    "agreements": agreements, "roof": roof,
}  # fmt: skip


if __name__ == "__main__":
    main()
