"""The phrases of licence titles by their first word, ready for a cursor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from curate.license.elements import ENGLISH, OTHER_LANGUAGES, WHOLE
from curate.license.places import NO_PORTS, PLACES, UNPORTED
from curate.license.tokens import phrase_of

Phrase = tuple[str, ...]
Meaning = TypeVar("Meaning")


def _read(table: Mapping[Meaning, str]) -> dict[Phrase, Meaning]:
    return {phrase_of(p): meaning for meaning, listed in table.items() for p in listed.split("|")}


def _glued(table: Mapping[Phrase, Meaning]) -> dict[Phrase, Meaning]:
    """The same phrases and, for those of several words, also written as one."""
    return {("".join(phrase),): meaning for phrase, meaning in table.items()} | dict(table)


def _by_first(table: Mapping[Phrase, Meaning]) -> dict[str, list[tuple[Phrase, Meaning]]]:
    """Longest phrase first, since the longest that fits is the one that is meant."""
    found: dict[str, list[tuple[Phrase, Meaning]]] = {}
    for phrase in sorted(table, key=len, reverse=True):
        found.setdefault(phrase[0], []).append((phrase, table[phrase]))
    return found


_FOREIGN = _glued(_read(OTHER_LANGUAGES))
_SHORT: Final = {(name,): name for name in ("by", "nc", "nd", "sa")}
_HOMES: Final = {
    "jp": "表示|非営利|改変禁止|継承",
    "kr": "저작자표시|비영리|변경금지|동일조건변경허락",
}
_ALL_ELEMENTS = _FOREIGN | _read(WHOLE) | _glued(_read(ENGLISH)) | _SHORT

ELEMENTS: Final = _by_first(_ALL_ELEMENTS)
"""Phrases that stand for an element such as `by`, or for a whole tool such as `zero`."""
FOREIGN: Final = frozenset(_FOREIGN) - frozenset(_glued(_read(ENGLISH)))
"""Element phrases of other languages than English."""
HOME: Final = _read(_HOMES)
"""The one port that a language's own titles can mean, where it is only one."""
PORT_OF: Final = _by_first(_read(PLACES) | _read({"": NO_PORTS}))
"""Names of places, the port of each, empty where the place never had one."""
VERSIONS_OF: Final = _by_first(_read(UNPORTED) | {("unported",): ("3.0",)})
"""Words such as `Unported`, and the versions that they go with."""
SUFFIX_WORDS: Final = frozenset(p[0] for p in _read(UNPORTED) if len(p) == 1) | {"unported"}
"""Those of one word, which also stand before a version."""
