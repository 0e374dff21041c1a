"""What two pictures are compared by: a pixel hash, a perceptual hash, a small colour print.

All three are integer arithmetic over Pillow's fixed-point resampling, so the same pixels give
the same values on every machine.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PRINT_SIDE: Final = 12
GREY_SIDE: Final = 32
SMALL_SIDE: Final = 96  # a multiple of both, so both are means over whole boxes
LUMA: Final = np.array([299, 587, 114], np.int64)


def _dct_rows() -> NDArray[np.int64]:
    """The first 8 rows of the 32-point DCT-II, in 14-bit fixed point, [8, 32]."""
    frequency, sample = np.mgrid[0:8, 0:GREY_SIDE]
    cosines = np.cos(np.pi * (2 * sample + 1) * frequency / (2 * GREY_SIDE))
    fixed: NDArray[np.int64] = np.rint(cosines * (1 << 14)).astype(np.int64)
    return fixed


DCT: Final = _dct_rows()


def pixel_sha256(picture: Image.Image) -> str:
    """sha256 of the RGB bytes, row by row; the size is not part of it."""
    return sha256(picture.tobytes()).hexdigest()


def perceptual(picture: Image.Image) -> tuple[int, bytes]:
    """The 64-bit DCT hash, and the mean colours of a 12 × 12 grid (432 bytes, RGB by row)."""
    small = picture.resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    pixels = np.asarray(small).astype(np.int64)
    return _dct_hash(_boxes(pixels @ LUMA, GREY_SIDE)), _colours(pixels)


def _boxes(pixels: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Sums over side × side equal boxes."""
    step = SMALL_SIDE // side
    shape = (side, step, side, step, *pixels.shape[2:])
    sums: NDArray[np.int64] = pixels.reshape(shape).sum(axis=(1, 3))
    return sums


def _colours(pixels: NDArray[np.int64]) -> bytes:
    area = (SMALL_SIDE // PRINT_SIDE) ** 2
    mean = (_boxes(pixels, PRINT_SIDE) + area // 2) // area
    return mean.astype(np.uint8).tobytes()


def _dct_hash(grey: NDArray[np.int64]) -> int:
    """One bit for each of the 8 × 8 lowest frequencies: is it above their median?"""
    low = (DCT @ grey @ DCT.T).ravel()
    ordered = np.sort(low)
    bits = 2 * low > ordered[31] + ordered[32]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
