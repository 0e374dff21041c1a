"""The arithmetic of each encoder, counted from the dimensions in its config.

A multiplication and an addition are two operations. Only matrix products and convolutions count, at
the true length of each caption: what padding computes is not work. The tests hold every formula
against torch's own counter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from curate.models import CONFIG, read_config


def t5_flops(path: Path, tokens: ArrayLike) -> float:
    """Operations of a T5 encoder over captions of the given numbers of tokens."""
    config = read_config(path, CONFIG["t5"])
    lengths = np.asarray(tokens, np.float64)
    inner = config["num_heads"] * config["d_kv"]
    gated = "gated" in str(config.get("feed_forward_proj", ""))
    feed = (3 if gated else 2) * config["d_model"] * config["d_ff"]
    each = 2 * (4 * config["d_model"] * inner + feed)
    pairs = 4 * inner
    total = lengths.sum() * each + (lengths**2).sum() * pairs
    return float(config["num_layers"] * total)


def vae_flops(path: Path, width: int, height: int) -> float | None:
    """Operations of an AutoencoderKL's encoder on one picture; None for another kind of VAE."""
    config = read_config(path, CONFIG["vae"])
    if config.get("_class_name") != "AutoencoderKL":
        return None
    kinds = config.get("down_block_types", ["DownEncoderBlock2D"])
    if any(kind != "DownEncoderBlock2D" for kind in kinds):
        return None
    sides = [int(side) for side in config["block_out_channels"]]
    layers, latent = int(config.get("layers_per_block", 1)), 2 * int(config["latent_channels"])
    area, before = width * height, sides[0]
    total = _conv(int(config.get("in_channels", 3)), before, area, 3)
    for number, channels in enumerate(sides):
        total += sum(
            _residual(before if layer == 0 else channels, channels, area) for layer in range(layers)
        )
        before = channels
        if number + 1 < len(sides):
            area //= 4
            total += _conv(channels, channels, area, 3)
    total += 2 * _residual(before, before, area) + _conv(before, latent, area, 3)
    if config.get("mid_block_add_attention", True):
        total += 2 * 4 * area * before**2 + 4 * area**2 * before
    if config.get("use_quant_conv", True):
        total += _conv(latent, latent, area, 1)
    return float(total)


def _conv(inside: int, outside: int, area: int, side: int) -> float:
    """A convolution of `side` × `side` with `area` results a channel."""
    return 2.0 * inside * outside * area * side**2


def _residual(inside: int, outside: int, area: int) -> float:
    """Two convolutions, and a third of one pixel where the number of channels changes."""
    shortcut = _conv(inside, outside, area, 1) if inside != outside else 0.0
    return _conv(inside, outside, area, 3) + _conv(outside, outside, area, 3) + shortcut


def clip_image_flops(path: Path) -> float | None:
    """Operations of open_clip's own vision transformer on one picture; None for another tower."""
    model = _clip(path)
    vision = model["vision_cfg"]
    if not isinstance(vision.get("layers"), int) or vision.get("timm_model_name"):
        return None
    width, patch = int(vision.get("width", 768)), int(vision.get("patch_size", 16))
    image = vision.get("image_size", 224)
    down, across = image if isinstance(image, Sequence) else (image, image)
    patches = (down // patch) * (across // patch)
    start = 2.0 * patches * width * 3 * patch**2
    layers = _transformer(width, vision["layers"], vision.get("mlp_ratio", 4.0), [patches + 1])
    return start + layers + 2.0 * width * int(model["embed_dim"])


def clip_text_flops(path: Path, tokens: ArrayLike) -> float | None:
    """Operations of open_clip's own text transformer over texts of these lengths, both ends included.

    None for another tower.
    """
    model = _clip(path)
    text = model["text_cfg"]
    if text.get("hf_model_name"):
        return None
    width, lengths = int(text.get("width", 512)), np.asarray(tokens, np.float64)
    layers = _transformer(width, int(text.get("layers", 12)), text.get("mlp_ratio", 4.0), lengths)
    return layers + 2.0 * width * int(model["embed_dim"]) * lengths.size


def _transformer(width: int, layers: int, ratio: float, lengths: ArrayLike) -> float:
    """Attention over all pairs and a feed-forward of `ratio` times the width, a layer."""
    counts = np.asarray(lengths, np.float64)
    each = 2 * width**2 * (4 + 2 * ratio)
    return float(layers * (counts.sum() * each + (counts**2).sum() * 4 * width))


def _clip(path: Path) -> dict[str, Any]:
    model: dict[str, Any] = read_config(path, CONFIG["clip"])["model_cfg"]
    return model
