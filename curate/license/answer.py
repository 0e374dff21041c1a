"""What the parser answers: a status, the canonical id, a reason code and the text it rests on.

Reason codes are a closed set, so a report can count them and a test can list them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from curate.license.tools import Tool, tool

Status = Literal["ok", "ambiguous", "reject"]

REASONS: Final[Mapping[str, str]] = {
    # ok
    "url": "the address of the tool",
    "spdx": "an SPDX id or expression",
    "identifier": "the tool's own short name or canonical id",
    "title": "the tool's title",
    "statement": "a sentence that names exactly one tool",
    "source_rule": "a value whose meaning the source itself defines",
    "choice": "one arm of an explicit choice; the expression keeps the others",
    "markup": "a machine-readable licence link",
    # ambiguous
    "versionless": "a known licence without its version",
    "incomplete_version": "half a version, as in 'CC BY 4'",
    "port_missing": "this version exists only as ports, and none is named",
    "port_unclear": "what follows the version may or may not be a port",
    "several_versions": "several versions and no choice between them",
    "no_tool": "names Creative Commons or a licence family, but no tool",
    "no_marker": "elements and version without the words Creative Commons",
    "public_domain": "public domain, without the tool or the law it rests on",
    "conflict": "two licences and no choice between them",
    "contradiction": "a grant beside words that limit or withdraw it",
    "uncertain": "a grant beside words of doubt",
    "unclear_statement": "a licence among words that are no licence statement",
    "free_but_unnamed": "free use in words that no listed tool has",
    "unmarked_link": "a link to a licence that nothing ties to the work",
    # reject
    "empty": "nothing there",
    "not_text": "not a string",
    "unknown_source_kind": "no such source kind",
    "too_long": "longer than any licence statement",
    "hidden_characters": "control or text-direction characters",
    "unrecognised": "no licence found",
    "impossible": "no such tool exists",
    "negated": "says that the licence does not apply",
    "all_rights_reserved": "reserves all rights",
    "no_licence": "states that there is no licence, or that it is unknown",
    "no_known_restrictions": "no known restrictions is not a grant",
    "rights_statement": "a statement about rights, not a licence",
    "not_a_content_licence": "a licence for software",
    "lookalike": "looks like a licence address, but is another host or path",
    "not_a_licence_url": "an address, but of no licence",
    "malformed": "not in the form this source kind has",
}  # fmt: skip

MATCHED_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Parsed:
    """The answer for one claim. `id` is set when status is ok; `family` when only that is known."""

    status: Status
    reason: str
    id: str | None = None
    expression: str | None = None
    matched: str | None = None
    family: str | None = None

    @property
    def token(self) -> str:
        """Canonical id, `AMBIGUOUS` or `REJECT`."""
        return self.id or ("AMBIGUOUS" if self.status == "ambiguous" else "REJECT")


def accepted(found: Tool, reason: str, matched: str, expression: str | None = None) -> Parsed:
    """The answer for exactly one tool."""
    return Parsed("ok", reason, found.id, expression or found.spdx, _clip(matched))


def ambiguous(reason: str, matched: str = "", family: str | None = None) -> Parsed:
    """A licence was meant, but not which one."""
    return Parsed("ambiguous", reason, matched=_clip(matched), family=family)


def rejected(reason: str, matched: str = "") -> Parsed:
    """No licence, or one that does not apply."""
    return Parsed("reject", reason, matched=_clip(matched))


def elect(arms: Iterable[Parsed], matched: str, expression: str | None = None) -> Parsed:
    """One arm of an explicit choice: the most open accepted one, the newest version of it.

    The expression keeps every arm. Without an accepted arm the answer is ambiguous if any arm is.
    """
    listed = list(arms)
    good = [arm for arm in listed if arm.id is not None]
    if not good:
        doubtful = [arm for arm in listed if arm.status == "ambiguous"]
        return (doubtful or listed)[0] if listed else rejected("empty")
    best = min(good, key=lambda arm: openness(tool(arm.id or "")))
    whole = expression or " OR ".join(dict.fromkeys(_written(arm) for arm in listed))
    if len({arm.id for arm in listed}) == 1:
        return replace(best, matched=_clip(matched), expression=best.expression)
    return Parsed("ok", "choice", best.id, whole, _clip(matched))


def openness(found: Tool) -> tuple[int, float, str]:
    """Sort key: most open first, then tools made for content, then the newest version."""
    order = (found.nd, found.nc, found.sa, found.kind == "retired", found.kind == "open", found.by)
    rank = sum(bit << place for place, bit in enumerate(reversed(order)))
    return rank, -float(found.version or 0), found.id


def _written(arm: Parsed) -> str:
    if arm.expression:
        return arm.expression
    if arm.family:
        return f"LicenseRef-{arm.family}"
    return "LicenseRef-unknown"


def _clip(text: str) -> str | None:
    return text[:MATCHED_LIMIT] or None
