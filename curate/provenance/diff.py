"""What changed between two datasets, row by row, and why: verdicts, reasons, licences, settings.

Both are read range by range of keys, so memory holds one range of each: the larger of two shards
(with the licence groups of its range), without pictures and features.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.errors import StoreError
from curate.provenance.diff_recipe import differing_settings
from curate.provenance.diff_rows import own_changes, parts_of
from curate.store.dataset import Dataset

Kind = Literal[
    "entered", "left", "relicensed", "other evidence", "other picture", "other captions",
    "other metadata", "other verdict",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
COLUMNS: Final = tuple(
    f.name
    for f in (c.KEY, c.VERDICT, c.REASON, c.STAGE, c.LICENSE, c.EVIDENCE_LEVEL, c.ORIGINAL_SHA256,
              c.STORED_SHA256)
)  # fmt: skip
EXAMPLES: Final = 5
"""Keys named for each cause; `changes` gives them all."""
ABSENT: Final = "no candidate"


@dataclass(frozen=True)
class Change:
    """One row that is not the same in both: what kind of change, and the cause in words."""

    key: str
    kind: Kind
    why: str


@dataclass(frozen=True)
class Cause:
    """How many rows changed in one way for one reason, with the first of their keys."""

    kind: Kind
    why: str
    rows: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Diff:
    """The difference from one dataset to another. `equal` compares what the digests cover.

    `settings` are recipe settings, inputs, models and software that differ, each as (name, before,
    after); `removed` counts rows of the second that a removal took out and the first still had.
    """

    before: str
    after: str
    equal: bool
    kept: tuple[int, int]
    unchanged: int
    removed: int
    causes: tuple[Cause, ...]
    settings: tuple[tuple[str, str, str], ...] = field(default=())

    def rows(self, kind: Kind) -> int:
        """Rows that changed in one way."""
        return sum(cause.rows for cause in self.causes if cause.kind == kind)

    def to_json(self) -> str:
        """The difference as a JSON object with the names of the fields."""
        counts = {kind: self.rows(kind) for kind in KINDS}
        return json.dumps({**asdict(self), "rows": counts}, indent=1, ensure_ascii=False)

    def to_text(self) -> str:
        """The difference for a person: what entered, left and changed, and why."""
        head = f"{self.before[:16]} → {self.after[:16]}: kept {self.kept[0]:,} → {self.kept[1]:,}"
        lines = [head, "equal: every row, verdict and column is the same"] if self.equal else [head]
        for kind in KINDS:
            if rows := self.rows(kind):
                lines.append(f"{kind}: {rows:,}")
                lines += (_shown(cause) for cause in self.causes if cause.kind == kind)
        if self.removed:
            lines.append(f"removed on request (in the tombstone log): {self.removed:,}")
        if not self.equal:
            lines.append(f"kept unchanged: {self.unchanged:,}")
            if not self.causes:
                lines.append(
                    "no row's verdict, licence, picture, captions or metadata differs; features do"
                )
        if self.settings:
            lines.append("what differs in how they were made:")
            lines += (f"  {name}: {old} → {new}" for name, old, new in self.settings)
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()


def diff(a: str | Path, b: str | Path) -> Diff:
    """The difference from dataset `a` to dataset `b`.

    Raises MissingInput if one is no finished dataset, StoreError if one is damaged.
    """
    one, two = Dataset.open(a), Dataset.open(b)
    rows: Counter[tuple[Kind, str]] = Counter()
    keys: dict[tuple[Kind, str], list[str]] = {}
    removed = 0
    if not _same(one, two):
        for change in _changes(one, two):
            rows[change.kind, change.why] += 1
            removed += change.kind == "left" and "rejected: removed" in change.why
            named = keys.setdefault((change.kind, change.why), [])
            if len(named) < EXAMPLES:
                named.append(change.key)
    kept = (one.manifest.counts.kept, two.manifest.counts.kept)
    causes = [Cause(*cause, rows[cause], tuple(keys[cause])) for cause in rows]
    causes.sort(key=lambda cause: (KINDS.index(cause.kind), -cause.rows, cause.why))
    still = sum(n for (kind, _), n in rows.items() if kind not in ("entered", "other verdict"))
    return Diff(
        before=one.manifest.dataset_digest, after=two.manifest.dataset_digest,
        equal=_same(one, two), kept=kept, unchanged=kept[0] - still, removed=removed,
        causes=tuple(causes), settings=tuple(differing_settings(one, two)),
    )  # fmt: skip


def changes(a: str | Path, b: str | Path) -> Iterator[Change]:
    """Every row that changed from dataset `a` to dataset `b`, range by range in key order."""
    return _changes(Dataset.open(a), Dataset.open(b))


def _same(one: Dataset, two: Dataset) -> bool:
    return one.manifest.dataset_digest == two.manifest.dataset_digest


def _shown(cause: Cause) -> str:
    named = ", ".join(key[:24] for key in cause.keys)  # repeats of a key share its first 16
    more = ", …" if cause.rows > len(cause.keys) else ""
    return f"  {cause.rows:,} {cause.why} ({named}{more})"


def _changes(one: Dataset, two: Dataset) -> Iterator[Change]:
    before, after = _by_range(one), _by_range(two)
    for bits in _common_ranges(before, after):
        left, right = _rows(one, before, bits), _rows(two, after, bits)
        found = list(_compare(left, right))
        judged = {change.key for change in found}
        kept = [key for key in _kept_in_both(left, right) if key not in judged]
        sides = ((one, parts_of(one, bits)), (two, parts_of(two, bits)))
        found += (_own_change(*each) for each in own_changes(*sides, kept))
        yield from sorted(found, key=attrgetter("key"))


def _own_change(key: str, names: tuple[str, ...]) -> Change:
    """A change of what a row says of itself: its captions first, for they are what is trained on."""
    kind: Kind = "other captions" if c.CAPTIONS.name in names else "other metadata"
    return Change(key, kind, f"other {', '.join(names)}")


def _kept_in_both(left: pa.Table, right: pa.Table) -> list[str]:
    keys = [
        t.filter(pc.equal(t[c.VERDICT.name], "kept"))[c.KEY.name].combine_chunks()
        for t in (left, right)
    ]
    both: list[str] = keys[0].filter(pc.is_in(keys[0], value_set=keys[1])).to_pylist()
    return both


def _by_range(dataset: Dataset) -> dict[str, list[str]]:
    """Ledger files by the leading bits of their keys, empty for the whole range."""
    found: dict[str, list[str]] = {}
    for shard in dataset.layer("ledger").shards:
        bits = shard.part.rpartition("-")[0].removeprefix("all")
        entry = shard.file("data")
        if entry is None or set(bits) - {"0", "1"}:
            raise StoreError(f"ledger part {shard.part!r} is not named by a range of keys")
        found.setdefault(bits, []).append(entry.path)
    return found


def _common_ranges(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The ranges of both, without those that lie inside a wider one."""
    ranges: list[str] = []
    for bits in sorted({*before, *after}):
        if not (ranges and bits.startswith(ranges[-1])):
            ranges.append(bits)
    return ranges


