"""Pictures for tests: a drawn scene in any format, with any metadata, and broken on request."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from curate.demo.scenes import draw, random_scene

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><r>by</r></x:xmpmeta>"
IPTC = b"\x1c\x02\x74\x00\x05(c) A"


def scene(seed: int = 1, size: int | tuple[int, int] = 64) -> Image.Image:
    return draw(random_scene(np.random.default_rng(seed)), size)


def file(im: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    im.save(out, form, **options)
    return out.getvalue()


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x8298] = "(c) somebody"
    return tags.tobytes()


def photoshop(iptc: bytes) -> bytes:
    """A JPEG APP13 segment that holds IPTC records."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    data = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(data) + 2) + data


def with_segment(jpeg: bytes, segment: bytes) -> bytes:
    return jpeg[:2] + segment + jpeg[2:]


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces any size and holds no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def swapped_profile() -> bytes:
    """An RGB profile whose red and green primaries are exchanged: unlike sRGB at a glance."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = data.index(b"rXYZ"), data.index(b"gXYZ")
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


def distance(left: Image.Image, right: Image.Image) -> float:
    """Mean absolute difference in levels of 255."""
    if left.size != right.size:
        raise ValueError(f"{left.size} is not {right.size}")
    a, b = (np.asarray(im.convert("RGB"), np.int64) for im in (left, right))
    return float(np.abs(a - b).mean())


def psnr(left: np.ndarray, right: np.ndarray) -> float:
    """Peak signal to noise of two uint8 pictures in decibels; infinite where they are equal."""
    if left.shape != right.shape:
        raise ValueError(f"{left.shape} is not {right.shape}")
    error = float(np.mean((left.astype(np.float64) - right.astype(np.float64)) ** 2))
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
