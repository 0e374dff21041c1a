"""GroupNorm with SiLU for NHWC tensors in two passes over memory, as Triton kernels.

The first pass adds what a convolution left out (bias, residual) and sums up each channel; a tiny
kernel folds the sums, the norm's weights and the bias into one factor and one offset a channel;
the second pass applies these and SiLU. Sums are float32 and in a fixed order: the same bits each
time. Values bfloat16 or float16 [n, c, h, w] in channels_last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CHUNK, ROWS = 64, 64
"""Channels and pixels that a program holds at a time: 32 values a thread of 128."""
SUMMED, WRITTEN = 16, 4
"""Times that a program repeats this: more where it only reads, measured best on an H200."""


@dataclass(frozen=True, slots=True)
class Sums:
    """float32 [n, tiles, 2, c]: each channel's sum and sum of squares, tile by tile."""

    values: torch.Tensor
    pixels: int


def available() -> bool:
    """Whether there is a GPU and a Triton to compile for it."""
    import torch

    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return torch.cuda.is_available()


def add_and_sum(
    values: torch.Tensor, *, bias: torch.Tensor | None = None,
    residual: torch.Tensor | None = None, residual_bias: torch.Tensor | None = None,
    keep: bool = True,
) -> tuple[torch.Tensor, Sums]:  # fmt: skip
    """`values` with bias, residual and residual's bias added, and the sums over the result.

    With `keep=False` nothing is written: the values come back as they are and the sums are those of
    values plus bias, which `normalise` then has to be told.
    """
    import torch
    import triton

    count, channels, height, width = values.shape
    pixels = height * width
    writes = keep and not (bias is None and residual is None)
    written = torch.empty_like(values) if writes else values
    tile = _tile(pixels, WRITTEN if writes else SUMMED)
    tiles, chunk = triton.cdiv(pixels, tile), min(CHUNK, channels)
    sums = torch.empty((count, tiles, 2, channels), device=values.device, dtype=torch.float32)
    _kernels().add_and_sum[(tiles, channels // chunk, count)](
        values, residual if residual is not None else values,
        bias if bias is not None else values, residual_bias if residual_bias is not None else values,
        written, sums, pixels, tiles, channels=channels, chunk=chunk, tile=tile, rows=ROWS,
        has_bias=bias is not None, has_residual=residual is not None,
        has_residual_bias=residual_bias is not None, writes=writes, num_warps=4,
    )  # fmt: skip
    return written, Sums(sums, pixels)


def normalise(
    values: torch.Tensor, sums: Sums, norm: Any, *, bias: torch.Tensor | None = None,
    silu: bool = True,
) -> torch.Tensor:  # fmt: skip
    """GroupNorm `norm` of values plus bias by their sums, then SiLU unless told otherwise."""
    import torch
    import triton

    count, channels, height, width = values.shape
    tiles = sums.values.shape[1]
    folded = torch.empty((count, 2, channels), device=values.device, dtype=torch.float32)
    size = channels // norm.num_groups
    kernels = _kernels()
    kernels.fold[(count, norm.num_groups)](
        sums.values, norm.weight, norm.bias, bias if bias is not None else values, folded, tiles,
        float(sums.pixels * size), norm.eps, channels=channels, size=size,
        wide=triton.next_power_of_2(size), rows=32, has_bias=bias is not None, num_warps=1,
    )  # fmt: skip
    out = torch.empty_like(values)
    pixels, chunk = height * width, min(CHUNK, channels)
    tile = _tile(pixels, WRITTEN)
    kernels.apply[(triton.cdiv(pixels, tile), channels // chunk, count)](
        values, folded, out, pixels, channels=channels, chunk=chunk, tile=tile, rows=ROWS,
        silu=silu, num_warps=4,
    )  # fmt: skip
    return out


def _tile(pixels: int, loops: int) -> int:
    """Pixels of a program: fewer loops where the picture is small, so that all units have work."""
    return ROWS * max(1, min(loops, pixels // (ROWS * 4)))


@dataclass(frozen=True, slots=True)
class _Kernels:
    add_and_sum: Any
    fold: Any
    apply: Any


@lru_cache(maxsize=1)
def _kernels() -> _Kernels:
    """Importing Triton is left to the first use: most of this package has no GPU."""
    from curate.models import group_norm_kernels as kernels

    return _Kernels(kernels.add_and_sum, kernels.fold, kernels.apply)
