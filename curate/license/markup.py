"""HTML and dataset cards: machine-readable licence links first, visible words against them.

A link that carries rel="license" speaks for the item; the words around it may only contradict. Its
sentence is read as free text is, with the tool's own name in the place of the link. A link that
nothing ties to the work counts only if the words around it are a licence statement.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from curate.license.answer import Parsed, accepted, ambiguous, rejected
from curate.license.caveats import PICTURE, RESERVED
from curate.license.page import BREAK, CHOICE, CLOSES, FIGURE, JOINT, OPENS, Page
from curate.license.sources import json_of
from curate.license.spdx import spdx_id
from curate.license.text import LIMIT, parse_text
from curate.license.tools import Tool, tool
from curate.license.urls import parse_url
from curate.license.words import LICENCE, word_set

HTML_LIMIT: Final = 32768
HEADER_LIMIT: Final = 4096
_TAGS: Final = 2000
_VISIBLE: Final = 12288
"""Longer pages are about more than one item."""
_LINKS: Final = 50
_OWN: Final = 4
"""Sentences around licence links that are read one by one; more are read together."""
_LABELS: Final = 6
"""Different texts of links to one licence, or notices: more are no statement about one item."""
_TOLD: Final = 1000
"""Characters of what a long page says of rights and pictures that are read."""
_NEAR: Final = 300
"""Characters of a sentence read on each side of a licence link."""
_GRANTING: Final = LICENCE | word_set("under rights terms this work photo image")
_SCOPED = re.compile(
    r"\b(?:texts?|data|datasets?|databases?|metadata|code|software|audio|music|documentation)"
    r"(?: \w+){0,2} (?:is|are|under|licen[sc]ed|available)\b"
    r"|\b(?:themes?|templates?|skins?|layouts?|designs?|fonts?|icons?|emojis?|stylesheets?|css|"
    r"texts?|articles?|wordpress|plugins?|learn|read about)\b",
    re.IGNORECASE,
)
"""Visible words by which a marked link speaks of something else than the picture."""
_SITE = re.compile(r"\b(?:web ?sites?|sites?|blogs?|pages?|contents?|texts?|articles?)\b", re.I)
_COPYRIGHT = re.compile(r"©|\(c\)|\bcopyright(?:ed)?\b", re.IGNORECASE)
_PICTURES = re.compile(r"\b(?:photos|photographs|pictures|images|illustrations|artworks)\b", re.I)
_RELEVANT = re.compile(
    r"licen|copyright|©|rights|commons|\bcc\b|permission|commercial|\b(?:re)?use\b", re.IGNORECASE
)
_CHOOSER = re.compile(
    r"Based on a work at [\s\x06\x0e]*[^\s\x0e]+|Permissions beyond the scope of this licen[sc]e "
    r"may be available at [\s\x06\x0e]*[^\s\x0e]+|\((?:opens|external)[^()]{0,40}\)",
    re.IGNORECASE,
)
"""What the form of Creative Commons adds behind a grant, and it takes nothing away."""
_ADDRESSED = re.compile(r"<[/a-z]|\b(?:href|rel|src|class)\s*=", re.IGNORECASE)
_SIGN = re.compile(rf"[{OPENS}{CLOSES}{CHOICE}{FIGURE}{JOINT}{BREAK}\n]")
_LINK = re.compile(rf"{OPENS}[^{CLOSES}]*{CLOSES}")
_END = re.compile(r"\n|(?<=[.!?。;])\s+")
_BADGE = re.compile(r"/[lp]/([a-z+-]+)/(?:([0-9]\.[0-9])/)?")
_ELEMENT: Final = {
    "nc": re.compile(r"(?<![a-z])nc(?![a-z])|non-?_?commercial", re.IGNORECASE),
    "nd": re.compile(r"(?<![a-z])nd(?![a-z])|no-?_?deriv", re.IGNORECASE),
    "sa": re.compile(r"(?<![a-z])sa(?![a-z])|share-?_?alike", re.IGNORECASE),
}
_WEAK: Final = word_set(
    "versionless no_tool public_domain port_unclear unrecognised no_marker empty "
    "incomplete_version port_missing unclear_statement hidden_characters"
)
"""Why words name no tool, without a word against the one that a link names."""
_AGAINST: Final = word_set("negated all_rights_reserved contradiction conflict")


def parse_html(text: str) -> Parsed:
    """The licence that a fragment of HTML states of its item."""
    if len(text) > HTML_LIMIT or text.count("<") > _TAGS:
        return rejected("too_long", text[:80])
    if not text.strip():
        return rejected("empty")
    if text.lstrip()[:1] in "[{" and json_of(text) is not None:
        return rejected("malformed", text)
    if "<" not in text:
        answer = parse_text(text)
        shown = "&lt;" in text.lower() and answer.id is not None
        return ambiguous("unclear_statement", text) if shown else answer
    page = Page(text)
    linked = list(dict.fromkeys(page.linked))[: _LINKS + 1]
    licences = [link for link in linked if parse_url(link).reason != "not_a_licence_url"]
    if page.marked:
        answer = _from_links(page.marked)
        others = [parse_url(link) for link in licences]
        if answer.id and any(other.id not in (None, answer.id) for other in others):
            return ambiguous("conflict", " | ".join(licences))
        return _weighed(answer, page)
    if not licences:
        return _from_words(page, text)
    answer = _weighed(_from_links(licences), page)
    words = _words(page.text)
    granting = set(re.findall(r"[^\W\d_]+", words.lower())) & _GRANTING
    if answer.status == "ok" and not granting and _said(words, text).id is None:
        return ambiguous("unmarked_link", licences[0])
    return answer


def _from_links(links: list[str]) -> Parsed:
    """The one tool that all links name."""
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
    return accepted(tool(first.id), "markup", links[0]) if first.id else first


# --- words without a link -----------------------------------------------------------------------
def _words(text: str) -> str:
    """Text in one line, each sign of the reader a space."""
    plain = _SIGN.sub(" ", text)
    return " ".join(plain.replace("\xad", "").split())


def _tight(text: str) -> str:
    """The same text with words that only inline tags split put together."""
    return _words(re.sub(rf"(?<=[^\W\d_]){JOINT}+(?=[^\W\d_])", "", text))


def _said(words: str, source: str) -> Parsed:
    """What the visible words state; of a long page only whether it reserves all rights."""
    if not words:
        return rejected("unrecognised", source)
    if len(words) <= LIMIT:
        return parse_text(words)
    reserved = "all rights reserved" in words.lower()
    return rejected("all_rights_reserved" if reserved else "unrecognised", words)


def _from_words(page: Page, source: str) -> Parsed:
    """What a page without licence links states in visible words and rights notices."""
    words, tight = _words(page.text), _tight(page.text)
    said = _said(words, source)
    if said.id is not None:
        whole = said if tight == words else _said(tight, source)
        if whole.reason in _AGAINST:
            return whole
        if CHOICE in page.text or _ADDRESSED.search(words):
            return ambiguous("unclear_statement", words)
        return _weighed(said, page) if page.notices or page.aside else said
    noted = [parse_text(notice) for notice in page.notices]
    named = next((answer for answer in noted if answer.id is not None), None)
    if named is None or said.reason not in _WEAK:
        reserved = [answer for answer in noted if answer.reason == "all_rights_reserved"]
        return reserved[0] if reserved and said.reason == "unrecognised" else said
    return _weighed(named, page)


# --- words against a tool -----------------------------------------------------------------------
def _weighed(answer: Parsed, page: Page) -> Parsed:
    """The answer, unless a word of the page speaks against it."""
    if answer.id is None:
        return answer
    found = tool(answer.id)
    if page.struck or any(RESERVED.search(words) for words in page.aside):
        return ambiguous("contradiction", answer.matched or "")
    if any(_other_badge(found, source) for source in page.badges):
        return ambiguous("conflict", f"{answer.matched} | {' '.join(page.badges)}")
    links = list(dict.fromkeys(_words(link) for link in _LINK.findall(page.text)))
    labels = list(dict.fromkeys([*links, *page.labels]))
    notices = list(dict.fromkeys(page.notices))
    if len(labels) > _LABELS or max(map(len, labels), default=0) > _NEAR:
        return ambiguous("unclear_statement", " | ".join(labels))
    if sum(map(len, notices)) > LIMIT or len(notices) > _LABELS:
        return ambiguous("unclear_statement", " | ".join(notices))
    if any(_SCOPED.search(link) and not PICTURE.search(link) for link in links):
        return ambiguous("contradiction", " | ".join(links))
    for label in labels:
        against = _against(found, label)
        if against is not None:
            return against
    if any(_against(found, notice, elements=False) for notice in notices):
        return ambiguous("contradiction", " | ".join(notices))
    if len(page.text) > _VISIBLE:
        return ambiguous("unclear_statement", page.text)
    text = _CHOOSER.sub(" ", _LINK.sub(OPENS, page.text))
    return _around(found, text) or _elsewhere(found, text, page.text) or answer


@cache
def _name(found: Tool) -> str:
    """A name that free text knows the tool by; where it knows none, one for the words around."""
    for name in (found.identifier, found.id):
        if parse_text(f"This work is licensed under a {name}.").id == found.id:
            return name
    return "CC BY 4.0"


@cache
def _elements(found: Tool) -> frozenset[str]:
    return frozenset(e for e in ("nc", "nd", "sa") if getattr(found, e))


def _other_badge(found: Tool, source: str) -> bool:
    """Whether a badge's address names elements that the tool has not, or another tool."""
    named = _BADGE.search(source)
    if named is not None and found.unit:
        return named[1] != found.unit or named[2] not in (None, found.version)
    file = source.rpartition("/")[2]
    return any(e not in _elements(found) and _ELEMENT[e].search(file) for e in _ELEMENT)


