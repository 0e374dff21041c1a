"""Metadata blocks embedded in a picture, raw, taken before any transcoding drops them.

Reading what they say about licences is the work of curate.license; this only keeps the bytes, as
they lie in the file: nothing is decoded but what a container itself packs (PNG's text chunks).
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5
from typing import Final

from PIL import Image

from curate.images.containers import jpeg_segments, photoshop_resources, png_chunks

ORIENTATION_TAG: Final = 0x0112
IPTC_RESOURCE: Final = 0x0404
EXIF_HEAD: Final = b"Exif\0\0"
XMP_HEAD: Final = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION_HEAD: Final = b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP_HEAD: Final = b"Photoshop 3.0\0"
GIF_XMP: Final = b"\x21\xff\x0bXMP DataXMP"
GIF_XMP_TRAILER: Final = b"\x01\xff\xfe\xfd"
RIGHTS_KEYWORDS: Final = frozenset({b"copyright", b"license", b"licence", b"rights"})
"""Keywords of PNG text chunks that hold words on rights; the standard's own is Copyright."""
TEXT_LIMIT: Final = 16 << 20
"""Bytes that a compressed text chunk may grow to; what is longer is cut."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Raw EXIF (a TIFF stream, perhaps after `Exif\\0\\0`), XMP packets and IPTC-IIM records.

    A file may hold several packets; they stand in the order of the file. A PNG's text chunks on
    rights stand among them, unpacked, as `tEXt`, keyword, zero byte and text.
    """

    exif: bytes | None = None
    xmp: tuple[bytes, ...] = ()
    iptc: bytes | None = None


def embedded(im: Image.Image, body: bytes) -> Embedded:
    """The metadata blocks of a loaded picture; `body` is its file."""
    exif = _raw(im.info.get("exif"))
    if body.startswith(b"\xff\xd8"):
        return Embedded(exif, *_jpeg(body))
    if body.startswith(b"\x89PNG"):
        found = _png(body)
        return Embedded(exif or found.exif, found.xmp, found.iptc)
    xmp = _gif_xmp(body) if body.startswith(b"GIF8") else _raw(im.info.get("xmp"))
    return Embedded(exif, (xmp,) if xmp else ())


def orientation(exif: bytes | None) -> int:
    """EXIF orientation, 1 … 8; 1 where there is none or the block is broken."""
    if exif is None:
        return 1
    tags = Image.Exif()
    try:
        tags.load(exif)
        value = tags.get(ORIENTATION_TAG, 1)
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _raw(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape") or None
    return bytes(value) or None if isinstance(value, bytes | bytearray) else None


# --- JPEG ----------------------------------------------------------------------------------------
def _jpeg(body: bytes) -> tuple[tuple[bytes, ...], bytes | None]:
    """XMP packets, extended ones last, and IPTC records."""
    packets, extensions, photoshop = [], [], b""
    for marker, payload in jpeg_segments(body):
        if marker == 0xE1 and payload.startswith(XMP_HEAD):
            packets.append(payload[len(XMP_HEAD) :])
        elif marker == 0xE1 and payload.startswith(EXTENSION_HEAD):
            extensions.append(payload[len(EXTENSION_HEAD) :])
        elif marker == 0xED and payload.startswith(PHOTOSHOP_HEAD):
            photoshop += payload[len(PHOTOSHOP_HEAD) :]  # long blocks go over several segments
    packets += _extended(extensions, b"".join(packets))
    return tuple(packet for packet in packets if packet), _iptc(photoshop)


def _extended(portions: list[bytes], main: bytes) -> Iterator[bytes]:
    """Extended packets that are complete, have the hash they are named by, and are named in `main`.

    A portion is 32 digits of MD5, the whole length, its own offset, and data. The standard has
    readers ignore an extension that the main packet does not name: an editor left it behind.
    """
    pieces: defaultdict[tuple[bytes, int], dict[int, bytes]] = defaultdict(dict)
    for portion in portions:
        if len(portion) > 40:
            length, offset = struct.unpack_from(">II", portion, 32)
            pieces[portion[:32], length][offset] = portion[40:]
    for (digest, length), parts in pieces.items():
        whole = b"".join(parts[offset] for offset in sorted(parts))
        named = digest.upper() in main.upper()
        if named and len(whole) == length and _md5(whole) == digest.upper():
            yield whole


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).hexdigest().upper().encode()


def _iptc(block: bytes) -> bytes | None:
    """IPTC-IIM records, bare or as Photoshop resources; several blocks as one stream."""
    if block.startswith(b"\x1c"):
        return block
    return b"".join(d for n, d in photoshop_resources(block) if n == IPTC_RESOURCE) or None


# --- PNG -----------------------------------------------------------------------------------------
def _png(body: bytes) -> Embedded:
    exif, packets, iptc = None, [], b""
    for name, data in png_chunks(body):
        keyword, text = _png_text(name, data)
        if keyword == b"XML:com.adobe.xmp":
            packets.append(text)
            continue
        if keyword.strip().lower() in RIGHTS_KEYWORDS and text:
            packets.append(b"tEXt" + keyword + b"\0" + text)
            continue
        kind, profile = _raw_profile(keyword, text)
        if kind in (b"exif", b"app1") and not profile.startswith(XMP_HEAD):
            exif = exif or profile
        elif kind in (b"xmp", b"app1"):
            packets.append(profile.removeprefix(XMP_HEAD))
        elif kind in (b"iptc", b"8bim"):
            iptc += _iptc(profile) or b""
    return Embedded(exif or None, tuple(p for p in packets if p), iptc or None)


def _png_text(name: bytes, data: bytes) -> tuple[bytes, bytes]:
    """Keyword and content of a text chunk, unpacked; two times nothing for other chunks."""
    keyword, _, rest = data.partition(b"\0")
    if name == b"tEXt":
        return keyword, rest
    if name == b"zTXt":
        return keyword, _inflate(rest[1:])
    if name == b"iTXt" and len(rest) > 2:
        *_, text = rest[2:].split(b"\0", 2)  # after the language and the translated keyword
        return keyword, _inflate(text) if rest[0] else text
    return b"", b""


def _inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, TEXT_LIMIT)
    except zlib.error:
        return b""


def _raw_profile(keyword: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Kind and bytes of a `Raw profile type` chunk: a name, a length, hex digits in lines."""
    head, _, kind = keyword.lower().partition(b"raw profile type ")
    parts = text.split(maxsplit=2)
    if head or not kind or len(parts) < 3:
        return b"", b""
    try:
        return kind, bytes.fromhex(b"".join(parts[2].split()).decode("ascii"))[: int(parts[1])]
    except ValueError:
        return b"", b""


# --- GIF -----------------------------------------------------------------------------------------
def _gif_xmp(body: bytes) -> bytes | None:
    """The XMP application extension of a GIF, which Pillow does not read."""
    start = body.find(GIF_XMP)
    if start < 0:
        return None
    start += len(GIF_XMP)
    end = body.find(GIF_XMP_TRAILER, start)
    return body[start:end] if end > start else None
