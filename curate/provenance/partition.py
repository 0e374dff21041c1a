"""Conservation, re-derived: for each part the plan's keys, followed through every layer.

The verdict of a row is worked out from the marks of the layers and compared with the ledger, as
key sets and value by value, never as counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.provenance.findings import compare_rows, compare_sets, flat
from curate.stage import REASONS
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

FACTS = [f.name for f in c.LEDGER if f.name not in (c.KEY.name, *c.MARKS.names)]


@dataclass
class Tally:
    """What the ledger and the marks add up to over all parts."""

    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    marked: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)

    def by(self, verdict: str) -> dict[str, int]:
        return {reason: n for (kind, reason), n in sorted(self.verdicts.items()) if kind == verdict}

    def add(self, other: Tally) -> None:
        """Count another part's rows too."""
        self.verdicts.update(other.verdicts)
        for layer, marked in other.marked.items():
            self.marked.setdefault(layer, Counter()).update(marked)

    @property
    def kept(self) -> int:
        return sum(self.by("kept").values())


def check_part(
    dataset: Dataset, part: str, shards: Mapping[str, Shard], tally: Tally
) -> Iterator[str]:
    """Problems of one part, given its shard in each layer; adds its rows to the tally."""
    keys = _keys(dataset, shards["plan"], "data")
    yield from _check_keys(part, keys)
    alive = keys
    marks: list[pa.Table] = []
    for name, shard in shards.items():
        if name in ("plan", "ledger"):
            continue
        marked = read_role(dataset, shard, "marks", None)
        tally.marked.setdefault(name, Counter()).update(
            _counted(marked, [c.STAGE.name, c.REASON.name])
        )
        data = _keys(dataset, shard, "data") if shard.file("data") else None
        dead = flat(marked[c.KEY.name])
        if data is not None:
            both = pa.concat_arrays([data, dead])
            yield from compare_sets(f"{name} {part}", "data and marks", both, alive)
        else:
            yield from compare_sets(f"{name} {part}", "rows alive", _union(alive, dead), alive)
        alive = alive.filter(pc.invert(pc.is_in(alive, value_set=dead)))
        marks.append(marked)
    derived = _derived_ledger(dataset, shards["images"], keys, marks)
    yield from _check_ledger(dataset, shards["ledger"], part, derived, tally)


def by_part(dataset: Dataset) -> dict[str, dict[str, Shard]]:
    """For each part its shard in each layer, in the manifest's order."""
    found: dict[str, dict[str, Shard]] = {}
    for layer in dataset.manifest.layers:
        for shard in layer.shards:
            found.setdefault(shard.part, {})[layer.name] = shard
    return found


def read_role(dataset: Dataset, shard: Shard, role: str, columns: Sequence[str] | None) -> pa.Table:
    """One file of a shard with the columns it has of those asked for; none gives an empty table."""
    entry = next((entry for entry in shard.files if entry.role == role), None)
    if entry is None:
        return pa.schema([c.KEY, *c.MARKS]).empty_table()
    have = dataset.schema(entry).names
    return dataset.read(entry, None if columns is None else [n for n in columns if n in have])


def _keys(dataset: Dataset, shard: Shard, role: str) -> pa.Array:
    return flat(read_role(dataset, shard, role, [c.KEY.name])[c.KEY.name])


def _union(alive: pa.Array, dead: pa.Array) -> pa.Array:
    """The living keys, and those of the dead that were not among them: none, if all is well."""
    return pa.concat_arrays([alive, dead.filter(pc.invert(pc.is_in(dead, value_set=alive)))])


def _counted(rows: pa.Table, names: Sequence[str]) -> Counter[tuple[str, str]]:
    """Rows by two columns; a missing value counts as an empty name."""
    told = rows.select(list(names)).group_by(list(names), use_threads=False)
    counts = told.aggregate([([], "count_all")])
    columns = (counts[name].to_pylist() for name in (*names, "count_all"))
    tally: Counter[tuple[str, str]] = Counter()
    for one, two, count in zip(*columns, strict=True):
        tally[one or "", two or ""] += count
    return tally


