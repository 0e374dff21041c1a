"""The workers of a pass as a pool of Ray Data actors, on this machine or across hosts.

What travels through Ray is the description of a shard: one block is one shard, and what comes back
is its commit and its worker's note. With train/ and deploy/launch.py the only place that imports
ray.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from curate.cluster import Cluster, Node, Pool, gpus_here, local_cpus, pool_of
from curate.errors import EngineError
from curate.rates import Note
from curate.recipe import Pass, Recipe
from curate.shards import Task
from curate.store.commit import Commit
from curate.store.files import LocalFiles
from curate.workers import Done, Worker

if TYPE_CHECKING:
    from ray.data import ActorPoolStrategy, Dataset

WAITING_TASKS: Final = 2
"""Tasks that lie ready at a worker behind those in its hands, so that it never waits for one."""
CAUSED: Final = "\n\nThe above exception was the direct cause"
RAISED: Final = re.compile(r"[\w.]*(Error|Exception)\b.*:")
FREE_SECONDS: Final = 60.0
"""How long workers may wait for CPUs and GPUs that somebody else holds."""


class RayPools:
    """The pools of a run's passes. Ray starts, or is connected to, when the first pass needs it."""

    def __init__(
        self, root: Path, cluster: Cluster, recipe: Recipe, environment: Mapping[str, str],
        ending: ExitStack,
    ) -> None:  # fmt: skip
        self.root = root
        self.cluster = cluster
        self.recipe = recipe
        self.environment = dict(environment)
        if not cluster.gpus_per_worker:  # asked to work on the CPUs, whatever there is
            self.environment["CUDA_VISIBLE_DEVICES"] = ""
        self._ending = ending
        self._pools: dict[str, Pool] = {}

    def execute(self, step: Pass, tasks: Sequence[Task], sample: Sequence[Task]) -> Iterator[Done]:
        """Work on the tasks of a pass; commits come as they are made.

        Raises EngineError if the cluster cannot hold the workers of this pass or another of the
        recipe, or if a worker stopped too often.
        """
        import ray

        if not self._pools:
            _start(self.cluster, self._ending)
            here = nodes()
            self._pools = {p.layer: pool_of(self.cluster, p, here) for p in self.recipe.passes}
        pool = self._pools[step.layer]
        _wait_until_free(step, pool, min(pool.workers, len(tasks)))
        dataset = self._dataset(step, pool, tasks, sample)
        try:
            for row in dataset.iter_rows():
                commit = Commit.model_validate_json(row["commit"])
                yield Done(commit, Note.model_validate_json(row["note"]))
        except ray.exceptions.RayError as error:
            raise EngineError(
                f"{step.layer}: a worker stopped: {_why(error)}; "
                f"what was committed stays, the same command goes on"
            ) from error

    def _dataset(
        self, step: Pass, pool: Pool, tasks: Sequence[Task], sample: Sequence[Task]
    ) -> Dataset:
        import ray

        _quiet_data()
        rows = [{"task": task.model_dump_json()} for task in tasks]
        told = [task.model_dump_json() for task in sample]
        with (
            warnings.catch_warnings()
        ):  # Ray 2.60 has no other way to bound retries than a deprecated one
            warnings.simplefilter("ignore")
            return ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                RayWorker, batch_size=1, batch_format="pyarrow",
                compute=strategy(pool, tasks=len(tasks)),
                fn_constructor_args=(str(self.root), step, told, pool, self.environment),
                num_cpus=pool.cpus, num_gpus=pool.gpus, ray_remote_args_fn=_bounded_retries,
            )  # fmt: skip


