"""Duplicate clusters: who survived, who gave way, and how large the clusters are.

Survivors are counted by the first 64 bits of their key, eight bytes a duplicate; only the clusters
that are shown are then read with their members.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.report.reading import ledger
from curate.report.sheets import Card, make_cards
from curate.store.dataset import Dataset

CLUSTERS = 8
MEMBERS = 5
CONSIDERED = 64  # the largest clusters, among which those that are drawn are picked
_NAMES = [c.KEY.name, c.REASON.name, c.RELATED_KEY.name]

Prefixes = npt.NDArray[np.uint64]
_NONE: Prefixes = np.empty(0, np.uint64)


class Member(NamedTuple):
    """A row that gave way to a survivor."""

    key: str
    part: str
    reason: str


@dataclass(frozen=True)
class Cluster:
    """One survivor and rows that gave way to it; `hidden` members are not drawn."""

    survivor: Card
    members: tuple[Card, ...]
    hidden: int


@dataclass(frozen=True)
class Clusters:
    """Every cluster counted by its size (survivor included), a few of them drawn."""

    count: int
    duplicates: int
    sizes: tuple[tuple[int, int], ...]
    drawn: tuple[Cluster, ...]


def duplicate_clusters(dataset: Dataset) -> Clusters | None:
    """Clusters of the ledger, largest first and then by survivor key; None if there are none."""
    prefixes = [_prefixes(rows[c.RELATED_KEY.name]) for _, rows in _duplicates(dataset)]
    survivors, members = np.unique(np.concatenate([_NONE, *prefixes]), return_counts=True)
    if len(survivors) == 0:
        return None
    sizes, clusters = np.unique(members + 1, return_counts=True)
    order = np.lexsort((survivors, -members))[:CONSIDERED]
    picked = _varied(_members(dataset, survivors[order]))
    spread = tuple(zip(sizes.tolist(), clusters.tolist(), strict=True))
    return Clusters(len(survivors), int(members.sum()), spread, _draw(dataset, picked))


def _duplicates(dataset: Dataset) -> Iterator[tuple[str, pa.Table]]:
    """(part, its rows that gave way to another)."""
    for part, table in ledger(dataset, _NAMES):
        mine = pc.starts_with(pc.fill_null(table[c.REASON.name], ""), "duplicate")
        yield part, table.filter(pc.and_(mine, pc.is_valid(table[c.RELATED_KEY.name])))


def _prefixes(keys: pa.ChunkedArray) -> Prefixes:
    """The first 16 hexadecimal digits of each key as a number."""
    heads = pc.utf8_slice_codeunits(keys, 0, 16).to_pylist()
    return np.array([int(head, 16) for head in heads], np.uint64)


def _members(dataset: Dataset, survivors: Prefixes) -> dict[str, list[Member]]:
    """Members of some clusters by survivor key."""
    found: dict[str, list[Member]] = {}
    for part, rows in _duplicates(dataset):
        mine = np.isin(_prefixes(rows[c.RELATED_KEY.name]), survivors)
        for row in rows.filter(pa.array(mine)).to_pylist():
            member = Member(row[c.KEY.name], part, row[c.REASON.name])
            found.setdefault(row[c.RELATED_KEY.name], []).append(member)
    return {survivor: sorted(rows) for survivor, rows in sorted(found.items())}


def _varied(clusters: dict[str, list[Member]]) -> dict[str, list[Member]]:
    """CLUSTERS of the clusters, taking turns between the reasons that occur in them."""
    queues: dict[str, list[tuple[int, str]]] = {}
    for survivor, rows in clusters.items():
        reason = min(member.reason for member in rows)
        heapq.heappush(queues.setdefault(reason, []), (-len(rows), survivor))
    picked: list[str] = []
    while len(picked) < CLUSTERS and any(queues.values()):
        for reason in sorted(queues):
            if queues[reason] and len(picked) < CLUSTERS:
                picked.append(heapq.heappop(queues[reason])[1])
    return {survivor: clusters[survivor] for survivor in picked}


def _draw(dataset: Dataset, clusters: dict[str, list[Member]]) -> tuple[Cluster, ...]:
    shown = {survivor: rows[:MEMBERS] for survivor, rows in clusters.items()}
    places = _parts_of(dataset, set(shown))
    places |= {member.key: member.part for rows in shown.values() for member in rows}
    cards = make_cards(dataset, places)
    return tuple(
        Cluster(
            cards[survivor],
            tuple(cards[member.key] for member in rows if member.key in cards),
            len(clusters[survivor]) - len(rows),
        )
        for survivor, rows in shown.items()
        if survivor in cards
    )


def _parts_of(dataset: Dataset, keys: set[str]) -> dict[str, str]:
    """The part of each key: a survivor may lie in another part than those that gave way to it."""
    wanted = pa.array(sorted(keys), pa.string())
    found: dict[str, str] = {}
    for part, table in ledger(dataset, [c.KEY.name]):
        column = table[c.KEY.name]
        found |= dict.fromkeys(column.filter(pc.is_in(column, value_set=wanted)).to_pylist(), part)
    return found
