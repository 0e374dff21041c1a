"""HTML and dataset cards: machine-readable licence links first, visible words against them.

A link that carries rel="license" speaks for the item; the words around it may only contradict. A
link that nothing ties to the work counts only if the words around it are a licence statement.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from curate.license.answer import Parsed, accepted, ambiguous, rejected
from curate.license.caveats import PICTURE
from curate.license.sources import json_of
from curate.license.spdx import spdx_id
from curate.license.text import LIMIT, parse_text
from curate.license.tools import tool
from curate.license.urls import parse_url
from curate.license.words import LICENCE, word_set

HTML_LIMIT: Final = 32768
HEADER_LIMIT: Final = 4096
_LINKS: Final = 50
_SILENT: Final = word_set(
    "script style template noscript textarea iframe object svg title del s strike"
)
_VOID: Final = word_set("area base br col embed hr img input link meta source track wbr")
_RELATIONS: Final = word_set("license cc:license dct:license dcterms:license xhv:license "
                              "schema:license")  # fmt: skip
_NAMES: Final = word_set("dc.rights dcterms.license dcterms.rights dc.rights.license license "
                          "cc:license dct:license dcterms:rights")  # fmt: skip
_GRANTING: Final = LICENCE | word_set("under rights terms this work photo image")


_SCOPED = re.compile(
    r"\b(?:texts?|data|datasets?|databases?|metadata|code|software|audio|music|documentation)"
    r"(?: \w+){0,2} (?:is|are|under|licen[sc]ed|available)\b",
    re.IGNORECASE,
)
"""Visible words by which a marked link speaks of something else than the picture."""
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:-]*+)"
    r"(?P<rest>(?:[^>\"']|\"[^\"]*+\"|'[^']*+')*+)>"
)
_TAG_START = re.compile(r"</?[a-zA-Z]")
_RAW: Final = {
    name: re.compile(rf"</{name}\b", re.I)
    for name in ("script", "style", "textarea", "title", "noscript", "iframe")
}
_TELLING = re.compile(r"licen|commons|hidden|display|visib|rights|artlibre|gnu\.|spdx|&", re.I)
_ATTRIBUTE = re.compile(
    r"([a-zA-Z_:@][\w:.-]*+)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'=<>`]++)))?+"
)


class _Page:
    """Licence links, other links and the visible text of a fragment, in one pass over its tags.

    What is hidden (comments, scripts, templates, `hidden`, `display:none`) says nothing.
    """

    def __init__(self, source: str) -> None:
        self.marked: list[str] = []
        self.linked: list[str] = []
        self.text: list[str] = []
        self._hidden: list[str] = []
        self._described: list[str] = []
        self._read(_without_comments(source))

    def _read(self, source: str) -> None:
        """One pass, as browsers read: a tag that never ends takes the rest of the page with it."""
        position = 0
        while start := self._next(source, position):
            self._say(source[position : start.start()])
            tag = _TAG.match(source, start.start())
            if tag is None:
                return
            position = tag.end()
            name, rest = tag["name"].lower(), tag["rest"]
            if tag["close"]:
                self._close(name)
            else:
                self._open(name, _attributes(rest) if _TELLING.search(rest) else {}, rest)
        self._say(source[position:])

    def _next(self, source: str, position: int) -> re.Match[str] | None:
        """The next tag; inside a script or the like only its own end counts."""
        raw = self._hidden[-1] if self._hidden and self._hidden[-1] in _RAW else None
        return (_RAW[raw] if raw else _TAG_START).search(source, position)

    def _say(self, data: str) -> None:
        if not self._hidden and data:
            self.text.append(unescape(data))
        elif self._hidden == ["script"] and self._described:
            self._described[-1] += data

    def _open(self, name: str, values: dict[str, str], rest: str) -> None:
        closed = rest.endswith("/")
        if self._hidden:
            if name == self._hidden[-1] and not closed:
                self._hidden.append(name)
            return
        style = values.get("style", "").replace(" ", "").lower()
        unseen = "hidden" in values or "display:none" in style or "visibility:hidden" in style
        if not unseen:
            self._collect(name, values)
        if name == "script" and "ld+json" in rest.lower():
            self._described.append("")
        if (name in _SILENT or unseen) and name not in _VOID and not closed:
            self._hidden.append(name)

    def _close(self, name: str) -> None:
        if self._hidden and name == self._hidden[-1]:
            self._hidden.pop()
            if name == "script" and self._described:
                for picture, target in _licences_in(json_of(self._described.pop())):
                    (self.marked if picture else self.linked).append(target)

    def _collect(self, name: str, values: dict[str, str]) -> None:
        relations = set(values.get("rel", "").lower().split())
        properties = set(values.get("property", "").lower().split())
        item = values.get("itemprop", "").lower().split()
        named = values.get("name", "").lower() in _NAMES and name == "meta"
        target = values.get("href") or values.get("content") or values.get("resource") or ""
        if relations & _RELATIONS or properties & _RELATIONS or "license" in item or named:
            if target:
                self.marked.append(target)
        elif name == "a" and values.get("href"):
            self.linked.append(values["href"])


_PICTURES: Final = word_set(
    "imageobject photograph creativework visualartwork painting drawing mediaobject image"
)


def _licences_in(value: object) -> list[tuple[bool, str]]:
    """What JSON-LD names as `license`, at any depth, and whether its subject may be a picture."""
    if isinstance(value, list):
        return [found for entry in value for found in _licences_in(entry)]
    if not isinstance(value, dict):
        return []
    types = value.get("@type") or []
    listed = [types] if isinstance(types, str) else types if isinstance(types, list) else []
    picture = not listed or any(str(kind).lower() in _PICTURES for kind in listed)
    found = []
    for name, entry in value.items():
        for one in entry if isinstance(entry, list) else [entry]:
            target = (one.get("@id") or one.get("url")) if isinstance(one, dict) else one
            if name == "license" and isinstance(target, str):
                found.append((picture, target))
        found += _licences_in(entry)
    return found


def _without_comments(source: str) -> str:
    """The source up to an unclosed comment, without the closed ones."""
    kept, position = [], 0
    while (begin := source.find("<!--", position)) >= 0:
        kept.append(source[position:begin])
        end = source.find("-->", begin + 4)
        if end < 0:
            return "".join(kept)
        position = end + 3
    return "".join([*kept, source[position:]])


def _attributes(source: str) -> dict[str, str]:
    """Attributes by lower-case name; the first of two with one name counts, as in browsers."""
    values: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(source):
        value = match[2] or match[3] or match[4] or ""
        values.setdefault(match[1].lower(), unescape(value))
    return values


def parse_html(text: str) -> Parsed:
    """The licence that a fragment of HTML states of its item."""
    if len(text) > HTML_LIMIT:
        return rejected("too_long", text[:80])
    if not text.strip():
        return rejected("empty")
    if "<" not in text:
        answer = parse_text(text)
        shown = "&lt;" in text.lower() and answer.id is not None
        return ambiguous("unclear_statement", text) if shown else answer
    reader = _Page(text)
    words = " ".join(" ".join(reader.text).replace("\xad", "").split())
    said = _said(words, text)
    if reader.marked:
        answer = _from_links(reader.marked, said)
        scoped = _SCOPED.search(words[:LIMIT]) and not PICTURE.search(words[:LIMIT])
        return ambiguous("contradiction", words) if answer.id and scoped else answer
    linked = list(dict.fromkeys(reader.linked))[: _LINKS + 1]
    links = [link for link in linked if parse_url(link).reason != "not_a_licence_url"]
    if not links:
        return said
    answer = _from_links(links, said)
    granting = said.id is not None or set(re.findall(r"[^\W\d_]+", words.lower())) & _GRANTING
    if answer.status == "ok" and not granting:
        return ambiguous("unmarked_link", links[0])
    return answer


def _said(words: str, source: str) -> Parsed:
    """What the visible words state; of a long page only whether it reserves all rights."""
    if not words:
        return rejected("unrecognised", source)
    if len(words) <= LIMIT:
        return parse_text(words)
    reserved = "all rights reserved" in words.lower()
    return rejected("all_rights_reserved" if reserved else "unrecognised", words)


def _from_links(links: list[str], said: Parsed) -> Parsed:
    """One tool in all links, and visible words that do not speak against it."""
    links = list(dict.fromkeys(links))
    if len(links) > _LINKS:
        return ambiguous("conflict", " | ".join(links[:3]))
    answers = [parse_url(link) for link in links]
    known = [answer for answer in answers if answer.status != "reject"]
    if not known:
        return answers[0]
    if len({(answer.id, answer.family) for answer in known}) > 1 or len(known) < len(answers):
        return ambiguous("conflict", " | ".join(links))
    first = known[0]
    if first.id is None:
        return first
    if said.id not in (None, first.id):
        return ambiguous("conflict", f"{links[0]} | {said.matched or ''}")
    if said.reason == "negated":
        return rejected("negated", said.matched or "")
    weak = ("versionless", "no_tool", "public_domain", "port_unclear", "unrecognised", "no_marker",
            "empty", "incomplete_version", "port_missing", "unclear_statement", "hidden_characters")  # fmt: skip
    if said.id is None and said.reason not in weak:
        return ambiguous("contradiction", said.matched or "")
    family = tool(first.id).family
    if said.family and said.family != family:
        return ambiguous("conflict", f"{links[0]} | {said.matched or ''}")
    return accepted(tool(first.id), "markup", links[0])


_CARD_LINE = re.compile(r"^license[ \t]*:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*?)[ \t]*(?:\n|$)")
_COMMENT = re.compile(r"[ \t]+#.*$")
_SCALAR = re.compile(r"(?P<quote>[\"']?)(?P<tag>[\w.+-]+(?: [\w.+-]+)*)(?P=quote)")


def hf_card(text: str) -> Parsed:
    """A Hugging Face licence tag, or the `license:` entry of a card's YAML header."""
    if len(text) > HTML_LIMIT:
        return rejected("too_long", text[:80])
    value = text.strip(" \t\r\n\ufeff").replace("\r\n", "\n")
    if value.startswith("---"):
        value = value[3:].partition("\n---")[0]
    if len(value) > HEADER_LIMIT:
        return rejected("too_long", text[:80])
    lines = list(_CARD_LINE.finditer(value))
    if len(lines) > 1:
        return ambiguous("conflict", value)
    if lines:
        entries = _entries(lines[0][1], value[lines[0].end() + 1 :])
    elif "\n" in value or ":" in value:
        return rejected("malformed", value)
    else:
        entries = _entries(value.removeprefix("- "), "")
    if not entries:
        return rejected("empty")
    scalars = [_SCALAR.fullmatch(_COMMENT.sub("", entry).strip()) for entry in entries]
    if any(scalar is None for scalar in scalars):
        return rejected("malformed", value)
    answers = [_tag(scalar["tag"]) for scalar in scalars if scalar is not None]
    if len({(a.id, a.reason if a.id is None else "") for a in answers}) > 1:
        return ambiguous("conflict", value)
    return answers[0]


def _entries(inline: str, following: str) -> list[str]:
    """The items of a YAML value: a scalar, a list in brackets, or one of lines with hyphens."""
    inline = _COMMENT.sub("", inline).strip()
    if inline.startswith("[") and inline.endswith("]"):
        return [entry for entry in (part.strip() for part in inline[1:-1].split(",")) if entry]
    if inline:
        return [inline]
    found, position = [], 0
    while item := _ITEM.match(following, position):
        found.append(item[1])
        position = item.end()
    return found


def _tag(tag: str) -> Parsed:
    folded = tag.lower()
    if folded in ("unknown", "other", "none", "null", "unlicensed", "proprietary"):
        return rejected("no_licence", tag)
    words = folded.split()
    if len(words) > 1:
        return ambiguous("conflict", tag) if "cc" in folded else rejected("malformed", tag)
    return spdx_id(tag)
