"""Writes record.json: what a call of the engine did, measured and named."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections import Counter
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from curate.checks import read_checks
from curate.plan import Plan
from curate.publish import Layers, models_of
from curate.recipe import FIRST_LAYER, Recipe
from curate.store.digest import bytes_sha256
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, RECORD, Manifest, record_bytes
from curate.store.record import FunnelStep, PassRate, Record

PACKAGES = (
    "curate-t2i", "ray", "pyarrow", "pillow", "numpy", "torch", "transformers", "diffusers",
    "open_clip_torch", "img2dataset",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Call:
    """What the call that publishes measured of itself."""

    started_at: str
    seconds: dict[str, float]
    seconds_total: float
    computed_shards: int
    workers: int
    peak_memory_bytes: int
    rates: dict[str, PassRate]


def write_record(
    files: LocalFiles, recipe: Recipe, layers: Layers, manifest: Manifest, *,
    inputs: list[dict[str, Any]], call: Call,
) -> Record:  # fmt: skip
    """Write record.json, the last file of a run."""
    models = models_of(recipe)
    record = Record(
        manifest_sha256=bytes_sha256(files.read(MANIFEST)),
        dataset_digest=manifest.dataset_digest, bytes_digest=manifest.bytes_digest,
        counts=manifest.counts, license_audited=manifest.license_audited,
        recipe=recipe.portable(), recipe_fingerprint=manifest.recipe_fingerprint,
        funnel=funnel(recipe, layers), inputs=inputs,
        models={f"{layer}/{kind}": info for layer, of in models.items() for kind, info in of.items()},
        finished_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions={"python": platform.python_version(), **_versions()},
        device={"machine": platform.machine(), "cpus": os.cpu_count()},
        checks=read_checks(files, layers),
        **{each.name: getattr(call, each.name) for each in fields(call)},
    )  # fmt: skip
    files.publish(RECORD, record_bytes(record.model_dump(mode="json")))
    return record


def write_removal_record(
    files: LocalFiles, plan: Plan, recipe: Recipe, layers: Layers, manifest: Manifest, *,
    told: dict[str, Any], started_at: str, seconds: float,
) -> Record:  # fmt: skip
    """Write record.json of a version made by a removal: no stage ran, models are the manifest's."""
    record = Record(
        manifest_sha256=bytes_sha256(files.read(MANIFEST)),
        dataset_digest=manifest.dataset_digest, bytes_digest=manifest.bytes_digest,
        counts=manifest.counts, license_audited=manifest.license_audited,
        recipe=plan.recipe, recipe_fingerprint=manifest.recipe_fingerprint,
        funnel=funnel(recipe, layers), inputs=plan.inputs,
        models={f"{layer.name}/{kind}": info for layer in manifest.layers
                for kind, info in layer.models.items()},
        started_at=started_at, finished_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds={"remove": seconds}, seconds_total=seconds, computed_shards=0, workers=0,
        peak_memory_bytes=0, versions={"python": platform.python_version(), **_versions()},
        device={"machine": platform.machine(), "cpus": os.cpu_count()}, removal=told,
        checks=read_checks(files, layers),
    )  # fmt: skip
    files.publish(RECORD, record_bytes(record.model_dump(mode="json")))
    return record


def funnel(recipe: Recipe, layers: Layers) -> list[FunnelStep]:
    """One entry a stage and barrier in recipe order: rows in, rows out, marked by reason."""
    entries: list[FunnelStep] = []
    rows = sum(commit.rows_out for commit in layers["plan"].values())
    for step in recipe.passes:
        stages = ["source"] if step.layer == FIRST_LAYER else []
        stages += [stage.kind for stage in step.stages]
        for layer, names in ((step.layer, stages), (step.verdict_layer, [])):
            if layer is None:
                continue
            for name in names or [step.barrier.kind if step.barrier else ""]:
                marked: Counter[str] = Counter()
                for commit in layers[layer].values():
                    marked.update(commit.marked.get(name, {}))
                out = rows - marked.total()
                entries.append(
                    FunnelStep(
                        layer=layer, stage=name, rows_in=rows, rows_out=out,
                        marked=dict(sorted(marked.items())),
                    )
                )  # fmt: skip
                rows = out
    return entries


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
