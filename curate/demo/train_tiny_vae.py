"""The builtin VAE: a small AutoencoderKL, four pixels to a latent cell, four channels.

Mostly trained on square pictures, on wide and tall ones in between, so that buckets work.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from curate.demo.train_tiny_data import pictures

LABEL: Final = "reconstruction (squared and absolute error) with a light KL term"
CHANNELS: Final = (32, 64, 64)
_KL_WEIGHT: Final = 3e-5
_SIZES: Final = ((64, 64), (96, 64), (64, 96))


def train(
    folder: Path, *, device: str, seconds: float, seed: int, count: int, workers: int
) -> dict[str, Any]:
    """Train for `seconds` and write a diffusers directory; returns what the model card tells."""
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    drawn = [
        pictures(n, seed=seed + i, workers=workers, size=size).pixels
        for i, (size, n) in enumerate(zip(_SIZES, (count, count // 8, count // 8), strict=True))
    ]
    data = [torch.from_numpy(pixels).to(device) for pixels in drawn]
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=CHANNELS, layers_per_block=1, norm_num_groups=8, latent_channels=4,
        sample_size=64,
    ).to(device)  # fmt: skip
    steps = _optimise(model, data, device=device, seconds=seconds, seed=seed)
    model.register_to_config(scaling_factor=round(1 / _spread(model, data[0][:2048]), 4))
    model.to("cpu", torch.float16).save_pretrained(folder)
    parameters = sum(value.numel() for value in model.parameters())
    return {
        "objective": LABEL,
        "steps": steps,
        "parameters": parameters,
        "pictures": count + count // 4,
    }


def _optimise(model: Any, data: list[Any], *, device: str, seconds: float, seed: int) -> int:
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    generator = torch.Generator(device).manual_seed(seed)
    batch = 96 if device.startswith("cuda") else 16
    model.train()
    steps, began = 0, time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        rate = 1e-3 * min(1.0, (steps + 1) / 200) * (1 + np.cos(np.pi * share)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate
        source = data[0] if steps % 4 else data[1 + steps // 4 % 2]
        rows = torch.randint(len(source), (batch,), device=device, generator=generator)
        with torch.autocast(
            device.split(":")[0], torch.bfloat16, enabled=device.startswith("cuda")
        ):
            loss = _loss(model, source[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 500 == 0:
            print(f"vae: step {steps}, loss {loss.item():.5f}", flush=True)
    return steps


def _loss(model: Any, pixels: Any) -> Any:
    images = _scaled(pixels)
    posterior = model.encode(images).latent_dist
    error = model.decode(posterior.sample()).sample.float() - images
    mean, log_variance = posterior.mean.float(), posterior.logvar.float()
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
    return (error**2).mean() + 0.02 * error.abs().mean() + _KL_WEIGHT * divergence


def _scaled(pixels: Any) -> Any:
    return pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def _spread(model: Any, pixels: Any) -> float:
    """Standard deviation of all latents about zero mean, as the scaling factor's convention has it."""
    import torch

    model.eval()
    with torch.inference_mode():
        parts = [
            model.encode(_scaled(part)).latent_dist.mode().float() for part in pixels.split(64)
        ]
    return float(torch.cat(parts).std())
