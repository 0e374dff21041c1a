"""VAE encoders through diffusers' AutoencoderKL: pictures to latents and back.

What is stored are the moments of the posterior, unscaled: `scaling_factor` and `shift_factor` are
told beside them and never applied in silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.models import digest, read_config, resolve
from curate.models.device import dtype_of, pick
from curate.models.loading import loading, refuse_random

if TYPE_CHECKING:
    import torch

    from curate.models.fused_vae import FusedEncoder


class Vae:
    """A loaded autoencoder with the facts of its config.

    `factor` is how many pixels a latent cell is wide, `channels` the latent channels,
    `scaling_factor` what a diffusion model multiplies latents with (after taking off
    `shift_factor`), `digest` the hash of its files.
    """

    def __init__(self, model: Any, path: Path, device: torch.device) -> None:
        self._model, self._device, self._dtype = model, device, dtype_of(device)
        facts = facts_of(path)
        self.factor, self.channels = int(facts["factor"]), int(facts["channels"])
        self.scaling_factor, self.shift_factor = facts["scaling_factor"], facts["shift_factor"]
        self.digest = digest(path)
        self._fused = _fused(model, device)

    @classmethod
    def load(cls, ref: str, *, device: str = "cpu") -> Vae:
        """Load `builtin:NAME`, a directory or a hub reference; see `curate.models.resolve`.

        Raises ModelError if the directory is not an AutoencoderKL's or lacks weights.
        """
        from diffusers import AutoencoderKL

        path, target = resolve(ref, "vae"), pick(device)
        facts_of(path)
        with loading(ref, path, "diffusers"):
            model, report = AutoencoderKL.from_pretrained(
                path, torch_dtype=dtype_of(target), local_files_only=True, use_safetensors=True,
                low_cpu_mem_usage=False, output_loading_info=True,
            )  # fmt: skip
        refuse_random(report, ref, path)
        return cls(model.to(target).eval().requires_grad_(False), path, target)

    def encode(self, pixels: NDArray[np.uint8], *, batch_size: int = 32) -> NDArray[np.float32]:
        """uint8 [n, h, w, 3] to moments [n, 2 × channels, h / factor, w / factor]: mean, log variance.

        Raises ValueError unless height and width are multiples of `factor`.
        """
        import torch

        n, height, width, _ = pixels.shape
        if height % self.factor or width % self.factor:
            raise ValueError(f"{width} × {height} pixels: both must be multiples of {self.factor}")
        shape = (n, 2 * self.channels, height // self.factor, width // self.factor)
        moments = np.empty(shape, np.float32)
        with torch.inference_mode():
            for start in range(0, n, batch_size):
                batch = torch.from_numpy(pixels[start : start + batch_size]).to(self._device)
                scaled = batch.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()
                told = self._moments(scaled.to(self._dtype))
                moments[start : start + batch_size] = told.float().cpu().numpy()
        return moments

    def _moments(self, pixels: torch.Tensor) -> torch.Tensor:
        """[n, 3, h, w] between −1 and 1 to the posterior's parameters, on the device."""
        import torch

        if self._fused is not None:
            return self._fused(pixels.contiguous(memory_format=torch.channels_last))
        moments: torch.Tensor = self._model.encode(pixels).latent_dist.parameters
        return moments

    def decode(self, latents: NDArray[np.float32], *, batch_size: int = 32) -> NDArray[np.uint8]:
        """Unscaled latents [n, channels, h, w] to uint8 [n, factor × h, factor × w, 3]."""
        import torch

        n, _, height, width = latents.shape
        pictures = np.empty((n, height * self.factor, width * self.factor, 3), np.uint8)
        with torch.inference_mode():
            for start in range(0, n, batch_size):
                batch = torch.from_numpy(latents[start : start + batch_size])
                decoded = self._model.decode(batch.to(self._device, self._dtype)).sample.float()
                bytes_ = decoded.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
                pictures[start : start + batch_size] = bytes_.permute(0, 2, 3, 1).cpu().numpy()
        return pictures


def _fused(model: Any, device: torch.device) -> FusedEncoder | None:
    """The encoder with fused norms where device and model allow it, else None."""
    from curate.models.fused_vae import FusedEncoder, fits
    from curate.models.group_norm import available

    if device.type != "cuda" or not available() or fits(model) is not None:
        return None
    return FusedEncoder(model)


def facts_of(path: Path) -> dict[str, float]:
    """Channels, factor, scaling and shift factor as the config states them; no weights are read."""
    config = read_config(path, "config.json")
    kind = config.get("_class_name")
    if kind != "AutoencoderKL":
        raise ModelError(f"{path}/config.json is of class {kind!r}, expected AutoencoderKL")
    return {
        "channels": int(config.get("latent_channels", 4)),
        "factor": 2 ** (len(config.get("block_out_channels", [64])) - 1),
        "scaling_factor": float(config.get("scaling_factor") or 0.18215),
        "shift_factor": float(config.get("shift_factor") or 0.0),
    }
