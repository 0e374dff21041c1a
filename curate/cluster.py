"""A cluster file says where and how many; nothing in it changes a digest.

`check` says, without starting anything, which workers each pass of a recipe gets, and refuses
what could never be scheduled.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, Field, ValidationError

from curate.errors import EngineError, MissingInput, RecipeError
from curate.yaml_lines import explain, load_yaml

if TYPE_CHECKING:
    from curate.recipe import Pass, Recipe

SHARDS_IN_FLIGHT_ON_GPU: Final = 3
"""One is read and decoded, one computes, one is encoded, hashed and committed."""
NVML: Final = "libnvidia-ml.so.1"
ROUNDING: Final = 1e-9


class Cluster(BaseModel, frozen=True, extra="forbid"):
    """Where a run works. Without `address` it starts Ray on this machine for the run alone.

    `workers` work on passes without a GPU, `gpu_workers` on the others: as many as the GPUs hold
    unless it is said. `gpus_per_worker: 0` keeps all work on the CPUs. `shards_in_flight` is how
    many shards a worker has in hand at once: 3 where it has a GPU and 1 where not, unless said.
    """

    address: str | None = None
    workers: int = Field(default_factory=lambda: max(1, min(2, os.cpu_count() or 1)), ge=1)
    cpus_per_worker: float = Field(1.0, gt=0)
    gpu_workers: int | None = Field(None, ge=1, description="null: as many as the GPUs hold")
    gpus_per_worker: float = Field(1.0, ge=0, description="of a GPU worker; 0: none, on the CPU")
    cpus_per_gpu_worker: float = Field(1.0, gt=0, description="logical CPUs set aside for it")
    shards_in_flight: int | None = Field(None, ge=1, le=16)
    object_store_bytes: int = Field(256 << 20, ge=80 << 20)
    connect_to: dict[str, str] = Field(default_factory=dict, description="host: address[:port]")


@dataclass(frozen=True)
class Node:
    """Logical CPUs and GPUs of one host."""

    cpus: float
    gpus: float


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The workers of one pass; `cpus` and `gpus` are what each of them sets aside."""

    workers: int
    cpus: float
    gpus: float
    shards_in_flight: int


def load_cluster(path: str | Path | None) -> Cluster:
    """Read a cluster file; the default cluster is this machine."""
    if path is None:
        return Cluster()
    file = Path(path)
    if not file.is_file():
        raise MissingInput(f"cluster file {file} does not exist")
    value, lines = load_yaml(file.read_text(encoding="utf-8", errors="replace"), str(file))
    try:
        return Cluster.model_validate(value)
    except ValidationError as error:
        raise RecipeError(explain(error, origin=str(file), lines=lines, model=Cluster)) from error


def check(cluster: Cluster, recipe: Recipe, *, cpus: float, gpus: float) -> dict[str, Pool]:
    """The pool of each pass, by layer, on one machine (or a cluster taken as one) of a size.

    CPUs are counted on a cluster with an address only: a Ray of the run's own counts as many
    logical ones as its workers ask for. Raises EngineError for what cannot be scheduled.
    """
    nodes = [Node(cpus if cluster.address else math.inf, gpus)]
    return {step.layer: pool_of(cluster, step, nodes) for step in recipe.passes}


def pool_of(cluster: Cluster, step: Pass, nodes: Sequence[Node]) -> Pool:
    """The workers of a pass on some nodes; raises EngineError if they do not fit there."""
    if cluster.gpus_per_worker and _wants_gpu(step) and _has_gpu(cluster, step, nodes):
        return _gpu_pool(cluster, step, nodes)
    pool = Pool(
        workers=cluster.workers, cpus=cluster.cpus_per_worker, gpus=0.0,
        shards_in_flight=cluster.shards_in_flight or 1,
    )  # fmt: skip
    _require(step, pool, nodes, "lower `workers` or `cpus_per_worker` in the cluster file")
    return pool


def local_cpus(cluster: Cluster, *, gpus: int) -> int:
    """Logical CPUs for a Ray of the run's own, so that every worker of any pass can start."""
    workers = cluster.workers * cluster.cpus_per_worker
    per_gpu_worker = cluster.gpus_per_worker or math.inf
    gpu_workers = cluster.gpu_workers or math.floor(gpus / per_gpu_worker)
    return math.ceil(max(workers, gpu_workers * cluster.cpus_per_gpu_worker)) + 1


