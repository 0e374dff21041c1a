"""The pixels that encoders see: the crop box of the stored picture, resized to its bucket.

One function for every encoder, so that CLIP judges what the VAE encodes and the trainer learns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from curate import columns as c
from curate.images.decode import DAMAGE

Pixels = NDArray[np.uint8]

COLUMNS: Final = (c.IMAGE, c.CROP_BOX, c.BUCKET_WIDTH, c.BUCKET_HEIGHT)
"""What a stage consumes to call `batches`."""


@dataclass(frozen=True)
class Batch:
    """Some rows of a table and their pixels, all uint8 [height, width, 3] of one bucket or none."""

    rows: list[int]
    pixels: list[Pixels | None]


def crop_to_bucket(body: bytes, box: Sequence[int], width: int, height: int) -> Pixels:
    """Decode a picture, crop `box` (left, top, right, bottom) and resize it: uint8 [height, width, 3].

    Bicubic with antialiasing. Raises ValueError for a box that is empty or leaves the picture, and
    what Pillow raises on damaged bytes (`images.decode.DAMAGE`).
    """
    with Image.open(BytesIO(body)) as image:
        picture = image.convert("RGB")
    left, top, right, bottom = box
    if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
        raise ValueError(f"crop box {list(box)} in a picture of {picture.width} × {picture.height}")
    if (right - left, bottom - top) == (width, height):
        return np.asarray(picture.crop((left, top, right, bottom)))
    corners = (float(left), float(top), float(right), float(bottom))
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC, box=corners))


def batches(table: pa.Table, size: int) -> Iterator[Batch]:
    """Pixels of all rows, `size` at a time, one bucket after the other (None: cannot be read).

    The plan depends on the table alone: buckets in ascending order, rows in theirs. Pictures are
    decoded a batch at a time, so memory does not grow with the table.
    """
    widths, heights = (table[f.name].to_pylist() for f in (c.BUCKET_WIDTH, c.BUCKET_HEIGHT))
    groups: dict[tuple[int, int], list[int]] = {}
    for row, (width, height) in enumerate(zip(widths, heights, strict=True)):
        groups.setdefault((width or 0, height or 0), []).append(row)
    for bucket in sorted(groups):
        rows = groups[bucket]
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            part = table.select([c.IMAGE.name, c.CROP_BOX.name]).take(pa.array(chosen))
            yield Batch(chosen, [_pixels(row, *bucket) for row in part.to_pylist()])


def _pixels(row: dict[str, object], width: int, height: int) -> Pixels | None:
    image, box = row[c.IMAGE.name], row[c.CROP_BOX.name]
    body = image.get("bytes") if isinstance(image, dict) else None
    if not body or not isinstance(box, list) or width < 1 or height < 1:
        return None
    try:
        return crop_to_bucket(body, box, width, height)
    except DAMAGE:
        return None
