"""Which kept rows a recheck looks at: a seeded sample, in proportion to sources and licences.

The same seed draws the same rows of the same dataset. Memory grows with the sample and the number
of (source, licence) pairs, not with the dataset.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.recipe import FIRST_LAYER
from curate.store.dataset import Dataset

Stratum = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a kept row and can be asked for again."""

    key: str
    source: str
    source_id: str | None
    url: str | None
    landing_url: str | None
    license: str | None
    original_sha256: str | None
    claims: tuple[Mapping[str, Any], ...]
    reservations: str | None = None
    """What was asked about reservations when it was taken (columns.RESERVATIONS)."""


def kept_rows(dataset: Dataset, *, sample: int, seed: int) -> tuple[list[Row], int]:
    """The sampled rows in key order, and how many rows the dataset keeps. All if `sample` is more."""
    first, counts = _first(dataset, sample, seed)
    chosen: set[str] = set()
    for stratum, share in _shares(counts, sample).items():
        chosen.update(key for _, key in heapq.nlargest(share, first[stratum]))
    return sorted(_read(dataset, chosen), key=lambda row: row.key), sum(counts.values())


def _first(
    dataset: Dataset, sample: int, seed: int
) -> tuple[dict[Stratum, list[tuple[int, str]]], Counter[Stratum]]:
    """Of each stratum the rows that a seeded hash puts first, and how many there are."""
    first: dict[Stratum, list[tuple[int, str]]] = defaultdict(list)
    counts: Counter[Stratum] = Counter()
    for table in _kept(dataset, [c.KEY, c.SOURCE, c.LICENSE]):
        for row in table.to_pylist():
            stratum = (row["source"] or "", row["license"] or "")
            counts[stratum] += 1
            entry = (_place(row["key"], seed), row["key"])
            if len(first[stratum]) < sample:
                heapq.heappush(first[stratum], entry)
            else:
                heapq.heappushpop(first[stratum], entry)
    return first, counts


def _place(key: str, seed: int) -> int:
    """Negative, so that a heap's smallest entry is the one to go."""
    drawn = hashlib.sha256(f"{seed}\0{key}".encode()).digest()
    return -int.from_bytes(drawn[:8], "big")


def _shares(counts: Mapping[Stratum, int], sample: int) -> dict[Stratum, int]:
    """How many rows of each stratum: one of each as far as it goes, the rest by largest remainder."""
    whole = sum(counts.values())
    if sample >= whole:
        return dict(counts)
    order = sorted(counts, key=lambda stratum: (-counts[stratum], stratum))
    shares = {stratum: int(place < sample) for place, stratum in enumerate(order)}
    left, others = sample - sum(shares.values()), whole - len(order)
    if left <= 0:
        return shares
    exact = {stratum: left * (counts[stratum] - 1) / others for stratum in order}
    for stratum in order:
        shares[stratum] += int(exact[stratum])
    by_remainder = sorted(order, key=lambda s: (int(exact[s]) - exact[s], s))
    for stratum in by_remainder[: sample - sum(shares.values())]:
        shares[stratum] += 1
    return shares


def _read(dataset: Dataset, keys: set[str]) -> Iterator[Row]:
    fields = [c.KEY, c.SOURCE, c.SOURCE_ID, c.URL, c.LANDING_URL, c.LICENSE, c.ORIGINAL_SHA256,
              c.CLAIMS, c.RESERVATIONS]  # fmt: skip
    wanted = pa.array(sorted(keys), pa.string())
    for table in _kept(dataset, fields):
        for row in table.filter(pc.is_in(table[c.KEY.name], value_set=wanted)).to_pylist():
            yield Row(**{**row, "claims": tuple(row["claims"] or ())})


def _kept(dataset: Dataset, fields: list[pa.Field]) -> Iterator[pa.Table]:
    """Kept rows of the first layer; columns that it does not have are null."""
    entry = next((e for s in dataset.layer(FIRST_LAYER).shards if (e := s.file("data"))), None)
    have = set(dataset.schema(entry).names) if entry else set()
    for table in dataset.kept(FIRST_LAYER, [f.name for f in fields if f.name in have]):
        for field in fields:
            if field.name not in have:
                table = table.append_column(field, pa.nulls(len(table), field.type))
        yield table
