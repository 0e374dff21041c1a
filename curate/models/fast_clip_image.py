"""The image towers of CLIP with their blocks as a Stack: open_clip's own, and timm's (SigLIP).

Pictures go in as bytes: patches are one matrix product whose weights hold the normalisation, and
bytes less 128 are exact in bfloat16.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from curate.errors import ModelError
from curate.models.clip_pixels import Preprocess
from curate.models.fast_clip import Stack, parameters, placed
from curate.models.fast_clip_ops import norm, repeatable
from curate.models.fast_clip_parts import (
    fits_open_clip,
    fits_patches,
    fits_timm,
    open_clip_parts,
    timm_parts,
)

if TYPE_CHECKING:
    import torch

ALIGNED = 8
"""A row of patches is filled up to a multiple of so many values: matrix units read 16 bytes."""


def fits(visual: Any) -> str | None:
    """None if an image tower is one that `fast_image` knows, else what is different."""
    if type(visual).__name__ == "TimmModel":
        return fits_timm(visual.trunk) or fits_patches(visual.trunk.patch_embed.proj)
    if type(visual).__name__ != "VisionTransformer":
        return f"the image tower is {type(visual).__name__}"
    if visual.attn_pool is not None:
        return "an attention pools the tokens"
    if visual.pool_type not in ("tok", "avg"):
        return f"tokens are pooled by {visual.pool_type!r}"
    if fits_patches(visual.conv1) is not None or visual.conv1.bias is not None:
        return fits_patches(visual.conv1) or "the patches have a bias"
    return fits_open_clip(visual.transformer)


def fast_image(
    visual: Any, pixels: Preprocess, device: torch.device, dtype: torch.dtype, **options: Any
) -> FastImage | FastTimm:
    """The fast form of an image tower held in float32: uint8 [n, height, width, 3] to [n, dim].

    `options` are the Stack's. Raises ModelError that says what is different in a tower unknown here.
    """
    different = fits(visual)
    if different is not None:
        raise ModelError(different)
    if type(visual).__name__ == "TimmModel":
        return FastTimm(visual, pixels, device, dtype, **options)
    return FastImage(visual, pixels, device, dtype, **options)


class Patches:
    """A convolution over patches as one product, with the pictures' normalisation in its weights.

    Leaves `prefix` rows of zeros in front of each picture's and `offset`, float32 [width], for
    others to add to its rows.
    """

    def __init__(
        self, conv: Any, pixels: Preprocess, prefix: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        import torch
        import torch.nn.functional as F

        self._size: tuple[int, int] = tuple(conv.kernel_size)
        self._prefix, self._dtype = prefix, dtype
        (weight,) = placed((conv.weight,), device)
        mean, std = (torch.tensor(v, device=device) * 255.0 for v in (pixels.mean, pixels.std))
        weight = weight.permute(0, 2, 3, 1) / std
        self.offset: torch.Tensor = (weight * (128.0 - mean)).sum((1, 2, 3))
        if conv.bias is not None:
            self.offset += placed((conv.bias,), device)[0]
        flat = weight.reshape(len(weight), -1)
        self._values = flat.shape[1]
        self._weight = F.pad(flat, (0, -self._values % ALIGNED)).to(dtype)

    def __call__(self, squares: torch.Tensor) -> torch.Tensor:
        """[n × (prefix + patches), width]."""
        import torch
        import torch.nn.functional as F

        (high, wide), count = self._size, len(squares)
        down, across = squares.shape[1] // high, squares.shape[2] // wide
        grid = squares[:, : down * high, : across * wide]
        grid = grid.view(count, down, high, across, wide, 3).permute(0, 1, 3, 2, 4, 5)
        shape = (count, self._prefix + down * across, self._weight.shape[1])
        patches = torch.zeros(shape, dtype=self._dtype, device=squares.device)
        inside = patches[:, self._prefix :, : self._values]
        inside.unflatten(1, (down, across)).unflatten(-1, (high, wide, 3)).copy_(grid)
        inside.sub_(128)
        return F.linear(patches.view(-1, shape[2]), self._weight)


class FastImage:
    """open_clip's VisionTransformer: bytes [n, height, width, 3] to features, float32 [n, dim]."""

    def __init__(
        self, visual: Any, pixels: Preprocess, device: torch.device, dtype: torch.dtype,
        **options: Any,
    ) -> None:  # fmt: skip
        self._stack = Stack(open_clip_parts(visual.transformer), device, dtype, **options)
        self._patches = Patches(visual.conv1, pixels, 1, device, dtype)
        beside, own = placed((visual.positional_embedding, visual.class_embedding), device)
        self._beside = beside.clone()  # what is added to each token of a picture
        self._beside[0] += own
        self._beside[1:] += self._patches.offset
        self._dtype, self._tokens = dtype, len(beside)
        self._before = None
        if type(visual.ln_pre).__name__ != "Identity":
            weight, offset = placed(parameters(visual.ln_pre), device)
            self._before = (weight, offset, float(visual.ln_pre.eps))
        self._after = placed(parameters(visual.ln_post), device)
        self._eps = float(visual.ln_post.eps)
        self._first_only = visual.pool_type == "tok"
        self._pool_first = bool(visual.final_ln_after_pool)
        self._out = None if visual.proj is None else placed((visual.proj,), device)[0]

    @repeatable
    def __call__(self, squares: torch.Tensor) -> torch.Tensor:
        x = self._patches(squares)
        if self._before is None:
            x = (x.view(-1, *self._beside.shape) + self._beside).to(self._dtype).flatten(0, 1)
        else:
            *affine, eps = self._before
            x = norm(x, self._beside, eps, affine=(affine[0], affine[1]))
        x = self._stack(x, self._tokens, first_only=self._first_only)
        pooled = self._pooled(x.float() + self._stack.left)
        return pooled if self._out is None else pooled @ self._out

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        weight, offset = self._after
        if self._first_only:
            return F.layer_norm(x, x.shape[-1:], weight, offset, self._eps)
        x = x.view(-1, self._tokens, x.shape[-1])
        if self._pool_first:
            return F.layer_norm(x[:, 1:].mean(1), x.shape[-1:], weight, offset, self._eps)
        return F.layer_norm(x, x.shape[-1:], weight, offset, self._eps)[:, 1:].mean(1)


