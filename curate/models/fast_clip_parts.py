"""The matrices of a CLIP transformer as open_clip's and timm's modules hold them.

`fits…` says what differs from the blocks known here: x + out(attention(norm x)), then
x + second(act(first(norm x))), both perhaps scaled by a vector (LayerScale).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.models.fast_clip_ops import Form

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Product:
    """A linear layer, weight [out, in]; a layer without a bias has one of zeros."""

    weight: torch.Tensor
    bias: torch.Tensor

    def scaled(self, by: Any) -> Product:
        """The layer with its outputs scaled by a LayerScale module; others scale nothing."""
        gamma = getattr(by, "gamma", None)
        if gamma is None:
            return self
        return Product(self.weight * gamma[:, None], self.bias * gamma)


@dataclass(frozen=True, slots=True)
class Block:
    """One block; the norms are the modules themselves, LayerScale is part of `out` and `second`."""

    norm: Any
    qkv: Product
    out: Product
    inner_norm: Any
    first: Product
    second: Product


@dataclass(frozen=True, slots=True)
class Parts:
    """The blocks of a transformer, in order, all with as many heads and the same activation."""

    blocks: tuple[Block, ...]
    heads: int
    form: Form


def open_clip_parts(transformer: Any) -> Parts:
    """The parts of an open_clip Transformer of which `fits_open_clip` says nothing."""
    blocks = [
        Block(
            norm=block.ln_1,
            qkv=Product(block.attn.in_proj_weight, block.attn.in_proj_bias),
            out=_product(block.attn.out_proj).scaled(block.ls_1),
            inner_norm=block.ln_2,
            first=_product(block.mlp.c_fc),
            second=_product(block.mlp.c_proj).scaled(block.ls_2),
        )
        for block in transformer.resblocks
    ]
    one = transformer.resblocks[0]
    form = form_of(one.mlp.gelu)
    return Parts(tuple(blocks), int(one.attn.num_heads), form or "erf")


def timm_parts(blocks: Sequence[Any]) -> Parts:
    """The parts of a timm VisionTransformer's blocks of which `fits_timm` says nothing."""
    told = [
        Block(
            norm=block.norm1,
            qkv=_product(block.attn.qkv),
            out=_product(block.attn.proj).scaled(block.ls1),
            inner_norm=block.norm2,
            first=_product(block.mlp.fc1),
            second=_product(block.mlp.fc2).scaled(block.ls2),
        )
        for block in blocks
    ]
    return Parts(tuple(told), int(blocks[0].attn.num_heads), form_of(blocks[0].mlp.act) or "erf")


def fits_open_clip(transformer: Any) -> str | None:
    """None if the parts of an open_clip Transformer are those known here, else what is different."""
    if type(transformer).__name__ != "Transformer":
        return f"the transformer is {type(transformer).__name__}"
    for block in transformer.resblocks:
        if type(block).__name__ != "ResidualAttentionBlock":
            return f"a block is {type(block).__name__}"
        attention = block.attn
        if hasattr(block, "ln_1_kv") or attention.in_proj_weight is None:
            return "an attention looks at something else"
        if attention.in_proj_bias is None or attention.bias_k is not None:
            return "an attention has other biases"
        if attention.add_zero_attn:
            return "an attention may look at nothing"
    blocks = transformer.resblocks
    return (
        _odd_norm(norm for block in blocks for norm in (block.ln_1, block.ln_2))
        or _odd_form(block.mlp.gelu for block in blocks)
        or _odd_heads(block.attn.num_heads for block in blocks)
    )


def fits_timm(trunk: Any) -> str | None:
    """None if the parts of a timm VisionTransformer are those known here, else what is different."""
    if type(trunk).__name__ != "VisionTransformer":
        return f"the trunk is {type(trunk).__name__}"
    if type(trunk.patch_embed).__name__ != "PatchEmbed":
        return f"the patches are made by {type(trunk.patch_embed).__name__}"
    for block in trunk.blocks:
        attention, feed = getattr(block, "attn", None), getattr(block, "mlp", None)
        for part, name in ((block, "Block"), (attention, "Attention"), (feed, "Mlp")):
            if type(part).__name__ != name:
                return f"a block has {type(part).__name__} for {name}"
        extra = [getattr(attention, name, None) for name in ("q_norm", "k_norm", "norm", "gate")]
        extra.append(getattr(feed, "norm", None))
        odd = [part for part in extra if part is not None and type(part).__name__ != "Identity"]
        if odd:
            return f"a block has one more {type(odd[0]).__name__}"
        if attention is not None and attention.qkv.out_features != 3 * attention.qkv.in_features:
            return "an attention is of another width"
    blocks = trunk.blocks
    return (
        _odd_norm(norm for block in blocks for norm in (block.norm1, block.norm2))
        or _odd_form(block.mlp.act for block in blocks)
        or _odd_heads(block.attn.num_heads for block in blocks)
    )


def fits_patches(conv: Any) -> str | None:
    """None if a convolution looks at each pixel of the patches once, else what is different."""
    if type(conv).__name__ != "Conv2d":
        return f"the patches are made by {type(conv).__name__}"
    if tuple(conv.kernel_size) != tuple(conv.stride) or tuple(conv.padding) != (0, 0):
        return "the patches overlap or are padded"
    if conv.in_channels != 3 or conv.groups != 1 or tuple(conv.dilation) != (1, 1):
        return "the patches are not of three colours"
    return None


def form_of(activation: Any) -> Form | None:
    """The form of GELU that a module computes; None for any other function."""
    name = type(activation).__name__
    if name == "QuickGELU":
        return "quick"
    if name == "GELUTanh":
        return "tanh"
    if name == "GELU":
        return "tanh" if getattr(activation, "approximate", "none") == "tanh" else "erf"
    return None


def _product(linear: Any) -> Product:
    weight = linear.weight
    bias = linear.bias if linear.bias is not None else weight.new_zeros(weight.shape[0])
    return Product(weight, bias)


def _odd_norm(norms: Iterable[Any]) -> str | None:
    from torch.nn import LayerNorm

    for norm in norms:
        if not isinstance(norm, LayerNorm) or len(norm.normalized_shape) != 1:
            return f"a norm is {type(norm).__name__}"
    return None


def _odd_form(activations: Iterable[Any]) -> str | None:
    found = list(activations)
    unknown = [one for one in found if form_of(one) is None]
    if unknown:
        return f"the activation is {type(unknown[0]).__name__}"
    return None if len({form_of(one) for one in found}) == 1 else "the activation changes"


def _odd_heads(heads: Iterable[int]) -> str | None:
    return None if len(set(heads)) == 1 else "the number of heads changes"
