"""Removals under audit: the log's chain, every receipt, and that nothing removed is left or back.

The log must be the one that the manifest names; each request in it must have its receipt, linked to
the versions before and after; each row in it must be erased; no row that lives may be one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.errors import StoreError
from curate.plan import PLAN, Plan
from curate.provenance.findings import flat
from curate.provenance.partition import read_role
from curate.provenance.receipt import Receipt, load_receipt, receipt_path
from curate.provenance.same_picture import Measure
from curate.recipe import FIRST_LAYER, Recipe
from curate.shards import KEPT_OF_REMOVED
from curate.sources.removed import LEFT, REMOVED, Sought
from curate.stages.tombstones import removed_rows
from curate.store.dataset import Dataset
from curate.store.manifest import MANIFEST, Shard
from curate.store.tombstones import LOG, RECEIPTS, STARTED, Log, Tombstone, load_log, unfinished

Check = Callable[[str, Mapping[str, Shard]], Iterator[str]]
PRINTED = (c.KEY, c.ORIGINAL_SHA256, c.STORED_SHA256, c.PIXEL_SHA256, c.PHASH, c.THUMBPRINT)


def check_log(dataset: Dataset, plan: Plan, recipe: Recipe) -> Iterator[str]:
    """A problem for each removal that log, receipts and versions do not prove."""
    note = unfinished(dataset.files)
    if note is not None:
        yield f"{note}: a removal was not finished: `curate remove OUT --finish` ends it"
    try:
        log = load_log(dataset.files)
    except StoreError as error:
        yield str(error)
        return
    if log.digest != dataset.manifest.tombstones:
        yield (
            f"{LOG} has {len(log.entries)} lines and the digest {log.digest}, {MANIFEST} names "
            f"{dataset.manifest.tombstones}: lines were dropped or added"
        )
        return
    stage = recipe.tombstone_stage
    yield from _check_versions(dataset, plan, log, stage.digest if stage else None)


def part_check(dataset: Dataset, recipe: Recipe) -> Check:
    """What checks the rows of one part against the log: erased where named, and none alive."""
    try:
        sought = Sought.of(load_log(dataset.files))
    except StoreError:  # said by check_log
        return lambda part, shards: iter(())
    measure, own = Measure.of(recipe), recipe.tombstone_stage is None

    def check(part: str, shards: Mapping[str, Shard]) -> Iterator[str]:
        yield from _check_erased(dataset, part, shards, sought, own=own)
        if sought.entries:
            yield from _check_living(dataset, part, shards, sought, measure)

    return check


def told(dataset: Dataset) -> str | None:
    """What the audit looked at, in a line; None for a dataset that nothing was removed from."""
    try:
        log = load_log(dataset.files)
    except StoreError:
        return None
    if not log.entries:
        return None
    rows = sum(not entry.is_request for entry in log.entries)
    return (
        f"tombstone log of {rows:,} rows: its chain, receipts, and no living row near any of them"
    )


# --- log, receipts, versions ----------------------------------------------------------------------
def _check_versions(dataset: Dataset, plan: Plan, log: Log, adopted: str | None) -> Iterator[str]:
    """Own removals each have a receipt, and the receipts lead from version to version."""
    manifest = dataset.manifest
    for name, stored, planned in (
        ("version", manifest.version, plan.version),
        ("previous", manifest.previous, plan.previous),
    ):
        if stored != planned:
            yield f"{MANIFEST}: {name} is {stored!r}, {PLAN} says {planned!r}"
    try:
        own = log.entries[len(log.upto(adopted).entries) :]
    except StoreError:
        yield f"{LOG} does not begin with the log that the recipe names: lines were taken out"
        return
    numbers = sorted({entry.removal for entry in own})
    yield from _check_names(dataset, numbers)
    receipts = []
    for number in numbers:
        path = receipt_path(number)
        if not dataset.files.exists(path):
            yield f"{path} is missing: removal {number} has no receipt"
            continue
        try:
            receipt = load_receipt(dataset.files, path)
        except StoreError as error:
            yield str(error)
            continue
        yield from _check_receipt(dataset, path, receipt, log)
        receipts.append(receipt)
    if len(receipts) == len(numbers):
        yield from _check_links(dataset, receipts)


def _check_names(dataset: Dataset, numbers: list[int]) -> Iterator[str]:
    wanted = {receipt_path(number) for number in numbers}
    for path in dataset.files.list(RECEIPTS, ".json"):
        if path not in wanted and not path.endswith(STARTED):
            yield f"{path}: the log holds no such removal"


def _check_receipt(dataset: Dataset, path: str, receipt: Receipt, log: Log) -> Iterator[str]:
    lines = log.removal(receipt.removal)
    rows = sum(not line.is_request for line in lines)
    if receipt.rows != rows:
        yield f"{path}: rows is {receipt.rows}, the log holds {rows} of this removal"
    if receipt.tombstones != log.digests[lines[-1].sequence - 1]:
        yield f"{path}: tombstones is not the digest of the log's line {lines[-1].sequence}"
    if receipt.reason != lines[0].reason or receipt.time != lines[0].time:
        yield f"{path}: reason or time are not those of the log"
    named = {e.path for layer in dataset.manifest.layers for s in layer.shards for e in s.files}
    for file in receipt.deleted:
        if file.path not in named and dataset.files.exists(file.path):
            yield f"{file.path}: {path} says that it was deleted, it is there"


def _check_links(dataset: Dataset, receipts: list[Receipt]) -> Iterator[str]:
    manifest = dataset.manifest
    if manifest.version != 1 + len(receipts):
        yield f"{MANIFEST}: version is {manifest.version}, there are {len(receipts)} removals"
    last = receipts[-1] if receipts else None
    expected = last.before.manifest_digest if last else None
    if manifest.previous != expected:
        yield f"{MANIFEST}: previous is {manifest.previous}, the last receipt says {expected}"
    if last and last.after.dataset_digest != manifest.dataset_digest:
        yield (
            f"{receipt_path(last.removal)}: after is {last.after.dataset_digest}, "
            f"the dataset is {manifest.dataset_digest}"
        )
    for one, two in pairwise(receipts):
        if one.after.dataset_digest != two.before.dataset_digest:
            yield (
                f"{receipt_path(two.removal)}: it begins with another version than "
                f"{receipt_path(one.removal)} ends with"
            )


# --- rows -----------------------------------------------------------------------------------------
def _check_erased(
    dataset: Dataset, part: str, shards: Mapping[str, Shard], sought: Sought, *, own: bool
) -> Iterator[str]:
    """Rows that the log names keep nothing but key, source and hashes, and no others say removed."""
    plan = read_role(dataset, shards["plan"], "data", [c.KEY.name, c.DEFECT.name])
    keys = flat(plan[c.KEY.name])
    named = pc.is_in(keys, value_set=pa.array(sorted(sought.keys), pa.string()))
    says = pc.fill_null(pc.equal(plan[c.DEFECT.name], REMOVED), False)
    for key in keys.filter(pc.and_not(named, says)).to_pylist():
        yield f"plan {part}: row {key} is in {LOG}, its defect does not say {REMOVED!r}"
    for key in keys.filter(pc.and_not(says, named)).to_pylist() if own else ():
        yield f"plan {part}: row {key} says {REMOVED!r}, {LOG} does not name it"
    gone = pc.or_(named, says)
    if pc.any(gone).as_py():
        plan = read_role(dataset, shards["plan"], "data", None)
        yield from _left(f"plan {part}", plan.filter(gone), frozenset(LEFT))
    marks = read_role(dataset, shards[FIRST_LAYER], "marks", [c.KEY.name, c.REASON.name])
    gone = pc.fill_null(pc.equal(marks[c.REASON.name], REMOVED), False)
    if pc.any(gone).as_py():
        marks = read_role(dataset, shards[FIRST_LAYER], "marks", None)
        yield from _left(f"{FIRST_LAYER} {part}", marks.filter(gone), KEPT_OF_REMOVED)


def _left(where: str, rows: pa.Table, allowed: frozenset[str]) -> Iterator[str]:
    """A problem for each value that a removed row still has."""
    for name in rows.column_names:
        if name in allowed or rows[name].null_count == len(rows):
            continue
        for key in rows.filter(pc.is_valid(rows[name]))[c.KEY.name].to_pylist():
            yield f"{where}: row {key} was removed, its {name} was not erased"


def _check_living(
    dataset: Dataset, part: str, shards: Mapping[str, Shard], sought: Sought, measure: Measure
) -> Iterator[str]:
    """No row of the first layer's data is one that the log names, or near it."""
    rows = read_role(dataset, shards[FIRST_LAYER], "data", [*_NAMES, *(f.name for f in PRINTED)])
    for key in flat(rows[c.KEY.name]).filter(sought.candidates(rows)).to_pylist():
        yield f"{FIRST_LAYER} {part}: row {key} is back: {LOG} names its key, address or creator"
    for field in PRINTED:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    judged = removed_rows(
        rows, sought, near_bits=measure.near_bits, near_rgb=measure.near_rgb, stage="audit"
    )
    hit = judged.filter(pc.is_valid(judged[c.REASON.name]))
    for key, how in zip(*(hit[f.name].to_pylist() for f in (c.KEY, c.MEASURED_TEXT)), strict=True):
        yield f"{FIRST_LAYER} {part}: row {key} is back: {LOG} knows its picture ({how})"


_NAMES = (c.URL.name, c.CREATOR.name, c.CREATOR_URL.name)


def entries_of(log: Log, key: str) -> list[Tombstone]:
    """The lines that name a row, for its story."""
    return [entry for entry in log.entries if entry.key == key and not entry.is_request]