class RayWorker:
    """A Ray Data actor around a worker; called from as many threads as it has shards in flight."""

    _worker: Worker | None = None

    def __init__(
        self, root: str, step: Pass, sample: Sequence[str], pool: Pool, environment: dict[str, str]
    ) -> None:
        os.environ.update(environment)
        worker = Worker(
            LocalFiles(root), step, [Task.model_validate_json(text) for text in sample],
            shards_in_flight=pool.shards_in_flight, gpus=pool.gpus,
        )  # fmt: skip
        self._worker, self._work = worker, worker.work

    def __call__(self, batch: pa.Table) -> pa.Table:
        tasks = map(Task.model_validate_json, batch["task"].to_pylist())
        done = [self._work(task) for task in tasks]
        commits = [each.commit.to_bytes().decode() for each in done]
        notes = [each.note.model_dump_json() for each in done]
        return pa.table(
            {"commit": pa.array(commits, pa.string()), "note": pa.array(notes, pa.string())}
        )

    def __del__(self) -> None:
        if self._worker is not None:  # its start may have failed
            self._worker.close()


def strategy(pool: Pool, *, tasks: int) -> ActorPoolStrategy:
    """All workers from the start; threads in each where it has several shards in flight."""
    from ray.data import ActorPoolStrategy

    size, depth = min(pool.workers, tasks), pool.shards_in_flight
    if depth == 1:
        return ActorPoolStrategy(size=size)
    return ActorPoolStrategy(
        size=size, max_concurrent_calls_per_actor=depth, enable_true_multi_threading=True,
        max_tasks_in_flight_per_actor=depth + WAITING_TASKS,
    )  # fmt: skip


def nodes() -> list[Node]:
    """CPUs and GPUs of each host that is up."""
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(float(have.get("CPU", 0)), float(have.get("GPU", 0))) for have in alive]


def _start(cluster: Cluster, closing: ExitStack) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    local = cluster.address is None
    options: dict[str, Any] = {"address": cluster.address}
    if local:  # never somebody else's cluster, whatever RAY_ADDRESS says
        gpus = gpus_here()
        options = {
            "address": "local",
            "num_cpus": local_cpus(cluster, gpus=gpus),
            "num_gpus": gpus,
            "object_store_memory": cluster.object_store_bytes,
            "include_dashboard": False,
        }
    with _quiet():
        ray.init(
            log_to_driver=False, logging_level=logging.ERROR, configure_logging=local, **options
        )
    closing.callback(ray.shutdown)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Ray's native code writes to standard error while it starts; show it if that fails."""
    sys.stderr.flush()
    saved, started = os.dup(2), False
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
            started = True
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if not started:
                sink.seek(0)
                sys.stderr.write(sink.read().decode(errors="replace"))


def _quiet_data() -> None:
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = None  # one block stays one block
    context.max_errored_blocks = 0
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what stops a run is raised


def _why(error: Exception) -> str:
    """What the worker's own code raised, out of the traces that Ray hands on; else its last line."""
    own = str(error).split(CAUSED)[0].strip().splitlines()
    raised = [place for place, line in enumerate(own) if RAISED.match(line)]
    return " ".join(own[raised[-1] :] if raised else own[-1:])


def _bounded_retries() -> dict[str, int]:
    """A row that kills its worker must not be retried for ever, as Ray would by default."""
    return {"max_restarts": 2, "max_task_retries": 2}


def _wait_until_free(step: Pass, pool: Pool, workers: int) -> None:
    """Refuse, rather than wait for it without a word, what others on the cluster hold."""
    import ray

    wanted = {"CPU": workers * pool.cpus, "GPU": workers * pool.gpus}
    give_up = time.monotonic() + FREE_SECONDS
    while True:
        free = ray.available_resources()
        short = [name for name, much in wanted.items() if much > free.get(name, 0.0) + 1e-6]
        if not short:
            return
        if time.monotonic() > give_up:
            name = short[0]
            raise EngineError(
                f"{step.layer} wants {wanted[name]:g} {name} for {workers} workers, and of the "
                f"cluster's {free.get(name, 0.0):g} are free: others hold the rest; wait for them, or "
                f"ask for fewer in the cluster file"
            )
        time.sleep(0.2)
