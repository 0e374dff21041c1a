"""The encoders against the measured roofs of their device: docs/roofline.svg.

    python -m benchmarks.roofline

Speeds and roofs are read from `results/*.json`; bytes a sample are counted by benchmarks.traffic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.machine import RESULTS
from benchmarks.traffic import traffic
from curate.bench.result import BenchResult, Rate
from curate.models import Part

PLOT: Final = Path(__file__).parents[1] / "docs" / "roofline.svg"
WIDTH, HEIGHT = 900, 460
LEFT, TOP, RIGHT, BOTTOM = 70, 46, 560, 400
COLOURS: Final = ("#0b6e99", "#b3261e", "#3d7a1f", "#8a4baf", "#a15c00", "#555555")


@dataclass(frozen=True)
class Point:
    """One encoder: operations a byte, and TFLOP/s as measured."""

    name: str
    intensity: float
    speed: float


@dataclass(frozen=True)
class Axes:
    """Logarithmic axes between powers of ten."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float

    @classmethod
    def around(cls, xs: list[float], ys: list[float]) -> Axes:
        """The powers of ten that hold all values."""
        return cls(*_decades(xs), *_decades(ys))

    def x(self, value: float) -> float:
        share = math.log10(value / self.low_x) / math.log10(self.high_x / self.low_x)
        return LEFT + share * (RIGHT - LEFT)

    def y(self, value: float) -> float:
        share = math.log10(value / self.low_y) / math.log10(self.high_y / self.low_y)
        return BOTTOM - share * (BOTTOM - TOP)


def main() -> None:
    """Draw the plot anew."""
    from benchmarks.figures import load_results

    plot = draw(load_results(RESULTS))
    if plot is None:
        raise SystemExit("no result of `curate bench` in benchmarks/results has rates and ceilings")
    PLOT.write_text(plot, encoding="utf-8")
    print(PLOT)


def chosen(results: Mapping[str, BenchResult]) -> list[BenchResult]:
    """The newest run over alt texts of each picture size on one device, a GPU if there is one."""
    whole = [
        result for result in results.values()
        if result.bare is not None and result.roof and result.data.captions == "alt"
    ]  # fmt: skip
    if not whole:
        return []
    first = max(whole, key=lambda result: (result.device.kind == "cuda", result.date))
    newest: dict[int, BenchResult] = {}
    for result in sorted(whole, key=lambda result: result.date):
        if result.device.name == first.device.name:
            newest[result.px] = result
    return [newest[px] for px in sorted(newest)]


def points(runs: list[BenchResult]) -> list[Point]:
    """T5 and CLIP of the smallest pictures, the VAE of every size, as far as they can be counted."""
    found = list(_points(runs[0], "t5", "T5")) if runs else []
    for result in runs:
        found += _points(result, "vae", f"VAE, {result.px} px")
    if runs:
        found += _points(runs[0], "clip", "CLIP, pictures")
    return found


def _points(result: BenchResult, part: Part, name: str) -> Iterator[Point]:
    if result.bare is None or part not in result.models:
        return
    rates: dict[Part, Rate] = {
        "t5": result.bare.t5, "vae": result.bare.vae, "clip": result.bare.clip_images,
    }  # fmt: skip
    rate = rates[part]
    moved = traffic(
        part, result.models[part].sizes, px=result.px, tokens=result.data.caption_tokens
    )
    if moved and rate.tflop and rate.tflop_per_second:
        yield Point(name, rate.tflop * 1e12 / moved, rate.tflop_per_second)


def caption(results: Mapping[str, BenchResult]) -> list[str]:
    """The lines of the page that show the plot."""
    runs = chosen(results)
    if not points(runs):
        return ["Not run yet: the plot is drawn from `benchmarks/results/*.json`."]
    device, dates = runs[0].device.name, sorted({run.date[:10] for run in runs})
    return [f"![Roofline of the encoders on {device}, {', '.join(dates)}](roofline.svg)"]


