"""The order in which training sees its samples: plain arithmetic on seed, epoch and counts.

Epochs follow each other in one endless sequence of positions. An epoch shuffles the shards, cuts
their rows into windows, and shuffles within a window, so memory is bounded and reading stays
sequential. The sequence does not know how many ranks share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF


def mix(*values: int) -> int:
    """One 64-bit hash of a few integers; the same on every machine and library version."""
    state = np.uint64(0)
    for value in values:
        step = np.array([(int(state) ^ (value & _MASK)) + _GOLDEN & _MASK], np.uint64)
        state = _scramble(step)[0]
    return int(state)


def uniform(seed: int, salt: int, positions: Indices) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each position."""
    return (_keyed(mix(seed, salt), positions) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(seed: int, count: int) -> Indices:
    """A permutation of range(count); the scramble is a bijection, so there are no ties."""
    return np.argsort(_keyed(seed, np.arange(count, dtype=np.int64))).astype(np.int64)


def _keyed(key: int, values: Indices) -> npt.NDArray[np.uint64]:
    return _scramble(_scramble(values.astype(np.uint64)) ^ np.uint64(key))


def _scramble(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64: a bijection on 64-bit integers (Steele, Lea, Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True)
class Span:
    """Rows `start … stop - 1` of part number `part`, counted over its kept rows in key order."""

    part: int
    start: int
    stop: int


@dataclass(frozen=True)
class Window:
    """Rows that are shuffled together: they hold positions `first … first + size - 1`."""

    first: int
    spans: tuple[Span, ...]
    shuffle: Indices
    """Position `first + i` is row `shuffle[i]` of the spans laid end to end."""

    @property
    def stop(self) -> int:
        return self.first + len(self.shuffle)


@dataclass(frozen=True)
class Order:
    """The endless sequence over parts of the given sizes (kept rows a part)."""

    sizes: tuple[int, ...]
    seed: int
    window_rows: int

    @property
    def rows(self) -> int:
        """Rows of one epoch."""
        return sum(self.sizes)

    def window_at(self, position: int) -> Window:
        """The window that holds a position."""
        epoch, within = divmod(position, self.rows)
        number = within // self.window_rows
        start = number * self.window_rows
        stop = min(start + self.window_rows, self.rows)
        parts = permutation(mix(self.seed, 1, epoch), len(self.sizes))
        shuffle = permutation(mix(self.seed, 2, epoch, number), stop - start)
        return Window(epoch * self.rows + start, tuple(self._spans(parts, start, stop)), shuffle)

    def windows(self, position: int) -> Iterator[Window]:
        """Windows from the one that holds a position onwards, without end."""
        while True:
            window = self.window_at(position)
            yield window
            position = window.stop

    def _spans(self, parts: Indices, start: int, stop: int) -> Iterator[Span]:
        """The parts, laid end to end in epoch order, cut to rows start … stop - 1."""
        begin = 0
        for part in parts.tolist():
            end = begin + self.sizes[part]
            if begin < stop and end > start:
                yield Span(part, max(start, begin) - begin, min(stop, end) - begin)
            begin = end

    def seen(self, positions: int, excluded: Sequence[int] = ()) -> list[Indices]:
        """Per part, the sorted kept-row numbers among the first `positions` positions.

        `excluded` are positions that were read and not handed out.
        """
        if (
            min(excluded, default=positions) >= self.rows
        ):  # a whole epoch before anything is missing
            return [np.arange(size, dtype=np.int64) for size in self.sizes]
        hit = [np.zeros(size, bool) for size in self.sizes]
        position = 0
        while position < positions:
            window = self.window_at(position)
            offsets = np.arange(min(window.stop, positions) - window.first)
            offsets = offsets[~np.isin(window.first + offsets, np.asarray(excluded, np.int64))]
            rows = np.sort(window.shuffle[offsets])
            for span in window.spans:
                count = span.stop - span.start
                here = rows[(rows >= 0) & (rows < count)]
                hit[span.part][here + span.start] = True
                rows = rows - count
            position = window.stop
        return [np.flatnonzero(h).astype(np.int64) for h in hit]
