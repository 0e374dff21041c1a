"""HTML of titles, credits and descriptions as plain text, and the first address in it.

What sources give as HTML is shown again as text: no tag, script or style of theirs goes on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

MAX_CHARACTERS: Final = 65536
_SILENT: Final = frozenset({"script", "style", "template", "head", "noscript"})
_BREAKING: Final = frozenset(
    {"p", "br", "li", "ul", "ol", "div", "td", "tr", "table", "dd", "dt", "h1", "h2", "h3"}
)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.links: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        hidden = "display:none" in (given.get("style") or "").replace(" ", "").lower()
        if tag in _SILENT or (hidden and tag in ("span", "div")) or self._silent[-1:] == [tag]:
            self._silent.append(tag)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"] or "")
        if tag in _BREAKING:
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()
        if tag in _BREAKING:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)


def _parsed(html: str) -> _Text:
    parser = _Text()
    parser.feed(html[:MAX_CHARACTERS])
    parser.close()
    return parser


def plain_text(html: str | None) -> str | None:
    """The text of a piece of HTML on one line; None if there is none left."""
    if html is None:
        return None
    if "<" not in html and "&" not in html:
        return " ".join(html.split()) or None
    return " ".join("".join(_parsed(html).pieces).split()) or None


def first_link(html: str | None, *, base: str) -> str | None:
    """The first http or https address that a piece of HTML links to, made whole with `base`."""
    if html is None or "<" not in html:
        return None
    for link in _parsed(html).links:
        try:
            whole = urljoin(base, link.strip())
        except ValueError:  # an address such as http://[
            continue
        if re.match(r"https?://[^\s/]", whole):
            return whole
    return None
