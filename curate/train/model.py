"""The denoiser: diffusers' PixArtTransformer2DModel by size.

Using diffusers' own class is what lets a checkpoint open in PixArtAlphaPipeline. It starts from
that class's own weights: starting blocks at zero, as DiT does, learnt more slowly when measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from curate.train.settings import Size


@dataclass(frozen=True)
class Shape:
    """Width of a token, number of blocks, attention heads, and side of a patch in latent cells."""

    width: int
    depth: int
    heads: int
    patch: int


SHAPES: Final[Mapping[Size, Shape]] = {
    "tiny": Shape(width=96, depth=3, heads=2, patch=2),
    "small": Shape(width=192, depth=6, heads=3, patch=2),
    "B/2": Shape(width=768, depth=12, heads=12, patch=2),
    "XL/2": Shape(width=1152, depth=28, heads=16, patch=2),
}


def build(size: Size, *, channels: int, text_dim: int, sample_size: int, seed: int) -> Any:
    """A new PixArtTransformer2DModel in float32, its weights drawn from the seed alone.

    `channels` and `sample_size` (height and width) are those of the latents, `text_dim` the width
    of a token's text embedding.
    """
    import torch
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

    shape = SHAPES[size]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return PixArtTransformer2DModel(
            num_attention_heads=shape.heads,
            attention_head_dim=shape.width // shape.heads,
            num_layers=shape.depth,
            in_channels=channels,
            out_channels=channels,
            cross_attention_dim=shape.width,
            caption_channels=text_dim,
            sample_size=sample_size,
            patch_size=shape.patch,
            interpolation_scale=max(sample_size / 64, 0.5),
            use_additional_conditions=False,
        )
