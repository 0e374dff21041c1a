"""What rights holders said against a use and what became of it: reserved, contradicted, removed.

And what the recipe accepts by name, with the kept rows that rest on it. Counted from narrow columns,
one part at a time; removals are told by version, rows and digest, never by the words of a request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.provenance.accepted import Unhonoured, accepted, recipe_exceptions
from curate.provenance.licensing import counted
from curate.provenance.receipt import load_receipts, receipt_path
from curate.recipe import FIRST_LAYER
from curate.store.dataset import Dataset
from curate.store.tombstones import LOG, load_log

CONFLICT: Final = "license:embedded_conflict"
REMOVED: Final = "removed"
_RESERVED: Final = ("reservation:", "reservation_unknown:")
_SAID: Final = {
    "silent": "say nothing of a licence",
    "corroborates": "name the licence that was claimed for them",
    "other_version": "name another version or port of it",
    "reserved_below": "reserve all rights, on a lower rung than the claim",
    "contradicts": "contradict it",
}
_BY: Final = (c.LICENSE.name, c.LICENSE_BASIS.name, c.EVIDENCE_LEVEL.name)


@dataclass(frozen=True)
class Removal:
    """One removal: the version it made, the rows it took (none if nothing was found), the path of its
    receipt, and the digest of its last line in the log, which the receipt names."""

    number: int
    version: int
    rows: int
    day: str
    receipt: str
    digest: str


@dataclass(frozen=True)
class Rights:
    """Counts of rows by what was said of their rights; every pair is (name, rows)."""

    lines: tuple[str, ...]
    accepted: tuple[tuple[str, int], ...]
    reserved: tuple[tuple[str, int], ...]
    contradicted: int
    said: tuple[tuple[str, int], ...]
    removed: int
    removals: tuple[Removal, ...]


def rights(dataset: Dataset) -> Rights:
    """Read ledger counts, kept rows and receipts. Raises StoreError if log or receipt was edited."""
    counts = dataset.manifest.counts
    reasons = Counter(counts.rejected) + Counter(counts.failed)
    reserved = {reason: n for reason, n in reasons.items() if reason.startswith(_RESERVED)}
    taken, said = _kept(dataset)
    return Rights(
        lines=recipe_exceptions(dataset),
        accepted=tuple(taken.most_common()),
        reserved=tuple(sorted(reserved.items(), key=lambda item: (-item[1], item[0]))),
        contradicted=reasons[CONFLICT],
        said=tuple((_SAID.get(name, name), rows) for name, rows in said.most_common()),
        removed=reasons[REMOVED],
        removals=tuple(_removals(dataset)),
    )


def _kept(dataset: Dataset) -> tuple[Counter[str], Counter[str]]:
    """Kept rows by the line of the recipe they rest on, and by what their pictures say."""
    taken, said = Counter[str](), Counter[str]()
    parts = [shard for shard in dataset.layer(FIRST_LAYER).shards if shard.file("data")]
    first = next((entry for shard in parts if (entry := shard.file("data"))), None)
    have = set(dataset.schema(first).names) if first else set()
    own = (c.KEY.name, c.EMBEDDED_RESERVATIONS.name, c.EMBEDDED_AGREES.name)
    unhonoured = Unhonoured(dataset)
    tables = dataset.kept(FIRST_LAYER, [name for name in (*own, *_BY) if name in have])
    for shard, table in zip(parts, tables, strict=True):
        taken += _taken(table)
        for seen in unhonoured.of(shard, table[c.KEY.name].to_pylist()).values():
            taken.update(each.setting for each in seen)
        if c.EMBEDDED_AGREES.name in have:
            for row in counted(table, [c.EMBEDDED_AGREES.name]):
                said[row[c.EMBEDDED_AGREES.name] or "silent"] += row["count_all"]
    return taken, said


def _taken(table: pa.Table) -> Counter[str]:
    """What rows rest on by their own columns; equal ones are asked once."""
    found = Counter[str]()
    names = [name for name in _BY if name in table.column_names]
    for row in counted(table, names) if names else ():
        for each in accepted(row):
            found[each.setting] += row["count_all"]
    reserved = c.EMBEDDED_RESERVATIONS.name
    if reserved in table.column_names:
        some = pc.fill_null(pc.greater(pc.list_value_length(table[reserved]), 0), False)
        for row in table.filter(some).select([reserved]).to_pylist():
            found.update(each.setting for each in accepted(row))
    return found


def _removals(dataset: Dataset) -> Iterator[Removal]:
    """From the log, which is whole before a removal writes its pages; the receipt comes after them."""
    if not dataset.files.exists(LOG):  # it is private, and may stay behind when data is handed on
        return
    log = load_log(dataset.files).upto(dataset.manifest.tombstones)
    versions = {told.removal: told.after.version for told in load_receipts(dataset.files)}
    for number in dict.fromkeys(entry.removal for entry in log.entries):
        lines = log.removal(number)
        rows = [line for line in lines if not line.is_request]
        yield Removal(
            number, versions.get(number, dataset.manifest.version), len(rows), lines[0].time[:10],
            receipt_path(number), log.digests[lines[-1].sequence - 1],
        )  # fmt: skip
