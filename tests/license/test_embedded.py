"""Embedded metadata: every form in which a picture may speak of its rights."""

from __future__ import annotations

import io
import struct
import time
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from speaking import (
    AS_LICENSE,
    BY,
    CC,
    DC,
    FEW,
    LICENSE,
    PLUS,
    RDF,
    RIGHTS,
    SPACES,
    VOCABULARY,
    alt,
    iptc,
    packet,
    read,
    tiff,
    told,
)

from curate.images.metadata import embedded
from curate.license.embedded import NOTHING, read_embedded
from curate.license.evidence import Claim, compare, resolve
from curate.license.plus import SIGNALS, prohibits, reserved_in_words
from curate.license.xmp import packet_text, properties


# --- XMP: forms of one statement -----------------------------------------------------------------
@pytest.mark.parametrize(
    "written",
    [
        packet(LICENSE),
        packet(attributes=f'cc:license="{BY}"'),
        packet(f"<cc:license>{BY}</cc:license>"),
        packet(f"<cc:license>\n  {BY}  \n</cc:license>"),
        packet(f"<cc:license><rdf:Bag><rdf:li rdf:resource='{BY}'/></rdf:Bag></cc:license>"),
        packet(f"<cc:license><rdf:Seq><rdf:li>{BY}</rdf:li></rdf:Seq></cc:license>"),
        packet(f"<cc:license><cc:License rdf:about='{BY}'/></cc:license>"),
        packet(
            "<cc:license rdf:parseType='Resource'>"
            f"<rdf:value>{BY}</rdf:value><xmpRights:Marked>True</xmpRights:Marked></cc:license>"
        ),
        packet(f"<cc:license><rdf:Description><rdf:value>{BY}</rdf:value></rdf:Description></cc:license>"),
        packet(f"<cc:license><rdf:Description rdf:value='{BY}'/></cc:license>"),
        # other prefixes for the same addresses
        packet(f"<q:license rdf:resource='{BY}'/>", spaces=f'xmlns:rdf="{RDF}" xmlns:q="{CC}"'),
        packet(LICENSE).replace("rdf:", "r:").replace("xmlns:rdf", "xmlns:r"),
        packet(f"<license xmlns='{CC}' rdf:resource='{BY}'/>"),
        # a typed node, no wrapper, a declaration, a byte order mark
        packet(LICENSE).replace("rdf:Description", "cc:Work"),
        f"<rdf:RDF {SPACES}><rdf:Description>{LICENSE}</rdf:Description></rdf:RDF>",
        f"\ufeff \n<?xml version='1.0' encoding='UTF-8'?><rdf:RDF {SPACES}>"
        f"<rdf:Description>{LICENSE}</rdf:Description></rdf:RDF>\n\n",
        packet(LICENSE) + "\0" * 2000 + "what some editor left behind",
        packet(f"<dc:title>\x0b\x01bad letters</dc:title>{LICENSE}"),
    ],
)  # fmt: skip
def test_one_statement_in_every_form(written: str) -> None:
    assert told(read(written)) == [AS_LICENSE]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le",
                 "utf-32-be"],
)  # fmt: skip
def test_unicode_forms(encoding: str) -> None:
    owner = "<dc:creator><rdf:Seq><rdf:li>Ærø Ñandú 写真</rdf:li></rdf:Seq></dc:creator>"
    written = packet(owner + LICENSE).replace("\ufeff", "")
    raw = written.encode(encoding)
    if encoding in ("utf-16", "utf-32"):  # Python writes the mark of this machine
        assert raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    rights = read_embedded(xmp=[raw])
    assert told(rights) == [AS_LICENSE]
    assert rights.creator == "Ærø Ñandú 写真"


def test_text_that_is_no_utf_8_is_still_read() -> None:
    raw = packet(f"<dc:creator>Jos\udce9</dc:creator>{LICENSE}").encode("utf-8", "surrogateescape")
    assert told(read_embedded(xmp=[raw])) == [AS_LICENSE]


