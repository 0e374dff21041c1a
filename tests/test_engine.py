"""The engine: same digests however it runs, resume without rework, outputs that stay one recipe's."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from curate import columns as c
from curate import commands
from curate.cluster import Cluster
from curate.demo.run import serving
from curate.engine import Outcome, run, run_inline
from curate.errors import EngineError, OutputMismatch
from curate.recipe import Recipe
from curate.store.dataset import Dataset
from curate.store.record import PassRate
from curate.watch import Silent, Watch

SETTINGS = ["source.pictures=240", "shard_rows=64"]


def recipe(*more: str) -> Recipe:
    return commands.read_recipe("demo", [*SETTINGS, *more])


class Told(Silent):
    """Keeps what workers found of their models, and the rates."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.rates: dict[str, PassRate | None] = {}

    def checked(self, layer: str, sentence: str) -> None:
        self.sentences.append(f"{layer}: {sentence}")

    def pass_ended(self, layer: str, *, seconds: float, rate: PassRate | None) -> None:
        self.rates[layer] = rate


def build(
    to: Path, recipe: Recipe, *, workers: int = 0, limit: int | None = None,
    watch: Watch | None = None, shards_in_flight: int | None = None,
) -> Outcome:  # fmt: skip
    cluster = Cluster(workers=max(1, workers), shards_in_flight=shards_in_flight)
    with serving(recipe, to, cluster, Console(quiet=True)) as (ready, placed):
        execute = run if workers else run_inline
        return execute(ready, to, cluster=placed, limit=limit, watch=watch)


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


def record(root: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((root / "record.json").read_text())
    return told


@pytest.mark.parametrize(("workers", "shards_in_flight"), [(1, 3), (2, None)])
def test_ray_equals_inline(
    demo_dataset: Path, tmp_path: Path, workers: int, shards_in_flight: int | None
) -> None:
    watch = Told()
    outcome = build(
        tmp_path / "ray", recipe(), workers=workers, shards_in_flight=shards_in_flight, watch=watch
    )
    assert outcome.computed
    assert digests(tmp_path / "ray") == digests(demo_dataset)
    checks = record(tmp_path / "ray")["checks"]
    assert checks == record(demo_dataset)["checks"], "every worker checks on the same rows"
    assert set(checks) == {"features/clip", "features/latents"}
    assert len(watch.sentences) == sum(map(len, checks.values())), "each finding is told once"
    assert {n: r is None for n, r in watch.rates.items()} == {
        "images": True, "features/clip": False, "features/latents": False,
    }  # fmt: skip
    for layer, rate in outcome.rates.items():
        assert record(tmp_path / "ray")["rates"][layer] == asdict(rate)
        assert 1 <= rate.workers <= workers
        assert rate.rows > 100
        assert 0 < rate.startup_seconds < rate.seconds_total


def test_what_workers_found_outlives_a_resumed_run(demo_copy: Path, demo_dataset: Path) -> None:
    shutil.copytree(demo_dataset / "corpus", demo_copy / "corpus")
    before = record(demo_copy)["checks"]
    lost = sorted((demo_copy / "features/latents/commits").iterdir())[:1]
    for path in [*lost, demo_copy / "MANIFEST.json", demo_copy / "record.json"]:
        path.unlink()
    watch = Told()
    outcome = build(demo_copy, recipe(), watch=watch)
    assert set(outcome.rates) == {"features/latents"}
    assert before["features/clip"]
    assert record(demo_copy)["checks"] == before, "the sample is that of the pass, not of the rest"
    assert len(watch.sentences) == len(before["features/latents"])


def test_a_batch_that_memory_halved_is_observed_and_changes_no_digest(
    demo_copy: Path, demo_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.provenance.audit import audit
    from curate.stages.vae import VaeStage

    shutil.copytree(demo_dataset / "corpus", demo_copy / "corpus")
    encode = VaeStage.encode

    def halved(stage: VaeStage, table: pa.Table, model: Any) -> pa.Table:
        done = encode(stage, table, model)
        place = done.column_names.index("vae_batch")
        return done.set_column(place, c.VAE_BATCH, pa.array([2] * len(done), pa.int32()))

    monkeypatch.setattr(VaeStage, "encode", halved)
    for lost in ("features/latents", "ledger"):
        shutil.rmtree(demo_copy / lost)
    for name in ("MANIFEST.json", "record.json"):
        (demo_copy / name).unlink()
    assert build(demo_copy, recipe()).computed
    assert digests(demo_copy) == digests(demo_dataset)
    seen = pa.concat_tables(
        Dataset.open(demo_copy).tables("features/latents", None, "observations")
    )
    assert set(seen["vae_batch"].to_pylist()) == {2}
    assert set(seen["t5_batch"].to_pylist()) == {None}
    commands.write_pages(demo_copy)
    result = audit(demo_copy, hashes=True)
    assert result.ok, result


def test_the_audit_knows_the_folder_of_checks(demo_copy: Path) -> None:
    from curate.provenance.chain import strays

    assert list((demo_copy / "features/clip/checks").iterdir())
    (demo_copy / "features/clip/data/stray.json").write_text("{}")
    [told] = strays(Dataset.open(demo_copy))
    assert "stray.json" in told


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


def test_a_plan_that_was_killed_leaves_nothing_behind_for_another_source(tmp_path: Path) -> None:
    build(tmp_path, recipe(), limit=40)
    (tmp_path / "plan/PLAN.json").unlink()
    outcome = build(tmp_path, recipe(), limit=60)
    assert outcome.manifest.counts.candidates == 60
    assert Dataset.open(tmp_path).ledger().num_rows == 60


def test_of_two_recipes_racing_for_one_output_the_second_is_refused(tmp_path: Path) -> None:
    from curate import plan as plans
    from curate.store.files import LocalFiles

    class Late(LocalFiles):
        """Another run publishes its plan just before ours."""

        def put_if_absent(self, name: str, data: bytes) -> bool:
            if name == plans.PLAN and not self.exists(name):
                other = json.loads(data) | {"recipe_fingerprint": "f" * 64}
                super().put_if_absent(name, json.dumps(other).encode())
            return super().put_if_absent(name, data)

    ours = recipe()
    with (
        serving(ours, tmp_path, Cluster(workers=1), Console(quiet=True)) as (ready, _),
        pytest.raises(OutputMismatch, match="f" * 16),
    ):
        plans.make_plan(ready, Late(tmp_path))


def test_what_status_prints_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, recipe(), limit=80)
    before = digests(out)
    for path in [*sorted((out / "features/clip/commits").iterdir())[:2], out / "MANIFEST.json"]:
        path.unlink()
    assert commands.resume_command(out) == f"curate run {out} --to {out}"
    again = commands.read_recipe(out, None)
    outcome = build(out, again, limit=commands.limit_of(out, None))
    assert outcome.computed == 2
    assert digests(out) == before


def test_a_shard_that_is_committed_is_not_computed_again(
    demo_copy: Path, demo_dataset: Path
) -> None:
    from curate.engine import tasks_of
    from curate.plan import load_plan, plan_commits
    from curate.shards import run_task
    from curate.store.files import LocalFiles

    files = LocalFiles(demo_copy)
    plan = load_plan(files)
    assert plan is not None
    layers = {"plan": {commit.part: commit for commit in plan_commits(files, plan)}}
    task = tasks_of(recipe(), 0, layers)[0]
    commit = run_task(files, recipe().passes[0], [], task)  # no transform: it would fail if it ran
    assert commit.shard_id == task.shard_id


def test_no_output_knows_where_it_was_made(demo_dataset: Path) -> None:
    place = str(demo_dataset.parent.parent).encode()
    for path in demo_dataset.rglob("*"):
        if path.is_file() and "corpus" not in path.parts:
            assert place not in path.read_bytes(), path


def test_where_a_model_lies_changes_no_digest(tmp_path: Path) -> None:
    from curate.models import resolve

    here, there = tmp_path / "here", tmp_path / "there/deeper"
    for place in (here, there):
        shutil.copytree(resolve("builtin:tiny", "t5"), place)
    setting = "passes.features/latents.stages.t5.model"
    assert recipe(f"{setting}={here}").fingerprint() == recipe(f"{setting}={there}").fingerprint()


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["download", "license", "opt_out", "inspect"], "license and opt_out before it"),
        (["license", "download", "opt_out", "inspect"], "opt_out before it"),
        (["license", "opt_out", "download", "inspect"], "inspect needs embedded after it"),
        (["license", "opt_out", "download", "embedded", "inspect"], "needs embedded after it"),
    ],
)
def test_a_recipe_that_fetches_before_it_judges_is_refused(kinds: list[str], said: str) -> None:
    from curate.errors import RecipeError
    from curate.recipe import recipe_from

    value = recipe().portable()
    stages = {stage["kind"]: stage for stage in value["passes"][0]["stages"]}
    value["passes"] = [{"layer": "images", "stages": [stages[kind] for kind in kinds]}]
    with pytest.raises(RecipeError, match=said):
        recipe_from(value, origin="test")


