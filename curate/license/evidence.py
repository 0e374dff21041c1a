"""From the claims of one picture to one decision, by rule and with every claim kept.

Claims that name the same tool corroborate each other; another version or port leaves the higher
rung standing, flagged, and of equal rungs neither; other elements are a conflict at any rung; all
rights reserved beats an equal or lower grant, and so does any word of a source that it is not open, or
that nobody can read. What is embedded can only corroborate or contradict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

from curate.license.answer import Parsed, ambiguous
from curate.license.caveats import RESERVED
from curate.license.limits import limits, withheld
from curate.license.parse import parse
from curate.license.sources import RULES
from curate.license.tools import TOOLS, Tool, tool

LADDER: Final = {
    5: "the source's own record of this item",
    4: "embedded in the file, or a copy of the source's record",
    3: "markup about this item",
    2: "a statement about its page",
    1: "a footer or free text",
    0: "none, or a declaration",
}
"""The rungs of evidence in words, for everything that shows them."""
XMP_UNREAD: Final = "xmp_unread"
"""Kind of the claim that a packet makes which speaks of a licence and cannot be read."""
EMBEDDED: Final = frozenset(
    {"exif_copyright", "xmp_webstatement", "xmp_usageterms", "cc_license_xmp", "dc_rights",
     XMP_UNREAD}
)  # fmt: skip
"""Kinds of claims that a picture makes of itself: they grant nothing, whoever hands them in."""
DECLARATION: Final = "declaration"
"""Kind of the claim by which rights holders declare their own pictures' licence."""
DECLARED_BASIS: Final = "declared"
STRICT: Final = frozenset(RULES) | {"wikimedia", "wikidata_p275"}
"""Kinds with a list of their own: what is not on it leaves name and address in disagreement."""
_RESERVING: Final = frozenset({"all_rights_reserved", "negated"})
_CLOSED: Final = frozenset(
    {"no_licence", "no_known_restrictions", "rights_statement", "not_a_content_licence"}
)
"""Answers by which a source says that it grants nothing. They count by their rung, as rights
reserved do."""
_DOUBTFUL: Final = frozenset(
    {"lookalike", "impossible", "hidden_characters", "too_long", "public_domain", "uncertain"}
)
"""Answers that nobody may overlook on the rung of a grant, whatever the kind of source."""
_IN_WORDS: Final = frozenset(
    {"text", "pd12m_license", "exif_copyright", "dc_rights", "xmp_usageterms"}
)
_FREE: Final = frozenset({"cc0", "pdm", "pddc", "us_gov"})


def _family(name: str) -> str:
    """What is left of an id without version and what follows it: CC-BY-SA, GFDL, OGL-UK."""
    return re.sub(r"-[0-9].*", "", name.removeprefix("LicenseRef-"))


_OF_FAMILY: Final = {_family(id_): found for id_, found in TOOLS.items()}
"""One tool of each family, for what the whole family asks."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement about a licence, as it was found; `level` is its rung, 0 … 5.

    Of a claim that came in a response, status, final address and digest of that response; of one
    that came in a dump, the dump's address and digest.
    """

    kind: str
    value: str | None
    level: int = 0
    claimed_by: str | None = None
    locator: str | None = None
    retrieved_at: str | None = None
    http_status: int | None = None
    final_url: str | None = None
    response_sha256: str | None = None

    @property
    def declared(self) -> bool:
        """Whether a rights holder declares it of their own pictures: no found evidence."""
        return self.kind == DECLARATION


@dataclass(frozen=True, slots=True)
class Decision:
    """What the claims of one picture come to; `basis` is a reason code, `flags` its remarks.

    `raw` is the claim that decided; of a conflict, `beside` is the grant that it speaks against.
    """

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
    beside: str | None = None


NOTHING: Final = Decision("reject", None, None, "none", None, 0)


Answered = tuple[Claim, Parsed]


@lru_cache(maxsize=65536)
def _parsed(kind: str, value: str | None) -> Parsed:
    if kind == XMP_UNREAD:
        return ambiguous("contradiction", value or "")
    answer = parse(value, kind)
    kept = kind in _IN_WORDS and answer.reason == "unrecognised" and withheld(value or "")
    return replace(answer, reason="all_rights_reserved") if kept else answer


def read(claim: Claim) -> Parsed:
    """The parser's answer for a claim."""
    return _parsed(claim.kind, claim.value)


def resolve(claims: Iterable[Claim]) -> Decision:
    """The decision for one picture. Without claims it is a rejection with basis `none`.

    The order of the claims does not matter.
    """
    answers = _ranked(claims)
    if not answers:
        return NOTHING
    best = _best(answers)
    if best is None:
        return _ungranted(answers)
    against = _objection(best, answers)
    if against is not None:
        status = "reject" if against[0] in _RESERVING else "ambiguous"
        return _decision(against[1], status=status, basis=against[0], beside=best[0].value)
    basis = DECLARED_BASIS if best[0].declared else best[1].reason
    return _decision(best, status="ok", basis=basis, flags=tuple(_flags(best, answers)))