@pytest.mark.parametrize(
    "written",
    [
        packet(LICENSE).replace(CC, "http://creativecommons.org.evil.example/ns#"),
        packet(LICENSE).replace(CC, "http://creativecommons.org/ns"),
        packet(f"<rdf:license rdf:resource='{BY}'/>"),
        packet(f"<dc:relation><rdf:Description>{LICENSE}</rdf:Description></dc:relation>"),  # nested
        "", "<", "<x:xmpmeta", "not xml at all", "<a>" * 40, packet()[:-300],
        f"<svg xmlns:cc='{CC}'/>",
    ],
)  # fmt: skip
def test_what_is_no_statement_about_the_picture(written: str) -> None:
    assert read(written) == NOTHING


WHOLE: Final = packet(LICENSE, spaces=FEW)


@pytest.mark.parametrize(
    "written",
    [
        WHOLE[:-300], WHOLE[: WHOLE.index("</rdf:Description>")], "<!DOCTYPE x>" + WHOLE,
        f"<!DOCTYPE r [<!ENTITY l '{BY}'>]>" + packet("<cc:license>&l;</cc:license>", spaces=FEW),
        f"<svg xmlns:cc='{CC}'>{LICENSE.replace('rdf:', '')}</svg>", f"junk {BY} junk",
        packet("<xmpRights:UsageTerms>No</xmpRights:UsageTerms>")[:-250], packet(attributes=f'xmpRights:WebStatement="{BY}"')[:-250],
        packet("<dc:rights>All rights reserved</dc:rights>")[:-250],
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_broken_packet_that_speaks_of_a_licence_contradicts_any(
    written: str, encoding: str
) -> None:
    [claim] = read_embedded(xmp=[written.replace("\ufeff", "").encode(encoding)]).claims
    assert (claim.kind, claim.level, claim.locator) == ("xmp_unread", 4, "xmp")
    assert claim.value and claim.value in written.replace("\ufeff", "")
    for grant in (Claim("url", BY, 5), Claim("text", "CC BY", 3), Claim("declaration", "CC0-1.0")):
        assert compare([grant], [claim]).agreement == "contradicts"
    assert resolve([claim]).id is None


@pytest.mark.parametrize(
    "statement",
    [
        "<t:license xmlns:t='http://purl.org/dc/terms/' rdf:resource='{}'/>",
        "<v:license xmlns:v='http://www.w3.org/1999/xhtml/vocab#' rdf:resource='{}'/>",
        "<t:license xmlns:t='http://purl.org/dc/terms/'>{}</t:license>",
        "<cc:license>{}</cc:license>",
    ],
)
def test_other_properties_for_a_licence(statement: str) -> None:
    for value, kind in ((BY, "cc_license_xmp"), ("CC BY 4.0", "xmp_usageterms")):
        [claim] = read(packet(statement.format(value))).claims
        assert (claim.kind, claim.value, claim.level) == (kind, value, 4)


@pytest.mark.parametrize(
    "node",
    [
        f"<rdf:Description rdf:nodeID='a'><rdf:value>{BY}</rdf:value></rdf:Description>",
        f"<rdf:Description rdf:nodeID='a'><rdf:value rdf:resource='{BY}'/></rdf:Description>",
        f"<rdf:Description rdf:nodeID='a' rdf:value='{BY}'/>",
        f"<rdf:Bag rdf:nodeID='a'><rdf:li>{BY}</rdf:li></rdf:Bag>",
    ],
)
def test_a_reference_to_a_node_is_followed(node: str) -> None:
    written = packet("<cc:license rdf:nodeID='a'/>").replace("</rdf:RDF>", f"{node}</rdf:RDF>")
    assert told(read(written)) == [AS_LICENSE]


def test_references_in_a_circle_end() -> None:
    loop = "<rdf:Bag rdf:nodeID='a'>" + "<rdf:li rdf:nodeID='a'/>" * 500 + "</rdf:Bag>"
    start = time.perf_counter()
    read(packet("<cc:license rdf:nodeID='a'/>").replace("</rdf:RDF>", f"{loop}</rdf:RDF>"))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("text", "rung"),
    [("CC BY-NC 4.0", 4), (BY, 4), ("All rights reserved", 4), ("© 2019 Jane Doe", 1)],
)
@pytest.mark.parametrize("chunk", ["tEXt", "zTXt", "iTXt", "iTXt packed"])
def test_a_copyright_text_of_a_png_is_a_claim(text: str, rung: int, chunk: str) -> None:
    info = PngInfo()
    if chunk.startswith("iTXt"):
        info.add_itxt("Copyright", text, zip=chunk.endswith("packed"))
    else:
        info.add_text("Copyright", text, zip=chunk == "zTXt")
    body = io.BytesIO()
    Image.new("RGB", (8, 8)).save(body, "PNG", pnginfo=info)
    with Image.open(body) as im:
        found = embedded(im, body.getvalue())
    claims = told(read_embedded(exif=found.exif, xmp=found.xmp, iptc=found.iptc))
    assert claims == [("exif_copyright", text, rung, "png:Copyright")]


def test_entities_are_not_expanded() -> None:
    bomb = '<!DOCTYPE r [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{"&" + chr(97 + n) + ";" * 1}{("&" + chr(97 + n) + ";") * 9}">'
        for n in range(12)
    )
    start = time.perf_counter()
    assert properties(f"{bomb}]><r>&m;</r>".encode()) is None
    assert time.perf_counter() - start < 0.5


