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
from curate.license.tools import PORT_NAMES, Tool, by_family
from curate.license.words import (
    AND,
    CJK,
    CJK_WORDS,
    FIRST_WORDS,
    LICENCE,
    OR,
    PHRASES,
    PORT_PHRASES,
    SUFFIXES,
    UNITS_OF_MEASURE,
    VERSION,
)

_TOKEN = re.compile(rf"{'|'.join(CJK_WORDS)}|[{CJK}]|[^\W\d_{CJK}]+|[0-9]+(?:\.[0-9]+)*|\S")
_COMPACT = re.compile(r"by(?:nc|nd|sa)*")
_RELEASE = re.compile(r"[0-9]\.[0-9]")
_JOINERS: Final = frozenset("-_/,+&:·")
_FILLERS: Final = _JOINERS | frozenset("()\"'*|") | LICENCE | VERSION | {"the", "public", "deed"}


class Token(NamedTuple):
    """A word, a number or a sign; `end` excludes the last character."""

    raw: str
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mention:
    """What one place in the text names, and where it stands."""

    start: int
    end: int
    answer: Parsed
    marked: bool


def tokens(text: str) -> list[Token]:
    """Words, numbers and signs of a folded text, in order."""
    found = ((m[0], *m.span()) for m in _TOKEN.finditer(text))
    return [Token(word, word.lower(), start, end) for word, start, end in found]


def may_begin(word: str) -> bool:
    """Whether a mention may begin with a lower-case word; most words of most texts may not."""
    return word in FIRST_WORDS or word.startswith(("cc", "creative"))


