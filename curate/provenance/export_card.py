"""What a dataset is published with: card, licences, credits, Croissant and the EU summary, in a folder.

All of it describes one release: groups that may be handed on together, or none of it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from curate.errors import OutputMismatch
from curate.license.policy import GROUPS
from curate.provenance.eu_summary import write_eu_summary
from curate.provenance.pages import write_pages
from curate.provenance.release import Release, release, view
from curate.store.dataset import Dataset
from curate.store.files import TEMP


def export_card(
    path: str | Path, to: str | Path, *, groups: Sequence[str] | None = None
) -> list[str]:
    """Write the pages of a release of whole groups into the folder `to`; returns their names.

    Beside the data they are complete: files are named by their paths in the dataset. Raises
    ReleaseRefused, naming licences and rows, if the groups may not be one release; OutputMismatch
    if `to` is the dataset itself, whose own pages tell of all its rows.
    """
    dataset, folder = Dataset.open(path), Path(to)
    chosen = release(dataset, groups=groups)
    if folder.resolve() == dataset.root.resolve():
        raise OutputMismatch(f"{folder} is the dataset itself: name another folder for the card")
    folder.mkdir(parents=True, exist_ok=True)
    seen = view(dataset, chosen.groups)
    told = write_pages(seen, folder, note=_note(chosen))
    write_eu_summary(seen, told, folder)
    with suppress(OSError):
        (folder / TEMP).rmdir()
    written = [each for each in folder.rglob("*") if each.is_file()]
    return sorted(each.relative_to(folder).as_posix() for each in written)


def _note(chosen: Release) -> str | None:
    """What part of its dataset a release is, if it is not all of it."""
    if chosen.groups == GROUPS:
        return None
    named = " and ".join(chosen.groups)
    return (
        f"This release holds the parts of the group {named} only; digests are of the whole dataset."
    )
