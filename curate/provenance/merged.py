"""Several parts of one licence group read as one, so that small parts cost what large ones do.

Rows may not move between the parts that are merged unseen: every file's keys must lie in the range
of its part. What is judged so is only ever an all-clear; findings come from part by part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.errors import StoreError
from curate.provenance.narrow import NarrowDataset
from curate.provenance.partition import key_range
from curate.store.commit import FileEntry, FileRole
from curate.store.manifest import Shard

ROWS_AT_ONCE: Final = 8192
ROLES: Final[tuple[FileRole, ...]] = ("data", "marks", "observations")
Parts = Mapping[str, Mapping[str, Shard]]


@dataclass(frozen=True)
class Batch:
    """Some parts of one group in order, and one shard a layer that stands for all of theirs."""

    parts: tuple[str, ...]
    name: str
    shards: Mapping[str, Shard]


class MergedDataset(NarrowDataset):
    """A dataset that also reads the files of a batch: those of its parts, one after the other."""

    def __init__(self, base: NarrowDataset) -> None:
        super().__init__(base.files, base.manifest)
        self._base = base
        self._members: dict[str, tuple[FileEntry, ...]] = {}

    def batches(self, parts: Parts, layers: int) -> Iterator[Batch]:
        """The whole parts of each group, up to ROWS_AT_ONCE planned rows a batch."""
        waiting: dict[str, list[str]] = {}
        rows: dict[str, int] = {}
        for part, shards in parts.items():
            if len(shards) != layers:
                continue
            group, own = part.rpartition("-")[2], _rows(shards["plan"])
            if rows.get(group, 0) + own > ROWS_AT_ONCE and waiting.get(group):
                yield self._batch(waiting.pop(group), parts)
                rows[group] = 0
            waiting.setdefault(group, []).append(part)
            rows[group] = rows.get(group, 0) + own
        for members in waiting.values():
            yield self._batch(members, parts)

    def _batch(self, members: Sequence[str], parts: Parts) -> Batch:
        self._members.clear()
        shards = {}
        for layer in parts[members[0]]:
            own = [parts[part][layer] for part in members]
            files = [file for role in ROLES if (file := self._file(own, role)) is not None]
            shards[layer] = Shard(part=members[0], shard_id="", commit_sha256="", files=files)
        group = members[0].rpartition("-")[2]
        return Batch(tuple(members), f"all-{group}", shards)

    def _file(self, shards: Sequence[Shard], role: FileRole) -> FileEntry | None:
        """An entry that stands for the files of one role; it has the name of the first."""
        entries = tuple(entry for shard in shards if (entry := shard.file(role)) is not None)
        if not entries:
            return None
        merged = entries[0].model_copy(update={"rows": sum(entry.rows for entry in entries)})
        self._members[merged.path] = entries
        return merged

    def schema(self, entry: FileEntry) -> pa.Schema:
        return self._base.schema(entry)

    def read(self, entry: FileEntry, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of all files that an entry stands for."""
        members = self._members.get(entry.path, (entry,))
        if len(members) == 1:
            return self._base.read(entry, columns)
        try:
            return pa.concat_tables([self._base.read(each, columns) for each in members])
        except (pa.ArrowException, KeyError) as error:  # one lacks a column: told part by part
            raise StoreError(f"{entry.path}: {error}") from error

    def in_range(self, batch: Batch, parts: Parts) -> bool:
        """Whether the keys of every file lie in the range of its part."""
        return all(
            _fits(part, self._base.read(entry, [c.KEY.name])[c.KEY.name])
            for part in batch.parts
            for shard in parts[part].values()
            for entry in shard.files
        )


def _rows(shard: Shard) -> int:
    return sum(entry.rows for entry in shard.files)


def _fits(part: str, keys: pa.ChunkedArray) -> bool:
    bits = part.rpartition("-")[0]
    if bits == "all" or not len(keys):
        return True
    low, high = key_range(bits)
    ends = pc.min_max(keys)
    first, last = ends["min"].as_py(), ends["max"].as_py()
    return first is not None and keys.null_count == 0 and low <= first[:16] <= last[:16] <= high
