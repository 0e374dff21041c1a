"""Decode what was fetched, keep its embedded metadata, hash it, and re-encode it.

Everything later stages know about a picture is measured here once; the bytes that are
published are always ours, never the file as it came.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from PIL import Image
from pydantic import Field

from curate import columns as c
from curate.images.decode import Picture, Refusal, codec_versions, decode
from curate.images.encode import (
    EXTENSION,
    LONGEST_SIDE,
    Format,
    Subsampling,
    encode,
    shrink,
    thumbnail,
)
from curate.images.hashes import perceptual, pixel_sha256
from curate.stage import Stage, Transform, mark

Row = dict[str, Any]


class Inspect(Stage):
    """Bytes in; stored picture, sizes, hashes and embedded metadata out.

    Rejects `not_an_image` (by content; text says what it looks like), `corrupt`, and `too_large`
    with the pixel count, or with the side that the output format cannot hold.
    """

    kind: Literal["inspect"] = "inspect"
    format: Format = "jpeg"
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    subsampling: Subsampling = "4:4:4"
    max_side: Annotated[int, Field(ge=1)] | None = None
    max_pixels: Annotated[int, Field(ge=1)] = 64_000_000
    thumbnail_side: Annotated[int, Field(ge=8, le=1024)] = 128

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.BODY])
    produces: ClassVar[pa.Schema] = pa.schema([
        c.IMAGE, c.WIDTH, c.HEIGHT, c.ORIGINAL_WIDTH, c.ORIGINAL_HEIGHT, c.ORIGINAL_FORMAT,
        c.ORIGINAL_MODE, c.ORIENTATION, c.STORED_SHA256, c.PIXEL_SHA256, c.PHASH, c.THUMBPRINT,
        c.THUMBNAIL, c.EMBEDDED_EXIF, c.EMBEDDED_XMP, c.EMBEDDED_IPTC,
    ])  # fmt: skip

    version: ClassVar[int] = 3

    def open(self) -> Transform:
        return self._inspect

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"codecs": codec_versions()}

    def _inspect(self, table: pa.Table) -> pa.Table:
        rows = [
            self._row(key.as_py(), body.as_py())
            for key, body in zip(table[c.KEY.name], table[c.BODY.name], strict=True)
        ]
        for field in self.produces:
            values = [None if isinstance(row, Refusal) else row[field.name] for row in rows]
            table = table.append_column(field, pa.array(values, field.type))
        refused = [row if isinstance(row, Refusal) else None for row in rows]
        return mark(
            table, [None if r is None else r.reason for r in refused], stage=self.kind,
            value=[None if r is None else r.value for r in refused],
            text=[None if r is None else r.text for r in refused],
        )  # fmt: skip

    def _row(self, key: str, body: bytes | None) -> Row | Refusal:
        if body is None:
            return Refusal("not_an_image", None, "no bytes")
        picture = decode(body, max_pixels=self.max_pixels)
        if isinstance(picture, Refusal):
            return picture
        stored = shrink(picture.pixels, self.max_side)
        if max(stored.size) > LONGEST_SIDE[self.format]:
            limit = f"{self.format} holds sides up to {LONGEST_SIDE[self.format]}"
            return Refusal("too_large", float(max(stored.size)), limit)
        return self._measure(key, picture, stored)

    def _measure(self, key: str, picture: Picture, stored: Image.Image) -> Row:
        data = encode(
            stored, format=self.format, quality=self.quality, subsampling=self.subsampling
        )
        phash, thumbprint = perceptual(picture.pixels)
        return {
            c.IMAGE.name: {"bytes": data, "path": f"{key}.{EXTENSION[self.format]}"},
            c.WIDTH.name: stored.width,
            c.HEIGHT.name: stored.height,
            c.ORIGINAL_WIDTH.name: picture.width,
            c.ORIGINAL_HEIGHT.name: picture.height,
            c.ORIGINAL_FORMAT.name: picture.format,
            c.ORIGINAL_MODE.name: picture.mode,
            c.ORIENTATION.name: picture.orientation,
            c.STORED_SHA256.name: sha256(data).hexdigest(),
            c.PIXEL_SHA256.name: pixel_sha256(picture.pixels),
            c.PHASH.name: phash,
            c.THUMBPRINT.name: thumbprint,
            c.THUMBNAIL.name: thumbnail(stored, self.thumbnail_side),
            c.EMBEDDED_EXIF.name: picture.embedded.exif,
            c.EMBEDDED_XMP.name: list(picture.embedded.xmp) or None,
            c.EMBEDDED_IPTC.name: picture.embedded.iptc,
        }
