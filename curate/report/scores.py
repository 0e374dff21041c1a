"""The CLIP score histogram, the threshold, and what ten other thresholds would keep.

Scores are counted on a fixed grid of thousandths, one shard at a time; every threshold offered
lies on the grid, so the rows it would keep are counted and not interpolated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.report.reading import layer_holding, ledger
from curate.store.dataset import Dataset

GRID = 1000  # steps per unit of cosine similarity
BELOW = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)  # shares, for ten other thresholds
BINS = 56
_WIDTHS = (1, 2, 5, 10, 20, 25, 50, 100, 200)  # of a bin, thousandths
_EDGES = np.arange(-GRID, GRID + 1) / GRID

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """A threshold and the scored rows that are not below it."""

    value: float
    kept: int
    chosen: bool = False


@dataclass(frozen=True)
class Scores:
    """Scores of all scored rows: bins of equal width, the threshold used, ten others."""

    layer: str
    rows: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    median: float
    threshold: float | None
    below: int
    thresholds: tuple[Threshold, ...]

    @property
    def width(self) -> float:
        return self.edges[1] - self.edges[0]


def clip_scores(dataset: Dataset) -> Scores | None:
    """Histogram of the CLIP scores of all scored rows; None if there are none."""
    layer = layer_holding(dataset, c.CLIP_SCORE.name)
    if layer is None:
        return None
    used = threshold_used(dataset, layer)
    grid: Counts = np.zeros(len(_EDGES), np.int64)
    below = 0
    for values in _values(dataset, layer):
        grid += np.bincount(_cells(values), minlength=len(_EDGES))
        below += 0 if used is None else int((values < used).sum())
    rows = int(grid.sum())
    if rows == 0:
        return None
    edges, counts = _bins(grid)
    offered = [
        Threshold(float(_EDGES[cell]), int(grid[cell:].sum())) for cell in _others(grid, used)
    ]
    if used is not None:
        offered.append(Threshold(used, rows - below, chosen=True))
    offered.sort(key=lambda threshold: (threshold.value, threshold.chosen))
    median = float(_EDGES[_quantile(grid, 0.5)])
    return Scores(layer, rows, edges, counts, median, used, below, tuple(offered))


def threshold_used(dataset: Dataset, layer: str) -> float | None:
    """The threshold that the run applied, None if no row was judged by its score.

    A number in the recipe is taken as it is; for a quantile it is the lowest score that passed.
    """
    barriers = [step.get("barrier") or {} for step in dataset.record["recipe"]["passes"]]
    mine = [b for b in barriers if b.get("column") == c.CLIP_SCORE.name]
    if not mine:
        return None
    if mine[0].get("at_least") is not None:
        return float(mine[0]["at_least"])
    highest = max(_rejected(dataset, str(mine[0]["reason"])), default=-np.inf)
    passed = (values[values > highest] for values in _values(dataset, layer))
    return min((float(values.min()) for values in passed if len(values)), default=None)


def _rejected(dataset: Dataset, reason: str) -> Iterator[float]:
    """The highest score rejected for this reason, of each part that has one."""
    for _, table in ledger(dataset, [c.REASON.name, c.MEASURED_VALUE.name]):
        mine = pc.fill_null(pc.equal(table[c.REASON.name], reason), False)
        values = _finite(table[c.MEASURED_VALUE.name].filter(mine))
        if len(values):
            yield float(values.max())


def _values(dataset: Dataset, layer: str) -> Iterator[Values]:
    """Finite scores of all rows that were scored, shard by shard."""
    for table in dataset.tables(layer, [c.CLIP_SCORE.name]):
        yield _finite(table[c.CLIP_SCORE.name])


def _finite(column: pa.ChunkedArray) -> Values:
    values = column.drop_null().to_numpy().astype(np.float64)
    return values[np.isfinite(values)]


def _cells(values: Values) -> npt.NDArray[np.intp]:
    """Index of the last grid edge that is not above each value."""
    return np.clip(np.searchsorted(_EDGES, values, "right") - 1, 0, len(_EDGES) - 1)


def _quantile(grid: Counts, share: float) -> int:
    """First cell at which this share of the rows is reached."""
    return int(np.searchsorted(np.cumsum(grid), share * grid.sum()))


def _bins(grid: Counts) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The occupied part of the grid in at most BINS bins of a round width."""
    filled = np.flatnonzero(grid)
    low, high = int(filled[0]), int(filled[-1]) + 1
    step = next((s for s in _WIDTHS if (high - low) / s <= BINS - 1), _WIDTHS[-1])
    # edges are multiples of the step from zero, so that round numbers fall on edges
    first = (low - GRID) // step * step + GRID
    starts = np.arange(first, high, step)
    counts = tuple(int(grid[max(s, 0) : s + step].sum()) for s in starts)
    edges = tuple((int(cell) - GRID) / GRID for cell in (*starts, starts[-1] + step))
    return edges, counts


def _others(grid: Counts, used: float | None) -> list[int]:
    """Ten different cells: those where given shares of the rows fall below, and their neighbours."""
    cells: list[int] = []
    for share in BELOW:
        cell = _quantile(grid, share)
        while cell in cells or (used is not None and _EDGES[cell] == used):
            cell += 1
        cells.append(min(cell, len(_EDGES) - 1))
    return cells
