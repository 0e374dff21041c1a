"""The chain of custody: manifest → commits → files, each named by hash in the one before.

Nothing is taken on trust from the manifest but the list of what should be there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate import columns as c
from curate.columns import role_of
from curate.errors import MissingInput, StoreError
from curate.store.commit import Commit, FileEntry, commit_path, shard_id
from curate.store.dataset import Dataset
from curate.store.digest import bytes_sha256, file_sha256, table_digest
from curate.store.manifest import Layer, Manifest, Shard, bytes_digest, dataset_digest

LAYERS_READ_WHOLE: Final = ("plan", "ledger")
KNOWN: Final[Mapping[str, pa.Field]] = {
    value.name: value for value in vars(c).values() if isinstance(value, pa.Field)
}
READ_ERRORS: Final = (OSError, pa.ArrowException, StoreError, ValueError)


@dataclass
class Chain:
    """The commits that could be read (by layer and part), and the files that must not be."""

    commits: dict[str, dict[str, Commit]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def check_digests(manifest: Manifest) -> Iterator[str]:
    """The manifest's own digest and the two digests of the dataset, recomputed."""
    if manifest.digest != manifest.self_digest():
        yield "MANIFEST.json was edited: its content does not have the digest it carries"
    told = {
        "dataset_digest": (
            manifest.dataset_digest,
            dataset_digest(manifest.layers, manifest.tombstones),
        ),
        "bytes_digest": (manifest.bytes_digest, bytes_digest(manifest.layers)),
    }
    for name, (stored, derived) in told.items():
        if stored != derived:
            yield f"MANIFEST.json: {name} is {stored}, recomputed {derived}"


def check_layers(manifest: Manifest) -> Iterator[str]:
    """Every layer has exactly the parts of the plan, and no file is named twice."""
    names = [layer.name for layer in manifest.layers]
    for needed in ("plan", "images", "ledger"):
        if names.count(needed) != 1:
            yield f"MANIFEST.json: layer {needed!r} appears {names.count(needed)} times, expected once"
    plan = next((layer for layer in manifest.layers if layer.name == "plan"), None)
    parts = sorted(shard.part for shard in plan.shards) if plan else []
    seen: set[str] = set()
    for layer in manifest.layers:
        own = sorted(shard.part for shard in layer.shards)
        if own != parts:
            odd = sorted(set(own) ^ set(parts)) or own
            yield f"layer {layer.name}: parts differ from the plan's, first {odd[0]}"
        for entry in (entry for shard in layer.shards for entry in shard.files):
            if entry.path in seen:
                yield f"{entry.path} is named twice in MANIFEST.json"
            seen.add(entry.path)


def follow(dataset: Dataset, *, hashes: bool) -> Chain:
    """Read every commit and look at every file that the manifest names.

    Without `hashes` files are checked by size, footer and schema, and the small layers (plan,
    ledger, marks) by content; with it every byte and every content digest is.
    """
    chain = Chain()
    for layer in dataset.manifest.layers:
        for shard in layer.shards:
            chain.problems += _check_commit(dataset, layer, shard, chain)
            for entry in shard.files:
                found = list(_check_file(dataset, layer, entry, hashes=hashes))
                if found:
                    chain.unreadable.add(entry.path)
                chain.problems += found
    return chain


def strays(dataset: Dataset) -> Iterator[str]:
    """Files in the layers' folders that the manifest does not name: no reader sees them."""
    layers = dataset.manifest.layers
    named = {entry.path for layer in layers for shard in layer.shards for entry in shard.files}
    named |= {commit_path(layer.name, shard.shard_id) for layer in layers for shard in layer.shards}
    named.add("plan/PLAN.json")
    for top in ("plan", "images", "verdicts", "features", "ledger"):
        for folder, inner, files in os.walk(dataset.root / top):
            inner.sort()
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), dataset.root).replace(
                    os.sep, "/"
                )
                if path not in named:
                    yield f"{path!r} is not in the manifest; readers do not see it"


