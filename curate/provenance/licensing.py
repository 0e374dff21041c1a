"""What the outputs say about licences: rows by licence and rung, and what was accepted by name.

One place, so that card, Croissant and attribution never say different things.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.license.evidence import DECLARATION, DECLARED_BASIS
from curate.license.policy import group
from curate.license.tools import Tool, tool
from curate.provenance.findings import flat
from curate.recipe import FIRST_LAYER
from curate.stages.download import Download
from curate.stages.embedded import Embedded
from curate.stages.license import LicenseStage
from curate.store.dataset import Dataset
from curate.store.manifest import RECORD

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
FLOOR: Final = str(LicenseStage.model_fields["evidence_at_least"].default)
"""The lowest rung of evidence that a recipe accepts unless it says otherwise."""
HONOURED: Final[tuple[str, ...]] = Download.model_fields["honour_reservations"].default
EMBEDDED_HONOURED: Final[tuple[str, ...]] = Embedded.model_fields["honour"].default
NO_FILE: Final[tuple[int, ...]] = Download.model_fields["no_file_statuses"].default
_HONOURING: Final = (
    ("download", "honour_reservations", HONOURED, "honour_reservations"),
    ("embedded", "honour", EMBEDDED_HONOURED, "embedded: honour"),
)
"""Stage, setting, what it honours by default, and the name by which the outputs tell the rest."""
PAGES_SKIPPED: Final = "landing_pages: skip (pages were not asked what they reserve)"
NOT_READ: Final = "embedded: no such stage (pictures were not asked what they say of themselves)"
_TAKING: Final = frozenset({"download", "read_file", "inspect"})
"""Stages of a recipe that takes pictures, which may speak of themselves."""


@dataclass(frozen=True)
class Declared:
    """A licence that somebody declares of their own pictures, and the kept rows that rest on it."""

    license: str
    by: str
    where: str
    rows: int

    def __str__(self) -> str:
        return f"{self.license} by {self.by} ({self.where})"


@dataclass(frozen=True)
class Licensing:
    """Kept rows by licence, group and rung, and what else must be said wherever the rows go.

    `warnings` are plain text: who writes them into Markdown or HTML escapes them.
    """

    audited: bool
    by_license: dict[str, int]
    by_group: dict[str, int]
    by_level: dict[int, int]
    warnings: tuple[str, ...]

    @property
    def urls(self) -> list[str]:
        """Addresses of the licences' texts, in the order of `by_license`."""
        return [known.url for name in self.by_license if (known := known_tool(name))]


def known_tool(id_: str | None) -> Tool | None:
    """The tool of a stored licence id, families accepted without a version included, or None."""
    try:
        return tool(id_ or "")
    except KeyError:
        return None


def licensing(dataset: Dataset) -> Licensing:
    """Count the kept rows' licences. Memory is bounded by one shard."""
    ids: Counter[str] = Counter()
    groups: Counter[str] = Counter()
    levels: Counter[int] = Counter()
    if dataset.manifest.license_audited:
        for (id_, name, level), rows in kept_rows(dataset).items():
            ids[id_] += rows
            groups[name] += rows
            levels[level] += rows
    return Licensing(
        audited=dataset.manifest.license_audited,
        by_license=dict(_ordered(ids)), by_group=dict(_ordered(groups)),
        by_level=dict(sorted(levels.items(), reverse=True)),
        warnings=tuple(_warnings(dataset, ids)),
    )  # fmt: skip


def licensing_of(dataset: Dataset, rows: Mapping[str, int]) -> Licensing:
    """What must be said of some of a dataset's rows, given by licence: an export's, a release's."""
    ids = Counter(dict(rows))
    audited = dataset.manifest.license_audited
    groups = Counter[str]()
    for name, count in rows.items():
        groups[group(name) if known_tool(name) else "none"] += count
    return Licensing(
        audited=audited, by_license=dict(_ordered(ids)) if audited else {},
        by_group=dict(_ordered(groups)) if audited else {}, by_level={},
        warnings=tuple(_warnings(dataset, ids)),
    )  # fmt: skip


def kept_rows(dataset: Dataset) -> Counter[tuple[str, str, int]]:
    """Kept rows by licence, group and rung, counted part by part."""
    names = [c.LICENSE.name, c.LICENSE_GROUP.name, c.EVIDENCE_LEVEL.name]
    found: Counter[tuple[str, str, int]] = Counter()
    for table in dataset.tables("ledger", [c.VERDICT.name, *names]):
        kept = table.filter(pc.equal(table[c.VERDICT.name], "kept"))
        for row in counted(kept, [name for name in names if name in kept.column_names]):
            place = (row.get("license") or "none", row.get("license_group") or "none")
            found[*place, row.get("evidence_level") or 0] += row["count_all"]
    return found


