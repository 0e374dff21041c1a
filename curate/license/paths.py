"""URL paths against the patterns of robots.txt and tdmrep.json: prefixes, `*` and a last `$`.

Both sides are brought into one spelling first: unreserved characters plain, all others
percent-encoded in upper case (RFC 9309, 2.2.2). Linear in the length of path and pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

_PLAIN_URL: Final = re.compile(r"https?://[^/?#]*(/(?!/)[A-Za-z0-9._~/-]*)")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")
_AS_IT_IS: Final = "!\"#$%&'()*+,/:;=?@[]^`{|}\\<>~"


def is_plain(url: str) -> bool:
    """Whether the path is made of unreserved characters alone, so that it has one spelling."""
    return _PLAIN_URL.fullmatch(url) is not None


def path_of(url: str) -> str:
    """Path and query of a URL as they are compared; at least `/`.

    Raises ValueError for what is no URL.
    """
    plain = _PLAIN_URL.fullmatch(url)
    if plain is not None:
        return plain[1]
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query or url.partition("#")[0].endswith("?") else ""
    return spelled(f"{parts.path or '/'}{query}")


def spelled(text: str) -> str:
    """A path or a pattern in the spelling in which they are compared."""
    plain = _ESCAPE.sub(lambda match: _unescaped(match[1]), text)
    return quote(plain, safe=_AS_IT_IS, errors="replace")


def _unescaped(digits: str) -> str:
    character = chr(int(digits, 16))
    return character if _UNRESERVED.fullmatch(character) else f"%{digits.upper()}"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern in the compared spelling, taken apart once."""

    text: str
    prefix: str
    pieces: tuple[str, ...]
    anchored: bool

    @classmethod
    def of(cls, pattern: str) -> PathPattern:
        """Take a pattern apart, however it is spelled."""
        text = spelled(pattern)
        anchored = text.endswith("$")
        prefix, *pieces = (text[:-1] if anchored else text).split("*")
        return cls(text, prefix, tuple(pieces), anchored)

    def matches(self, path: str) -> bool:
        """Whether it covers a spelled path: from its start, to its end if a `$` says so."""
        if not path.startswith(self.prefix):
            return False
        if not self.pieces:
            return not self.anchored or len(path) == len(self.prefix)
        place = len(self.prefix)
        for piece in self.pieces[:-1]:
            found = path.find(piece, place)
            if found < 0:
                return False
            place = found + len(piece)
        last = self.pieces[-1]
        if self.anchored:
            return path.endswith(last) and len(path) - len(last) >= place
        return path.find(last, place) >= 0
