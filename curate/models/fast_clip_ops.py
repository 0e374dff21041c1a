"""What a fast CLIP tower does between its matrix products: norm, activation, attention.

Triton kernels on a GPU; the same arithmetic by torch on a CPU. The constants below are settings
of the kernels alone: other values give other speeds, and the same values but for rounding.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeVar

from curate.errors import ModelError

if TYPE_CHECKING:
    import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Form = Literal["erf", "tanh", "quick"]
"""GELU by the error function, in its tanh form, or x σ(1.702 x)."""
Attention = Literal["kernel", "any", "flash", "cudnn", "efficient"]
"""Who computes attention: the kernel of this project, torch's own choice, or one of torch's ways."""

NORM_ROWS, NORM_WARPS = 4, 4
ACTIVATED, ACTIVATED_WARPS = 2048, 8
"""Values that a program activates: 8 a thread."""
QUERIES, KEYS, ATTENTION_WARPS, ATTENTION_STAGES = 64, 128, 4, 2
WIDTHS: Final = (16, 32, 64, 128)
"""Head widths that the attention kernel takes."""


def require_kernels(device: torch.device) -> None:
    """Raise ModelError on a GPU without Triton."""
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ModelError("no package triton; install the CUDA build of torch, which brings it")


def repeatable(call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The call with torch's attention left to ways that give the same bits every time.

    On Hopper torch prefers cuDNN's, which it refuses itself where algorithms must be deterministic
    (`torch.use_deterministic_algorithms`); the forward passes of its other ways are.
    """

    @wraps(call)
    def made(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        ways = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
        with sdpa_kernel(ways):
            return call(*args, **kwargs)

    return made


def norm(
    values: torch.Tensor, table: torch.Tensor, eps: float, *,
    affine: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:  # fmt: skip
    """LayerNorm of values [rows, width] plus table [period, width] (float32), in float32 inside.

    Row r gets table row r mod period. `affine` is weight and offset (float32), if there are any.
    """
    import torch
    import torch.nn.functional as F

    rows, width = values.shape
    period = table.shape[0]
    if not values.is_cuda:
        summed = (values.view(-1, period, width).float() + table).view(rows, width)
        weight, offset = affine or (None, None)
        return F.layer_norm(summed, (width,), weight, offset, eps).to(values.dtype)
    out = torch.empty_like(values)
    weight, offset = affine or (table, table)
    _kernels().norm[(-(-rows // NORM_ROWS),)](
        values, table, weight, offset, out, rows, eps, period=period, width=width,
        wide=1 << (width - 1).bit_length(), block=NORM_ROWS, affine=affine is not None,
        num_warps=NORM_WARPS,
    )  # fmt: skip
    return out


def activate_(values: torch.Tensor, form: Form) -> torch.Tensor:
    """GELU of contiguous values, in place."""
    import torch
    import torch.nn.functional as F

    if values.is_cuda:
        count = values.numel()
        _kernels().activate[(-(-count // ACTIVATED),)](
            values, count, form=form, block=ACTIVATED, num_warps=ACTIVATED_WARPS
        )
        return values
    if form == "quick":
        return values.mul_(torch.sigmoid(1.702 * values))
    return values.copy_(F.gelu(values, approximate="tanh" if form == "tanh" else "none"))


def attend(
    qkv: torch.Tensor, tokens: int, heads: int, *, causal: bool = False, way: Attention = "kernel"
) -> torch.Tensor:
    """Attention inside each sequence of `tokens` rows: qkv [rows, 3 × width] to [rows, width]."""
    import torch.nn.functional as F

    rows, width = qkv.shape[0], qkv.shape[1] // 3
    inner = width // heads
    if way == "kernel" and qkv.is_cuda and not causal and inner in WIDTHS:
        return _attend_by_kernel(qkv, tokens, heads)
    query, key, value = qkv.view(-1, tokens, 3, heads, inner).permute(2, 0, 3, 1, 4)
    with _only(way):
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    return seen.transpose(1, 2).reshape(rows, width)


def _attend_by_kernel(qkv: torch.Tensor, tokens: int, heads: int) -> torch.Tensor:
    import math

    rows, width = qkv.shape[0], qkv.shape[1] // 3
    inner = width // heads
    out = qkv.new_empty(rows, width)
    keys = KEYS if (tokens - 1) % KEYS == 0 and inner <= 64 else min(KEYS, 64)
    _kernels().attend[(-(-tokens // QUERIES), heads, rows // tokens)](
        qkv, out, inner**-0.5 * math.log2(math.e), tokens=tokens, heads=heads, width=inner,
        queries=QUERIES, keys=keys, num_warps=ATTENTION_WARPS, num_stages=ATTENTION_STAGES,
    )  # fmt: skip
    return out


def attend_first(query: torch.Tensor, both: torch.Tensor, heads: int) -> torch.Tensor:
    """What the first token of each sequence sees.

    query [sequences, width], both [sequences, tokens, 2 × width] (keys, values) to [sequences, width].
    """
    import torch.nn.functional as F

    count, width = query.shape
    key, value = both.view(count, -1, 2, heads, width // heads).permute(2, 0, 3, 1, 4)
    seen = F.scaled_dot_product_attention(query.view(count, heads, 1, -1), key, value)
    return seen.reshape(count, width)


def _only(way: Attention) -> Any:
    """torch's attention in one way only."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    ways = {
        "flash": SDPBackend.FLASH_ATTENTION,
        "cudnn": SDPBackend.CUDNN_ATTENTION,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
    }
    return sdpa_kernel(ways[way]) if way in ways else nullcontext()


def _kernels() -> Any:
    """Importing Triton is left to the first use: most of this package has no GPU."""
    from curate.models import fast_clip_kernels

    return fast_clip_kernels