def _ranked(claims: Iterable[Claim]) -> list[Answered]:
    """Claims with their answers: found ones first, then from the highest rung down."""
    known = sorted((claim for claim in claims if claim.kind), key=_rank)
    return [(claim, read(claim)) for claim in known]


def _rank(claim: Claim) -> tuple[bool, int, str, str]:
    return claim.declared, -claim.level, claim.kind, claim.value or ""


def _best(answers: Sequence[Answered]) -> Answered | None:
    """The claim that would grant: the highest rung that names a tool outside the picture itself."""
    granting = [(c, a) for c, a in answers if a.id is not None and c.kind not in EMBEDDED]
    return min(granting, key=_standing, default=None)


def _ungranted(answers: Sequence[Answered]) -> Decision:
    """Nobody but perhaps the picture itself names a tool."""
    reserving = [(c, a) for c, a in answers if a.reason in _RESERVING]
    unclear = [(c, a) for c, a in answers if a.status == "ambiguous" and c.kind not in EMBEDDED]
    if reserving and (not unclear or reserving[0][0].level >= unclear[0][0].level):
        return _decision(reserving[0], status="reject", basis=reserving[0][1].reason)
    if unclear:
        basis = unclear[0][1].reason if _one_family(unclear, answers) else "conflict"
        against = _objection(unclear[0], answers) if unclear[0][1].family else None
        if against is not None:
            said, beside = against[1], unclear[0][0].value
            return _decision(said, status="ambiguous", basis=against[0], beside=beside)
        return _decision(unclear[0], status="ambiguous", basis=basis)
    own = next(((c, a) for c, a in answers if a.id or a.status == "ambiguous"), None)
    if own is not None:
        return _decision(own, status="ambiguous", basis="embedded_only")
    said = next(((c, a) for c, a in answers if a.reason != "empty"), answers[0])
    return _decision(said, status="reject", basis=said[1].reason)


def _one_family(unclear: Sequence[Answered], answers: Sequence[Answered]) -> bool:
    """Whether nobody names another licence than the first unclear claim, picture included.

    A family that a recipe accepts without its version must not be freer than what the picture says.
    """
    families = {a.family for _, a in unclear}
    if unclear[0][1].family is not None:
        own = [a for c, a in answers if c.kind in EMBEDDED]
        families |= {_family(a.id) for a in own if a.id} | {a.family for a in own if a.family}
    return len(families) == 1


def _objection(best: Answered, answers: Sequence[Answered]) -> tuple[str, Answered] | None:
    """The claim that keeps a grant from standing, with the reason; None if none does."""
    reserving = [pair for pair in answers if pair[1].reason in _RESERVING]
    for claim, answer in reserving:
        if claim.level >= best[0].level:
            return answer.reason, (claim, answer)
    for claim, answer in answers:
        reason = _contradicts(best, claim, answer) or _denies(best, claim, answer)
        if reason is not None:
            return reason, (claim, answer)
    return None


def _contradicts(best: Answered, claim: Claim, answer: Parsed) -> str | None:
    """Why a licence or limit that a claim names cannot stand beside the grant; None if it can."""
    granted = _named(best[1])
    if granted is None:
        return None
    other = _named(answer)
    if other is not None:
        if not _same_elements(granted, other) and not _arm(best[1], other, granted):
            return "conflict"
        versions = answer.id is not None and best[1].id is not None
        rival = versions and claim.level == best[0].level and _rival(granted, other)
        return "conflict" if rival else None
    if answer.reason == "conflict":
        return "conflict"
    if answer.reason == "contradiction":  # all rights reserved beside a grant counts by its rung
        by_rung = RESERVED.search(claim.value or "") and claim.kind != XMP_UNREAD
        return None if by_rung and claim.level < best[0].level else "contradiction"
    limited = claim.kind in _IN_WORDS and limits(claim.value or "", granted)
    return "contradiction" if limited else None


def _denies(best: Answered, claim: Claim, answer: Parsed) -> str | None:
    """Why a claim that names no tool keeps the grant from standing by its rung; None if it does not.

    A source's word that it is not open, and what is not on a source's own list, from the rung of
    the grant up; other words that nobody can read, above it.
    """
    if answer is best[1] or _named(answer) is not None or claim.level < best[0].level:
        return None
    if _closed(claim, answer):
        return "conflict"
    if not _unread(claim, answer):
        return None
    granted = _named(best[1])
    if answer.reason == "public_domain" and granted is not None and granted.kind in _FREE:
        return None
    close = claim.kind in STRICT or answer.reason in _DOUBTFUL
    return "conflict" if close or claim.level > best[0].level else None


