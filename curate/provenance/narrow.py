"""A dataset read part by part: each small file once, though many checks look at it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate import columns as c
from curate.columns import role_of
from curate.errors import StoreError
from curate.store.commit import FileEntry
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.manifest import Manifest

WIDE: Final = frozenset({c.IMAGE.name, c.THUMBNAIL.name, c.THUMBPRINT.name})
MODEL_WIDE: Final = (pa.types.is_binary, pa.types.is_list)
FILES_HELD: Final = 256
"""More than a batch of parts has files; what is held is the narrow columns of its rows."""


class NarrowDataset(Dataset):
    """Like Dataset; the narrow columns of the files that were read last stay in memory.

    Not for several threads at once.
    """

    def __init__(self, files: LocalFiles, manifest: Manifest) -> None:
        super().__init__(files, manifest)
        self._held: OrderedDict[str, pa.Table] = OrderedDict()
        self._schemas: OrderedDict[str, pa.Schema] = OrderedDict()

    def schema(self, entry: FileEntry) -> pa.Schema:
        if entry.path not in self._schemas:
            self._open(entry)
        return self._schemas[entry.path]

    def read(self, entry: FileEntry, columns: Sequence[str] | None = None) -> pa.Table:
        """As Dataset.read: wide columns are read anew each time."""
        wanted = self.schema(entry).names if columns is None else list(columns)
        if entry.path not in self._held:
            self._open(entry)
        held = self._held[entry.path]
        if set(wanted) <= set(held.column_names):
            return held.select(wanted)
        return super().read(entry, columns)

    def _open(self, entry: FileEntry) -> None:
        """Read a file's schema and narrow columns; raises StoreError if it is damaged."""
        try:
            with pq.ParquetFile(self.path(entry), pre_buffer=False) as file:
                schema = file.schema_arrow
                names = [field.name for field in schema if not _wide(field)]
                table = file.read(columns=names, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{entry.path}: {error}") from error
        for memory, value in ((self._schemas, schema), (self._held, table)):
            memory[entry.path] = value
            while len(memory) > FILES_HELD:
                memory.popitem(last=False)


def _wide(field: pa.Field) -> bool:
    model = role_of(field) == "model" and any(test(field.type) for test in MODEL_WIDE)
    return model or field.name in WIDE