def gpus_here() -> int:
    """GPUs that this process may use, by the driver's own library: torch need not be loaded."""
    found = _driver_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    named = [name.strip() for name in visible.split(",")]
    return min(found, sum(name not in ("", "-1", "NoDevFiles", "none", "void") for name in named))


def _driver_count() -> int:
    count = ctypes.c_uint(0)
    try:
        library = ctypes.CDLL(NVML)
        if library.nvmlInit_v2():
            return 0
        failed = library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        library.nvmlShutdown()
    except (OSError, AttributeError):  # no driver, or one too old to say
        return 0
    return 0 if failed else count.value


def _wants_gpu(step: Pass) -> bool:
    return any(stage.needs.gpus and _device(stage) != "cpu" for stage in step.stages)


def _device(stage: object) -> str:
    """`auto`, `cpu` or `cuda…` as the stage's settings say."""
    return str(getattr(stage, "device", "auto"))


def _has_gpu(cluster: Cluster, step: Pass, nodes: Sequence[Node]) -> bool:
    """Whether there is a GPU; raises EngineError if there is none and one was asked for by name."""
    if any(node.gpus for node in nodes):
        return True
    if cluster.gpu_workers is not None:
        raise EngineError(
            f"{step.layer} wants {cluster.gpu_workers} GPU workers (`gpu_workers`), and there is no "
            f"GPU: leave `gpu_workers` out of the cluster file to work on the CPUs"
        )
    for stage in step.stages:
        if stage.needs.gpus and _device(stage).startswith("cuda"):
            raise EngineError(
                f"{step.layer}: stage {stage.kind} has device {_device(stage)!r}, and there is no "
                f"GPU: use auto or cpu"
            )
    return False


def _gpu_pool(cluster: Cluster, step: Pass, nodes: Sequence[Node]) -> Pool:
    cpus, gpus = cluster.cpus_per_gpu_worker, cluster.gpus_per_worker
    pool = Pool(
        workers=cluster.gpu_workers or max(1, int(_places(nodes, cpus, gpus))),
        cpus=cpus, gpus=gpus,
        shards_in_flight=cluster.shards_in_flight or SHARDS_IN_FLIGHT_ON_GPU,
    )  # fmt: skip
    names = "`gpu_workers`, `gpus_per_worker` or `cpus_per_gpu_worker`"
    _require(step, pool, nodes, f"lower {names} in the cluster file")
    return pool


def _places(nodes: Sequence[Node], cpus: float, gpus: float) -> float:
    """How many workers of a size the nodes hold; a worker lies on one of them whole."""
    total = 0.0
    for node in nodes:
        asked = ((node.cpus, cpus), (node.gpus, gpus))
        room = min(have / each + ROUNDING for have, each in asked if each)
        total += math.floor(room) if room < math.inf else room
    return total


def _require(step: Pass, pool: Pool, nodes: Sequence[Node], advice: str) -> None:
    """Refuse what the nodes cannot hold, by name and number."""
    sizes = {"CPU": (pool.cpus, 0.0), "GPU": (0.0, pool.gpus)}
    for name, (cpus, gpus) in sizes.items():
        if (cpus or gpus) and _places(nodes, cpus, gpus) < pool.workers:
            have = sum(node.cpus if cpus else node.gpus for node in nodes)
            raise EngineError(
                f"{step.layer} wants {pool.workers} workers with {cpus or gpus:g} {name} each, the "
                f"cluster has {have:g}{_on(nodes)}: {advice}"
            )
    fit = _places(nodes, pool.cpus, pool.gpus)
    if fit < pool.workers:
        raise EngineError(
            f"{step.layer} wants {pool.workers} workers with {pool.cpus:g} CPU and {pool.gpus:g} GPU "
            f"each, the cluster{_on(nodes)} holds {fit:g} of that size: {advice}"
        )


def _on(nodes: Sequence[Node]) -> str:
    return f" on {len(nodes)} hosts" if len(nodes) > 1 else ""
