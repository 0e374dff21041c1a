"""From committed layers to a published version: ledger, manifest, record.

The ledger is derived from the plan and from every layer's marks; publishing fails if the rows do
not partition into kept, rejected and failed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.errors import StoreError
from curate.plan import Plan
from curate.recipe import FIRST_LAYER, Recipe
from curate.stage import Stage, kind_of
from curate.store.commit import Commit, commit_shard, load_commits, shard_id
from curate.store.digest import json_digest
from curate.store.files import LocalFiles
from curate.store.manifest import (
    MANIFEST,
    Counts,
    Manifest,
    ModelInfo,
    Shard,
    bytes_digest,
    dataset_digest,
    layer_of,
)
from curate.store.tombstones import load_log

LEDGER = "ledger"
Layers = Mapping[str, Mapping[str, Commit]]
"""Layer name → part → commit, in the order the layers were made."""


def write_ledger(files: LocalFiles, layers: Layers) -> dict[str, Commit]:
    """Commit one verdict for every candidate, part by part."""
    known = load_commits(files, LEDGER)
    fingerprint = json_digest([LEDGER, str(c.LEDGER), pa.__version__])
    commits = {}
    for part, plan in layers["plan"].items():
        digest = ledger_input({layer: of[part] for layer, of in layers.items()})
        name = shard_id(layer=LEDGER, part=part, fingerprint=fingerprint, input_digest=digest)
        commits[part] = known.get(name) or commit_shard(
            files, layer=LEDGER, part=part, fingerprint=fingerprint, input_digest=digest,
            rows_in=plan.rows_out, tables={"data": ledger_part(files, layers, part)}, marked={},
        )  # fmt: skip
    return commits


def ledger_input(made: Mapping[str, Commit | Shard]) -> str:
    """Digest of what a part's ledger is derived from, by layer: every file but what is observed.

    The first layer has a file of observations in every shard and counts it, as it always did; in
    the others its presence is itself an observation (memory ran out).
    """
    return json_digest([
        [e.content_digest for e in of.files if layer == FIRST_LAYER or e.role != "observations"]
        for layer, of in made.items()
    ])  # fmt: skip


def ledger_part(files: LocalFiles, layers: Layers, part: str) -> pa.Table:
    """The ledger rows of one part, in key order.

    Raises StoreError if a candidate has no verdict, or two.
    """
    keys = _read(files, layers["plan"][part], "data", [c.KEY.name])[c.KEY.name].combine_chunks()
    facts = _read(files, layers[FIRST_LAYER][part], "data", c.LEDGER.names)
    marks = [
        _read(files, commits[part], "marks", c.LEDGER.names)
        for layer, commits in layers.items()
        if layer != "plan" and commits[part].file("marks")
    ]
    marked = (
        pa.concat_tables([_only(m, [c.KEY.name, *c.MARKS.names]) for m in marks]) if marks else None
    )
    facts = pa.concat_tables([facts, *(_facts_of(m) for m in marks)], promote_options="default")
    _check_partition(keys, facts, marked, part)
    rows: dict[str, pa.Array] = {c.KEY.name: keys}
    place = pc.index_in(keys, value_set=_keys(marked)) if marked is not None else None
    fact_place = pc.index_in(keys, value_set=_keys(facts))
    for field in list(c.LEDGER)[1:]:
        if field.name in c.MARKS.names:
            rows[field.name] = _taken(marked, field, place, len(keys))
        else:
            rows[field.name] = _taken(facts, field, fact_place, len(keys))
    rows[c.VERDICT.name] = pc.fill_null(rows[c.VERDICT.name], "kept")
    return pa.table([_flat(array) for array in rows.values()], schema=c.LEDGER)


def _flat(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _keys(table: pa.Table) -> pa.Array:
    return table[c.KEY.name].combine_chunks()


def _only(table: pa.Table, names: Sequence[str]) -> pa.Table:
    return table.select(list(names))


def _facts_of(marks: pa.Table) -> pa.Table:
    """Licence and hashes carried by marks of the first pass; barriers' marks carry none."""
    names = [n for n in marks.column_names if n not in c.MARKS.names]
    return marks.select(names) if len(names) > 1 else marks.select(names).slice(0, 0)


