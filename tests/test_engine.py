"""The engine: same digests however it runs, resume without rework, outputs that stay one recipe's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest
from rich.console import Console

from curate import commands
from curate.cluster import Cluster
from curate.demo.run import serving
from curate.engine import Outcome, run, run_inline
from curate.errors import EngineError, OutputMismatch
from curate.recipe import Recipe
from curate.store.dataset import Dataset

SETTINGS = ["source.pictures=240", "shard_rows=64"]


def recipe(*more: str) -> Recipe:
    return commands.read_recipe("demo", [*SETTINGS, *more])


def build(to: Path, recipe: Recipe, *, workers: int = 0, limit: int | None = None) -> Outcome:
    cluster = Cluster(workers=max(1, workers))
    with serving(recipe, to, cluster, Console(quiet=True)) as (ready, placed):
        execute = run if workers else run_inline
        return execute(ready, to, cluster=placed, limit=limit)


def digests(root: Path) -> tuple[str, str]:
    manifest = Dataset.open(root).manifest
    return manifest.dataset_digest, manifest.bytes_digest


def test_candidates_partition_into_kept_rejected_and_failed(demo_dataset: Path) -> None:
    dataset = Dataset.open(demo_dataset)
    plan = [k for table in dataset.tables("plan", ["key"]) for k in table["key"].to_pylist()]
    ledger = dataset.ledger()
    assert sorted(plan) == sorted(ledger["key"].to_pylist())
    assert len(set(plan)) == len(plan)
    kept = set(ledger.filter(pc.equal(ledger["verdict"], "kept"))["key"].to_pylist())
    latents = [k for t in dataset.kept("features/latents", ["key"]) for k in t["key"].to_pylist()]
    pictures = [k for t in dataset.kept("images", ["key"]) for k in t["key"].to_pylist()]
    assert set(latents) == set(pictures) == kept
    assert len(latents) == len(pictures) == len(kept)
    verdicts = set(ledger["verdict"].to_pylist())
    assert verdicts == {"kept", "rejected", "failed"}


def test_nothing_is_fetched_before_its_licence_is_accepted(demo_dataset: Path) -> None:
    dataset = Dataset.open(demo_dataset)
    ledger = dataset.ledger(["key", "reason"])
    refused = ledger.filter(pc.starts_with(pc.fill_null(ledger["reason"], ""), "license"))
    seen = {
        k for t in dataset.tables("images", ["key"], "observations") for k in t["key"].to_pylist()
    }
    assert len(refused) > 10
    assert not seen & set(refused["key"].to_pylist())


@pytest.mark.parametrize("workers", [1, 2])
def test_ray_equals_inline(demo_dataset: Path, tmp_path: Path, workers: int) -> None:
    outcome = build(tmp_path / "ray", recipe(), workers=workers)
    assert outcome.computed
    assert digests(tmp_path / "ray") == digests(demo_dataset)


def test_a_finished_run_does_nothing(demo_copy: Path, demo_dataset: Path) -> None:
    shutil.copytree(demo_dataset / "corpus", demo_copy / "corpus")
    before = {p: p.stat().st_mtime_ns for p in demo_copy.rglob("*") if p.is_file()}
    outcome = build(demo_copy, recipe())
    assert outcome.computed == 0
    assert {p: p.stat().st_mtime_ns for p in demo_copy.rglob("*") if p.is_file()} == before


def test_resume_computes_only_what_is_missing(demo_copy: Path, demo_dataset: Path) -> None:
    shutil.copytree(demo_dataset / "corpus", demo_copy / "corpus")
    lost = sorted((demo_copy / "features/latents/commits").iterdir())[:2]
    for path in [*lost, demo_copy / "MANIFEST.json", demo_copy / "record.json"]:
        path.unlink()
    outcome = build(demo_copy, recipe())
    assert outcome.computed == len(lost)
    assert digests(demo_copy) == digests(demo_dataset)


def test_another_recipe_is_refused_and_both_are_named(demo_copy: Path, demo_dataset: Path) -> None:
    shutil.copytree(demo_dataset / "corpus", demo_copy / "corpus")
    other = recipe("passes.images.stages.resolution.min_side=40")
    kept = json.loads((demo_copy / "plan/PLAN.json").read_text())["recipe_fingerprint"]
    with pytest.raises(OutputMismatch) as error:
        build(demo_copy, other)
    assert kept[:16] in str(error.value)
    assert other.fingerprint()[:16] in str(error.value)


def test_limit_is_part_of_what_was_asked(tmp_path: Path) -> None:
    outcome = build(tmp_path, recipe(), limit=50)
    assert outcome.manifest.counts.candidates == 50
    with pytest.raises(OutputMismatch):
        build(tmp_path, recipe(), limit=60)


def test_what_cannot_be_scheduled_is_refused() -> None:
    import ray

    from curate.engine import _preflight

    step = recipe().passes[0]
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20)
    try:
        _preflight(step, 1, 1.0, 0.0)
        with pytest.raises(EngineError, match="2 workers with 1 CPU each, the cluster has 1"):
            _preflight(step, 2, 1.0, 0.0)
        with pytest.raises(EngineError, match="GPU"):
            _preflight(step, 1, 1.0, 1.0)
    finally:
        ray.shutdown()
