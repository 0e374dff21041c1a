"""Embedded metadata in real files: every container, raw and before any transcoding."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import file, photoshop, scene, with_segment
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from speaking import (
    AS_LICENSE,
    LICENSE,
    SPACES,
    iptc,
    packet,
    tiff,
    told,
)

from curate.images.decode import Picture, decode
from curate.images.metadata import EXTENSION_HEAD, XMP_HEAD, Embedded
from curate.license.embedded import NOTHING, EmbeddedRights, read_embedded


def kept(body: bytes) -> Embedded:
    picture = decode(body, max_pixels=10**6)
    assert isinstance(picture, Picture), picture
    return picture.embedded


def rights_of(body: bytes) -> EmbeddedRights:
    found = kept(body)
    return read_embedded(exif=found.exif, xmp=found.xmp, iptc=found.iptc)


PACKET = packet(LICENSE).encode()
SCENE = scene()


def gif() -> bytes:
    plain = file(SCENE, "GIF")
    at = plain.index(b"\x2c", 13 + 3 * 2 ** ((plain[10] & 7) + 1))
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return plain[:at] + b"\x21\xff\x0bXMP DataXMP" + PACKET + trailer + plain[at:]


def chunk(name: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + crc


def png(*chunks: bytes, last: bool = False) -> bytes:
    plain = file(SCENE, "PNG")
    at = plain.index(b"IEND") - 4 if last else 33
    return plain[:at] + b"".join(chunks) + plain[at:]


def profile(kind: bytes, data: bytes) -> bytes:
    """The text of ImageMagick's raw profile chunks."""
    digits = data.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\n" + kind + b"\n%8d\n" % len(data) + lines + b"\n"


def itxt() -> bytes:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", PACKET.decode())
    return file(SCENE, "PNG", pnginfo=info)


def zitxt() -> bytes:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", PACKET.decode(), zip=True)
    return file(SCENE, "PNG", pnginfo=info)


XMP_FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: file(SCENE, xmp=PACKET),
    "webp": lambda: file(SCENE, "WEBP", xmp=PACKET),
    "avif": lambda: file(SCENE, "AVIF", speed=10, xmp=PACKET),
    "gif": gif,
    "png iTXt": itxt,
    "png iTXt, compressed": zitxt,
    "png iTXt after the pixels": lambda: png(
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET), last=True
    ),
    "png raw profile": lambda: png(
        chunk(b"tEXt", b"Raw profile type xmp\0" + profile(b"xmp", PACKET))
    ),
    "png raw profile, compressed": lambda: png(
        chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(profile(b"app1", XMP_HEAD + PACKET)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", XMP_FILES)
def test_xmp_in_every_container(name: str) -> None:
    body = XMP_FILES[name]()
    assert kept(body).xmp == (PACKET,), "raw, as it lay in the file"
    assert told(rights_of(body)) == [AS_LICENSE]


def test_iptc_and_exif_in_png_profiles() -> None:
    records = iptc((2, 116, b"CC BY 4.0"))
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records + b"\0"
    for data in (records, resource):
        body = png(
            chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(profile(b"iptc", data)))
        )
        assert kept(body).iptc == records
    block = b"Exif\0\0" + tiff({0x8298: b"CC BY 4.0\0"})
    for kind in (b"exif", b"APP1"):
        body = png(chunk(b"tEXt", b"Raw profile type " + kind + b"\0" + profile(kind, block)))
        assert kept(body).exif == block
        assert [c.locator for c in rights_of(body).claims] == ["exif:0x8298"]


def test_jpeg_iptc_over_several_segments() -> None:
    records = iptc(
        (2, 105, b"h" * 30_000), (2, 116, b"All rights reserved"), (2, 120, b"c" * 30_000)
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    body = file(SCENE)
    for part in reversed([resource[:50_000], resource[50_000:]]):
        data = b"Photoshop 3.0\0" + part
        body = with_segment(body, b"\xff\xed" + struct.pack(">H", len(data) + 2) + data)
    assert [c.value for c in rights_of(body).claims] == ["All rights reserved"]
    twice = with_segment(with_segment(file(SCENE), photoshop(iptc((2, 116, b"A")))),
                         photoshop(iptc((2, 116, b"B"))))  # fmt: skip
    assert [c.value for c in rights_of(twice).claims] == ["B", "A"]


def extended(data: bytes, *, digest: str | None = None, size: int = 60_000) -> list[bytes]:
    name = (digest or hashlib.md5(data).hexdigest().upper()).encode()
    return [
        EXTENSION_HEAD + name + struct.pack(">II", len(data), at) + data[at : at + size]
        for at in range(0, len(data), size)
    ]


def jpeg_with(*payloads: bytes) -> bytes:
    body = file(SCENE)
    for payload in reversed(payloads):
        body = with_segment(body, b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload)
    return body


def test_extended_xmp() -> None:
    more = f"<rdf:RDF {SPACES}><rdf:Description plus:DataMining='DMI-PROHIBITED'"
    data = f"{more} dc:source='{'x' * 130_000}'/></rdf:RDF>".encode()
    name = hashlib.md5(data).hexdigest().upper()
    main = packet(attributes=f'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{name}"')
    parts = extended(data)
    assert len(parts) == 3
    for order in (parts, parts[::-1]):
        found = rights_of(jpeg_with(XMP_HEAD + main.encode(), *order)).reservations
        assert [item.signal for item in found] == ["plus_data_mining"]
    assert len(kept(jpeg_with(XMP_HEAD + main.encode(), *parts)).xmp) == 2
    wrong = [
        [XMP_HEAD + packet().encode(), *parts],  # not named by the main packet: left behind
        [XMP_HEAD + main.encode(), *parts[:2]],  # incomplete
        [XMP_HEAD + main.encode(), *extended(data[:-1] + b"!", digest=name)],  # another hash
    ]
    for payloads in wrong:
        assert len(kept(jpeg_with(*payloads)).xmp) == 1


def test_nothing_is_said_by_a_plain_picture() -> None:
    for form in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"):
        assert rights_of(file(SCENE, form)) == NOTHING


def test_blocks_lie_in_the_column_before_any_transcoding() -> None:
    body = file(SCENE, xmp=PACKET, exif=b"Exif\0\0" + tiff({0x8298: b"CC BY 4.0\0"}))
    with Image.open(io.BytesIO(body)) as im:
        again = io.BytesIO()
        im.convert("RGB").save(again, "PNG")
    assert len(rights_of(body).claims) == 2 and rights_of(again.getvalue()).claims == ()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(XMP_FILES)), st.integers(0, 10**6), st.binary(min_size=1, max_size=6))
def test_damaged_files_are_read_or_refused(name: str, at: int, noise: bytes) -> None:
    body = bytearray(XMP_FILES[name]())
    place = at % len(body)
    body[place : place + len(noise)] = noise
    picture = decode(bytes(body), max_pixels=10**6)
    if isinstance(picture, Picture):
        found = picture.embedded
        read_embedded(exif=found.exif, xmp=found.xmp, iptc=found.iptc)