def test_many_descriptions_and_many_packets() -> None:
    second = f'<rdf:Description rdf:about="uuid:1" xmpRights:WebStatement="{BY}"/></rdf:RDF>'
    both = packet(LICENSE).replace("</rdf:RDF>", second)
    assert [kind for kind, *_ in told(read(both))] == ["cc_license_xmp", "xmp_webstatement"]
    packets = [packet(LICENSE).encode(), packet(attributes=f'dc:rights="{BY}"').encode("utf-16")]
    rights = read_embedded(xmp=packets)
    assert [kind for kind, *_ in told(rights)] == ["cc_license_xmp", "dc_rights"]
    assert read_embedded(xmp=[packets[0]] * 3).claims == rights.claims[:1], "said once"


def test_every_property_and_its_rung() -> None:
    terms = alt(("x-default", "CC BY 4.0"), ("de", "Alle Rechte vorbehalten"))
    rights = read(
        packet(
            f"<xmpRights:UsageTerms>{terms}</xmpRights:UsageTerms>"
            f"<dc:rights>{alt(('x-default', '© 2019 Jane Doe'))}</dc:rights>{LICENSE}",
            'xmpRights:WebStatement="https://jane.example/terms"',
        )
    )
    assert told(rights) == [
        ("xmp_webstatement", "https://jane.example/terms", 1, f"xmp:{{{RIGHTS}}}WebStatement"),
        ("xmp_usageterms", "CC BY 4.0", 4, f"xmp:{{{RIGHTS}}}UsageTerms[@xml:lang='x-default']"),
        ("xmp_usageterms", "Alle Rechte vorbehalten", 4, f"xmp:{{{RIGHTS}}}UsageTerms[@xml:lang='de']"),
        ("dc_rights", "© 2019 Jane Doe", 1, f"xmp:{{{DC}}}rights[@xml:lang='x-default']"),
        AS_LICENSE,
    ]  # fmt: skip
    assert all(claim.claimed_by == "the picture's own metadata" for claim in rights.claims)


def test_whom_to_credit() -> None:
    people = "<rdf:Seq><rdf:li>Jane Doe</rdf:li><rdf:li>Ann Other</rdf:li></rdf:Seq>"
    rights = read(
        packet(
            f"<dc:creator>{people}</dc:creator><cc:attributionURL rdf:resource='https://j.example'/>",
            f'photoshop:Credit="Jane/Agency" cc:attributionName="Jane" xmpRights:WebStatement="{BY}"',
        )
    )
    assert (rights.creator, rights.credit) == ("Jane Doe; Ann Other", "Jane/Agency")
    assert (rights.attribution_name, rights.attribution_url) == ("Jane", "https://j.example")
    assert rights.web_statement == BY
    assert read_embedded(exif=tiff({0x013B: b"Tim\0"})).creator == "Tim"
    assert read_embedded(iptc=iptc((2, 80, b"Ann"), (2, 80, b"Bob"))).creator == "Ann; Bob"