def _check_keys(part: str, keys: pa.Array) -> Iterator[str]:
    """Keys are sha256 in hexadecimal, in order, and lie in the range that the part names."""
    good = pc.match_substring_regex(keys, "^[0-9a-f]{64}$")
    for key in keys.filter(pc.invert(good)).to_pylist():
        yield f"plan {part}: {key!r} is not a key"
    plain = keys.filter(good)
    if pc.any(pc.greater(plain[:-1], plain[1:])).as_py():
        yield f"plan {part}: keys are not in order"
    bits = part.rpartition("-")[0]
    if bits == "all" or not len(plain):
        return
    low, high = key_range(bits)
    heads = pc.utf8_slice_codeunits(plain, 0, 16)
    outside = pc.or_(pc.less(heads, low), pc.greater(heads, high))
    for key in plain.filter(outside).to_pylist():
        yield f"plan {part}: row {key} is outside the part's range"


def key_range(bits: str) -> tuple[str, str]:
    """The first 16 hexadecimal digits of the lowest and the highest key that begin with the bits."""
    low, high = (f"{int(bits.ljust(64, fill), 2):016x}" for fill in "01")
    return low, high


def _derived_ledger(
    dataset: Dataset, images: Shard, keys: pa.Array, marks: Sequence[pa.Table]
) -> pa.Table:
    """The ledger rows that marks and data of this part call for, in key order."""
    facts = [
        read_role(dataset, images, "data", [c.KEY.name, *FACTS]),
        read_role(dataset, images, "marks", None),
    ]
    told = pa.concat_tables([_only(table, [c.KEY.name, *FACTS]) for table in facts])
    columns = [c.KEY.name, *c.MARKS.names]
    first = (
        pa.concat_tables([_only(table, columns) for table in marks]) if marks else told.slice(0, 0)
    )
    fact_rows = pc.index_in(keys, value_set=flat(told[c.KEY.name]))
    mark_rows = pc.index_in(keys, value_set=flat(first[c.KEY.name]))
    made = {name: told[name].take(fact_rows) for name in FACTS}
    made |= {name: first[name].take(mark_rows) for name in c.MARKS.names}
    made[c.VERDICT.name] = pc.fill_null(made[c.VERDICT.name], "kept")
    return pa.table(
        [keys if f.name == c.KEY.name else made[f.name] for f in c.LEDGER], schema=c.LEDGER
    )


def _only(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The named columns of a table, null where it lacks them, typed as in the ledger."""
    fields = [c.LEDGER.field(name) for name in names]
    arrays = [
        table[f.name] if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in fields
    ]
    return pa.table(arrays, schema=pa.schema(fields))


def _check_ledger(
    dataset: Dataset, shard: Shard, part: str, derived: pa.Table, tally: Tally
) -> Iterator[str]:
    stored = read_role(dataset, shard, "data", c.LEDGER.names)
    keys, want = flat(stored[c.KEY.name]), flat(derived[c.KEY.name])
    where = f"ledger {part}"
    yield from compare_sets(where, "ledger", keys, want)
    _count(stored, tally)
    yield from _check_reasons(where, stored)
    shared = keys.filter(pc.is_in(keys, value_set=want))
    mine = stored.take(pc.index_in(shared, value_set=keys))
    theirs = derived.take(pc.index_in(shared, value_set=want))
    yield from compare_rows(where, shared, mine, theirs, c.LEDGER.names[1:])


def count_ledger(dataset: Dataset, shard: Shard, tally: Tally) -> None:
    """Add the verdicts of one ledger file to the tally."""
    _count(read_role(dataset, shard, "data", [c.VERDICT.name, c.REASON.name]), tally)


def _count(ledger: pa.Table, tally: Tally) -> None:
    tally.verdicts.update(_counted(ledger, [c.VERDICT.name, c.REASON.name]))


def _check_reasons(where: str, stored: pa.Table) -> Iterator[str]:
    """Kept rows have no reason, the others one of the closed set."""
    names = [c.VERDICT.name, c.REASON.name]
    for row in stored.select(names).group_by(names, use_threads=False).aggregate([]).to_pylist():
        verdict, reason = row["verdict"], row["reason"]
        if verdict not in ("kept", "rejected", "failed"):
            yield f"{where}: verdict {verdict!r} is none of kept, rejected, failed"
        elif (verdict == "kept") != (reason is None):
            yield f"{where}: verdict {verdict!r} with reason {reason!r}"
        elif reason is not None and reason.partition(":")[0] not in REASONS:
            yield f"{where}: reason {reason!r} is not in the closed set"
