"""Whether latents are worth storing: finite, of a usual spread, and close to their pictures.

Measured on the device beside the encoder and fetched with its results; judged when they are here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from curate.models.vae import Vae

LATENT: Final = "numeric:latent"
STD: Final = "numeric:latent_std"
PSNR: Final = "numeric:psnr"


class Limits(NamedTuple):
    """What latents must keep to.

    `std_range`: standard deviation of a row's mean latent times the scaling factor.
    `check_rows` rows of a shard are decoded, and must come within `least_psnr` decibels of their
    pixels; None decodes nothing.
    """

    std_range: tuple[float, float]
    check_rows: int
    least_psnr: float | None

    def sampled(self, rows: int) -> frozenset[int]:
        """The rows to decode of a shard of so many: spread evenly, the same each time."""
        count = 0 if self.least_psnr is None else min(self.check_rows, rows)
        return frozenset((2 * at + 1) * rows // (2 * count) for at in range(count))


class Verdict(NamedTuple):
    """Why a row cannot be stored, and the number that says so."""

    reason: str
    value: float


def measure(vae: Vae, stored: torch.Tensor) -> torch.Tensor:
    """float32 [n, 2] on the device: how many numbers are not finite, and the scaled deviation.

    `stored` are the float16 values [n, …, h, w].
    """
    import torch

    wrong = stored.isfinite().logical_not().flatten(1).sum(1)
    spread = stored[:, : vae.channels].float().flatten(1).std(1, correction=0)
    return torch.stack([wrong.float(), spread * vae.scaling_factor], 1)


def psnr(vae: Vae, stored: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """float32 [n] on the device: decibels between pictures [n, H, W, 3] and their latents decoded."""
    decoded = vae.pictures(stored[:, : vae.channels])
    error = (decoded - pixels.permute(0, 3, 1, 2).float()).square().mean((1, 2, 3))
    return 10 * (255.0**2 / error).log10()


def judge(found: NDArray[np.float32], limits: Limits) -> dict[int, Verdict]:
    """The first thing wrong with each row of what `measure` found; a NaN is wrong."""
    low, high = limits.std_range
    wrong, spread = found.T
    usual = (spread >= low) & (spread <= high)
    told = {row: Verdict(STD, float(spread[row])) for row in np.flatnonzero(~usual).tolist()}
    return told | {
        row: Verdict(LATENT, float(wrong[row])) for row in np.flatnonzero(wrong != 0).tolist()
    }


def judge_decoded(found: NDArray[np.float32], limits: Limits) -> dict[int, Verdict]:
    """The rows of what `psnr` found that are too far from their pictures; a NaN is."""
    least = -np.inf if limits.least_psnr is None else limits.least_psnr
    far = np.flatnonzero(~(found >= least)).tolist()
    return {row: Verdict(PSNR, float(found[row])) for row in far}
