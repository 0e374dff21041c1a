"""The run's own account, record.json, against what the dataset itself shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from curate.errors import MissingInput, StoreError
from curate.plan import PLAN, Plan
from curate.provenance.chain import Chain
from curate.provenance.findings import shown
from curate.provenance.partition import Tally
from curate.recipe import Recipe
from curate.store.dataset import Dataset
from curate.store.digest import bytes_sha256
from curate.store.manifest import MANIFEST, RECORD, load_record, record_bytes


def read_plan(dataset: Dataset, chain: Chain) -> tuple[Plan | None, list[str]]:
    """plan/PLAN.json, and what is wrong with it; `chain` holds the commits that it names."""
    try:
        raw = dataset.files.read(PLAN)
        plan = Plan.model_validate_json(raw)
    except MissingInput:
        return None, [f"{PLAN} is missing: the recipe that made the dataset is not known"]
    except ValueError as error:
        return None, [f"{PLAN} is damaged: {str(error).splitlines()[0]}"]
    problems = []
    manifest = dataset.manifest
    shards = {shard.part: shard.shard_id for shard in dataset.layer("plan").shards}
    committed = sum(commit.rows_out for commit in chain.commits.get("plan", {}).values())
    told: dict[str, tuple[Any, Any]] = {
        "format": (plan.format, Plan.model_fields["format"].default),
        "recipe_fingerprint": (plan.recipe_fingerprint, manifest.recipe_fingerprint),
        "recipe_name": (plan.recipe_name, manifest.recipe_name),
        "rows": (plan.rows, manifest.counts.candidates),
        "shards": (plan.shards, shards),
    }
    for name, (stored, derived) in told.items():
        if stored != derived:
            problems.append(
                f"{PLAN}: {name} is {shown(stored)}, MANIFEST.json says {shown(derived)}"
            )
    if plan.rows != committed:
        problems.append(f"{PLAN}: rows is {plan.rows}, the plan's commits hold {committed}")
    text = json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False)
    if raw != text.encode() + b"\n":
        problems.append(f"{PLAN} was edited: its bytes are not those that were written")
    return plan, problems


def check_rows(dataset: Dataset) -> Iterator[str]:
    """As many verdicts as candidates, by the files that the manifest names."""
    planned, judged = (
        sum(entry.rows for shard in dataset.layer(name).shards for entry in shard.files)
        for name in ("plan", "ledger")
    )
    if planned != judged:
        yield f"MANIFEST.json: the plan has {planned:,} rows, the ledger {judged:,}"


def check_counts(dataset: Dataset, tally: Tally) -> Iterator[str]:
    """The manifest's counts against the rows of the ledger."""
    counts = dataset.manifest.counts
    told: dict[str, tuple[Any, Any]] = {
        "candidates": (counts.candidates, tally.verdicts.total()),
        "kept": (counts.kept, tally.kept),
        "rejected": (counts.rejected, tally.by("rejected")),
        "failed": (counts.failed, tally.by("failed")),
    }
    for name, (stored, derived) in told.items():
        if stored != derived:
            yield f"MANIFEST.json: counts.{name} is {shown(stored)}, the ledger has {shown(derived)}"


def check_record(dataset: Dataset, plan: Plan | None, recipe: Recipe | None) -> Iterator[str]:
    """record.json: its own digest, and what it says of the manifest and of the plan."""
    try:
        record = load_record(dataset.files)
    except MissingInput:
        yield f"{RECORD} is missing: the run did not end"
        return
    except (StoreError, ValueError) as error:
        yield str(error)
        record = _parsed(dataset)
    else:
        if dataset.files.read(RECORD) != record_bytes(record):
            yield f"{RECORD} was edited: its bytes are not those that were written"
    manifest = dataset.manifest
    told: dict[str, Any] = {
        "manifest_sha256": bytes_sha256(dataset.files.read(MANIFEST)),
        "dataset_digest": manifest.dataset_digest,
        "bytes_digest": manifest.bytes_digest,
        "counts": manifest.counts.model_dump(mode="json"),
        "license_audited": manifest.license_audited,
        "recipe_fingerprint": manifest.recipe_fingerprint,
        "models": {
            f"{layer.name}/{kind}": info.model_dump(mode="json")
            for layer in manifest.layers for kind, info in layer.models.items()
        },
    }  # fmt: skip
    if plan is not None:
        told |= {"recipe": plan.recipe, "inputs": plan.inputs}
    if plan and recipe and not _fits(plan.source, recipe.source.identity()):
        yield f"{PLAN}: source is not the source of the recipe beside it"
    for name, derived in told.items():
        if record.get(name) != derived:
            yield f"{RECORD}: {name} is {shown(record.get(name))}, expected {shown(derived)}"
    if recipe is not None and manifest.license_audited != (recipe.license_stage is not None):
        yield f"MANIFEST.json: license_audited is {manifest.license_audited}, which the recipe contradicts"


def _fits(told: Any, here: Any) -> bool:
    """Whether settings are those told; ones that a later version of this program added may be more."""
    if isinstance(told, dict) and isinstance(here, dict):
        return all(name in here and _fits(value, here[name]) for name, value in told.items())
    return bool(told == here)


def _parsed(dataset: Dataset) -> dict[str, Any]:
    """An edited record as far as it reads, so that the audit can say what was edited."""
    try:
        record = json.loads(dataset.files.read(RECORD))
    except (ValueError, MissingInput):
        return {}
    return record if isinstance(record, dict) else {}


def check_funnel(dataset: Dataset, tally: Tally) -> Iterator[str]:
    """The record's rows in and out of every stage, added up again from the marks themselves."""
    funnel = _parsed(dataset).get("funnel")
    if not isinstance(funnel, list) or not all(isinstance(entry, dict) for entry in funnel):
        yield f"{RECORD}: the funnel is missing"
        return
    rows = tally.verdicts.total()
    unseen = {layer: Counter(of) for layer, of in tally.marked.items()}
    for entry in funnel:
        layer, stage = entry.get("layer"), entry.get("stage")
        own = unseen.get(str(layer), Counter())
        marked = {reason: own.pop((of, reason)) for of, reason in sorted(own) if of == stage}
        derived = {"rows_in": rows, "rows_out": rows - sum(marked.values()), "marked": marked}
        for name, value in derived.items():
            if entry.get(name) != value:
                yield f"{RECORD}: funnel {layer} {stage}: {name} is {shown(entry.get(name))}, the marks give {shown(value)}"
        rows = derived["rows_out"]  # type: ignore[assignment]
    left = [f"{layer} {stage} {reason}" for layer, of in unseen.items() for stage, reason in of]
    if left:
        yield f"{RECORD}: the funnel leaves out {left[0]}"
    if rows != tally.kept:
        yield f"{RECORD}: the funnel ends with {rows} rows, the ledger keeps {tally.kept}"