# --- EXIF ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("head", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("kind", [1, 2, 7, 129])
def test_the_exif_notice(order: str, head: bytes, kind: int) -> None:
    block = head + tiff({0x8298: b"(c) Jane Doe, CC BY 4.0\0"}, order=order, kind=kind)
    assert told(read_embedded(exif=block)) == [
        ("exif_copyright", "(c) Jane Doe, CC BY 4.0", 1, "exif:0x8298")
    ]


def test_photographer_and_editor_share_a_tag() -> None:
    block = tiff({0x8298: b"\xa9 Jane\0All rights reserved by The Paper\0"})
    assert told(read_embedded(exif=block)) == [
        ("exif_copyright", "© Jane", 1, "exif:0x8298"),
        ("exif_copyright", "All rights reserved by The Paper", 1, "exif:0x8298/editor"),
    ]
    only_editor = tiff({0x8298: b" \0The Paper\0"})
    assert [c.locator for c in read_embedded(exif=only_editor).claims] == ["exif:0x8298/editor"]
    short = tiff({0x8298: b"CC0\0"})  # fits where the offset would be
    assert [c.value for c in read_embedded(exif=short).claims] == ["CC0"]
    assert read_embedded(exif=tiff({0x8298: BY.encode() + b"\0"})).claims[0].level == 4


# --- IPTC ----------------------------------------------------------------------------------------
def test_the_iptc_notice() -> None:
    where = "iptc:2:116"
    assert told(read_embedded(iptc=iptc((2, 116, b"CC BY 4.0")))) == [
        ("exif_copyright", "CC BY 4.0", 4, where)
    ]
    utf8 = iptc((1, 90, b"\x1b%G"), (2, 5, b"a title"), (2, 116, "© José".encode()))
    latin = iptc((2, 116, "© José".encode("latin-1")))
    for stream in (utf8, latin):
        assert told(read_embedded(iptc=stream)) == [("exif_copyright", "© José", 1, where)]
    long = b"\x1c\x02\x74\x80\x04" + struct.pack(">I", 9) + b"CC BY 4.0"
    assert read_embedded(iptc=long).claims[0].value == "CC BY 4.0"
    assert read_embedded(iptc=iptc((2, 116, b"x"))[:-1] + b"") == NOTHING


# --- reservations --------------------------------------------------------------------------------
PROHIBITING = ("DMI-PROHIBITED", "DMI-PROHIBITED-AIMLTRAINING", "DMI-PROHIBITED-GENAIMLTRAINING",
               "DMI-PROHIBITED-EXCEPTSEARCHENGINEINDEXING", "DMI-PROHIBITED-SEECONSTRAINT",
               "DMI-PROHIBITED-SEEEMBEDDEDRIGHTSEXPR", "DMI-PROHIBITED-SEELINKEDRIGHTSEXPR",
               "DMI-SOMETHING-NEW", "dmi-allowed", "Prohibited", "no")  # fmt: skip


@pytest.mark.parametrize("prefix", [VOCABULARY, VOCABULARY.replace("http:", "https:"), ""])
def test_plus_data_mining(prefix: str) -> None:
    for value in PROHIBITING:
        written = packet(f"<plus:DataMining rdf:resource='{prefix}{value}'/>")
        [found] = read(written).reservations
        assert found.signal == "plus_data_mining"
        assert (found.value, found.locator) == (prefix + value, f"xmp:{{{PLUS}}}DataMining")
        assert read(packet(attributes=f'plus:DataMining="{prefix}{value}"')).reservations == (
            found,
        )
    for value in ("DMI-UNSPECIFIED", "DMI-ALLOWED"):
        assert not prohibits(prefix + value)
        assert read(packet(attributes=f'plus:DataMining="{prefix}{value}"')) == NOTHING
    assert prohibits(f"https://evil.example/{VOCABULARY}DMI-ALLOWED")


def test_of_several_values_one_that_reserves_is_enough() -> None:
    both = "<rdf:Bag><rdf:li>DMI-ALLOWED</rdf:li><rdf:li>DMI-PROHIBITED</rdf:li></rdf:Bag>"
    assert len(read(packet(f"<plus:DataMining>{both}</plus:DataMining>")).reservations) == 1
    packets = [packet(attributes=f'plus:DataMining="{v}"').encode() for v in ("DMI-ALLOWED", "x")]
    assert len(read_embedded(xmp=packets).reservations) == 1


