"""What a recipe accepts: a named policy or a list of ids, from which rung of evidence up.

No policy accepts NoDerivs. The names stand for this project's own rules of mixing, which are not
law: what a licence asks of training is for its reader to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from curate.errors import RecipeError
from curate.license.evidence import Decision
from curate.license.tools import TOOLS, VERSIONLESS, Tool, find, tool

Group = Literal["open", "sharealike", "noncommercial"]
NAMES: Final = ("public-domain", "attribution", "sharealike", "noncommercial")
_FREE: Final = frozenset({"cc0", "pdm", "pddc", "us_gov"})
_PARTIAL: Final = ("sampling", "devnations")


def group(id_: str) -> Group:
    """The shards a licence's rows go to: `open`, `sharealike` or `noncommercial`.

    Raises KeyError for an unknown id. NoDerivs, which no policy accepts, is kept with the most
    restricted.
    """
    return _group(tool(id_))


def _group(found: Tool) -> Group:
    if found.nc or found.nd or any(word in found.unit for word in _PARTIAL):
        return "noncommercial"
    return "sharealike" if found.sa else "open"


def group_of(decision: Decision) -> Group:
    """The group of a decision, whatever a policy makes of it; undecided rows go with the rest."""
    found = TOOLS.get(decision.id or "") or VERSIONLESS.get(decision.family or "")
    return "noncommercial" if found is None else _group(found)


def openness_rank(id_: str | None) -> int:
    """0 for the most open tools upwards, for choosing the survivor of duplicates.

    Public domain tools, then attribution, share-alike, non-commercial, NoDerivs, unknown.
    """
    found = TOOLS.get(id_ or "") or VERSIONLESS.get(id_ or "")
    if found is None:
        return 9
    if found.nd or any(word in found.unit for word in _PARTIAL):
        return 8
    free = 0 if found.kind in _FREE else 1
    return free + 2 * found.sa + 4 * found.nc


def _named(name: str) -> frozenset[str]:
    """Ids a named policy accepts, each name including the ones before it."""
    rank = NAMES.index(name)
    accepted = set()
    for found in TOOLS.values():
        partial = found.nd or any(word in found.unit for word in _PARTIAL)
        if partial or found.kind == "open":
            continue
        level = 3 if found.nc else 2 if found.sa else 0 if found.kind in _FREE else 1
        if level <= rank:
            accepted.add(found.id)
    return frozenset(accepted)


@dataclass(frozen=True, slots=True)
class Policy:
    """Accepted ids, the lowest rung, and families accepted by name without a version."""

    ids: frozenset[str]
    evidence_at_least: int
    versionless: frozenset[str]

    def verdict(self, decision: Decision) -> str | None:
        """None if the decision is accepted, else the detail of the rejection's reason.

        A declaration is no evidence, so no rung is asked of it: only a recipe whose source says
        `declare:` holds any, and every output counts the rows that rest on one.
        """
        if decision.id is None and not self._named_family(decision):
            return _refusal(decision)
        if decision.id is not None and decision.id not in self.ids:
            return "policy"
        if decision.level < self.evidence_at_least and not decision.declared:
            return "evidence"
        return None

    def _named_family(self, decision: Decision) -> bool:
        return (
            decision.status == "ambiguous"
            and decision.basis == "versionless"
            and decision.family in self.versionless
        )


def _refusal(decision: Decision) -> str:
    """Reason detail for a decision without a licence."""
    if decision.basis in ("none", "empty"):
        return "none"
    if decision.basis in ("conflict", "contradiction"):
        return "conflict"
    if decision.basis in ("all_rights_reserved", "negated"):
        return "reserved"
    return "ambiguous" if decision.status == "ambiguous" else "unknown"


def policy(
    accept: str | Sequence[str] = "attribution",
    *,
    evidence_at_least: str = "L3",
    versionless: Sequence[str] = (),
) -> Policy:
    """A policy from a recipe's fields.

    `accept` is one of NAMES or a list of ids; `versionless` names families such as `CC-BY`.
    Raises RecipeError for an unknown name, id, rung or family, or one with NoDerivs.
    """
    ids = _named(accept) if isinstance(accept, str) and accept in NAMES else _listed(accept)
    if evidence_at_least not in _RUNGS:
        raise RecipeError(f"evidence_at_least {evidence_at_least!r}: one of {', '.join(_RUNGS)}")
    families = frozenset(_checked_family(name, ids) for name in versionless)
    return Policy(ids, _RUNGS[evidence_at_least], families)


_RUNGS: Final[Mapping[str, int]] = {f"L{rung}": rung for rung in range(6)}


def _listed(accept: str | Sequence[str]) -> frozenset[str]:
    if isinstance(accept, str):
        raise RecipeError(
            f"license policy {accept!r} is unknown: use {', '.join(NAMES)} or a list of ids"
        )
    found = {}
    for name in accept:
        entry = find(name) if isinstance(name, str) else None
        if entry is None:
            raise RecipeError(f"license policy: {name!r} is not the id of a known licence")
        if entry.nd:
            raise RecipeError(
                f"license policy: {name!r} allows no derivatives, so no policy accepts it"
            )
        found[name] = entry.id
    if not found:
        raise RecipeError("license policy: the list of ids is empty, so nothing could be kept")
    return frozenset(found.values())


def _checked_family(name: str, ids: frozenset[str]) -> str:
    """A family name, if every version of it is within the policy's terms."""
    found = VERSIONLESS.get(name)
    if found is None:
        raise RecipeError(f"versionless {name!r}: use {', '.join(VERSIONLESS)}")
    if f"{name}-4.0" not in ids:
        raise RecipeError(f"versionless {name!r}: the policy does not accept {name}-4.0 either")
    return name
