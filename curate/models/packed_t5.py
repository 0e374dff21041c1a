"""A T5 encoder over packed captions: nothing is padded, so nothing is computed for padding.

Captions stand one after another; attention stays inside a caption and adds T5's relative bias (a
Triton kernel). The weights are the transformers model's own, with the products that share an
input joined into one; residuals are added by the products themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curate.models.caption_packs import PACK_TOKENS, in_order, plan_packs
from curate.models.launch import lane

if TYPE_CHECKING:
    import torch

__all__ = ["PACK_TOKENS", "PackedT5", "fits", "plan_packs"]

QUERIES, KEYS = 64, 64
WARMING = (48, 37, 64)
"""Numbers of tokens that meet every form: of any size, and whether 16 divides it."""


def fits(model: Any) -> str | None:
    """None if the parts of an encoder of transformers are those known here, else what is different."""
    for number, block in enumerate(getattr(model.encoder, "block", ())):
        attention: Any = getattr(block.layer[0], "SelfAttention", None)
        feed: Any = getattr(block.layer[1], "DenseReluDense", None)
        if not all(_plain(getattr(attention, name, None)) for name in "qkvo"):
            return f"the attention of block {number} is in {type(block.layer[0]).__name__}"
        if getattr(attention, "scaling", 1.0) != 1.0:
            return f"the attention of block {number} is scaled"
        if not number and not attention.has_relative_attention_bias:
            return "the first block has no relative attention bias"
        inner = ("wi_0", "wi_1") if model.config.is_gated_act else ("wi",)
        if not all(_plain(getattr(feed, name, None)) for name in (*inner, "wo")):
            return f"the feed-forward of block {number} is {type(feed).__name__}"
    if not getattr(model.encoder, "block", ()):
        return f"{type(model.encoder).__name__} has no blocks"
    width = int(model.config.d_kv)
    return None if width in (16, 32, 64, 128) else f"heads are {width} wide"


def _plain(linear: Any) -> bool:
    """Whether this is a product and nothing else."""
    return getattr(linear, "weight", None) is not None and getattr(linear, "bias", None) is None


@dataclass(frozen=True, slots=True)
class _Layer:
    """The matrices of one block, those with the same input joined; `bias` as the kernel takes it."""

    norm: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    inner_norm: torch.Tensor
    inner: torch.Tensor
    back: torch.Tensor
    bias: torch.Tensor


class PackedT5:
    """The encoder of a T5EncoderModel (or MT5, UMT5) on a GPU, in the model's dtype.

    `longest` bounds a caption's tokens. The model itself is not needed afterwards.
    """

    def __init__(self, model: Any, *, longest: int) -> None:
        import torch

        stack, config = model.encoder, model.config
        self._embed: torch.Tensor = stack.embed_tokens.weight
        self._heads, self._width = int(config.num_heads), int(config.d_kv)
        self._longest = longest
        self._layers = _layers(stack, longest)
        self._last: torch.Tensor = stack.final_layer_norm.weight
        eps, act = float(config.layer_norm_epsilon), stack.block[0].layer[1].DenseReluDense.act
        gated = bool(config.is_gated_act)
        self._norm = torch.compile(lambda values, weight: _rms(values, weight, eps))
        self._activate = torch.compile(lambda inner: _gated(inner, act) if gated else act(inner))

    def states(
        self, ids: Sequence[Sequence[int]], *, pack_tokens: int = PACK_TOKENS, batch_size: int = 0
    ) -> torch.Tensor:
        """States [sum of tokens, dim] on the device in the given order, enqueued without a wait.

        `batch_size` is for encoders that do not pack. Raises ValueError for too long a caption.
        """
        lengths = [len(caption) for caption in ids]
        if max(lengths) > self._longest:
            raise ValueError(f"a caption of {max(lengths)} tokens, {self._longest} at most")
        packs = plan_packs(lengths, pack_tokens)
        parts = [self._states([ids[row] for row in rows]) for rows in packs]
        return in_order(parts, [row for rows in packs for row in rows], lengths)

    def warm(self) -> None:
        """Have all kernels compiled before the work: their forms depend on the number of tokens."""
        for tokens in WARMING:
            self._states([[0] * min(tokens, self._longest)])

    def _states(self, captions: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        told = lane(self._embed.device).send(torch.from_numpy(_flat(captions)))
        tokens, first, last = told[:, : sum(len(caption) for caption in captions)]
        hidden = self._embed[tokens]
        for layer in self._layers:
            seen = self._attend(
                F.linear(self._norm(hidden, layer.norm), layer.qkv), layer, first, last
            )
            hidden.addmm_(seen, layer.out.t())
            inner = F.linear(self._norm(hidden, layer.inner_norm), layer.inner)
            hidden.addmm_(self._activate(inner), layer.back.t())
        normed: torch.Tensor = self._norm(hidden, self._last)
        return normed

    def _attend(
        self, qkv: torch.Tensor, layer: _Layer, first: torch.Tensor, last: torch.Tensor
    ) -> torch.Tensor:
        from curate.models.caption_attention_kernels import attend

        tokens = qkv.shape[0]
        out = qkv.new_empty(tokens, self._heads * self._width)
        attend[(-(-tokens // QUERIES), self._heads)](
            qkv, layer.bias, first, last, out, tokens, heads=self._heads, width=self._width,
            reach=self._longest, queries=QUERIES, keys=KEYS, num_warps=4, num_stages=2,
        )  # fmt: skip
        return out


def _layers(stack: Any, longest: int) -> list[_Layer]:
    layers: list[_Layer] = []
    for block in stack.block:
        attention, feed = block.layer[0].SelfAttention, block.layer[1].DenseReluDense
        inner = [feed.wi] if hasattr(feed, "wi") else [feed.wi_0, feed.wi_1]
        own = attention.has_relative_attention_bias
        layers.append(
            _Layer(
                norm=block.layer[0].layer_norm.weight,
                qkv=_joined([attention.q, attention.k, attention.v]),
                out=attention.o.weight,
                inner_norm=block.layer[1].layer_norm.weight,
                inner=_joined(inner),
                back=feed.wo.weight.to(attention.o.weight.dtype),
                bias=_bias(attention, longest) if own else layers[-1].bias,
            )
        )
    return layers


def _joined(products: Sequence[Any]) -> torch.Tensor:
    """One matrix of several that read the same; the model's own become views of it, to save memory."""
    import torch

    whole = torch.cat([product.weight for product in products])
    parts = whole.split([len(product.weight) for product in products])
    for product, part in zip(products, parts, strict=True):
        product.weight.data = part
    return whole


