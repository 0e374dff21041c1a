"""What a rights holder reserves apart from any licence: X-Robots-Tag and robots meta values.

One header may hold several directives, several headers may come, each may be addressed to a user
agent, and a date after `unavailable_after` contains commas and colons of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

RESERVING: Final = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none", "noml"})
"""Directives that keep a picture out by default, `unavailable_after` from its date on apart."""

ROBOTS_TXT: Final = "robots_txt"
TDM_RESERVATION: Final = "tdm_reservation"
UNAVAILABLE_AFTER: Final = "unavailable_after"

SIGNALS: Final[Mapping[str, str]] = {
    "noai": "not for artificial intelligence (X-Robots-Tag, robots meta)",
    "noimageai": "no picture of it for artificial intelligence (X-Robots-Tag, robots meta)",
    "noimageindex": "no picture of it in an index (X-Robots-Tag, robots meta)",
    "noindex": "in no index (X-Robots-Tag, robots meta)",
    "noml": "not for machine learning (X-Robots-Tag, robots meta)",
    "none": "noindex and nofollow (X-Robots-Tag, robots meta)",
    ROBOTS_TXT: "a line of the origin's robots.txt disallows the address to our agent or to all",
    TDM_RESERVATION: "text and data mining is reserved (TDMRep: response field, "
                     "/.well-known/tdmrep.json, meta element)",
    UNAVAILABLE_AFTER: "not to be shown from a date on (X-Robots-Tag, robots meta)",
}  # fmt: skip
"""Every signal that `honour_reservations` may name, and what it means; all are on by default."""


class Unreadable(ValueError):
    """A reservation file or field that cannot be read; the message says why. Nobody may take such
    a file for a permission.
    """


_VALUED: Final = frozenset({"unavailable_after", "max-snippet", "max-image-preview",
                            "max-video-preview"})  # fmt: skip
_PLAIN: Final = RESERVING | {"all", "index", "follow", "nofollow", "noarchive", "nocache",
                             "nosnippet", "noodp", "noydir", "notranslate", "indexifembedded",
                             "nositelinkssearchbox"}  # fmt: skip
_KNOWN: Final = _PLAIN | _VALUED
_LIMIT: Final = 8192
_TOKEN: Final = re.compile(r"[a-z][a-z0-9_-]*")
"""The name of a directive, known or not; what is none is malformed."""
_QUOTES: Final = "\"'“”‘’ \t"


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its name in lower case, its value if it has one, and for whom it is."""

    name: str
    value: str | None = None
    user_agent: str | None = None


def x_robots_tag(
    values: Iterable[str], *, user_agents: Iterable[str] = (), at: datetime | None = None
) -> list[str]:
    """Names of the X-Robots-Tag directives that hold for us now, from the header's values.

    Directives addressed to nobody, to `*` or to one of `user_agents` (whole product tokens, in any
    case) hold; those for other agents do not. `none` also stands as `noindex` and `nofollow`;
    `unavailable_after` stands from its date on, and at once if the date cannot be read.
    Raises Unreadable for a malformed value, unless another directive reserves anyway.
    """
    ours = {_product(name) for name in user_agents} | {"*"}
    now = at or datetime.now(UTC)
    found: list[str] = []
    malformed: list[str] = []
    for value in values:
        malformed += [value] if len(value) > _LIMIT else []
        for directive in directives(value):
            if directive.user_agent is None or directive.user_agent in ours:
                named = directive.user_agent is None and directive.name in ours
                malformed += [value] if named or not _TOKEN.fullmatch(directive.name) else []
                found += _holding(directive, now)
    if malformed and not (RESERVING | {UNAVAILABLE_AFTER}).intersection(found):
        raise Unreadable(f"X-Robots-Tag {malformed[0][:200]!r} is malformed")
    return list(dict.fromkeys(found))


def robots_meta(content: str, *, at: datetime | None = None) -> list[str]:
    """The same for the content of a robots meta element, which has no user agents inside."""
    now = at or datetime.now(UTC)
    return list(dict.fromkeys(n for d in directives(content) for n in _holding(d, now)))


def _holding(directive: Directive, now: datetime) -> list[str]:
    if directive.name == "none":
        return ["none", "noindex", "nofollow"]
    if directive.name == "unavailable_after":
        until = _date(directive.value or "")
        return [directive.name] if until is None or until <= now else []
    return [directive.name]


def _product(name: str) -> str:
    """The product token of a user agent: `curate` of `Curate/1.0 (+https://…)`."""
    return name.strip().lower().split("/")[0].split(" ")[0]


def directives(value: str) -> Iterable[Directive]:
    """What one header value says, to whomever: split at commas, but keep the commas of a date; an agent holds until the next one.

    Semicolons are taken for commas, and blanks between two plain directives too: neither is right,
    and servers send both.
    """
    agent: str | None = None
    parts = value[:_LIMIT].replace(";", ",").split(",")
    index = 0
    while index < len(parts):
        part = _unquoted(parts[index])
        index += 1
        head, colon, tail = (piece.strip() for piece in part.partition(":"))
        if colon and head.lower() not in _KNOWN and re.fullmatch(r"[\w*./ -]+", head):
            agent = _product(head)
            head, colon, tail = (piece.strip() for piece in tail.partition(":"))
        name = head.lower()
        if not name:
            continue
        if name == "unavailable_after":
            while index < len(parts) and not _begins_directive(parts[index]):
                tail, index = f"{tail},{parts[index]}", index + 1
        words = name.split()
        if len(words) > 1 and _PLAIN.issuperset(words):
            yield from (Directive(word, None, agent) for word in words)
            continue
        yield Directive(name, tail.strip() if colon else None, agent)


def _unquoted(part: str) -> str:
    """A piece without quotation marks; `=` behind a known name is taken for its colon."""
    text = " ".join(piece.strip(_QUOTES) for piece in part.strip(_QUOTES).split(" "))
    name, equals, value = text.partition("=")
    head, colon, last = name.rpartition(":")
    if equals and last.strip(_QUOTES).lower() in _KNOWN:
        return f"{head}{colon}{last.strip(_QUOTES)}:{value.strip(_QUOTES)}"
    return ":".join(piece.strip(_QUOTES) for piece in text.split(":"))


def _begins_directive(part: str) -> bool:
    """Whether a piece between commas is a directive, possibly behind a user agent."""
    pieces = [piece.strip().lower() for piece in part.split(":")]
    return pieces[0] in _KNOWN or (len(pieces) > 1 and pieces[1] in _KNOWN)


def _date(text: str) -> datetime | None:
    """An RFC 822, RFC 850 or ISO 8601 date in UTC, or None."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
