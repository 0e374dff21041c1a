"""Workers: models load beside reading, on one sample; shards in flight; findings kept once."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import fake_encoders as fake
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fake_encoders import Scores, Second, Titles, a_pass, agreement, tasks
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import columns as c
from curate.checks import read_checks, write_check
from curate.cluster import Cluster, Pool
from curate.errors import CommitConflict, EngineError, ModelError, StoreError
from curate.ray_pool import RayPools, strategy
from curate.recipe import Pass, recipe_from
from curate.shards import first_rows, read_rows
from curate.store.commit import commit_path, encode
from curate.store.files import LocalFiles
from curate.workers import Worker, sample_tasks


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFiles:
    paths = (str(Path(fake.__file__).parent), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))  # for Ray's processes
    fake.loaded.clear()
    fake.inside.clear()
    fake.gates.clear()
    return LocalFiles(tmp_path)


def worked(files: LocalFiles, step: Pass, todo: list[Any], **options: Any) -> list[Any]:
    """All tasks by one worker, one after the other."""
    with closing(Worker(files, step, sample_tasks(step, todo), **options)) as worker:
        return [worker.work(task) for task in todo]


# --- the sample -----------------------------------------------------------------------------------
def test_every_worker_checks_its_models_on_the_first_64_living_rows(files: LocalFiles) -> None:
    step = a_pass(Scores())
    todo = tasks(files, step, rows=(30, 30, 40, 50), dead=3)
    first = [f"{part:02}{row:04}" for part, row in
             [*((0, n) for n in range(3, 30)), *((1, n) for n in range(3, 30)),
              *((2, n) for n in range(3, 13))]]  # fmt: skip
    assert len(sample_tasks(step, todo)) == 3
    sample = sample_tasks(step, todo)
    for mine in (todo[:2], todo[3:]):  # whatever shards a worker is given
        with closing(Worker(files, step, sample)) as worker:
            for task in mine:
                worker.work(task)
    assert fake.loaded == [("scores", first), ("scores", first)]


def test_the_sample_passes_through_stages_that_make_what_encoders_consume(
    files: LocalFiles,
) -> None:
    step = a_pass(Titles(), Second())
    todo = tasks(files, step, rows=(5,))
    table = pa.table([["000000", "000001"], ["a", "bcd"]], schema=pa.schema([c.KEY, c.TITLE]))
    entry = todo[0].data[0]
    pq.write_table(table, files.path(entry.path))
    worked(files, step, todo)
    assert fake.loaded == [("second", ["000001"])], "a row that is rejected before is no sample"


def test_without_a_living_row_no_model_is_loaded(files: LocalFiles) -> None:
    step = a_pass(Scores())
    todo = tasks(files, step, rows=(4, 4), dead=4)
    assert sample_tasks(step, todo) == []
    [one, two] = worked(files, step, todo)
    assert one.commit.rows_in == two.commit.rows_in == 0
    assert fake.loaded == []


def test_without_a_sample_a_model_loads_on_the_first_table(files: LocalFiles) -> None:
    step = a_pass(Scores())
    todo = tasks(files, step, rows=(3, 3))
    with closing(Worker(files, step, ())) as worker:
        notes = [worker.work(task).note for task in todo]
    assert fake.loaded == [("scores", ["000000", "000001", "000002"])]
    assert notes[0].agreements == (agreement(),)
    assert sample_tasks(a_pass(Scores(), layer="images"), todo) == []
    assert sample_tasks(a_pass(Titles()), todo) == []


def test_no_more_row_groups_are_read_than_hold_the_sample(files: LocalFiles) -> None:
    step = a_pass(Scores())
    [task] = tasks(files, step, rows=(20,))
    path = files.path(task.data[0].path)
    pq.write_table(pq.read_table(path), path, row_group_size=5)
    body = bytearray(path.read_bytes())
    third = pq.ParquetFile(path).metadata.row_group(2)
    start = third.column(1).data_page_offset
    body[start : start + 30] = b"\xff" * 30
    path.write_bytes(body)
    rows = first_rows(files, [task], ["title"], rows=7)
    assert rows["key"].to_pylist() == [f"00{n:04}" for n in range(7)]
    with pytest.raises((OSError, pa.ArrowException)):
        read_rows(files, task, ["title"])


@settings(max_examples=40)
@given(st.data())
def test_rows_are_joined_by_key_whatever_lies_in_which_row_group(data: st.DataObject) -> None:
    from curate.shards import _rows_of

    rows = data.draw(st.integers(0, 30))
    names = pa.array([f"{n:02}" for n in range(rows)], pa.string())
    table = pa.table({"key": names, "value": pa.array(range(rows), pa.int64())})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=data.draw(st.integers(1, 9)))
    wanted = data.draw(st.lists(st.integers(0, 40), max_size=12))
    keys = pa.chunked_array([[f"{n:02}" for n in wanted]], pa.string())
    found = _rows_of(pq.ParquetFile(pa.BufferReader(sink.getvalue())), keys, ["value"])
    assert found["value"].to_pylist() == [n if n < rows else None for n in wanted]


# --- start-up -------------------------------------------------------------------------------------
def test_models_load_beside_the_first_shards(files: LocalFiles) -> None:
    """Loading ends only when a stage before the encoder has had its first shard."""
    fake.gates["first shard"] = threading.Event()
    step = a_pass(Titles(opens="first shard"), Scores(waits_for="first shard"))
    [done] = worked(files, step, tasks(files, step, rows=(4,)))
    assert done.commit.rows_out == 4
    assert done.note.startup_seconds > 0


def test_what_breaks_a_load_comes_up_with_the_first_shard(files: LocalFiles) -> None:
    step = a_pass(Scores(breaks="weights.safetensors is cut short"))
    todo = tasks(files, step, rows=(4, 4), dead=4)
    whole = tasks(files, step, rows=(4, 4))
    for tried in (whole, todo):  # a shard without a row waits for the models too
        with (
            closing(Worker(files, step, sample_tasks(step, whole))) as worker,
            pytest.raises(ModelError, match="cut short"),
        ):
            worker.work(tried[0])
        committed = files.list("features/fake/commits")
        assert committed == (
            [] if tried is whole else [commit_path("features/fake", todo[0].shard_id)]
        )


def test_a_load_that_breaks_on_a_pool_says_why(files: LocalFiles) -> None:
    step = a_pass(Scores(breaks="weights.safetensors is cut short"))
    with (
        ExitStack() as ending,
        pytest.raises(EngineError, match=r"features/fake: a worker stopped: .*cut short"),
    ):
        list(pools(files, ending, step).execute(step, *_both(step, tasks(files, step, rows=(4,)))))


def pools(files: LocalFiles, ending: ExitStack, step: Pass, **cluster: Any) -> RayPools:
    recipe = recipe_from({"name": "t", "source": {"kind": "demo"}, "passes": [
        {"layer": "images", "stages": [{"kind": "captions"}]}]}, origin="t")  # fmt: skip
    recipe = recipe.model_copy(update={"passes": [step]})
    return RayPools(files.root, Cluster(workers=1, **cluster), recipe, {}, ending)


def _both(step: Pass, todo: list[Any]) -> tuple[list[Any], list[Any]]:
    return todo, sample_tasks(step, todo)


# --- shards in flight -----------------------------------------------------------------------------
def test_threads_of_one_worker_give_what_one_gives(tmp_path: Path, files: LocalFiles) -> None:
    step = a_pass(Titles(), Scores(seconds=0.05))
    todo = tasks(files, step, rows=(9, 4, 7, 5, 6, 8))
    with (
        closing(Worker(files, step, sample_tasks(step, todo), shards_in_flight=3)) as worker,
        ThreadPoolExecutor(3) as threads,
    ):
        done = list(threads.map(worker.work, todo))
    assert max(fake.inside) == 3
    other = LocalFiles(tmp_path / "other")
    again = worked(other, step, tasks(other, step, rows=(9, 4, 7, 5, 6, 8)))
    assert [d.commit for d in done] == [d.commit for d in again]
    assert len(fake.loaded) == 2
    assert {d.note.worker for d in done} == {worker.name}
    assert all(d.note.gpus == 0 and d.note.busy_seconds is None for d in done)


def test_a_pool_s_worker_has_several_shards_in_hand(tmp_path: Path, files: LocalFiles) -> None:
    log = tmp_path / "inside.txt"
    step = a_pass(Scores(seconds=0.3, log=log))
    todo = tasks(files, step, rows=(3,) * 9)
    with ExitStack() as ending:
        many = pools(files, ending, step, shards_in_flight=3)
        done = list(many.execute(step, *_both(step, todo)))
    assert {d.commit.part for d in done} == {task.part for task in todo}
    assert max(map(int, log.read_text().split())) == 3
    assert {d.note.agreements for d in done} == {(agreement(),)}
    assert {d.note.shards_in_flight for d in done} == {3}


def test_a_pool_starts_whole_and_its_workers_have_tasks_waiting() -> None:
    gpu = strategy(Pool(workers=4, cpus=1, gpus=1, shards_in_flight=3), tasks=100)
    assert (gpu.min_size, gpu.initial_size, gpu.max_size) == (4, 4, 4)
    assert gpu.max_concurrent_calls_per_actor == 3
    assert gpu.enable_true_multi_threading
    assert gpu.max_tasks_in_flight_per_actor > 3
    cpu = strategy(Pool(workers=4, cpus=1, gpus=0, shards_in_flight=1), tasks=3)
    assert cpu.initial_size == 3
    assert not cpu.enable_true_multi_threading


# --- what workers found ---------------------------------------------------------------------------
def test_findings_of_many_workers_are_one_file(files: LocalFiles) -> None:
    step = a_pass(Scores())
    todo = tasks(files, step, rows=(3, 3))
    for task in todo:
        with closing(Worker(files, step, sample_tasks(step, todo))) as worker:
            assert worker.work(task).note.agreements == (agreement(),)
    [name] = files.list("features/fake/checks")
    assert json.loads(files.read(name)) == [agreement().model_dump(mode="json")]
    assert read_checks(files, ["images", "features/fake"]) == {
        "features/fake": [agreement().model_dump(mode="json")]
    }


def test_findings_that_differ_are_told_each_once(files: LocalFiles) -> None:
    one, two = agreement(), agreement(device="cuda", error=float("inf"), used=False)
    write_check(files, "features/x", [one, two])
    write_check(files, "features/x", [one])
    [first, second] = read_checks(files, ["features/x"])["features/x"]
    by_device = {told["device"]: told for told in (first, second)}
    assert by_device["cpu"] == one.model_dump(mode="json")
    assert by_device["cuda"]["error"] is None
    assert "not finite" in by_device["cuda"]["note"]
    files.publish("features/x/checks/0.json", b'{"a": 1}')
    with pytest.raises(StoreError, match=r"features/x/checks/0\.json"):
        read_checks(files, ["features/x"])


# --- observations ---------------------------------------------------------------------------------
def test_features_have_observations_only_where_memory_ran_out(files: LocalFiles) -> None:
    step = a_pass(Scores(halved=("000001", "000003")))
    [one, two] = worked(files, step, tasks(files, step, rows=(5, 5)))
    entry = one.commit.file("observations")
    assert entry is not None
    seen = pq.read_table(files.path(entry.path))
    assert seen.to_pydict() == {"key": ["000001", "000003"], "clip_batch": [8, 8]}
    assert two.commit.file("observations") is None
    for done in (one, two):
        data = pq.read_table(files.path(done.commit.file("data").path))
        assert data.column_names == ["key", "clip_score"]


def test_memory_that_ran_out_once_is_no_conflict(files: LocalFiles) -> None:
    plain, halved = a_pass(Scores()), a_pass(Scores(halved=("000001",)))
    todo = tasks(files, plain, rows=(5,))
    [first] = worked(files, halved, todo)
    assert _again(files, plain, todo) == first.commit, "the first commit stands"
    assert len(files.list("features/fake/observations")) == 1
    files.remove(first.commit.path)
    [second] = worked(files, plain, todo)
    assert _again(files, halved, todo) == second.commit
    longer = pq.read_table(files.path(todo[0].data[0].path))
    longer = longer.set_column(1, c.TITLE, pc.binary_join_element_wise(longer["title"], "xyz", ""))
    files.publish(todo[0].data[0].path, encode(longer))
    with pytest.raises(CommitConflict, match="relative errors"):
        _again(files, halved, todo)


def _again(files: LocalFiles, step: Pass, todo: list[Any]) -> Any:
    """The shard computed by a worker that does not see that it was committed meanwhile."""
    name = commit_path(step.layer, todo[0].shard_id)

    class Late(LocalFiles):
        def exists(self, path: str) -> bool:
            return path != name and super().exists(path)

    [done] = worked(Late(files.root), step, todo)
    return done.commit


def test_what_memory_allowed_is_outside_the_ledger_s_digest(files: LocalFiles) -> None:
    from curate.provenance.lineage import ledger_digest
    from curate.publish import ledger_input

    todo = tasks(files, a_pass(Scores()), rows=(5,))
    made = []
    for halved in ((), ("000002",)):
        [done] = worked(files, a_pass(Scores(halved=halved)), todo)
        files.remove(done.commit.path)
        layers = {"features/fake": done.commit}
        assert ledger_input(layers) == ledger_digest({n: {"p": d} for n, d in layers.items()}, "p")
        made.append((len(done.commit.files), ledger_input(layers)))
    assert made == [(1, made[0][1]), (2, made[0][1])]
    assert ledger_input({"images": done.commit}) != made[0][1]