def _bias(attention: Any, longest: int) -> torch.Tensor:
    """float32 [heads, 2 × longest − 1] of key place minus query place, from −longest + 1 up."""
    import torch

    values = attention.compute_bias(longest, longest)[0]  # [heads, query, key]
    before, after = values[:, 1:, 0].flip(1), values[:, 0, :]
    return torch.cat([before, after], 1).float().contiguous()


def _flat(captions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """int32 [3, tokens or up to 3 more]: ids, and where each token's caption begins and ends.

    The rows lie 16 bytes aligned, so that the kernel has one form whatever the number of tokens.
    """
    lengths = np.array([len(caption) for caption in captions], np.int64)
    ends = np.cumsum(lengths)
    tokens = int(ends[-1])
    flat = np.zeros((3, -(-tokens // 4) * 4), np.int32)
    flat[0, :tokens] = np.concatenate([np.asarray(caption, np.int32) for caption in captions])
    flat[1, :tokens] = np.repeat(ends - lengths, lengths)
    flat[2, :tokens] = np.repeat(ends, lengths)
    return flat


def _rms(values: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """T5's layer norm: no mean taken off, no bias, the root mean square in float32."""
    import torch

    exact = values.float()
    scaled = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + eps)
    return scaled.to(weight.dtype) * weight


def _gated(inner: torch.Tensor, act: Any) -> torch.Tensor:
    gate, linear = inner.chunk(2, -1)
    product: torch.Tensor = act(gate) * linear
    return product
