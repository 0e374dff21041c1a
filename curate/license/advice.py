"""Why a policy keeps nothing, and which lines of a recipe would change that.

Advice names what it would accept: a lower rung of evidence and claims without a version are taken
by name or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from curate.license.evidence import LADDER, Decision
from curate.license.policy import Policy
from curate.license.tools import VERSIONLESS


@dataclass(frozen=True, slots=True)
class Lines:
    """Settings of the licence stage that would accept `rows` rows, beside what it accepts now."""

    rows: int
    evidence_at_least: str | None
    versionless: tuple[str, ...]

    def yaml(self) -> list[str]:
        """The lines to write into the recipe's `license` stage; unchanged ones are left out."""
        rung = [f"evidence_at_least: {self.evidence_at_least}"] if self.evidence_at_least else []
        named = [f"versionless: [{', '.join(self.versionless)}]"] if self.versionless else []
        return rung + named


def refusals(decisions: Mapping[Decision, int], terms: Policy) -> list[str]:
    """A line for each kind of refusal with its rows, the most frequent first."""
    told: Counter[str] = Counter()
    for decision, rows in decisions.items():
        detail = terms.verdict(decision)
        if detail is not None:
            told[f"license:{detail}: {_because(detail, decision, terms)}"] += rows
    return [
        f"{rows:,} × {line}" for line, rows in sorted(told.items(), key=lambda e: (-e[1], e[0]))
    ]


def _because(detail: str, decision: Decision, terms: Policy) -> str:
    where = f"L{decision.level} ({LADDER[decision.level]})"
    if detail == "evidence":
        named = decision.id or f"{decision.family} without a version"
        return f"{named} stands at {where}, the floor is L{terms.evidence_at_least}"
    if detail == "policy":
        return f"{decision.id} is not in the policy"
    if detail == "ambiguous" and decision.basis == "versionless":
        return f"{decision.family} without a version, at {where}"
    return {
        "none": "no licence is claimed",
        "reserved": "rights are reserved, or the licence is denied",
        "conflict": "claims contradict each other",
        "ambiguous": f"what is claimed names no single licence ({decision.basis})",
        "unknown": f"what is claimed is no known licence ({decision.basis})",
    }.get(detail, detail)


def ways(decisions: Mapping[Decision, int], terms: Policy) -> list[Lines]:
    """The settings that would accept rows, from the highest rung down; each keeps more rows.

    Only the floor and the families without a version are moved, and only families of which the
    policy accepts the versions.
    """
    families = frozenset(name for name in VERSIONLESS if f"{name}-4.0" in terms.ids)
    found: list[Lines] = []
    for rung in range(terms.evidence_at_least, 0, -1):
        wider = replace(terms, evidence_at_least=rung, versionless=terms.versionless | families)
        kept = {
            d: rows
            for d, rows in decisions.items()
            if wider.verdict(d) is None and terms.verdict(d)
        }
        total = sum(kept.values())
        if total <= (found[-1].rows if found else 0):
            continue
        named = {d.family for d in kept if d.id is None and d.family} | terms.versionless
        found.append(Lines(
            rows=total,
            evidence_at_least=f"L{rung}" if rung < terms.evidence_at_least else None,
            versionless=tuple(sorted(named)) if named != terms.versionless else (),
        ))  # fmt: skip
    return found


def advice(decisions: Mapping[Decision, int], terms: Policy) -> Iterator[str]:
    """Why rows were refused and what would accept some, in lines to print."""
    yield from (f"  {line}" for line in refusals(decisions, terms))
    found = ways(decisions, terms)
    if not found:
        yield "No floor of evidence and no version taken by name would change that."
        return
    for number, way in enumerate(found):
        lines = way.yaml()
        count = {1: "One line", 2: "Two lines"}[len(lines)]
        if not number:
            yield f"{count} of the recipe's `license` stage would accept {way.rows:,} of these rows:"
        else:
            yield f"A rung lower it would be {way.rows:,}:"
        yield from (f"    {line}" for line in lines)
    yield "The rows keep their status, and everything that leaves the run says that they were taken so."
