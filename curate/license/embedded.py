"""What a picture's own metadata say of rights: claims, reservations, and whom to credit.

Read from the raw blocks as they lay in the fetched file. Such claims corroborate or contradict what
a source says; they grant nothing, since anybody who passed the file on could have written them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from curate.license import exif as exif_block
from curate.license import iptc as iptc_block
from curate.license import plus
from curate.license.evidence import XMP_UNREAD, Claim, read
from curate.license.plus import Reservation
from curate.license.xmp import Property, properties, speaks_of_licence

XMP_RIGHTS: Final = "http://ns.adobe.com/xap/1.0/rights/"
DC: Final = "http://purl.org/dc/elements/1.1/"
DCTERMS: Final = "http://purl.org/dc/terms/"
CC: Final = ("http://creativecommons.org/ns#", "http://web.resource.org/cc/")
XHV: Final = "http://www.w3.org/1999/xhtml/vocab#"
TIFF: Final = "http://ns.adobe.com/tiff/1.0/"
PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
IPTC_EXTENSION: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

KINDS: Final = {
    (XMP_RIGHTS, "WebStatement"): "xmp_webstatement",
    (XMP_RIGHTS, "UsageTerms"): "xmp_usageterms",
    (CC[0], "license"): "cc_license_xmp",
    (CC[1], "license"): "cc_license_xmp",
    (DCTERMS, "license"): "cc_license_xmp",
    (XHV, "license"): "cc_license_xmp",
    (DC, "rights"): "dc_rights",
    (DCTERMS, "rights"): "dc_rights",
    (TIFF, "Copyright"): "exif_copyright",
}
"""XMP properties that claim something of the licence, and how their values are parsed."""
_CREDITS: Final = {
    "creator": ((DC, "creator"), (TIFF, "Artist")),
    "credit": ((PHOTOSHOP, "Credit"),),
    "web_statement": ((XMP_RIGHTS, "WebStatement"),),
    "attribution_name": ((CC[0], "attributionName"), (CC[1], "attributionName")),
    "attribution_url": ((CC[0], "attributionURL"), (CC[1], "attributionURL")),
    "manifest_elsewhere": ((DCTERMS, "provenance"),),
    "digital_source_type": ((IPTC_EXTENSION, "DigitalSourceType"),),
}
"""What attribution may use, where a signed manifest lies if it is not in the file, and how the
picture came to be; with the properties that say it, the best one first."""
CLAIMANT: Final = "the picture's own metadata"
VALUE_LIMIT: Final = 65537
"""Characters of a claim that are kept: one more than the parser reads, so that it says so."""
PNG_TEXT: Final = b"tEXt"
"""What a rights text of a PNG begins with where it stands among the packets."""
_RESERVING: Final = frozenset({"all_rights_reserved", "negated", "rights_statement"})
_ADDRESS: Final = ("http:", "https:", "//", "www.", "creativecommons.org")


@dataclass(frozen=True, slots=True)
class EmbeddedRights:
    """Claims, reservations and credits found in the metadata blocks of one picture."""

    claims: tuple[Claim, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    creator: str | None = None
    credit: str | None = None
    web_statement: str | None = None
    attribution_name: str | None = None
    attribution_url: str | None = None
    manifest_elsewhere: str | None = None
    digital_source_type: str | None = None


NOTHING: Final = EmbeddedRights()


def read_embedded(
    *, exif: bytes | None = None, xmp: Iterable[bytes] | None = None, iptc: bytes | None = None
) -> EmbeddedRights:
    """What the raw blocks say. Never raises: a block that cannot be read says nothing.

    But a packet of XMP that cannot be read and speaks of reservations reserves (`xmp_unread`), and
    one that speaks of a licence is a claim that contradicts any (`evidence.XMP_UNREAD`).
    """
    texts = [packet for packet in xmp or () if packet.startswith(PNG_TEXT)]
    packets = [packet for packet in xmp or () if not packet.startswith(PNG_TEXT)]
    if not (exif or packets or iptc or texts):
        return NOTHING
    parsed = [properties(packet) for packet in packets]
    found = [item for known in parsed for item in known or ()]
    broken = [p for p, known in zip(packets, parsed, strict=True) if known is None]
    claims = [*_from_xmp(found), *_from_unread(broken), *_from_png(texts),
              *_from_exif(exif or b""), *_from_iptc(iptc or b"")]  # fmt: skip
    unread = [plus.unread(packet) for packet in broken]
    words = [plus.reserved_in_words(*said) for said in _words(claims, found, iptc or b"")]
    reserved = [*plus.reserved(found), *(item for item in (*unread, *words) if item is not None)]
    credits = {name: _first(found, places) for name, places in _CREDITS.items()}
    credits["creator"] = credits["creator"] or _creator(exif or b"", iptc or b"")
    return EmbeddedRights(
        claims=tuple(dict.fromkeys(_ranked(claim) for claim in claims)),
        reservations=tuple(dict.fromkeys(reserved)),
        **credits,
    )


def _words(
    claims: Iterable[Claim], found: Iterable[Property], iptc: bytes
) -> Iterator[tuple[str, str]]:
    """Texts in which rights holders write what may not be done, with where they stand."""
    yield from ((claim.value or "", claim.locator or "") for claim in claims)
    for item in found:
        if (item.namespace, item.name) == (PHOTOSHOP, "Instructions"):
            yield item.text, item.locator
    for place, text in iptc_block.records(iptc):
        if place == iptc_block.INSTRUCTIONS:
            yield text, "iptc:2:40"


def _from_xmp(found: Iterable[Property]) -> Iterator[Claim]:
    for item in found:
        kind = KINDS.get((item.namespace, item.name))
        if kind is not None and item.text:
            named = kind == "cc_license_xmp" and not item.text.lower().startswith(_ADDRESS)
            yield _claim("xmp_usageterms" if named else kind, item.text, item.locator)


def _from_unread(packets: Iterable[bytes]) -> Iterator[Claim]:
    """Nobody may overlook what a broken packet would have said of a licence."""
    for packet in packets:
        if (text := speaks_of_licence(packet)) is not None:
            yield _claim(XMP_UNREAD, text, "xmp")


def _from_png(texts: Iterable[bytes]) -> Iterator[Claim]:
    """Text chunks, unpacked: the type, a keyword, a zero byte and the text."""
    for chunk in texts:
        keyword, _, text = chunk.removeprefix(PNG_TEXT).partition(b"\0")
        if said := exif_block.decoded(text):
            yield _claim("exif_copyright", said, f"png:{exif_block.decoded(keyword)}")


def _from_exif(block: bytes) -> Iterator[Claim]:
    for locator, text in exif_block.notices(block):
        yield _claim("exif_copyright", text, locator)


def _from_iptc(stream: bytes) -> Iterator[Claim]:
    for place, text in iptc_block.records(stream):
        if place == iptc_block.COPYRIGHT and text:
            yield _claim("exif_copyright", text, "iptc:2:116")


def _claim(kind: str, value: str, locator: str) -> Claim:
    return Claim(kind, value[:VALUE_LIMIT], claimed_by=CLAIMANT, locator=locator)


def _ranked(claim: Claim) -> Claim:
    """The claim on its rung: L4 if it names a tool, or outside EXIF reserves all; L1 otherwise.

    Cameras write the EXIF notice into every picture, so free words there are a footer; an address
    of a licence is none.
    """
    answer = read(claim)
    if (claim.locator or "").startswith("exif:"):
        return replace(claim, level=4 if answer.id and answer.reason == "url" else 1)
    said = answer.id or answer.reason in _RESERVING or claim.kind == XMP_UNREAD
    return replace(claim, level=4 if said else 1)


def _first(found: Iterable[Property], places: tuple[tuple[str, str], ...]) -> str | None:
    """The values of the first property that has any, several joined, of alternatives the first."""
    for place in places:
        values = [p for p in found if (p.namespace, p.name) == place and p.text]
        if values:
            several = [p.text for p in values if p.language is None]
            return "; ".join(dict.fromkeys(several)) or values[0].text
    return None


def _creator(exif: bytes, iptc: bytes) -> str | None:
    bylines = [text for place, text in iptc_block.records(iptc) if place == iptc_block.BYLINE]
    return exif_block.artist(exif) or "; ".join(filter(None, bylines)) or None
