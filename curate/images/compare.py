"""Are two thumbprints the same picture, perhaps re-encoded, resized or lightly cropped?

A light crop moves every cell of the 12 × 12 print by a fraction of a cell. To first order that is
the print's own gradient times a shift that grows evenly across the picture, so the best such shift
is fitted and only what it leaves unexplained counts as difference.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from curate.images.hashes import PRINT_SIDE

Prints = NDArray[np.uint8]
Floats = NDArray[np.float64]

SHIFT_LIMIT: Final = 0.5  # of a cell, which is 4 % of the picture
STIFFNESS: Final = 0.4  # holds the shift at zero where the picture has no gradient to fit it to
PLACE: Final[Floats] = (2 * np.arange(PRINT_SIDE) - (PRINT_SIDE - 1)) / 16.0


def _smoothing() -> Floats:
    """Twice the kernel 1-2-1 with repeated edges, as a matrix."""
    once = np.zeros((PRINT_SIDE, PRINT_SIDE))
    for cell in range(PRINT_SIDE):
        for step, weight in ((-1, 0.25), (0, 0.5), (1, 0.25)):
            once[cell, min(max(cell + step, 0), PRINT_SIDE - 1)] += weight
    return np.asarray(once @ once)


def _gradient() -> Floats:
    """Central differences, one-sided at the edges, as a matrix."""
    matrix = np.zeros((PRINT_SIDE, PRINT_SIDE))
    for cell in range(PRINT_SIDE):
        before, after = max(cell - 1, 0), min(cell + 1, PRINT_SIDE - 1)
        matrix[cell, after] += 1 / (after - before)
        matrix[cell, before] -= 1 / (after - before)
    return matrix


SMOOTHING: Final = _smoothing()
GRADIENT: Final = _gradient()


def aligned_difference(left: Prints, right: Prints) -> Floats:
    """Mean absolute RGB difference, in levels of 255, that no light crop explains, [n].

    Both are thumbprints as rows of bytes, [n, 432]. Symmetric; rounded to a hundredth, so that
    the last bits of a linear solver decide nothing.
    """
    first, second = _smoothed(left), _smoothed(right)
    difference = (second - first).reshape(len(first), -1)
    basis = _shifts((first + second) / 2)
    normal = np.einsum("nki,nkj->nij", basis, basis) + STIFFNESS * np.eye(4)
    wanted = np.einsum("nki,nk->ni", basis, difference)
    shift = np.linalg.solve(normal, wanted[..., None])[..., 0].clip(-SHIFT_LIMIT, SHIFT_LIMIT)
    left_over = difference - np.einsum("nki,ni->nk", basis, shift)
    return np.asarray(np.abs(left_over).mean(axis=1).round(2))


def _smoothed(prints: Prints) -> Floats:
    """Prints as levels without the finest detail, [n, 12, 12, 3]."""
    grid = prints.reshape(-1, PRINT_SIDE, PRINT_SIDE, 3).astype(np.float64)
    return np.asarray(np.einsum("yv,xu,nvuc->nyxc", SMOOTHING, SMOOTHING, grid, optimize=True))


def _shifts(grid: Floats) -> Floats:
    """What a shift and a stretch of one cell, across and down, would change, [n, 432, 4]."""
    across = np.einsum("xu,nyuc->nyxc", GRADIENT, grid)
    down = np.einsum("yv,nvxc->nyxc", GRADIENT, grid)
    moves = (across, across * PLACE[:, None], down, down * PLACE[:, None, None])
    return np.stack(moves, axis=-1).reshape(len(grid), -1, 4)


def landmarks(prints: Prints) -> NDArray[np.int32]:
    """Five sums that a light crop hardly changes, [n, 5]: what near duplicates are sought by.

    Brightness, red over green, blue over both, left over right, top over bottom; divided by
    LANDMARK_UNIT they are in levels of 255.
    """
    grid = prints.reshape(-1, PRINT_SIDE, PRINT_SIDE, 3).astype(np.int32)
    red, green, blue = np.moveaxis(grid.sum(axis=(1, 2)), 1, 0)
    light, half = grid.sum(axis=3), PRINT_SIDE // 2
    left = light[:, :, :half].sum(axis=(1, 2)) - light[:, :, half:].sum(axis=(1, 2))
    top = light[:, :half].sum(axis=(1, 2)) - light[:, half:].sum(axis=(1, 2))
    sums = (red + green + blue, red - green, 2 * blue - red - green, left, top)
    return np.stack(sums, axis=1).astype(np.int32)


LANDMARK_UNIT: Final = np.array([432, 144, 288, 432, 432], np.int64)
