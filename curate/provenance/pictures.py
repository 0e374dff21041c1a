"""Pictures against what the rows say of them: hash, size, and of a sample all that was measured.

Every picture is hashed and its header read. Decoding costs fifty times as much, so a bounded
share is decoded, chosen by hashes that nobody can foresee; asked to, the audit decodes them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from curate import columns as c
from curate.images.decode import DAMAGE
from curate.provenance.headers import Size, size_of
from curate.provenance.remade import COLUMNS, Tolerance, compare, is_exact
from curate.store.digest import SHA256_BYTES
from curate.store.manifest import Manifest

FEW: Final = 64
"""Up to this many pictures all are decoded."""
SAMPLE: Final = 8
SHARE: Final = 256
"""Of more pictures one in so many, and so many at least: decoding takes fifteen times as long as
hashing, so the sample costs a twentieth of the whole."""
EVERY: Final = 1 << 64
Views = Sequence[memoryview | None]
"""The bytes of each picture, None where there is none."""


@dataclass
class PictureCount:
    """Pictures whose hash and size were compared, of them decoded, of them lossless."""

    pictures: int = 0
    decoded: int = 0
    pixels: int = 0

    def add(self, other: PictureCount) -> None:
        self.pictures += other.pictures
        self.decoded += other.decoded
        self.pixels += other.pixels


@dataclass(frozen=True)
class PictureCheck:
    """How pictures are looked at: what is allowed, and which are decoded.

    A picture is decoded if the first 64 bits of its sha256, mixed with `salt`, are below
    `threshold`.
    """

    allowed: Tolerance
    salt: int
    threshold: int

    def rows(
        self, where: str, table: pa.Table, views: Views, digests: bytes, count: PictureCount
    ) -> Iterator[str]:
        """Problems of some rows of an images layer, given their pictures and those's sha256s.

        `table` has the other columns of the same rows.
        """
        keys = table[c.KEY.name]
        here = np.array([view is not None for view in views], bool)
        for row in np.flatnonzero(~here).tolist():
            yield f"{where}: row {keys[row]} has no picture"
        wrong = _differing(digests, table[c.STORED_SHA256.name])
        for row in np.flatnonzero(wrong & here).tolist():
            told = table[c.STORED_SHA256.name][row]
            yield f"{where}: row {keys[row]}: the picture's bytes do not have stored_sha256 {told}"
        good = np.flatnonzero(here & ~wrong)
        count.pictures += len(good)
        sizes = [table[f.name].to_pylist() for f in (c.WIDTH, c.HEIGHT)]
        chosen = self._chosen(digests)
        for row in good.tolist():
            data = views[row] or memoryview(b"")
            found = size_of(data) or _asked(data)
            if isinstance(found, str):
                yield f"{where}: row {keys[row]}: the picture does not open: {found}"
                continue
            _, width, height = found
            if (width, height) != (sizes[0][row], sizes[1][row]):
                yield (
                    f"{where}: row {keys[row]}: the picture is {width} × {height}, "
                    f"the row says {sizes[0][row]} × {sizes[1][row]}"
                )
            if chosen[row]:
                for problem in self._decoded(found, data, table.slice(row, 1), count):
                    yield f"{where}: row {keys[row]}: {problem}"

    def _decoded(
        self, found: Size, data: memoryview, row: pa.Table, count: PictureCount
    ) -> Iterator[str]:
        names = [field.name for field in COLUMNS if field.name in row.column_names]
        [told] = row.select(names).to_pylist()
        count.decoded += 1
        count.pixels += is_exact(found[0], found[1:], told)
        yield from compare(bytes(data), told, self.allowed)

    def _chosen(self, digests: bytes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        heads = np.frombuffer(digests, ">u8").reshape(-1, 4)[:, 0].astype(np.uint64)
        if self.threshold >= EVERY:
            return np.ones(len(heads), bool)
        return np.asarray((heads ^ np.uint64(self.salt)) < np.uint64(self.threshold))


def picture_check(manifest: Manifest, allowed: Tolerance, *, every: bool) -> PictureCheck:
    """How to look at a dataset's pictures: which sample is decoded follows from its manifest."""
    images = (layer for layer in manifest.layers if layer.name == "images")
    entries = (shard.file("data") for layer in images for shard in layer.shards)
    files = [entry for entry in entries if entry]
    pictures = sum(entry.rows for entry in files)
    wanted = max(SAMPLE, pictures // SHARE)
    salt = int.from_bytes(hashlib.sha256(manifest.to_bytes()).digest()[:8], "big")
    threshold = EVERY if every or pictures <= max(FEW, wanted) else EVERY * wanted // pictures
    return PictureCheck(allowed, salt, threshold)


def _differing(digests: bytes, told: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where the hashes differ from a column of them in hexadecimal; null differs from all."""
    text = digests.hex().encode()
    ends = np.arange(len(told) + 1, dtype=np.int32) * 64
    found = pa.StringArray.from_buffers(len(told), pa.py_buffer(ends), pa.py_buffer(text))
    return np.asarray(pc.fill_null(pc.not_equal(told, found), True))


def views_of(files: pa.BinaryArray) -> list[memoryview | None]:
    """The bytes of each value of an array, not copied; None for null."""
    if not len(files):
        return []
    _, offsets, data = files.buffers()
    ends = np.frombuffer(offsets, "<i4")[files.offset : files.offset + len(files) + 1].tolist()
    whole = memoryview(data if data is not None else b"")
    valid = pc.is_valid(files).to_pylist()
    return [
        whole[start:end] if there else None
        for (start, end), there in zip(pairwise(ends), valid, strict=True)
    ]


def hashed(views: Views) -> bytes:
    """sha256 of each picture, 32 bytes each, zeros where there is none."""
    return b"".join(
        hashlib.sha256(view).digest() if view is not None else bytes(SHA256_BYTES) for view in views
    )


def _asked(data: memoryview) -> Size | str:
    """Pillow's answer for a header that is not plain, or why it does not open."""
    try:
        with Image.open(BytesIO(data)) as image:
            return image.format or "", image.width, image.height
    except (Image.DecompressionBombError, *DAMAGE) as error:
        return str(error)
