"""Metadata blocks written by hand: XMP packets, TIFF directories, IPTC records, and what they say."""

from __future__ import annotations

import struct
from typing import Final

from curate.license.embedded import EmbeddedRights, read_embedded

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RIGHTS: Final = "http://ns.adobe.com/xap/1.0/rights/"
CC: Final = "http://creativecommons.org/ns#"
DC: Final = "http://purl.org/dc/elements/1.1/"
PLUS: Final = "http://ns.useplus.org/ldf/xmp/1.0/"
VOCABULARY: Final = "http://ns.useplus.org/ldf/vocab/"
BY: Final = "https://creativecommons.org/licenses/by/4.0/"
SPACES: Final = (
    f'xmlns:rdf="{RDF}" xmlns:xmpRights="{RIGHTS}" xmlns:cc="{CC}" xmlns:dc="{DC}"'
    f' xmlns:plus="{PLUS}" xmlns:tdm="http://www.w3.org/ns/tdmrep/"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
)

FEW: Final = f'xmlns:rdf="{RDF}" xmlns:cc="{CC}"'


def packet(inside: str = "", attributes: str = "", *, spaces: str = SPACES) -> str:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {spaces}>'
        f'<rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description>'
        f"</rdf:RDF></x:xmpmeta>{' ' * 200}<?xpacket end='w'?>"
    )


def read(text: str) -> EmbeddedRights:
    return read_embedded(xmp=[text.encode()])


def told(rights: EmbeddedRights) -> list[tuple[str, str | None, int, str | None]]:
    return [(c.kind, c.value, c.level, c.locator) for c in rights.claims]


def alt(*members: tuple[str, str]) -> str:
    inside = "".join(f'<rdf:li xml:lang="{lang}">{text}</rdf:li>' for lang, text in members)
    return f"<rdf:Alt>{inside}</rdf:Alt>"


LICENSE = f"<cc:license rdf:resource='{BY}'/>"
AS_LICENSE = ("cc_license_xmp", BY, 4, f"xmp:{{{CC}}}license")


def tiff(tags: dict[int, bytes], *, order: str = "<", kind: int = 2) -> bytes:
    """A TIFF stream with these texts in its first directory."""
    head, at, data = b"", 8 + 2 + 12 * len(tags) + 4, b""
    for tag, text in sorted(tags.items()):
        inline = (
            text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(f"{order}I", at + len(data))
        )
        head += struct.pack(f"{order}HHI", tag, kind, len(text)) + inline
        data += text if len(text) > 4 else b""
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return start + struct.pack(f"{order}H", len(tags)) + head + bytes(4) + data


def iptc(*records: tuple[int, int, bytes]) -> bytes:
    return b"".join(
        struct.pack(">BBBH", 0x1C, record, number, len(text)) + text
        for record, number, text in records
    )
