"""The planted faults: how many of each, the verdict each should get, and the bytes that carry it.

A fault has one home: the row it is planted in has no other. Kinds that are odd but good (EXIF
rotation, CMYK, 16 bit, alpha, a robots header for somebody else) are planted too: they must be
kept, with the right pixels.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from curate.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of planted fault: its share of the rows and the reasons that count as finding it.

    A reason `kind` stands for `kind` and every `kind:detail`.
    """

    title: str
    share: float
    reasons: Sequence[str]
    note: str = ""


FAULTS: Final[Mapping[str, Fault]] = {
    "license_noncommercial": Fault(
        title="licence: non-commercial", share=0.015, reasons=("license",)),
    "license_noderivatives": Fault(
        title="licence: no derivatives", share=0.015, reasons=("license",)),
    "license_unknown": Fault(title="licence: unknown", share=0.015, reasons=("license",)),
    "license_ambiguous": Fault(title="licence: ambiguous", share=0.015, reasons=("license",)),
    "license_contradiction": Fault(
        title="licence: contradictory fields", share=0.01, reasons=("license",)),
    "noai": Fault(title="X-Robots-Tag: noai", share=0.01, reasons=("reservation:x-robots-tag",)),
    "robots_txt": Fault(
        title="disallowed by robots.txt", share=0.005, reasons=("reservation:robots_txt",)),
    "tdm_reservation": Fault(
        title="TDMRep: mining reserved", share=0.005,
        reasons=("reservation:tdmrep", "reservation:tdm-reservation")),
    "http_404": Fault(title="404 not found", share=0.0125, reasons=("http:404",)),
    "http_500": Fault(title="500 server error", share=0.005, reasons=("http:500",)),
    "timeout": Fault(title="no answer in time", share=0.0025, reasons=("timeout",)),
    "html_as_jpeg": Fault(title="HTML served as JPEG", share=0.0075, reasons=("not_an_image",)),
    "truncated": Fault(title="truncated JPEG", share=0.0075, reasons=("corrupt",)),
    "too_small": Fault(title="too small", share=0.0075, reasons=("too_small",)),
    "too_long": Fault(title="too long", share=0.005, reasons=("aspect",)),
    "malformed": Fault(
        title="malformed metadata row", share=0.0075, reasons=("malformed", "caption")),
    "duplicate_exact": Fault(
        title="exact duplicate", share=0.015, reasons=("duplicate",)),
    "duplicate_near": Fault(
        title="near duplicate", share=0.0225, reasons=("duplicate",)),
    "caption_random": Fault(
        title="caption of another picture", share=0.0425, reasons=("clip_score",)),
    "caption_colour": Fault(
        title="caption with a colour swapped", share=0.02, reasons=("clip_score",)),
    "caption_relation": Fault(
        title="caption with the relation swapped", share=0.015, reasons=("clip_score",),
        note="CLIP hardly sees relations"),
}  # fmt: skip
"""By name, in the order of the pipeline."""

ODDITIES: Final[Mapping[str, tuple[str, float]]] = {
    "exif_rotated": ("EXIF-rotated JPEG, to be kept", 0.006),
    "cmyk": ("CMYK JPEG, to be kept", 0.005),
    "png16": ("16-bit PNG, to be kept", 0.005),
    "alpha": ("PNG with alpha, to be kept", 0.005),
    "robots_of_another": ("noai for another robot, to be kept", 0.0035),
    "robots_allow": ("allowed by a longer line of robots.txt, to be kept", 0.0025),
}
"""By name: title and share of good rows that need care."""

FEWEST_PICTURES: Final = 100

ROBOTS_AGAINST_US: Final[Sequence[Sequence[str]]] = (
    ("noai",), ("noai, noimageai",), ("noimageai",), ("noindex, noai",), ("NoAI",),
    ("noai, unavailable_after: 25 Jun 2099 15:00:00 GMT",), ("nosnippet", "noai"),
)  # fmt: skip
"""Values of X-Robots-Tag that reserve use by everybody; two values are two header lines."""
ROBOTS_OF_ANOTHER: Final[Sequence[Sequence[str]]] = (
    ("otherbot: noai",),
    ("nosnippet", "otherbot: noindex, noai"),
)

CLOSED: Final = "closed/"
OPEN_AGAIN: Final = "closed/open/"
RESERVED: Final = "reserved/"
ORIGIN_FILES: Final[Mapping[str, str]] = {
    "/robots.txt": f"""\
# What our agent may ask for; the rules for another and for all are not meant for it.
User-agent: otherbot
Disallow: /

User-agent: *
Disallow: /people/

User-agent: curate
Disallow: /pictures/{CLOSED}
Allow: /pictures/{OPEN_AGAIN}
""",
    "/.well-known/tdmrep.json": json.dumps(
        [
            {"location": "/people/", "tdm-reservation": 1},
            {"location": f"/pictures/{RESERVED}*", "tdm-reservation": 1,
             "tdm-policy": "http://pictures.example/policy.json"},
            {"location": "/", "tdm-reservation": 0},
        ],
        indent=1,
    ) + "\n",
}  # fmt: skip
"""What the origin of the corpus reserves: files by path. Rows are planted below these folders."""
TDM_FIELDS: Final = (
    ("tdm-reservation", "1"),
    ("tdm-policy", "http://pictures.example/policy.json"),
)

