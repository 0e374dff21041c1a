"""Reading a dataset for the report: the ledger part by part, and a few rows of a layer by key.

A row is looked up with the part it lies in, which is the same in every layer, so that a look-up
opens a handful of files in a small dataset and in a huge one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.errors import MissingInput, StoreError
from curate.store.commit import FileEntry, FileRole
from curate.store.dataset import Dataset

LEDGER = "ledger"
Places = Mapping[str, str]
"""Key → part of each row that is looked up."""


def ledger(dataset: Dataset, columns: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """(part, verdicts of its candidates) with the named columns, part by part."""
    for shard in dataset.layer(LEDGER).shards:
        entry = shard.file("data")
        if entry is not None:
            yield shard.part, dataset.read(entry, columns)


def layer_holding(dataset: Dataset, column: str) -> str | None:
    """Name of the layer whose data holds the column, None where no layer does."""
    try:
        return dataset.layer_of(column)
    except MissingInput:
        return None


def lookup(
    dataset: Dataset, layer: str, places: Places, columns: list[str], role: FileRole = "data"
) -> dict[str, dict[str, Any]]:
    """Rows of one layer by key, as dictionaries; columns that the layer lacks come as None.

    Raises StoreError if a file of the manifest is missing or damaged.
    """
    found: dict[str, dict[str, Any]] = {}
    if not places or not dataset.has_layer(layer):
        return found
    wanted: dict[str, list[str]] = {}
    for key, part in places.items():
        wanted.setdefault(part, []).append(key)
    for shard in dataset.layer(layer).shards:
        entry = shard.file(role)
        if entry is not None and shard.part in wanted:
            found |= _rows(dataset, entry, wanted[shard.part], columns)
    return found


def _rows(
    dataset: Dataset, entry: FileEntry, keys: list[str], columns: list[str]
) -> dict[str, dict[str, Any]]:
    key = c.KEY.name
    try:
        present = set(dataset.schema(entry).names)
        names = [key, *(name for name in columns if name in present and name != key)]
        where = pc.field(key).isin(keys)
        table = pq.read_table(dataset.path(entry), columns=names, filters=where)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(f"{entry.path}: {error}") from error
    empty: dict[str, Any] = dict.fromkeys(columns)
    return {row[key]: empty | row for row in table.to_pylist()}
