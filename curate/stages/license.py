"""Nothing is fetched before its licence is accepted; what is not clearly granted is rejected.

All claims of a row are weighed by rule (curate.license.evidence), then the recipe's policy decides.
The raw claim stays with every rejection.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import model_validator

from curate import columns as c
from curate.errors import RecipeError
from curate.license.column import Judged, group_column, judge
from curate.license.evidence import Decision
from curate.license.parse import RULES_VERSION
from curate.license.policy import Group, Policy, group_of, policy
from curate.license.tools import VERSIONLESS
from curate.stage import Stage, Transform, mark

_RAW_LIMIT = 1000
_PRODUCED = (c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_BASIS, c.LICENSE_MATCHED,
             c.LICENSE_GROUP, c.EVIDENCE_LEVEL)  # fmt: skip


class LicenseStage(Stage):
    """Accepts rows whose claims come to one licence that the policy names; rejects all others.

    `policy` is public-domain, attribution, sharealike, noncommercial or a list of licence ids.
    `versionless` names families, such as CC-BY, that are accepted without a version. Reasons are
    `license:` with none, unknown, reserved, ambiguous, conflict, policy or evidence; the measured
    text is the raw claim, of a conflict both, its first 1,000 characters.
    """

    kind: Literal["license"] = "license"
    policy: str | tuple[str, ...]
    evidence_at_least: Literal["L0", "L1", "L2", "L3", "L4", "L5"] = "L3"
    versionless: tuple[str, ...] = ()

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.CLAIMS])
    produces: ClassVar[pa.Schema] = pa.schema(_PRODUCED)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        try:
            self.terms()
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def terms(self) -> Policy:
        """The policy object that the fields describe."""
        return policy(
            self.policy, evidence_at_least=self.evidence_at_least, versionless=self.versionless
        )

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "rules": RULES_VERSION}

    def groups(self, table: pa.Table) -> pa.Array:
        """LICENSE_GROUP of each row before the stage has run, from the same decisions."""
        return group_column(table)

    def open(self) -> Transform:
        terms = self.terms()
        return lambda table: _judged(table, terms, self.kind)


def _judged(table: pa.Table, terms: Policy, stage: str) -> pa.Table:
    found = judge(table[c.CLAIMS.name])
    refusals = [terms.verdict(decision) for decision in found.decisions]
    for field, values in zip(_PRODUCED, _values(found, refusals), strict=True):
        table = table.append_column(field, found.column(values, field.type))
    reasons = [None if r is None else f"license:{r}" for r in refusals]
    raw = [_raw(decision) for decision in found.decisions]
    order = found.rows.tolist()
    return mark(
        table, [reasons[row] for row in order], stage=stage, text=[raw[row] for row in order]
    )


def _raw(decision: Decision) -> str | None:
    """The claim that decided; of a conflict, both claims in turn."""
    if decision.beside is None:
        return (decision.raw or "")[:_RAW_LIMIT] or None
    half = _RAW_LIMIT // 2 - 20
    return f"{(decision.raw or '')[:half]!r} against {decision.beside[:half]!r}"


def _values(found: Judged, refusals: list[str | None]) -> list[list[Any]]:
    """One value a distinct decision for each produced column, in the order of _PRODUCED."""
    named = [_named(d, refusal) for d, refusal in zip(found.decisions, refusals, strict=True)]
    groups: list[Group] = [group_of(decision) for decision in found.decisions]
    return [
        [id_ for id_, _ in named],
        [expression for _, expression in named],
        [";".join([d.basis, *d.flags]) for d in found.decisions],
        [d.matched for d in found.decisions],
        [*groups],
        [d.level for d in found.decisions],
    ]


def _named(decision: Decision, refusal: str | None) -> tuple[str | None, str | None]:
    """Licence and expression; a family accepted without version stands under its own name."""
    if refusal is None and decision.id is None and decision.family is not None:
        return decision.family, VERSIONLESS[decision.family].spdx
    return decision.id, decision.expression
