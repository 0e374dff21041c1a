"""Licence first and evidence, looked for in the data: what was fetched, and what kept rows carry.

A row that was rejected for its licence must not have been fetched; a kept row must say who claimed
what, where and when, and which bytes came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.provenance.findings import flat
from curate.provenance.partition import read_role
from curate.recipe import FIRST_LAYER, Recipe
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

FETCHING: Final = ("download", "read_file")
LICENSED: Final = (c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_BASIS, c.EVIDENCE_LEVEL)
WHO_AND_WHERE: Final = ("kind", "claimed_by", "locator")
COLUMNS: Final = (c.KEY, c.CLAIMS, c.ORIGINAL_SHA256, c.STORED_SHA256, *LICENSED)


@dataclass
class Evidence:
    """How many rows were looked at, and how many kept rows say nothing of when."""

    kept: int = 0
    fetched: int = 0
    unfetched: int = 0
    undated: int = 0

    def add(self, other: Evidence) -> None:
        """Count another part's rows too."""
        self.kept += other.kept
        self.fetched += other.fetched
        self.unfetched += other.unfetched
        self.undated += other.undated


def check_fetched(
    dataset: Dataset, recipe: Recipe, part: str, shards: Mapping[str, Shard], count: Evidence
) -> Iterator[str]:
    """Rows rejected before the fetch were not fetched; all rows that live on were."""
    kinds = ["source", *(stage.kind for stage in recipe.passes[0].stages)]
    fetch = next((place for place, kind in enumerate(kinds) if kind in FETCHING), None)
    if fetch is None:
        return
    shard, where = shards[FIRST_LAYER], f"{FIRST_LAYER} {part}"
    if shard.file("observations") is None:
        yield f"{where}: nothing says what was fetched and when"
        return
    observed = read_role(dataset, shard, "observations", [c.KEY.name, c.HTTP_STATUS.name])
    seen = flat(observed[c.KEY.name])
    marks = read_role(dataset, shard, "marks", [c.KEY.name, c.STAGE.name])
    early = marks.filter(pc.is_in(marks[c.STAGE.name], value_set=pa.array(kinds[:fetch])))
    count.fetched += len(seen)
    count.unfetched += len(early)
    for row in early.filter(pc.is_in(early[c.KEY.name], value_set=seen)).to_pylist():
        yield f"{where}: row {row['key']} was rejected by {row['stage']}, and yet it was fetched"
    alive = read_role(dataset, shard, "data", [c.KEY.name])[c.KEY.name]
    for key in alive.filter(pc.invert(pc.is_in(alive, value_set=seen))).to_pylist():
        yield f"{where}: row {key} has a picture, and nothing says when it was fetched"
    if c.HTTP_STATUS.name in observed.column_names:
        living = observed.filter(pc.is_in(seen, value_set=flat(alive)))
        fine = pc.fill_null(pc.equal(living[c.HTTP_STATUS.name], 200), False)
        for row in living.filter(pc.invert(fine)).to_pylist():
            yield f"{where}: row {row['key']} has a picture from an answer of status {row['http_status']}"


def check_evidence(
    dataset: Dataset, recipe: Recipe, part: str, shards: Mapping[str, Shard], count: Evidence
) -> Iterator[str]:
    """Every kept row of a part carries a claim with its maker and place, a licence and hashes."""
    where = f"{FIRST_LAYER} {part}"
    rows = _kept(dataset, shards)
    count.kept += len(rows)
    needed = [c.ORIGINAL_SHA256, c.STORED_SHA256] if _fetches(recipe) else []
    if recipe.license_stage is not None:
        needed += LICENSED
        yield from _claims(where, rows, count)
    for field in needed:
        if field.name not in rows.column_names:
            yield f"{where}: no row has a {field.name}"
            continue
        for key in rows.filter(pc.is_null(rows[field.name]))[c.KEY.name].to_pylist():
            yield f"{where}: row {key} is kept without {field.name}"


def _fetches(recipe: Recipe) -> bool:
    return any(stage.kind in FETCHING for stage in recipe.passes[0].stages)


def _kept(dataset: Dataset, shards: Mapping[str, Shard]) -> pa.Table:
    ledger = read_role(dataset, shards["ledger"], "data", [c.KEY.name, c.VERDICT.name])
    keys = flat(ledger.filter(pc.equal(ledger[c.VERDICT.name], "kept"))[c.KEY.name])
    names = [f.name for f in COLUMNS]
    rows = read_role(dataset, shards[FIRST_LAYER], "data", names)
    return rows.filter(pc.is_in(rows[c.KEY.name], value_set=keys))


def _claims(where: str, rows: pa.Table, count: Evidence) -> Iterator[str]:
    """Of each kept row the claims: at least one that says something, all with maker and place."""
    lists = flat(rows[c.CLAIMS.name])
    claims, parents = pc.list_flatten(lists), np.asarray(pc.list_parent_indices(lists))
    said = np.asarray(pc.is_valid(pc.struct_field(claims, "value")))
    spoken = np.zeros(len(rows), bool)
    spoken[parents[said]] = True
    for row in np.flatnonzero(~spoken).tolist():
        yield f"{where}: row {rows[c.KEY.name][row]} is kept without any licence claim"
    for name in WHO_AND_WHERE:
        missing = np.asarray(pc.is_null(pc.struct_field(claims, name)))
        for row in np.unique(parents[missing & said]).tolist():
            yield f"{where}: row {rows[c.KEY.name][row]} is kept on a claim without {name}"
    dated = np.zeros(len(rows), bool)
    dated[parents[np.asarray(pc.is_valid(pc.struct_field(claims, "retrieved_at")))]] = True
    count.undated += int((~dated).sum())
