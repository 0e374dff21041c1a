"""`curate remove`: a row and every copy of its picture leave the dataset, and a receipt says so.

First a note of what is to be done, then the log, new shards, plan, manifest, record, pages; then
what is superseded is deleted, and the receipt comes last. Every step may be done twice, so a
removal that was killed is finished by the same command.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from curate import columns as c
from curate.engine import finished
from curate.errors import EngineError, MissingInput, StoreError
from curate.plan import PLAN, Plan, load_plan
from curate.provenance import recheck_log
from curate.provenance.chain import READ_ERRORS
from curate.provenance.receipt import (
    BEYOND,
    CORPUS,
    NamedFile,
    Receipt,
    Trained,
    Version,
    load_receipts,
    receipt_path,
    trained_on,
)
from curate.provenance.request import Selectors, checked_reason, requests
from curate.provenance.rewrite import commits_of, rewrite
from curate.provenance.same_picture import Search
from curate.publish import LEDGER, count
from curate.recipe import Recipe, recipe_from
from curate.record import write_removal_record
from curate.store.commit import commit_path
from curate.store.dataset import Dataset
from curate.store.files import TEMP, LocalFiles
from curate.store.manifest import (
    MANIFEST,
    Manifest,
    bytes_digest,
    dataset_digest,
    layer_of,
    load_manifest,
)
from curate.store.tombstones import (
    LOG,
    RECEIPTS,
    STARTED,
    Tombstone,
    load_log,
    unfinished,
    write_log,
)

WritePages = Callable[[Path], object]
CORPUS_FOLDER: Final = "corpus"
CORPUS_MARK: Final = "corpus/drawn.json"


class Started(BaseModel, frozen=True, extra="forbid"):
    """A removal under way: all that is needed to finish it when the old version is half gone."""

    format: Literal["curate-removal-started/1"] = "curate-removal-started/1"
    removal: int
    lines: list[Tombstone]
    before: Manifest
    strays: list[NamedFile]
    checkpoints: list[Trained]
    corpus: bool

    @property
    def path(self) -> str:
        return f"{RECEIPTS}/{self.removal:06d}{STARTED}"

    @property
    def requests(self) -> list[Tombstone]:
        return [line for line in self.lines if line.is_request]

    @property
    def rows(self) -> list[Tombstone]:
        return [line for line in self.lines if not line.is_request]

    @property
    def keys(self) -> list[str]:
        return [line.key for line in self.rows if line.key is not None]


def remove(
    path: str | Path, *, selectors: Selectors, reason: str, write_pages: WritePages,
    checkpoints: Sequence[str | Path] = (),
) -> Receipt:  # fmt: skip
    """Remove what the selectors name, and every row that is the same picture.

    `write_pages` writes the pages beside the shards of a dataset directory anew; `checkpoints` are
    further directories to look for checkpoints in. A request that matches no row is logged all the
    same (`rows` of the receipt is 0). Raises RecipeError for a selector that is none, MissingInput
    if there is no dataset, EngineError if its run is unfinished or another removal is at work.
    """
    files = LocalFiles(path)
    with _alone(files):
        last = _finish(files, write_pages)
        wanted = requests(files, selectors, checked_reason(reason, selectors))
        asked = [request.asked for request in wanted]
        if last is not None and [line.asked for line in last[0].requests] == asked:
            return last[1]
        done = _done(files, asked)
        started = _start(files, wanted, [Path(place) for place in checkpoints])
        if done is not None and not started.rows:
            return done
        files.publish(started.path, started.model_dump_json().encode())
        return _Removal(files, started, write_pages).run()


def finish(path: str | Path, *, write_pages: WritePages) -> Receipt | None:
    """Finish a removal that was killed; None if there is none. Raises MissingInput, StoreError."""
    files = LocalFiles(path)
    with _alone(files):
        last = _finish(files, write_pages)
        return last[1] if last else None


def look(path: str | Path, *, selectors: Selectors) -> list[Tombstone]:
    """What a removal would take, without removing it: a line a row, with how it was found."""
    files = LocalFiles(path)
    return _search(files).rows(requests(files, selectors, "looked for"))


@contextmanager
def _alone(files: LocalFiles) -> Iterator[None]:
    """One removal at a time; the lock goes with the process that holds it."""
    if not files.exists(MANIFEST):
        load_manifest(files)  # says that there is none
    folder = files.path(RECEIPTS)
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise EngineError(f"{files.root}: another removal is at work here; wait for it") from error
    finally:
        os.close(descriptor)


def _finish(files: LocalFiles, write_pages: WritePages) -> tuple[Started, Receipt] | None:
    name = unfinished(files)
    if name is None:
        return None
    try:
        started = Started.model_validate_json(files.read(name))
    except ValueError as error:
        raise StoreError(f"{files.path(name)} is damaged: {error}") from error
    return started, _Removal(files, started, write_pages).run()


def _done(files: LocalFiles, asked: list[list[str | None]]) -> Receipt | None:
    """The receipt of an earlier removal that was asked for in the same words."""
    log = load_log(files)
    for receipt in load_receipts(files):
        lines = log.removal(receipt.removal)
        if [line.asked for line in lines if line.is_request] == asked:
            return receipt
    return None


# --- what is found ------------------------------------------------------------------------------
def _search(files: LocalFiles) -> Search:
    manifest, plan, recipe = _finished(files)
    return Search(Dataset(files, manifest), recipe, plan)


def _finished(files: LocalFiles) -> tuple[Manifest, Plan, Recipe]:
    manifest = finished(files)
    plan = load_plan(files)
    if manifest is None or plan is None:
        raise EngineError(
            f"{files.root} is unfinished: `curate run {files.root} --to {files.root}` ends the run, "
            f"then remove (an unfinished output has no version to remove from)"
        )
    return manifest, plan, recipe_from(plan.recipe, origin=str(files.path(PLAN)))


def _start(files: LocalFiles, wanted: list[Tombstone], places: list[Path]) -> Started:
    manifest, _, _ = _finished(files)
    dataset, log = Dataset(files, manifest), load_log(files)
    if log.digest != manifest.tombstones:
        raise StoreError(f"{files.path(LOG)} is not the log that {MANIFEST} names: audit first")
    rows = _search(files).rows(wanted)
    number = len(log.entries) + 1
    drafts = [line.model_copy(update={"removal": number}) for line in (*wanted, *rows)]
    lines = log.followed_by(drafts).entries[len(log.entries) :]
    keys = [row.key for row in rows if row.key is not None]
    versions = {manifest.dataset_digest}
    for receipt in load_receipts(files):
        versions |= {receipt.before.dataset_digest, receipt.after.dataset_digest}
    return Started(
        removal=number, lines=list(lines), before=manifest,
        strays=list(_strays(files, manifest, keys)),
        checkpoints=trained_on(dataset, places, frozenset(versions), keys) if keys else [],
        corpus=bool(keys) and files.exists(CORPUS_MARK),
    )  # fmt: skip


def _named(manifest: Manifest) -> dict[str, tuple[str, int]]:
    """sha256 and size of every shard file and commit that a manifest names; a commit's size is 0."""
    found = {}
    for layer in manifest.layers:
        for shard in layer.shards:
            found[commit_path(layer.name, shard.shard_id)] = (shard.commit_sha256, 0)
            found |= {entry.path: (entry.sha256, entry.bytes) for entry in shard.files}
    return found


