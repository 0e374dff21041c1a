"""The commit of one shard: publish its files, then one put-if-absent that makes it count.

A commit is a small JSON file naming the shard's files with their hashes. Two workers that compute
the same shard race for it; the loser compares content and raises an alarm on a difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from curate.columns import OBSERVED_AT, role_of
from curate.errors import CommitConflict, StoreError
from curate.store.digest import bytes_sha256, canonical_json, json_digest, table_digest
from curate.store.files import LocalFiles
from curate.store.tolerance import TOLERANCE, distances

FileRole = Literal["data", "marks", "observations"]
HUGGINGFACE = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})


class FileEntry(BaseModel, frozen=True, extra="forbid"):
    """One Parquet file of a shard; `path` is relative to the dataset."""

    role: FileRole
    path: str
    rows: int
    bytes: int
    sha256: str
    content_digest: str


class Commit(BaseModel, frozen=True, extra="forbid"):
    """One shard of one layer; `marked` counts the rows marked here by stage and reason."""

    layer: str
    part: str
    shard_id: str
    fingerprint: str
    input_digest: str
    rows_in: int
    rows_out: int
    marked: dict[str, dict[str, int]]
    files: list[FileEntry]

    def file(self, role: FileRole) -> FileEntry | None:
        return next((entry for entry in self.files if entry.role == role), None)

    def to_bytes(self) -> bytes:
        return canonical_json(self.model_dump(mode="json")) + b"\n"

    @property
    def path(self) -> str:
        return commit_path(self.layer, self.shard_id)


def shard_id(*, layer: str, part: str, fingerprint: str, input_digest: str) -> str:
    """Name of a unit of work: what goes in and what is done to it."""
    return json_digest([layer, part, fingerprint, input_digest])


def commit_path(layer: str, shard: str) -> str:
    return f"{layer}/commits/{shard}.json"


def commit_shard(
    files: LocalFiles, *, layer: str, part: str, fingerprint: str, input_digest: str, rows_in: int,
    tables: Mapping[FileRole, pa.Table], marked: Mapping[str, Mapping[str, int]],
) -> Commit:  # fmt: skip
    """Publish the tables of one shard and commit it; returns the commit that counts.

    If the shard was committed before, the first commit stands and this one's files go. Raises
    CommitConflict if the two differ in content, or in model columns beyond the tolerance; only
    what was fetched twice may differ, since the web did.
    """
    name = shard_id(layer=layer, part=part, fingerprint=fingerprint, input_digest=input_digest)
    entries = [_publish(files, layer, name, role, table) for role, table in tables.items()]
    commit = Commit(
        layer=layer, part=part, shard_id=name, fingerprint=fingerprint, input_digest=input_digest,
        rows_in=rows_in, rows_out=rows_in - (len(tables["marks"]) if "marks" in tables else 0),
        marked={stage: dict(reasons) for stage, reasons in marked.items()}, files=entries,
    )  # fmt: skip
    if files.put_if_absent(commit.path, commit.to_bytes()):
        return commit
    first = load_commit(files, commit.path)
    _compare(files, first, commit, fetched=_was_fetched(tables))
    for path in {entry.path for entry in entries} - {entry.path for entry in first.files}:
        files.remove(path)
    return first


def _publish(
    files: LocalFiles, layer: str, shard: str, role: FileRole, table: pa.Table
) -> FileEntry:
    data = memoryview(encode(table))
    digest = bytes_sha256(data)
    path = f"{layer}/{role}/{shard[:16]}-{digest[:16]}.parquet"
    files.publish(path, data)
    content = table_digest(table) if role != "observations" else ""
    return FileEntry(
        role=role,
        path=path,
        rows=len(table),
        bytes=data.nbytes,
        sha256=digest,
        content_digest=content,
    )


def _was_fetched(tables: Mapping[FileRole, pa.Table]) -> bool:
    """Whether the shard's pictures came from where another answer may come next time."""
    return "observations" in tables and OBSERVED_AT.name in tables["observations"].column_names