def _rows(dataset: Dataset, parts: Mapping[str, list[str]], bits: str) -> pa.Table:
    """The verdicts of a range, sorted by key."""
    paths = {path for own, names in parts.items() if own.startswith(bits) for path in names}
    entries = [e for s in dataset.layer("ledger").shards if (e := s.file("data"))]
    tables = [dataset.read(entry, COLUMNS) for entry in entries if entry.path in paths]
    schema = pa.schema([(f.name, f.type) for f in c.LEDGER if f.name in COLUMNS])
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default").sort_by(
        "key"
    )


def _compare(one: pa.Table, two: pa.Table) -> Iterator[Change]:
    """The changes between two tables of verdicts; equal rows are passed without a look."""
    keys = pa.concat_arrays([one["key"].combine_chunks(), two["key"].combine_chunks()]).unique()
    keys = keys.take(pc.sort_indices(keys))
    left, right = (
        t.take(pc.index_in(keys, value_set=t["key"].combine_chunks())) for t in (one, two)
    )
    same = pa.array([True] * len(keys))
    for name in COLUMNS:
        same = pc.and_(same, _equal(left[name].combine_chunks(), right[name].combine_chunks()))
    rows = pc.invert(same)
    picked = keys.filter(rows).to_pylist()
    pairs = zip(left.filter(rows).to_pylist(), right.filter(rows).to_pylist(), strict=True)
    for key, (was, now) in zip(picked, pairs, strict=True):
        yield from _judged(key, was, now)


def _equal(left: pa.Array, right: pa.Array) -> pa.Array:
    """Row by row, null equal to null."""
    both = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(both, pc.fill_null(pc.equal(left, right), False))


def _judged(key: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    before, after = _verdict(was), _verdict(now)
    if before != "kept" and after == "kept":
        yield Change(key, "entered", f"was {before}")
    elif before == "kept" and after != "kept":
        yield Change(key, "left", f"now {after}")
    elif before != after:
        yield Change(key, "other verdict", f"{before} → {after}")
    elif before == "kept":
        yield from _kept(key, was, now)


def _kept(key: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """One change of a row that is kept in both: its licence first, for that is what is asked of us."""
    if was["license"] != now["license"]:
        yield Change(
            key,
            "relicensed",
            f"{was['license'] or 'not audited'} → {now['license'] or 'not audited'}",
        )
    elif was["evidence_level"] != now["evidence_level"]:
        yield Change(key, "other evidence", f"L{was['evidence_level']} → L{now['evidence_level']}")
    elif was["original_sha256"] != now["original_sha256"]:
        yield Change(key, "other picture", "the source gave other bytes")
    elif was["stored_sha256"] != now["stored_sha256"]:
        yield Change(key, "other picture", "the same bytes, encoded otherwise")


def _verdict(row: Mapping[str, Any]) -> str:
    """A verdict in words: kept, `rejected: reason (stage)`, or that there was no such candidate."""
    if row["verdict"] is None:
        return ABSENT
    if row["verdict"] == "kept":
        return "kept"
    return f"{row['verdict']}: {row['reason']} ({row['stage']})"
