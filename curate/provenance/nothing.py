"""What to say when a run keeps nothing: the reasons, and which lines of the recipe would change it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow.compute as pc

from curate import columns as c
from curate.license.advice import advice
from curate.license.column import judge
from curate.license.evidence import Decision
from curate.recipe import Recipe
from curate.store.dataset import Dataset


def why_nothing(dataset: Dataset, recipe: Recipe) -> list[str]:
    """Lines that say why no row was kept; none if some row was, or if nobody judged licences.

    The candidates' claims are weighed again as the licence stage weighs them, a part at a time.
    """
    counts = dataset.manifest.counts
    stage = recipe.license_stage
    if counts.kept or stage is None:
        return []
    refused = sum(rows for reason, rows in counts.rejected.items() if reason.startswith("license:"))
    lines = [f"Nothing was kept of {counts.candidates:,} rows; {refused:,} fell to their licence:"]
    if not refused:
        others = {**counts.rejected, **counts.failed}
        return [
            lines[0].partition(";")[0] + ": " + ", ".join(f"{n:,} {r}" for r, n in others.items())
        ]
    lines += advice(_decisions(dataset), stage.terms())
    return [*lines, f"What this source's claims are worth: {recipe.source.WORTH}"]


def _decisions(dataset: Dataset) -> Counter[Decision]:
    """The decisions of the candidates that are not at fault, with their rows."""
    found: Counter[Decision] = Counter()
    for table in dataset.tables("plan", columns=[c.CLAIMS.name, c.DEFECT.name]):
        sound = table.filter(pc.is_null(table[c.DEFECT.name]))
        judged = judge(sound[c.CLAIMS.name])
        rows = np.bincount(judged.rows, minlength=len(judged.decisions))
        for decision, count in zip(judged.decisions, rows.tolist(), strict=True):
            if count:
                found[decision] += count
    return found