def _compare(files: LocalFiles, first: Commit, second: Commit, *, fetched: bool) -> None:
    """Alarm if two computations of a shard cannot both be honest; record it if they can."""
    before, after = (
        {e.role: e for e in commit.files if fetched or e.role != "observations"}
        for commit in (first, second)
    )
    if {e.sha256 for e in before.values()} == {e.sha256 for e in after.values()}:
        return
    same = {role: e.content_digest for role, e in before.items()} == {
        role: e.content_digest for role, e in after.items()
    }
    apart: dict[str, float] = {}
    for role in ("data", "marks") if same else ():
        if role in before and before[role].sha256 != after[role].sha256:
            one, two = (pq.read_table(files.path(e[role].path)) for e in (before, after))
            apart |= distances(one, two)
    if (not same and not fetched) or any(value > TOLERANCE for value in apart.values()):
        raise CommitConflict(
            f"{first.layer} {first.part}: computed twice with different content "
            f"(relative errors {apart}, tolerance {TOLERANCE}); the first commit stands, look at "
            f"what differs between the workers"
        )
    told = {"shard_id": first.shard_id, "same_content": same, "relative_errors": apart}
    name = f"{first.layer}/recomputed/{first.shard_id[:16]}-{json_digest(told)[:16]}.json"
    files.put_if_absent(name, canonical_json(told) + b"\n")


def load_commit(files: LocalFiles, path: str) -> Commit:
    try:
        return Commit.model_validate_json(files.read(path))
    except ValueError as error:
        raise StoreError(f"{path} is not a commit: {error}") from error


def load_commits(files: LocalFiles, layer: str) -> dict[str, Commit]:
    """All commits of a layer by shard id."""
    found = (load_commit(files, path) for path in files.list(f"{layer}/commits", ".json"))
    return {commit.shard_id: commit for commit in found}


def encode(table: pa.Table) -> pa.Buffer:
    """Parquet bytes: deterministic for one pyarrow version, big binaries stored as they are.

    Model columns and pictures get no codec (latents do not compress, and readers decode them three
    times faster so); the rest is zstd. Row groups hold 64 rows where there are big values.
    """
    big = [field.name for field in table.schema if _is_big(field)]
    names = {field.name: field for field in table.schema}
    compression = dict.fromkeys(_leaves(table.schema), "zstd")
    compression.update({p: "none" for p in compression if p.split(".")[0] in big})
    metadata = dict(table.schema.metadata or {})
    if "image" in names:
        metadata[b"huggingface"] = HUGGINGFACE.encode()
    sink = pa.BufferOutputStream()
    strings = [n for n, f in names.items() if pa.types.is_string(f.type) and n != "key"]
    table = table.replace_schema_metadata(metadata)
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression=compression,
        use_dictionary=strings,
        write_statistics=["key"],
    ) as writer:
        if len(table):  # an empty row group is more than some readers can take
            writer.write_table(table, row_group_size=64 if big else 65536)
    return sink.getvalue()  # what was written itself, no copy


def _is_big(field: pa.Field) -> bool:
    kind = field.type
    if pa.types.is_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        return any(pa.types.is_binary(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_binary(kind)) and (
        role_of(field) == "model" or field.name == "thumbnail"
    )


def _leaves(schema: pa.Schema) -> list[str]:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return [parquet.column(i).path for i in range(len(parquet))]


def count_marks(table: pa.Table) -> dict[str, dict[str, int]]:
    """Rows by stage and reason of a table with mark columns."""
    counts: dict[str, dict[str, int]] = {}
    marked: Any = table.select(["stage", "reason"]).group_by(["stage", "reason"], use_threads=False)
    for row in marked.aggregate([([], "count_all")]).to_pylist():
        if row["reason"] is not None:
            counts.setdefault(row["stage"], {})[row["reason"]] = row["count_all"]
    return {stage: dict(sorted(reasons.items())) for stage, reasons in sorted(counts.items())}
