"""LICENSES.md: every licence in a dataset or an export, how many rows, and what each asks.

It travels with the rows: in the dataset, beside the card, and in every export.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from curate.license.duties import duties
from curate.license.policy import clashes, group, named_rows, releases
from curate.license.tools import Tool
from curate.provenance.licensing import (
    CLAIM_NOT_TRUTH,
    NOT_AUDITED,
    NOT_CLEARED,
    Licensing,
    known_tool,
)
from curate.provenance.markdown import inline, table
from curate.provenance.release import group_options
from curate.store.files import LocalFiles

LICENSES: Final = "LICENSES.md"
POLICY_NOT_LAW: Final = "Which licences go together is this project's own rule, not law, and nothing here is legal advice."
_ASKS: Final = {
    "none": "nothing; a credit is a courtesy",
    "changes": "say what was changed (ATTRIBUTION.* does)",
    "adaptations": "say that an adaptation is one",
    "sa": "license adaptations alike",
    "nc": "no use for commercial advantage or money",
}
_SHAREALIKE: Final = (
    "If you share an adaptation of one of these pictures, it carries the same licence (or a later "
    "version, or one that its stewards list as compatible), and you add no term and no technical "
    "measure that takes away what the licence gives. They are in parts of their own, whose names end "
    "in `-sharealike`. Whether a model or what it draws is an adaptation is not settled, and "
    "this page does not say."
)
_NONCOMMERCIAL: Final = (
    "These pictures may not be used in a way primarily meant for commercial advantage or payment. "
    "They are in parts of their own, whose names end in `-noncommercial`."
)
_ATTRIBUTION: Final = (
    "Whoever hands these pictures on gives the credit of each, as its own licence version asks: "
    "ATTRIBUTION.csv, ATTRIBUTION.parquet and ATTRIBUTION.html hold it, and name what a licence asks "
    "for and nobody stated. Keep them with the pictures, or link to where they are. A credit may not "
    "suggest that anybody named endorses you. The licensors offer the pictures as they are, without "
    "warranties."
)
_TERRITORY: Final = {
    "CC-PDM-1.0": "a label by somebody who believes that a picture is free of known copyright worldwide. It "
    "is no licence and no waiver: where copyright lasts, it grants nothing.",
    "PD-US-GOV": "no copyright in the United States, by 17 U.S.C. § 105. Elsewhere the United States may "
    "hold one, and works of contractors, states or foreigners are not covered.",
    "CC-PDDC": "a dedication under the law of the United States, retired in 2010; it may not work elsewhere.",
}


def write_licenses(told: Licensing, root: Path) -> str:
    """Write LICENSES.md into `root`; returns its text."""
    text = licenses_text(told)
    LocalFiles(root).publish(LICENSES, text.encode())
    return text


def licenses_text(told: Licensing) -> str:
    """The page, for the rows that `told` counts."""
    head = ["# Licences", *(f"**{inline(warning)}**" for warning in told.warnings)]
    if not told.audited:
        return "\n\n".join([*head, f"{NOT_AUDITED}: find out before you hand anything on."]) + "\n"
    tools = {name: tool for name in told.by_license if (tool := known_tool(name))}
    sections = [
        *head,
        "Each picture has a licence of its own, named in its row. No licence covers them all.",
        _table(told.by_license, tools),
        *_notices(told.by_license, tools),
        "## What may be handed on together",
        *_mixing(told.by_license),
        "## What no licence here clears",
        NOT_CLEARED,
        CLAIM_NOT_TRUTH,
    ]
    return "\n\n".join(sections) + "\n"


def _table(rows: Mapping[str, int], tools: Mapping[str, Tool]) -> str:
    lines: list[tuple[str | int, ...]] = []
    for name, count in rows.items():
        tool = tools.get(name)
        if tool is None:
            lines.append((inline(name), count, "noncommercial", "not known", ""))
            continue
        told = f"{tool.title} (no version was stated)" if tool.kind == "versionless" else tool.title
        lines.append((f"{name}: {told}", count, group(tool.id), _asks(tool), f"<{tool.url}>"))
    return table(("licence", "pictures", "group", "asks", "text"), lines)


def _asks(tool: Tool) -> str:
    asked = duties(tool)
    told = [f"keep what was supplied of: {', '.join(p for p in asked.parts if p != 'changes')}"]
    told = told if asked.parts else []
    told += {"always": [_ASKS["changes"]], "adaptations": [_ASKS["adaptations"]]}.get(
        asked.changes, []
    )
    told += [_ASKS["sa"]] * tool.sa + [_ASKS["nc"]] * tool.nc
    clause = f" ({asked.clause})" if asked.clause else ""
    return ("; ".join(told) or _ASKS["none"]) + clause


def _notices(rows: Mapping[str, int], tools: Mapping[str, Tool]) -> Iterable[str]:
    """One chapter for each thing that is asked of some of the rows."""
    if any(duties(tool).parts for tool in tools.values()):
        yield "## Attribution"
        yield _ATTRIBUTION
    alike = {name: rows[name] for name, tool in tools.items() if tool.sa}
    if alike:
        yield "## Share alike"
        yield f"{named_rows(alike)}. {_SHAREALIKE}"
    unpaid = {name: rows[name] for name, tool in tools.items() if tool.nc}
    if unpaid:
        yield "## Not for commercial use"
        yield f"{named_rows(unpaid)}. {_NONCOMMERCIAL}"
    bound = {name: rows[name] for name in _TERRITORY if name in rows}
    if bound:
        yield "## Public domain by mark or by the law of one country"
        yield "Counted apart from CC0, which is a waiver by the rights holder:"
        yield "\n".join(
            f"- {named_rows({name: n})}: {_TERRITORY[name]}" for name, n in bound.items()
        )


def _mixing(rows: Mapping[str, int]) -> Iterable[str]:
    yield POLICY_NOT_LAW
    found = clashes(rows, None)
    if not found:
        yield "All rows may be one release."
        return
    yield "These rows are not one release:"
    yield "\n".join(f"- {inline(str(clash))}" for clash in found)
    yield "Releases apart: " + "; ".join(
        f"`curate export … {group_options(groups)}`" for groups in releases(rows)
    ) + "."  # fmt: skip
