"""The manifest: the published version of a dataset, and the record of the run that made it.

Readers see committed shards through MANIFEST.json only. It carries its own digest and that of the
version before it; `record.json` is written last and names the manifest by hash.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from curate.errors import MissingInput, StoreError
from curate.store.commit import Commit, FileEntry, FileRole
from curate.store.digest import bytes_sha256, canonical_json, json_digest
from curate.store.files import LocalFiles

MANIFEST = "MANIFEST.json"
RECORD = "record.json"


class Frozen(BaseModel, frozen=True, extra="forbid"):
    """Base of the manifest's values."""


class Shard(Frozen):
    """One committed shard; `commit_sha256` is the hash of its commit file."""

    part: str
    shard_id: str
    commit_sha256: str
    files: list[FileEntry]

    def file(self, role: FileRole) -> FileEntry | None:
        return next((entry for entry in self.files if entry.role == role), None)


class ModelInfo(Frozen):
    """A model whose output a layer holds.

    `facts` are what a reader of that output has to know, as the layer's columns say it: of an
    autoencoder the factor, scaling and shift, which nothing here applies. Without facts they are
    left out, as in manifests from before there were any: their digests still fit.
    """

    ref: str
    digest: str
    facts: dict[str, float | str] = {}

    @model_serializer(mode="wrap")
    def _without_nothing(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = told(self)
        return values if self.facts else {k: v for k, v in values.items() if k != "facts"}


class Layer(Frozen):
    """A committed layer: every part once, in part order."""

    name: str
    fingerprint: str
    models: dict[str, ModelInfo] = {}
    shards: list[Shard]


class Counts(Frozen):
    """Rows by verdict; rejected by reason, failed by cause."""

    candidates: int
    kept: int
    rejected: dict[str, int]
    failed: dict[str, int]


class Manifest(Frozen):
    """One published version of a dataset."""

    format: Literal["curate-manifest/1"] = "curate-manifest/1"
    version: int = Field(1, ge=1)
    previous: str | None = None
    recipe_name: str
    recipe_fingerprint: str
    license_audited: bool
    dataset_digest: str
    bytes_digest: str
    tombstones: str | None = None
    counts: Counts
    layers: list[Layer]
    digest: str = ""

    def self_digest(self) -> str:
        """sha256 of the manifest without its own digest."""
        return json_digest(self.model_dump(mode="json", exclude={"digest"}))

    def to_bytes(self) -> bytes:
        """Pretty JSON with the self digest filled in."""
        whole = self.model_copy(update={"digest": self.self_digest()})
        return (
            json.dumps(whole.model_dump(mode="json"), indent=1, ensure_ascii=False).encode() + b"\n"
        )


def layer_of(name: str, commits: list[Commit], models: dict[str, ModelInfo]) -> Layer:
    """The manifest's view of a layer from its commits."""
    shards = [
        Shard(
            part=commit.part, shard_id=commit.shard_id,
            commit_sha256=bytes_sha256(commit.to_bytes()), files=commit.files,
        )
        for commit in sorted(commits, key=lambda commit: commit.part)
    ]  # fmt: skip
    fingerprint = commits[0].fingerprint if commits else ""
    return Layer(name=name, fingerprint=fingerprint, models=models, shards=shards)


def dataset_digest(layers: list[Layer], tombstones: str | None) -> str:
    """Digest of what the dataset says: content of every layer and part, whatever the encoding."""
    content = [
        [layer.name, shard.part, entry.role, entry.content_digest]
        for layer in layers
        for shard in layer.shards
        for entry in shard.files
        if entry.role != "observations"
    ]
    return json_digest([sorted(content), tombstones])


def bytes_digest(layers: list[Layer]) -> str:
    """Digest of the shard files: path and sha256 of each, observations left out."""
    content = [
        [entry.path, entry.sha256]
        for layer in layers
        for shard in layer.shards
        for entry in shard.files
        if entry.role != "observations"
    ]
    return json_digest(sorted(content))


def load_manifest(files: LocalFiles) -> Manifest:
    """Read MANIFEST.json.

    Raises MissingInput if there is none, StoreError if it is damaged (its digest is checked).
    """
    if not files.exists(MANIFEST):
        raise MissingInput(
            f"{files.path(MANIFEST)} does not exist: not a finished dataset "
            f"(an unfinished run goes on with the same `curate run`)"
        )
    try:
        manifest = Manifest.model_validate_json(files.read(MANIFEST))
    except ValidationError as error:
        raise StoreError(f"{files.path(MANIFEST)} is damaged: {error}") from error
    if manifest.digest != manifest.self_digest():
        raise StoreError(f"{files.path(MANIFEST)} was edited: its content does not have its digest")
    return manifest


def record_bytes(record: dict[str, Any]) -> bytes:
    """record.json with its own digest filled in."""
    body = {key: value for key, value in record.items() if key != "digest"}
    whole = {**body, "digest": json_digest(body)}
    return json.dumps(whole, indent=1, ensure_ascii=False).encode() + b"\n"


def load_record(files: LocalFiles) -> dict[str, Any]:
    """Read record.json; raises StoreError if it was edited."""
    try:
        record = json.loads(files.read(RECORD))
    except ValueError as error:
        raise StoreError(f"{files.path(RECORD)} is damaged: {error}") from error
    if not isinstance(record, dict):
        raise StoreError(f"{files.path(RECORD)} is damaged: not a JSON object")
    body = {key: value for key, value in record.items() if key != "digest"}
    if record.get("digest") != bytes_sha256(canonical_json(body)):
        raise StoreError(f"{files.path(RECORD)} was edited: its content does not have its digest")
    return record
