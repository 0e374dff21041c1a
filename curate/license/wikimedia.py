"""Wikimedia: extmetadata values, the templates of a file page, and Wikidata's licence items.

{{self|A|B}} lets the reader choose, by the template's own words; two bare licence templates do not
say how they relate, so they are a conflict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from curate.license.answer import Parsed, accepted, ambiguous, elect, rejected
from curate.license.sources import object_of
from curate.license.text import LIMIT, parse_text
from curate.license.tools import tool
from curate.license.urls import parse_url
from curate.license.words import NOT, word_set

WIKITEXT_LIMIT: Final = 16384
_PLACES: Final = 60

# versions that templates for "any version" name themselves
_ALL: Final = {"cc-by-sa-all": "CC-BY-SA", "cc-by-all": "CC-BY", "cc-sa-all": "CC-BY-SA"}
_RESTRICTED = re.compile(
    r"(?:no[ -]?(?:license|permission|source)|copyvio|delete|speedy|fair[ -]?use|non-free|"
    r"license ?review.*fail|flickrreview.*fail|dw no source|unfree|disputed|dubious|"
    r"wrong[ -]?licen|bad[ -]?licen|incorrect[ -]?licen|nld|nsd|npd|no[ -]?licen)",
    re.IGNORECASE,
)
_AGAINST: Final = frozenset(
    {"negated", "all_rights_reserved", "conflict", "lookalike", "impossible"}
)
"""What one field says that the others' tool does not outweigh: an address that only looks right too."""
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
    if re.fullmatch(r"pd-us-?gov(?:-[a-z0-9-]+)?", folded):
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
    return parse_text(text, choice=True)


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
    if len({claim.id for claim in known}) > 1 or against:
        return ambiguous("conflict", " | ".join(claim.matched or "" for claim in claims))
    return next((c for c in known if c.reason == "choice"), known[0])


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


