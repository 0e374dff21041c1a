"""Feature shards seen as parts: kept rows, their place in each layer's file, views of their bytes.

Two layers may hold the features, and a layer may hold rows that a later pass rejected: rows are
found by key. Every file is hashed against the manifest before anything in it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.errors import MissingInput, StoreError
from curate.store.commit import FileEntry
from curate.store.dataset import Dataset
from curate.store.manifest import Layer, ModelInfo
from curate.train.order import Indices

Bytes = npt.NDArray[np.uint8]
_COLUMNS = (c.T5_EMBEDDINGS.name, c.LATENT.name, c.LATENT_HEIGHT.name, c.LATENT_WIDTH.name)


@dataclass(frozen=True)
class Features:
    """What the shards hold, from the metadata of their columns."""

    text_dtype: str
    text_dim: int
    text_model: ModelInfo
    latent_dtype: str
    latent_channels: int
    latent_model: ModelInfo
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row's features: latent `shape` (height, width), moments and captions as raw bytes."""

    shape: tuple[int, int]
    latent: Bytes
    captions: list[Bytes]

    def owned(self) -> Row:
        """A copy that does not keep the buffers of its window alive."""
        return Row(self.shape, self.latent.copy(), [caption.copy() for caption in self.captions])


class Part:
    """One part of the dataset: its kept rows, and where they lie in the files of each layer."""

    def __init__(self, dataset: Dataset, name: str, layers: Sequence[str]) -> None:
        self._dataset, self._name = dataset, name
        self._ledger = _entry(dataset, "ledger", name)
        self._layers = layers
        self._rows: dict[str, Indices] | None = None
        self.kept_rows = len(self._kept()) if self._ledger else 0

    def load(self, start: int, stop: int) -> list[Row]:
        """Kept rows start … stop - 1, as views into the buffers that were read."""
        columns: dict[str, list[Any]] = {}
        for layer, rows in self._positions().items():
            columns.update(_read_rows(self._dataset, self._file(layer), rows[start:stop]))
        heights, widths, latents, texts = (
            columns[n.name] for n in (c.LATENT_HEIGHT, c.LATENT_WIDTH, c.LATENT, c.T5_EMBEDDINGS)
        )
        if not all(texts) or not all(len(latent) for latent in latents):
            raise StoreError(f"part {self._name}: a kept row has no latent or no text embedding")
        rows_read = zip(heights, widths, latents, texts, strict=True)
        return [Row((height, width), latent, text) for height, width, latent, text in rows_read]

    def side(self) -> int:
        """Side of a square with the area of this part's median latent, in latent cells."""
        names = [c.LATENT_HEIGHT.name, c.LATENT_WIDTH.name]
        layer = self._layers[-1]
        rows = self._positions()[layer]
        table = self._dataset.read(self._file(layer), names).take(pa.array(rows))
        height, width = (np.asarray(table[name], np.float64) for name in names)
        return round(float(np.median(np.sqrt(height * width))))

    def account(self, rows: Indices) -> dict[str, Any]:
        layer = self._layers[-1]
        shard = next(s for s in self._dataset.layer(layer).shards if s.part == self._name)
        offsets = self._positions()[layer][rows]
        return {"layer": layer, "part": self._name, "shard_id": shard.shard_id, "rows": len(rows),
                "ranges": _ranges(offsets)}  # fmt: skip

    def _kept(self) -> pa.Array:
        if self._ledger is None:
            return pa.array([], pa.string())
        self._dataset.verify(self._ledger)
        table = self._dataset.read(self._ledger, [c.KEY.name, c.VERDICT.name])
        return table.filter(pc.equal(table[c.VERDICT.name], "kept"))[c.KEY.name].combine_chunks()

    def _file(self, layer: str) -> FileEntry:
        entry = _entry(self._dataset, layer, self._name)
        if entry is None:
            raise StoreError(f"part {self._name} keeps rows, but layer {layer} has no data for it")
        return entry

    def _positions(self) -> dict[str, Indices]:
        """Row offsets of the kept rows in each layer's file; files are verified here, once."""
        if self._rows is None:
            kept = self._kept()
            self._rows = {layer: self._locate(self._file(layer), kept) for layer in self._layers}
        return self._rows

    def _locate(self, entry: FileEntry, kept: pa.Array) -> Indices:
        self._dataset.verify(entry)
        keys = self._dataset.read(entry, [c.KEY.name])[c.KEY.name].combine_chunks()
        found = pc.index_in(kept, value_set=keys)
        if found.null_count:
            key = kept.filter(pc.is_null(found))[0].as_py()
            raise StoreError(f"{entry.path} lacks the row {key}, which the ledger keeps")
        return np.asarray(found).astype(np.int64)


