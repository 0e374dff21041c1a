"""A text as words, numbers and signs, and a cursor that reads phrases from them.

Scripts without spaces are cut at the words that licence titles have in them.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from curate.license.elements import ENGLISH, OTHER_LANGUAGES, WHOLE
from curate.license.places import PLACES, UNPORTED

CJK: Final = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts written without spaces, as the inside of a regular expression's class."""
JOINING: Final = frozenset("-_'")
"""Signs that may stand between the words of a phrase, or be missing there."""
_CJK_MARKS: Final = "知识共享 創用 许可协议 授權條款 ライセンス 라이선스 クリエイティブ コモンズ"


def _cjk_words() -> list[str]:
    listed = [*ENGLISH.values(), *OTHER_LANGUAGES.values(), *WHOLE.values(), *PLACES.values(),
              *UNPORTED.values()]  # fmt: skip
    runs = re.findall(f"[{CJK}]+", " ".join([*listed, _CJK_MARKS]))
    return sorted(set(runs), key=lambda word: (-len(word), word))


_TOKEN = re.compile(
    rf"(?=[{CJK}])(?:{'|'.join(_cjk_words())}|.)|[^\W\d_{CJK}]+|[0-9]+(?:\.[0-9]+)*|\S"
)


class Token(NamedTuple):
    """A word, a number or a sign; `end` excludes the last character."""

    raw: str
    word: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Words, numbers and signs of a folded text, in order."""
    found = ((m[0], *m.span()) for m in _TOKEN.finditer(text))
    return [
        Token(word, word.lower().replace("\u0307", ""), start, end) for word, start, end in found
    ]


def phrase_of(text: str) -> tuple[str, ...]:
    """The words of a phrase as a cursor compares them: without the signs that join them."""
    return tuple(token.word for token in tokens(text) if token.word not in JOINING)


class Cursor:
    """A text's tokens; a position is an index into them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)

    def word(self, at: int) -> str:
        """The lower-case word at a position, empty behind the end."""
        return self.tokens[at].word if at < len(self.tokens) else ""

    def raw(self, at: int) -> str:
        """The word as written, empty behind the end."""
        return self.tokens[at].raw if at < len(self.tokens) else ""

    def skip(self, at: int, what: frozenset[str], limit: int) -> int:
        """The position behind at most `limit` of some words."""
        end = at + limit
        while at < end and self.word(at) in what:
            at += 1
        return at

    def phrase(self, at: int, phrase: tuple[str, ...]) -> int:
        """The position behind a phrase whose words may be joined by signs, or 0."""
        for index, part in enumerate(phrase):
            if index and self.word(at) in JOINING:
                at += 1
            if self.word(at) != part:
                return 0
            at += 1
        return at

    def ends(self, at: int) -> bool:
        """Whether a phrase ends here: end of text, a sign that is no hyphen, or a spaced one."""
        word = self.word(at)
        if word in ("/", "-") and at + 1 < len(self.tokens):
            apart = self.tokens[at + 1].start > self.tokens[at].end
            return apart and (word == "/" or self.tokens[at].start > self.tokens[at - 1].end)
        return not word or not (word[0].isalnum() or word in "-_@&'’%")

    def between(self, left: int, right: int) -> str:
        """The text between two tokens, empty where the right one is behind the end."""
        if right >= len(self.tokens):
            return ""
        return self.text[self.tokens[left].end : self.tokens[right].start]

    def cut(self, at: int, behind: int) -> str:
        """The text from a position to another."""
        return self.text[self.tokens[at].start : self.tokens[behind - 1].end]
