"""Pillow's antialiased resizing of a whole batch, on any device, as two matrix products.

The weights are Pillow's own, so what a GPU resizes agrees with what Pillow and torch resize on a
CPU: on photos better than 50 dB (tests/test_resample.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Filter = Literal["bicubic", "bilinear"]
Box = tuple[float, float, float, float]
Floats = NDArray[np.float64]

CPU_OUTPUTS: Final = 32
"""Outputs of one product on a CPU, where leaving out the zeros beside the band saves time."""
MIDDLE: Final = 128
"""What half precision counts pixels from: its steps are finest about zero, in photos about grey."""
ALIGNED: Final = 8
"""Half-precision rows start at multiples of 16 bytes, or a GPU's matrix units are fed slowly."""
REACH: Final = 2.0
"""How far the bicubic kernel reaches to each side, in pixels of the coarser of the two grids."""


def resample(
    pixels: torch.Tensor, *, width: int, height: int, box: Box | None = None,
    filter: Filter = "bicubic",
) -> torch.Tensor:  # fmt: skip
    """The box of every picture, resized: [n, 3, height, width], 0 … 255, neither rounded nor clamped.

    `pixels` is uint8 or float [n, 3, H, W] of any strides; `box` is left, top, right, bottom in
    pixels, fractions allowed, of all pictures alike. The result is float32; a GPU multiplies in
    float16, counted from mid-grey, and sums in float32, enqueued on the current stream. Raises
    ValueError for a box that is empty or leaves the picture.
    """
    rows, columns = pixels.shape[-2:]
    left, top, right, bottom = box or (0.0, 0.0, float(columns), float(rows))
    if not (0 <= left < right <= columns and 0 <= top < bottom <= rows and min(width, height) > 0):
        told = (left, top, right, bottom)
        raise ValueError(f"box {told} of a picture of {columns} × {rows} to {width} × {height}")
    where = pixels.device, pixels.is_cuda
    across = _bands(columns, float(left), float(right), width, filter, *where)
    down = _bands(rows, float(top), float(bottom), height, filter, *where)
    return _combined(pixels[..., down.first : down.end, across.first : across.end], across, down)


def _combined(seen: torch.Tensor, across: _Bands, down: _Bands) -> torch.Tensor:
    """The pixels that both axes read, resized along each."""
    half = across.half
    middle = MIDDLE if half else 0.0
    values = _values(seen, ALIGNED if half and across.parts else 1, half, middle)
    if across.parts:
        values = _across(values, across)
        if down.parts:  # Pillow holds bytes between its passes
            values = values.round_().clamp_(-middle, 255 - middle)
    values = _down(values, down)
    return values.float().add_(middle) if half else values


def rounded(values: torch.Tensor) -> torch.Tensor:
    """[n, 3, height, width] of `resample` as uint8 [n, height, width, 3], contiguous."""
    import torch

    whole = (values + 0.5).clamp_(0, 255).to(torch.uint8)  # to integers by cutting off, as Pillow
    return whole.permute(0, 2, 3, 1).contiguous()


@dataclass(frozen=True, slots=True)
class _Part:
    """Weights [inputs, outputs] of the inputs first … end, counted from the first of all parts.

    In half precision rows of zeros follow, to a multiple of `ALIGNED`.
    """

    first: int
    end: int
    weights: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Bands:
    """The inputs first … end of one axis and what makes the outputs of them; no part: a plain copy.

    `half`: weights are float16, in one part, filled up to whole matrix units, as a GPU wants them.
    """

    first: int
    end: int
    parts: tuple[_Part, ...]
    half: bool