# Wikidata items that stand for exactly one tool, by suffix of the id without "CC-"
_ITEMS: Final[dict[str, str]] = {
    "Q6938433": "CC0-1.0", "Q7257361": "CC-PDM-1.0", "Q114756497": "CC-PDDC",
    "Q30942811": "CC-BY-1.0", "Q19125117": "CC-BY-2.0", "Q18810333": "CC-BY-2.5",
    "Q14947546": "CC-BY-3.0", "Q20007257": "CC-BY-4.0",
    "Q47001652": "CC-BY-SA-1.0", "Q19068220": "CC-BY-SA-2.0", "Q19113751": "CC-BY-SA-2.5",
    "Q14946043": "CC-BY-SA-3.0", "Q18199165": "CC-BY-SA-4.0",
    "Q44283370": "CC-BY-NC-1.0", "Q44128984": "CC-BY-NC-2.0", "Q19113746": "CC-BY-NC-2.5",
    "Q18810331": "CC-BY-NC-3.0", "Q34179348": "CC-BY-NC-4.0",
    "Q47008954": "CC-BY-NC-SA-1.0", "Q28050835": "CC-BY-NC-SA-2.0",
    "Q19068212": "CC-BY-NC-SA-2.5", "Q15643954": "CC-BY-NC-SA-3.0",
    "Q42553662": "CC-BY-NC-SA-4.0",
    "Q47008966": "CC-BY-ND-1.0", "Q35254645": "CC-BY-ND-2.0", "Q18810338": "CC-BY-ND-2.5",
    "Q18810160": "CC-BY-ND-3.0", "Q36795408": "CC-BY-ND-4.0",
    "Q47008926": "CC-BY-NC-ND-1.0", "Q47008927": "CC-BY-NC-ND-2.0",
    "Q19068204": "CC-BY-NC-ND-2.5", "Q19125045": "CC-BY-NC-ND-3.0",
    "Q24082749": "CC-BY-NC-ND-4.0", "Q75209430": "CC-SA-1.0", "Q26913038": "CC-SAMPLING-PLUS-1.0",
    "Q100509915": "CC-SAMPLING-1.0",
    "Q18810143": "CC-BY-3.0-US", "Q26259495": "CC-BY-3.0-IGO", "Q53859967": "CC-BY-3.0-NL",
    "Q52555753": "CC-BY-3.0-AU", "Q62619894": "CC-BY-3.0-DE", "Q75768706": "CC-BY-3.0-AT",
    "Q75770766": "CC-BY-3.0-BR", "Q75494411": "CC-BY-2.5-AU", "Q63241773": "CC-BY-2.0-UK",
    "Q75470422": "CC-BY-2.0-FR", "Q75466259": "CC-BY-2.0-DE", "Q26116436": "CC-BY-2.1-JP",
    "Q75775133": "CC-BY-3.0-ES", "Q75775714": "CC-BY-3.0-FR", "Q75776487": "CC-BY-3.0-IT",
    "Q75777688": "CC-BY-3.0-PL", "Q75771320": "CC-BY-3.0-CH", "Q27940776": "CC-BY-2.5-SE",
    "Q18810341": "CC-BY-SA-3.0-US", "Q42716613": "CC-BY-SA-3.0-DE", "Q80837139": "CC-BY-SA-3.0-AT",
    "Q18195572": "CC-BY-SA-3.0-NL", "Q80837607": "CC-BY-SA-3.0-PL", "Q86239991": "CC-BY-SA-3.0-ES",
    "Q86240326": "CC-BY-SA-3.0-FR", "Q86240624": "CC-BY-SA-3.0-LU", "Q86241082": "CC-BY-SA-3.0-RO",
    "Q86239208": "CC-BY-SA-3.0-AU", "Q86239559": "CC-BY-SA-3.0-EE", "Q56292840": "CC-BY-SA-3.0-IGO",
    "Q98755364": "CC-BY-SA-3.0-IT", "Q98755369": "CC-BY-SA-3.0-BR", "Q98755321": "CC-BY-SA-3.0-CZ",
    "Q98755344": "CC-BY-SA-3.0-RS", "Q63340742": "CC-BY-SA-3.0-NO", "Q77143083": "CC-BY-SA-2.0-DE",
    "Q77355872": "CC-BY-SA-2.0-FR", "Q77365183": "CC-BY-SA-2.0-UK", "Q77367349": "CC-BY-SA-2.1-JP",
    "Q24331618": "CC-BY-SA-2.5-CA", "Q18199175": "CC-BY-SA-2.5-NL", "Q98755337": "CC-BY-SA-2.5-PL",
    "Q98755330": "CC-BY-SA-2.5-HU", "Q98929925": "CC-BY-SA-2.5-IT", "Q15914252": "CC-BY-SA-2.5-SE",
    "Q108002180": "CC-BY-NC-3.0-DE", "Q105295756": "CC-BY-NC-SA-3.0-DE",
    "Q108002189": "CC-BY-NC-ND-3.0-DE", "Q108002236": "CC-BY-ND-3.0-DE",
    "Q63241094": "CC-BY-NC-SA-2.0-UK", "Q94507369": "CC-BY-NC-SA-2.0-FR",
    "Q106453388": "CC-BY-NC-SA-3.0-IGO", "Q76448905": "CC-BY-NC-ND-3.0-IGO",
    "Q23006354": "CC-BY-NC-ND-3.0-FR",
    "Q24273512": "PDDL-1.0", "Q30940585": "ODC-By-1.0", "Q1224853": "ODbL-1.0",
    "Q26921685": "GFDL-1.1-only", "Q50829096": "GFDL-1.1-or-later",
    "Q26921686": "GFDL-1.2-only", "Q50829104": "GFDL-1.2-or-later",
    "Q26921691": "GFDL-1.3-only", "Q27019786": "GFDL-1.3-or-later",
    "Q99891660": "OGL-UK-1.0", "Q99891692": "OGL-UK-2.0", "Q99891702": "OGL-UK-3.0",
    "Q80939351": "etalab-2.0", "Q115739433": "CDLA-Permissive-2.0",
}  # fmt: skip
_VERSIONLESS_ITEMS: Final = {
    "Q6905323": "CC-BY", "Q6905942": "CC-BY-SA", "Q6998997": "CC-BY-NC-SA", "Q284742": "",
    "Q152332": "LAL", "Q17016921": "OGL-UK",
}  # fmt: skip
_PUBLIC_DOMAIN_ITEMS: Final = frozenset({"Q19652", "Q98592850", "Q88088423"})


def wikidata_p275(text: str) -> Parsed:
    """A Wikidata item id or its address; items outside the table name no tool we know."""
    match = re.fullmatch(
        r"(?:(?:https?:)?//(?:www\.)?wikidata\.org/(?:entity|wiki)/|wd:)?(Q[1-9][0-9]{0,11})",
        text.strip(),
        re.ASCII,
    )
    if match is None:
        return rejected("malformed" if text.strip() else "empty", text.strip())
    item = match[1]
    if item in _ITEMS:
        return accepted(tool(_ITEMS[item]), "source_rule", item)
    if item in _PUBLIC_DOMAIN_ITEMS:
        return ambiguous("public_domain", item)
    if item in _VERSIONLESS_ITEMS:
        family = _VERSIONLESS_ITEMS[item]
        return ambiguous("versionless" if family else "no_tool", item, family or None)
    return rejected("unrecognised", item)