class FastTimm:
    """timm's VisionTransformer in open_clip's TimmModel; what comes after the blocks is timm's."""

    def __init__(
        self, visual: Any, pixels: Preprocess, device: torch.device, dtype: torch.dtype,
        **options: Any,
    ) -> None:  # fmt: skip
        import torch

        trunk = visual.trunk
        self._stack = Stack(timm_parts(trunk.blocks), device, dtype, **options)
        self._patches = Patches(trunk.patch_embed.proj, pixels, 0, device, dtype)
        rest = {id(trunk.blocks): torch.nn.Identity()}  # copied without its blocks
        self._rest = copy.deepcopy(visual, rest).to(device, dtype)
        self._offset, self._left = self._patches.offset.to(dtype), self._stack.left.to(dtype)

    @repeatable
    def __call__(self, squares: torch.Tensor) -> torch.Tensor:
        trunk = self._rest.trunk
        x = self._patches(squares).add_(self._offset)
        x = trunk.patch_embed.norm(x).view(len(squares), -1, x.shape[1])
        if trunk.dynamic_img_size:
            high, wide = trunk.patch_embed.patch_size
            x = x.view(len(x), squares.shape[1] // high, squares.shape[2] // wide, -1)
        x = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(x)))
        count, tokens, width = x.shape
        x = self._stack(x.reshape(-1, width), tokens).add_(self._left)
        pooled = trunk.forward_head(trunk.norm(x.view(count, tokens, width)))
        return self._rest.head(pooled).float()
