"""A crop of a picture at the size of its bucket, on a CPU: within 54 dB of Pillow's own work.

One core, pictures a second at 4:2:0, 1 Mpx to 256 and to 512, 683 × 512 to 256: Pillow 76, 56, 197,
torchvision's decoder and torch's resizing, chosen here, 229, 167, 366 (benchmarks/decode_cpu.py).
Pillow's draft at a half reaches 185 in the first case alone and falls to 43 dB on real photographs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.images.decode import describe, read, sniff
from curate.images.encode import encode
from curate.images.jpeg import plain
from curate.images.resample import REACH, Box, resample, rounded

if TYPE_CHECKING:
    import torch

Pixels = NDArray[np.uint8]

LEAST_PSNR_DB: Final = 54.0
"""Promised agreement with a full Pillow decode resized by Pillow's BICUBIC (tests/test_crops.py)."""


def crop_to_bucket(
    body: bytes | memoryview, box: Sequence[int], width: int, height: int
) -> Pixels:  # fmt: skip
    """Decode a picture, crop `box` (left, top, right, bottom) and resize it: uint8 [height, width, 3].

    Upright sRGB as `images.decode` gives it; bicubic with antialiasing, the pixels beside the box
    taking part as in Pillow. Raises ValueError for a box that is empty or leaves the picture, and
    what Pillow raises on damaged bytes (`images.decode.DAMAGE`).
    """
    return fit(decoded(body), box, width, height)


def fit(
    pixels: torch.Tensor, box: Sequence[int], width: int, height: int
) -> Pixels:  # fmt: skip
    """The box of a decoded picture, uint8 [3, H, W] of any strides, at a size."""
    left, top, right, bottom = box
    rows, columns = pixels.shape[1:]
    if not (0 <= left < right <= columns and 0 <= top < bottom <= rows):
        raise ValueError(f"crop box {list(box)} in a picture of {columns} × {rows}")
    inside = pixels[:, top:bottom, left:right]
    if (right - left, bottom - top) == (width, height):
        return np.ascontiguousarray(inside.permute(1, 2, 0).numpy())
    found = _shrunk(inside, width, height)
    both = right - left < columns and bottom - top < rows
    for axis, edge, place in _edges(box, (columns, rows), (width, height)):
        found[place] = _strip(pixels, edge, found[place].shape, None if both else axis)
    return found


def _shrunk(pixels: torch.Tensor, width: int, height: int) -> Pixels:
    """uint8 [3, H, W] of any strides to [height, width, 3], by torch's own antialiasing."""
    import torch

    solid = pixels.permute(1, 2, 0).contiguous()[None]  # in this order torch is fastest
    resized = torch.nn.functional.interpolate(
        solid.permute(0, 3, 1, 2), size=(height, width), mode="bicubic", antialias=True
    )
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


def _strip(
    pixels: torch.Tensor, edge: Box, shape: tuple[int, ...], axis: int | None
) -> Pixels:  # fmt: skip
    """A strip of the target that also sees the pixels beside it across `axis` (1: left and right).

    Along the strip torch resizes, since nothing lies beyond its ends; `axis` None: something does.
    Columns come before rows, as in Pillow, so that it clips and rounds alike between them.
    """
    high, wide, _ = shape
    left, top, right, bottom = edge
    if axis is None:
        return _made(pixels, wide, high, edge)
    if axis == 1:
        part = pixels[:, int(top) : int(bottom)]
        few = _made(part, wide, part.shape[1], (left, 0.0, right, bottom - top))
        return _shrunk(_planes(few), wide, high)
    beside = REACH * max((bottom - top) / high, 1.0) + 1.0
    first, end = max(0, math.floor(top - beside)), math.ceil(bottom + beside)
    part = pixels[:, first:end, int(left) : int(right)]
    few = _shrunk(part, wide, part.shape[1])
    return _made(_planes(few), wide, high, (0.0, top - first, float(wide), bottom - first))


def _made(pixels: torch.Tensor, width: int, height: int, box: Box) -> Pixels:
    return rounded(resample(pixels[None], width=width, height=height, box=box))[0].numpy()


def _planes(pixels: Pixels) -> torch.Tensor:
    import torch

    return torch.from_numpy(pixels).permute(2, 0, 1)


def decoded(body: bytes | memoryview) -> torch.Tensor:
    """The upright sRGB pixels of a picture, uint8 [3, H, W] (a view of pixels that lie in order).

    Plain JPEGs by torchvision where it is installed, all else by Pillow. Raises what
    `images.decode.DAMAGE` lists.
    """
    import torch

    reader = jpeg_reader() if plain(body) else None
    if reader is not None:
        try:
            return reader(as_tensor(body))
        except RuntimeError:  # damaged: let Pillow say so, as for any other picture
            pass
    data = bytes(body)
    kind = sniff(data)
    if kind is None:
        raise ValueError(f"no picture but {describe(data)}")
    try:
        picture = read(data, kind).pixels
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


class _Memory:
    """Bytes in numpy's protocol, said to be writable so that torch takes them without a warning."""

    def __init__(self, body: bytes | memoryview) -> None:
        seen = np.frombuffer(body, np.uint8)
        self.body = body
        self.__array_interface__ = seen.__array_interface__ | {
            "data": (seen.__array_interface__["data"][0], False)
        }


def as_tensor(body: bytes | memoryview) -> torch.Tensor:
    """The bytes as a uint8 tensor over the same memory, which it keeps alive; only to be read."""
    import torch

    return torch.from_numpy(np.asarray(_Memory(body)))


@lru_cache(maxsize=1)
def jpeg_reader() -> Callable[[torch.Tensor], torch.Tensor] | None:
    """torchvision's JPEG decoder on the CPU; None where torchvision or its image part is missing."""
    try:
        from torchvision.io import ImageReadMode, decode_jpeg

        decode_jpeg(as_tensor(encode(Image.new("RGB", (16, 16)))), mode=ImageReadMode.RGB)
    except (ImportError, RuntimeError, AttributeError):
        return None
    return partial(decode_jpeg, mode=ImageReadMode.RGB)


def _edges(
    box: Sequence[int], picture: tuple[int, int], target: tuple[int, int]
) -> Iterator[tuple[int, Box, tuple[slice, slice]]]:
    """Strips of the target that see pixels beside the box: axis, their box, their rows and columns."""
    left, top, right, bottom = box
    width, height = target
    across, wide = _reach(right - left, width)
    down, high = _reach(bottom - top, height)
    every = slice(0, height), slice(0, width)
    if left > 0:
        yield 1, (left, top, left + across, bottom), (every[0], slice(0, wide))
    if right < picture[0]:
        yield 1, (right - across, top, right, bottom), (every[0], slice(width - wide, width))
    if top > 0:
        yield 0, (left, top, right, top + down), (slice(0, high), every[1])
    if bottom < picture[1]:
        yield 0, (left, bottom - down, right, bottom), (slice(height - high, height), every[1])


def _reach(length: int, size: int) -> tuple[float, int]:
    """How far a strip goes into the box, in pixels of the picture and of the target."""
    scale = length / size
    count = min(size, math.ceil(REACH * max(scale, 1.0) / scale - 0.5))
    return count * scale, count
