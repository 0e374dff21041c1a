"""Bytes to an upright sRGB picture, or a refusal that says why.

The format is decided by content against an allow-list, the size is checked before pixels are
decoded, and what Pillow raises on damaged bytes becomes a refusal: bad pictures are data.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Final, Literal

import numpy as np
from PIL import Image, ImageCms, features

from curate.images.metadata import Embedded, embedded, orientation

DAMAGE: Final = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""What Pillow's decoders raise on damaged bytes (found by fuzzing, tests/test_images.py)."""

UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""EXIF orientation to the turn that sets the picture upright; 1 needs none."""

COLOUR_SPACE: Final = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why bytes are not taken: a reason kind, what was measured, and a word on it."""

    reason: Literal["not_an_image", "corrupt", "too_large"]
    value: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: upright 8-bit sRGB pixels, and the file as it was found."""

    pixels: Image.Image
    format: str
    mode: str
    width: int  # of the file as encoded, before it was set upright
    height: int
    orientation: int
    embedded: Embedded


def decode(body: bytes, *, max_pixels: int) -> Picture | Refusal:
    """The picture in `body`, first frame only, or why it is refused.

    Refuses more than `max_pixels` (width × height) before any pixel is decoded. Not thread-safe:
    Pillow's pixel limit and Python's warning filters are process-wide while it runs.
    """
    kind = sniff(body)
    if kind is None:
        return Refusal("not_an_image", None, describe(body))
    with _pixel_limit(max_pixels):
        try:
            return read(body, kind)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            return Refusal("too_large", _pixels_named_in(error), f"max_pixels {max_pixels}")
        except DAMAGE as error:
            return Refusal("corrupt", None, _message(error))


def read(body: bytes, kind: str) -> Picture:
    """The picture in a file of the format that `sniff` found; thread-safe, with Pillow's own limit.

    Raises what Pillow raises on damaged bytes (`DAMAGE`) or on too many pixels.
    """
    with Image.open(BytesIO(body), formats=[kind]) as im:
        im.load()
        found = embedded(im, body)
        turn = orientation(found.exif)
        mode, (width, height) = im.mode, im.size
        pixels = to_srgb(im)
    if turn in UPRIGHT:
        pixels = pixels.transpose(UPRIGHT[turn])
    return Picture(pixels, im.format or kind, mode, width, height, turn, found)


def sniff(body: bytes) -> str | None:
    """Pillow's name of the allowed format that the first bytes announce, None if there is none."""
    if body.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    if body[4:8] == b"ftyp" and _brands(body) & {b"avif", b"avis"}:
        return "AVIF"
    return None


def _brands(body: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO media file."""
    end = min(int.from_bytes(body[:4], "big"), len(body), 256)
    return {body[8:12], *(body[at : at + 4] for at in range(16, end - 3, 4))}


def describe(body: bytes) -> str:
    """One word for bytes that are no allowed picture, for the person who reads the verdict."""
    if not body:
        return "empty"
    start = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "svg"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "html"
    known = {
        b"%pdf": "pdf", b"bm": "bmp", b"ii*\0": "tiff", b"mm\0*": "tiff", b"8bps": "psd",
        b"\0\0\1\0": "ico", b"<?xml": "xml", b"{": "json", b"\xff\x0a": "jxl", b"\x1f\x8b": "gzip",
    }  # fmt: skip
    return next((word for magic, word in known.items() if start.startswith(magic)), "unknown")


def to_srgb(im: Image.Image) -> Image.Image:
    """8-bit sRGB pixels of a loaded picture, alpha over white, with an empty `info`.

    The embedded ICC profile is applied; one that is broken or of another colour space is
    ignored, and CMYK without a profile is converted by Pillow's plain formula.
    """
    base, alpha = _split(im)
    icc = im.info.get("icc_profile")
    transform = _to_srgb(icc, base.mode) if isinstance(icc, bytes) and icc else None
    rgb = ImageCms.applyTransform(base, transform) if transform else base.convert("RGB")
    if rgb is None:
        raise ValueError("the colour transform gave no picture")
    if alpha is not None:
        white = Image.new("RGB", rgb.size, "white")
        white.paste(rgb, mask=alpha)
        rgb = white
    rgb = rgb.copy() if rgb is im else rgb
    rgb.info.clear()
    return rgb


def _split(im: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The picture as L, RGB or CMYK, and its alpha as L where it has any transparency."""
    if im.mode.startswith("I"):
        return _eight_bits(im)
    transparent = "transparency" in im.info
    if im.mode == "P":
        im = im.convert("RGBA" if transparent else "RGB")
    elif transparent and im.mode in ("1", "L", "RGB"):
        im = im.convert("RGBA" if im.mode == "RGB" else "LA")
    if im.mode in ("LA", "RGBA"):
        *bands, alpha = im.split()
        base = bands[0] if len(bands) == 1 else Image.merge("RGB", bands)
        return base, None if alpha.getextrema() == (255, 255) else alpha
    if im.mode == "1":
        return im.convert("L"), None
    return (im if im.mode in COLOUR_SPACE else im.convert("RGB")), None


def _eight_bits(im: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """16-bit grey scaled to 8 bits (Pillow's own conversion clips it to white)."""
    deep = np.asarray(im).astype(np.int64).clip(0, 65535)
    grey = Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    clear = im.info.get("transparency")
    if not isinstance(clear, int):
        return grey, None
    return grey, Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8))


@lru_cache(maxsize=32)
def _to_srgb(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from an ICC profile to sRGB; None where the profile is of no use."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(icc))
        if profile.profile.xcolor_space.strip() != COLOUR_SPACE[mode]:
            return None
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, *DAMAGE):
        return None


@contextmanager
def _pixel_limit(max_pixels: int) -> Iterator[None]:
    """Pillow's own pixel limit set to ours, its warning an error, its other warnings silent."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _pixels_named_in(error: Exception) -> float | None:
    """The pixel count, which Pillow gives only in words."""
    found = re.search(r"\((\d+) pixels\)", str(error))
    return float(found.group(1)) if found else None


def _message(error: BaseException) -> str:
    """The error's words without object addresses, which differ from run to run."""
    words = re.sub(r"<[^>]*>", "", str(error)).strip()
    return f"{type(error).__name__}: {words}"[:120]


def codec_versions() -> dict[str, str]:
    """Versions of everything that can change a decoded pixel or an encoded byte."""
    found = {
        "pillow": features.version_module("pil"),
        "libjpeg": features.version_codec("jpg"),
        "libjpeg-turbo": features.version_feature("libjpeg_turbo"),
        "zlib": features.version_codec("zlib"),
        "zlib-ng": features.version_feature("zlib_ng"),
        "webp": features.version_module("webp"),
        "avif": features.version_module("avif"),
        "lcms": features.version_module("littlecms2"),
    }
    return {name: str(version) for name, version in found.items() if version}
