"""`curate recheck`: fetch the evidence of a sample of kept rows again, and say what drifted.

Nothing of the dataset changes: a licence that was granted stays granted to whoever had it, and the
row keeps its earlier evidence. What was seen later stands in `rechecks/`, beside the shards.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curate.errors import RecipeError
from curate.fetch.outcome import FetchSettings
from curate.provenance import recheck_log as log
from curate.provenance.recheck_log import DRIFT, KINDS, Finding
from curate.provenance.recheck_rows import kept_rows
from curate.stages.download import Download, connect_to
from curate.store.dataset import Dataset

MOST_SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class RecheckResult:
    """What a recheck found: of `kept` rows so many were sampled, `unasked` of them have no address.

    `file` is where it was written, relative to the dataset.
    """

    time: str
    dataset_digest: str
    kept: int
    sampled: int
    unasked: int
    seed: int
    honoured: tuple[str, ...]
    landing_pages: str
    findings: tuple[Finding, ...]
    file: str

    @property
    def drifted(self) -> bool:
        """Whether any row's evidence is not what it was."""
        return any(finding.drifted for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """Findings by kind, the kinds that matter first."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def to_json(self) -> str:
        """The result as a JSON object, the counts and the answer with it."""
        told = asdict(self) | {"drifted": self.drifted, "counts": self.counts}
        return json.dumps(told, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """The result for a person: the answer, counts by kind, what drifted, what was not asked."""
        rows = {finding.key for finding in self.findings if finding.drifted}
        lines = [
            f"recheck: {len(rows):,} of {self.sampled:,} sampled rows drifted"
            if rows else f"recheck: no drift in {self.sampled:,} sampled rows",
            f"of {self.kept:,} kept rows, drawn with seed {self.seed} in proportion to sources and "
            "licences",
        ]  # fmt: skip
        lines += [f"  {n:>6,} {kind}: {KINDS[kind]}" for kind, n in _counted(self.findings)]
        drifted = [finding for finding in self.findings if finding.drifted]
        lines += [f"  {finding.key[:16]} {finding}" for finding in drifted[:MOST_SHOWN]]
        if len(drifted) > MOST_SHOWN:
            lines.append(f"  … {len(drifted) - MOST_SHOWN:,} more in {self.file}")
        if self.unasked:
            lines.append(f"  {self.unasked:,} rows have no address that could be asked")
        lines.append(f"reservations looked at: {', '.join(self.honoured) or 'none'}; "
                     f"landing pages: {self.landing_pages}")  # fmt: skip
        lines.append(f"kept in {self.file}; the dataset and its evidence are as they were")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()


def recheck(
    path: str | Path, *, sample: int, seed: int = 0, contact: str | None = None,
    allow_private_hosts: Iterable[str] | None = None,
) -> RecheckResult:  # fmt: skip
    """Ask again for a seeded sample of kept rows, all of them if there are fewer, and keep the answer.

    Contact, user agent, politeness, private hosts and what is honoured are those of the dataset's
    own recipe; `contact` and `allow_private_hosts` replace them. `CURATE_CONNECT_TO` holds as in a
    run. Raises RecipeError for a sample below 1 or where nobody would stand behind the requests.
    """
    from curate.provenance.recheck_ask import ask_again

    if sample < 1:
        raise RecipeError(f"a sample of {sample} rows shows nothing: ask for 1 or more")
    dataset = Dataset.open(path)
    settings = _settings(dataset, contact, allow_private_hosts)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows, kept = kept_rows(dataset, sample=sample, seed=seed)
    findings = tuple(ask_again(rows, settings))
    asked = {finding.key for finding in findings}
    told: dict[str, Any] = {
        "time": now, "dataset_digest": dataset.manifest.dataset_digest, "kept": kept,
        "sampled": len(rows), "unasked": len(rows) - len(asked), "seed": seed,
        "honoured": settings.honour_reservations, "landing_pages": settings.landing_pages,
    }  # fmt: skip
    file = log.write(dataset.files, told, findings)
    return RecheckResult(**told, findings=findings, file=file)


def later_findings(dataset: Dataset, key: str) -> list[Finding]:
    """What rechecks found of one row after it was taken, the oldest first; for a row's story."""
    return log.read(dataset.files, key)


def _settings(
    dataset: Dataset, contact: str | None, allow_private_hosts: Iterable[str] | None
) -> FetchSettings:
    """The dataset's own way of asking, with what was said otherwise."""
    stages = (s for step in dataset.record["recipe"]["passes"] for s in step["stages"])
    old: dict[str, Any] = {"landing_pages": "skip"}  # what a record without the setting did
    told: dict[str, Any] = next(
        (old | stage for stage in stages if stage["kind"] == "download"), {}
    )
    if contact is not None:
        told["contact"] = contact
    if allow_private_hosts is not None:
        told["allow_private_hosts"] = tuple(allow_private_hosts)
    if not told.get("contact"):
        raise RecipeError(
            f"{dataset.root} was not downloaded, so its recipe names nobody to write to: say who "
            "asks with --contact ADDRESS"
        )
    return Download.model_validate(told).settings(connect_to())


def _counted(findings: Iterable[Finding]) -> list[tuple[log.Kind, int]]:
    found = Counter(finding.kind for finding in findings)
    return [(kind, found[kind]) for kind in KINDS if found[kind]]


__all__ = ["DRIFT", "Finding", "RecheckResult", "later_findings", "recheck"]
