"""What was measured of a picture, measured again from the picture that is stored.

A lossless file of the original size shows it exactly. A lossy or smaller one comes near: how near
is a tolerance, stated here, measured on photographs, noise and flat art; what lies within it passes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from curate import columns as c
from curate.images.decode import DAMAGE
from curate.images.hashes import PRINT_SIDE, perceptual
from curate.recipe import Recipe
from curate.stages.inspect import Inspect

PRINT_LEVELS: Final = 4.0
"""Mean difference of two thumbprints, in levels of 255 (found: 2.2 from quality 75 up)."""
THUMBNAIL_LEVELS: Final = 6.0
"""The same for a thumbnail and the picture it shows (found: 3.9)."""
PHASH_BITS: Final = 20
"""Of 64 (found: 15, of a nearly flat photograph; two unrelated pictures differ in 32)."""
DRAFT_SIDE: Final = 384
"""A JPEG decoded at no less than this is as good as whole for all that is compared."""
COARSE_QUALITY: Final = 60
COARSE_LEVELS: Final = 18.0
"""Below that quality prints differ by up to 14 levels, and the perceptual hash shows nothing."""
LOSSLESS: Final = frozenset({"PNG"})

COLUMNS: Final = (c.PHASH, c.THUMBPRINT, c.THUMBNAIL, c.PIXEL_SHA256, c.ORIGINAL_WIDTH,
                  c.ORIGINAL_HEIGHT)  # fmt: skip


@dataclass(frozen=True)
class Tolerance:
    """How far the measures of a stored picture may lie from those of the original."""

    print_levels: float = PRINT_LEVELS
    thumbnail_levels: float = THUMBNAIL_LEVELS
    phash_bits: int = PHASH_BITS
    thumbnail_side: int | None = None


def tolerance(recipe: Recipe | None) -> Tolerance:
    """The tolerance for pictures that a recipe stored: wider for the coarsest qualities."""
    stages = recipe.passes[0].stages if recipe else []
    inspect = next((stage for stage in stages if isinstance(stage, Inspect)), None)
    if inspect is None:
        return Tolerance()
    side = inspect.thumbnail_side
    if inspect.format != "png" and inspect.quality < COARSE_QUALITY:
        return Tolerance(COARSE_LEVELS, COARSE_LEVELS, 64, side)
    return Tolerance(thumbnail_side=side)


def compare(data: bytes, row: Mapping[str, Any], allowed: Tolerance) -> Iterator[str]:
    """Sentences on what a row says of its picture and the picture does not show."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            form, size = image.format, image.size
            image.draft("RGB", (DRAFT_SIDE, DRAFT_SIDE))  # of a large JPEG a smaller one will do
            picture = image.convert("RGB")
    except (Image.DecompressionBombError, *DAMAGE) as error:
        yield f"the picture does not open: {error}"
        return
    exact = is_exact(form, size, row)
    if exact and hashlib.sha256(picture.tobytes()).hexdigest() != row.get(c.PIXEL_SHA256.name):
        yield f"the pixels do not have pixel_sha256 {row.get(c.PIXEL_SHA256.name)}"
    yield from _perceptual(picture, row, Tolerance(0.0, 0.0, 0) if exact else allowed)
    yield from _thumbnail(picture, size, row, allowed)


def is_exact(form: str | None, size: tuple[int, int], row: Mapping[str, Any]) -> bool:
    """Whether a picture shows the very pixels that were measured, perhaps turned upright."""
    original = (row.get(c.ORIGINAL_WIDTH.name), row.get(c.ORIGINAL_HEIGHT.name))
    return form in LOSSLESS and size in (original, original[::-1])


def _perceptual(picture: Image.Image, row: Mapping[str, Any], allowed: Tolerance) -> Iterator[str]:
    phash, print_ = perceptual(picture)
    told = row.get(c.PHASH.name)
    bits = 64 if told is None else (told ^ phash).bit_count()
    if bits > allowed.phash_bits:
        yield f"phash differs in {bits} bits from that of the picture, {allowed.phash_bits} are allowed"
    stored = row.get(c.THUMBPRINT.name)
    levels = 255.0 if stored is None else _levels(stored, print_)
    if levels > allowed.print_levels:
        yield (
            f"thumbprint lies {levels:.1f} levels from that of the picture, "
            f"{allowed.print_levels:g} are allowed"
        )


def _thumbnail(
    picture: Image.Image, size: tuple[int, int], row: Mapping[str, Any], allowed: Tolerance
) -> Iterator[str]:
    """The thumbnail has the size that a picture of that size gives, and shows it."""
    try:
        with Image.open(io.BytesIO(row.get(c.THUMBNAIL.name) or b"")) as image:
            found = image.convert("RGB")
    except (Image.DecompressionBombError, *DAMAGE):
        yield "the thumbnail does not open"
        return
    if allowed.thumbnail_side is not None:
        like = Image.new("L", size)
        like.thumbnail((allowed.thumbnail_side, allowed.thumbnail_side))
        if like.size != found.size:
            yield f"the thumbnail is {found.width} × {found.height}, expected {like.width} × {like.height}"
            return
    small = (im.resize((PRINT_SIDE, PRINT_SIDE), Image.Resampling.BOX) for im in (found, picture))
    levels = _levels(*(im.tobytes() for im in small))
    if levels > allowed.thumbnail_levels:
        yield (
            f"the thumbnail lies {levels:.1f} levels from the picture, "
            f"{allowed.thumbnail_levels:g} are allowed"
        )


def _levels(one: bytes, two: bytes) -> float:
    a, b = (np.frombuffer(data, np.uint8).astype(np.int16) for data in (one, two))
    return float(np.abs(a - b).mean()) if len(a) == len(b) else 255.0
