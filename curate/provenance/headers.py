"""Format and size of a picture from its first bytes, for pictures by the million.

Only JPEG, PNG and WebP, which are what this project stores; anything odd gives None, and the
caller asks Pillow, which takes twenty times as long.
"""

from __future__ import annotations

import struct
from typing import Final

Size = tuple[str, int, int]
"""Pillow's name of the format, width, height."""

_SEGMENT: Final = struct.Struct(">BBH")
_FRAME: Final = struct.Struct(">HH")
_PNG: Final = struct.Struct(">II")
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that begin a frame; the other three of the range are tables."""
HEAD_BYTES: Final = 30  # what WebP needs, and more than PNG does


def size_of(data: memoryview) -> Size | None:
    """Format, width and height as the header states them, None where it is not plain to read."""
    head = bytes(data[:HEAD_BYTES])
    try:
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
            return "PNG", *_PNG.unpack_from(head, 16)
        if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) == HEAD_BYTES:
            return _webp(head)
    except struct.error:  # the header ends too soon
        return None
    return None


def _jpeg(data: memoryview) -> Size | None:
    """From segment to segment up to the frame header (ITU T.81, B.2.2)."""
    at = 2
    while True:
        start, marker, length = _SEGMENT.unpack_from(data, at)
        if start != 0xFF or marker in (0x00, 0xFF) or length < 2:
            return None
        if marker in _FRAMES:
            height, width = _FRAME.unpack_from(data, at + 5)
            return ("JPEG", width, height) if width and height else None
        at += 2 + length


def _webp(head: bytes) -> Size | None:
    """The canvas of a lossy, lossless or extended file (RFC 9649)."""
    chunk = head[12:16]
    if chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return "WEBP", width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return "WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return "WEBP", width, height
    return None
