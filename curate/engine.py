"""Runs a recipe: plan, passes, barriers, ledger, manifest, record.

`run` uses Ray Data, `run_inline` this process; both drive the same tasks, and a task gives the
same commit wherever it runs. What travels through Ray is the description of a shard: one block is
one shard. Resume is plan minus commits.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.cluster import Cluster
from curate.errors import EngineError
from curate.memory import PeakMemory
from curate.plan import Plan, make_plan, plan_commits, with_own_log
from curate.publish import LEDGER, write_ledger, write_manifest
from curate.recipe import FIRST_LAYER, Pass, Recipe
from curate.record import Call, write_record
from curate.shards import Task, decide, needed_columns, run_task
from curate.stage import Transform
from curate.stages.download import CONNECT_TO, connect_to
from curate.store.commit import Commit, load_commits
from curate.store.digest import bytes_sha256, json_digest
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, RECORD, Manifest, load_manifest, load_record
from curate.watch import Silent, Watch

Layers = dict[str, dict[str, Commit]]


@dataclass(frozen=True)
class Outcome:
    """A finished run. `computed` is the number of shards this call computed; `finished_before` is
    true if there was nothing to do, not even to publish."""

    root: Path
    manifest: Manifest
    computed: int
    seconds: dict[str, float] = field(default_factory=dict)
    finished_before: bool = False


Execute = Callable[[Pass, Sequence[Task]], Iterator[Commit]]


def run_inline(
    recipe: Recipe, to: str | Path, *, limit: int | None = None, cluster: Cluster | None = None,
    watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Run a recipe in this process, without Ray; same digests as `run`."""
    files = LocalFiles(to)

    def execute(step: Pass, tasks: Sequence[Task]) -> Iterator[Commit]:
        with ExitStack() as closing:
            transforms = _open(step, closing)
            for task in tasks:
                yield run_task(files, step, transforms, task)

    with _surrounded(_environment(cluster or Cluster())):
        return _run(recipe, files, execute, limit=limit, watch=watch or Silent(), workers=0)


