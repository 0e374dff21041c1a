"""Cluster files: which workers a pass gets, and what is refused before anything starts."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from curate import cluster as clusters
from curate import commands
from curate.cluster import Cluster, Node, Pool, check, gpus_here, load_cluster, local_cpus, pool_of
from curate.errors import EngineError, RecipeError
from curate.recipe import Recipe


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return commands.read_recipe("demo", [])


def on_cpu(recipe: Recipe, device: str = "cpu") -> Recipe:
    setting = "passes.features/latents.stages"
    sets = [f"{setting}.{kind}.device={device}" for kind in ("t5", "vae")]
    return commands.read_recipe("demo", sets)


def test_encoders_get_as_many_workers_as_there_are_gpus(recipe: Recipe) -> None:
    pools = check(Cluster(workers=2), recipe, cpus=64, gpus=8)
    assert pools["images"] == Pool(workers=2, cpus=1, gpus=0, shards_in_flight=1)
    gpu = Pool(workers=8, cpus=1, gpus=1, shards_in_flight=3)
    assert pools["features/clip"] == pools["features/latents"] == gpu
    shared = check(Cluster(gpus_per_worker=0.5), recipe, cpus=4, gpus=1)["features/clip"]
    assert (shared.workers, shared.gpus) == (2, 0.5)


def test_without_a_gpu_encoders_work_on_the_cpu(recipe: Recipe) -> None:
    cpu = Pool(workers=3, cpus=1, gpus=0, shards_in_flight=1)
    assert set(check(Cluster(workers=3), recipe, cpus=1, gpus=0).values()) == {cpu}
    assert set(check(Cluster(workers=3, gpus_per_worker=0), recipe, cpus=1, gpus=8).values()) == {
        cpu
    }
    told = check(Cluster(workers=3), on_cpu(recipe), cpus=1, gpus=8)
    assert told["features/latents"] == cpu
    assert told["features/clip"].gpus == 1


def test_the_cluster_file_says_how_many_shards_are_in_flight(recipe: Recipe) -> None:
    pools = check(Cluster(shards_in_flight=2), recipe, cpus=4, gpus=1)
    assert {pool.shards_in_flight for pool in pools.values()} == {2}


@pytest.mark.parametrize(
    ("settings", "gpus", "said"),
    [
        (
            {"gpu_workers": 4},
            1,
            r"features/clip wants 4 workers with 1 GPU each, the cluster has 1",
        ),
        ({"gpu_workers": 4}, 0, r"4 GPU workers \(`gpu_workers`\), and there is no GPU"),
        ({"gpus_per_worker": 2}, 1, r"wants 1 workers with 2 GPU each, the cluster has 1"),
        (
            {"address": "auto", "workers": 9},
            0,
            r"images wants 9 workers with 1 CPU each, the cluster has 8: lower `workers`",
        ),
        (
            {"address": "auto", "cpus_per_gpu_worker": 5, "gpu_workers": 2},
            2,
            r"wants 2 workers with 5 CPU each, the cluster has 8.*`cpus_per_gpu_worker`",
        ),
    ],
)
def test_what_cannot_be_scheduled_is_refused_by_name_and_number(
    recipe: Recipe, settings: dict[str, Any], gpus: int, said: str
) -> None:
    with pytest.raises(EngineError, match=said):
        check(Cluster(**settings), recipe, cpus=8, gpus=gpus)


def test_a_stage_that_asks_for_a_gpu_by_name_is_refused_where_there_is_none(
    recipe: Recipe,
) -> None:
    with pytest.raises(EngineError, match="stage t5 has device 'cuda', and there is no GPU"):
        check(Cluster(), on_cpu(recipe, "cuda"), cpus=8, gpus=0)


def test_a_worker_lies_on_one_host(recipe: Recipe) -> None:
    step = recipe.passes[1]
    two_hosts = [Node(4, 3), Node(4, 3)]
    assert pool_of(Cluster(gpus_per_worker=2), step, two_hosts).workers == 2
    assert pool_of(Cluster(gpus_per_worker=1), step, two_hosts).workers == 6
    with pytest.raises(
        EngineError, match="wants 3 workers with 2 GPU each, the cluster has 6 on 2"
    ):
        pool_of(Cluster(gpus_per_worker=2, gpu_workers=3), step, two_hosts)
    apart = [Node(8, 0), Node(0.5, 4)]
    with pytest.raises(EngineError, match=r"on 2 hosts holds 0 of that size"):
        pool_of(Cluster(), step, apart)


def test_a_ray_of_the_run_s_own_has_a_cpu_for_every_worker() -> None:
    assert local_cpus(Cluster(workers=2), gpus=0) == 3
    assert local_cpus(Cluster(workers=2), gpus=8) == 9
    assert local_cpus(Cluster(workers=2, cpus_per_gpu_worker=4), gpus=2) == 9
    assert local_cpus(Cluster(workers=2, gpu_workers=5), gpus=8) == 6
    assert local_cpus(Cluster(workers=2, gpus_per_worker=0), gpus=8) == 3


@pytest.mark.parametrize(
    ("visible", "found"),
    [(None, 4), ("0,2", 2), ("", 0), ("-1", 0), ("NoDevFiles", 0), ("0,1,2,3,4,5", 4)],
)
def test_gpus_are_those_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, found: int
) -> None:
    monkeypatch.setattr(clusters, "_driver_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus_here() == found


def test_the_driver_is_asked_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(clusters, "NVML", "libnothing-of-that-name.so.1")
    assert gpus_here() == 0

    class Driver:
        def nvmlInit_v2(self) -> int:
            return 0

        def nvmlDeviceGetCount_v2(self, count: Any) -> int:
            count._obj.value = 3
            return 0

        def nvmlShutdown(self) -> int:
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert gpus_here() == 3


def test_a_cluster_file_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("address: auto\ngpu_workers: 4\ncpus_per_gpu_worker: 2\nshards_in_flight: 4\n")
    told = load_cluster(file)
    assert (told.gpu_workers, told.cpus_per_gpu_worker, told.shards_in_flight) == (4, 2, 4)
    file.write_text("gpu_worker: 4\n")
    with pytest.raises(RecipeError, match="line 1"):
        load_cluster(file)