def counted(table: pa.Table, names: list[str]) -> list[dict[str, Any]]:
    """Each distinct row of some columns once, with `count_all`."""
    grouped: Any = table.group_by(names, use_threads=False)
    return list(grouped.aggregate([([], "count_all")]).to_pylist())


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    """Most rows first, equal counts by name: the order does not depend on how parts were cut."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _warnings(dataset: Dataset, ids: Counter[str]) -> list[str]:
    told = []
    if not dataset.manifest.license_audited:
        told.append(f"{NOT_AUDITED}. No licence of any picture was looked at.")
    for line in exceptions(_recipe(dataset)):
        told.append(f"The recipe accepts what the default refuses: {line}.")
    for declared in declarations(dataset):
        told.append(
            f"{declared.rows:,} of {dataset.manifest.counts.kept:,} pictures rest on a declaration by "
            f"the named rights holder, not on found evidence: {declared}."
        )
    if any(ids[name] for name in TERRITORIAL_IDS):
        told.append(TERRITORIAL)
    return told


def _recipe(dataset: Dataset) -> dict[str, Any]:
    """The recipe that the record keeps, or one without passes where no run left a record."""
    if not dataset.files.exists(RECORD):
        return {"passes": []}
    return dict(dataset.record["recipe"])


def exceptions(recipe: dict[str, Any]) -> tuple[str, ...]:
    """What a recipe accepts by name though the defaults refuse it: `setting: value`, a line each."""
    told = []
    for stage in (stage for step in recipe["passes"] for stage in step["stages"]):
        if stage["kind"] == "license":
            if stage.get("evidence_at_least", FLOOR) < FLOOR:
                told.append(f"evidence_at_least: {stage['evidence_at_least']}")
            if stage.get("versionless"):
                told.append(f"versionless: {', '.join(stage['versionless'])}")
        told += _ignored(stage)
    kinds = {stage["kind"] for step in recipe["passes"] for stage in step["stages"]}
    if kinds & _TAKING and "embedded" not in kinds:
        told.append(NOT_READ)
    return tuple(told)


def _ignored(stage: Mapping[str, Any]) -> Iterator[str]:
    """What one stage does not honour of what it honours by default."""
    for kind, setting, default, called in _HONOURING:
        if stage["kind"] == kind:
            left_out = [name for name in default if name not in stage.get(setting, default)]
            if left_out:
                yield f"{called}: without {', '.join(left_out)}"
    if stage["kind"] == "download":
        if pages_skipped(stage):
            yield PAGES_SKIPPED
        more = set(stage.get("no_file_statuses", NO_FILE)) - set(NO_FILE)
        if more:
            yield f"no_file_statuses: also {', '.join(map(str, sorted(more)))}"


def pages_skipped(download: Mapping[str, Any]) -> bool:
    """Whether a recorded download stage asked no landing pages; one without the setting asked none."""
    return bool(download.get("landing_pages", "skip") == "skip")


def declarations(dataset: Dataset) -> tuple[Declared, ...]:
    """What kept rows rest on a declaration, by their own claims and basis; most rows first.

    Without a licence stage every declaration among the claims counts.
    """
    found: Counter[tuple[str, str, str]] = Counter()
    entry = next((e for s in dataset.layer(FIRST_LAYER).shards if (e := s.file("data"))), None)
    have = dataset.schema(entry).names if entry else []
    if c.CLAIMS.name not in have:  # not written by a run of ours
        return ()
    names = [name for name in (c.CLAIMS.name, c.LICENSE_BASIS.name) if name in have]
    for table in dataset.kept(FIRST_LAYER, names):
        found.update(_declared(table))
    return tuple(Declared(*told, rows) for told, rows in found.most_common())


def _declared(table: pa.Table) -> Counter[tuple[str, str, str]]:
    """Licence, declarant and place of the declarations that the rows of a table rest on."""
    if c.LICENSE_BASIS.name in table.column_names:
        table = table.filter(pc.starts_with(table[c.LICENSE_BASIS.name], DECLARED_BASIS))
    claims = pc.list_flatten(flat(table[c.CLAIMS.name]))
    claims = claims.filter(pc.equal(claims.field("kind"), DECLARATION))
    told = (claims.field(name).to_pylist() for name in ("value", "claimed_by", "locator"))
    return Counter((str(a), str(b), str(d)) for a, b, d in zip(*told, strict=True))
