"""What a dataset can prove and say about itself: audit, stories, credits, card, Croissant."""

from __future__ import annotations

from pathlib import Path


def write_outputs(path: str | Path) -> None:
    """Write attribution, README.md and croissant.json of a finished dataset."""
    from curate.provenance.attribution import write_attribution
    from curate.provenance.card import write_card
    from curate.provenance.croissant import write_croissant
    from curate.provenance.licensing import licensing
    from curate.store.dataset import Dataset

    dataset = Dataset.open(path)
    told = licensing(dataset)
    write_attribution(dataset, told)
    write_card(dataset, told)
    write_croissant(dataset, told)