def _files(named: Mapping[str, tuple[str, int]], paths: Iterable[str]) -> list[NamedFile]:
    return [
        NamedFile(path=path, sha256=named[path][0], bytes=named[path][1]) for path in sorted(paths)
    ]


def _strays(files: LocalFiles, manifest: Manifest, keys: Sequence[str]) -> Iterator[NamedFile]:
    """Shard files that no manifest names and that hold one of the rows."""
    named = _named(manifest)
    folders = {f"{layer.name}/{role}" for layer in manifest.layers for role in ("data", "marks", "observations")}  # fmt: skip
    for folder in sorted(folders):
        for path in files.list(folder, ".parquet"):
            if path not in named and _holds(files.path(path), keys):
                data = files.read(path)
                yield NamedFile(path=path, sha256=sha256(data).hexdigest(), bytes=len(data))


def _holds(path: Path, keys: Sequence[str]) -> bool:
    """Whether a Parquet file has one of the keys; one that does not read might."""
    try:
        own = pq.ParquetFile(path).read(columns=[c.KEY.name])[c.KEY.name]
    except READ_ERRORS:
        return True
    return bool(pc.any(pc.is_in(own, value_set=pa.array(list(keys), pa.string()))).as_py())


# --- the steps ----------------------------------------------------------------------------------
@dataclass
class _Removal:
    """One removal from its note to its receipt; each step is harmless when it was done before."""

    files: LocalFiles
    started: Started
    write_pages: WritePages
    begun: float = field(default_factory=time.perf_counter)

    def run(self) -> Receipt:
        self.write_log()
        self.publish_version()
        self.write_record()
        self.write_pages(self.files.root)
        self.delete_superseded()
        receipt = self.write_receipt()
        self.files.remove(self.started.path)
        return receipt

    def write_log(self) -> None:
        log, first = load_log(self.files), self.started.lines[0]
        if len(log.entries) == first.sequence - 1:
            log = log.followed_by(self.started.lines)
            write_log(self.files, log)
        if list(log.entries[first.sequence - 1 :]) != self.started.lines:
            raise StoreError(
                f"{self.files.root}: the tombstone log is not the one that the removal "
                f"{self.started.path} began to write"
            )

    def publish_version(self) -> None:
        """New shards, plan and manifest, unless the manifest is the new version's already."""
        before, files = self.started.before, self.files
        if load_manifest(files).previous == before.digest:
            return
        plan = load_plan(files)
        if plan is None:
            raise MissingInput(f"{files.path(PLAN)} does not exist")
        recipe = recipe_from(plan.recipe, origin=PLAN)
        new = rewrite(files, before, plan, recipe, self.started.keys)
        plan = plan.model_copy(update={
            "shards": {part: commit.shard_id for part, commit in new.commits["plan"].items()},
            "settled": new.settled,
            "version": before.version + 1, "previous": before.digest,
        })  # fmt: skip
        files.publish(PLAN, plan.to_bytes())
        layers = [
            layer_of(layer.name, list(new.commits[layer.name].values()), layer.models)
            for layer in before.layers
        ]
        tombstones = load_log(files).digest
        manifest = before.model_copy(update={
            "version": plan.version, "previous": plan.previous, "tombstones": tombstones,
            "dataset_digest": dataset_digest(layers, tombstones),
            "bytes_digest": bytes_digest(layers),
            "counts": count(files, new.commits[LEDGER]), "layers": layers,
        })  # fmt: skip
        files.publish(MANIFEST, manifest.to_bytes())

    def write_record(self) -> None:
        manifest, plan = load_manifest(self.files), load_plan(self.files)
        if plan is None:
            raise MissingInput(f"{self.files.path(PLAN)} does not exist")
        told = {
            "removal": self.started.removal, "rows": len(self.started.rows),
            "parts": len(self._touched(manifest)), "receipt": receipt_path(self.started.removal),
        }  # fmt: skip
        write_removal_record(
            self.files, plan, recipe_from(plan.recipe, origin=PLAN),
            commits_of(self.files, manifest), manifest, told=told,
            started_at=self.started.lines[0].time, seconds=time.perf_counter() - self.begun,
        )  # fmt: skip

    def delete_superseded(self) -> None:
        """Delete what only the version before named, what held the rows beside it, and remains."""
        for file in self._superseded(load_manifest(self.files)):
            self.files.remove(file.path)
            layer, _, name = file.path.partition("/commits/")
            for told in self.files.list(f"{layer}/recomputed", ".json") if name else []:
                if told.rpartition("/")[2].startswith(name[:16]):
                    self.files.remove(told)
        recheck_log.forget(self.files, frozenset(self.started.keys))
        for left in self.files.root.glob(f"{TEMP}/*"):
            left.unlink(missing_ok=True)
        if self.started.corpus:
            shutil.rmtree(self.files.path(CORPUS_FOLDER), ignore_errors=True)

    def write_receipt(self) -> Receipt:
        before, after, rows = self.started.before, load_manifest(self.files), self.started.rows
        old, new = _named(before), _named(after)
        log = load_log(self.files)
        receipt = Receipt(
            removal=self.started.removal, time=self.started.lines[0].time,
            selectors=sorted({line.selector for line in self.started.requests}),
            reason=self.started.lines[0].reason, rows=len(rows),
            found_by=dict(sorted(Counter(_how(row) for row in rows).items())),
            before=Version.of(before), after=Version.of(after),
            tombstones=log.digests[self.started.lines[-1].sequence - 1],
            parts=len(before.layers[0].shards), parts_touched=self._touched(after),
            rewritten=_files(new, new.keys() - old.keys()),
            deleted=self._superseded(after), kept_files=len(new.keys() & old.keys()),
            checkpoints=self.started.checkpoints,
            out_of_reach=[*BEYOND, *([CORPUS] if self.started.corpus else [])],
        )  # fmt: skip
        receipt = receipt.model_copy(update={"digest": receipt.self_digest()})
        self.files.publish(receipt_path(self.started.removal), receipt.to_bytes())
        return receipt

    def _superseded(self, after: Manifest) -> list[NamedFile]:
        old, new = _named(self.started.before), _named(after)
        gone = _files(old, old.keys() - new.keys())
        return gone + [stray for stray in self.started.strays if stray.path not in new]

    def _touched(self, after: Manifest) -> list[str]:
        plans = (
            {s.part: s.shard_id for s in m.layers[0].shards} for m in (self.started.before, after)
        )
        old, new = plans
        return sorted(part for part in new if new[part] != old.get(part))


def _how(row: Tombstone) -> str:
    return row.found_by.partition(":")[0]
