"""The chain of custody: manifest → commits → files, each named by hash in the one before.

Nothing is taken on trust from the manifest but the list of what should be there. Files are looked
at by a few threads, since hashing leaves Python's lock free; findings come in the manifest's order.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate import columns as c
from curate.checks import FOLDER as CHECKS
from curate.columns import role_of
from curate.errors import MissingInput, StoreError
from curate.provenance.findings import bounded
from curate.provenance.images import Images
from curate.provenance.pictures import PictureCheck, PictureCount, Views, hashed
from curate.provenance.promises import Kept
from curate.provenance.values import check_values, valued
from curate.store.commit import Commit, FileEntry, commit_path, shard_id
from curate.store.dataset import Dataset
from curate.store.digest import TableDigest, bytes_sha256, file_sha256
from curate.store.manifest import Layer, Manifest, Shard, bytes_digest, dataset_digest

LAYERS_READ_WHOLE: Final = ("plan", "ledger")
KNOWN: Final[Mapping[str, pa.Field]] = {
    value.name: value for value in vars(c).values() if isinstance(value, pa.Field)
}
MODEL: Final = b"curate.model"
GROUPS_AT_ONCE: Final = 16
"""Row groups whose columns, without the pictures, are read together: 1,024 rows of 64 a group."""
SPREAD_BYTES: Final = 8 << 20
READ_ERRORS: Final = (OSError, pa.ArrowException, StoreError, ValueError)


Digests = bytes  # the name is a method of _Look
Found = tuple[Kept, str]
"""A problem, and the promise that it breaks."""


@dataclass
class Chain:
    """The commits that could be read (by layer and part), and the files that must not be."""

    commits: dict[str, dict[str, Commit]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    problems: list[Found] = field(default_factory=list)
    counted: PictureCount = field(default_factory=PictureCount)


@dataclass
class Report:
    """What one thread found in one file; a damaged one is not read again."""

    problems: list[Found] = field(default_factory=list)
    counted: PictureCount = field(default_factory=PictureCount)
    damaged: bool = False

    def damage(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self.problems.append((Kept.SAME_DATA, problem))
            self.damaged = True


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


def read_commits(dataset: Dataset) -> Chain:
    """Every commit that the manifest names, with what is wrong with those that do not fit it."""
    chain = Chain()
    for layer in dataset.manifest.layers:
        for shard in layer.shards:
            found = _check_commit(dataset, layer, shard, chain)
            chain.problems += [(Kept.EXACTLY_ONCE, problem) for problem in found]
    return chain


def follow(dataset: Dataset, chain: Chain, *, hashes: bool, pictures: PictureCheck) -> None:
    """Look at every file that the manifest names, and add what is found to the chain.

    Without `hashes` files are checked by size, footer and schema, and the small layers (plan,
    ledger, marks) by content; with it every byte and every content digest is, every picture by
    its hash and header, and the values of model columns. Memory holds a few row groups a thread.
    """
    shards = ((layer, shard) for layer in dataset.manifest.layers for shard in layer.shards)
    with ThreadPoolExecutor(max_workers=max(1, _cores() - 1)) as hashers:
        looks = (
            _Look(dataset, layer, entry, pictures, hashers, hashes=hashes)
            for layer, shard in shards
            for entry in shard.files
        )
        for look, report in _reports(looks):
            chain.problems += report.problems
            chain.counted.add(report.counted)
            if report.damaged:
                chain.unreadable.add(look.entry.path)


def _reports(looks: Iterable[_Look]) -> Iterator[tuple[_Look, Report]]:
    """What is found in each file, in order, with a few files ahead: neither findings nor jobs pile up."""
    cores = _cores()
    with ThreadPoolExecutor(max_workers=cores) as pool:
        waiting: deque[tuple[_Look, Future[Report]]] = deque()
        for look in looks:
            waiting.append((look, _looked_at(pool, look)))
            if len(waiting) > 4 * cores:
                first, report = waiting.popleft()
                yield first, report.result()
        for first, report in waiting:
            yield first, report.result()


def _looked_at(pool: ThreadPoolExecutor, look: _Look) -> Future[Report]:
    """A file's bytes, and once they are found to be those told, and only then, what they hold.

    No thread waits for another: the second job is queued by the end of the first.
    """
    told: Future[Report] = Future()

    def settle(job: Callable[[], Report], then: Callable[[], object] | None) -> None:
        try:
            report = job()
        except BaseException as error:
            told.set_exception(error)
            raise
        if report.damaged or then is None:
            told.set_result(report)
        else:
            then()

    def content() -> None:
        settle(look.content, None)

    pool.submit(settle, look.bytes, lambda: pool.submit(content))
    return told


def _cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
                if path not in named and not _is_check(path):
                    yield f"{path!r} is not in the manifest; readers do not see it"


def _is_check(path: str) -> bool:
    """What workers found of their models on rows of the run: record.json tells it."""
    return path.endswith(".json") and path.rsplit("/", 2)[-2] == CHECKS


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


@dataclass(frozen=True)
class _Look:
    """One file to look at, in two jobs: its bytes, and then what it holds."""

    dataset: Dataset
    layer: Layer
    entry: FileEntry
    pictures: PictureCheck
    hashers: ThreadPoolExecutor
    hashes: bool

    def bytes(self) -> Report:
        """Whether the file is there, where it belongs, whole, and hashes to what is told."""
        report = Report()
        report.damage(self._missing())
        if self.hashes and not report.damaged:
            report.damage(self._changed())
        return report

    def _missing(self) -> Iterator[str]:
        folder, _, name = self.entry.path.rpartition("/")
        path = self.dataset.path(self.entry)
        if folder != f"{self.layer.name}/{self.entry.role}" or not name:
            yield f"{self.entry.path} does not lie in {self.layer.name}/{self.entry.role}/"
        elif not path.is_file():
            yield f"{self.entry.path} is missing"
        elif path.stat().st_size != self.entry.bytes:
            yield (
                f"{self.entry.path}: {path.stat().st_size} bytes, "
                f"the manifest says {self.entry.bytes}"
            )

    def _changed(self) -> Iterator[str]:
        try:
            same = file_sha256(self.dataset.path(self.entry)) == self.entry.sha256
        except OSError as error:
            yield f"{self.entry.path} cannot be read: {error.strerror or error}"
            return
        if not same:
            yield f"{self.entry.path}: sha256 is not the one in the manifest: the file was changed"

    def content(self) -> Report:
        """Whether rows, schema, content digest, pictures and model values are as told."""
        report = Report()
        try:
            self._read(report)
        except (*READ_ERRORS, KeyError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            report.damage([f"{self.entry.path} does not read as Parquet: {first}"])
        return report

    def _read(self, report: Report) -> None:
        entry, path = self.entry, self.dataset.path(self.entry)
        with ExitStack() as stack:
            source = None
            if self.hashes:  # it was just read whole, so that it can be mapped
                source = stack.enter_context(pa.memory_map(str(path)))
            file = stack.enter_context(pq.ParquetFile(source or path, pre_buffer=False))
            if file.metadata.num_rows != entry.rows:
                told = f"{file.metadata.num_rows} rows, the manifest says {entry.rows}"
                report.damage([f"{entry.path}: {told}"])
            report.damage(_check_schema(self.layer, entry, file.schema_arrow))
            small = self.layer.name in LAYERS_READ_WHOLE or entry.role == "marks"
            if (self.hashes or small) and entry.role != "observations":
                self._digest(Images(file, source), report)

    def _digest(self, images: Images, report: Report) -> None:
        """Every row once; pictures a row group at a time, each hashed once for all checks."""
        file = images.file
        schema = file.schema_arrow
        digest = TableDigest(schema)
        pictured = c.IMAGE.name in schema.names
        others = [name for name in schema.names if not (pictured and name == c.IMAGE.name)]
        found: list[Found] = []
        for start in range(0, file.num_row_groups, GROUPS_AT_ONCE):
            groups = range(start, min(start + GROUPS_AT_ONCE, file.num_row_groups))
            rows = file.read_row_groups(list(groups), columns=others, use_threads=False)
            rows = rows.combine_chunks()
            digest.update(rows)
            if self.hashes and valued(schema):
                values = bounded(check_values(self.entry.path, rows))
                found += [(Kept.SAME_DATA, problem) for problem in values]
            if pictured:
                seen = self._pictures(images, groups, rows, digest, report.counted)
                found += [(Kept.EVIDENCE, problem) for problem in bounded(seen)]
        if digest.hexdigest() != self.entry.content_digest:
            what = "the content is not the one whose digest the manifest carries"
            report.damage([f"{self.entry.path}: {what}"])
        report.problems += found

    def _pictures(
        self, images: Images, groups: Iterable[int], rows: pa.Table, digest: TableDigest,
        count: PictureCount,
    ) -> Iterator[str]:  # fmt: skip
        """Problems of the pictures in some row groups, which are digested on the way."""
        if not (self.hashes and images.known()):
            for group in groups:
                digest.add(c.IMAGE.name, images.column(group))
            return
        at = 0
        for group in groups:
            column, views = images.read(group)
            known = self._hashed(views)
            own = rows.slice(at, len(views))
            yield from self.pictures.rows(self.entry.path, own, views, known, count)
            digest.add(c.IMAGE.name, column, known)
            at += len(views)

    def _hashed(self, views: Views) -> Digests:
        """The sha256 of each, 32 bytes a picture; large ones on all cores, since files may be few."""
        share = -(-len(views) // _cores())
        if sum(len(view) for view in views if view is not None) < SPREAD_BYTES:
            return hashed(views)
        others = [
            self.hashers.submit(hashed, views[start : start + share])
            for start in range(share, len(views), share)
        ]
        return hashed(views[:share]) + b"".join(other.result() for other in others)


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
    if entry.role == "data":
        named = {(found.metadata or {}).get(MODEL) for found in schema} - {None}
        if {digest.decode() for digest in named if digest} != _digests(layer):
            yield f"{entry.path}: its columns name other models than the manifest"


def _digests(layer: Layer) -> set[str]:
    return {info.digest for info in layer.models.values()}
