"""URL paths against the patterns of robots.txt and tdmrep.json: prefixes, `*` and a last `$`.

Both sides are brought into one spelling first: unreserved characters plain, all others
percent-encoded in upper case (RFC 9309, 2.2.2). Linear in the length of path and pattern.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit

_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")
_AS_IT_IS: Final = "!\"#$%&'()*+,/:;=?@[]^`{|}\\<>~"


def path_of(url: str) -> str:
    """Path and query of a URL as they are compared; at least `/`.

    Raises ValueError for what is no URL.
    """
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


def matches(pattern: str, path: str) -> bool:
    """Whether a spelled pattern covers a spelled path: from its start, to its end if `$` says so."""
    anchored = pattern.endswith("$")
    first, *rest = (pattern[:-1] if anchored else pattern).split("*")
    if not path.startswith(first):
        return False
    if not rest:
        return not anchored or len(path) == len(first)
    place = len(first)
    for piece in rest[:-1]:
        found = path.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    last = rest[-1]
    if anchored:
        return path.endswith(last) and len(path) - len(last) >= place
    return path.find(last, place) >= 0
