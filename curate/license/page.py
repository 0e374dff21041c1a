"""One pass over HTML as browsers read it: licence links, rights notices and the visible words.

What is hidden, struck out or shown as code says nothing for a licence. Where a licence link or an
inline tag stands is kept in the text as a sign, so that its own sentence can be found.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from curate.license.sources import json_of
from curate.license.urls import parse_url
from curate.license.words import word_set

OPENS, CLOSES, CHOICE, FIGURE, JOINT, BREAK = "\x02", "\x03", "\x04", "\x05", "\x06", "\x0e"
"""Signs in the text: a licence link begins and ends, a box to tick, a caption, an inline tag and a
`<br>`."""
_SIGNS: Final = dict.fromkeys(map(ord, OPENS + CLOSES + CHOICE + FIGURE + JOINT + BREAK), "\x00")
_STRUCK: Final = word_set("del s strike")
_SILENT: Final = _STRUCK | word_set(
    "script style template noscript textarea iframe object svg title pre code samp kbd xmp listing "
    "option select button datalist"
)
_VOID: Final = word_set("area base br col embed hr img input link meta source track wbr")
_BLOCKS: Final = word_set(
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main nav ol p section "
    "summary table tbody td tfoot th thead tr ul"
)
_RELATIONS: Final = word_set("license cc:license dct:license dcterms:license xhv:license "
                              "schema:license")  # fmt: skip
_NAMES: Final = word_set("dc.rights dcterms.license dcterms.rights dc.rights.license license "
                          "cc:license dct:license dcterms:rights dc:rights copyright rights")  # fmt: skip
_PICTURES: Final = word_set(
    "imageobject photograph creativework visualartwork painting drawing mediaobject image"
)
_NOTICES: Final = ("copyrightNotice", "conditionsOfAccess", "usageInfo")
_FEW: Final = 200
"""Links looked at one by one: more of them are no statement about one item."""
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]*+)"
    r"(?P<rest>(?:[^>\"']|\"[^\"]*+\"|'[^']*+')*+)>"
)
_DECLARATION: Final = re.compile(r"<[!?][^>]*+>")
"""A document type or a processing instruction: to a browser a comment."""
_TAG_START = re.compile(r"</?[a-zA-Z]")
_RAW: Final = {
    name: re.compile(rf"</{name}\b", re.I)
    for name in ("script", "style", "textarea", "title", "noscript", "iframe", "xmp")
}
_TELLING = re.compile(
    r"licen|commons|hidden|display|visib|rights|copyright|artlibre|gnu\.|spdx|checkbox|radio|&",
    re.I,
)
_ATTRIBUTE = re.compile(
    r"[\s/]*+([^\s/>][^\s/>=]*+)"
    r"(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s>\"'][^\s>]*+)?))?+"
)


class Page:
    """Licence links, other links, rights notices and visible text of a fragment."""

    def __init__(self, source: str) -> None:
        self.marked: list[str] = []
        self.linked: list[str] = []
        self.notices: list[str] = []
        self.labels: list[str] = []
        """What badges and titles inside a licence link say of it."""
        self.badges: list[str] = []
        self.aside: list[str] = []
        """Menus and code: they grant nothing, but may reserve all rights."""
        self.struck = False
        self._text: list[str] = []
        self._hidden: list[str] = []
        self._described: list[str] = []
        self._menus = 0
        self._inside = False
        self._read(_without_comments(source))
        lines = "".join([*self._text, CLOSES if self._inside else ""]).split("\n")
        self.text: Final = "\n".join(filter(None, (line.strip(f" \t\r{JOINT}") for line in lines)))

    def _read(self, source: str) -> None:
        """One pass, as browsers read: a tag that never ends takes the rest of the page with it."""
        position = 0
        while start := self._next(source, position):
            self._say(source[position : start.start()])
            tag = _TAG.match(source, start.start())
            if tag is None:
                return
            position = tag.end()
            close, name, rest = tag.groups()
            name = name.lower()
            self._part(name)
            if close:
                self._close(name)
            else:
                telling = (self._inside and name == "img") or _TELLING.search(rest)
                self._open(name, attributes(rest) if telling else {}, rest)
        self._say(source[position:])

    def _next(self, source: str, position: int) -> re.Match[str] | None:
        """The next tag; inside a script or the like only its own end counts."""
        raw = self._hidden[-1] if self._hidden and self._hidden[-1] in _RAW else None
        return (_RAW[raw] if raw else _TAG_START).search(source, position)

    def _say(self, data: str) -> None:
        if not data:
            return
        if not self._hidden:
            words = unescape(data).translate(_SIGNS)
            (self.aside if self._menus and not self._inside else self._text).append(words)
        elif self._hidden == ["script"] and self._described:
            self._described[-1] += data
        elif self._hidden[0] in ("pre", "code", "button", "label"):
            self.aside.append(unescape(data))

    def _part(self, name: str) -> None:
        """What a tag does to the words on its two sides."""
        if not self._hidden:
            self._text.append("\n" if name in _BLOCKS else BREAK if name == "br" else JOINT)
            self._text += [FIGURE] if name in ("figcaption", "figure") else []

    def _open(self, name: str, values: dict[str, str], rest: str) -> None:
        closed = rest.endswith("/")
        if self._hidden:
            if name == self._hidden[-1] and not closed:
                self._hidden.append(name)
            return
        unseen = bool(values) and _unseen(values)
        if not unseen and (values or name in ("a", "img")):
            self._collect(name, values)
        if name == "script" and "ld+json" in rest.lower():
            self._described.append("")
        self._menus += name == "nav"
        self.struck |= self._inside and name in _STRUCK
        if (name in _SILENT or unseen) and name not in _VOID and not closed:
            self._hidden.append(name)

    def _close(self, name: str) -> None:
        if not self._hidden:
            self._menus -= name == "nav" and self._menus > 0
            if name == "a":
                self._end_link()
        elif name == self._hidden[-1]:
            self._hidden.pop()
            if name == "script" and self._described:
                self._describe(json_of(self._described.pop()))

    def _describe(self, value: object) -> None:
        for picture, target, notice in _licences_in(value):
            (self.marked if picture else self.linked).append(target)
            self.notices += notice

    def _collect(self, name: str, values: dict[str, str]) -> None:
        if name == "input" and values.get("type", "").lower() in ("checkbox", "radio"):
            self._text.append(CHOICE)
        if name == "img":
            self._badge(values)
        relations = set(values.get("rel", "").lower().split())
        properties = set(values.get("property", "").lower().split())
        item = values.get("itemprop", "").lower().split()
        named = name == "meta" and values.get("name", "").lower() in _NAMES
        target = values.get("href") or values.get("content") or values.get("resource") or ""
        marked = bool(relations & _RELATIONS or properties & _RELATIONS or "license" in item)
        if named and ("/" not in target or " " in target.strip()):
            self.notices.append(target)
        elif (marked or named) and target:
            self.marked.append(target)
        elif name == "a" and values.get("href"):
            self.linked.append(values["href"])
        if name == "a":
            self._end_link()
            self._begin_link(marked, values)

    def _begin_link(self, marked: bool, values: dict[str, str]) -> None:
        href = values.get("href", "")
        named = href and len(self.linked) < _FEW and parse_url(href).reason != "not_a_licence_url"
        if marked or named:
            self._inside = True
            self._text.append(OPENS)
            self.labels += filter(None, (values.get("title"), values.get("aria-label")))

    def _end_link(self) -> None:
        if self._inside:
            self._text.append(CLOSES)
            self._inside = False

    def _badge(self, values: dict[str, str]) -> None:
        source = values.get("src", "").lower()
        if self._inside:
            self.labels += filter(None, (values.get("alt"), values.get("title")))
        if self._inside or "/l/" in source or "/p/" in source:
            self.badges.append(source)


def _unseen(values: dict[str, str]) -> bool:
    style = values.get("style", "").replace(" ", "").lower()
    return "hidden" in values or "display:none" in style or "visibility:hidden" in style


def _licences_in(value: object) -> list[tuple[bool, str, list[str]]]:
    """What JSON-LD names as `license`, at any depth, whether of a picture, and notices beside."""
    if isinstance(value, list):
        return [found for entry in value for found in _licences_in(entry)]
    if not isinstance(value, dict):
        return []
    types = value.get("@type") or []
    listed = [types] if isinstance(types, str) else types if isinstance(types, list) else []
    picture = not listed or any(str(kind).lower() in _PICTURES for kind in listed)
    notices = [value[name] for name in _NOTICES if isinstance(value.get(name), str)]
    found = []
    for name, entry in value.items():
        for one in entry if isinstance(entry, list) else [entry]:
            target = (one.get("@id") or one.get("url")) if isinstance(one, dict) else one
            if name == "license" and isinstance(target, str):
                found.append((picture, target, notices))
        found += _licences_in(entry)
    return found


def _without_comments(source: str) -> str:
    """The source up to an unclosed comment, without closed ones, document types and the like."""
    kept, position = [], 0
    while (begin := source.find("<!--", position)) >= 0:
        kept.append(source[position:begin])
        end = source.find("-->", begin + 4)
        if end < 0:
            return "".join(kept)
        position = end + 3
    return _DECLARATION.sub("", "".join([*kept, source[position:]]))


def attributes(source: str) -> dict[str, str]:
    """Attributes by lower-case name; the first of two with one name counts, as in browsers."""
    values: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(source):
        value = match[2] or match[3] or match[4] or ""
        values.setdefault(match[1].lower(), unescape(value))
    return values
