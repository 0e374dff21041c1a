"""Pictures of different sizes resized to one size together, bytes to bytes, in two kernels.

The same pixels as curate.images.ragged gives within rounding, for a fraction of the memory traffic
and of the calls: a GPU that encodes has little time for anything else.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from curate.images.ragged import Span, resample_each, span
from curate.images.resample import REACH, Box, rounded

if TYPE_CHECKING:
    import torch

ACROSS: Final = (4, 128)
"""Lines and places of a program where the pixels of a line lie side by side."""
DOWN: Final = (128, 4)
"""The same where those of neighbouring lines do."""


def resample_bytes(
    pictures: Sequence[torch.Tensor], boxes: Sequence[Box], *, width: int, height: int,
    chroma: tuple[int, int] = (1, 1),
) -> torch.Tensor:  # fmt: skip
    """`rounded(resample_each(…))`: uint8 [n, height, width, 3], contiguous.

    By kernels of our own on a GPU with Triton. Raises ValueError for a box that is empty or leaves
    its picture.
    """
    if not pictures[0].is_cuda or not has_kernels():
        return rounded(resample_each(pictures, boxes, width=width, height=height, chroma=chroma))
    return by_kernels(pictures, boxes, width=width, height=height, chroma=chroma)


@lru_cache(maxsize=1)
def has_kernels() -> bool:
    """Whether Triton is there to compile them."""
    return importlib.util.find_spec("triton") is not None


def by_kernels(
    pictures: Sequence[torch.Tensor], boxes: Sequence[Box], *, width: int, height: int,
    chroma: tuple[int, int],
) -> torch.Tensor:  # fmt: skip
    """Lines first, then columns of what they gave, held in bytes between as Pillow does."""
    import torch

    device, count = pictures[0].device, len(pictures)
    pictures = [picture.expand(3, -1, -1) for picture in pictures]
    sizes = [(picture.shape[2], picture.shape[1]) for picture in pictures]
    across = [span(w, b[0], b[2], width) for (w, _), b in zip(sizes, boxes, strict=True)]
    down = [span(h, b[1], b[3], height) for (_, h), b in zip(sizes, boxes, strict=True)]
    most = max(s.pixels for s in down)
    between = torch.empty((count, 3, most, width), dtype=torch.uint8, device=device)
    numbers = [
        (picture.data_ptr() + y.first * picture.stride(1), *picture.stride(), x.length, y.pixels, 0)
        for picture, x, y in zip(pictures, across, down, strict=True)
    ]
    _resize(
        numbers, across, between, width, most, (3 * most * width, most * width, width, 1),
        smooth=chroma[0] > 1, block=ACROSS,
    )  # fmt: skip
    size = 3 * most * width
    numbers = [
        (between.data_ptr() + at * size, most * width, 1, width, y.length, width, y.first)
        for at, y in enumerate(down)
    ]
    out = torch.empty((count, height, width, 3), dtype=torch.uint8, device=device)
    _resize(
        numbers, down, out, height, width, (3 * height * width, 1, 3, 3 * width),
        smooth=chroma[1] > 1, block=DOWN,
    )  # fmt: skip
    return out


def _resize(
    numbers: Sequence[tuple[int, ...]], spans: Sequence[Span], out: torch.Tensor, size: int,
    lines: int, apart: tuple[int, int, int, int], *, smooth: bool, block: tuple[int, int],
) -> None:  # fmt: skip
    """One axis of all pictures; `apart` are the steps of `out` a picture, channel, line and place."""
    import torch

    from curate.images.ragged_kernels import resize_axis

    widest = max(max((s.high - s.low) / size, 1.0) for s in spans)
    taps = 2 * math.ceil(REACH * widest) + 3
    told = _sent(torch.tensor(numbers, dtype=torch.int64), out.device)
    ends = _sent(torch.tensor([(s.low, s.high) for s in spans], dtype=torch.float64), out.device)
    lines_a_block, places_a_block = block
    grid = (-(-size // places_a_block), -(-lines // lines_a_block), len(spans))
    resize_axis[grid](
        told, ends, out, taps, size, *apart, smooth=smooth, lines_a_block=lines_a_block,
        places_a_block=places_a_block, num_warps=4,
    )  # fmt: skip


def _sent(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on the device, copied without waiting."""
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host
