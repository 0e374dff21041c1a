"""The pages beside the shards, and whether they still say what the dataset says.

The hashes of all pages are kept when they are written; the credits, which people owe, are also
made again from the rows and compared.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate.provenance.attribution import CSV, HTML, PARQUET, write_attribution
from curate.provenance.attribution_pages import FOLDER
from curate.provenance.attribution_requests import LOG, check_requests
from curate.provenance.card import README, write_card
from curate.provenance.croissant import CROISSANT, write_croissant
from curate.provenance.licenses_page import LICENSES, write_licenses
from curate.provenance.licensing import Licensing, licensing
from curate.store.dataset import Dataset
from curate.store.digest import file_sha256, json_digest
from curate.store.files import LocalFiles

PAGES: Final = (CSV, HTML, PARQUET, LICENSES, README, CROISSANT)
REPORT: Final = "report.html"
SEAL: Final = "pages.json"


def write_pages(dataset: Dataset, to: Path, *, note: str | None = None) -> Licensing:
    """Write attribution, LICENSES.md, README.md and croissant.json of a dataset into a directory.

    `note` is said first wherever the licences' remarks are. Returns what was told of licences.
    """
    told = licensing(dataset)
    if note is not None:
        told = replace(told, warnings=(note, *told.warnings))
    write_attribution(dataset, told, to)
    write_licenses(told, to)
    write_card(dataset, told, to)
    write_croissant(dataset, told, to)
    return told


def seal(dataset: Dataset) -> None:
    """Keep the hashes of all pages as they were written, in pages.json."""
    found = {name: file_sha256(dataset.root / name) for name in _present(dataset)}
    body = {"manifest_digest": dataset.manifest.digest, "pages": found}
    text = json.dumps({**body, "digest": json_digest(body)}, indent=1)
    dataset.files.publish(SEAL, text.encode() + b"\n")


def check_pages(dataset: Dataset, *, hashes: bool, again: bool = True) -> Iterator[str]:
    """One sentence for each page that is missing or not as it was written.

    With `hashes`, and if `again`, the credits are made again from the rows and compared.
    """
    if not _present(dataset) and not dataset.files.exists(SEAL):
        return  # made by a program that writes no pages
    try:
        body = json.loads(dataset.files.path(SEAL).read_text(encoding="utf-8"))
        digest = body.pop("digest")
        pages = dict(body["pages"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{SEAL} is missing or damaged: {error}"
        return
    if digest != json_digest(body):
        yield f"{SEAL} was edited: its content does not have its digest"
    if body.get("manifest_digest") != dataset.manifest.digest:
        yield f"{SEAL} is of another version: write the pages again with `curate report`"
    for name in PAGES:
        if name not in pages:
            yield f"{SEAL} does not name {name}"
    for name, sha256 in pages.items():
        path = dataset.files.path(name)
        if not path.is_file():
            yield f"{name} is missing"
        elif hashes and file_sha256(path) != sha256:
            yield f"{name}: its sha256 is not the one in {SEAL}: it was edited"
    for name in _numbered(dataset):
        if name not in pages:
            yield f"{name} is a page of another version: write the pages again with `curate report`"
    broken = list(check_requests(dataset.files))
    yield from broken
    if hashes and again and not broken:
        yield from _rewritten(dataset)


def _rewritten(dataset: Dataset) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="curate-audit-") as folder:
        write_attribution(dataset, licensing(dataset), Path(folder))
        pages = [HTML, *LocalFiles(folder).list(FOLDER, ".html")]
        read: dict[str, Callable[[Path], Any]] = dict.fromkeys((CSV, *pages), Path.read_bytes)
        for name, content in (read | {PARQUET: _table}).items():
            path = dataset.root / name
            if path.is_file() and content(path) != content(Path(folder) / name):
                yield f"{name} does not say what the dataset says"


def _table(path: Path) -> Any:
    try:
        table = pq.ParquetFile(path).read()
        return table.schema.metadata, table.to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        return f"unreadable: {error}"


def _present(dataset: Dataset) -> list[str]:
    """Every page that is there, and the log that the credits follow."""
    names = [name for name in (*PAGES, REPORT, LOG) if (dataset.root / name).is_file()]
    return names + _numbered(dataset)


def _numbered(dataset: Dataset) -> list[str]:
    return dataset.files.list(FOLDER, ".html")
