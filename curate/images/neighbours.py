"""Which pictures repeat a better one? Greedy, in order of rank, without comparing all pairs.

A picture repeats the best-ranked earlier one that is near it and repeats nothing itself (no
chains). Pairs to compare are found through landmarks that a light crop hardly moves: four of them
name a cell of a grid, the fifth a window inside it, so a search meets few others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curate.images.compare import LANDMARK_UNIT, aligned_difference, landmarks

Rows = NDArray[np.int64]

REACH: Final = np.array([3.0, 2.5, 2.5, 2.0, 2.0])
"""How far, in levels beyond the allowed difference, a crop of 4 % moves each landmark."""
LEAF_ROWS: Final = 2_048
CHUNK_ROWS: Final = 16_384
CHUNK_PAIRS: Final = 2_048
CROWD: Final = 256
"""Most rows looked at in one cell, the most alike in brightness first: the bound on the work when
millions of pictures look the same to the landmarks."""


@dataclass(frozen=True)
class Found:
    """For each row the leader it repeats, -1 where none; the distances to it where there is one."""

    leader: Rows
    bits: NDArray[np.uint8]
    difference: NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Near pairs: row numbers and both distances."""

    left: Rows
    right: Rows
    bits: NDArray[np.uint8]
    difference: NDArray[np.float64]


class Neighbours:
    """Near pairs among pictures ranked best first.

    `phash` is uint64 [n], `prints` uint8 [n, 432] (may be a memory map) and `rows` says which of
    its rows belongs to each rank. Holds 28 bytes a picture beside these.
    """

    def __init__(
        self, phash: NDArray[np.uint64], prints: NDArray[np.uint8], rows: Rows, *,
        near_bits: int, near_rgb: float,
    ) -> None:  # fmt: skip
        self._phash, self._prints, self._rows = phash, prints, rows
        self._near_bits, self._near_rgb = near_bits, near_rgb
        self._reach = ((REACH + near_rgb) * LANDMARK_UNIT).astype(np.int64)
        self._marks = np.empty((len(rows), len(LANDMARK_UNIT)), np.int32)
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            self._marks[chunk] = landmarks(prints[rows[chunk]])

    def repeats(self, candidates: Rows) -> Found:
        """Which of the candidates (ranks, ascending) repeat an earlier one of them."""
        size = len(self._rows)
        found = Found(
            np.full(size, -1, np.int64), np.zeros(size, np.uint8), np.zeros(size, np.float64)
        )
        self._settle(candidates, found)
        return found

    def _settle(self, rows: Rows, found: Found) -> None:
        """Decide rows among themselves: the better half, then what it leaves of the other."""
        rows = rows[found.leader[rows] < 0]
        if len(rows) <= LEAF_ROWS:
            self._settle_leaf(rows, found)
            return
        better, other = np.split(rows, [len(rows) // 2])
        self._settle(better, found)
        for pairs in self._pairs(better[found.leader[better] < 0], other):
            _assign(found, pairs)
        self._settle(other, found)

    def _settle_leaf(self, rows: Rows, found: Found) -> None:
        pairs = _joined(list(self._pairs(rows, rows)))
        order = np.lexsort((pairs.left, pairs.right))
        for at in order[pairs.left[order] < pairs.right[order]]:
            left, right = pairs.left[at], pairs.right[at]
            if found.leader[right] < 0 and found.leader[left] < 0:
                found.leader[right] = left
                found.bits[right] = pairs.bits[at]
                found.difference[right] = pairs.difference[at]

    def _pairs(self, left: Rows, right: Rows) -> Iterator[Pairs]:
        """Near pairs of a row of `left` and one of `right`; a pair may come more than once."""
        cells = self._cells(left, 0)
        order = np.argsort(cells, kind="stable")
        index, members = cells[order], left[order]
        for start in range(0, len(right), CHUNK_ROWS):
            chunk = right[start : start + CHUNK_ROWS]
            for sides in product((-1, 1), repeat=len(LANDMARK_UNIT) - 1):
                low, high = self._window(index, self._cells(chunk, np.array(sides)), chunk)
                count = np.maximum(high - low, 0)
                at = np.repeat(low - np.cumsum(count) + count, count) + np.arange(count.sum())
                yield from self._near(members[at], np.repeat(chunk, count))

    def _cells(self, rows: Rows, sides: NDArray[np.int64] | int) -> Rows:
        """Grid cell and brightness of each row in one number; the cell of a place moved aside.

        Cells are two reaches wide, so every row in reach lies in a cell of one of the 16 corners.
        """
        marks, reach = self._marks[rows, 1:].astype(np.int64), self._reach[1:]
        grid = (marks + sides * reach) // (2 * reach) + 512
        packed = np.zeros(len(rows), np.int64)
        for axis in range(grid.shape[1]):
            packed = packed << 10 | grid[:, axis]
        return np.asarray(packed << 20 | self._marks[rows, 0])

    def _window(self, index: Rows, cells: Rows, rows: Rows) -> tuple[Rows, Rows]:
        """Range of `index` in reach of each cell and brightness, at most CROWD wide."""
        light, reach = self._marks[rows, 0].astype(np.int64), self._reach[0]
        cell = cells - light
        low = np.searchsorted(index, cell + np.maximum(light - reach, 0))
        high = np.searchsorted(index, cell + light + reach, side="right")
        middle = np.searchsorted(index, cells)
        return np.maximum(low, middle - CROWD // 2), np.minimum(high, middle + CROWD // 2)

    def _near(self, left: Rows, right: Rows) -> Iterator[Pairs]:
        """Of pairs of ranks those that are near; a worse one is never the leader of a better one."""
        bits = np.bitwise_count(self._phash[left] ^ self._phash[right])
        close = np.flatnonzero((bits <= self._near_bits) & (left < right))
        for start in range(0, len(close), CHUNK_PAIRS):
            at = close[start : start + CHUNK_PAIRS]
            prints = (self._prints[self._rows[side[at]]] for side in (left, right))
            difference = aligned_difference(*prints)
            near = difference <= self._near_rgb
            if near.any():
                at = at[near]
                yield Pairs(left[at], right[at], bits[at], difference[near])


def _assign(found: Found, pairs: Pairs) -> None:
    """Give each right row of the pairs its best-ranked left row, if better than what it has."""
    order = np.lexsort((pairs.left, pairs.right))
    right, first = np.unique(pairs.right[order], return_index=True)
    at = order[first]
    known = found.leader[right]
    better = (known < 0) | (pairs.left[at] < known)
    right, at = right[better], at[better]
    found.leader[right] = pairs.left[at]
    found.bits[right] = pairs.bits[at]
    found.difference[right] = pairs.difference[at]


def _joined(parts: list[Pairs]) -> Pairs:
    none = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0))
    every = [none, *parts]
    return Pairs(
        np.concatenate([p.left for p in every]), np.concatenate([p.right for p in every]),
        np.concatenate([p.bits for p in every]), np.concatenate([p.difference for p in every]),
    )  # fmt: skip
