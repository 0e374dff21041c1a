"""A worker with a GPU: three shards in hand give the bytes of one, and it says how busy it was."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from curate import columns as c
from curate.cluster import Cluster, gpus_here
from curate.demo.scenes import caption, draw, random_scene
from curate.rates import pass_rate
from curate.ray_pool import RayPools
from curate.recipe import Pass, recipe_from
from curate.shards import Task
from curate.stages.clip_score import ClipScore
from curate.stages.t5 import T5Stage
from curate.stages.vae import VaeStage
from curate.store.commit import Commit, commit_shard
from curate.store.files import LocalFiles
from curate.store.tolerance import TOLERANCE, distances
from curate.workers import Done, Worker, sample_tasks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
SHARDS, ROWS = 5, 80
SCHEMA = pa.schema([c.KEY, c.CAPTIONS, c.IMAGE, c.CROP_BOX, c.BUCKET_WIDTH, c.BUCKET_HEIGHT])


def features(device: str = "auto", layer: str = "features/all") -> Pass:
    """All three encoders in one pass, so in one worker."""
    stages = [ClipScore(device=device), T5Stage(device=device), VaeStage(device=device)]
    return Pass.model_validate(
        {"layer": layer, "stages": [stage.model_dump(mode="json") for stage in stages]}
    )


@lru_cache(maxsize=1)
def pictures() -> pa.Table:
    rng = np.random.default_rng(4)
    return pa.Table.from_pylist([row(n, rng) for n in range(SHARDS * ROWS)], schema=SCHEMA)


def row(number: int, rng: np.random.Generator) -> dict[str, Any]:
    scene = random_scene(rng)
    size = (64, 64) if number % 3 else (96, 64)
    stream = BytesIO()
    draw(scene, (size[0] + 8, size[1])).save(stream, "JPEG", quality=92)
    return {
        "key": f"{number:04}", "captions": [{"text": caption(scene, rng)} for _ in range(2)],
        "image": {"bytes": stream.getvalue(), "path": None},
        "crop_box": [4, 0, 4 + size[0], size[1]], "bucket_width": size[0], "bucket_height": size[1],
    }  # fmt: skip


def tasks(files: LocalFiles, step: Pass) -> list[Task]:
    found = []
    for part in range(SHARDS):
        commit = commit_shard(
            files, layer="images", part=f"{part}-open", fingerprint="f", input_digest="i",
            rows_in=ROWS, marked={},
            tables={"data": pictures().slice(part * ROWS, ROWS).combine_chunks()},
        )  # fmt: skip
        found.append(
            Task(layer=step.layer, part=commit.part, fingerprint="f", data=commit.files, marks=[])
        )
    return found


def worked(root: Path, step: Pass, *, threads: int) -> list[Done]:
    files = LocalFiles(root)
    todo = tasks(files, step)
    with (
        closing(
            Worker(files, step, sample_tasks(step, todo), shards_in_flight=threads, gpus=1.0)
        ) as worker,
        ThreadPoolExecutor(threads) as pool,
    ):
        return list(pool.map(worker.work, todo))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Done]]:
    """Computed one shard after the other on the GPU."""
    root = tmp_path_factory.mktemp("one")
    return root, worked(root, features(), threads=1)


def data_of(root: Path, commits: Sequence[Commit]) -> pa.Table:
    entries = [commit.file("data") for commit in commits]
    return pa.concat_tables([pq.read_table(root / entry.path) for entry in entries if entry])


def test_three_shards_in_hand_give_the_bytes_of_one(
    one: tuple[Path, list[Done]], tmp_path: Path
) -> None:
    many = worked(tmp_path, features(), threads=3)
    first, second = ([d.commit for d in done] for done in (one[1], many))
    apart = distances(data_of(one[0], first), data_of(tmp_path, second))
    assert max(apart.values()) <= TOLERANCE
    assert second == first, f"the same bits, whatever runs beside; apart by {apart}"


def test_a_worker_says_what_its_gpu_did(one: tuple[Path, list[Done]]) -> None:
    notes = [done.note for done in one[1]]
    assert all(note.gpus == 1 and note.device for note in notes)
    busy = [note.busy_seconds or 0.0 for note in sorted(notes, key=lambda note: note.at)]
    assert busy == sorted(busy)
    assert busy[-1] > busy[0]
    rate = pass_rate(notes, seconds=60)
    assert rate.gpu_busy is not None
    assert 0 < rate.gpu_busy <= 1
    assert rate.startup_seconds > 0
    found = notes[0].agreements
    assert {told.device for told in found} == {torch.cuda.get_device_name()}
    assert {told.encoder.split()[0] for told in found} >= {"clip", "t5"}
    assert all(told.error is None or told.error <= TOLERANCE for told in found if told.used)


def test_features_of_the_gpu_are_those_of_the_cpu(
    one: tuple[Path, list[Done]], tmp_path: Path
) -> None:
    cpu = worked(tmp_path, features("cpu"), threads=1)
    tables = (
        data_of(one[0], [d.commit for d in one[1]]),
        data_of(tmp_path, [d.commit for d in cpu]),
    )
    apart = distances(tables[1], tables[0])
    assert len(apart) >= 5
    assert max(apart.values()) <= TOLERANCE, apart


def test_a_pool_of_gpu_workers_gives_the_same(one: tuple[Path, list[Done]], tmp_path: Path) -> None:
    step = features()
    recipe = recipe_from({"name": "t", "source": {"kind": "demo"}, "passes": [
        {"layer": "images", "stages": [{"kind": "captions"}]}]}, origin="t")  # fmt: skip
    recipe = recipe.model_copy(update={"passes": [step]})
    files = LocalFiles(tmp_path)
    todo = tasks(files, step)
    with ExitStack() as ending:
        pools = RayPools(files.root, Cluster(), recipe, {}, ending)
        done = list(pools.execute(step, todo, sample_tasks(step, todo)))
    notes = [each.note for each in done]
    assert {note.gpus for note in notes} == {1.0}
    assert {note.shards_in_flight for note in notes} == {3}
    assert len({note.worker for note in notes}) <= gpus_here()
    by_part = {each.commit.part: each.commit for each in done}
    assert [by_part[each.commit.part] for each in one[1]] == [each.commit for each in one[1]]
