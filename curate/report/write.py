"""Write `report.html`: the page a person opens first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from curate.report.clusters import duplicate_clusters
from curate.report.latents import decoded_latents
from curate.report.page import Facts, FaultScore, render
from curate.report.provenance import provenance
from curate.report.scores import clip_scores
from curate.report.sheets import contact_sheets
from curate.report.training import read_training
from curate.report.verdicts import count, funnel
from curate.store.dataset import Dataset

REPORT = "report.html"


def write_report(
    dataset_dir: str | Path,
    to: str | Path | None = None,
    *,
    training: str | Path | None = None,
    scores: Sequence[FaultScore] | None = None,
) -> Path:
    """Write the report of a finished dataset and return its path.

    `to` is the file, by default `report.html` beside the manifest; `training` the directory of a
    training run (metrics.jsonl, samples.png); `scores` how the planted faults of a demo were found.
    Raises MissingInput if dataset or training run is not there, StoreError if a file is damaged.
    """
    dataset = Dataset.open(dataset_dir)
    target = Path(to) if to is not None else dataset.root / REPORT
    page = render(collect(dataset, training=training, scores=scores or ()))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(target)
    return target


def collect(
    dataset: Dataset, *, training: str | Path | None, scores: Sequence[FaultScore]
) -> Facts:
    """Read everything the page shows, one narrow pass over the ledger a question."""
    verdicts = count(dataset)
    return Facts(
        manifest=dataset.manifest,
        verdicts=verdicts,
        funnel=funnel(dataset.record["funnel"], verdicts),
        sheets=contact_sheets(dataset, verdicts),
        clip=clip_scores(dataset),
        clusters=duplicate_clusters(dataset),
        latents=decoded_latents(dataset),
        training=read_training(training) if training is not None else None,
        scores=tuple(scores),
        provenance=provenance(dataset),
    )
