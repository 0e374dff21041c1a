"""The copyright notice of an EXIF block and of IPTC-IIM records, and who is named as creator.

Both are read from the raw bytes: EXIF's two notices in one tag, for photographer and editor, are
told apart by a NUL that libraries cut at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

ARTIST: Final = 0x013B
COPYRIGHT: Final = 0x8298
_TEXT_TYPES: Final = frozenset({1, 2, 7, 129})
"""BYTE, ASCII, UNDEFINED and, since EXIF 3.0, UTF-8: one byte a unit each."""
_ENTRIES: Final = 4096
_LIMIT: Final = 1 << 20


def tags(block: bytes) -> dict[int, bytes]:
    """Texts in the first directory of a TIFF stream (perhaps after `Exif\\0\\0`), as bytes by tag.

    Broken offsets end the reading; nothing is raised.
    """
    tiff = block.removeprefix(b"Exif\0\0")
    if tiff[:2] not in (b"II", b"MM") or len(tiff) < 8:
        return {}

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if tiff[0] == 0x49 else "big")

    found: dict[int, bytes] = {}
    start = number(4, 4)
    for entry in range(min(number(start, 2), _ENTRIES)):
        at = start + 2 + 12 * entry
        count = number(at + 4, 4)
        if at + 12 > len(tiff):
            break
        if number(at + 2, 2) in _TEXT_TYPES and count <= _LIMIT:
            place = at + 8 if count <= 4 else number(at + 8, 4)
            found.setdefault(number(at, 2), tiff[place : place + count])
    return found


def notices(block: bytes) -> Iterator[tuple[str, str]]:
    """(locator, text) of the copyright tag: the photographer's notice, then the editor's."""
    raw = tags(block).get(COPYRIGHT, b"")
    names = ("exif:0x8298", "exif:0x8298/editor")
    for locator, part in zip(names, raw.split(b"\0"), strict=False):
        if text := decoded(part):
            yield locator, text


def artist(block: bytes) -> str | None:
    """The artist tag, or None."""
    return decoded(tags(block).get(ARTIST, b"")) or None


def decoded(raw: bytes) -> str:
    """Text that may be in UTF-8, as writers use it, or in Latin-1."""
    raw = raw.strip(b"\0 \t\r\n")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
