"""Feature shards seen as parts: kept rows, their place in each layer's file, views of their bytes.

Two layers may hold the features, and a layer may hold rows that a later pass rejected: rows are
found by key. Every file is hashed, once, before anything in it is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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
from curate.store.manifest import Layer, ModelInfo, Shard
from curate.store.numbers import INT8, WIDTHS, vector_bytes
from curate.train.order import Indices

Bytes = npt.NDArray[np.uint8]
_COLUMNS = (c.T5_EMBEDDINGS.name, c.LATENT.name, c.LATENT_HEIGHT.name, c.LATENT_WIDTH.name)


@dataclass(frozen=True)
class Features:
    """What the shards hold, from the metadata of their columns.

    `text_dtype` is a float type or the 8-bit form (curate.store.numbers); `latent_posterior` says
    whether a latent is the posterior's `moments`, mean and log variance, or its `mode`.
    """

    text_dtype: str
    text_dim: int
    text_model: ModelInfo
    latent_dtype: str
    latent_channels: int
    latent_model: ModelInfo
    layers: tuple[str, ...]
    latent_posterior: str = "moments"

    @property
    def token_bytes(self) -> int:
        """Bytes of a token's stored vector."""
        return vector_bytes(self.text_dtype, self.text_dim)

    @property
    def latent_planes(self) -> int:
        """Planes of a stored latent: its channels, twice as many where it holds moments."""
        return self.latent_channels * (1 if self.latent_posterior == "mode" else 2)


@dataclass(frozen=True, slots=True)
class Row:
    """One row's features: latent `shape` (height, width), latent and captions as raw bytes."""

    shape: tuple[int, int]
    latent: Bytes
    captions: list[Bytes]

    def owned(self) -> Row:
        """A copy that does not keep the buffers of its window alive."""
        return Row(self.shape, self.latent.copy(), [caption.copy() for caption in self.captions])


class Shards:
    """A dataset's shards by layer and part; a file is hashed when it is first asked for."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._by_part = {
            layer.name: {shard.part: shard for shard in layer.shards}
            for layer in dataset.manifest.layers
        }
        self._verified: set[str] = set()

    @cached_property
    def features(self) -> Features:
        """What the feature columns hold; raises what `_features` raises."""
        return _features(self)

    def notes(self, name: str) -> dict[str, str]:
        """What a feature column says of itself: dtype, model, shape, factors that were not applied."""
        _, field, _ = _column(self, name)
        told = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        return {k.removeprefix("curate."): v for k, v in told.items() if k.startswith("curate.")}

    def parts(self) -> list[Part]:
        """All parts of the ledger, in order; raises MissingInput without a ledger."""
        self.dataset.layer("ledger")
        return [Part(self, name) for name in self._by_part["ledger"]]

    def shard(self, layer: str, part: str) -> Shard:
        """The shard of a part; raises StoreError if the layer has none."""
        shard = self._by_part[layer].get(part)
        if shard is None:
            raise StoreError(f"layer {layer} has no shard of part {part}; run the pipeline again")
        return shard

    def file(self, layer: str, part: str) -> FileEntry | None:
        """The data file of a part, verified; None if it has no rows. Raises StoreError."""
        entry = self.shard(layer, part).file("data")
        return self.trust(entry) if entry else None

    def trust(self, entry: FileEntry) -> FileEntry:
        """The entry, if its file verifies; raises StoreError."""
        if entry.path not in self._verified:
            self.dataset.verify(entry)
            self._verified.add(entry.path)
        return entry


class Part:
    """One part of the dataset: its kept rows, and where they lie in the files of each layer."""

    def __init__(self, shards: Shards, name: str) -> None:
        self._shards, self.name = shards, name
        self._dataset, self._layers = shards.dataset, shards.features.layers
        self._rows: dict[str, Indices] | None = None
        self.kept_rows = len(self._kept())

    def keys(self) -> list[str]:
        """The keys of the kept rows, in the order of `load`."""
        return [str(key) for key in self._kept().to_pylist()]

    def load(self, start: int, stop: int) -> list[Row]:
        """Kept rows start … stop - 1, as views into the buffers that were read."""
        columns: dict[str, list[Any]] = {}
        for layer, rows in self._positions().items():
            columns.update(_read_rows(self._dataset, self._file(layer), rows[start:stop]))
        heights, widths, latents, texts = (
            columns[n.name] for n in (c.LATENT_HEIGHT, c.LATENT_WIDTH, c.LATENT, c.T5_EMBEDDINGS)
        )
        if not all(texts) or not all(len(latent) for latent in latents):
            raise StoreError(f"part {self.name}: a kept row has no latent or no text embedding")
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
        shard = self._shards.shard(layer, self.name)
        offsets = self._positions()[layer][rows]
        return {"layer": layer, "part": self.name, "shard_id": shard.shard_id, "rows": len(rows),
                "ranges": _ranges(offsets)}  # fmt: skip

    def _kept(self) -> pa.Array:
        entry = self._shards.file("ledger", self.name)
        if entry is None:
            return pa.array([], pa.string())
        table = self._dataset.read(entry, [c.KEY.name, c.VERDICT.name])
        return table.filter(pc.equal(table[c.VERDICT.name], "kept"))[c.KEY.name].combine_chunks()

    def _file(self, layer: str) -> FileEntry:
        entry = self._shards.file(layer, self.name)
        if entry is None:
            raise StoreError(f"part {self.name} keeps rows, but layer {layer} has no data for it")
        return entry

    def _positions(self) -> dict[str, Indices]:
        """Row offsets of the kept rows in each layer's file."""
        if self._rows is None:
            kept = self._kept()
            self._rows = {layer: self._locate(self._file(layer), kept) for layer in self._layers}
        return self._rows

    def _locate(self, entry: FileEntry, kept: pa.Array) -> Indices:
        keys = self._dataset.read(entry, [c.KEY.name])[c.KEY.name].combine_chunks()
        found = pc.index_in(kept, value_set=keys)
        if found.null_count:
            key = kept.filter(pc.is_null(found))[0].as_py()
            raise StoreError(f"{entry.path} lacks the row {key}, which the ledger keeps")
        return np.asarray(found).astype(np.int64)