def test_the_user_s_environment_says_where_hosts_are_and_the_cluster_file_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from curate import engine

    told = {"a.example": "127.0.0.1:1", "b.example": "127.0.0.1:2"}
    monkeypatch.setenv("CURATE_CONNECT_TO", json.dumps(told))
    assert json.loads(engine._environment(Cluster())["CURATE_CONNECT_TO"]) == told
    cluster = Cluster(connect_to={"b.example": "127.0.0.1:3", "c.example": "127.0.0.1:4"})
    merged = json.loads(engine._environment(cluster)["CURATE_CONNECT_TO"])
    assert merged == {"a.example": "127.0.0.1:1", **cluster.connect_to}
    with serving(recipe(), tmp_path, cluster, Console(quiet=True)) as (ready, placed):
        assert run_inline(ready, tmp_path, cluster=placed, limit=5).manifest.counts.failed == {}
    assert json.loads(os.environ["CURATE_CONNECT_TO"]) == told  # a run leaves nothing behind


def test_a_worker_that_dies_is_replaced_a_bounded_number_of_times(tmp_path: Path) -> None:
    """The worker is killed while it loads its models, every time: the run ends and says so."""
    import os
    import signal
    import threading
    import time

    import psutil

    stop = threading.Event()

    def assassin() -> None:
        while not stop.is_set():
            for process in psutil.Process().children(recursive=True):
                try:
                    if "ray::MapWorker" in " ".join(process.cmdline()):
                        os.kill(process.pid, signal.SIGKILL)
                except (psutil.Error, ProcessLookupError):
                    continue
            time.sleep(0.2)

    killer = threading.Thread(target=assassin)
    killer.start()
    try:
        with pytest.raises(EngineError, match="the same command goes on"):
            build(tmp_path, recipe(), workers=1, limit=20)
    finally:
        stop.set()
        killer.join()
    assert build(tmp_path, recipe(), limit=20).manifest.counts.candidates == 20
