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


def photo(width: int, height: int, seed: int = 3) -> Image.Image:
    """A drawn scene with the grain and the uneven light of a photo."""
    rng = np.random.default_rng(seed)
    drawn = np.asarray(scene(seed, (width, height)), np.float64)
    across = np.linspace(0.6, 1.1, width)[None, :, None]
    down = np.linspace(1.05, 0.8, height)[:, None, None]
    lit = drawn * across * down + rng.normal(0, 6, drawn.shape)
    return Image.fromarray(lit.clip(0, 255).astype("u1"))


def planted(width: int = 150, height: int = 106) -> dict[str, bytes]:
    """One photo in every kind of file that a decoder may get wrong; all of them can be read."""
    picture = photo(width, height)
    grey, clear = picture.convert("L"), picture.copy()
    clear.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    marked = grey.convert("LA")
    turned = {f"turned {turn}": file(picture, exif=exif(turn)) for turn in range(1, 9)}
    return turned | {
        "4:4:4": file(picture, quality=95, subsampling="4:4:4"),
        "4:2:2": file(picture, quality=95, subsampling="4:2:2"),
        "4:2:0": file(picture, quality=95, subsampling="4:2:0"),
        "progressive": file(picture, progressive=True),
        "progressive 4:4:4": file(picture, progressive=True, subsampling="4:4:4"),
        "restarts": file(picture, restart_marker_rows=1),
        "grey": file(grey), "grey progressive": file(grey, progressive=True),
        "rgb inside": file(picture, keep_rgb=True),
        "cmyk": file(picture.convert("CMYK")),
        "profile": file(picture, icc_profile=swapped_profile()),
        "srgb profile": file(picture, icc_profile=srgb_profile()),
        "comment": with_segment(file(picture), b"\xff\xfe\0\x08hello!"),
        "after the end": file(picture) + b"\0\0trailing",
        "16 bit": file(deep, "PNG"), "alpha": file(clear, "PNG"), "grey alpha": file(marked, "PNG"),
        "palette": file(picture.quantize(64), "PNG"), "1 bit": file(picture.convert("1"), "PNG"),
        "png profile": file(picture, "PNG", icc_profile=swapped_profile()),
        "webp": file(picture, "WEBP", quality=90), "webp alpha": file(clear, "WEBP", lossless=True),
        "gif": file(picture.quantize(32), "GIF"),
    }  # fmt: skip


def broken() -> dict[str, bytes]:
    """Files that cannot be read."""
    whole, coded = file(photo(150, 106)), file(photo(150, 106), "PNG")
    return {
        "empty": b"", "a page": b"<html></html>", "half": whole[: len(whole) // 2],
        "no end": whole[:-2000], "head alone": whole[:400], "three bytes": whole[:3],
        "no tables": whole[:2] + whole[whole.index(b"\xff\xc0") :],
        "no frame": whole.replace(b"\xff\xc0", b"\xff\xfe", 1),
        "png cut": coded[: len(coded) // 2], "zeros": b"\xff\xd8\xff" + bytes(400) + b"\xff\xd9",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    }  # fmt: skip


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
