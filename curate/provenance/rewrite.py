"""The shards of a version without some rows: those that hold one are written anew, no other is.

A row that goes leaves key, verdict and hashes in the marks of the first layer and in the ledger;
plan, data, observations, features and every barrier's marks lose it. What is written is what a run
over the new plan would name the same, so a later run finds every shard committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.plan import LAYER, Plan, Settled
from curate.provenance.lineage import barrier_digest, before, inputs, ledger_digest
from curate.publish import LEDGER, ledger_part
from curate.recipe import FIRST_LAYER, Recipe
from curate.shards import KEPT_WITH_MARKS, forgotten, needed_columns, read_rows
from curate.sources.removed import REMOVED, erased
from curate.stage import with_marks
from curate.store.commit import (
    Commit,
    FileEntry,
    FileRole,
    commit_path,
    commit_shard,
    count_marks,
    load_commit,
)
from curate.store.digest import table_digest
from curate.store.files import LocalFiles
from curate.store.manifest import Layer, Manifest, Shard

Commits = dict[str, dict[str, Commit]]
"""Layer name → part → commit, in the order the layers were made."""
ROLES: Final[tuple[FileRole, ...]] = get_args(FileRole)


@dataclass(frozen=True)
class Rewritten:
    """All commits of the new version; `touched` are the parts that held a removed row."""

    commits: Commits
    touched: list[str]
    settled: dict[str, Settled]


def commits_of(files: LocalFiles, manifest: Manifest) -> Commits:
    """The commits that a manifest names."""
    return {
        layer.name: {
            shard.part: load_commit(files, commit_path(layer.name, shard.shard_id))
            for shard in layer.shards
        }
        for layer in manifest.layers
    }


def rewrite(
    files: LocalFiles, manifest: Manifest, plan: Plan, recipe: Recipe, keys: Sequence[str]
) -> Rewritten:
    """Commit the shards of a manifest's version anew without some rows; twice gives the same.

    `plan` may be that of the version or already that of the next one.
    """
    return _Rewrite(files, manifest, plan, recipe, keys).run()


def settle(
    files: LocalFiles, plan: Plan, recipe: Recipe, index: int,
    layers: Mapping[str, Mapping[str, Commit | Shard]], whole: str,
) -> Settled:  # fmt: skip
    """What the barrier behind pass `index` read up to a version, and what it has to remember.

    `layers` are those before it in that version, `whole` the digest of all that it read there.
    """
    step = recipe.passes[index]
    known = plan.settled.get(step.verdict_layer or "")
    if known is not None and whole in known.inputs:
        return known.model_copy(update={"inputs": known.inputs[: known.inputs.index(whole) + 1]})
    if step.barrier is None:
        return Settled(inputs=[whole])
    names = list(dict.fromkeys([c.KEY.name, *step.barrier.consumes.names]))
    tasks = [inputs(recipe, index + 1, names, layers, part) for part in sorted(layers[LAYER])]
    rows = (read_rows(files, task, names) for task in tasks)
    return Settled(inputs=[whole], remembered=step.barrier.remember(rows))


class _Rewrite:
    def __init__(
        self, files: LocalFiles, manifest: Manifest, plan: Plan, recipe: Recipe, keys: Sequence[str]
    ) -> None:
        self.files, self.plan, self.recipe = files, plan, recipe
        self.layers: dict[str, Layer] = {layer.name: layer for layer in manifest.layers}
        self.keys = pa.array(sorted(keys), pa.string())
        self.old = commits_of(files, manifest)
        self.new: Commits = {name: dict(parts) for name, parts in self.old.items()}
        self.touched = [part for part in self.old[LAYER] if self._holds(part)]

    def run(self) -> Rewritten:
        for part in self.touched:
            self._plan(part)
        settled = {}
        for index, step in enumerate(self.recipe.passes):
            for part in self.touched:
                self._pass(index, step.layer, part)
            if step.verdict_layer is not None:
                settled[step.verdict_layer] = self._barrier(index, step.verdict_layer)
        for part in self.touched:
            self._ledger(part)
        return Rewritten(self.new, self.touched, settled)

    def _holds(self, part: str) -> bool:
        entry = self.old[LAYER][part].file("data")
        if entry is None:
            return False
        keys = self._read(entry, [c.KEY.name])[c.KEY.name]
        return bool(pc.any(pc.is_in(keys, value_set=self.keys)).as_py())

    def _read(self, entry: FileEntry, columns: Sequence[str] | None = None) -> pa.Table:
        return pq.ParquetFile(self.files.path(entry.path)).read(
            columns=None if columns is None else list(columns)
        )

    def _without(self, table: pa.Table) -> pa.Table:
        return table.filter(pc.invert(pc.is_in(table[c.KEY.name], value_set=self.keys)))

    def _plan(self, part: str) -> None:
        entry = self.old[LAYER][part].file("data")
        if entry is None:
            return
        rows = self._read(entry)
        gone = pc.is_in(rows[c.KEY.name], value_set=self.keys).combine_chunks()
        rows = erased(rows, gone).combine_chunks()
        self._commit(LAYER, part, table_digest(rows), len(rows), {"data": rows})

    def _pass(self, index: int, layer: str, part: str) -> None:
        """One shard of a pass, if rows go out of it or what it was made from is another."""
        columns = needed_columns(self.recipe.passes[index])
        earlier = before(self.new, layer)
        digest = inputs(self.recipe, index, columns, earlier, part).input_digest
        old = self.old[layer][part]
        tables = {entry.role: self._read(entry) for entry in old.files}
        kept = {role: self._without(table) for role, table in tables.items()}
        if digest == old.input_digest and all(len(kept[r]) == len(tables[r]) for r in tables):
            return
        if layer == FIRST_LAYER:
            kept["marks"] = self._marks(part, tables["data"].schema, kept.get("marks"))
            rows_in = self.new[LAYER][part].rows_out
        else:
            rows_in = len(kept["data"]) + len(kept.get("marks", ()))
        if "marks" in kept and not len(kept["marks"]):
            del kept["marks"]
        self._commit(layer, part, digest, rows_in, kept)

    def _marks(self, part: str, schema: pa.Schema, marks: pa.Table | None) -> pa.Table:
        """The first layer's marks with those of the removed rows: key, `removed`, and hashes."""
        entry = self.old[LEDGER][part].file("data")
        if entry is None:
            raise ValueError(f"the ledger of {part} has no file")
        facts = [c.KEY, c.ORIGINAL_SHA256, c.STORED_SHA256]
        told = self._read(entry, [f.name for f in facts])
        told = told.filter(pc.is_in(told[c.KEY.name], value_set=self.keys))
        extra = [f for f in KEPT_WITH_MARKS if f.name in schema.names]
        wanted = marks.schema if marks is not None else pa.schema([c.KEY, *c.MARKS, *extra])
        values = {
            c.VERDICT.name: "rejected", c.REASON.name: REMOVED, c.RETRYABLE.name: False,
            c.STAGE.name: "source",
        }  # fmt: skip
        arrays = []
        for f in wanted:
            if f.name in values:
                arrays.append(pa.array([values[f.name]] * len(told), f.type))
            elif f.name in told.column_names:
                arrays.append(told[f.name].cast(f.type))
            else:
                arrays.append(pa.nulls(len(told), f.type))
        new = pa.table(arrays, schema=wanted)
        return forgotten(pa.concat_tables([marks, new] if marks else [new])).sort_by(c.KEY.name)

    def _barrier(self, index: int, layer: str) -> Settled:
        """Commit the touched parts' verdicts; what lets those of the other parts stand."""
        old, new = before(self.old, layer), before(self.new, layer)
        was = barrier_digest(self.recipe, index, old)
        whole = barrier_digest(self.recipe, index, new)
        settled = settle(self.files, self.plan, self.recipe, index, old, was)
        if whole == was:
            return settled
        for part in self.touched:
            self._verdicts(index, layer, part, whole)
        return settled.model_copy(update={"inputs": [*settled.inputs, whole]})

    def _verdicts(self, index: int, layer: str, part: str, whole: str) -> None:
        old = self.old[layer][part]
        task = inputs(self.recipe, index + 1, [], before(self.new, layer), part)
        alive = read_rows(self.files, task, [c.KEY.name])
        entry = old.file("marks")
        marks = self._read(entry) if entry else with_marks(pa.schema([c.KEY]).empty_table())
        self._commit(layer, part, whole, len(alive), {"marks": self._without(marks)})

    def _ledger(self, part: str) -> None:
        earlier = before(self.new, LEDGER)
        rows = ledger_part(self.files, earlier, part)
        digest = ledger_digest(earlier, part)
        self._commit(LEDGER, part, digest, self.new[LAYER][part].rows_out, {"data": rows})

    def _commit(
        self, layer: str, part: str, digest: str, rows_in: int, tables: Mapping[FileRole, pa.Table]
    ) -> None:
        """Commit under the layer's own fingerprint, whatever is installed here."""
        whole = {role: tables[role].combine_chunks() for role in ROLES if role in tables}
        marks = whole.get("marks")
        self.new[layer][part] = commit_shard(
            self.files, layer=layer, part=part, fingerprint=self.layers[layer].fingerprint,
            input_digest=digest, rows_in=rows_in, tables=whole,
            marked=count_marks(marks) if marks is not None and layer != LEDGER else {},
        )  # fmt: skip
