"""Which pictures were drawn so far: no two of a corpus may look alike unless planted so."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

APART: Final = 6.0
"""Least mean 12 × 12 RGB difference of two pictures that are not planted as duplicates."""


class Seen:
    """Up to `most` pictures so far, to tell whether one more would look like any of them."""

    def __init__(self, most: int) -> None:
        self._prints = np.empty((most, 12, 12, 3), np.int16)
        self._coarse = np.empty((most, 27), np.float32)  # 3 × 3 blocks: a lower bound, quickly had
        self._count = 0

    def is_new(self, picture: Image.Image) -> bool:
        """True, and the picture is remembered, if it is APART from all before."""
        small = picture.resize((12, 12), Image.Resampling.BOX)
        fine = np.asarray(small, np.int16)
        coarse = fine.reshape(3, 4, 3, 4, 3).mean((1, 3), np.float32).reshape(27)
        near = np.abs(self._coarse[: self._count] - coarse).mean(1) <= APART
        apart = np.abs(self._prints[: self._count][near] - fine).mean((1, 2, 3))
        if apart.size and apart.min() <= APART:
            return False
        self._prints[self._count], self._coarse[self._count] = fine, coarse
        self._count += 1
        return True