class Reader:
    """Reads mentions from a token list; a position is an index into it."""

    def __init__(self, text: str, *, choice: bool = False) -> None:
        """`choice`: several versions in a row are alternatives by the source's own rule."""
        self.text = text
        self.tokens = tokens(text)
        self.choice = choice
        self._behind_last = -1

    def word(self, at: int) -> str:
        return self.tokens[at].word if at < len(self.tokens) else ""

    def read(self, at: int) -> tuple[Mention | None, int]:
        """The mention that begins at a token, and the position behind it."""
        word = self.word(at)
        if not may_begin(word):
            return None, at + 1
        begun = self._marker(at)
        if begun is None:
            return self._unmarked(at)
        version_first, here = self._leading_version(begun)
        elements, here = self._elements(here, abbreviated=True)
        if not elements:
            return self._mention(at, begun, ambiguous("no_tool", self._cut(at, begun)), True), begun
        if version_first:
            return self._resolve(at, here, elements, [version_first], "", True)
        return self._tail(at, here, elements, marked=True)

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
            here = self._skip(here, _FILLERS, 4)

    def _is_measure(self, at: int) -> bool:
        """Whether `cc` is cubic centimetres: a number that is no year before it."""
        if at in (0, self._behind_last) or not self.tokens[at - 1].word[0].isdigit():
            return False
        number = self.tokens[at - 1]
        year = re.fullmatch(r"1[89]\d\d|20\d\d", number.word)
        return number.end == self.tokens[at].start or year is None

    def _compact(self, rest: str) -> bool:
        return bool(_COMPACT.fullmatch(rest)) or rest in ("zero", "pdm", "pd")

    def _joined(self, at: int) -> int:
        return at + 1 if self.word(at) in ("-", "_") else at

    def _skip(self, at: int, what: frozenset[str], limit: int) -> int:
        end = at + limit
        while at < end and self.word(at) in what:
            at += 1
        return at

    # --- elements ---------------------------------------------------------------------------
    def _leading_version(self, at: int) -> tuple[str, int]:
        """`CC 4.0 BY-SA`: the version between marker and elements."""
        here = self._skip(at, _FILLERS, 3)
        if _RELEASE.fullmatch(self.word(here)):
            behind = self._skip(here + 1, _FILLERS, 3)
            if self._element(behind, abbreviated=True)[0]:
                return self.word(here), behind
        return "", here if self._element(here, abbreviated=True)[0] else at

    def _elements(self, at: int, *, abbreviated: bool) -> tuple[list[str], int]:
        found: list[str] = []
        here = at
        while True:
            names, behind = self._element(here, abbreviated=abbreviated)
            if not names:
                return found, at
            found += names
            at = behind
            here = self._skip(behind, _JOINERS | AND, 3)

    def _element(self, at: int, *, abbreviated: bool) -> tuple[list[str], int]:
        """The elements a phrase at this position stands for, and the position behind it."""
        word = self.word(at)
        if word.startswith("cc") and self._compact(word[2:]):
            return self._spelled(word[2:]), at + 1
        if abbreviated and len(word) > 2 and _COMPACT.fullmatch(word):
            return self._spelled(word), at + 1
        for phrase in FIRST_WORDS.get(word, ()):
            if not abbreviated and len(phrase) == 1 and len(phrase[0]) < 3 and phrase[0].isascii():
                continue
            behind = self._phrase(at, phrase)
            if behind:
                return [PHRASES[phrase]], behind
        return [], at

    def _spelled(self, word: str) -> list[str]:
        return [word] if word in ("zero", "pdm", "pd") else re.findall("by|nc|nd|sa", word)

    def _phrase(self, at: int, phrase: tuple[str, ...]) -> int:
        """The position behind a phrase whose words may be joined by hyphens, or 0."""
        for index, part in enumerate(phrase):
            if index and self.word(at) in ("-", "_", "'", "’") and part != self.word(at):
                at += 1
            if self.word(at) != part:
                return 0
            at += 1
        return at

    # --- without marker ---------------------------------------------------------------------
    def _unmarked(self, at: int) -> tuple[Mention | None, int]:
        """A title without `Creative Commons`: full words, and enough of them."""
        elements, here = self._elements(at, abbreviated=False)
        if not elements:
            return None, at + 1
        if elements == ["pdm"] and self.word(at) == "pdm" and self.word(here) != "1.0":
            return None, here
        if elements in (["zero"], ["sampling"], ["nc"], ["nd"], ["sa"], ["devnations"]):
            return None, here
        mention, behind = self._tail(at, here, elements, marked=False)
        if mention is None or elements[0] in ("pd", "pdm", "pddc"):
            return mention, behind
        named = self.tokens[behind - 1].word
        titled = named in SUFFIXES or (behind > 1 and self._port_name(behind))
        if mention.answer.id and not titled and len(elements) < 2:
            weak = ambiguous("no_marker", mention.answer.matched or "")
            return Mention(mention.start, mention.end, weak, False), behind
        if mention.answer.family and "by" not in elements:
            return None, behind
        if mention.answer.reason == "versionless" and len(elements) < 2:
            following = self._skip(here, _JOINERS, 1)
            if self.word(following) not in LICENCE:
                return None, behind
        return mention, behind

    def _port_name(self, behind: int) -> bool:
        return (
            self.tokens[behind - 1].word not in LICENCE
            and not self.tokens[behind - 1].word[0].isdigit()
        )

    # --- version and port -------------------------------------------------------------------
    def _tail(
        self, at: int, here: int, elements: list[str], *, marked: bool
    ) -> tuple[Mention | None, int]:
        start = self._skip(here, _FILLERS | frozenset(SUFFIXES), 6)
        if self.word(start) == "." and self.word(start - 1) in ("v", "ver"):
            start += 1
        version = self._version(start)
        if version is None:
            return self._resolve(at, here, elements, [], "", marked)
        if not _RELEASE.fullmatch(version):
            whole = int(version.split(".")[0]) if len(version) < 5 else 9999
            if "." not in version and (whole > 9 or self.word(start + 1) in LICENCE):
                return self._resolve(at, here, elements, [], "", marked)
            reason = "incomplete_version" if "." not in version else "impossible"
            return self._unresolved(at, start + 1, reason, elements, marked), start + 1
        versions, behind = self._more_versions(start + 1, [version])
        port, behind, doubt = self._port(behind, versions[-1], elements)
        if doubt:
            return self._unresolved(at, behind, doubt, elements, marked), behind
        return self._resolve(at, behind, elements, versions, port, marked)

    def _version(self, at: int) -> str | None:
        """A number that may be a version: not a size, not the start of a longer one."""
        word = self.word(at)
        if not word or not word[0].isascii() or not word[0].isdigit():
            return None
        after = self.tokens[at + 1] if at + 1 < len(self.tokens) else None
        if after is not None and after.word in UNITS_OF_MEASURE:
            return None
        return word

    def _more_versions(self, at: int, versions: list[str]) -> tuple[list[str], int]:
        """`3.0,2.5,2.0` and `3.0 or later`."""
        while True:
            here = self._skip(at, _JOINERS | AND | OR, 2)
            version = self._version(here) if here > at else None
            if version is None or not _RELEASE.fullmatch(version):
                break
            versions = [*versions, version]
            at = here + 1
        beside = self._skip(at, frozenset("("), 1)
        if _RELEASE.fullmatch(self._version(beside) or ""):
            return [*versions, self.word(beside)], beside + 1
        if self.word(at) == "+":
            return versions, at + 1
        if self.word(at) in OR:
            here = self._skip(at + 1, frozenset({"any", "-"}), 2)
            if self.word(here) in ("later", "newer", "higher", "höher", "ultérieure", "posterior"):
                return versions, self._skip(here + 1, VERSION, 1)
        return versions, at

    def _port(self, at: int, version: str, elements: list[str]) -> tuple[str, int, str]:
        """Port, position behind it, and a reason for doubt."""
        last = self.tokens[at - 1]
        here = self._skip(at, frozenset("-_/,(:"), 2)
        between = self.text[last.end : self.tokens[here].start] if here < len(self.tokens) else ""
        word = self.word(here)
        if word in SUFFIXES and "," not in between:
            fits = version in SUFFIXES[word]
            behind = self._skip(here + 1, frozenset(")"), 1)
            return "", behind, "" if fits else "contradiction"
        for phrase, port in PORT_PHRASES.get(word, ()):
            behind = self._phrase(here, phrase)
            if behind and "," not in between:
                return self._named_port(port, behind, version, elements)
        if word in ("in", "for", "im") and self.word(here + 1) in PORT_PHRASES:
            return "", here + 1, "port_unclear" if version in ("2.0", "2.1", "2.5", "3.0") else ""
        if word in PORT_NAMES:
            return self._coded_port(at, here, between, version, elements)
        aside = self._skip(at, frozenset(".·|;–"), 1)
        if aside > at and self.word(aside) in PORT_NAMES and self.tokens[aside].raw.isupper():
            return "", at, "port_unclear" if self._ends(aside + 1) else ""
        odd = between in ("-", "_") and word and word[0].isalpha()
        stray = self.tokens[here].raw if here < len(self.tokens) else ""
        codelike = stray.isascii() and stray.isupper() and (version != "4.0" or len(stray) == 2)
        initials = codelike and between == " "
        if (odd and word not in LICENCE) or (initials and self._ends(here + 1)):
            return "", here + 1, "port_unclear"
        return "", at, ""

    def _named_port(
        self, port: str, behind: int, version: str, elements: list[str]
    ) -> tuple[str, int, str]:
        exists = self._tool(elements, version, port) is not None
        if exists and (self._ends(behind) or self.word(behind) in LICENCE | {"deed", "-"}):
            return port, behind, ""
        return "", behind, "port_unclear"

    def _coded_port(
        self, at: int, here: int, between: str, version: str, elements: list[str]
    ) -> tuple[str, int, str]:
        token = self.tokens[here]
        exists = self._tool(elements, version, token.word) is not None
        tight = between.strip() in ("-", "_", "/") and " " not in between
        if between.strip() == "(":
            closed = self.word(here + 1) == ")"
            return (token.word, here + 2, "") if exists and closed else ("", here, "port_unclear")
        if "," in between:
            unclear = exists and token.raw.isupper()
            return "", at, "port_unclear" if unclear else ""
        if tight:
            clear = exists and self._ends(here + 1)
            return (token.word, here + 1, "") if clear else ("", here + 1, "port_unclear")
        following = self.tokens[here + 1].raw if here + 1 < len(self.tokens) else ""
        if self._ends(here + 1) or self.word(here + 1) in LICENCE:
            return (token.word, here + 1, "") if exists else ("", here + 1, "port_unclear")
        if token.raw.isupper():
            clear = exists and following.islower()
            return (token.word, here + 1, "") if clear else ("", here + 1, "port_unclear")
        return "", at, "port_unclear" if exists else ""

    def _ends(self, at: int) -> bool:
        """Whether the phrase ends here: end of text, or a sign that is no hyphen."""
        word = self.word(at)
        if word == "/" and at + 1 < len(self.tokens):
            return self.tokens[at + 1].start > self.tokens[at].end
        return not word or not (word[0].isalnum() or word in "-_@&'’%")

    # --- meaning ----------------------------------------------------------------------------
    def _resolve(
        self, at: int, behind: int, elements: list[str], versions: list[str], port: str,
        marked: bool,
    ) -> tuple[Mention | None, int]:  # fmt: skip
        answer = self._answer(self._cut(at, behind), elements, versions, port)
        return self._mention(at, behind, answer, marked), behind

    def _answer(self, matched: str, elements: list[str], versions: list[str], port: str) -> Parsed:
        if elements == ["pd"]:
            return ambiguous("public_domain", matched)
        family = family_of(elements)
        if family is None:
            return rejected("impossible", matched)
        if not versions:
            single = SINGLE.get(family)
            return (
                accepted(single, "identifier", matched)
                if single
                else ambiguous("versionless", matched, family)
            )
        found = [self._tool(elements, version, port) for version in versions]
        real = [tool for tool in found if tool is not None]
        if len(real) < len(found):
            missing = (family, versions[-1]) in PORTED
            return (
                ambiguous("port_missing", matched, family)
                if missing
                else rejected("impossible", matched)
            )
        arms = [accepted(tool, "identifier", matched) for tool in real]
        if len(arms) == 1:
            return arms[0]
        return (
            elect(arms, matched) if self.choice else ambiguous("several_versions", matched, family)
        )

    def _unresolved(
        self, at: int, behind: int, reason: str, elements: list[str], marked: bool
    ) -> Mention:
        matched = self._cut(at, behind)
        family = family_of(elements)
        impossible = reason == "impossible" or family is None
        answer = (
            rejected("impossible", matched)
            if impossible
            else ambiguous(reason, matched, family if reason == "incomplete_version" else None)
        )
        return self._mention(at, behind, answer, marked)

    def _tool(self, elements: list[str], version: str, port: str) -> Tool | None:
        family = family_of(elements)
        return by_family(family, version, port) if family else None

    def _mention(self, at: int, behind: int, answer: Parsed, marked: bool) -> Mention:
        self._behind_last = behind
        end = self.tokens[min(behind, len(self.tokens)) - 1].end
        return Mention(self.tokens[at].start, end, answer, marked)

    def _cut(self, at: int, behind: int) -> str:
        return self.text[self.tokens[at].start : self.tokens[behind - 1].end]