def _closed(claim: Claim, answer: Parsed) -> bool:
    """Whether a source says that it grants nothing. LAION's `?` only says that nothing was found."""
    return answer.reason in _CLOSED and (claim.kind, answer.matched) != ("laion_license", "?")


def _unread(claim: Claim, answer: Parsed) -> bool:
    """Whether a claim says something, but not which licence. A picture's own notice may."""
    known = answer.reason in ("empty", "contradiction", "conflict") or answer.reason in _RESERVING
    nothing = known or answer.reason in _CLOSED or _named(answer) is not None
    return not nothing and claim.kind not in EMBEDDED


def _named(answer: Parsed) -> Tool | None:
    """The tool an answer names, or the one that stands for its family."""
    return tool(answer.id) if answer.id else _OF_FAMILY.get(answer.family or "")


def _standing(granted: Answered) -> tuple[bool, int, bool, str, str, str]:
    """Found before declared, then the highest rung, then the more exact tool."""
    claim, answer = granted
    unported = not tool(answer.id or "").jurisdiction
    return claim.declared, -claim.level, unported, answer.id or "", claim.kind, claim.value or ""


def _rival(granted: Tool, other: Tool) -> bool:
    """Whether two tools of one family exclude each other: a port only makes its version exact."""
    if "open" in (granted.kind, other.kind):
        return granted.id != other.id
    ports = {granted.jurisdiction, other.jurisdiction} - {""}
    return granted.version != other.version or len(ports) > 1


def _arm(answer: Parsed, other: Tool, granted: Tool) -> bool:
    """Whether a tool is an arm of the choice that was granted from, and asks for no more."""
    arms = (answer.expression or "").split(" OR ")
    stricter = other.nc > granted.nc or other.nd > granted.nd or other.sa > granted.sa
    return len(arms) > 1 and _family(other.id) in map(_family, arms) and not stricter


def _same_elements(one: Tool, two: Tool) -> bool:
    """Whether two tools ask the same: of one family, or one kind of public domain tool."""
    if {one.kind, two.kind} <= _FREE:
        return one.kind == two.kind
    return _family(one.id) == _family(two.id)


def _flags(best: Answered, answers: Sequence[Answered]) -> Iterable[str]:
    others = {a.id for c, a in answers if c is not best[0] and a.id is not None}
    if best[1].id in others:
        yield "corroborated"
    if others - {best[1].id}:
        yield "other_version"
    if any(_reserves(c, a) for c, a in answers):
        yield "reserved_below"
    if any(a.reason == "lookalike" for _, a in answers):
        yield "lookalike_beside"
    if any(a.reason != "lookalike" and _unread(c, a) for c, a in answers):
        yield "unread_beside"


def _reserves(claim: Claim, answer: Parsed) -> bool:
    """Whether a claim that did not keep the grant from standing speaks against it all the same."""
    return answer.reason in _RESERVING | {"contradiction"} or _closed(claim, answer)


# --- what the picture says of itself ------------------------------------------------------------
Agreement = Literal["corroborates", "other_version", "reserved_below", "silent", "contradicts"]


@dataclass(frozen=True, slots=True)
class Embedding:
    """How the claims embedded in a picture stand to those it was accepted by.

    Of a contradiction: the claim it was accepted by, and the embedded one that contradicts.
    """

    agreement: Agreement
    granted: Claim | None = None
    against: Claim | None = None


def compare(claims: Iterable[Claim], embedded: Iterable[Claim]) -> Embedding:
    """Weigh what is embedded against the grant that the other claims come to, by the same rules.

    Without a grant there is nothing to contradict, and the answer is `silent`. Embedded claims add
    no grant: the decision stays that of `resolve(claims)`.
    """
    answers, beside = _ranked(claims), _ranked(embedded)
    family = next(((c, a) for c, a in answers if a.family and a.status == "ambiguous"), None)
    best = _best(answers) or family
    if best is None or not beside:
        return Embedding("silent")
    against = _objection(best, beside)
    if against is not None:
        return Embedding("contradicts", best[0], against[1][0])
    return Embedding(_agreement(best, beside))


def _agreement(best: Answered, beside: Sequence[Answered]) -> Agreement:
    if any(_reserves(c, a) for c, a in beside):
        return "reserved_below"
    named = [(a.id, a.family) for _, a in beside if _named(a) is not None]
    if not named:
        return "silent"
    return "corroborates" if (best[1].id, best[1].family) in named else "other_version"


def _decision(
    said: Answered, *, status: str, basis: str, flags: tuple[str, ...] = (),
    beside: str | None = None,
) -> Decision:  # fmt: skip
    claim, answer = said
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
        beside=beside,
    )
