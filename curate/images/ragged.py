"""Pictures of different sizes resized to one size together, in a handful of kernels.

Crops of one bucket have one shape and differ in scale. Each is laid into a slab of the size of
the largest, and each slab has weights of its own, computed where the pixels are; so a GPU does not
see hundreds of small calls for pictures that all differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from curate.images.resample import ALIGNED, REACH, Box

if TYPE_CHECKING:
    import torch

LUMA: Final = (0.299, 0.587, 0.114)
CHROMA_NEAR: Final = 0.75
"""Weight of the nearer chroma value in libjpeg's upsampling; the other has the rest."""


class Span(NamedTuple):
    """What one axis of a crop reads: pixels first … end of `length`, for low … high."""

    first: int
    end: int
    length: int
    low: float
    high: float

    @property
    def pixels(self) -> int:
        return self.end - self.first


def span(length: int, low: float, high: float, size: int) -> Span:
    """The pixels that `size` outputs of low … high can see, and one more for chroma."""
    if not 0 <= low < high <= length:
        raise ValueError(f"box side {low} … {high} of a picture of {length} pixels")
    scale = (high - low) / size
    beside = REACH * max(scale, 1.0) - 0.5 * scale + 2.0
    first = max(0, math.floor(low - beside))
    return Span(first, min(length, math.ceil(high + beside)), length, low, high)


def resample_each(
    pictures: Sequence[torch.Tensor], boxes: Sequence[Box], *, width: int, height: int,
    chroma: tuple[int, int] = (1, 1),
) -> torch.Tensor:  # fmt: skip
    """Each picture's box, resized like `resample`: [n, 3, height, width], 0 … 255, a view.

    `pictures` are uint8 [3 or 1, H, W] of one device, one channel standing for three equal ones.
    `chroma` tells how many pixels across and down repeat one chroma value, as a decoder leaves
    them that does not interpolate: chroma is then smoothed as libjpeg does, luma left alone.
    Raises ValueError for a box that is empty or leaves its picture.
    """
    sizes = [(picture.shape[2], picture.shape[1]) for picture in pictures]
    across = [span(w, b[0], b[2], width) for (w, _), b in zip(sizes, boxes, strict=True)]
    down = [span(h, b[1], b[3], height) for (_, h), b in zip(sizes, boxes, strict=True)]
    values = _slabs(pictures, across, down)
    values = _columns(values, across, width, chroma[0] > 1)
    values = values.round_().clamp_(0, 255)
    return _rows(values, down, height, chroma[1] > 1).permute(0, 2, 1, 3)


def _slabs(
    pictures: Sequence[torch.Tensor], across: Sequence[Span], down: Sequence[Span]
) -> torch.Tensor:
    """The seen pixels of each picture in the corner of a slab, [n, rows, 3, columns]."""
    import torch

    device = pictures[0].device
    shape = (len(pictures), max(s.pixels for s in down), 3, _padded(max(s.pixels for s in across)))
    slabs = torch.empty(shape, dtype=torch.uint8, device=device)
    for slab, picture, x, y in zip(slabs, pictures, across, down, strict=True):
        seen = picture[:, y.first : y.end, x.first : x.end].permute(1, 0, 2)
        slab[: y.pixels, :, : x.pixels] = seen
    return slabs.to(torch.float16 if slabs.is_cuda else torch.float32)


def _padded(count: int) -> int:
    return -(-count // ALIGNED) * ALIGNED


def _columns(
    values: torch.Tensor, spans: Sequence[Span], size: int, chroma: bool
) -> torch.Tensor:  # fmt: skip
    """[n, rows, 3, columns] to [n, rows, 3, size]."""
    count, rows, _, columns = values.shape

    def across(seen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        made = seen.reshape(count, -1, columns) @ weights[..., :columns].mT
        return made.reshape(count, rows, -1, size)

    return _resized(values, spans, size, chroma, across)


def _rows(values: torch.Tensor, spans: Sequence[Span], size: int, chroma: bool) -> torch.Tensor:
    """[n, rows, 3, columns] to [n, size, 3, columns]."""
    count, rows, _, columns = values.shape

    def down(seen: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        made = weights[..., :rows] @ seen.reshape(count, rows, -1)
        return made.reshape(count, size, -1, columns)

    return _resized(values, spans, size, chroma, down)


def _resized(
    values: torch.Tensor, spans: Sequence[Span], size: int, chroma: bool,
    product: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:  # fmt: skip
    """One axis resized; with `chroma` the colours smoothed besides, under a luma that is not."""
    sharp = weights_of(spans, size, values, smooth=False)
    if not chroma:
        return product(values, sharp)
    smooth = product(values, weights_of(spans, size, values, smooth=True))
    return smooth + (product(_luma(values), sharp) - _luma(smooth))


def _luma(values: torch.Tensor) -> torch.Tensor:
    """[n, rows, 3, columns] to [n, rows, 1, columns]."""
    red, green, blue = (values[:, :, band : band + 1] for band in range(3))
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def weights_of(
    spans: Sequence[Span], size: int, like: torch.Tensor, *, smooth: bool
) -> torch.Tensor:
    """Weights [n, size, inputs] on the device and in the type of `like`, inputs from each `first`.

    The inputs are as many as the longest span has, or more. `smooth` puts libjpeg's chroma filter
    before the resizing: each pixel takes a quarter from its neighbour in the next pair.
    """
    import torch

    host = torch.tensor(spans, dtype=torch.float64)
    first, _, length, low, high = (
        (host.pin_memory().to(like.device, non_blocking=True) if like.is_cuda else host)
        .T[:, :, None, None]
        .unbind(0)
    )
    scale = (high - low) / size
    stretch = scale.clamp(min=1.0)
    centre = low + (torch.arange(size, device=like.device)[None, :, None] + 0.5) * scale
    start = (centre - REACH * stretch + 0.5).trunc().clamp(min=0.0)
    stop = torch.minimum((centre + REACH * stretch + 0.5).trunc(), length)

    def weight(inputs: torch.Tensor) -> torch.Tensor:
        found = _cubic((inputs - centre + 0.5) / stretch)
        return found * ((inputs >= start) & (inputs < stop))

    widest = max(max((s.high - s.low) / size, 1.0) for s in spans)
    taps = 2 * math.ceil(REACH * widest) + 3
    inputs = start - 1.0 + torch.arange(taps, device=like.device)
    weights = weight(inputs)
    if smooth:
        weights = CHROMA_NEAR * weights + (1 - CHROMA_NEAR) * weight(_partner(inputs, length))
        weights = weights * ((inputs >= 0) & (inputs < length))
    weights = weights / weights.sum(-1, keepdim=True)
    room = ALIGNED + _padded(max(s.pixels for s in spans)) + _padded(taps)
    dense = torch.zeros((len(spans), size, room), dtype=like.dtype, device=like.device)
    places = (inputs - first).to(torch.int64) + ALIGNED  # an input of -1 has a place of its own
    return dense.scatter_(2, places, weights.to(like.dtype))[..., ALIGNED:]


def _partner(inputs: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """The neighbour across the border of a pair 0 1 | 2 3 | …; at the picture's edge itself."""
    import torch

    odd = inputs.remainder(2.0)
    partner = inputs + 2.0 * odd - 1.0
    return torch.where((partner < 0) | (partner >= length), inputs, partner)


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' cubic with a = -0.5 where |x| < 2, else 0."""
    import torch

    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, 0.0))
