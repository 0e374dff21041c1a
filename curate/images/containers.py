"""The boxes of the allowed picture formats, walked without decoding a pixel.

Metadata and manifests live in them. Damaged lengths end a walk: what follows them has no place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

MANIFEST_BOX: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The type of the ISO media `uuid` box that holds a C2PA manifest."""

_START_OF_SCAN: Final = 0xDA
_GIF_MANIFEST: Final = b"\x21\xff\x0bC2PA_GIF"

Bytes = bytes | memoryview
"""A file, or a view of one, which is walked without copying it whole."""


def jpeg_segments(body: Bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment of a JPEG before its first scan."""
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        if marker == _START_OF_SCAN:
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a payload
            at += 2
            continue
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        if length < 2:
            return
        yield marker, bytes(body[at + 4 : at + 2 + length])
        at += 2 + length


def png_chunks(body: Bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of each chunk of a PNG; of the pixels' chunks no data."""
    at = 8
    while at + 12 <= len(body):
        length, name = int.from_bytes(body[at : at + 4], "big"), bytes(body[at + 4 : at + 8])
        if at + 12 + length > len(body):
            return
        kept = 0 if name in (b"IDAT", b"fdAT") else length
        yield name, bytes(body[at + 8 : at + 8 + kept])
        at += 12 + length


def riff_chunks(body: Bytes) -> Iterator[bytes]:
    """The name of each chunk of a WebP."""
    at = 12
    while at + 8 <= len(body):
        length = int.from_bytes(body[at + 4 : at + 8], "little")
        yield bytes(body[at : at + 4])
        at += 8 + length + length % 2


def media_boxes(body: Bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and first 16 bytes of each box at the top of an ISO media file."""
    at = 0
    while at + 8 <= len(body):
        size, head = int.from_bytes(body[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(body[at + 8 : at + 16], "big"), 16
        elif size == 0:  # to the end of the file
            size = len(body) - at
        if size < head:
            return
        yield bytes(body[at + 4 : at + 8]), bytes(body[at + head : at + head + 16])
        at += size


def photoshop_resources(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and data of each image resource in the body of a Photoshop block."""
    at = 0
    while at + 12 <= len(block) and block[at : at + 4] == b"8BIM":
        (number,) = struct.unpack_from(">H", block, at + 4)
        at += 6 + (block[at + 6] // 2 + 1) * 2  # a Pascal string, padded to even length
        if at + 4 > len(block):
            return
        (length,) = struct.unpack_from(">I", block, at)
        yield number, block[at + 4 : at + 4 + length]
        at += 4 + length + length % 2


def media_type(body: Bytes) -> str | None:
    """The media type that the first bytes announce, None for what may hold no manifest."""
    head = bytes(body[:12])
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "image/webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/avif" if head[4:8] == b"ftyp" else None


def holds_manifest(body: Bytes) -> bool:
    """Whether a picture carries a C2PA manifest, or what was one before it was damaged."""
    match media_type(body):
        case "image/jpeg":
            return any(m == 0xEB and b"jumb" in p for m, p in jpeg_segments(body))
        case "image/png":
            return any(name == b"caBX" for name, _ in png_chunks(body))
        case "image/webp":
            return any(name == b"C2PA" for name in riff_chunks(body))
        case "image/avif":
            return any(box == (b"uuid", MANIFEST_BOX) for box in media_boxes(body))
        case "image/gif":
            return _GIF_MANIFEST in bytes(body)
    return False
