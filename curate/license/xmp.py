"""XMP packets as properties, by namespace address and never by prefix.

Only statements about the picture itself count, the properties at the top of each description: what
is nested inside them speaks of other things (ingredients, works of art in the picture).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_NODE: Final = f"{{{RDF}}}Description"
_ARRAYS: Final = frozenset(f"{{{RDF}}}{name}" for name in ("Bag", "Seq", "Alt"))
_DEPTH: Final = 8
_NODE_ID: Final = f"{{{RDF}}}nodeID"
_REFERENCES: Final = 64
"""References to a node elsewhere in a packet that are followed; no writer needs more than a few."""
PACKET_LIMIT: Final = 16 << 20
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_FIRST_LETTER: Final = (
    (b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)  # fmt: skip
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_DECLARED: Final = re.compile(r"xmlns(?::[\w.-]{1,99})?\s{0,9}=\s{0,9}(?:\"[^\"]*\"|'[^']*')")
"""A namespace's declaration: writers declare many that they then do not use."""
_LICENCE: Final = re.compile(
    r"creativecommons|web\.resource\.org/cc|usageterms|webstatement|[:<\s]licen[cs]e\b|:rights\b"
    r"|:copyright\b",
    re.IGNORECASE,
)
_END: Final = re.compile(r"<\?xpacket\s{1,9}end\b[^<>]{0,99}\?>")


@dataclass(frozen=True, slots=True)
class Property:
    """One value of one property; an array has one a member, an alternative its language."""

    namespace: str
    name: str
    text: str
    language: str | None = None

    @property
    def locator(self) -> str:
        """Where it stands: `xmp:{namespace}name`, with the language of an alternative."""
        where = f"xmp:{{{self.namespace}}}{self.name}"
        return f"{where}[@xml:lang='{self.language}']" if self.language else where


def packet_text(raw: bytes) -> str:
    """The packet as text: its byte order mark or first letter tells which Unicode form it is in.

    Padding, what follows the packet's end, and characters that XML does not know are left out.
    """
    raw = raw[:PACKET_LIMIT]
    text = _decoded(raw.lstrip(b" \t\r\n") if raw[:1].isspace() else raw)
    end = _END.search(text)
    return _NOT_XML.sub("", text[: end.end()] if end else text).strip("\ufeff \t\r\n")


def _decoded(raw: bytes) -> str:
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    for start, encoding in _FIRST_LETTER:
        if raw.startswith(start):
            return raw.decode(encoding, "replace")
    return raw.decode("utf-8", "replace")


def properties(raw: bytes) -> list[Property] | None:
    """The properties of a packet in document order, or None if it is no RDF that may be read.

    Entities and document types are refused, whatever they say: XMP has none.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(packet_text(raw), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return None
    descriptions = list(root.iter(f"{{{RDF}}}RDF"))
    for rdf in descriptions:
        _follow(rdf)
    found = [found for rdf in descriptions for node in rdf for found in _node(node)]
    return found if descriptions or not packet_text(raw) else None


def without_declarations(text: str) -> str:
    """The text of a packet without its declarations of namespaces, which state nothing."""
    return _DECLARED.sub("", text)


def speaks_of_licence(packet: bytes) -> str | None:
    """The text of a packet that names a licence or a property for one, whatever its form; or None."""
    text = packet_text(packet)
    return text if _LICENCE.search(without_declarations(text)) else None


def _follow(rdf: Element) -> None:
    """Put the value of a node that is named by rdf:nodeID where it is referred to.

    All references share one copy taken before any is followed, so a circle ends after one round.
    """
    named = {node.get(_NODE_ID): node for node in rdf if node.get(_NODE_ID) is not None}
    copies = {name: deepcopy(node) for name, node in islice(named.items(), _REFERENCES)}
    for copy in copies.values():
        for inner in copy.iter():
            inner.attrib.pop(_NODE_ID, None)
    referring = (e for node in rdf for e in node.iter() if e is not node and e.get(_NODE_ID))
    for element in list(islice(referring, _REFERENCES)) if named else ():
        referred = copies.get(element.get(_NODE_ID))
        if referred is not None:
            element.append(referred)


def _node(node: Element) -> Iterator[Property]:
    """Properties of a description: its attributes first, then its elements."""
    for name, value in node.attrib.items():
        yield from _property(name, [(value, None)])
    for element in node:
        yield from _property(element.tag, _values(element, _DEPTH))


def _property(tag: str, values: list[tuple[str, str | None]]) -> Iterator[Property]:
    namespace, brace, name = tag[1:].partition("}")
    if brace and namespace not in (RDF, "http://www.w3.org/XML/1998/namespace"):
        for text, language in values:
            yield Property(namespace, name, text.strip(), language)


def _values(element: Element, depth: int) -> list[tuple[str, str | None]]:
    """What an element holds: an address, the members of an array, a value in a structure, text."""
    language = element.get(_LANG)
    for name in ("resource", "value"):
        if (found := element.get(f"{{{RDF}}}{name}")) is not None:
            return [(found, language)]
    arrays = [child for child in element if child.tag in _ARRAYS]
    if arrays and depth:
        members = [member for array in arrays for member in array]
        return [value for member in members for value in _values(member, depth - 1)]
    inner = next((_inner(child) for child in element if _inner(child)), None)
    return [(inner if inner is not None else element.text or "", language)]


def _inner(child: Element) -> str | None:
    """The value of a structure that only wraps one: rdf:value, or a node that has an address."""
    if child.tag == f"{{{RDF}}}value":
        return child.get(f"{{{RDF}}}resource") or child.text
    value = child.find(f"{{{RDF}}}value")
    if value is not None:
        return value.get(f"{{{RDF}}}resource") or value.text
    return child.get(f"{{{RDF}}}about") or child.get(f"{{{RDF}}}value")
