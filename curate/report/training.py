"""What a training run left behind: its loss curve, its sample grid, its checkpoint's card.

The curve is averaged into a few hundred points, so that its length in the page does not depend on
the length of the run.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curate.errors import MissingInput, StoreError
from curate.train.checkpoint import Card, read_card

METRICS = "metrics.jsonl"
SAMPLES = "samples.png"
POINTS = 240
SAMPLES_PIXELS = 1600


@dataclass(frozen=True)
class LossPoint:
    """Mean loss of a run of neighbouring lines of the metrics."""

    step: float
    loss: float


@dataclass(frozen=True)
class Training:
    """Loss over steps, the sample grid as PNG, and the card of the checkpoint if there is one."""

    points: tuple[LossPoint, ...]
    first_step: int
    last_step: int
    logged: int
    last_loss: float
    seconds: float | None
    samples: bytes | None
    samples_size: tuple[int, int]
    card: Card | None


def read_training(directory: str | Path) -> Training:
    """Read a training directory.

    Raises MissingInput if it has no metrics, StoreError if they or the card are damaged.
    """
    root = Path(directory)
    rows = list(_losses(root / METRICS))
    if not rows:
        raise MissingInput(f"{root / METRICS} holds no line with a step and a loss")
    samples, size = _samples(root / SAMPLES)
    return Training(
        points=_averaged([(step, loss) for step, loss, _ in rows]),
        first_step=rows[0][0],
        last_step=rows[-1][0],
        logged=len(rows),
        last_loss=rows[-1][1],
        seconds=rows[-1][2],
        samples=samples,
        samples_size=size,
        card=_card(root),
    )


def _losses(path: Path) -> Iterator[tuple[int, float, float | None]]:
    """Step, loss and seconds since the start, of each line that has a finite loss."""
    if not path.is_file():
        raise MissingInput(f"{path} does not exist: not the directory of a training run")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                step, loss, seconds = int(row["step"]), float(row["loss"]), row.get("seconds")
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(f"{path}, line {number}: {error}") from error
            if math.isfinite(loss):
                yield step, loss, None if seconds is None else float(seconds)


def _card(root: Path) -> Card | None:
    """The card of the run's checkpoint; a run that was just begun has none."""
    try:
        return read_card(root)
    except MissingInput:
        return None


def _averaged(pairs: list[tuple[int, float]]) -> tuple[LossPoint, ...]:
    """At most POINTS points, each the mean of an equal run of neighbours."""
    run = -(-len(pairs) // POINTS)
    parts = [pairs[start : start + run] for start in range(0, len(pairs), run)]
    return tuple(
        LossPoint(sum(s for s, _ in part) / len(part), sum(v for _, v in part) / len(part))
        for part in parts
    )


def _samples(path: Path) -> tuple[bytes | None, tuple[int, int]]:
    """The sample grid as PNG bytes, made smaller if it is very large."""
    if not path.is_file():
        return None, (0, 0)
    from PIL import Image

    with Image.open(path) as image:
        grid = image.convert("RGB")
    grid.thumbnail((SAMPLES_PIXELS, SAMPLES_PIXELS))
    out = io.BytesIO()
    grid.save(out, "PNG", optimize=True)
    return out.getvalue(), grid.size
