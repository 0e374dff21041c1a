"""Pictures against their hashes: the bytes that are stored, and the size they say they have.

The pixel hash was taken before re-encoding, so a lossy file cannot show it again, and of the
original bytes only the hash was kept: the audit says so instead of claiming either.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from curate import columns as c
from curate.store.commit import FileEntry
from curate.store.dataset import Dataset

LOSSLESS = frozenset({"PNG"})
BATCH_ROWS = 64


@dataclass
class PictureCount:
    """How many pictures were compared, and of how many the pixel hash could be taken again."""

    pictures: int = 0
    pixels: int = 0


def check_pictures(dataset: Dataset, entry: FileEntry, count: PictureCount) -> Iterator[str]:
    """Problems of one data file of the images layer, read 64 rows at a time."""
    names = [f.name for f in (c.KEY, c.IMAGE, c.STORED_SHA256, c.PIXEL_SHA256, c.WIDTH, c.HEIGHT,
                              c.ORIGINAL_WIDTH, c.ORIGINAL_HEIGHT)]  # fmt: skip
    with pq.ParquetFile(dataset.path(entry)) as file:
        if c.IMAGE.name not in file.schema_arrow.names:
            return
        wanted = [name for name in names if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            yield from _check_batch(entry, pa.Table.from_batches([batch]), count)


def _check_batch(entry: FileEntry, table: pa.Table, count: PictureCount) -> Iterator[str]:
    for row in table.to_pylist():
        where = f"{entry.path}: row {row['key']}"
        data = (row["image"] or {}).get("bytes")
        if data is None:
            yield f"{where} has no picture"
            continue
        count.pictures += 1
        if hashlib.sha256(data).hexdigest() != row["stored_sha256"]:
            yield f"{where}: the picture's bytes do not have stored_sha256 {row['stored_sha256']}"
            continue
        yield from _check_decoded(where, data, row, count)


def _check_decoded(
    where: str, data: bytes, row: dict[str, object], count: PictureCount
) -> Iterator[str]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            size, form = image.size, image.format
            same = size == (row.get("original_width"), row.get("original_height"))
            pixels = image.convert("RGB").tobytes() if form in LOSSLESS and same else None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        yield f"{where}: the picture does not open: {error}"
        return
    if size != (row["width"], row["height"]):
        yield f"{where}: the picture is {size[0]} × {size[1]}, the row says {row['width']} × {row['height']}"
    if pixels is not None:
        count.pixels += 1
        if hashlib.sha256(pixels).hexdigest() != row["pixel_sha256"]:
            yield f"{where}: the pixels do not have pixel_sha256 {row['pixel_sha256']}"
