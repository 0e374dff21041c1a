"""The report's charts as inline SVG: colours come from the page's style, text stays text.

Each is drawn for one width; the page carries a wide and a narrow drawing and shows the one that
fits, so that letters keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curate.report.format import decimals, thousands
from curate.report.scores import Scores
from curate.report.training import Training

WIDE, NARROW = 1056, 350
HEIGHT = 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 26, 46


@dataclass(frozen=True)
class Frame:
    """Data limits of a drawing and their place in it, in pixels."""

    width: int
    x_low: float
    x_high: float
    y_high: float

    def x(self, value: float) -> float:
        span = (self.x_high - self.x_low) or 1.0
        return round(_LEFT + (value - self.x_low) / span * (self.width - _LEFT - _RIGHT), 2)

    def y(self, value: float) -> float:
        return round(HEIGHT - _BOTTOM - value / self.y_high * (HEIGHT - _TOP - _BOTTOM), 2)


def both(draw: Callable[[int], Markup]) -> Markup:
    """The wide and the narrow drawing of one chart."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(wide, narrow)


def histogram(scores: Scores, width: int) -> Markup:
    """Rows by score; bars below the threshold in the colour of rejection."""
    frame = Frame(width, scores.edges[0], scores.edges[-1], nice_ceiling(max(scores.counts)))
    bars = [_bar(scores, frame, n) for n in range(len(scores.counts))]
    parts = [*_grid(frame), *bars, *_x_axis(frame, "CLIP score (cosine similarity, no unit)")]
    if scores.threshold is not None:
        parts.append(_threshold(frame, scores.threshold))
    label = f"Histogram of {thousands(scores.rows)} CLIP scores, {scores.edges[0]:.2f} to "
    label += f"{scores.edges[-1]:.2f}"
    return _svg(width, label, parts, "rows")


def _bar(scores: Scores, frame: Frame, index: int) -> Markup:
    """One bar, split where the threshold falls inside its bin."""
    low, high = scores.edges[index], scores.edges[index + 1]
    left, right = frame.x(low), frame.x(high)
    top, rows = frame.y(scores.counts[index]), scores.counts[index]
    threshold = scores.threshold if scores.threshold is not None else -math.inf
    cut = min(max(frame.x(threshold) if math.isfinite(threshold) else left, left), right)
    base = frame.y(0)
    title = f"{decimals(low, 3)} to {decimals(high, 3)}: {thousands(rows)} rows"
    return Markup(
        '<g><title>{}</title><rect class="bad" x="{}" y="{}" width="{}" height="{}"/>'
        '<rect class="good" x="{}" y="{}" width="{}" height="{}"/></g>'
    ).format(
        title, left, top, _gap(cut - left), base - top, cut, top, _gap(right - cut), base - top
    )  # fmt: skip


def _gap(width: float) -> float:
    """A bar's width with a hairline of air beside it."""
    return round(max(width - 1, 0), 2) if width > 3 else round(max(width, 0), 2)


def _threshold(frame: Frame, value: float) -> Markup:
    x = frame.x(value)
    anchor, shift = ("end", -6) if x > frame.width * 0.6 else ("start", 6)
    return Markup(
        '<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
        '<text class="marked" x="{3}" y="{4}" text-anchor="{5}">threshold {6}</text>'
    ).format(x, _TOP - 12, frame.y(0), x + shift, _TOP - 4, anchor, decimals(value, 3))


def loss_curve(training: Training, width: int) -> Markup:
    """Mean loss over training steps, from zero."""
    points = training.points
    frame = Frame(width, points[0].step, points[-1].step, nice_ceiling(max(p.loss for p in points)))
    path = " ".join(f"{frame.x(p.step)},{frame.y(p.loss)}" for p in points)
    line = Markup('<polyline class="line" points="{}"/>').format(path)
    last = Markup('<circle class="dot" cx="{}" cy="{}" r="3.5"/>').format(
        frame.x(points[-1].step), frame.y(points[-1].loss)
    )
    label = f"Training loss from step {thousands(training.first_step)} to "
    label += f"{thousands(training.last_step)}, last {training.last_loss:.3f}"
    parts = [*_grid(frame), *_x_axis(frame, "training step"), line, last]
    return _svg(width, label, parts, "flow-matching loss (mean squared error)")


def _svg(width: int, label: str, parts: Sequence[Markup], y_label: str) -> Markup:
    body = Markup("").join(parts)
    return Markup(
        '<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" '
        'height="{}"><text class="axis" x="0" y="12">{}</text>{}</svg>'
    ).format(label, width, HEIGHT, width, HEIGHT, y_label, body)


def _grid(frame: Frame) -> list[Markup]:
    """Horizontal lines with their values."""
    line = Markup(
        '<line class="rule" x1="{}" x2="{}" y1="{y}" y2="{y}"/>'
        '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
    )
    right, step = frame.width - _RIGHT, tick_step(0, frame.y_high, 4)
    return [
        line.format(_LEFT, right, _LEFT - 8, frame.y(v) + 4, _label(v, step), y=frame.y(v))
        for v in ticks(0, frame.y_high, 4)
    ]


def _x_axis(frame: Frame, label: str) -> list[Markup]:
    most = 4 if frame.width == NARROW else 9
    step = tick_step(frame.x_low, frame.x_high, most)
    tick = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>')
    base = HEIGHT - _BOTTOM
    drawn = [
        tick.format(frame.x(v), base + 18, _label(v, step))
        for v in ticks(frame.x_low, frame.x_high, most)
    ]
    middle = (_LEFT + frame.width - _RIGHT) / 2
    name = Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>')
    return [*drawn, name.format(middle, HEIGHT - 6, label)]


def _label(value: float, step: float) -> str:
    """The value with as many decimals as the step between ticks needs."""
    places = next((n for n in range(6) if abs(step * 10**n % 1) < 1e-6), 6)
    return decimals(value, places)


def tick_step(low: float, high: float, most: int) -> float:
    """A round distance between ticks."""
    return nice_ceiling((high - low) / most) if high > low else 1.0


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values from low to high, at most `most` + 1 of them."""
    step = tick_step(low, high, most)
    first = math.ceil(round(low / step, 6))
    last = math.floor(round(high / step, 6))
    return [round(n * step, 10) for n in range(first, last + 1)]


def nice_ceiling(value: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten that is not below the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= value * (1 - 1e-9))
