"""From the claims of one picture to one decision, by rule and with every claim kept.

Claims that name the same tool corroborate each other; another version or port leaves the higher
rung standing, flagged; other elements are a conflict; all rights reserved beats an equal or lower
grant. What is embedded in the picture itself can only corroborate or contradict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from curate.license.answer import Parsed
from curate.license.parse import parse
from curate.license.tools import Tool, tool

LADDER: Final = {
    5: "the source's own record of this item",
    4: "embedded in the file, or a copy of the source's record",
    3: "markup about this item",
    2: "a statement about its page",
    1: "a footer or free text",
    0: "none, or a declaration",
}
"""The rungs of evidence in words, for everything that shows them."""
EMBEDDED: Final = frozenset(
    {"exif_copyright", "xmp_webstatement", "xmp_usageterms", "cc_license_xmp"}
)
DECLARATION: Final = "declaration"
"""Kind of the claim by which rights holders declare their own pictures' licence."""
DECLARED_BASIS: Final = "declared"
_RESERVING: Final = frozenset({"all_rights_reserved", "negated"})


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement about a licence, as it was found; `level` is its rung, 0 … 5."""

    kind: str
    value: str | None
    level: int = 0
    claimed_by: str | None = None
    locator: str | None = None
    retrieved_at: str | None = None

    @property
    def declared(self) -> bool:
        """Whether a rights holder declares it of their own pictures: no found evidence."""
        return self.kind == DECLARATION


@dataclass(frozen=True, slots=True)
class Decision:
    """What the claims of one picture come to; `basis` is a reason code, `flags` its remarks."""

    status: str
    id: str | None
    expression: str | None
    basis: str
    matched: str | None
    level: int
    family: str | None = None
    raw: str | None = None
    declared: bool = False
    flags: tuple[str, ...] = ()


NOTHING: Final = Decision("reject", None, None, "none", None, 0)


@lru_cache(maxsize=65536)
def _parsed(kind: str, value: str | None) -> Parsed:
    return parse(value, kind)


def read(claim: Claim) -> Parsed:
    """The parser's answer for a claim."""
    return _parsed(claim.kind, claim.value)


def resolve(claims: Iterable[Claim]) -> Decision:
    """The decision for one picture. Without claims it is a rejection with basis `none`."""
    known = [claim for claim in claims if claim.kind]
    if not known:
        return NOTHING
    ranked = sorted(known, key=lambda claim: (claim.declared, -claim.level))
    answers = [(claim, read(claim)) for claim in ranked]
    grants = [(c, a) for c, a in answers if a.id is not None]
    found = [(c, a) for c, a in grants if c.kind not in EMBEDDED]
    if not found:
        return _ungranted(answers, embedded=grants)
    best = min(found, key=_standing)
    against = _objection(best, answers)
    if against is not None:
        status = "reject" if against[0] in _RESERVING else "ambiguous"
        return _decision(*against[1], status=status, basis=against[0])
    flags = tuple(_flags(best, answers))
    return _decision(
        *best,
        status="ok",
        basis=DECLARED_BASIS if best[0].declared else best[1].reason,
        flags=flags,
    )


def _ungranted(
    answers: Sequence[tuple[Claim, Parsed]], embedded: Sequence[tuple[Claim, Parsed]]
) -> Decision:
    """Nobody but perhaps the picture itself names a tool."""
    ambiguous = [(c, a) for c, a in answers if a.status == "ambiguous"]
    reserving = [(c, a) for c, a in answers if a.reason in _RESERVING]
    if reserving and (not ambiguous or reserving[0][0].level >= ambiguous[0][0].level):
        return _decision(*reserving[0], status="reject", basis=reserving[0][1].reason)
    if ambiguous:
        families = {a.family for _, a in ambiguous}
        basis = ambiguous[0][1].reason if len(families) == 1 else "conflict"
        return _decision(*ambiguous[0], status="ambiguous", basis=basis)
    if embedded:
        return _decision(*embedded[0], status="ambiguous", basis="embedded_only")
    said = next(((c, a) for c, a in answers if a.reason != "empty"), answers[0])
    return _decision(*said, status="reject", basis=said[1].reason)


def _objection(
    best: tuple[Claim, Parsed], answers: Sequence[tuple[Claim, Parsed]]
) -> tuple[str, tuple[Claim, Parsed]] | None:
    """The claim that keeps a grant from standing, with the reason; None if none does."""
    for claim, answer in answers:
        if answer.reason in _RESERVING and claim.level >= best[0].level:
            return answer.reason, (claim, answer)
    granted = tool(best[1].id or "")
    for claim, answer in answers:
        if answer.id is not None:
            other = tool(answer.id)
            if not _same_elements(granted, other) or (
                claim.level == best[0].level and _rival(granted, other)
            ):
                return "conflict", (claim, answer)
        elif answer.family is not None:
            if answer.family != granted.family and not _in_expression(answer.family, best[1]):
                return "conflict", (claim, answer)
        elif answer.reason in ("conflict", "contradiction") and claim.level >= best[0].level:
            return answer.reason, (claim, answer)
    return None


def _standing(granted: tuple[Claim, Parsed]) -> tuple[bool, int, bool, str]:
    """Found before declared, then the highest rung, then the more exact tool."""
    claim, answer = granted
    unported = not tool(answer.id or "").jurisdiction
    return claim.declared, -claim.level, unported, answer.id or ""


def _rival(granted: Tool, other: Tool) -> bool:
    """Whether two tools of one family exclude each other: a port only makes its version exact."""
    ports = {granted.jurisdiction, other.jurisdiction} - {""}
    return granted.version != other.version or len(ports) > 1


def _in_expression(family: str, answer: Parsed) -> bool:
    return family in (answer.expression or "")


def _same_elements(one: Tool, two: Tool) -> bool:
    """Whether two tools ask the same: of one family, or one kind of public domain tool."""
    free = {"cc0", "pdm", "pddc", "us_gov"}
    return one.kind == two.kind if {one.kind, two.kind} <= free else one.family == two.family


def _flags(best: tuple[Claim, Parsed], answers: Sequence[tuple[Claim, Parsed]]) -> Iterable[str]:
    others = {a.id for c, a in answers if c is not best[0] and a.id is not None}
    if best[1].id in others:
        yield "corroborated"
    if others - {best[1].id}:
        yield "other_version"
    if any(a.reason in _RESERVING for _, a in answers):
        yield "reserved_below"
    if any(a.reason == "lookalike" for _, a in answers):
        yield "lookalike_beside"


def _decision(
    claim: Claim, answer: Parsed, *, status: str, basis: str, flags: tuple[str, ...] = ()
) -> Decision:
    accepted = status == "ok"
    return Decision(
        status=status,
        id=answer.id if accepted else None,
        expression=answer.expression if accepted else None,
        basis=basis,
        matched=answer.matched,
        level=0 if claim.declared else claim.level,
        family=answer.family if status == "ambiguous" and answer.id is None else None,
        raw=claim.value,
        declared=claim.declared,
        flags=flags,
    )
