"""A T5 encoder over packed captions: nothing is padded, so nothing is computed for padding.

Captions stand one after another; attention stays inside a caption and adds T5's relative bias (a
Triton kernel). The weights are the transformers model's own, with the products that share an
input joined into one; residuals are added by the products themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

PACK_TOKENS: Final = 16384
"""Most tokens of a pack: enough to fill the GPU's matrix units, 1.3 GB of values on the way."""
QUERIES, KEYS = 64, 64
Rows = NDArray[np.int64]


def plan_packs(lengths: Sequence[int], limit: int = PACK_TOKENS) -> list[list[int]]:
    """Which captions share a pack, by row; follows from the lengths alone.

    As few packs as hold all tokens, about equally full, longest captions first, so that
    neighbours attend over like distances. Raises ValueError for a caption beyond the limit.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    if order and lengths[order[0]] > limit:
        raise ValueError(f"a caption of {lengths[order[0]]} tokens, a pack holds {limit}")
    left = sum(lengths)
    packs: list[list[int]] = []
    start = 0
    while start < len(order):
        fair = -(-left // -(-left // limit))
        end, used = start, 0
        while end < len(order) and used < fair and used + lengths[order[end]] <= limit:
            used += lengths[order[end]]
            end += 1
        packs.append(order[start:end])
        left, start = left - used, end
    return packs


def fits(model: Any) -> str | None:
    """None if the parts of a T5EncoderModel are those known here, else what is different."""
    for block in model.encoder.block:
        attention, feed = block.layer[0].SelfAttention, block.layer[1].DenseReluDense
        if not all(hasattr(attention, name) for name in "qkvo"):
            return f"an attention is {type(attention).__name__}"
        if not hasattr(feed, "wo") or not (hasattr(feed, "wi") or hasattr(feed, "wi_0")):
            return f"a feed-forward is {type(feed).__name__}"
    width = int(model.config.d_kv)
    return None if width in (16, 32, 64, 128) else f"heads are {width} wide"


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
    """The encoder of a transformers T5EncoderModel on a GPU, in the model's dtype.

    `longest` bounds a caption's tokens. The model itself is not needed afterwards.
    """

    def __init__(self, model: Any, *, longest: int, pack_tokens: int = PACK_TOKENS) -> None:
        import torch

        stack, config = model.encoder, model.config
        self._embed: torch.Tensor = stack.embed_tokens.weight
        self._heads, self._width = int(config.num_heads), int(config.d_kv)
        self._longest, self._pack_tokens = longest, pack_tokens
        self._layers = _layers(stack, longest)
        self._last: torch.Tensor = stack.final_layer_norm.weight
        eps, act = float(config.layer_norm_epsilon), stack.block[0].layer[1].DenseReluDense.act
        gated = bool(config.is_gated_act)
        self._norm = torch.compile(lambda values, weight: _rms(values, weight, eps))
        self._activate = torch.compile(lambda inner: _gated(inner, act) if gated else act(inner))

    def encode(self, ids: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """The rows of each pack with their states [tokens, dim], one after another, on the device."""
        for rows in plan_packs([len(row) for row in ids], self._pack_tokens):
            yield rows, self._states([ids[row] for row in rows])

    def _states(self, captions: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        told = torch.from_numpy(_flat(captions)).pin_memory()
        tokens, first, last = told.to(self._embed.device, non_blocking=True)
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
    import torch

    layers: list[_Layer] = []
    for block in stack.block:
        attention, feed = block.layer[0].SelfAttention, block.layer[1].DenseReluDense
        inner = [feed.wi] if hasattr(feed, "wi") else [feed.wi_0, feed.wi_1]
        own = attention.has_relative_attention_bias
        layers.append(
            _Layer(
                norm=block.layer[0].layer_norm.weight,
                qkv=torch.cat([attention.q.weight, attention.k.weight, attention.v.weight]),
                out=attention.o.weight,
                inner_norm=block.layer[1].layer_norm.weight,
                inner=torch.cat([part.weight for part in inner]),
                back=feed.wo.weight.to(attention.o.weight.dtype),
                bias=_bias(attention, longest) if own else layers[-1].bias,
            )
        )
    return layers


def _bias(attention: Any, longest: int) -> torch.Tensor:
    """float32 [heads, 2 × longest − 1] of key place minus query place, from −longest + 1 up."""
    import torch

    weight = attention.relative_attention_bias.weight
    distance = torch.arange(1 - longest, longest, device=weight.device)
    bucket = attention._relative_position_bucket(
        distance, bidirectional=True, num_buckets=attention.relative_attention_num_buckets,
        max_distance=attention.relative_attention_max_distance,
    )  # fmt: skip
    return weight[bucket].t().float().contiguous()


def _flat(captions: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """int32 [3, tokens]: ids, and where each token's caption begins and ends."""
    lengths = np.array([len(caption) for caption in captions], np.int64)
    ends = np.cumsum(lengths)
    ids = np.concatenate([np.asarray(caption, np.int32) for caption in captions])
    return np.stack([ids, np.repeat(ends - lengths, lengths), np.repeat(ends, lengths)]).astype(
        np.int32
    )


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
