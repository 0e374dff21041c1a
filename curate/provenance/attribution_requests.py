"""Licensors who ask that their credit be taken out: a log of requests, which every page honours.

CC 4.0 section 3(a)(3) and section 4(a) of the earlier versions give them that right; the picture
stays. The log is append-only and hash-chained, holds keys and hashes only, and no shard changes.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import pyarrow.compute as pc

from curate import columns as c
from curate.errors import MissingInput, RecipeError, StoreError
from curate.store.dataset import Dataset
from curate.store.digest import bytes_sha256, json_digest
from curate.store.files import LocalFiles

LOG: Final = "ATTRIBUTION-REQUESTS.jsonl"
FIRST: Final = "0" * 64
_FIELDS: Final = frozenset({"number", "key", "reason_sha256", "at", "previous", "digest"})


def withhold(path: str | Path, key: str, *, reason: str) -> str:
    """Take the credit of a kept picture out of every page, now and in later versions; returns the key.

    `key` is whole, or the beginning of one key. `reason` is the request in your own words: the log
    keeps its sha256 only. The pages are written again; the report is the caller's. Raises
    MissingInput if no kept row has the key, RecipeError if several have or the reason is empty.
    """
    from curate.provenance.pages import seal, write_pages

    dataset = Dataset.open(path)
    if not reason.strip():
        raise RecipeError("a request needs a reason: who asked, when, and under which clause")
    found = _kept_key(dataset, key.strip().lower())
    if found not in withheld(dataset):
        _append(dataset.files.path(LOG), found, reason)
    write_pages(dataset, dataset.root)
    seal(dataset)
    return found


def withheld(dataset: Dataset) -> frozenset[str]:
    """Keys whose credit may not be given. Raises StoreError if the log was edited."""
    problems = list(check_requests(dataset.files))
    if problems:
        raise StoreError(problems[0])
    return frozenset(entry["key"] for entry in _entries(dataset.files))


def check_requests(files: LocalFiles) -> Iterator[str]:
    """A sentence for each line of the log that does not follow from the one before it."""
    previous = FIRST
    try:
        entries = list(_entries(files))
    except ValueError as error:
        yield f"{LOG} is damaged: {error}"
        return
    for number, entry in enumerate(entries, 1):
        body = {name: value for name, value in entry.items() if name != "digest"}
        sound = set(entry) == _FIELDS and entry["digest"] == json_digest(body)
        if not sound or entry["number"] != number or entry["previous"] != previous:
            yield f"{LOG}: line {number} was edited, or a line before it is gone"
            return
        previous = entry["digest"]


def _entries(files: LocalFiles) -> Iterator[dict[str, Any]]:
    """The lines of the log; an append that never ended is no line."""
    if not files.exists(LOG):
        return
    for line in files.read(LOG).split(b"\n")[:-1]:
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise ValueError("a line is no JSON object")
        yield entry


def _append(path: Path, key: str, reason: str) -> None:
    """One more line, under a lock, on the disk before this returns."""
    with path.open("a+b") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        problems = list(check_requests(LocalFiles(path.parent)))
        if problems:
            raise StoreError(problems[0])
        _drop_unfinished(log)
        before = list(_entries(LocalFiles(path.parent)))
        body = {
            "number": len(before) + 1, "key": key, "reason_sha256": bytes_sha256(reason.encode()),
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "previous": before[-1]["digest"] if before else FIRST,
        }  # fmt: skip
        line = json.dumps({**body, "digest": json_digest(body)}, sort_keys=True)
        log.write(line.encode() + b"\n")
        log.flush()
        os.fsync(log.fileno())


def _drop_unfinished(log: IO[bytes]) -> None:
    log.seek(0)
    data = log.read()
    log.truncate(data.rfind(b"\n") + 1)
    log.seek(0, os.SEEK_END)


def _kept_key(dataset: Dataset, beginning: str) -> str:
    found: list[str] = []
    for table in dataset.tables("ledger", [c.KEY.name, c.VERDICT.name]):
        fits = pc.and_(
            pc.starts_with(table[c.KEY.name], beginning), pc.equal(table[c.VERDICT.name], "kept")
        )
        found += table.filter(fits)[c.KEY.name].to_pylist()
    if not beginning or not found:
        raise MissingInput(f"{dataset.root} keeps no row with the key {beginning!r}")
    if len(found) > 1:
        raise RecipeError(f"{beginning!r} begins {len(found)} keys: give more of it")
    return found[0]