def _values(seen: torch.Tensor, multiple: int, half: bool, middle: float) -> torch.Tensor:
    """Pixels less `middle`, contiguous, rows filled up with zeros to a multiple."""
    import torch

    length = seen.shape[-1]
    padded = -(-length // multiple) * multiple
    kind = torch.float16 if half else torch.float32
    values = torch.empty((*seen.shape[:-1], padded), dtype=kind, device=seen.device)
    if middle:
        torch.sub(seen, float(middle), out=values[..., :length])  # computed in float32
    else:
        values[..., :length].copy_(seen)
    values[..., length:].zero_()
    return values


def _across(values: torch.Tensor, bands: _Bands) -> torch.Tensor:
    """Columns combined: [..., inputs] to [..., outputs]."""
    import torch

    if len(bands.parts) == 1:
        return values @ _used(bands.parts[0].weights)  # both filled up with zeros alike
    return torch.cat([values[..., p.first : p.end] @ p.weights for p in bands.parts], -1)


def _down(values: torch.Tensor, bands: _Bands) -> torch.Tensor:
    """Rows combined: [..., inputs, columns] to [..., outputs, columns]."""
    import torch

    if not bands.parts:
        return values
    made = [
        _used(p.weights)[: p.end - p.first].mT @ values[..., p.first : p.end, :]
        for p in bands.parts
    ]
    return made[0] if len(made) == 1 else torch.cat(made, -2)


def _used(weights: torch.Tensor) -> torch.Tensor:
    """Cached weights, kept until the current stream has read them even if the cache drops them."""
    import torch

    if weights.is_cuda:
        weights.record_stream(torch.cuda.current_stream(weights.device))
    return weights


@lru_cache(maxsize=64)
def _bands(
    length: int, low: float, high: float, size: int, filter: Filter, device: torch.device,
    half: bool,
) -> _Bands:  # fmt: skip
    """How `size` outputs are made of low … high on an axis of `length` inputs."""
    if high - low == size and low == int(low):
        return _Bands(int(low), int(high), (), half)
    starts, taps = _taps(length, low, high, size, filter)
    first = int(starts.min())
    end = int(np.max(starts + (taps != 0).cumsum(axis=1).argmax(axis=1))) + 1
    step = size if half else CPU_OUTPUTS
    parts = []
    for at in range(0, size, step):
        begin, some = starts[at : at + step], taps[at : at + step]
        dense = _dense(begin - begin[0], some, end - int(begin[0]))
        parts.append((int(begin[0]) - first, dense))
    made = tuple(_part(at, dense, device, half) for at, dense in parts)
    return _Bands(first, end, made, half)


def _taps(
    length: int, low: float, high: float, size: int, filter: Filter
) -> tuple[NDArray[np.int64], Floats]:
    """First input of each output, and its weights [size, taps], zero where they end (Pillow's rule)."""
    kernel, reach = KERNELS[filter]
    scale = (high - low) / size
    stretch = max(scale, 1.0)
    support = reach * stretch
    centres = low + (np.arange(size) + 0.5) * scale
    starts = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    ends = np.minimum((centres + support + 0.5).astype(np.int64), length)
    inputs = starts[:, None] + np.arange(2 * math.ceil(support) + 1)
    weights = kernel((inputs - centres[:, None] + 0.5) / stretch)
    weights[inputs >= ends[:, None]] = 0.0
    return starts, weights / weights.sum(axis=1, keepdims=True)


def _dense(starts: NDArray[np.int64], taps: Floats, limit: int) -> Floats:
    """Weights as a matrix [inputs, outputs], no more than `limit` inputs, the last one used."""
    outputs, width = taps.shape
    inputs = starts[:, None] + np.arange(width)
    matrix = np.zeros((int(inputs.max()) + 1, outputs))
    matrix[inputs, np.arange(outputs)[:, None]] = taps
    return matrix[:limit]


def _part(first: int, matrix: Floats, device: torch.device, half: bool) -> _Part:
    """The matrix on the device; the copy waits on a stream of its own, never for other work."""
    import torch

    end = first + len(matrix)
    with torch.inference_mode(False):
        if not half:
            return _Part(first, end, torch.from_numpy(matrix.astype(np.float32)))
        padded = np.zeros((-(-len(matrix) // ALIGNED) * ALIGNED, matrix.shape[1]), np.float16)
        padded[: len(matrix)] = matrix
        if device.type != "cuda":
            return _Part(first, end, torch.from_numpy(padded))
        with torch.cuda.stream(_side(device)):
            return _Part(first, end, torch.from_numpy(padded).to(device))


@lru_cache(maxsize=16)
def _side(device: torch.device) -> torch.cuda.Stream:
    """The stream on which weights go to a GPU."""
    import torch

    return torch.cuda.Stream(device)


def _cubic(x: Floats) -> Floats:
    """Keys' cubic with a = -0.5, as Pillow's BICUBIC and torch's with antialiasing."""
    x, a = np.abs(x), -0.5
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _triangle(x: Floats) -> Floats:
    return np.maximum(1.0 - np.abs(x), 0.0)


KERNELS: Final[dict[Filter, tuple[Callable[[Floats], Floats], float]]] = {
    "bicubic": (_cubic, REACH),
    "bilinear": (_triangle, 1.0),
}
