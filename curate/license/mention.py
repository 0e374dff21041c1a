"""The grammar of one licence mention in text: marker, elements, version, port.

`CC BY-SA 3.0 DE`, `Creative Commons Attribution-ShareAlike 3.0 Germany`, `CC 4.0 BY-SA`, `CC0`.
What the words mean is looked up in the table of tools; what the table lacks is no licence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from curate.license.answer import Parsed, accepted, ambiguous, elect, rejected
from curate.license.families import PORTED, SINGLE, family_of
from curate.license.phrases import ELEMENTS, FOREIGN, HOME, SUFFIX_WORDS, Phrase
from curate.license.ports import read_place
from curate.license.tokens import JOINING, Cursor
from curate.license.tools import PORT_NAMES, by_family
from curate.license.words import AND, LICENCE, OR, UNITS_OF_MEASURE, VERSION

_COMPACT = re.compile(r"by(?:nc|nd|sa)*")
_RELEASE = re.compile(r"[0-9]\.[0-9]")
_EITHER = re.compile(r"-(?:sa|nd)/nc\b", re.IGNORECASE)
"""Elements out of their order, joined by a hyphen and a stroke: the stroke may be an or."""
_JOINERS: Final = frozenset("-_/,+&:·—«»")
_FILLERS: Final = _JOINERS | frozenset("()\"'*|") | LICENCE | VERSION | {"the", "public", "deed"}
_LATER: Final = frozenset({"later", "newer", "higher", "höher", "ultérieure", "posterior"})
_MISPRINTED: Final = {("necomercial",), ("fărămodificări",)}
"""Published in Romanian as the title of two licences: BY-NC-ND and BY-NC-SA."""
_WHOLE: Final = ("zero", "pdm", "pd")


@dataclass(frozen=True, slots=True)
class Mention:
    """What one place in the text names, and where it stands."""

    start: int
    end: int
    answer: Parsed
    marked: bool


class Elements(NamedTuple):
    """What a run of phrases names, and where it ends; `foreign` are those of other languages."""

    names: list[str]
    behind: int
    foreign: tuple[Phrase, ...] = ()


def may_begin(word: str) -> bool:
    """Whether a mention may begin with a lower-case word; most words of most texts may not."""
    return word in ELEMENTS or word.startswith(("cc", "creative", "クリエイティブ", "知识", "創用"))


class Reader(Cursor):
    """Reads mentions from a text."""

    def __init__(self, text: str, *, choice: bool = False) -> None:
        """`choice`: several versions in a row are alternatives by the source's own rule."""
        super().__init__(text)
        self.choice = choice
        self._behind_last = -1

    def read(self, at: int) -> tuple[Mention | None, int]:
        """The mention that begins at a token, and the position behind it."""
        if not may_begin(self.word(at)):
            return None, at + 1
        begun = self._marker(at)
        if begun is None:
            return self._unmarked(at)
        version_first, here = self._leading_version(begun)
        elements = self._elements(here, abbreviated=True)
        if not elements.names:
            return self._mention(at, begun, ambiguous("no_tool", self.cut(at, begun)), True), begun
        if version_first:
            return self._resolve(at, elements.behind, elements.names, [version_first], "", True)
        return self._tail(at, elements, marked=True)[:2]

    # --- marker -----------------------------------------------------------------------------
    def _marker(self, at: int) -> int | None:
        """Position behind `cc` or `Creative Commons`, repeated or not; None where there is none."""
        here, found = at, None
        while True:
            word = self.word(here)
            if word in ("cc", "creativecommons") and not self._is_measure(here):
                here += 1
            elif word == "creative" and self.word(self._joined(here + 1)) == "commons":
                here = self._joined(here + 1) + 1
            elif found is None and word.startswith("cc") and self._compact(word[2:]):
                return here
            else:
                return found
            found = here
            here = self.skip(here, _FILLERS, 4)

    def _is_measure(self, at: int) -> bool:
        """Whether `cc` is cubic centimetres: a number that is no year before it."""
        if at in (0, self._behind_last) or not self.tokens[at - 1].word[0].isdigit():
            return False
        number = self.tokens[at - 1]
        year = re.fullmatch(r"1[89]\d\d|20\d\d", number.word)
        return number.end == self.tokens[at].start or year is None

    def _compact(self, rest: str) -> bool:
        return bool(_COMPACT.fullmatch(rest)) or rest in _WHOLE

    def _joined(self, at: int) -> int:
        return at + 1 if self.word(at) in JOINING else at

    # --- elements ---------------------------------------------------------------------------
    def _leading_version(self, at: int) -> tuple[str, int]:
        """`CC 4.0 BY-SA`: the version between marker and elements."""
        here = self.skip(at, _FILLERS, 3)
        if _RELEASE.fullmatch(self.word(here)):
            behind = self.skip(here + 1, _FILLERS, 3)
            if self._element(behind, abbreviated=True).names:
                return self.word(here), behind
        return "", here if self._element(here, abbreviated=True).names else at

    def _elements(self, at: int, *, abbreviated: bool) -> Elements:
        found = Elements([], at)
        here = at
        while True:
            one = self._element(here, abbreviated=abbreviated)
            credit = one.names == ["by"] and found.names and found.names[0] in _WHOLE
            if not one.names or (credit and self.raw(here) == "by" and here == found.behind):
                return self._repeated(found)
            found = Elements(found.names + one.names, one.behind, found.foreign + one.foreign)
            here = self.skip(found.behind, _JOINERS, 3)
            if not self._element(here, abbreviated=abbreviated).names:
                here = self.skip(found.behind, _JOINERS | AND, 3)

    def _repeated(self, found: Elements) -> Elements:
        """Passes over the same elements in brackets, as in `Attribution (CC BY)`."""
        behind = self.skip(found.behind, frozenset("»"), 1)
        if not found.names or self.word(behind) != "(":
            return found
        here = self.skip(behind + 1, frozenset({"«", "cc", "-"}), 3)
        names: list[str] = []
        while (one := self._element(here, abbreviated=True)).names:
            names += one.names
            here = self.skip(one.behind, _JOINERS, 2)
        same = sorted(names) == sorted(found.names) and self.word(here) == ")"
        return found._replace(behind=here + 1) if same else found

    def _element(self, at: int, *, abbreviated: bool) -> Elements:
        """The elements a phrase at this position stands for."""
        word = self.word(at)
        if word.startswith("cc") and self._compact(word[2:]):
            return Elements(self._spelled(word[2:]), at + 1)
        if abbreviated and len(word) > 2 and _COMPACT.fullmatch(word):
            return Elements(self._spelled(word), at + 1)
        for phrase, name in ELEMENTS.get(word, ()):
            if not abbreviated and len(phrase) == 1 and len(phrase[0]) < 3 and phrase[0].isascii():
                continue
            behind = self.phrase(at, phrase)
            if behind:
                return Elements([name], behind, (phrase,) if phrase in FOREIGN else ())
        return Elements([], at)

    def _spelled(self, word: str) -> list[str]:
        return [word] if word in _WHOLE else re.findall("by|nc|nd|sa", word)

    # --- without marker ---------------------------------------------------------------------
    def _unmarked(self, at: int) -> tuple[Mention | None, int]:
        """A title without `Creative Commons`: full words, and enough of them."""
        elements = self._elements(at, abbreviated=False)
        names, here = elements.names, elements.behind
        if not names:
            return None, at + 1
        if names == ["pdm"] and self.word(at) == "pdm" and self.word(here) != "1.0":
            return None, here
        mention, behind, said = self._tail(at, elements, marked=False)
        if names[0] in ("pd", "pdm", "pddc"):
            return mention, behind
        if "by" not in names and names != ["nc", "sampling+"]:
            whole = at == 0 and behind == len(self.tokens) and said
            return (mention, behind) if whole or len(names) > 1 else (None, here)
        if mention.answer.id and not said and len(names) < 2:
            weak = ambiguous("no_marker", mention.answer.matched or "")
            return Mention(mention.start, mention.end, weak, False), behind
        if mention.answer.reason == "versionless" and len(names) < 2:
            following = self.skip(here, _JOINERS, 1)
            if self.word(following) not in LICENCE:
                return None, behind
        return mention, behind

    # --- version and port -------------------------------------------------------------------
    def _tail(
        self, at: int, elements: Elements, *, marked: bool
    ) -> tuple[Mention, int, bool]:  # fmt: skip
        """The mention with its version and place, what is behind, and whether a place was named."""
        names, here = elements.names, elements.behind
        start = self.skip(here, _FILLERS | SUFFIX_WORDS, 6)
        if self.word(start) == "." and self.word(start - 1) in ("v", "ver"):
            start += 1
        version = self._version(start)
        if version is not None and self._minus(start):
            return (
                self._unresolved(at, start + 1, "unclear_statement", names, marked),
                start + 1,
                False,
            )
        if version is None and self._goes_on(here, names):
            return self._unresolved(at, here, "port_unclear", names, marked), here, False
        if version is None:
            return *self._resolve(at, here, names, [], "", marked), False
        if not _RELEASE.fullmatch(version):
            whole = int(version.split(".")[0]) if len(version) < 5 else 9999
            if "." not in version and (whole > 9 or self.word(start + 1) in LICENCE):
                return *self._resolve(at, here, names, [], "", marked), False
            reason = "incomplete_version" if "." not in version else "impossible"
            return self._unresolved(at, start + 1, reason, names, marked), start + 1, False
        versions, behind = self._more_versions(start + 1, [version])
        family = family_of(names) or ""
        place = read_place(self, behind, versions[-1], family)
        doubt = place.doubt or self._native(elements, family, versions[-1], place.said)
        if doubt == "contradiction" and elements.foreign and versions[-1] != "4.0":
            doubt = ""  # Dutch titles say Unported of every version
        doubt = doubt or self._added(place.behind, names)
        doubt = doubt or ("conflict" if _EITHER.search(self.cut(at, here)) else "")
        if doubt:
            return self._unresolved(at, place.behind, doubt, names, marked), place.behind, False
        found = self._resolve(at, place.behind, names, versions, place.port, marked)
        return *found, place.said

    def _minus(self, at: int) -> bool:
        """Whether a sign stands before a version as before a negative number."""
        sign, number = self.tokens[at - 1], self.tokens[at]
        spaced = sign.start > self.tokens[at - 2].end if at > 1 else False
        return sign.word == "-" and sign.end == number.start and spaced

    def _goes_on(self, here: int, names: list[str]) -> bool:
        """Whether a tool of one version is followed by a port, or by a name it is a part of."""
        raw = self.raw(here)
        if self.between(here - 1, here) not in (" ", "-"):
            return False
        if self.word(here) in PORT_NAMES and raw.isupper() and self.ends(here + 1):
            return True
        title = names == ["pdm"] and self.word(here - 1) == "mark"
        return title and raw.istitle() and raw.isalpha() and raw.lower() not in LICENCE

    def _added(self, at: int, names: list[str]) -> str:
        """A conflict if a limiting element follows that stands outside: `CC BY 4.0/NC`."""
        more = self._element(self.skip(at, _JOINERS, 2), abbreviated=True).names
        return "conflict" if {*more} & {"nc", "nd", "sa"} - {*names} else ""

    def _native(self, elements: Elements, family: str, version: str, said: bool) -> str:
        """Doubt about a title in another language that names no place: ports are titled so too."""
        if set(elements.foreign) >= _MISPRINTED and version != "4.0":
            return "uncertain"
        if said or not elements.foreign or (family, version) not in PORTED:
            return ""
        homes = {HOME.get(phrase) for phrase in elements.foreign}
        possible = None in homes or any(by_family(family, version, home or "") for home in homes)
        return "port_unclear" if possible else ""

    def _version(self, at: int) -> str | None:
        """A number that may be a version: not a size, not the start of a longer one."""
        word = self.word(at)
        if not word or not word[0].isascii() or not word[0].isdigit():
            return None
        return None if self.word(at + 1) in UNITS_OF_MEASURE else word

    def _more_versions(self, at: int, versions: list[str]) -> tuple[list[str], int]:
        """`3.0,2.5,2.0` and `3.0 or later`."""
        while True:
            here = self.skip(at, _JOINERS | AND | OR, 2)
            version = self._version(here) if here > at else None
            if version is None or not _RELEASE.fullmatch(version):
                break
            versions = [*versions, version]
            at = here + 1
        beside = self.skip(at, frozenset("("), 1)
        if _RELEASE.fullmatch(self._version(beside) or ""):
            return [*versions, self.word(beside)], beside + 1
        if self.word(at) == "+":
            return versions, at + 1
        if self.word(at) in OR:
            here = self.skip(at + 1, frozenset({"any", "-"}), 2)
            if self.word(here) in _LATER:
                return versions, self.skip(here + 1, VERSION, 1)
        return versions, at

    # --- meaning ----------------------------------------------------------------------------
    def _resolve(
        self, at: int, behind: int, names: list[str], versions: list[str], port: str, marked: bool
    ) -> tuple[Mention, int]:
        answer = self._answer(self.cut(at, behind), names, versions, port)
        return self._mention(at, behind, answer, marked), behind

    def _answer(self, matched: str, names: list[str], versions: list[str], port: str) -> Parsed:
        if names == ["pd"]:
            return ambiguous("public_domain", matched)
        family = family_of(names)
        if family is None:
            return rejected("impossible", matched)
        if not versions:
            single = SINGLE.get(family)
            if single:
                return accepted(single, "identifier", matched)
            return ambiguous("versionless", matched, family)
        found = [by_family(family, version, port) for version in versions]
        real = [tool for tool in found if tool is not None]
        if len(real) < len(found):
            if (family, versions[-1]) in PORTED:
                return ambiguous("port_missing", matched, family)
            return rejected("impossible", matched)
        arms = [accepted(tool, "identifier", matched) for tool in real]
        if len(arms) == 1:
            return arms[0]
        if self.choice:
            return elect(arms, matched)
        return ambiguous("several_versions", matched, family)

    def _unresolved(
        self, at: int, behind: int, reason: str, names: list[str], marked: bool
    ) -> Mention:
        matched = self.cut(at, behind)
        family = family_of(names)
        if reason == "impossible" or family is None:
            return self._mention(at, behind, rejected("impossible", matched), marked)
        known = family if reason == "incomplete_version" else None
        return self._mention(at, behind, ambiguous(reason, matched, known), marked)

    def _mention(self, at: int, behind: int, answer: Parsed, marked: bool) -> Mention:
        self._behind_last = behind
        end = self.tokens[min(behind, len(self.tokens)) - 1].end
        return Mention(self.tokens[at].start, end, answer, marked)