def _against(found: Tool, words: str, *, elements: bool = True) -> Parsed | None:
    """Why the words of a link, of its badge or of a notice speak against a tool, or None."""
    if not words:
        return None
    own = parse_text(words[:LIMIT])
    if own.id is not None:
        return None if own.id == found.id else ambiguous("conflict", words)
    if own.family and own.family != found.family:
        return ambiguous("conflict", words)
    if own.reason not in _WEAK:
        return ambiguous("contradiction", words)
    if elements and any(e not in _elements(found) and _ELEMENT[e].search(words) for e in _ELEMENT):
        return ambiguous("conflict", words)
    beside = parse_text(f"{_name(found)}. {words[:_NEAR]}")
    bad = beside.reason in _AGAINST - {"conflict"} or beside.reason == "uncertain"
    return ambiguous("contradiction", words) if bad else None


def _around(found: Tool, text: str) -> Parsed | None:
    """Why the sentences in which licence links stand are no grant, or None."""
    name = f" {_name(found)} "
    for line in _own_sentences(text):
        near = line[max(0, line.find(OPENS) - _NEAR) : line.rfind(OPENS) + _NEAR]
        much = CHOICE in near or len(near) > LIMIT
        if much or (_SCOPED.search(near) and not PICTURE.search(near)):
            return ambiguous("contradiction", _words(near.replace(OPENS, name)))
        spaced, tight = (read(near.replace(OPENS, name)) for read in (_words, _tight))
        answer = parse_text(spaced)
        whole = answer if tight == spaced else parse_text(tight)
        worse = next((a for a in (answer, whole) if a.reason in _AGAINST), answer)
        if worse.reason == "negated":
            return rejected("negated", spaced)
        if worse.id is None or worse.id != _read_as(found):
            return ambiguous("contradiction", spaced)
    return None