MALFORMED: Final[Sequence[str]] = (
    "url_null", "url_garbage", "url_empty", "caption_null", "caption_blank", "caption_bad_utf8",
    "creator_bad_utf8", "caption_10_mb", "title_10_mb", "width_out_of_range",
)  # fmt: skip
BAD_UTF8: Final = b"a red circle \xff\xfe\xc3( above"
TEN_MB: Final = 10 * 2**20


def counts(pictures: int) -> dict[str, int]:
    """How many rows of each fault and oddity among `pictures` rows; at least two of each.

    Raises RecipeError below 100 pictures, which cannot hold every fault.
    """
    if pictures < FEWEST_PICTURES:
        raise RecipeError(
            f"a demo corpus of {pictures} pictures cannot hold every planted fault; "
            f"ask for {FEWEST_PICTURES} or more"
        )
    shares = {name: fault.share for name, fault in FAULTS.items()}
    shares |= {name: share for name, (_, share) in ODDITIES.items()}
    return {name: max(2, round(share * pictures)) for name, share in shares.items()}


# --- bytes ----------------------------------------------------------------------------------------
def encoded(image: Image.Image, form: str, *, quality: int = 92, **options: Any) -> bytes:
    """The picture in a file format of Pillow: JPEG, PNG or WEBP."""
    out = io.BytesIO()
    settings = {"PNG": {}, "WEBP": {"quality": quality, "method": 2}}.get(
        form, {"quality": quality}
    )
    image.save(out, form, **settings, **options)
    return out.getvalue()


def html_page(title: str) -> bytes:
    """What a site sends instead of a picture once its consent banner is in the way."""
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n"
        "<body><p>This picture is shown after you accept our cookies.</p></body></html>\n"
    ).encode()


def truncated(jpeg: bytes, rng: np.random.Generator) -> bytes:
    """A JPEG cut within its scan: the header decodes, the rest is missing."""
    scan = jpeg.index(b"\xff\xda")
    return jpeg[: scan + int((len(jpeg) - scan) * rng.uniform(0.3, 0.6))]


_BEFORE_ORIENTATION: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def exif_rotated(upright: Image.Image, orientation: int) -> bytes:
    """A JPEG whose EXIF orientation (2 … 8) turns the stored pixels upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(_BEFORE_ORIENTATION[orientation])
    return encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif)


def cmyk(image: Image.Image) -> bytes:
    """A four-channel JPEG."""
    return encoded(image.convert("CMYK"), "JPEG", quality=96)


def png16(image: Image.Image) -> bytes:
    """A PNG of 16 bits a channel in RGB, which Pillow reads but does not write."""
    pixels = np.asarray(image).astype(">u2") * np.array(257, ">u2")
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


_HIDDEN: Final = (255, 0, 255)


def with_alpha(image: Image.Image) -> tuple[bytes, Image.Image]:
    """A PNG with rounded, see-through corners over magenta, and the RGB it shows on white.

    Who drops the alpha channel finds magenta where a viewer shows white.
    """
    pixels = np.asarray(image).copy()
    height, width = pixels.shape[:2]
    radius = min(width, height) // 10
    across = np.maximum(0, radius - 0.5 - np.minimum(np.arange(width), np.arange(width)[::-1]))
    down = np.maximum(0, radius - 0.5 - np.minimum(np.arange(height), np.arange(height)[::-1]))
    inside = radius - np.hypot(across[None, :], down[:, None])
    alpha = np.rint(np.clip(inside + 0.5, 0, 1) * 255).astype(np.uint8)
    pixels[alpha == 0] = _HIDDEN
    part = alpha[..., None].astype(np.float64) / 255
    shown = np.rint(part * pixels + (1 - part) * 255).astype(np.uint8)
    rgba = np.dstack([pixels, alpha])
    return encoded(Image.fromarray(rgba), "PNG"), Image.fromarray(shown)


# --- near duplicates ------------------------------------------------------------------------------
NEAR_KINDS: Final = ("reencoded", "smaller", "larger", "cropped")
MOST_CROPPED: Final = 0.035  # of width and of height, shared by the two sides


def near_copy(image: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """The picture as another site shows it; its words stay true. Encode it with other settings."""
    if kind == "reencoded":
        return image
    if kind == "cropped":
        cut = [max(2, int(MOST_CROPPED * side)) for side in image.size]
        left, top = (int(rng.integers(total + 1)) for total in cut)
        right, bottom = image.width - (cut[0] - left), image.height - (cut[1] - top)
        return image.crop((left, top, right, bottom))
    scale = rng.uniform(0.8, 0.92) if kind == "smaller" else rng.uniform(1.1, 1.3)
    size = (max(56, round(image.width * scale)), max(56, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
