"""IPTC-IIM records, the older way of writing captions and rights into a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from curate.license.exif import decoded

INSTRUCTIONS: Final = (2, 40)
BYLINE: Final = (2, 80)
CREDIT: Final = (2, 110)
COPYRIGHT: Final = (2, 116)
_UTF8: Final = b"\x1b%G"


def records(stream: bytes) -> Iterator[tuple[tuple[int, int], str]]:
    """((record, data set), text) in the order of the stream; it ends where a length is broken.

    Texts are UTF-8 where record 1:90 says so or where they are; Latin-1 otherwise.
    """
    at, forced = 0, False
    while at + 5 <= len(stream) and stream[at] == 0x1C:
        place = (stream[at + 1], stream[at + 2])
        length, head = int.from_bytes(stream[at + 3 : at + 5], "big"), 5
        if length & 0x8000:  # extended: what was read is the length of the length
            head += length & 0x7FFF
            if head > 13:
                return
            length = int.from_bytes(stream[at + 5 : at + head], "big")
        raw = stream[at + head : at + head + length]
        at += head + length
        forced = forced or (place == (1, 90) and raw == _UTF8)
        yield place, raw.decode("utf-8", "replace").strip("\0 \r\n\t") if forced else decoded(raw)