def draw(results: Mapping[str, BenchResult]) -> str | None:
    """The plot as SVG; None where there is nothing to draw."""
    runs = chosen(results)
    marks = points(runs)
    roof = runs[0].roof if runs else None
    if not marks or not roof:
        return None
    peak, conv, copy = roof["matmul_tflops"], roof.get("conv_tflops"), roof["copy_tbps"]
    ridge = peak / copy
    axes = Axes.around(
        [ridge / 3, *(mark.intensity for mark in marks)],
        [peak, conv or peak, *(mark.speed for mark in marks)],
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(
            LEFT, 24, f"Encoders on {_escaped(runs[0].device.name)}: work against memory traffic"
        ),
        *_grid(axes),
        *_roofs(axes, peak=peak, conv=conv, copy=copy),
        *_marks(axes, marks, peak),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _decades(values: list[float]) -> tuple[float, float]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _grid(axes: Axes) -> Iterator[str]:
    for value in _powers(axes.low_x, axes.high_x):
        at = axes.x(value)
        yield _line(at, TOP, at, BOTTOM, "#dddddd")
        yield _text(at, BOTTOM + 18, f"{value:g}", anchor="middle")
    for value in _powers(axes.low_y, axes.high_y):
        at = axes.y(value)
        yield _line(LEFT, at, RIGHT, at, "#dddddd")
        yield _text(LEFT - 8, at + 4, f"{value:g}", anchor="end")
    yield _text((LEFT + RIGHT) / 2, BOTTOM + 40, "FLOP a byte (counted)", anchor="middle")
    yield (
        f'<text x="18" y="{(TOP + BOTTOM) / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 18 {(TOP + BOTTOM) / 2:.0f})">TFLOP/s (measured)</text>'
    )


def _powers(low: float, high: float) -> Iterator[float]:
    for exponent in range(round(math.log10(low)), round(math.log10(high)) + 1):
        yield 10.0**exponent


def _roofs(axes: Axes, *, peak: float, conv: float | None, copy: float) -> Iterator[str]:
    """Memory's slope, the matrix product's level, and the convolution's as a dashed line."""
    start = max(axes.low_x, axes.low_y / copy)
    ridge = peak / copy
    yield _line(axes.x(start), axes.y(start * copy), axes.x(ridge), axes.y(peak), "#222222", 2)
    yield _line(axes.x(ridge), axes.y(peak), RIGHT, axes.y(peak), "#222222", 2)
    if conv is not None:
        at = axes.y(conv)
        yield _line(axes.x(conv / copy), at, RIGHT, at, "#222222", 1, dashes="5 4")
    told = [f"slope: memory {copy:.3g} TB/s", f"level: matrix product {peak:.3g} TFLOP/s"]
    if conv is not None:
        told.append(f"dashed: 3 × 3 convolution {conv:.3g} TFLOP/s")
    for number, line in enumerate(told):
        yield _text(RIGHT + 20, TOP + 12 + 18 * number, line, size=11)


def _marks(axes: Axes, marks: list[Point], peak: float) -> Iterator[str]:
    """A dot for each encoder, and the key on the right: dots may lie near each other."""
    for number, mark in enumerate(marks):
        colour = COLOURS[number % len(COLOURS)]
        x, y = axes.x(mark.intensity), axes.y(mark.speed)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}" fill-opacity="0.85"/>'
        at = TOP + 86 + 46 * number
        yield f'<circle cx="{RIGHT + 26}" cy="{at - 4}" r="6" fill="{colour}"/>'
        yield _text(RIGHT + 40, at, _escaped(mark.name))
        told = f"{mark.intensity:,.0f} FLOP/byte, {mark.speed:,.3g} TFLOP/s, {mark.speed / peak:.0%} of the level"
        yield _text(RIGHT + 40, at + 17, told, size=11)


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dashes: str = ""
) -> str:
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"{style}/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="#222222">{text}</text>'
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    main()
