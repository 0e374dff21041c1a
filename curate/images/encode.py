"""Upright sRGB pictures back to bytes: nothing of the original file is published as it came."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final, Literal

from PIL import Image

Format = Literal["jpeg", "png", "webp"]
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]

EXTENSION: Final[dict[Format, str]] = {"jpeg": "jpg", "png": "png", "webp": "webp"}
LONGEST_SIDE: Final[dict[Format, int]] = {"jpeg": 65_500, "png": 1 << 30, "webp": 16_383}
"""The longest side, in pixels, that each format can hold."""


def encode(
    picture: Image.Image, *, format: Format = "jpeg", quality: int = 95,
    subsampling: Subsampling = "4:4:4",
) -> bytes:  # fmt: skip
    """The picture's bytes without any metadata; `quality` does not touch PNG.

    `subsampling` concerns JPEG alone: lossy WebP is always 4:2:0.
    """
    settings: dict[Format, dict[str, Any]] = {
        "jpeg": {"quality": quality, "subsampling": subsampling},
        "png": {"compress_level": 6},
        "webp": {"quality": quality, "method": 4},
    }
    out = BytesIO()
    picture.save(out, format.upper(), **settings[format])
    return out.getvalue()


def shrink(picture: Image.Image, max_side: int | None) -> Image.Image:
    """The picture with its longer side at most `max_side`, never enlarged (Lanczos)."""
    longest = max(picture.size)
    if max_side is None or longest <= max_side:
        return picture
    width, height = (max(1, round(side * max_side / longest)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def thumbnail(picture: Image.Image, side: int) -> bytes:
    """A small JPEG for reports, at most `side` pixels on its longer side."""
    small = picture.copy()
    small.thumbnail((side, side))
    return encode(small, quality=80, subsampling="4:2:0")
