"""What a dataset can prove and say about itself: audit, stories, credits, card, Croissant."""

from __future__ import annotations

from pathlib import Path


def write_outputs(path: str | Path) -> None:
    """Write attribution, README.md and croissant.json of a finished dataset beside its shards."""
    from curate.provenance.pages import seal, write_pages
    from curate.store.dataset import Dataset

    dataset = Dataset.open(path)
    write_pages(dataset, dataset.root)
    seal(dataset)


def seal_pages(path: str | Path) -> None:
    """Keep the hashes of all pages of a dataset, the report included, for the audit."""
    from curate.provenance.pages import seal
    from curate.store.dataset import Dataset

    seal(Dataset.open(path))