def _own_sentences(text: str) -> list[str]:
    """The sentences with a sign for a licence link; a line that is only a badge is one."""
    lines = [_after_badge(line) for line in text.split("\n") if OPENS in line]
    own = [line for line in _END.split("\n".join(lines)) if OPENS in line]
    return own if len(own) <= _OWN else [*own[:_OWN], " ".join(own[_OWN:])]


def _after_badge(line: str) -> str:
    behind = line.strip(f" {JOINT}")[1:].lstrip(f" {JOINT}")
    badge = line.strip(f" {JOINT}").startswith(OPENS) and behind.startswith(BREAK)
    return f"{OPENS}\n{behind[1:]}" if badge else line


def _elsewhere(found: Tool, text: str, shown: str) -> Parsed | None:
    """Why anything else on the page speaks against a tool, or None. `shown`: links in words."""
    name = _name(found)
    whole = f"{name}. {_words(text.replace(OPENS, f' {name} '))}"
    if RESERVED.search(shown) or _others_picture(found, text):
        return ambiguous("contradiction", _words(shown))
    answer = parse_text(whole if len(whole) <= LIMIT else _nearest(name, text))
    if answer.reason == "uncertain" and len(whole) <= LIMIT:
        answer = parse_text(_nearest(name, text))
    if answer.id == _read_as(found) or answer.reason == "unclear_statement":
        return None
    words = _words(_CHOOSER.sub(" ", shown))
    if answer.id is None and answer.reason != "uncertain" and answer.reason not in _AGAINST:
        weak = parse_text(words[:_TOLD]).reason in _WEAK
        return None if weak else ambiguous("contradiction", words)
    return ambiguous("contradiction" if answer.id is None else "conflict", words)


def _nearest(name: str, text: str) -> str:
    """The sentences of a page that may be about rights or pictures, as far as one text goes."""
    told, length = [], 0
    for part in _END.split(text):
        if len(part) > 1 and length < _TOLD and _telling(part):
            told.append(part)
            length += len(part)
    return f"{name}. {_words('. '.join(told).replace(OPENS, f' {name} '))}"[:_TOLD]


def _telling(part: str) -> bool:
    """Whether a sentence may be about rights or pictures."""
    return OPENS in part or bool(_RELEVANT.search(part) or PICTURE.search(part[:LIMIT]))


def _others_picture(found: Tool, text: str) -> bool:
    """Whether a notice apart from the licence keeps the copyright of pictures."""
    lines = text.split("\n")
    kept = [line for line in lines if _COPYRIGHT.search(line)]
    own = [line[:LIMIT] for line in lines if OPENS in line][:_OWN] if kept else []
    site = any(_SITE.search(line) and not PICTURE.search(line) for line in own)
    for count, line in enumerate(kept):
        if count >= _LABELS:
            return True
        if parse_text(_words(line)[:_NEAR]).id == found.id:
            continue
        _, same, behind = line.rpartition(OPENS)
        near = _beside_sign(behind)
        later = _END.split(near, maxsplit=1)[1:]
        if same and near and (_PICTURES.search(near) or any(map(PICTURE.search, later))):
            return True
        if not same and (site or FIGURE in line or PICTURE.search(near)):
            return True
    return False


def _beside_sign(text: str) -> str:
    """The words on both sides of a copyright sign, or nothing where there is none."""
    sign = _COPYRIGHT.search(text)
    return text[max(0, sign.start() - _NEAR) : sign.end() + _NEAR] if sign else ""


@cache
def _read_as(found: Tool) -> str | None:
    return parse_text(_name(found)).id


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
