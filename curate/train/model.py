"""The denoiser: diffusers' PixArtTransformer2DModel by size, with the starting weights of a DiT.

Using diffusers' own class is what lets a checkpoint open in PixArtAlphaPipeline.
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
        model = PixArtTransformer2DModel(
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
        _initialise(model)
    return model


def _initialise(model: Any) -> None:
    """Start every block as nearly the identity: its cross-attention and the last layer give zero."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    patches = model.pos_embed.proj
    nn.init.xavier_uniform_(patches.weight.view(patches.weight.shape[0], -1))
    steps = model.adaln_single
    for layer in (
        steps.linear,
        steps.emb.timestep_embedder.linear_1,
        steps.emb.timestep_embedder.linear_2,
    ):
        nn.init.normal_(layer.weight, std=0.02)
    for layer in (model.caption_projection.linear_1, model.caption_projection.linear_2):
        nn.init.normal_(layer.weight, std=0.02)
    for block in model.transformer_blocks:
        nn.init.zeros_(block.attn2.to_out[0].weight)
    nn.init.zeros_(model.proj_out.weight)
