"""Bytes that an encoder must move through the GPU's memory for one sample, counted from its sizes.

Counted, not measured: every product and convolution reads its operands and writes its result
once, every norm, activation and residual reads and writes as our kernels do; bfloat16 throughout.
What stays in the caches is not taken off, so the intensity is a lower bound.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from curate.models import Part
from curate.models.caption_packs import PACK_TOKENS

WIDTH: Final = 2  # bytes of a bfloat16
VAE_BATCH_PIXELS: Final = 128 * 256 * 256
CLIP_BATCH: Final = 256


def traffic(part: Part, sizes: str, *, px: int, tokens: float) -> float | None:
    """Bytes a sample (a picture of `px` pixels a side, a caption of `tokens` tokens), or None.

    `sizes` are those of `curate.bench.result.ModelFacts`; None for towers that have no count here.
    """
    told: dict[str, Any] = json.loads(sizes)
    if part == "t5":
        return t5_bytes(told, tokens)
    if part == "vae":
        known = told.get("_class_name") == "AutoencoderKL"
        return vae_bytes(told, px) if known else None
    vision = told["model_cfg"]["vision_cfg"]
    return clip_bytes(vision) if "patch_size" in vision and "width" in vision else None


def t5_bytes(sizes: Mapping[str, Any], tokens: float) -> float:
    """A gated T5 encoder over full packs: weights are read once a pack."""
    dim, feed = int(sizes["d_model"]), int(sizes["d_ff"])
    inner = int(sizes["num_heads"]) * int(sizes["d_kv"])
    weights = 4 * dim * inner + 3 * dim * feed
    attention = (2 + 1) * dim + 2 * 3 * inner + 2 * inner + 2 * dim  # norm, qkv, attend, add
    feeding = (2 + 1) * dim + 2 * 2 * feed + 2 * feed + 2 * dim  # norm, in, activate, add
    each = attention + feeding + weights / PACK_TOKENS
    return float(WIDTH * tokens * (int(sizes["num_layers"]) * each + 4 * dim))


def clip_bytes(vision: Mapping[str, Any]) -> float:
    """The blocks of an image tower, open_clip's or any other of that shape."""
    dim, layers = int(vision["width"]), int(vision["layers"])
    feed = int(dim * float(vision.get("mlp_ratio", 4.0)))
    tokens = (int(vision["image_size"]) // int(vision["patch_size"])) ** 2 + 1
    weights = 4 * dim * dim + 2 * dim * feed
    attention = (2 + 1) * dim + 2 * 3 * dim + 2 * dim + 3 * dim
    feeding = (2 + 1) * dim + 2 * 2 * feed + 3 * dim
    return float(WIDTH * layers * (tokens * (attention + feeding) + weights / CLIP_BATCH))


def vae_bytes(sizes: Mapping[str, Any], px: int) -> float:
    """The encoder of an AutoencoderKL with fused norms: two passes over memory a norm."""
    area, widths = px * px, [int(width) for width in sizes["block_out_channels"]]
    values, weights, before = 3 * area + 3 * widths[0] * area, 27 * widths[0], widths[0]
    for number, width in enumerate(widths):
        for _ in range(int(sizes["layers_per_block"])):
            values += residual_values(before, width) * area
            weights += 9 * (before + width) * width
            before = width
        if number + 1 < len(widths):
            values += width * area  # the down-sampling convolution reads, then writes a quarter
            area //= 4
            values += 3 * width * area
            weights += 9 * width * width
    values += 2 * residual_values(before, before) * area
    values += 16 * before * area + 4 * area * area  # attention over all cells, its scores too
    weights += 2 * 18 * before * before + 4 * before * before
    values += 3 * before * area  # the last norm and convolution
    return float(WIDTH * (values + weights * px * px / VAE_BATCH_PIXELS))


def residual_values(before: int, width: int) -> int:
    """Values a cell of a residual block: two norms and convolutions, the sum, and the shortcut."""
    first = 2 * before + before + width  # normalise, convolve
    second = width + 2 * width + 2 * width  # sums, normalise, convolve
    added = width + before + width  # the result, what came in, what goes out
    return first + second + added + (2 * width if before != width else 0)
