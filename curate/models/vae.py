"""Autoencoders through diffusers: pictures to latents and back.

What is given is what the encoder says, unscaled: `scaling_factor` and `shift_factor` are told
beside it and never applied in silence.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.models import digest, resolve
from curate.models.agreement import TOLERANCE, Agreement
from curate.models.device import pick
from curate.models.vae_choice import choose, groups_of, made_up, run
from curate.models.vae_kinds import Facts, facts_of, read_weights
from curate.models.vae_paths import fast_paths, float32, without_tf32

if TYPE_CHECKING:
    import torch

    from curate.models.vae_paths import Encode

__all__ = ["Facts", "Vae", "facts_of"]


class Vae:
    """A loaded autoencoder with the facts of its config.

    `factor` is how many pixels a latent cell is wide, `channels` the latent channels,
    `scaling_factor` what a diffusion model multiplies latents with (after taking off
    `shift_factor`), `deterministic` whether the encoder gives the latent itself and no posterior,
    `parameters` the channels that it gives, `digest` the hash of its files, `agreements` what its
    fast paths were found to be on the sample it was loaded with.
    """

    def __init__(
        self, ref: str, path: Path, model: Any, device: torch.device, encode: Encode | None = None,
        agreements: Sequence[Agreement] = (),
    ) -> None:  # fmt: skip
        self._ref, self._path, self._model = ref, path, model
        self._encode = encode or float32(model, device)
        self._exact: Vae | None = None if encode else self
        self._loading = threading.Lock()
        self.device, self.agreements = device, tuple(agreements)
        self.dtype: torch.dtype = next(model.parameters()).dtype
        self.facts = facts = facts_of(path)
        self.factor, self.channels = facts["factor"], facts["channels"]
        self.scaling_factor, self.shift_factor = facts["scaling_factor"], facts["shift_factor"]
        self.deterministic = facts["deterministic"]
        self.parameters = self.channels if self.deterministic else 2 * self.channels
        self.digest = digest(path)

    @classmethod
    def load(
        cls, ref: str, *, device: str = "cpu", sample: Iterable[Any] | None = None,
        tolerance: float = TOLERANCE,
    ) -> Vae:  # fmt: skip
        """Load `builtin:NAME`, a directory or a hub reference; see `curate.models.resolve`.

        `sample` are pictures of the run, uint8 [h, w, 3] or batches of them, of any sizes that
        `factor` divides. On a GPU the fastest path within `tolerance` of float32 on them is taken;
        without them the choice is made on a few made-up ones and no agreement is told. On a CPU
        they are not looked at.
        Raises ModelError if the directory is not an autoencoder's or lacks weights.
        """
        path, target = resolve(ref, "vae"), pick(device)
        exact = cls(ref, path, read_weights(ref, path, target), target)
        if not fast_paths(exact._model, target):
            return exact
        groups = groups_of(() if sample is None else sample)
        encode, told = choose(
            exact._model, groups or made_up(exact.factor), channels=exact.channels, device=target,
            tolerance=tolerance,
        )  # fmt: skip
        model = read_weights(ref, path, target) if encode is None else exact._model
        return cls(ref, path, model, target, encode, told if groups else ())

    def exact(self) -> Vae:
        """The same model in float32 on the same device; read once, when it is first asked for."""
        with self._loading:
            if self._exact is None:
                model = read_weights(self._ref, self._path, self.device)
                self._exact = Vae(self._ref, self._path, model, self.device)
            return self._exact

    def moments(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [n, h, w, 3] on the device to [n, parameters, h / factor, w / factor] there.

        Mean and log variance of the posterior, or the latent itself if `deterministic`. Only
        enqueues: call it inside a turn of the device's lane. Raises ValueError unless height and
        width are multiples of `factor`.
        """
        _, height, width, _ = pixels.shape
        if height % self.factor or width % self.factor:
            raise ValueError(f"{width} × {height} pixels: both must be multiples of {self.factor}")
        return self._encode(pixels)

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """Unscaled latents [n, channels, h, w] on the device to float32 pictures there.

        [n, 3, factor × h, factor × w] from 0 to 255, not rounded. Only enqueues, like `moments`.
        """
        with without_tf32(self.device):
            decoded: torch.Tensor = self._model.decode(latents.to(self.dtype)).sample
        return decoded.float().add(1).mul(127.5).clamp(0, 255)

    def encode(self, pixels: NDArray[np.uint8], *, batch_size: int = 32) -> NDArray[np.float32]:
        """uint8 [n, h, w, 3] to float32 [n, parameters, h / factor, w / factor], as `moments`.

        Raises ValueError unless height and width are multiples of `factor`.
        """
        import torch

        n, height, width, _ = pixels.shape
        told = np.empty(
            (n, self.parameters, height // self.factor, width // self.factor), np.float32
        )
        for start in range(0, n, batch_size):
            batch = torch.from_numpy(
                np.require(pixels[start : start + batch_size], None, ("C", "W"))
            )
            told[start : start + batch_size] = run(self.moments, [batch], self.device)[0].numpy()
        return told

    def decode(self, latents: NDArray[np.float32], *, batch_size: int = 32) -> NDArray[np.uint8]:
        """Unscaled latents [n, channels, h, w] to uint8 [n, factor × h, factor × w, 3]."""
        import torch

        n, _, height, width = latents.shape
        pictures = np.empty((n, height * self.factor, width * self.factor, 3), np.uint8)
        for start in range(0, n, batch_size):
            batch = torch.from_numpy(
                np.require(latents[start : start + batch_size], None, ("C", "W"))
            )
            told = run(self.pictures, [batch], self.device)[0]
            rounded = told.round().to(torch.uint8).permute(0, 2, 3, 1)
            pictures[start : start + batch_size] = rounded.numpy()
        return pictures
