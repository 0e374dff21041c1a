"""Wikimedia: extmetadata values and the templates of a file page.

{{self|A|B}} lets the reader choose, by the template's own words; two bare licence templates do not
say how they relate, so they are a conflict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from curate.license.answer import Parsed, accepted, ambiguous, elect, rejected
from curate.license.caveats import NEUTRAL, RESERVED
from curate.license.sources import json_of, object_of
from curate.license.text import LIMIT, parse_text
from curate.license.tools import tool
from curate.license.urls import parse_url
from curate.license.wikidata import wikidata_p275
from curate.license.words import NOT, word_set

__all__ = ["wikidata_p275", "wikimedia", "wikimedia_wikitext"]

WIKITEXT_LIMIT: Final = 16384
_PLACES: Final = 60

# versions that templates for "any version" name themselves
_ALL: Final = {"cc-by-sa-all": "CC-BY-SA", "cc-by-all": "CC-BY", "cc-sa-all": "CC-BY-SA"}
_RESTRICTED = re.compile(
    r"(?:no[ -]?(?:license|permission|source)|copyvio|delete|speedy|fair[ -]?use|non-free|"
    r"license ?review.*fail|flickrreview.*fail|dw no source|unfree|disputed|dubious|"
    r"(?:sd|csd|rfd|ffd|dr|vfd|prod)$|db-|deletion|to be deleted|(?:otrs|vrts?|permission) pending|"
    r"wrong[ -]?licen|bad[ -]?licen|incorrect[ -]?licen|nld|nsd|npd|no[ -]?licen)",
    re.IGNORECASE,
)
_AGAINST: Final = frozenset(
    {"negated", "all_rights_reserved", "conflict", "lookalike", "impossible"}
)
"""What one field says that the others' tool does not outweigh: an address that only looks right too."""
_CONDITIONAL = re.compile(
    r"\{\{\s*(?:safesubst:|subst:)?\s*#\s*(?:if|switch|invoke|tag|for)|\{\{\{", re.I
)
"""Parser functions and parameters: what they show depends on what is not on the page."""
_COPYRIGHT = re.compile(r"©|\bcopyright(?:ed)?\b(?![ -]*free)", re.IGNORECASE)
_MARKUP = re.compile(r"<[^<>]{0,500}>")
_NUMBERED = re.compile(r"^\s*[0-9]+\s*=")
_FAILED = re.compile(r"fail|mismatch|changed|bad|error|not ?found|unfree", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(?:-->|$)", re.DOTALL)
_SHOWN_ONLY = re.compile(
    r"<(?P<tag>nowiki|pre|code|source|syntaxhighlight|s|del|strike|includeonly)\b[^<>]*>"
    r".*?(?:</(?P=tag)\s*>|$)",
    re.DOTALL | re.IGNORECASE,
)
_QUOTING = word_set("tl tlx tlp t tlc nowiki not-licensed tls template")


def wikimedia(text: str) -> Parsed:
    """A value of extmetadata (`License`, `LicenseShortName`, `LicenseUrl`) or that object."""
    stripped = text.strip()
    value = object_of(stripped)
    if value is not None:
        return _extmetadata(value, stripped)
    if not stripped:
        return rejected("empty")
    if stripped[0] == "[" and json_of(stripped) is not None:
        return rejected("malformed", stripped)
    if "|" in stripped and len(stripped) < LIMIT:
        return _bare([wikimedia(part) for part in stripped.split("|")[:_PLACES]], stripped)
    return _code(stripped)


def _code(text: str) -> Parsed:
    folded = re.sub(r"[\s_]+", "-", text.lower())
    if folded in _ALL:
        family = _ALL[folded]
        arms = [accepted(tool(f"{family}-{v}"), "source_rule", text)
                for v in ("4.0", "3.0", "2.5", "2.0", "1.0")]  # fmt: skip
        return elect(arms, text)
    if re.fullmatch(r"pd-us-?gov(?:-[a-z0-9-]+)?", folded) and not set(folded.split("-")) & NOT:
        return accepted(tool("PD-US-GOV"), "source_rule", text)
    if folded in ("cc-pd-mark", "pdmark-owner", "cc-pdm", "cc-pd-mark-1.0", "pdm-owner"):
        return accepted(tool("CC-PDM-1.0"), "source_rule", text)
    british = re.fullmatch(r"ogl-?([123])(?:\.0)?", folded)
    if british:
        return accepted(tool(f"OGL-UK-{british[1]}.0"), "source_rule", text)
    if re.fullmatch(r"pd(?:-.*)?|cc-pd|public-domain", folded):
        return ambiguous("public_domain", text)
    migrated = re.fullmatch(r"(cc-by-sa-3\.0)-migrated(?:-with-disclaimers)?", folded)
    if migrated:
        return accepted(tool("CC-BY-SA-3.0"), "source_rule", text)
    if folded in ("attribution", "copyrighted-free-use", "attribution-only-license"):
        return ambiguous("free_but_unnamed", text)
    answer = parse_text(text, choice=_descending(text))
    against = answer.id is not None and _COPYRIGHT.search(text)
    return ambiguous("contradiction", text) if against else answer


def _descending(text: str) -> bool:
    """Whether versions stand as in the templates that offer several: newest first, down to 1.0."""
    versions = re.findall(r"(?<![0-9.])[1-4]\.[0-9](?![0-9.])", text[:LIMIT])
    return versions == sorted(versions, reverse=True) and versions[-1:] == ["1.0"]


def _extmetadata(value: dict[str, Any], text: str) -> Parsed:
    """Code, short name and address must agree; the address settles what the names leave open."""
    if _text_of(value.get("NonFree")).lower() in ("true", "1", "yes"):
        return rejected("rights_statement", "NonFree")
    claims = []
    for name in ("LicenseUrl", "License", "LicenseShortName", "UsageTerms"):
        raw = _text_of(value.get(name))
        if raw.strip():
            claims.append(parse_url(raw) if name == "LicenseUrl" else wikimedia(raw))
    known = [claim for claim in claims if claim.id]
    if not claims:
        return rejected("no_licence", text)
    if not known:
        return next((c for c in claims if c.status == "ambiguous"), claims[0])
    against = [claim for claim in claims if claim.reason in _AGAINST]
    if _withdrawn(value, known[0]):
        return ambiguous("contradiction", text)
    if len({claim.id for claim in known}) > 1 or against:
        return ambiguous("conflict", " | ".join(claim.matched or "" for claim in claims))
    return next((c for c in known if c.reason == "choice"), known[0])


def _withdrawn(value: dict[str, Any], known: Parsed) -> bool:
    """Whether another field of extmetadata speaks against the licence."""
    if _text_of(value.get("DeletionReason")).strip():
        return True
    free = _text_of(value.get("Copyrighted")).strip().lower() in ("false", "0", "no")
    if free and tool(known.id or "").by:
        return True
    said = " ".join(_MARKUP.sub(" ", _text_of(value.get("Permission"))).split())
    if RESERVED.search(NEUTRAL.sub(" ", said)):
        return True
    answer = parse_text(said)
    return answer.id not in (None, known.id) or answer.reason in _AGAINST


def _text_of(entry: object) -> str:
    """The value of a field of extmetadata, empty where it is no text."""
    raw = entry.get("value") if isinstance(entry, dict) else entry
    return str(raw) if isinstance(raw, (str, bool, int)) else ""


def _bare(answers: list[Parsed], text: str) -> Parsed:
    """Several licences side by side without a word on how they relate."""
    said = [answer for answer in answers if answer.reason != "empty"]
    if not said:
        return rejected("empty", text)
    first = said[0]
    if all((a.id, a.status, a.family) == (first.id, first.status, first.family) for a in said):
        return first
    if all(answer.status == "reject" for answer in said):
        return first
    return ambiguous("conflict", text)


def wikimedia_wikitext(text: str) -> Parsed:
    """The licence templates of a file page."""
    if len(text) > WIKITEXT_LIMIT:
        return rejected("too_long", text[:80])
    plain = _SHOWN_ONLY.sub("", _COMMENT.sub("", text))
    answers, denied = [], False
    for count, template in enumerate(_templates(plain)):
        if count > _PLACES:
            return ambiguous("conflict", text)
        name, arguments = template.parts[0].strip(), template.parts[1:]
        if _RESTRICTED.match(name) or _failed_review(name, arguments):
            return ambiguous("contradiction", name)
        answer = _template(name, arguments)
        if answer is not None:
            answers.append(answer)
            denied |= bool(set(re.findall(r"[^\W\d_]+", template.before.lower())) & NOT)
    reserved = RESERVED.search(plain) and RESERVED.search(NEUTRAL.sub(" ", plain))
    denied = bool(denied or reserved or _CONDITIONAL.search(plain))
    if any(answer.id for answer in answers) and (denied or _denied(plain)):
        return ambiguous("contradiction", plain.strip())
    if not answers:
        return rejected("empty" if not plain.strip() else "unrecognised", plain.strip())
    return _bare(answers, plain.strip())


def _failed_review(name: str, arguments: list[str]) -> bool:
    review = re.match(r"flickr|licen[sc]e ?review", name, re.IGNORECASE)
    return bool(review) and any(_FAILED.search(argument) for argument in arguments)


def _denied(text: str) -> bool:
    """Whether a word of negation stands in a line with a template, outside of all templates."""
    inner = re.compile(r"\{\{[^{}]*\}\}")
    for _ in range(_PLACES):
        text, found = inner.subn("\0", text)
        if not found:
            break
    lines = [line for line in text.split("\n") if "\0" in line]
    return any(set(re.findall(r"[^\W\d_]+", line.lower())) & NOT for line in lines)


def _template(name: str, arguments: list[str]) -> Parsed | None:
    """The answer of one template, or None if it is no licence template."""
    folded = re.sub(r"[\s_]+", "-", name.lower()).removeprefix("template:")
    if folded in ("self", "dual-license", "multilicense", "multi-license", "self2", "self3"):
        if len(arguments) > _PLACES:
            return ambiguous("conflict", name)
        given = [_NUMBERED.sub("", argument).strip() for argument in arguments]
        arms = [_template(a, []) for a in given if a and "=" not in a]
        real = [arm for arm in arms if arm is not None]
        return elect(real, "{{" + name + "|" + "|".join(arguments) + "}}") if real else None
    if re.fullmatch(r"gfdl-1\.[123](?:-only)?", folded):
        return _code(folded)
    if folded.startswith("gfdl"):
        parts = [ambiguous("versionless", name, "GFDL")]
        if any(re.fullmatch(r"\s*migration\s*=\s*relicense\s*", a) for a in arguments):
            parts.append(accepted(tool("CC-BY-SA-3.0"), "source_rule", name))
        return elect(parts, name)
    if not re.match(r"cc[- ]?(?:by|0|zero|pd|sa|nc|nd|sampling)|cc0|pd(?:-|$)|pdmark|fal$|attribution$"
                    r"|copyrighted-free-use|odbl|ogl", folded):  # fmt: skip
        return None
    if folded in _QUOTING:
        return None
    return _code(folded)


class _Template(NamedTuple):
    """Name and arguments, and what stands before the template in its line or argument."""

    parts: list[str]
    before: str


def _templates(text: str) -> Iterator[_Template]:
    """Each template, innermost first."""
    pattern = re.compile(r"\{\{([^{}]*)\}\}")
    for _ in range(_PLACES):
        match = pattern.search(text)
        if match is None:
            return
        before = re.split(r"[|\n{}]", text[max(0, match.start() - 200) : match.start()])[-1]
        yield _Template(match[1].split("|"), before)
        text = text[: match.start()] + " " + text[match.end() :]