def test_other_constraints_and_tdm() -> None:
    words = alt(("x-default", "Not for calendars"))
    [found] = read(packet(f"<plus:OtherConstraints>{words}</plus:OtherConstraints>")).reservations
    assert (found.signal, found.value) == ("plus_other_constraints", "Not for calendars")
    assert read(packet("<plus:OtherConstraints>none</plus:OtherConstraints>")) == NOTHING
    for value in ("1", "true", "yes"):
        [found] = read(packet(attributes=f'tdm:reservation="{value}"')).reservations
        assert (found.signal, found.value) == ("tdm_reservation", value)
    assert read(packet(attributes='tdm:reservation="0" tdm:policy="https://p.example"')) == NOTHING


def test_broken_xmp_reserves_only_where_it_speaks_of_it() -> None:
    whole = packet(f"<plus:DataMining rdf:resource='{VOCABULARY}DMI-PROHIBITED'/>")
    [found] = read(whole[: whole.index("</rdf:Description>")]).reservations
    assert found.signal == "xmp_unread"
    silent = packet(LICENSE, spaces=FEW)
    assert not read(silent[: silent.index("</rdf:Description>")]).reservations


@pytest.mark.parametrize(
    "text", ["No AI training.", "NoAI", "This picture may not be used to train AI models",
             "Text and data mining reserved", "Use for machine learning is prohibited",
             "Keine Nutzung für KI-Training"],
)  # fmt: skip
def test_reservations_in_plain_words(text: str) -> None:
    [found] = read(packet(attributes=f'xmpRights:UsageTerms="CC BY 4.0. {text}"')).reservations
    assert found.signal == "mining_terms" and found.value in text
    [found] = read_embedded(iptc=iptc((2, 40, text.encode()))).reservations
    assert found.locator == "iptc:2:40"
    [found] = read_embedded(exif=tiff({0x8298: text.encode() + b"\0"})).reservations
    assert found.locator == "exif:0x8298"


@pytest.mark.parametrize(
    "text", ["© 2019 Jane Doe", "All rights reserved", "AI training allowed", "Photo by Ai Weiwei",
             "No commercial use. Data mining is welcome", "Training of horses, no copyright"],
)  # fmt: skip
def test_words_that_reserve_no_mining(text: str) -> None:
    assert reserved_in_words(text, "") is None


# --- nothing breaks it ---------------------------------------------------------------------------
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_read(exif: bytes, xmp: bytes, records: bytes) -> None:
    for head in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        read_embedded(exif=head + exif, xmp=[xmp], iptc=b"\x1c\x02\x74" + records)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6), st.binary(min_size=1, max_size=8), st.sampled_from(["utf-8", "utf-16"])
)
def test_damaged_packets_are_read_or_not(at: int, noise: bytes, encoding: str) -> None:
    raw = bytearray(
        packet(LICENSE, f'plus:DataMining="{VOCABULARY}DMI-PROHIBITED"').encode(encoding)
    )
    place = at % len(raw)
    raw[place : place + len(noise)] = noise
    for item in read_embedded(xmp=[bytes(raw)]).reservations:
        assert item.signal in SIGNALS
    assert "\0" not in packet_text(bytes(raw))


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32"]),
)
def test_values_come_back_as_they_were_written(text: str, encoding: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    raw = packet(attributes=f'dc:rights="{escaped}"').encode(encoding)
    cleaned = text.replace("\ufffe", "").replace("\uffff", "").strip()
    expected = [cleaned] if cleaned else []
    assert [claim.value for claim in read_embedded(xmp=[raw]).claims] == expected


@pytest.mark.parametrize(
    "raw",
    [b"<a>" * 200_000, b"<a " + b"b='' " * 100_000, b"\0" * 10**6, b"<?xpacket end" * 100_000,
     packet("<dc:rights><rdf:Alt>" * 5000).encode(), b"<?xpacket " * 100_000, b"\x1c\x02\x74\0\0" * 100_000],
)  # fmt: skip
def test_no_packet_takes_long(raw: bytes) -> None:
    start = time.perf_counter()
    read_embedded(exif=raw, xmp=[raw], iptc=raw)
    assert time.perf_counter() - start < 2
