"""Runs a recipe: plan, passes, barriers, ledger, manifest, record.

`run` uses Ray Data, `run_inline` this process; both drive the same tasks with the same workers, and
a task gives the same commit wherever it runs. Resume is plan minus commits.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from curate.cluster import Cluster
from curate.errors import EngineError
from curate.memory import PeakMemory
from curate.models.agreement import Agreement
from curate.plan import Plan, make_plan, plan_commits, with_own_log
from curate.publish import LEDGER, write_ledger, write_manifest
from curate.rates import Note, pass_rate
from curate.ray_pool import RayPools
from curate.recipe import FIRST_LAYER, Pass, Recipe
from curate.record import Call, write_record
from curate.shards import Task, decide, needed_columns
from curate.stages.download import CONNECT_TO, connect_to
from curate.store.commit import Commit, load_commits
from curate.store.digest import bytes_sha256, json_digest
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, RECORD, Manifest, load_manifest, load_record
from curate.store.record import PassRate
from curate.watch import Silent, Watch
from curate.workers import Done, Worker, has_encoders, sample_tasks

Layers = dict[str, dict[str, Commit]]


@dataclass(frozen=True)
class Outcome:
    """A finished run. `computed` is the number of shards this call computed; `finished_before` is
    true if there was nothing to do, not even to publish. `rates` are those of the passes, by layer,
    that it computed something of."""

    root: Path
    manifest: Manifest
    computed: int
    seconds: dict[str, float] = field(default_factory=dict)
    finished_before: bool = False
    rates: dict[str, PassRate] = field(default_factory=dict)


Execute = Callable[[Pass, Sequence[Task], Sequence[Task]], Iterator[Done]]
"""What works on a pass: its open tasks, and the tasks that hold the sample of its encoders."""


def run_inline(
    recipe: Recipe, to: str | Path, *, limit: int | None = None, cluster: Cluster | None = None,
    watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Run a recipe in this process, without Ray; same digests as `run`."""
    files = LocalFiles(to)

    def execute(step: Pass, tasks: Sequence[Task], sample: Sequence[Task]) -> Iterator[Done]:
        with closing(Worker(files, step, sample)) as worker:
            yield from map(worker.work, tasks)

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
    with ExitStack() as ending:
        pools = RayPools(files.root, cluster, recipe, _environment(cluster), ending)
        watch = watch or Silent()
        return _run(recipe, files, pools.execute, limit=limit, watch=watch, workers=cluster.workers)


def _run(
    recipe: Recipe, files: LocalFiles, execute: Execute, *, limit: int | None, watch: Watch,
    workers: int,
) -> Outcome:  # fmt: skip
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
        rates: dict[str, PassRate] = {}
        for index, step in enumerate(recipe.passes):
            mark = time.perf_counter()
            made = _run_pass(recipe, index, files, layers, execute, watch)
            layers[step.layer] = made.commits
            computed += made.computed
            if made.rate:
                rates[step.layer] = made.rate
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
        computed_shards=computed, workers=workers, peak_memory_bytes=memory.peak_bytes, rates=rates,
    )  # fmt: skip
    write_record(files, recipe, layers, manifest, inputs=plan.inputs, call=call)
    return Outcome(files.root, manifest, computed, seconds, rates=rates)


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


@dataclass(frozen=True)
class _Made:
    """A pass that is done: its commits by part, how many are new, and how fast those went."""

    commits: dict[str, Commit]
    computed: int
    rate: PassRate | None


def _run_pass(
    recipe: Recipe, index: int, files: LocalFiles, layers: Layers, execute: Execute, watch: Watch
) -> _Made:
    """Compute the shards of a pass that are not committed."""
    step = recipe.passes[index]
    tasks = tasks_of(recipe, index, layers)
    known = load_commits(files, step.layer)
    todo = [task for task in tasks if task.shard_id not in known]
    rows = sum(commit.rows_out for commit in list(layers.values())[-1].values())
    clock = time.perf_counter()
    watch.pass_started(step.layer, todo=len(todo), done=len(tasks) - len(todo), rows=rows)
    notes: list[Note] = []
    told: set[Agreement] = set()
    for done in execute(step, todo, sample_tasks(step, tasks)) if todo else ():
        known[done.commit.shard_id] = done.commit
        for agreement in done.note.agreements:
            if agreement not in told:
                watch.checked(step.layer, agreement.sentence())
        told.update(done.note.agreements)
        notes.append(done.note)
        watch.shard_done(step.layer, done.commit)
    seconds = time.perf_counter() - clock
    rate = pass_rate(notes, seconds=seconds) if notes else None
    watch.pass_ended(step.layer, seconds=seconds, rate=rate if has_encoders(step) else None)
    missing = [task.part for task in tasks if task.shard_id not in known]
    if missing:
        raise EngineError(
            f"{step.layer}: {len(missing)} shards were not committed, first {missing[0]}"
        )
    return _Made({task.part: known[task.shard_id] for task in tasks}, len(todo), rate)


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


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
