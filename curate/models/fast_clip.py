"""A CLIP transformer's blocks with few passes over memory: the same weights, the same arithmetic.

Products add themselves to the residual stream in place. The biases that they leave out are known
vectors: the next norm adds their sum to what it reads. What a norm scales and shifts by is part
of the product behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from curate.models.fast_clip_ops import (
    Attention,
    Form,
    activate_,
    attend,
    attend_first,
    norm,
    require_kernels,
)
from curate.models.fast_clip_parts import Block, Parts, Product

if TYPE_CHECKING:
    import torch

ATTENTION: Final[Attention] = "kernel"
MLP_ROWS: Final = 0
"""Rows whose inner values are held at a time; 0: all. Few enough stay in the GPU's cache."""
TANH_FOR_ERF: Final = True
"""On a GPU in half precision take GELU's tanh form for the exact one: the product applies it, and
the forms lie closer together (5e-4) than bfloat16's own steps; the error is measured at load."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """The matrices of one block as they are used; `before…` are the biases left out so far."""

    before: torch.Tensor
    eps: float
    qkv: Product
    out: torch.Tensor
    before_inner: torch.Tensor
    inner_eps: float
    first: Product
    second: torch.Tensor


class Stack:
    """The blocks of a transformer on a device, in a dtype; weights are copies.

    `stack(x, tokens)` overwrites x [sequences × tokens, width], contiguous, with what the blocks
    make of it but for `stack.left`, float32 [1, width], which is to be added to every row.
    """

    def __init__(
        self, parts: Parts, device: torch.device, dtype: torch.dtype, *,
        attention: Attention = ATTENTION, mlp_rows: int = MLP_ROWS,
        tanh_for_erf: bool = TANH_FOR_ERF,
    ) -> None:  # fmt: skip
        import torch

        require_kernels(device)
        self._heads, self._attention, self._mlp_rows = parts.heads, attention, mlp_rows
        rounded = device.type == "cuda" and dtype != torch.float32
        near = tanh_for_erf and rounded and parts.form == "erf"
        self._form: Form = "tanh" if near else parts.form
        width = parts.blocks[0].out.bias.shape[0]
        left = torch.zeros(1, width, device=device)
        self._layers: list[_Layer] = []
        for block in parts.blocks:
            layer, left = _laid_out(block, left, device, dtype)
            self._layers.append(layer)
        self.left: torch.Tensor = left

    def __call__(
        self, x: torch.Tensor, tokens: int, *, causal: bool = False, first_only: bool = False
    ) -> torch.Tensor:
        """x itself, or with `first_only` the first token of each sequence alone [sequences, width].

        The last block then computes for those tokens only what no other token looks at.
        """
        for layer in self._layers[:-1] if first_only else self._layers:
            qkv = _linear(norm(x, layer.before, layer.eps), layer.qkv)
            seen = attend(qkv, tokens, self._heads, causal=causal, way=self._attention)
            x.addmm_(seen, layer.out.t())
            self._feed(x, layer)
        return self._first(x, tokens) if first_only else x

    def _feed(self, x: torch.Tensor, layer: _Layer) -> None:
        """The block's second half, added to x."""
        step = self._mlp_rows or max(1, len(x))
        for start in range(0, len(x), step):
            part = x[start : start + step]
            inner = self._inner(norm(part, layer.before_inner, layer.inner_eps), layer.first)
            part.addmm_(inner, layer.second.t())

    def _inner(self, normed: torch.Tensor, first: Product) -> torch.Tensor:
        import torch

        if self._form == "tanh" and normed.is_cuda:  # the product's own GELU is of this form
            return torch._addmm_activation(first.bias, normed, first.weight.t(), use_gelu=True)
        return activate_(_linear(normed, first), self._form)

    def _first(self, x: torch.Tensor, tokens: int) -> torch.Tensor:
        layer, width = self._layers[-1], x.shape[1]
        normed = norm(x, layer.before, layer.eps)
        asked = _linear(normed.view(-1, tokens, width)[:, 0], _rows(layer.qkv, 0, width))
        both = _linear(normed, _rows(layer.qkv, width, 3 * width))
        seen = attend_first(asked, both.view(-1, tokens, 2 * width), self._heads)
        first = x.view(-1, tokens, width)[:, 0].contiguous()
        first.addmm_(seen, layer.out.t())
        self._feed(first, layer)
        return first


def parameters(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and offset of a LayerNorm module, float32; ones and zeros where it has none."""
    import torch

    size = norm.normalized_shape[0]
    weight = norm.weight.float() if norm.weight is not None else torch.ones(size)
    return weight, norm.bias.float() if norm.bias is not None else torch.zeros_like(weight)


def placed(tensors: Sequence[torch.Tensor], device: torch.device) -> tuple[torch.Tensor, ...]:
    """float32 copies on the device."""
    return tuple(tensor.detach().float().to(device) for tensor in tensors)


def _laid_out(
    block: Block, left: torch.Tensor, device: torch.device, dtype: torch.dtype
) -> tuple[_Layer, torch.Tensor]:
    """A block as it is used where `left` is still to be added, and what is to be added after it."""
    out, out_bias, second, second_bias = placed(
        (block.out.weight, block.out.bias, block.second.weight, block.second.bias), device
    )
    middle = left + out_bias
    layer = _Layer(
        before=left,
        eps=float(block.norm.eps),
        qkv=_behind(block.norm, block.qkv, device, dtype),
        out=out.to(dtype),
        before_inner=middle,
        inner_eps=float(block.inner_norm.eps),
        first=_behind(block.inner_norm, block.first, device, dtype),
        second=second.to(dtype),
    )
    return layer, middle + second_bias


def _behind(norm: Any, product: Product, device: torch.device, dtype: torch.dtype) -> Product:
    """A product that takes what a norm gives before it scales and shifts."""
    factor, shift = placed(parameters(norm), device)
    weight, bias = placed((product.weight, product.bias), device)
    return Product((weight * factor).to(dtype), (bias + weight @ shift).to(dtype))


def _rows(product: Product, first: int, end: int) -> Product:
    return Product(product.weight[first:end], product.bias[first:end])


def _linear(values: torch.Tensor, product: Product) -> torch.Tensor:
    import torch.nn.functional as F

    return F.linear(values, product.weight, product.bias)
