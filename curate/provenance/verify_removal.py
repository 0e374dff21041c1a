"""Is anything of a removed row still here? Every file under a dataset is read, whatever its name.

Keys and hashes may stand in the logs, the receipts, the plan, the ledger and the first layer's
marks, nowhere else; addresses, creators and pictures nowhere. What could not be read is said and
counts as not verified.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from curate.errors import CurateError, MissingInput
from curate.plan import PLAN, load_plan
from curate.provenance import attribution_requests, removals
from curate.provenance.attribution_requests import LOG as ATTRIBUTION_REQUESTS
from curate.provenance.chain import READ_ERRORS
from curate.provenance.known import Known, Match
from curate.provenance.partition import by_part
from curate.provenance.same_picture import Measure
from curate.provenance.scan import Unread, scan
from curate.recipe import recipe_from
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, load_manifest
from curate.store.tombstones import LOG, RECEIPTS, load_log, unfinished

CORPUS: Final = "corpus"
LOGS: Final = (attribution_requests.LOG,)
"""Logs of keys alone, beside the receipts."""
MOST_HITS: Final = 1_000


@dataclass(frozen=True)
class Hit:
    """Something of a removed row that is left, and the log's line that knows it."""

    file: str
    where: str
    what: str
    line: int | None

    def __str__(self) -> str:
        known = "" if self.line is None else f" ({LOG} line {self.line})"
        return f"{self.file}, {self.where}: {self.what}{known}"


@dataclass(frozen=True)
class VerifyResult:
    """What a scan found: nothing left (`ok`), or where; `unread` are files it could not look into."""

    ok: bool
    tombstones: int
    hits: list[Hit]
    unread: list[str]
    notes: list[str]
    files: int
    bytes: int
    pictures: int
    seconds: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """The result for a person."""
        head = "nothing of the removed rows is left" if self.ok else "FAILED"
        rate = self.bytes / 1e6 / self.seconds if self.seconds else 0.0
        lines = [f"verify-removal: {head}"]
        lines += [f"  left: {hit}" for hit in self.hits]
        lines += [f"  not read: {text}" for text in self.unread]
        lines += [f"  note: {text}" for text in self.notes]
        lines.append(
            f"{self.tombstones:,} lines of {LOG} against {self.files:,} files, {self.bytes / 1e6:,.1f} MB, "
            f"{self.pictures:,} pictures decoded, {self.seconds:.1f} s ({rate:,.0f} MB/s)"
        )
        return "\n".join(lines)


def verify_removal(path: str | Path, *, also: Sequence[str | Path] = ()) -> VerifyResult:
    """Look for what a dataset's tombstone log names, in all of its directory and in `also`.

    Raises MissingInput if there is no dataset or one of `also` is not there, StoreError if the log
    was edited.
    """
    files = LocalFiles(path)
    load_manifest(files)
    plan = load_plan(files)
    if plan is None:
        raise MissingInput(f"{files.path(PLAN)} does not exist")
    measure = Measure.of(recipe_from(plan.recipe, origin=str(files.path(PLAN))))
    verify = _Verify(Known(load_log(files), measure))
    verify.dataset(files)
    for place in also:
        verify.place(Path(place))
    return verify.result()


