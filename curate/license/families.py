"""Which family of tools a list of elements names: {BY, SA} is CC-BY-SA, {BY, ND, SA} is none."""

from __future__ import annotations

from typing import Final

from curate.license.tools import CREATIVE_COMMONS, TOOLS, Tool

PORTED: Final = {(t.family, t.version) for t in CREATIVE_COMMONS if t.jurisdiction}
"""Families and versions that exist as ports."""
SINGLE: Final[dict[str, Tool]] = {
    "CC0": TOOLS["CC0-1.0"], "CC-PDM": TOOLS["CC-PDM-1.0"], "CC-PDDC": TOOLS["CC-PDDC"],
}  # fmt: skip
"""Families of one tool only, which need no version."""
_FAMILY_OF: dict[frozenset[str], str] = {
    frozenset({"zero"}): "CC0", frozenset({"zero", "pd"}): "CC0", frozenset({"pdm"}): "CC-PDM",
    frozenset({"pd", "pdm"}): "CC-PDM",
    frozenset({"pddc"}): "CC-PDDC", frozenset({"sampling+"}): "CC-SAMPLING-PLUS",
    frozenset({"sampling"}): "CC-SAMPLING", frozenset({"devnations"}): "CC-DEVNATIONS",
    frozenset({"nc", "sampling+"}): "CC-NC-SAMPLING-PLUS",
}  # fmt: skip
_FAMILY_OF |= {
    frozenset(t.family.lower().split("-")[1:]): t.family
    for t in CREATIVE_COMMONS
    if t.family.startswith("CC-")
    and set(t.family.lower().split("-")[1:]) <= {"by", "nc", "nd", "sa"}
}


def family_of(elements: list[str]) -> str | None:
    """The family that a list of elements names, in any order; None where there is no such one."""
    return _FAMILY_OF.get(frozenset(elements)) if len(set(elements)) == len(elements) else None
