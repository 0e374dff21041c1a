"""The 8-bit form of a text encoder's states: int8 with one bfloat16 scale for each 64 values.

Half the bytes of bfloat16 at 0.6 % relative error on Gaussian rows and 1.8 % at worst on average,
where one value of a block outweighs all others. Scales are rounded up, so nothing clips. The
layout, and how numpy reads it, are in curate.store.numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from curate.store.numbers import BLOCK, INT8, blocks, dequantise, vector_bytes

if TYPE_CHECKING:
    import torch

__all__ = ["BLOCK", "INT8", "blocks", "dequantise", "quantise", "restored", "vector_bytes"]
ROWS: Final = 4096
"""Vectors that are widened to float32 at a time, so that memory does not grow with the pack."""
_INFINITE: Final = 0x7F800000


def quantise(states: torch.Tensor) -> torch.Tensor:
    """States [tokens, dim] of any float type as uint8 [tokens, dim + 2 × blocks], without waiting.

    Vectors that are not finite come out with a scale that is not finite.
    """
    import torch

    tokens, dim = states.shape
    stored = states.new_empty((tokens, vector_bytes(INT8, dim)), dtype=torch.uint8)
    for start in range(0, tokens, ROWS):
        _fill(stored[start : start + ROWS], states[start : start + ROWS], dim)
    return stored


def restored(stored: torch.Tensor, dim: int) -> torch.Tensor:
    """uint8 [tokens, dim + 2 × blocks] as float32 [tokens, dim] on the same device."""
    import torch

    values = stored[:, :dim].view(torch.int8).float()
    scales = stored[:, dim:].clone(memory_format=torch.contiguous_format).view(torch.bfloat16)
    return values.mul_(scales.float().repeat_interleave(BLOCK, dim=1)[:, :dim])


def _fill(stored: torch.Tensor, states: torch.Tensor, dim: int) -> None:
    import torch

    values = torch.nn.functional.pad(states.float(), (0, -dim % BLOCK)).unflatten(1, (-1, BLOCK))
    scales = _rounded_up(values.abs().amax(2) / 127)
    step = scales.float().unsqueeze(2)
    whole = (values / torch.where(step > 0, step, 1.0)).round_().clamp_(-127, 127).to(torch.int8)
    stored[:, :dim] = whole.flatten(1)[:, :dim].view(torch.uint8)
    stored[:, dim:] = scales.view(torch.uint8)


def _rounded_up(values: torch.Tensor) -> torch.Tensor:
    """float32, not negative, to the next bfloat16 that is not smaller; NaN becomes infinite."""
    import torch

    bits = values.view(torch.int32).clamp(max=_INFINITE)
    return ((bits + 0xFFFF) >> 16).to(torch.int16).view(torch.bfloat16)