def features(dataset: Dataset) -> Features:
    """Types, sizes and models of the feature columns.

    Raises MissingInput if the dataset has none, StoreError if a shard does not verify or a column
    does not say what it holds.
    """
    text_layer, text, text_model = _column(dataset, c.T5_EMBEDDINGS.name)
    latent_layer, latent, latent_model = _column(dataset, c.LATENT.name)
    return Features(
        text_dtype=_said(text, "dtype"), text_dim=int(_said(text, "dim")), text_model=text_model,
        latent_dtype=_said(latent, "dtype"), latent_channels=int(_said(latent, "channels")),
        latent_model=latent_model, layers=tuple(dict.fromkeys([text_layer, latent_layer])),
    )  # fmt: skip


def _column(dataset: Dataset, name: str) -> tuple[str, pa.Field, ModelInfo]:
    """The last layer that holds a column, its field there, and the model that made it."""
    for layer in reversed(dataset.manifest.layers):
        entry = next((e for s in layer.shards if (e := s.file("data"))), None)
        if entry is None or layer.name in ("plan", "ledger"):
            continue
        dataset.verify(entry)
        schema = dataset.schema(entry)
        if name in schema.names:
            return layer.name, schema.field(name), _model(layer, schema.field(name))
    raise MissingInput(
        f"{dataset.root} holds no {name}: training needs the stages t5 and vae in its recipe"
    )


def _model(layer: Layer, field: pa.Field) -> ModelInfo:
    digest = _said(field, "model")
    for model in layer.models.values():
        if model.digest == digest:
            return model
    raise StoreError(
        f"{layer.name}: the manifest names no model with the digest {digest} of {field.name}"
    )


def _said(field: pa.Field, what: str) -> str:
    value = (field.metadata or {}).get(f"curate.{what}".encode())
    if value is None:
        raise StoreError(f"column {field.name} has no curate.{what} in its metadata: not our shard")
    return str(value.decode())


def _entry(dataset: Dataset, layer: str, part: str) -> FileEntry | None:
    return next((s.file("data") for s in dataset.layer(layer).shards if s.part == part), None)


def _read_rows(dataset: Dataset, entry: FileEntry, rows: Indices) -> dict[str, list[Any]]:
    """Some rows (ascending offsets) of the feature columns of one file, bytes as views."""
    file = pq.ParquetFile(dataset.path(entry), memory_map=True)
    counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    ends = np.cumsum(counts)
    groups = np.unique(np.searchsorted(ends, rows, side="right"))
    names = [name for name in _COLUMNS if name in file.schema_arrow.names]
    table = file.read_row_groups(groups.tolist(), columns=names)
    read = np.concatenate([np.arange(ends[g] - counts[g], ends[g]) for g in groups])
    places = np.searchsorted(read, rows).tolist()
    columns = {name: _values(table[name]) for name in names}
    return {name: [values[place] for place in places] for name, values in columns.items()}


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Numbers as they are; binary as uint8 views into the buffers; lists of binary as lists."""
    if pa.types.is_integer(column.type):
        return list(column.to_pylist())
    if pa.types.is_binary(column.type):
        return [view for chunk in column.chunks for view in _views(chunk)]
    rows: list[list[Bytes]] = []
    for chunk in column.chunks:
        views = _views(chunk.flatten())
        ends = np.cumsum(np.asarray(chunk.value_lengths().fill_null(0))).tolist()
        rows += [views[a:b] for a, b in pairwise([0, *ends])]
    return rows


def _views(chunk: pa.Array) -> list[Bytes]:
    _, offsets, data = chunk.buffers()
    if data is None:
        return [np.empty(0, np.uint8) for _ in range(len(chunk))]
    bounds = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
    values = np.frombuffer(data, np.uint8)
    return [values[a:b] for a, b in pairwise(bounds)]


def _ranges(offsets: Indices) -> list[list[int]]:
    """Ascending offsets as inclusive ranges."""
    if not len(offsets):
        return []
    breaks = np.flatnonzero(np.diff(offsets) > 1) + 1
    return [[int(run[0]), int(run[-1])] for run in np.split(offsets, breaks)]
