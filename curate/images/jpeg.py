"""What a JPEG says of itself around its pixels, and whether every decoder reads it alike.

Plain ones may be decoded by a GPU's engines or by torchvision; whatever needs more care (turning,
profiles, CMYK, unusual sampling, missing tables, a missing end) goes through `images.decode`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from curate.images.metadata import EXIF_HEAD, orientation

START: Final = b"\xff\xd8\xff"
END: Final = b"\xff\xd9"
BASELINE: Final = 0xC0
PROGRESSIVE: Final = 0xC2
SCAN: Final = 0xDA
LAST: Final = 0xD9
SAMPLINGS: Final = frozenset({(1, 1), (2, 1), (1, 2), (2, 2)})
MOST_PIXELS: Final = 1 << 27
"""Larger pictures are left to Pillow, whose limit says which are refused."""
MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends the pixels of a scan: neither a stuffed byte nor a restart."""
DIRECT, OTHERS = 0, 1
"""Classes of Huffman tables: of the first coefficient of a block, and of the others."""

Body = bytes | memoryview
Tables = frozenset[tuple[int, int]]


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


def plain(body: Body) -> Plain | None:
    """Size and sampling of a plain JPEG, None for all else; never raises, whatever the bytes.

    Whatever a decoder needs must be there, since one may refuse what another takes for zeros: each
    scan's tables, one scan for a baseline picture, a progressive one's scans in their order.
    """
    if isinstance(body, memoryview):
        body = body.cast("B")  # a view of signed bytes equals no bytes
    if len(body) < 16 or body[:3] != START or body[-2:] != END:
        return None
    read = _Read()
    for marker, payload in _segments(body):
        if marker == LAST:
            return read.found if read.complete else None
        if not read.takes(marker, payload):
            return None
        if marker == SCAN and not read.progressive:
            return read.found  # what follows is all pixels
    return None


def _segments(body: Body) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment, the pixels behind a scan's passed over.

    The end marker comes last, where it is the end of the file; a damaged file ends without it.
    """
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        end = at + 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        if marker < 0xC0 or 0xD0 <= marker <= LAST or end < at + 4 or end > len(body) - 2:
            return
        yield marker, bytes(body[at + 4 : end])
        if marker == SCAN:
            found = MARKER.search(body, end)
            if found is None:
                return
            end = found.start()
        at = end
    if at == len(body) - 2:
        yield LAST, b""


@dataclass(slots=True)
class _Read:
    """What the segments so far have told."""

    found: Plain | None = None
    progressive: bool = False
    parts: dict[int, int] = field(default_factory=dict)  # identity to quantisation table
    quantisation: set[int] = field(default_factory=set)
    huffman: set[tuple[int, int]] = field(default_factory=set)
    exact: dict[tuple[int, int], int] = field(default_factory=dict)
    """(component, coefficient) to the lowest bit that is known of it."""
    turns: int = 0
    scans: int = 0

    def takes(self, marker: int, payload: bytes) -> bool:
        """Whether a segment is one that every decoder reads alike where it stands."""
        if marker == SCAN:
            self.scans += 1
            return self._scan(payload)
        if marker == 0xC4:
            tables = huffman_tables(payload)
            self.huffman |= tables
            return bool(tables)
        if marker == 0xDB:
            found = quantisation_tables(payload)
            self.quantisation |= found
            return bool(found) and not self.scans  # not exchanged under way
        if marker == 0xDD:
            return len(payload) == 2
        if marker in (BASELINE, PROGRESSIVE):
            first, self.found = self.found is None, _frame(payload)
            self.progressive = marker == PROGRESSIVE
            self.parts = dict(zip(payload[6::3], payload[8::3], strict=True)) if self.found else {}
            return first and self.found is not None
        if marker == 0xE1 and payload.startswith(EXIF_HEAD):
            self.turns += 1
            return self.turns == 1 and orientation(payload) == 1
        return (0xE0 <= marker <= 0xEF or marker == 0xFE) and not _special(marker, payload)

    @property
    def complete(self) -> bool:
        """Whether each component's first coefficient was told."""
        return self.scans > 0 and all((part, 0) in self.exact for part in self.parts)

    def _scan(self, payload: bytes) -> bool:
        """A scan's header: components with their tables, coefficients, and how exact they become."""
        count = payload[0] if payload else 0
        if self.found is None or len(payload) != 4 + 2 * count:
            return False
        names, tables = payload[1 : 1 + 2 * count : 2], payload[2 : 2 + 2 * count : 2]
        first, last, bits = payload[-3:]
        if not set(self.parts.values()) <= self.quantisation:
            return False
        if not self.progressive:
            wanted = {(DIRECT, t >> 4) for t in tables} | {(OTHERS, t & 15) for t in tables}
            whole = list(names) == list(self.parts) and (first, last, bits) == (0, 63, 0)
            return whole and wanted <= self.huffman
        if not names or [part for part in self.parts if part in names] != list(names):
            return False
        return self._refines(names, tables, range(first, last + 1), bits)

    def _refines(self, names: bytes, tables: bytes, seen: range, bits: int) -> bool:
        """A scan of a progressive picture: new coefficients, or one more bit of known ones."""
        before, now = bits >> 4, bits & 15
        if not seen or seen[-1] > 63 or now > 13 or (before and before != now + 1):
            return False
        if seen[0] == 0:
            wanted = set() if before else {(DIRECT, table >> 4) for table in tables}
            fits = len(seen) == 1
        else:
            wanted = {(OTHERS, table & 15) for table in tables}
            fits = len(names) == 1 and (names[0], 0) in self.exact
        places = [(name, at) for name in names for at in seen]
        known = before or None
        if not fits or not wanted <= self.huffman:
            return False
        if any(self.exact.get(place) != known for place in places):
            return False
        self.exact.update(dict.fromkeys(places, now))
        return True


@lru_cache(maxsize=256)
def huffman_tables(payload: bytes) -> Tables:
    """Class and number of each Huffman table of a segment; none where one of them is no code."""
    found, at = set(), 0
    while at < len(payload):
        kind, number = payload[at] >> 4, payload[at] & 15
        lengths = payload[at + 1 : at + 17]
        symbols = payload[at + 17 : at + 17 + sum(lengths)]
        if kind > 1 or number > 3 or len(lengths) < 16 or not 0 < len(symbols) == sum(lengths):
            return frozenset()
        if not _is_code(lengths) or (kind == DIRECT and max(symbols) > 11):
            return frozenset()
        found.add((kind, number))
        at += 17 + len(symbols)
    return frozenset(found)


def _is_code(lengths: bytes) -> bool:
    """Whether codes of so many lengths exist, that of ones alone left free as JPEG wants it."""
    free = 1
    for count in lengths:
        free = 2 * free - count
        if free < 1:
            return False
    return True


@lru_cache(maxsize=256)
def quantisation_tables(payload: bytes) -> frozenset[int]:
    """Number of each quantisation table of a segment; none where one is cut, deep or divides by 0."""
    numbers = payload[::65]
    values = [payload[at + 1 : at + 65] for at in range(0, len(payload), 65)]
    if len(payload) % 65 or any(number > 3 for number in numbers) or any(0 in v for v in values):
        return frozenset()
    return frozenset(numbers)


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
