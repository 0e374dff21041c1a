"""What a JPEG says of itself before its pixels, and whether every decoder reads it alike.

Plain ones may be decoded by a GPU's engines or by torchvision; whatever needs more care (turning,
profiles, CMYK, unusual sampling, a missing end) goes through `images.decode`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from curate.images.containers import jpeg_segments
from curate.images.metadata import EXIF_HEAD, orientation

START: Final = b"\xff\xd8\xff"
END: Final = b"\xff\xd9"
BASELINE: Final = 0xC0
PROGRESSIVE: Final = 0xC2
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame: all between C0 and CF but tables and an extension."""
SAMPLINGS: Final = frozenset({(1, 1), (2, 1), (1, 2), (2, 2)})
MOST_PIXELS: Final = 1 << 27
"""Larger pictures are left to Pillow, whose limit says which are refused."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A JPEG of 8 bits, grey or YCbCr, upright, without a profile, complete to its end marker.

    `across` and `down` are how many pixels share one value of chroma: 1 or 2.
    """

    width: int
    height: int
    grey: bool
    across: int
    down: int


def plain(body: bytes | memoryview) -> Plain | None:
    """Size and sampling of a plain JPEG, None for all else; never raises, whatever the bytes."""
    if isinstance(body, memoryview):
        body = body.cast("B")  # a view of signed bytes equals no bytes
    if len(body) < 16 or body[:3] != START or body[-2:] != END:
        return None
    frame, turns, found = None, 0, None
    for marker, payload in jpeg_segments(body):
        if marker in FRAMES:
            if frame is not None:
                return None
            frame, found = marker, payload
        elif marker == 0xE1 and payload.startswith(EXIF_HEAD):
            turns += 1
            if turns > 1 or orientation(payload) != 1:
                return None
        elif _special(marker, payload):
            return None
    if frame not in (BASELINE, PROGRESSIVE) or found is None:
        return None
    return _frame(found)


def _special(marker: int, payload: bytes) -> bool:
    """A colour profile, several pictures in one file, or Adobe's word for other colours."""
    if marker == 0xE2:
        return payload.startswith((b"ICC_PROFILE\0", b"MPF\0"))
    if marker == 0xEE and payload.startswith(b"Adobe"):
        return len(payload) < 12 or payload[11] != 1
    return False


def _frame(payload: bytes) -> Plain | None:
    """The frame header: precision, height, width, and identity and sampling of each component."""
    if len(payload) < 6 or payload[0] != 8 or len(payload) != 6 + 3 * payload[5]:
        return None
    height, width = (int.from_bytes(payload[at : at + 2], "big") for at in (1, 3))
    parts = [payload[at : at + 3] for at in range(6, len(payload), 3)]
    sampling = [(part[1] >> 4, part[1] & 15) for part in parts]
    if not height or not width or height * width > MOST_PIXELS:
        return None
    if len(parts) == 1:
        return Plain(width, height, True, 1, 1) if sampling == [(1, 1)] else None
    named = [part[0] for part in parts]
    if named != [1, 2, 3] or sampling[1:] != [(1, 1)] * 2 or sampling[0] not in SAMPLINGS:
        return None
    return Plain(width, height, False, *sampling[0])
