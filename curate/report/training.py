"""What a training run left behind: its loss curve and its sample grid.

The curve is read line by line and averaged into a few hundred points, so that its length in the
page does not depend on the length of the run.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.errors import MissingInput

METRICS = "metrics.jsonl"
SAMPLES = "samples.png"
POINTS = 240
SAMPLES_PIXELS = 1600


@dataclass(frozen=True)
class LossPoint:
    """Mean loss of a run of neighbouring steps."""

    step: float
    loss: float


@dataclass(frozen=True)
class Training:
    """Loss over steps, the sample grid, and what the checkpoint says of itself."""

    directory: str
    points: tuple[LossPoint, ...]
    first_step: int
    last_step: int
    logged: int
    last_loss: float
    seconds: float | None
    samples: bytes | None
    samples_size: tuple[int, int] | None
    facts: dict[str, Any]


def read_training(directory: str | Path) -> Training:
    """Read a checkpoint directory; raises MissingInput if it has no metrics."""
    root = Path(directory)
    metrics = root / METRICS
    if not metrics.is_file():
        raise MissingInput(f"{metrics} does not exist: not the directory of a training run")
    rows = [(step, loss, seconds) for step, loss, seconds in _losses(metrics)]
    if not rows:
        raise MissingInput(f"{metrics} holds no line with a step and a loss")
    samples, size = _samples(root / SAMPLES)
    return Training(
        directory=root.name,
        points=_averaged([(step, loss) for step, loss, _ in rows]),
        first_step=rows[0][0],
        last_step=rows[-1][0],
        logged=len(rows),
        last_loss=rows[-1][1],
        seconds=rows[-1][2],
        samples=samples,
        samples_size=size,
        facts={},
    )


def _losses(path: Path) -> Iterator[tuple[int, float, float | None]]:
    """Step, loss and seconds since the start, of each line that has a finite loss."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line) if line.strip() else {}
            loss = row.get("loss")
            if "step" in row and isinstance(loss, int | float) and math.isfinite(loss):
                seconds = row.get("seconds")
                yield int(row["step"]), float(loss), None if seconds is None else float(seconds)


def _averaged(pairs: list[tuple[int, float]]) -> tuple[LossPoint, ...]:
    """At most POINTS points, each the mean of an equal run of neighbours."""
    run = -(-len(pairs) // POINTS)
    parts = [pairs[start : start + run] for start in range(0, len(pairs), run)]
    return tuple(
        LossPoint(sum(s for s, _ in part) / len(part), sum(v for _, v in part) / len(part))
        for part in parts
    )


def _samples(path: Path) -> tuple[bytes | None, tuple[int, int] | None]:
    """The sample grid as PNG bytes, made smaller if it is very large."""
    if not path.is_file():
        return None, None
    from PIL import Image

    with Image.open(path) as image:
        grid = image.convert("RGB")
    grid.thumbnail((SAMPLES_PIXELS, SAMPLES_PIXELS))
    out = io.BytesIO()
    grid.save(out, "PNG", optimize=True)
    return out.getvalue(), grid.size
