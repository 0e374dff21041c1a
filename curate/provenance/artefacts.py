"""What was made from a row and lies in the dataset's folder: checkpoints and exports that name it."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.errors import CurateError
from curate.provenance.receipt import load_receipts, trained_on
from curate.store.dataset import Dataset
from curate.train.export import EXPORT, FORMAT

LAYERS: Final = ("plan", "images", "verdicts", "features", "ledger", "attribution", ".tmp")
"""Folders of the dataset itself: no export lies in them."""


def artefacts(dataset: Dataset, part: str, key: str) -> Iterator[str]:
    """One line for each checkpoint and export under the dataset that holds the row, or may.

    Those that lie elsewhere, and copies, are not seen.
    """
    digests = {dataset.manifest.dataset_digest}
    try:
        digests |= {receipt.before.dataset_digest for receipt in load_receipts(dataset.files)}
    except CurateError as error:
        yield f"receipts of removals cannot be read: {error}"
    for found in trained_on(dataset, (), frozenset(digests), [key]):
        read = {
            None: "its card cannot tell whether it read the row",
            0: "which has not read the row",
        }
        told = read.get(found.rows_read, "which read the row")
        yield f"checkpoint {found.path}, step {found.step:,}, {told}"
    for folder, card in _exports(dataset.root):
        if _holds(folder, str(card.get("form")), part, key):
            place = folder.relative_to(dataset.root).as_posix()
            current = card.get("dataset_digest") == dataset.manifest.dataset_digest
            yield f"export {place} ({card['form']}, of {'this' if current else 'another'} version)"


def _exports(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folders under a dataset that an export of ours fills, with what it says of itself."""
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if not (Path(folder) == root and name in LAYERS))
        if EXPORT in files:
            try:
                told = json.loads((Path(folder) / EXPORT).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(told, dict) and told.get("format") == FORMAT:
                yield Path(folder), told


def _holds(folder: Path, form: str, part: str, key: str) -> bool:
    """Whether an export has the row: by its files, or in the part's table or tar."""
    if form == "files":
        return any(folder.glob(f"{key}.*"))
    if form == "padded":
        return _in_table(folder / f"{part}.parquet", key)
    path = folder / f"{part}.tar"
    try:
        with tarfile.open(path) as tar:
            return any(member.name.startswith(f"{key}.") for member in tar)
    except (OSError, tarfile.TarError):
        return False


def _in_table(path: Path, key: str) -> bool:
    try:
        keys = pq.read_table(path, columns=[c.KEY.name])[c.KEY.name]
    except (OSError, pa.ArrowException):
        return False
    return bool(pc.any(pc.equal(keys, key)).as_py())
