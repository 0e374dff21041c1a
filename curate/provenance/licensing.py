"""What the outputs say about licences: rows by licence and rung, and what was accepted by name.

One place, so that card, Croissant and attribution never say different things.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from curate import columns as c
from curate.license.tools import TOOLS
from curate.store.dataset import Dataset

NOT_AUDITED: Final = "licence: not audited"
CLAIM_NOT_TRUTH: Final = "Evidence shows that a claim was made, by whom and where; it does not show that the claim is true."
NOT_CLEARED: Final = (
    "A Creative Commons licence clears copyright and related rights only: privacy, publicity and "
    "trademark rights of what a picture shows are not cleared by it."
)
TERRITORIAL: Final = (
    "Public Domain Mark and US government works: free of known copyright in some countries, not "
    "necessarily in yours. They are counted apart from CC0, which is a waiver."
)
TERRITORIAL_IDS: Final = ("CC-PDM-1.0", "PD-US-GOV")
_EXCEPTIONS: Final[dict[str, Any]] = {"evidence_at_least": "L3", "versionless": []}


@dataclass(frozen=True)
class Licensing:
    """Kept rows by licence, group and rung, and what else must be said wherever the rows go."""

    audited: bool
    by_license: dict[str, int]
    by_group: dict[str, int]
    by_level: dict[str, int]
    warnings: tuple[str, ...]

    @property
    def urls(self) -> list[str]:
        """Addresses of the licences' texts, in the order of `by_license`."""
        return [TOOLS[name].url for name in self.by_license if name in TOOLS]


def licensing(dataset: Dataset) -> Licensing:
    """Count the kept rows' licences. Memory is bounded by one shard."""
    ids: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    if dataset.manifest.license_audited:
        names = [c.LICENSE.name, c.LICENSE_GROUP.name, c.EVIDENCE_LEVEL.name]
        for table in dataset.tables("ledger", [c.VERDICT.name, *names]):
            for row in table.to_pylist():
                if row[c.VERDICT.name] == "kept":
                    ids[row["license"] or "none"] += 1
                    groups[row["license_group"] or "none"] += 1
                    levels[f"L{row['evidence_level']}"] += 1
    return Licensing(
        audited=dataset.manifest.license_audited,
        by_license=dict(ids.most_common()), by_group=dict(groups.most_common()),
        by_level=dict(sorted(levels.items(), reverse=True)),
        warnings=tuple(_warnings(dataset, ids)),
    )  # fmt: skip


def _warnings(dataset: Dataset, ids: Counter[str]) -> list[str]:
    recipe = dataset.record["recipe"]
    told = []
    if not dataset.manifest.license_audited:
        told.append(f"{NOT_AUDITED}. No licence of any picture was looked at.")
    for name, value in exceptions(recipe).items():
        told.append(f"The recipe accepts what the default refuses: `{name}: {value}`.")
    declared = recipe.get("source", {}).get("declare")
    if declared:
        told.append("The licence is a declaration by the named rights holder, not found evidence.")
    if any(ids[name] for name in TERRITORIAL_IDS):
        told.append(TERRITORIAL)
    return told


def exceptions(recipe: dict[str, Any]) -> dict[str, Any]:
    """Settings of the licence stage that differ from its defaults, by name."""
    stages = [stage for step in recipe["passes"] for stage in step["stages"]]
    found = [stage for stage in stages if stage.get("kind") == "license"]
    stage: dict[str, Any] = found[0] if found else {}
    return {
        name: stage[name]
        for name, default in _EXCEPTIONS.items()
        if stage.get(name, default) != default
    }
