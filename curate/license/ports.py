"""What stands behind a version: a port, `Unported` or the like, or something that leaves doubt.

`CC BY 3.0 DE` and `Attribution 3.0 Germany` name a port; `CC BY 3.0 de Juan` may or may not.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from curate.license.phrases import PORT_OF, VERSIONS_OF
from curate.license.tokens import Cursor
from curate.license.tools import PORT_NAMES, by_family
from curate.license.words import AND, LICENCE, OR

_BEFORE: Final = frozenset("-_/,(:")
_LISTING: Final = AND | OR | frozenset(",/")
_BEHIND_NAME: Final = LICENCE | {"deed", "-", "lizenz"}
_ABBREVIATED: Final = ("sad",)
"""The United States in Croatian and Serbian, if in capital letters."""
_PREPOSITIONS: Final = frozenset({"in", "for", "im"})


class Place(NamedTuple):
    """The port's code, the position behind it, a reason for doubt, and whether anything was said.

    `said` is also true of words such as `Unported`.
    """

    port: str
    behind: int
    doubt: str = ""
    said: bool = False


def read_place(text: Cursor, at: int, version: str, family: str) -> Place:
    """What the words at a position, behind a version, say of a port: one place, or none."""
    place = _first_place(text, at, version, family)
    if place.said and not place.doubt and _another(text, place.behind):
        return Place("", place.behind, "port_unclear")
    return place


def _another(text: Cursor, at: int) -> bool:
    """Whether a second place follows one: `DE and AT`, `Germany, Austria`, `Unported Germany`."""
    here = text.skip(at, _LISTING, 2)
    if any(text.phrase(here, phrase) for phrase, _ in PORT_OF.get(text.word(here), ())):
        return True
    return here > at and text.word(here) in PORT_NAMES and text.raw(here).isupper()


def _first_place(text: Cursor, at: int, version: str, family: str) -> Place:
    here = text.skip(at, _BEFORE, 2)
    between = text.between(at - 1, here)
    listed = "," in between
    unported = None if listed else _unported(text, here, version)
    if unported is not None:
        return unported
    for phrase, port in PORT_OF.get(text.word(here), ()):
        behind = text.phrase(here, phrase)
        if behind and listed:
            last = port and not text.word(behind) and by_family(family, version, port)
            return Place("", at, "port_unclear" if last else "")
        if behind and (phrase != _ABBREVIATED or text.raw(here).isupper()):
            return _named(text, port, behind, version, family)
    word = text.word(here)
    if word in _PREPOSITIONS and text.word(here + 1) in PORT_OF:
        return Place("", here + 1, "port_unclear")
    if word in PORT_NAMES:
        return _coded(text, at, here, version, family)
    aside = text.skip(at, frozenset(".·|;–"), 1)
    if aside > at and text.word(aside) in PORT_NAMES and text.raw(aside).isupper():
        return Place("", at, "port_unclear" if text.ends(aside + 1) else "")
    return _stray(text, at, here, version)


def _unported(text: Cursor, here: int, version: str) -> Place | None:
    for phrase, versions in VERSIONS_OF.get(text.word(here), ()):
        behind = text.phrase(here, phrase)
        if behind:
            behind = text.skip(behind, frozenset(")"), 1)
            return Place("", behind, "" if version in versions else "contradiction", said=True)
    return None


def _stray(text: Cursor, at: int, here: int, version: str) -> Place:
    """Letters that look like a code without being one."""
    between, word, raw = text.between(at - 1, here), text.word(here), text.raw(here)
    if word == "deed":
        return Place("", at)
    odd = between in ("-", "_") and word and word[0].isalpha()
    codelike = raw.isascii() and raw.isupper() and (version != "4.0" or len(raw) == 2)
    initials = codelike and between == " "
    if (odd and word not in LICENCE) or (initials and text.ends(here + 1)):
        return Place("", here + 1, "port_unclear")
    return Place("", at)


def _named(text: Cursor, port: str, behind: int, version: str, family: str) -> Place:
    """A place by its name; one without such a licence leaves the port unclear."""
    closed = text.word(behind) == ")"
    exists = bool(port) and by_family(family, version, port) is not None
    if exists and (text.ends(behind) or text.word(behind) in _BEHIND_NAME):
        return Place(port, behind + closed, said=True)
    return Place("", behind, "port_unclear")


def _coded(text: Cursor, at: int, here: int, version: str, family: str) -> Place:
    """A place by its code."""
    token, between = text.tokens[here], text.between(at - 1, here)
    exists = by_family(family, version, token.word) is not None
    ends = text.ends(here + 1)
    unclear = Place("", here + 1, "port_unclear")
    found = Place(token.word, here + 1, said=True) if exists else unclear
    if between.strip() == "(":
        closed = exists and text.word(here + 1) == ")"
        return found._replace(behind=here + 2) if closed else unclear
    if "," in between:
        return Place("", at, "port_unclear" if exists and token.raw.isupper() else "")
    if between.strip() in ("-", "_", "/") and " " not in between:
        return found if ends else unclear
    if ends or text.word(here + 1) in LICENCE:
        return found
    if token.raw.isupper():
        return found if text.raw(here + 1).islower() else unclear
    return Place("", at, "port_unclear" if exists else "")
