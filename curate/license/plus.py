"""What metadata reserves of data mining: the PLUS vocabulary, its constraints, and TDMRep.

A value that nobody has defined reserves: whoever wrote it meant to say something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from curate.license.xmp import Property, packet_text

PLUS: Final = "http://ns.useplus.org/ldf/xmp/1.0/"
TDM: Final = frozenset({"http://www.w3.org/ns/tdmrep", "http://www.w3.org/ns/tdmrep/",
                        "http://www.w3.org/ns/tdmrep#", "https://www.w3.org/ns/tdmrep",
                        "https://www.w3.org/ns/tdmrep/", "https://www.w3.org/ns/tdmrep#"})  # fmt: skip
VOCABULARY: Final = ("http://ns.useplus.org/ldf/vocab/", "https://ns.useplus.org/ldf/vocab/")
UNRESERVED: Final = frozenset({"DMI-UNSPECIFIED", "DMI-ALLOWED"})
"""The two values of plus:DataMining that prohibit nothing. All others of the vocabulary do: every
mining, mining but for search engines, AI training, generative AI training, and three that refer to
constraints, to an embedded or to a linked rights expression, which no program here can read."""
_NO_CONSTRAINT: Final = frozenset({"", "none", "none.", "n/a"})
_SPEAKS_OF_IT: Final = ("useplus.org/ldf", "dmi-prohibited", "w3.org/ns/tdmrep")


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
    text = packet_text(packet).lower()
    spoken = next((word for word in _SPEAKS_OF_IT if word in text), None)
    return Reservation("xmp_unread", f"not readable, speaks of {spoken}", "xmp") if spoken else None