def _check_commit(dataset: Dataset, layer: Layer, shard: Shard, chain: Chain) -> Iterator[str]:
    path = commit_path(layer.name, shard.shard_id)
    try:
        raw = dataset.files.read(path)
        commit = Commit.model_validate_json(raw)
    except MissingInput:
        yield f"{path} is missing: shard {layer.name} {shard.part} has no commit"
        return
    except (ValueError, OSError) as error:
        yield f"{path} is not a commit: {str(error).splitlines()[0]}"
        return
    chain.commits.setdefault(layer.name, {})[shard.part] = commit
    if bytes_sha256(raw) != shard.commit_sha256:
        yield f"{path}: sha256 is not the one in MANIFEST.json"
    said = {
        "layer": (commit.layer, layer.name),
        "part": (commit.part, shard.part),
        "fingerprint": (commit.fingerprint, layer.fingerprint),
        "files": (commit.files, shard.files),
        "shard_id": (commit.shard_id, shard.shard_id),
        "name": (commit.shard_id, _name(commit)),
        "rows_out": (commit.rows_out, commit.rows_in - _rows(commit, "marks")),
    }
    if commit.file("data") is not None:
        said["rows_in"] = (commit.rows_in, _rows(commit, "data") + _rows(commit, "marks"))
    for name, (stored, derived) in said.items():
        if stored != derived:
            yield f"{path}: {name} does not agree with MANIFEST.json or with the rest of the commit"


def _name(commit: Commit) -> str:
    return shard_id(
        layer=commit.layer, part=commit.part, fingerprint=commit.fingerprint,
        input_digest=commit.input_digest,
    )  # fmt: skip


def _rows(commit: Commit, role: str) -> int:
    return sum(entry.rows for entry in commit.files if entry.role == role)


def _check_file(dataset: Dataset, layer: Layer, entry: FileEntry, *, hashes: bool) -> Iterator[str]:
    folder, _, name = entry.path.rpartition("/")
    if folder != f"{layer.name}/{entry.role}" or not name:
        yield f"{entry.path} does not lie in {layer.name}/{entry.role}/"
        return
    path = dataset.path(entry)
    if not path.is_file():
        yield f"{entry.path} is missing"
        return
    if path.stat().st_size != entry.bytes:
        yield f"{entry.path}: {path.stat().st_size} bytes, the manifest says {entry.bytes}"
        return
    if hashes and file_sha256(dataset.path(entry)) != entry.sha256:
        yield f"{entry.path}: sha256 is not the one in the manifest: the file was changed"
        return
    try:
        yield from _check_content(dataset, layer, entry, hashes=hashes)
    except READ_ERRORS as error:
        yield f"{entry.path} does not read as Parquet: {str(error).splitlines()[0]}"


def _check_content(
    dataset: Dataset, layer: Layer, entry: FileEntry, *, hashes: bool
) -> Iterator[str]:
    with pq.ParquetFile(dataset.path(entry)) as file:
        if file.metadata.num_rows != entry.rows:
            yield f"{entry.path}: {file.metadata.num_rows} rows, the manifest says {entry.rows}"
        yield from _check_schema(layer, entry, file.schema_arrow)
        whole = hashes or layer.name in LAYERS_READ_WHOLE or entry.role == "marks"
        if (
            whole
            and entry.role != "observations"
            and table_digest(file.read()) != entry.content_digest
        ):
            yield f"{entry.path}: the content is not the one whose digest the manifest carries"


def _check_schema(layer: Layer, entry: FileEntry, schema: pa.Schema) -> Iterator[str]:
    """Columns have the types and roles of curate.columns; plan, ledger and marks all of theirs."""
    required = {"plan": c.CANDIDATE.names, "ledger": c.LEDGER.names}.get(layer.name, [c.KEY.name])
    if entry.role == "marks":
        required = [c.KEY.name, *c.MARKS.names]
    for name in required:
        if name not in schema.names:
            yield f"{entry.path}: column {name!r} is missing"
    for found in schema:
        known = KNOWN.get(found.name)
        if known is not None and (known.type != found.type or role_of(known) != role_of(found)):
            yield f"{entry.path}: column {found.name!r} is {found.type} ({role_of(found)}), expected {known.type} ({role_of(known)})"