def run(
    recipe: Recipe, to: str | Path, *, limit: int | None = None, cluster: Cluster | None = None,
    watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Run a recipe on Ray Data; an interrupted run goes on where it stopped.

    Raises OutputMismatch if the directory belongs to another recipe, EngineError if the cluster
    cannot hold the workers or a worker died.
    """
    files = LocalFiles(Path(to).absolute())
    cluster = cluster or Cluster()
    with ExitStack() as closing:
        started: list[bool] = []

        def execute(step: Pass, tasks: Sequence[Task]) -> Iterator[Commit]:
            if not started:
                _start_ray(cluster, closing)
                started.append(True)
            return _execute_ray(files.root, step, tasks, cluster)

        watch = watch or Silent()
        return _run(recipe, files, execute, limit=limit, watch=watch, workers=cluster.workers)


def _run(
    recipe: Recipe,
    files: LocalFiles,
    execute: Execute,
    *,
    limit: int | None,
    watch: Watch,
    workers: int,
) -> Outcome:
    begun, clock = _now(), time.perf_counter()
    with PeakMemory() as memory:
        files.sweep()
        recipe = with_own_log(recipe, files)
        plan = make_plan(recipe, files, limit=limit)
        layers: Layers = {"plan": {c.part: c for c in plan_commits(files, plan)}}
        found = sum(_committed(recipe, index, files) for index in range(len(recipe.passes)))
        todo = len(plan.parts) * len(recipe.passes) - found
        watch.planned(rows=plan.rows, parts=len(plan.parts), done=found, todo=todo)
        seconds, computed = {"plan": time.perf_counter() - clock}, 0
        for index, step in enumerate(recipe.passes):
            mark = time.perf_counter()
            layers[step.layer], new = _run_pass(recipe, index, files, layers, execute, watch)
            computed += new
            if step.barrier and step.verdict_layer:
                layers[step.verdict_layer] = _run_barrier(recipe, step, files, layers, plan)
            seconds[step.layer] = time.perf_counter() - mark
        layers[LEDGER] = write_ledger(files, layers)
    done = finished(files)
    fingerprint = recipe.fingerprint(limit=limit)
    if done and not computed and done.recipe_fingerprint == fingerprint:
        return Outcome(files.root, done, computed, seconds, finished_before=True)
    manifest = write_manifest(files, recipe, plan, layers)
    call = Call(
        started_at=begun, seconds=seconds, seconds_total=time.perf_counter() - clock,
        computed_shards=computed, workers=workers, peak_memory_bytes=memory.peak_bytes,
    )  # fmt: skip
    write_record(files, recipe, layers, manifest, inputs=plan.inputs, call=call)
    return Outcome(files.root, manifest, computed, seconds)


def _committed(recipe: Recipe, index: int, files: LocalFiles) -> int:
    """Shards of a pass that some earlier call committed."""
    known = load_commits(files, recipe.passes[index].layer).values()
    fingerprint = recipe.pass_fingerprint(index)
    return len({commit.part for commit in known if commit.fingerprint == fingerprint})


def finished(files: LocalFiles) -> Manifest | None:
    """The manifest of a finished run whose record names it, or None."""
    if not files.exists(MANIFEST) or not files.exists(RECORD):
        return None
    manifest = load_manifest(files)
    named = load_record(files).get("manifest_sha256")
    return manifest if named == bytes_sha256(files.read(MANIFEST)) else None


def tasks_of(recipe: Recipe, index: int, layers: Layers) -> list[Task]:
    """The tasks of one pass, in part order, from the layers before it."""
    step = recipe.passes[index]
    fingerprint = recipe.pass_fingerprint(index)
    sources = _sources(recipe, index, needed_columns(step))
    return [_task(step.layer, part, fingerprint, sources, layers) for part in layers["plan"]]


def barrier_tasks(recipe: Recipe, step: Pass, layers: Layers) -> list[Task]:
    """What a barrier reads: the living rows after its pass, part by part."""
    index = recipe.passes.index(step) + 1
    sources = _sources(recipe, index, step.barrier.consumes.names if step.barrier else [])
    name = step.verdict_layer or ""
    return [_task(name, part, "", sources, layers) for part in layers["plan"]]


def _sources(recipe: Recipe, index: int, columns: Sequence[str]) -> list[str]:
    """Layers whose data a pass reads: the plan, or images and each layer making a column it needs."""
    if index == 0:
        return ["plan"]
    made = {
        step.layer: {f.name for stage in step.stages for f in stage.produces}
        for step in recipe.passes[:index]
    }
    return [layer for layer in made if layer == FIRST_LAYER or made[layer] & set(columns)]


def _task(name: str, part: str, fingerprint: str, sources: Sequence[str], layers: Layers) -> Task:
    data = [entry for layer in sources if (entry := layers[layer][part].file("data"))]
    later = [layer for layer in layers if layer not in ("plan", FIRST_LAYER)]
    marks = [entry for layer in later if (entry := layers[layer][part].file("marks"))]
    return Task(layer=name, part=part, fingerprint=fingerprint, data=data, marks=marks)


def _run_pass(
    recipe: Recipe, index: int, files: LocalFiles, layers: Layers, execute: Execute, watch: Watch
) -> tuple[dict[str, Commit], int]:
    """Compute the shards of a pass that are not committed; returns commits by part, and how many."""
    step = recipe.passes[index]
    tasks = tasks_of(recipe, index, layers)
    known = load_commits(files, step.layer)
    todo = [task for task in tasks if task.shard_id not in known]
    rows = sum(commit.rows_out for commit in list(layers.values())[-1].values())
    clock = time.perf_counter()
    watch.pass_started(step.layer, todo=len(todo), done=len(tasks) - len(todo), rows=rows)
    if todo:
        for commit in execute(step, todo):
            known[commit.shard_id] = commit
            watch.shard_done(step.layer, commit)
    watch.pass_ended(step.layer, seconds=time.perf_counter() - clock)
    missing = [task.part for task in tasks if task.shard_id not in known]
    if missing:
        raise EngineError(
            f"{step.layer}: {len(missing)} shards were not committed, first {missing[0]}"
        )
    return {task.part: known[task.shard_id] for task in tasks}, len(todo)


def _run_barrier(
    recipe: Recipe, step: Pass, files: LocalFiles, layers: Layers, plan: Plan
) -> dict[str, Commit]:
    """A barrier's commits by part; those of before a removal stand where the plan says so."""
    if step.barrier is None or step.verdict_layer is None:
        raise EngineError(f"pass {step.layer} has no barrier")
    fingerprint = json_digest([step.verdict_layer, step.barrier.identity(), pa.__version__])
    tasks = barrier_tasks(recipe, step, layers)
    whole = json_digest([task.input_digest for task in tasks])
    accepted = plan.accepted(step.verdict_layer, whole)
    found = load_commits(files, step.verdict_layer).values()
    ours = [c for c in found if c.fingerprint == fingerprint and c.input_digest in accepted]
    oldest_first = sorted(ours, key=lambda c: -accepted.index(c.input_digest))
    known = {commit.part: commit for commit in oldest_first}
    if set(known) == {task.part for task in tasks}:
        return known
    commits = decide(
        files, step.barrier, step.verdict_layer, fingerprint, tasks,
        remembered=plan.remembered(step.verdict_layer, whole),
    )  # fmt: skip
    return {commit.part: commit for commit in commits}


# --- workers ------------------------------------------------------------------------------------
def _open(step: Pass, closing: ExitStack) -> list[Transform]:
    """Open every stage of a pass; transforms with a `close` method are closed at the end."""
    transforms = []
    for stage in step.stages:
        transform = stage.open()
        close = getattr(transform, "close", None)
        if close is not None:
            closing.callback(close)
        transforms.append(transform)
    return transforms


class _Worker:
    """A Ray Data actor: opens the stages once, then turns task descriptions into commits."""

    def __init__(self, root: str, step: Pass, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        self.files = LocalFiles(root)
        self.step = step
        self.closing = ExitStack()
        self.transforms = _open(step, self.closing)

    def __call__(self, batch: pa.Table) -> pa.Table:
        commits = []
        for text in batch["task"].to_pylist():
            task = Task.model_validate_json(text)
            commits.append(
                run_task(self.files, self.step, self.transforms, task).to_bytes().decode()
            )
        return pa.table({"commit": pa.array(commits, pa.string())})

    def __del__(self) -> None:
        self.closing.close()


def _environment(cluster: Cluster) -> dict[str, str]:
    """Runtime facts for the workers, outside recipe and digests.

    Where both say where a host is, the cluster file goes before the user's environment.
    """
    hosts = connect_to() | cluster.connect_to
    return {CONNECT_TO: json.dumps(hosts), "NO_ALBUMENTATIONS_UPDATE": "1"}


@contextmanager
def _surrounded(environment: dict[str, str]) -> Iterator[None]:
    """With an environment of a run's own, which does not outlive the run."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_ray(cluster: Cluster, closing: ExitStack) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    local = cluster.address is None
    options: dict[str, Any] = {"address": cluster.address}
    if local:  # never somebody else's cluster, whatever RAY_ADDRESS says
        options = {
            "address": "local",
            "num_cpus": int(cluster.workers * cluster.cpus_per_worker) + 1,
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


def _execute_ray(
    root: Path, step: Pass, tasks: Sequence[Task], cluster: Cluster
) -> Iterator[Commit]:
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = None  # one block stays one block
    context.max_errored_blocks = 0
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    size = min(cluster.workers, len(tasks))
    gpus = cluster.gpus_per_worker if any(s.needs.gpus for s in step.stages) else 0.0
    if not ray.cluster_resources().get("GPU"):
        gpus = 0.0
    _preflight(step, size, cluster.cpus_per_worker, gpus)
    rows = [{"task": task.model_dump_json()} for task in tasks]
    with (
        warnings.catch_warnings()
    ):  # Ray 2.60 has no other way to bound retries than a deprecated one
        warnings.simplefilter("ignore")
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker, batch_size=None, batch_format="pyarrow", compute=ActorPoolStrategy(size=size),
            fn_constructor_args=(str(root), step, _environment(cluster)),
            num_cpus=cluster.cpus_per_worker, num_gpus=gpus, ray_remote_args_fn=_bounded_retries,
        )  # fmt: skip
    try:
        for row in dataset.iter_rows():
            yield Commit.model_validate_json(row["commit"])
    except ray.exceptions.RayError as error:
        raise EngineError(
            f"{step.layer}: a worker stopped: {str(error).strip().splitlines()[-1]}; "
            f"what was committed stays, the same command goes on"
        ) from error


def _bounded_retries() -> dict[str, int]:
    """A row that kills its worker must not be retried for ever, as Ray would by default."""
    return {"max_restarts": 2, "max_task_retries": 2}


def _preflight(step: Pass, workers: int, cpus: float, gpus: float) -> None:
    """Refuse what the cluster cannot schedule, rather than wait for it without a word."""
    import ray

    have = ray.cluster_resources()
    for name, each in (("CPU", cpus), ("GPU", gpus)):
        if workers * each > have.get(name, 0.0):
            raise EngineError(
                f"{step.layer} wants {workers} workers with {each:g} {name} each, the cluster has "
                f"{have.get(name, 0.0):g}: lower `workers` in the cluster file"
            )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