def _features(shards: Shards) -> Features:
    """Types, sizes and models of the feature columns.

    Raises MissingInput if the dataset has none, StoreError if a shard does not verify or a column
    does not say what it holds.
    """
    text_layer, text, text_model = _column(shards, c.T5_EMBEDDINGS.name)
    latent_layer, latent, latent_model = _column(shards, c.LATENT.name)
    return Features(
        text_dtype=_one_of(text, "dtype", (*WIDTHS, INT8)), text_dim=int(_said(text, "dim")), text_model=text_model,
        latent_dtype=_one_of(latent, "dtype", tuple(WIDTHS)),
        latent_channels=int(_said(latent, "channels")), latent_model=latent_model,
        layers=tuple(dict.fromkeys([text_layer, latent_layer])),
        latent_posterior=_one_of(latent, "posterior", ("moments", "mode"), "moments"),
    )  # fmt: skip


def _column(shards: Shards, name: str) -> tuple[str, pa.Field, ModelInfo]:
    """The last layer that holds a column, its field there, and the model that made it."""
    dataset = shards.dataset
    for layer in reversed(dataset.manifest.layers):
        entry = next((e for s in layer.shards if (e := s.file("data"))), None)
        if entry is None or layer.name in ("plan", "ledger"):
            continue
        schema = dataset.schema(shards.trust(entry))
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


def _one_of(field: pa.Field, what: str, known: Sequence[str], otherwise: str | None = None) -> str:
    """What a column says of itself, out of what can be read here."""
    value = _said(field, what, otherwise)
    if value not in known:
        raise StoreError(
            f"column {field.name} says curate.{what} {value!r}; this version reads {', '.join(known)}"
        )
    return value


def _said(field: pa.Field, what: str, otherwise: str | None = None) -> str:
    value = (field.metadata or {}).get(f"curate.{what}".encode(), otherwise and otherwise.encode())
    if value is None:
        raise StoreError(f"column {field.name} has no curate.{what} in its metadata: not our shard")
    return str(value.decode())


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
