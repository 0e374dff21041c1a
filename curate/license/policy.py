"""What a recipe accepts, from which rung of evidence up, and what one release may mix.

A release is one set of rows that is handed on together. No policy accepts NoDerivs. The rules of
mixing are this project's own and not law: what a licence asks of training is for its reader to
judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from curate.errors import RecipeError
from curate.license.evidence import Decision
from curate.license.tools import TOOLS, VERSIONLESS, Tool, find, tool

Group = Literal["open", "sharealike", "noncommercial"]
GROUPS: Final[tuple[Group, ...]] = ("open", "sharealike", "noncommercial")
NAMES: Final = ("public-domain", "attribution", "sharealike", "noncommercial")
RELEASES: Final[Mapping[str, tuple[Group, ...]]] = {
    "public-domain": ("open",),
    "attribution": ("open",),
    "sharealike": ("open", "sharealike"),
    "noncommercial": ("open", "noncommercial"),
}
"""The groups that one release under a named policy may hold. Share-alike rows stay out of a
non-commercial release: BY-SA lets nobody add a restriction, and such a release adds one."""
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


@dataclass(frozen=True, slots=True)
class Clash:
    """Rows that a release may not hold, or not together; `groups` are those to leave out."""

    licenses: Mapping[str, int]
    why: str
    groups: tuple[Group, ...]

    def __str__(self) -> str:
        return f"{named_rows(self.licenses)}: {self.why}"


def named_rows(rows: Mapping[str, int]) -> str:
    """Licences with their rows, in words: `CC0-1.0 (1 row), CC-BY-4.0 (2 rows)`."""
    return ", ".join(f"{id_} ({n:,} row{'s' * (n != 1)})" for id_, n in rows.items())


def clashes(rows: Mapping[str, int], accept: str | Sequence[str] | None) -> tuple[Clash, ...]:
    """Why rows of these licences (id → count) are not one release under a policy; empty if they are.

    `accept` is one of NAMES, a list of ids, or None for no more than the rules that hold for all:
    share-alike and non-commercial rows are never mixed, nor two share-alike families. Raises
    RecipeError for an unknown name or id.
    """
    found = []
    outside = {id_: n for id_, n in rows.items() if accept is not None and not takes(accept, id_)}
    if outside:
        words = accept if isinstance(accept, str) else "of the listed licences"
        why = f"a release under the policy {words} may not hold them"
        if accept == "noncommercial" and any(
            _group_or_last(id_) == "sharealike" for id_ in outside
        ):
            why += ", since share-alike lets nobody add a restriction"
        found.append(Clash(outside, why, _groups_of(outside)))
    left = {id_: n for id_, n in rows.items() if id_ not in outside}
    alike = {id_: n for id_, n in left.items() if _group_or_last(id_) == "sharealike"}
    if alike and "noncommercial" in _groups_of(left):
        why = (
            "share-alike lets nobody add a restriction, so it is not mixed with non-commercial rows"
        )
        return (*found, Clash(alike, why, ("sharealike",)))
    return (*found, *_families_apart(left))


def _families_apart(rows: Mapping[str, int]) -> Iterator[Clash]:
    """A clash for every share-alike family but the largest: no licence fits adaptations of two."""
    families: dict[str, dict[str, int]] = {}
    for id_, count in rows.items():
        family = copyleft(id_)
        if family is not None:
            families.setdefault(family, {})[id_] = count
    first, *others = sorted(families, key=lambda name: (-sum(families[name].values()), name)) or [
        ""
    ]
    for name in others:
        why = f"asks that adaptations carry it, as {first} does too: make a release of their own"
        yield Clash(families[name], why, _groups_of(families[name]))


def takes(accept: str | Sequence[str], id_: str) -> bool:
    """Whether one release under a policy may hold rows of a licence.

    A family accepted without a version is judged as its version 4.0. Raises RecipeError for an
    unknown policy name or id in a list.
    """
    exact = f"{id_}-4.0" if id_ in VERSIONLESS else id_
    if isinstance(accept, str) and accept in NAMES:
        return exact in _named(accept) and group(exact) in RELEASES[accept]
    return exact in _listed(accept)


def copyleft(id_: str) -> str | None:
    """The share-alike family that adaptations stay in, or None.

    All versions and ports of BY-SA are one: from 2.0 on each lets adaptations go to a later version,
    and pictures side by side are no adaptation of each other, which is all that 1.0 would mind.
    Creative Commons lists the Free Art License 1.3 as compatible with BY-SA 4.0. GFDL, ODbL,
    CDLA-Sharing and the older Free Art License stand alone.
    """
    found = TOOLS.get(id_) or VERSIONLESS.get(id_)
    if found is None or not found.sa:
        return None
    if found.id == "LAL-1.3":
        return "CC-BY-SA"
    return "GFDL" if found.id.startswith("GFDL") else found.family


def releases(rows: Mapping[str, int]) -> tuple[tuple[Group, ...], ...]:
    """The fewest sets of groups that can be released apart, among those that these licences have."""
    present = _groups_of(rows)
    if "sharealike" in present and "noncommercial" in present:
        return tuple(
            tuple(name for name in GROUPS if name in present and name != other)
            for other in ("noncommercial", "sharealike")
        )
    return (present,)


def _groups_of(ids: Iterable[str]) -> tuple[Group, ...]:
    found = {_group_or_last(id_) for id_ in ids}
    return tuple(name for name in GROUPS if name in found)


def _group_or_last(id_: str) -> Group:
    """The group of an id, the most restricted for what is no known licence."""
    found = TOOLS.get(id_) or VERSIONLESS.get(id_)
    return "noncommercial" if found is None else _group(found)


@lru_cache(maxsize=16)
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
