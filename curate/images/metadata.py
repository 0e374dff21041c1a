"""Metadata blocks embedded in a picture, raw, taken before any transcoding drops them.

Reading what they say about licences is the work of curate.license; this only keeps the bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from PIL import Image

ORIENTATION_TAG: Final = 0x0112
IPTC_RESOURCE: Final = 0x0404
GIF_XMP: Final = b"\x21\xff\x0bXMP DataXMP"
GIF_XMP_TRAILER: Final = b"\x01\xff\xfe\xfd"


@dataclass(frozen=True, slots=True)
class Embedded:
    """Raw EXIF (a TIFF stream, perhaps after `Exif\\0\\0`), XMP packet and IPTC-IIM records."""

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None


def embedded(im: Image.Image, body: bytes) -> Embedded:
    """The metadata blocks of a loaded picture; `body` is its file."""
    photoshop = im.info.get("photoshop")
    iptc = photoshop.get(IPTC_RESOURCE) if isinstance(photoshop, dict) else None
    xmp = _gif_xmp(body) if im.format == "GIF" else im.info.get("xmp")
    return Embedded(_raw(im.info.get("exif")), _raw(xmp), _raw(iptc))


def orientation(exif: bytes | None) -> int:
    """EXIF orientation, 1 … 8; 1 where there is none or the block is broken."""
    if exif is None:
        return 1
    tags = Image.Exif()
    try:
        tags.load(exif)
        value = tags.get(ORIENTATION_TAG, 1)
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _raw(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape") or None
    return bytes(value) or None if isinstance(value, bytes | bytearray) else None


def _gif_xmp(body: bytes) -> bytes | None:
    """The XMP application extension of a GIF, which Pillow does not read."""
    start = body.find(GIF_XMP)
    if start < 0:
        return None
    start += len(GIF_XMP)
    end = body.find(GIF_XMP_TRAILER, start)
    return body[start:end] if end > start else None
