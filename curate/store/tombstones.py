"""The tombstone log: what was removed, as hashes, one line a picture, each bound to the line before.

TOMBSTONES.jsonl is written before anything is removed and read at every later ingest. It names
nobody, yet a hash of an address or a name can be found by guessing: treat the log as private.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

from curate.errors import MissingInput, StoreError
from curate.store.digest import bytes_sha256, canonical_json
from curate.store.files import LocalFiles

LOG: Final = "TOMBSTONES.jsonl"
RECEIPTS: Final = "removals"
STARTED: Final = ".started.json"
"""Ending of the file that says a removal began and has not ended, in RECEIPTS."""
FIRST: Final = "0" * 64
"""What the first line names as the line before it."""

Selector = Literal["key", "sha256", "url", "creator", "near"]


class Tombstone(BaseModel, frozen=True, extra="forbid"):
    """One line: a request (`found_by` is `request`), or a row that went because of it.

    `removal` is the sequence of the request. Hashes are hex sha256, of the canonical URL and of the
    creator's name (NFC, case folded, single blanks); `creator_sha256` stands in requests by creator
    only, since one picture's removal takes no other picture of its creator. `phash` (16 hex digits)
    and `thumbprint` (12 × 12 colours, base64) are what near copies are found by.
    """

    sequence: int = 0
    previous: str = FIRST
    removal: int = 0
    time: str
    selector: Selector
    reason: str
    found_by: str
    key: str | None = None
    original_sha256: str | None = None
    stored_sha256: str | None = None
    pixel_sha256: str | None = None
    url_sha256: str | None = None
    creator_sha256: str | None = None
    phash: str | None = None
    thumbprint: str | None = None

    @property
    def is_request(self) -> bool:
        return self.found_by == "request"

    @property
    def asked(self) -> list[str | None]:
        """What a request asks, without when and why: the same in a command that is repeated."""
        return [
            self.selector, self.key, self.original_sha256, self.pixel_sha256, self.url_sha256,
            self.creator_sha256,
        ]  # fmt: skip

    @property
    def print(self) -> tuple[int, bytes] | None:
        """phash and thumbprint as numbers and bytes, or None."""
        if self.phash is None or self.thumbprint is None:
            return None
        return int(self.phash, 16), base64.b64decode(self.thumbprint)

    def to_line(self) -> bytes:
        return canonical_json(self.model_dump(mode="json")) + b"\n"


def phash_text(phash: int) -> str:
    return f"{phash:016x}"


def thumbprint_text(thumbprint: bytes) -> str:
    return base64.b64encode(thumbprint).decode()


@dataclass(frozen=True)
class Log:
    """A chain of tombstones; `digests` holds the digest of each line."""

    entries: tuple[Tombstone, ...] = ()
    digests: tuple[str, ...] = ()

    @property
    def digest(self) -> str | None:
        """The digest of the last line, which names all before it; None for an empty log."""
        return self.digests[-1] if self.digests else None

    def upto(self, digest: str | None) -> Log:
        """The log as it was when `digest` was its last line's; raises StoreError if it never was."""
        if digest is None:
            return Log()
        if digest not in self.digests:
            raise StoreError(f"no line of the tombstone log has the digest {digest}")
        count = self.digests.index(digest) + 1
        return Log(self.entries[:count], self.digests[:count])

    def removal(self, number: int) -> list[Tombstone]:
        """The lines of one removal: requests first, then rows."""
        return [entry for entry in self.entries if entry.removal == number]

    def followed_by(self, new: Iterable[Tombstone]) -> Log:
        """The log with more lines, numbered and bound to those before."""
        entries, digests = list(self.entries), list(self.digests)
        for entry in new:
            place = {"sequence": len(entries) + 1, "previous": digests[-1] if digests else FIRST}
            entries.append(entry.model_copy(update=place))
            digests.append(bytes_sha256(entries[-1].to_line()))
        return Log(tuple(entries), tuple(digests))

    def to_bytes(self) -> bytes:
        return b"".join(entry.to_line() for entry in self.entries)


def parse_log(data: bytes, name: str = LOG) -> Log:
    """A log from its bytes; raises StoreError naming the first line that does not fit the chain."""
    entries: list[Tombstone] = []
    digests: list[str] = []
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            entry = Tombstone.model_validate_json(line)
        except ValidationError as error:
            told = str(error).splitlines()[0]
            raise StoreError(f"{name} line {number} is no tombstone: {told}") from error
        if line != entry.to_line():
            raise StoreError(f"{name} line {number} was edited: not the bytes that were written")
        if (entry.sequence, entry.previous) != (number, digests[-1] if digests else FIRST):
            raise StoreError(
                f"{name} line {number} does not follow the line before it: "
                f"a line was edited, dropped or put in"
            )
        entries.append(entry)
        digests.append(bytes_sha256(line))
    return Log(tuple(entries), tuple(digests))


def load_log(files: LocalFiles) -> Log:
    """The log of a dataset directory, empty if it has none; raises StoreError if it was edited."""
    return parse_log(files.read(LOG)) if files.exists(LOG) else Log()


def read_logs(paths: Sequence[str | Path]) -> Log:
    """One log from several files: the first as it is, the others' lines bound to it anew.

    Raises MissingInput if a file is not there, StoreError if one was edited.
    """
    whole = Log()
    for path in paths:
        file = Path(path)
        if file.is_dir():
            file = file / LOG
        if not file.is_file():
            raise MissingInput(f"tombstone log {file} does not exist: give the path of a {LOG}")
        log = parse_log(file.read_bytes(), str(file))
        whole = log if not whole.entries else whole.followed_by(_renumbered(whole, log))
    return whole


def _renumbered(before: Log, log: Log) -> Iterator[Tombstone]:
    """Lines that `before` does not hold yet, with the removal numbers they get behind it."""
    held, skipped = set(before.digests), 0
    for digest, entry in zip(log.digests, log.entries, strict=True):
        if digest in held:
            skipped += 1
            continue
        removal = entry.removal + len(before.entries) - skipped
        yield entry.model_copy(update={"removal": removal})


def write_log(files: LocalFiles, log: Log) -> None:
    """Put a longer log in the place of the one that is there, at once and synced to disk.

    Raises StoreError if what is there is not the beginning of `log`: another writer was faster.
    """
    if files.exists(LOG) and not log.to_bytes().startswith(files.read(LOG)):
        raise StoreError(f"{files.path(LOG)} was written by somebody else meanwhile: try again")
    files.publish(LOG, log.to_bytes())


def unfinished(files: LocalFiles) -> str | None:
    """Path of the note of a removal that began and did not end, or None."""
    return next(iter(files.list(RECEIPTS, STARTED)), None)


def read_note(files: LocalFiles, name: str) -> dict[str, object]:
    """A JSON object of this directory; raises StoreError if it is damaged."""
    try:
        value = json.loads(files.read(name))
    except ValueError as error:
        raise StoreError(f"{files.path(name)} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise StoreError(f"{files.path(name)} is damaged: not a JSON object")
    return value
