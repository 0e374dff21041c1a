"""Whether latents are worth storing: finite, of a usual spread, and close to their pictures.

Measured on the device beside the encoder and fetched with its results; judged when they are here.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def measure(
    vae: Vae, stored: torch.Tensor, pixels: torch.Tensor, decoded: Sequence[int]
) -> torch.Tensor:
    """float32 [n, 3] on the device: numbers that are not finite, scaled std, PSNR in decibels.

    `stored` are the float16 values [n, …, h, w] of `pixels` [n, H, W, 3]; PSNR is infinite but for
    the positions `decoded`.
    """
    import torch

    wrong = stored.isfinite().logical_not().flatten(1).sum(1)
    spread = stored[:, : vae.channels].float().flatten(1).std(1, correction=0)
    psnr = torch.full((len(stored),), torch.inf, device=stored.device)
    for at in decoded:
        psnr[at : at + 1] = _psnr(vae, stored[at : at + 1], pixels[at : at + 1])
    return torch.stack([wrong.float(), spread * vae.scaling_factor, psnr], 1)


def _psnr(vae: Vae, stored: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """[1]: decibels between one picture and its latent decoded."""
    decoded = vae.pictures(stored[:, : vae.channels])
    error = (decoded - pixels.permute(0, 3, 1, 2).float()).square().mean((1, 2, 3))
    return 10 * (255.0**2 / error).log10()


def judge(found: NDArray[np.float32], limits: Limits) -> list[Verdict | None]:
    """The first thing wrong with each row of what `measure` found; a NaN is wrong."""
    low, high = limits.std_range
    verdicts: list[Verdict | None] = [None] * len(found)
    wrong, spread, psnr = found.T
    least = -np.inf if limits.least_psnr is None else limits.least_psnr
    for reason, fine, values in (
        (PSNR, psnr >= least, psnr), (STD, (spread >= low) & (spread <= high), spread),
        (LATENT, wrong == 0, wrong),
    ):  # fmt: skip
        for row in np.flatnonzero(~fine).tolist():
            verdicts[row] = Verdict(reason, float(values[row]))
    return verdicts
