"""Which of many pictures is near one of a few given ones, by the measure of the duplicates barrier.

The few are those of a tombstone log. Pairs are sorted out by the perceptual hash and by landmarks
before thumbprints are compared, so a million pictures meet one tombstone in well under a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from curate.images.compare import LANDMARK_UNIT, aligned_difference, landmarks
from curate.images.hashes import PRINT_SIDE
from curate.images.neighbours import REACH

Rows = NDArray[np.int64]
PRINT_BYTES: Final = PRINT_SIDE * PRINT_SIDE * 3
PAIRS: Final = 1 << 20
"""Pairs whose hashes are held at a time."""
COMPARED: Final = 2_048


@dataclass(frozen=True)
class Near:
    """For each picture the nearest given one (-1: none is near), and both distances to it."""

    which: Rows
    bits: NDArray[np.int64]
    difference: NDArray[np.float64]


@dataclass(frozen=True)
class Prints:
    """Pictures to compare with: phash uint64 [n], thumbprints uint8 [n, 432]."""

    phash: NDArray[np.uint64]
    thumbprints: NDArray[np.uint8]

    @classmethod
    def of(cls, prints: list[tuple[int, bytes]]) -> Prints:
        joined = b"".join(thumbprint for _, thumbprint in prints)
        return cls(
            np.array([phash for phash, _ in prints], np.uint64),
            np.frombuffer(joined, np.uint8).reshape(len(prints), PRINT_BYTES),
        )

    def __len__(self) -> int:
        return len(self.phash)

    def near(self, others: Prints, *, near_bits: int, near_rgb: float) -> Near:
        """Of each picture of `others`, the given one that it is near to."""
        found = Near(
            np.full(len(others), -1, np.int64), np.zeros(len(others), np.int64),
            np.full(len(others), np.inf),
        )  # fmt: skip
        if not len(self):
            return found
        step = max(1, PAIRS // len(self))
        for start in range(0, len(others), step):
            bits = np.bitwise_count(others.phash[start : start + step, None] ^ self.phash[None, :])
            row, given = np.nonzero(bits <= near_bits)
            self._settle(others, found, row + start, given, near_rgb)
        return found

    def _settle(self, others: Prints, found: Near, row: Rows, given: Rows, near_rgb: float) -> None:
        reach = ((REACH + near_rgb) * LANDMARK_UNIT).astype(np.int64)
        for start in range(0, len(row), COMPARED):
            r, g = row[start : start + COMPARED], given[start : start + COMPARED]
            left, right = others.thumbprints[r], self.thumbprints[g]
            alike = (np.abs(landmarks(left) - landmarks(right)) <= reach).all(axis=1)
            r, g, left, right = r[alike], g[alike], left[alike], right[alike]
            if not len(r):
                continue
            difference = aligned_difference(left, right)
            bits = np.bitwise_count(others.phash[r] ^ self.phash[g])
            for at in np.flatnonzero(difference <= near_rgb):
                if difference[at] < found.difference[r[at]]:
                    found.which[r[at]] = g[at]
                    found.bits[r[at]] = bits[at]
                    found.difference[r[at]] = difference[at]
