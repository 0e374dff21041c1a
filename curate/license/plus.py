"""What metadata reserves of data mining: the PLUS vocabulary, its constraints, TDMRep, plain words.

A value that nobody has defined reserves: whoever wrote it meant to say something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from curate.license.xmp import Property, packet_text, without_declarations

SIGNALS: Final[Mapping[str, str]] = {
    "c2pa_training_mining": "a signed manifest does not allow training or mining (C2PA, CAWG)",
    "c2pa_unread": "a signed manifest is there, or at an address the picture names, and could not "
                   "be read",
    "mining_terms": "its rights or instructions say in words: no AI training, no data mining",
    "plus_data_mining": "plus:DataMining prohibits it (PLUS, in XMP)",
    "plus_other_constraints": "plus:OtherConstraints are words that no program can weigh",
    "tdm_reservation": "text and data mining is reserved (TDMRep, in XMP)",
    "xmp_unread": "its XMP is broken and speaks of one of these",
}  # fmt: skip
"""Every reservation that a picture may carry, and what it means; all are honoured by default."""
SIGNED: Final = ("c2pa_training_mining", "c2pa_unread")
"""Signals that only the whole file shows, not the blocks that are kept of it."""

PLUS: Final = "http://ns.useplus.org/ldf/xmp/1.0/"
TDM: Final = frozenset({"http://www.w3.org/ns/tdmrep", "http://www.w3.org/ns/tdmrep/",
                        "http://www.w3.org/ns/tdmrep#", "https://www.w3.org/ns/tdmrep",
                        "https://www.w3.org/ns/tdmrep/", "https://www.w3.org/ns/tdmrep#"})  # fmt: skip
VOCABULARY: Final = ("http://ns.useplus.org/ldf/vocab/", "https://ns.useplus.org/ldf/vocab/")
UNRESERVED: Final = frozenset({"DMI-UNSPECIFIED", "DMI-ALLOWED"})
"""The two values of plus:DataMining that prohibit nothing. All others of the vocabulary do: every
mining, mining but for search engines, AI training, generative AI training, and three that refer to
constraints, to an embedded or to a linked rights expression, which no program here can read."""
_USE: Final = (
    r"(?:generative|artificial[ -]intelligence|machine[ -]learning|deep[ -]learning|"
    r"(?:text[ -](?:and|&|or)[ -])?data[ -]mining|text mining|\btdm\b|"
    r"\b(?:ai|ki|ia)\b[ /-]*(?:ml\b)?[ -]*(?:training|learning|model|dataset|data set|system|use|usage|scrap|tool)|"
    r"(?:train|scrap|us(?:e|ing))\w*\b[^.;!\n]{0,40}\b(?:ai|ki|ia)\b)"
)
_NEVER: Final = (
    r"\b(?:no|not|never|without|nor|neither|may not|don't|prohibit\w*|forbid\w*|exclud\w*|"
    r"reserv\w*|opt(?:ed|s|ing)?[ -]?out|disallow\w*|den(?:y|ied)|refus\w*|kein\w*|nicht|untersagt|"
    r"vorbehalten|verboten|interdit\w*|pas|aucun\w*|prohibid\w*|vietat\w*)\b"
)
_IN_WORDS: Final = re.compile(
    rf"\bno[ -]?(?:image)?ai\b|{_NEVER}[^.;!\n]{{0,80}}{_USE}|{_USE}[^.;!\n]{{0,80}}{_NEVER}", re.I
)
_NO_CONSTRAINT: Final = frozenset({"", "none", "none.", "n/a"})
_WORDS_LIMIT: Final = 4096
_SPEAKS_OF_IT: Final = ("datamining", "otherconstraints", "dmi-prohibited", "w3.org/ns/tdmrep")


@dataclass(frozen=True, slots=True)
class Reservation:
    """A use that a rights holder reserves, by which signal, in which words, and where.

    `signature` says of a signal that may be signed how its signature stands; `codes` are the
    validator's own words on it.
    """

    signal: str
    value: str
    locator: str
    signature: str | None = None
    codes: tuple[str, ...] = ()


def prohibits(value: str) -> bool:
    """Whether a value of plus:DataMining, an address of the vocabulary or its last part, reserves."""
    text = value.strip()
    for prefix in VOCABULARY:
        text = text.removeprefix(prefix)
    return text not in UNRESERVED


def reserved(found: Iterable[Property]) -> Iterator[Reservation]:
    """The reservations among the properties of a picture."""
    for item in found:
        signal = _signal(item)
        if signal is not None:
            yield Reservation(signal, item.text, item.locator)


def reserved_in_words(text: str, locator: str) -> Reservation | None:
    """The sentence of a rights text that reserves training or mining, if there is one."""
    found = _IN_WORDS.search(text[:_WORDS_LIMIT])
    return Reservation("mining_terms", found[0], locator) if found else None


def _signal(item: Property) -> str | None:
    if item.namespace == PLUS:
        if item.name == "DataMining" and item.text and prohibits(item.text):
            return "plus_data_mining"
        if item.name == "OtherConstraints" and item.text.lower() not in _NO_CONSTRAINT:
            return "plus_other_constraints"
    if item.namespace in TDM and item.name == "reservation" and item.text not in ("", "0"):
        return "tdm_reservation"
    return None


def unread(packet: bytes) -> Reservation | None:
    """What to make of a packet that is no XML: it reserves if it speaks of reservations at all."""
    text = without_declarations(packet_text(packet)).lower()
    spoken = next((word for word in _SPEAKS_OF_IT if word in text), None)
    return Reservation("xmp_unread", f"not readable, speaks of {spoken}", "xmp") if spoken else None
