"""The receipt of a removal: what went, what was written anew, what was trained on it, what is out
of reach. It names rows by count only; the tombstone log names them by hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from curate import columns as c
from curate.errors import CurateError, StoreError
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.files import LocalFiles
from curate.store.manifest import Counts, Manifest, Shard
from curate.store.tombstones import RECEIPTS, STARTED
from curate.train.checkpoint import CARD, Card, read_card

BEYOND: Final = (
    "the source's own files: metadata tables, snapshots of an API, folders of pictures that the "
    "recipe reads; a run over them takes nothing of the rows, but does not change them",
    "exports made before this removal (WebDataset tars, folders of files, features, cards): delete or make "
    "them again",
    "copies of the dataset elsewhere, and versions of it that others downloaded",
    "backups and snapshots of the disk, and what the file system keeps of deleted files",
    "the weights of the checkpoints named here, and of any other trained on a version that held "
    "the rows: no removal takes a picture out of weights; train again from this version",
    "the place on the web that the picture came from",
)
CORPUS: Final = (
    "the demo draws its corpus from the seed again at the next run, as the web would still serve "
    "it: the run keeps the rows out, the corpus itself holds them"
)


class Version(BaseModel, frozen=True, extra="forbid"):
    """One version of the dataset, by its digests."""

    version: int
    manifest_digest: str
    dataset_digest: str
    bytes_digest: str
    counts: Counts

    @classmethod
    def of(cls, manifest: Manifest) -> Version:
        return cls(
            version=manifest.version, manifest_digest=manifest.digest,
            dataset_digest=manifest.dataset_digest, bytes_digest=manifest.bytes_digest,
            counts=manifest.counts,
        )  # fmt: skip


class NamedFile(BaseModel, frozen=True, extra="forbid"):
    """A file by path in the dataset and sha256."""

    path: str
    sha256: str
    bytes: int


class Trained(BaseModel, frozen=True, extra="forbid"):
    """A checkpoint trained on a version that held the rows.

    `rows_read` counts the removed rows that training had read; null if its card cannot tell.
    """

    path: str = Field(description="in the dataset, or the name of the directory given")
    dataset_digest: str
    step: int
    rows_read: int | None
    weights: dict[str, str] = Field(description="file → sha256, as its card says")


class Receipt(BaseModel, frozen=True, extra="forbid"):
    """removals/<number>.json; `digest` is that of all other fields."""

    format: Literal["curate-removal/1"] = "curate-removal/1"
    removal: int = Field(description="sequence of the request in the tombstone log")
    time: str = Field(description="ISO 8601, UTC; of the request")
    selectors: list[str]
    reason: str
    rows: int
    found_by: dict[str, int] = Field(description="how rows were found → how many")
    before: Version
    after: Version
    tombstones: str = Field(description="digest of the log's last line of this removal")
    parts: int
    parts_touched: list[str]
    rewritten: list[NamedFile]
    deleted: list[NamedFile]
    kept_files: int = Field(description="shard files of the version before that stay as they were")
    checkpoints: list[Trained]
    out_of_reach: list[str]
    digest: str = ""

    def self_digest(self) -> str:
        return json_digest(self.model_dump(mode="json", exclude={"digest"}))

    def to_bytes(self) -> bytes:
        whole = self.model_copy(update={"digest": self.self_digest()}).model_dump(mode="json")
        return json.dumps(whole, indent=1, ensure_ascii=False).encode() + b"\n"

    def to_text(self) -> str:
        """The receipt for a person."""
        how = ", ".join(f"{text} {n:,}" for text, n in self.found_by.items()) or "nothing matched"
        lines = [
            f"removed {self.rows:,} rows ({how})",
            f"shards: {len(self.parts_touched):,} of {self.parts:,} parts touched, "
            f"{len(self.rewritten):,} files written, {len(self.deleted):,} deleted, "
            f"{self.kept_files:,} as they were",
            f"kept {self.before.counts.kept:,} → {self.after.counts.kept:,}",
            f"dataset_digest {self.before.dataset_digest} → {self.after.dataset_digest}",
            f"receipt {receipt_path(self.removal)}",
        ]
        for trained in self.checkpoints:
            read = (
                "" if trained.rows_read is None else f", which read {trained.rows_read:,} of them"
            )
            lines.append(f"trained on a version that held the rows: {trained.path}{read}")
        if not self.rows:
            lines.append("no row matched; the request is in the log and counts at later ingests")
        return "\n".join([*lines, "not reached:", *(f"  {text}" for text in self.out_of_reach)])


def receipt_path(removal: int) -> str:
    return f"{RECEIPTS}/{removal:06d}.json"


def load_receipts(files: LocalFiles) -> Iterator[Receipt]:
    """All receipts in order; raises StoreError naming one that was edited."""
    for name in files.list(RECEIPTS, ".json"):
        if not name.endswith(STARTED):
            yield load_receipt(files, name)


def load_receipt(files: LocalFiles, name: str) -> Receipt:
    raw = files.read(name)
    try:
        receipt = Receipt.model_validate_json(raw)
    except ValueError as error:
        raise StoreError(f"{name} is damaged: {str(error).splitlines()[0]}") from error
    if receipt.digest != receipt.self_digest() or raw != receipt.to_bytes():
        raise StoreError(f"{name} was edited: its content does not have its digest")
    return receipt


def trained_on(
    dataset: Dataset, places: Sequence[Path], digests: frozenset[str], keys: Sequence[str]
) -> list[Trained]:
    """Checkpoints under the dataset and the places given that a version with the rows made."""
    found: dict[Path, Trained] = {}
    for place in (dataset.root, *places):
        for file in sorted(place.rglob(CARD)):
            try:
                card = read_card(file.parent)
            except CurateError:
                continue  # a file of that name that is no card
            if card.dataset.dataset_digest in digests:
                name = _name(file.parent, dataset.root, place)
                found.setdefault(file.resolve(), _trained(dataset, card, name, keys))
    return list(found.values())


def _name(folder: Path, root: Path, place: Path) -> str:
    """Where a checkpoint lies: in the dataset, or behind the name of the directory given."""
    inner = folder.relative_to(place).as_posix()
    if place == root:
        return inner
    return place.resolve().name if inner == "." else f"{place.resolve().name}/{inner}"


def _trained(dataset: Dataset, card: Card, name: str, keys: Sequence[str]) -> Trained:
    return Trained(
        path=name, dataset_digest=card.dataset.dataset_digest, step=card.progress.step,
        rows_read=_rows_read(dataset, card, keys), weights=card.files,
    )  # fmt: skip


def _rows_read(dataset: Dataset, card: Card, keys: Sequence[str]) -> int | None:
    """How many of the rows lie in the ranges that a checkpoint says it read."""
    if card.dataset.dataset_digest != dataset.manifest.dataset_digest:
        return None
    read: set[str] = set()
    shards = {
        (layer.name, shard.part): shard
        for layer in dataset.manifest.layers
        for shard in layer.shards
    }
    for entry in card.consumed:
        shard = shards.get((entry["layer"], entry["part"]))
        if shard is None or shard.shard_id != entry["shard_id"]:
            return None
        read |= _among(dataset, shard, entry["ranges"], keys)
    return len(read)


def _among(
    dataset: Dataset, shard: Shard, ranges: Sequence[Sequence[int]], keys: Sequence[str]
) -> set[str]:
    """Which of the keys lie in some ranges of rows of a shard."""
    file = shard.file("data")
    if file is None:
        return set()
    own = dataset.read(file, [c.KEY.name])[c.KEY.name].combine_chunks()
    places = pc.index_in(pa.array(list(keys), pa.string()), value_set=own).drop_null().to_pylist()
    read = (at for at in places if any(first <= at <= last for first, last in ranges))
    return {own[at].as_py() for at in read}