class _Verify:
    def __init__(self, known: Known) -> None:
        self.known = known
        self.begun = time.perf_counter()
        self.hits: list[Hit] = []
        self.unread: list[str] = []
        self.notes: list[str] = []
        self.files = self.bytes = self.dropped = 0

    def dataset(self, files: LocalFiles) -> None:
        """A dataset's directory: its own files by their role, every other as a stray."""
        note = unfinished(files)
        if note is not None:
            self._hit(
                note, Match("", "a removal was not finished: `curate remove OUT --finish`", 0)
            )
        self._rows(files)
        self._walk(files.root, "", allowed=_allowed(files))

    def place(self, place: Path) -> None:
        """A further directory or file; a dataset among them has its own places for keys."""
        if not place.exists():
            raise MissingInput(f"--also {place} does not exist")
        name = f"{place.resolve().name}"
        if place.is_file():
            self._file(place, name, names=True)
            return
        files = LocalFiles(place)
        self._walk(place, f"{name}/", allowed=_allowed(files) if files.exists(MANIFEST) else {})

    def result(self) -> VerifyResult:
        if self.dropped:
            self.notes.append(f"… and {self.dropped:,} more hits")
        return VerifyResult(
            ok=not self.hits and not self.unread, tombstones=len(self.known.log.entries),
            hits=self.hits, unread=self.unread, notes=self.notes, files=self.files, bytes=self.bytes,
            pictures=self.known.pictures, seconds=time.perf_counter() - self.begun,
        )  # fmt: skip

    def _rows(self, files: LocalFiles) -> None:
        """What plan, marks and ledger still say of removed rows beside key and hashes."""
        dataset, plan = Dataset.open(files.root), load_plan(files)
        if plan is None:
            return
        check = removals.part_check(dataset, recipe_from(plan.recipe, origin=PLAN))
        for part, shards in by_part(dataset).items():
            try:
                for problem in check(part, shards):
                    self._hit(f"part {part}", Match("", problem, 0))
            except (*READ_ERRORS, KeyError, CurateError) as error:
                self.unread.append(f"part {part}: {str(error).splitlines()[0]}")

    def _walk(self, root: Path, prefix: str, *, allowed: dict[str, bool]) -> None:
        for folder, inner, names in os.walk(root, onerror=self._unlisted):
            inner.sort()
            for link in [name for name in inner if os.path.islink(os.path.join(folder, name))]:
                self.notes.append(f"{prefix}{link} is a link to a directory: not followed")
            for name in sorted(names):
                path = Path(folder, name)
                relative = path.relative_to(root).as_posix()
                logged = relative in LOGS or relative.startswith(f"{RECEIPTS}/")
                if relative != LOG:
                    named = not allowed.get(relative, logged and bool(allowed))
                    self._file(path, prefix + relative, names=named)

    def _unlisted(self, error: OSError) -> None:
        self.unread.append(f"{error.filename}: {error.strerror}")

    def _file(self, path: Path, name: str, *, names: bool) -> None:
        try:
            info = path.stat()
            if not stat.S_ISREG(info.st_mode):
                self.notes.append(f"{name} is no plain file: not read")
                return
            self.files += 1
            self.bytes += info.st_size
            for match in self.known.in_text(name.encode(errors="surrogateescape")):
                self._hit(name, Match("its name", match.what, match.line))
            if not info.st_size:
                return
            with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:  # fmt: skip
                for found in scan(self.known, data, name, names=names):
                    if isinstance(found, Unread):
                        self.unread.append(f"{name}: {found.why}")
                    else:
                        self._hit(name, found)
        except OSError as error:
            self.unread.append(f"{name}: {error.strerror}")

    def _hit(self, name: str, match: Match) -> None:
        hit = Hit(name, match.where, match.what, match.line or None)
        if name.startswith(f"{CORPUS}/") and len(self.notes) < MOST_HITS:
            self.notes.append(f"{hit}: the demo's own web, drawn again at each run")
        elif len(self.hits) < MOST_HITS:
            self.hits.append(hit)
        else:
            self.dropped += 1


def _allowed(files: LocalFiles) -> dict[str, bool]:
    """The shard files of a version, and whether keys and hashes of removed rows may stand there."""
    places = {("plan", "data"), ("ledger", "data"), ("images", "marks")}
    return {ATTRIBUTION_REQUESTS: True} | {
        entry.path: (layer.name, entry.role) in places
        for layer in load_manifest(files).layers
        for shard in layer.shards
        for entry in shard.files
    }


def lines_of(result: VerifyResult) -> Iterator[str]:
    """The hits as lines."""
    yield from (str(hit) for hit in result.hits)
