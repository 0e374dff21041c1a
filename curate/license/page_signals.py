"""What a landing page's head reserves: robots meta and TDM meta elements.

Comments, scripts, styles and templates say nothing. The text read is bounded, and a page that
cannot be read says so instead of passing for one without reservations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from typing import Final

from curate.license.reservations import Unreadable, robots_meta
from curate.license.tdmrep import POLICY, RESERVATION, Declaration, tdm_field

LIMIT_BYTES: Final = 512 * 1024
MOST_ELEMENTS: Final = 1000
_ROBOTS: Final = "robots"
_LONGEST_TAG: Final = 4096
_MARKUP: Final = re.compile(r"<[a-zA-Z!?]")
_START: Final = re.compile(r"<(!--|(?:meta|script|style|template|title|textarea)(?=[\s/>]))", re.I)
_ENDS: Final = {"!--": re.compile("-->")} | {
    name: re.compile(rf"</{name}(?=[\s/>])", re.I)
    for name in ("script", "style", "template", "title", "textarea")
}
_VALUE: Final = r"\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>]*+))"
_ATTRIBUTE: Final = re.compile(rf"([^\s/>=][^\s/>=]*+)(?:{_VALUE})?+")
_ATTRIBUTES: Final = re.compile(rf"(?:[\s/]++|[^\s/>=][^\s/>=]*+(?:{_VALUE})?+)*+")


@dataclass(frozen=True, slots=True)
class PageSignals:
    """Robots directives that hold for us, in lower case, and the page's TDM declaration.

    `text` are the elements' contents as found.
    """

    directives: tuple[str, ...]
    tdm: Declaration | None
    text: str


def page_signals(body: bytes, *, names: Iterable[str] = (), charset: str = "utf-8") -> PageSignals:
    """Read the meta elements of a page; those named `robots` or after one of `names` are ours.

    Raises Unreadable for what is no HTML or declares TDM with a value that is neither 0 nor 1.
    """
    if b"\0" in body[:LIMIT_BYTES]:
        raise Unreadable("binary data instead of HTML")
    found = _meta(_decoded(body[:LIMIT_BYTES], charset))
    ours = {_ROBOTS, *(name.lower() for name in names)}
    robots = [content for name, content in found if name in ours]
    reservations = [content for name, content in found if name == RESERVATION]
    policies = [content for name, content in found if name == POLICY]
    directives = dict.fromkeys(d for content in robots for d in robots_meta(content))
    return PageSignals(
        tuple(directives), tdm_field(reservations, policies), "; ".join(robots)[:2000]
    )


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset, "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _meta(text: str) -> list[tuple[str, str]]:
    """(name in lower case, content) of the meta elements, in one pass over the text.

    Raises Unreadable if there is no markup or more elements than any page has.
    """
    if _MARKUP.search(text) is None:
        raise Unreadable("no HTML")
    found: list[tuple[str, str]] = []
    place = 0
    while start := _START.search(text, place):
        name = start[1].lower()
        if name == "meta":
            if len(found) >= MOST_ELEMENTS:
                raise Unreadable(f"more than {MOST_ELEMENTS} meta elements")
            tag = _ATTRIBUTES.match(text, start.end(), start.end() + _LONGEST_TAG)
            place = tag.end() if tag else start.end()
            found.append(_named(text[start.end() : place]))
            continue
        end = _ENDS[name].search(text, start.end())
        if end is None:
            break
        place = end.end()
    return found


def _named(attributes: str) -> tuple[str, str]:
    given: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(attributes):
        given.setdefault(name.lower(), unescape(next(filter(None, values), "")))
    name = given.get("name") or given.get("property") or ""
    return name.strip().lower(), given.get("content", "")