def _taken(table: pa.Table | None, field: pa.Field, place: Any, rows: int) -> pa.Array:
    if table is None or field.name not in table.column_names:
        return pa.nulls(rows, field.type)
    return table[field.name].take(place).cast(field.type)


def _check_partition(keys: pa.Array, facts: pa.Table, marked: pa.Table | None, part: str) -> None:
    lost = keys.filter(pc.invert(pc.is_in(keys, value_set=_keys(facts))))
    if len(lost):
        raise StoreError(f"part {part}: {len(lost)} candidates have no verdict, first {lost[0]}")
    if marked is not None and len(pc.unique(marked[c.KEY.name])) != len(marked):
        raise StoreError(f"part {part}: a candidate has two verdicts")
    if len(pc.unique(facts[c.KEY.name])) != len(facts):
        raise StoreError(f"part {part}: a candidate is both alive and marked in the first pass")


def _read(files: LocalFiles, commit: Commit, role: Any, columns: Sequence[str]) -> pa.Table:
    entry = commit.file(role)
    if entry is None:
        raise StoreError(f"{commit.layer} {commit.part} has no {role} file")
    source = pq.ParquetFile(files.path(entry.path))
    names = [n for n in columns if n in source.schema_arrow.names]
    return source.read(columns=names)


def count(files: LocalFiles, ledger: Mapping[str, Commit]) -> Counts:
    """Rows by verdict and reason over the whole ledger."""
    tally: Counter[tuple[str, str]] = Counter()
    for commit in ledger.values():
        table = _read(files, commit, "data", [c.VERDICT.name, c.REASON.name])
        told = table.group_by([c.VERDICT.name, c.REASON.name], use_threads=False)
        for row in told.aggregate([([], "count_all")]).to_pylist():
            tally[row["verdict"], row["reason"] or ""] += row["count_all"]
    rejected = {r: n for (v, r), n in sorted(tally.items()) if v == "rejected"}
    failed = {r: n for (v, r), n in sorted(tally.items()) if v == "failed"}
    for reason in (*rejected, *failed):
        kind_of(reason)
    kept = tally["kept", ""]
    return Counts(candidates=tally.total(), kept=kept, rejected=rejected, failed=failed)


def models_of(recipe: Recipe) -> dict[str, dict[str, ModelInfo]]:
    """Layer name → stage kind → model reference, digest and facts."""
    found: dict[str, dict[str, ModelInfo]] = {}
    for step in recipe.passes:
        for stage in step.stages:
            told = stage.identity()
            if "model_digest" in told:
                info = ModelInfo(
                    ref=str(getattr(stage, "model", "")), digest=told["model_digest"],
                    facts=_model_facts(stage),
                )  # fmt: skip
                found.setdefault(step.layer, {})[stage.kind] = info
    return found


def _model_facts(stage: Stage) -> dict[str, float | str]:
    """What the stage's columns say of the model's output; what they do not agree in is left out."""
    notes = [note.items() for note in stage.field_metadata().values()]
    told = {pair for note in notes for pair in note if pair[0] != "model"}
    names = Counter(name for name, _ in told)
    return {name: _number(value) for name, value in sorted(told) if names[name] == 1}


def _number(text: str) -> float | str:
    """The number that a text is, if it is one and finite."""
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def write_manifest(files: LocalFiles, recipe: Recipe, plan: Plan, layers: Layers) -> Manifest:
    """Publish the version that the plan names; the same layers give the same bytes."""
    models = models_of(recipe)
    told = [
        layer_of(name, list(parts.values()), models.get(name, {})) for name, parts in layers.items()
    ]
    tombstones = load_log(files).digest
    manifest = Manifest(
        version=plan.version, previous=plan.previous, tombstones=tombstones,
        recipe_name=recipe.name, recipe_fingerprint=plan.recipe_fingerprint,
        license_audited=recipe.license_stage is not None,
        dataset_digest=dataset_digest(told, tombstones), bytes_digest=bytes_digest(told),
        counts=count(files, layers[LEDGER]), layers=told,
    )  # fmt: skip
    manifest = manifest.model_copy(update={"digest": manifest.self_digest()})
    files.publish(MANIFEST, manifest.to_bytes())
    return manifest
