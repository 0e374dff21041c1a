"""Tiny autoencoders with random weights, saved as diffusers saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

WEIGHTS = "diffusion_pytorch_model.safetensors"


def save(folder: Path, kind: str, **changes: Any) -> Path:
    """Save a random model of a kind, `kl`, `dc` or `tiny`; `changes` go into its config."""
    import diffusers

    torch.manual_seed(1)
    name, settings = SETTINGS[kind]
    getattr(diffusers, name)(**(settings | changes)).save_pretrained(folder)
    return folder


SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "kl": (
        "AutoencoderKL",
        {
            "down_block_types": ("DownEncoderBlock2D",) * 3,
            "up_block_types": ("UpDecoderBlock2D",) * 3, "block_out_channels": (32, 64, 64),
            "layers_per_block": 1, "norm_num_groups": 8, "latent_channels": 4,
        },
    ),
    "dc": (
        "AutoencoderDC",
        {
            "latent_channels": 8, "encoder_block_out_channels": (16, 32, 32),
            "decoder_block_out_channels": (16, 32, 32), "encoder_layers_per_block": (1, 1, 1),
            "encoder_block_types": ("ResBlock", "ResBlock", "EfficientViTBlock"),
            "decoder_block_types": ("ResBlock", "ResBlock", "EfficientViTBlock"),
            "decoder_layers_per_block": (1, 1, 1), "encoder_qkv_multiscales": ((), (), (5,)),
            "decoder_qkv_multiscales": ((), (), (5,)), "attention_head_dim": 8,
            "scaling_factor": 0.41407,
        },
    ),
    "tiny": (
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": (8, 8, 8), "decoder_block_out_channels": (8, 8, 8),
            "num_encoder_blocks": (1, 1, 1), "num_decoder_blocks": (1, 1, 1),
        },
    ),
}  # fmt: skip


def config(folder: Path, **changes: Any) -> Path:
    """Edit the config of a saved model; what is set to "absent" is taken out."""
    file = folder / "config.json"
    told = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in told.items() if value != "absent"}))
    return folder


def weights(folder: Path, **changes: Any) -> Path:
    """Edit tensors of a saved model: what a name ends with (dots as `__`), and what it becomes."""
    tensors = load_file(folder / WEIGHTS)
    for ending, change in changes.items():
        names = [name for name in tensors if name.endswith(ending.replace("__", "."))]
        if not names:
            raise KeyError(ending)
        for name in names:
            tensors[name] = change(tensors[name])
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def pictures(count: int, *, width: int = 32, height: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """Slopes of colours under some noise: neither flat nor nothing but noise."""
    rng = np.random.default_rng(seed)
    across = np.linspace(0, 1, width)[None, None, :, None]
    down = np.linspace(0, 1, height)[None, :, None, None]
    ends = rng.uniform(0, 255, (3, count, 1, 1, 3))
    made = ends[0] + (ends[1] - ends[0]) * across + (ends[2] - ends[0]) * down
    noisy = made + rng.normal(0, 8, (count, height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8)
