"""Reading a finished dataset: everything goes through the manifest, never a directory listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.errors import MissingInput, StoreError
from curate.store.commit import FileEntry, FileRole
from curate.store.digest import file_sha256
from curate.store.files import LocalFiles
from curate.store.manifest import Layer, Manifest, load_manifest, load_record


class Dataset:
    """A finished dataset directory, read through its manifest."""

    def __init__(self, files: LocalFiles, manifest: Manifest) -> None:
        self.files = files
        self.root: Path = files.root
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a dataset directory.

        Raises MissingInput if there is no manifest and StoreError if it was edited.
        """
        files = LocalFiles(path)
        return cls(files, load_manifest(files))

    @cached_property
    def record(self) -> dict[str, Any]:
        """The run's own account: record.json."""
        return load_record(self.files)

    def layer(self, name: str) -> Layer:
        for layer in self.manifest.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.manifest.layers)
        raise MissingInput(f"{self.root} has no layer {name!r}; it has {names}")

    def has_layer(self, name: str) -> bool:
        return any(layer.name == name for layer in self.manifest.layers)

    def layer_of(self, column: str) -> str:
        """Name of the layer whose data files hold a column (the last one that does).

        Raises MissingInput if none does.
        """
        for layer in reversed(self.manifest.layers):
            entry = next((e for s in layer.shards if (e := s.file("data"))), None)
            if (
                entry
                and layer.name not in ("plan", "ledger")
                and column in self.schema(entry).names
            ):
                return layer.name
        raise MissingInput(f"no layer of {self.root} holds the column {column!r}")

    def path(self, entry: FileEntry) -> Path:
        return self.files.path(entry.path)

    def schema(self, entry: FileEntry) -> pa.Schema:
        """Arrow schema of one file, read from its footer; raises StoreError if it is damaged."""
        try:
            return pq.read_schema(self.path(entry))
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{entry.path}: {error}") from error

    def read(self, entry: FileEntry, columns: Sequence[str] | None = None) -> pa.Table:
        """One file of the manifest as a table; raises StoreError if it is missing or damaged."""
        try:
            return pq.ParquetFile(self.path(entry)).read(columns=list(columns) if columns else None)
        except (OSError, pa.ArrowInvalid) as error:
            raise StoreError(f"{entry.path}: {error}") from error

    def verify(self, entry: FileEntry) -> None:
        """Compare a file with the hash in the manifest; raises StoreError naming the file."""
        try:
            digest = file_sha256(self.path(entry))
        except OSError as error:
            raise StoreError(f"{entry.path}: {error}") from error
        if digest != entry.sha256:
            raise StoreError(f"{entry.path}: sha256 is {digest}, the manifest says {entry.sha256}")

    def data_files(self, layer: str) -> list[str]:
        """Paths of a layer's data files, as the manifest names them, for readers of Parquet."""
        entries = (shard.file("data") for shard in self.layer(layer).shards)
        return [str(self.path(entry)) for entry in entries if entry is not None]

    def tables(
        self, layer: str, columns: Sequence[str] | None = None, role: FileRole = "data",
    ) -> Iterator[pa.Table]:  # fmt: skip
        """One table a shard in part order; shards without that role are skipped."""
        for shard in self.layer(layer).shards:
            entry = shard.file(role)
            if entry is not None:
                yield self.read(entry, columns)

    def ledger(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The verdicts of all candidates, in part and key order."""
        return pa.concat_tables(list(self.tables("ledger", columns)))

    def kept(self, layer: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Like `tables`, with only the rows that the ledger keeps."""
        parts = {s.part: s.file("data") for s in self.layer("ledger").shards}
        for shard in self.layer(layer).shards:
            entry, ledger = shard.file("data"), parts[shard.part]
            if entry is None or ledger is None:
                continue
            verdicts = self.read(ledger, [c.KEY.name, c.VERDICT.name])
            keys = verdicts.filter(pc.equal(verdicts[c.VERDICT.name], "kept"))[c.KEY.name]
            wanted = None if columns is None else list(dict.fromkeys([c.KEY.name, *columns]))
            table = self.read(entry, wanted)
            table = table.filter(pc.is_in(table[c.KEY.name], value_set=keys.combine_chunks()))
            yield table if columns is None else table.select(list(columns))
