"""A data set for the bench: its images layer is committed, as `curate run` would have left it.

Each picture of a pool goes through the stages `read_file` and `inspect` once; what they told is put
under as many keys as rows are wanted, through the tasks, stages and commits of every run.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image
from pydantic import BaseModel

from curate import columns as c
from curate.bench.captions import captions, own_words, random_model_words, token_counts
from curate.bench.photographs import photograph, shape_of
from curate.bench.result import BenchData, Captions
from curate.engine import tasks_of
from curate.models import resolve, tokenizer_dir
from curate.plan import PLAN, make_plan, plan_commits
from curate.recipe import Recipe, recipe_from
from curate.shards import Task, run_task
from curate.stage import Transform
from curate.stages.inspect import Inspect
from curate.store.digest import json_digest
from curate.store.files import LocalFiles

Item = TypeVar("Item")
Result = TypeVar("Result")
Say = Callable[[str], None]

FORM: Final = 1
SHARD: Final = 1024  # rows of a shard of 256 px, about; of larger pictures fewer
QUALITY: Final = 90
FULL_PIXELS: Final = 1 << 20
MOST_PROCESSES: Final = 12
SEED: Final = 4
FACTS: Final = "bench.json"
ROWS: Final = "rows.parquet"
POOL: Final = "pool.parquet"
FEATURES: Final = "features/all"


class DataSpec(BaseModel, frozen=True, extra="forbid"):
    """What the data set is to be: pictures of `px` × `px` after the crop, captions of one kind.

    `pictures` are the different ones of the pool. Words are those of the tokenizer of `t5`, or
    without one of the bench's own tokenizer of `vocabulary` tokens.
    """

    px: int
    rows: int
    captions: Captions = "alt"
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    pictures: int = 256
    t5: str | None = None
    vocabulary: int = 32128
    processes: int = 1

    @property
    def picture_pixels(self) -> int:
        """About a million, as the goal says; fewer for the small sizes of a trial."""
        return min(FULL_PIXELS, 16 * self.px**2)

    @property
    def shard_rows(self) -> int:
        """The bound on a shard's rows, so that key ranges come out about equal and as wanted."""
        parts = 2 ** max(0, round(np.log2(self.rows / min(shard_of(self.px), -(-self.rows // 4)))))
        mean = self.rows / parts
        return int(np.ceil(mean + 4 * np.sqrt(mean)))

    def shape(self, number: int) -> tuple[int, int]:
        """Width and height of a picture of the pool."""
        return shape_of(number, pixels=self.picture_pixels, least_side=self.px)

    def pool_digest(self) -> str:
        shapes = [self.shape(number) for number in range(self.pictures)]
        return json_digest([FORM, SEED, QUALITY, self.subsampling, shapes])[:12]

    def digest(self) -> str:
        return json_digest([FORM, self.model_dump(mode="json", exclude={"processes"})])[:12]


def shard_of(px: int) -> int:
    """About how many rows of pictures of this size make a shard."""
    return max(64, min(SHARD, SHARD * 256 // px))


class BenchSet(BaseModel, frozen=True, extra="forbid"):
    """A finished data set: `root` with plan and images, `pool` with the pictures, what it holds."""

    spec: DataSpec
    root: Path
    pool: Path
    facts: BenchData

    @property
    def recipe(self) -> Recipe:
        """The recipe of its images layer."""
        return recipe_from(
            recipe_value(self.spec, self.root.parent / ROWS, self.pool, []), origin="bench"
        )

    def with_features(self, stages: Sequence[dict[str, Any]]) -> Recipe:
        """The recipe that goes on with a pass of encoders."""
        value = recipe_value(self.spec, self.root.parent / ROWS, self.pool, stages)
        return recipe_from(value, origin="bench")

    def rows(self) -> pa.Table:
        """Columns id, file, caption and tokens of all rows."""
        return pq.read_table(self.root.parent / ROWS)

    def bodies(self) -> list[bytes]:
        """The stored JPEGs of the pool."""
        image = pq.read_table(self.pool / POOL, columns=[c.IMAGE.name])[c.IMAGE.name]
        return [row["bytes"] for row in image.to_pylist()]

    def shard(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One committed shard of the images layer."""
        files = sorted((self.root / "images" / "data").glob("*.parquet"))
        return pq.read_table(files[number % len(files)], columns=list(columns) if columns else None)

    def copy_to(self, to: Path) -> None:
        """The same data set elsewhere on the file system, by links: a run may add to it."""
        shutil.copytree(self.root, to, copy_function=os.link)


def recipe_value(
    spec: DataSpec, table: Path, pool: Path, features: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The bench's recipe as plain values; `features` are the stages of a second pass, if any."""
    source = {
        "kind": "table", "name": "bench", "path": str(table), "root": str(pool),
        "columns": {"id": "id", "path": "file", "captions": ["caption"]},
    }  # fmt: skip
    images = [
        {"kind": "read_file", "root": str(pool)},
        {"kind": "inspect", "quality": QUALITY, "subsampling": spec.subsampling},
        {"kind": "buckets", "sizes": [[spec.px, spec.px]]},
    ]
    passes: list[dict[str, Any]] = [{"layer": "images", "stages": images}]
    if features:
        passes.append({"layer": FEATURES, "stages": list(features)})
    return {
        "name": "bench", "source": source, "shard_rows": spec.shard_rows, "passes": passes,
    }  # fmt: skip


def make_data(folder: Path, spec: DataSpec, say: Say) -> BenchSet:
    """The data set of a spec below `folder`, made if it is not there or not finished."""
    pool = folder / f"pictures-{spec.pool_digest()}"
    home = folder / f"data-{spec.px}-{spec.captions}-{spec.rows}-{spec.digest()}"
    if not (pool / POOL).is_file():
        _make_pool(pool, spec)
        say(f"data: {spec.pictures} pictures drawn and inspected")
    if (home / FACTS).is_file():
        facts = BenchData.model_validate_json((home / FACTS).read_bytes())
        return BenchSet(spec=spec, root=home / "set", pool=pool, facts=facts)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    tokens = _write_rows(home / ROWS, spec)
    shards = _commit_images(home, spec, pool, say)
    facts = _facts(spec, pool, shards, tokens)
    (home / FACTS).write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return BenchSet(spec=spec, root=home / "set", pool=pool, facts=facts)


def _facts(spec: DataSpec, pool: Path, shards: int, tokens: float) -> BenchData:
    told = pq.read_table(pool / POOL, columns=[c.WIDTH.name, c.HEIGHT.name, c.IMAGE.name])
    sizes = pc.binary_length(pc.struct_field(told[c.IMAGE.name], 0))
    area = pc.multiply(told[c.WIDTH.name], told[c.HEIGHT.name])
    return BenchData(
        rows=spec.rows, shards=shards, pictures=spec.pictures,
        picture_pixels=pc.mean(area).as_py(), picture_bytes=pc.mean(sizes).as_py(),
        jpeg=f"quality {QUALITY}, {spec.subsampling}", captions=spec.captions,
        caption_tokens=tokens,
    )  # fmt: skip


# --- rows -----------------------------------------------------------------------------------------
def _write_rows(path: Path, spec: DataSpec) -> float:
    """Write ids, file names and captions; returns the captions' mean number of tokens."""
    counts = token_counts(spec.captions, spec.rows, SEED)
    if spec.t5 is None:
        texts = captions(random_model_words(spec.vocabulary), counts, SEED)
    else:
        from transformers import AutoTokenizer

        place = tokenizer_dir(resolve(spec.t5, "t5"))
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        texts = captions(own_words(tokenizer, spec.t5), counts, SEED)
        counts = np.asarray([len(ids) for ids in tokenizer(texts)["input_ids"]], np.int64)
    table = pa.table(
        {
            "id": [f"{row:07d}" for row in range(spec.rows)],
            "file": [_name(row % spec.pictures) for row in range(spec.rows)],
            "caption": texts,
            "tokens": pa.array(counts),
        }
    )
    pq.write_table(table, path)
    return float(counts.mean())


# --- the pool -------------------------------------------------------------------------------------
def _make_pool(folder: Path, spec: DataSpec) -> None:
    """Draw the pictures, write them, and keep what `inspect` told of each in one table."""
    folder.mkdir(parents=True, exist_ok=True)
    with _processes(spec.processes) as spread:
        parts = list(spread(partial(_draw, folder, spec), range(spec.pictures)))
    unfinished = folder / f"{POOL}.unfinished"
    pq.write_table(pa.concat_tables(parts), unfinished)
    unfinished.rename(folder / POOL)


def _name(number: int) -> str:
    return f"{number:04d}.jpg"


def _draw(folder: Path, spec: DataSpec, number: int) -> pa.Table:
    """One picture on disk, and its row after `read_file` and `inspect`."""
    width, height = spec.shape(number)
    out = BytesIO()
    Image.fromarray(photograph(width, height, SEED + number)).save(out, "JPEG", quality=95)
    (folder / _name(number)).write_bytes(out.getvalue())
    value = recipe_value(spec, folder / ROWS, folder, [])
    read, inspect, *_ = recipe_from(value, origin="bench").passes[0].stages
    table = pa.table({c.KEY.name: [str(number)], c.PATH.name: [_name(number)]})
    told = inspect.open()(read.open()(table))
    return told.drop_columns([c.KEY.name, c.BODY.name, *c.MARKS.names])


# --- shards ---------------------------------------------------------------------------------------
def _commit_images(home: Path, spec: DataSpec, pool: Path, say: Say) -> int:
    """Plan the rows and commit each shard of the images layer; returns how many there are."""
    files = LocalFiles(home / "set")
    recipe = recipe_from(recipe_value(spec, home / ROWS, pool, []), origin="bench")
    plan = make_plan(recipe, files)
    tasks = tasks_of(recipe, 0, {"plan": {c.part: c for c in plan_commits(files, plan)}})
    say(f"data: {spec.rows} rows planned in {len(tasks)} shards")
    work = partial(_commit, home, spec, pool)
    with _processes(min(spec.processes, len(tasks))) as spread:
        for done, _ in enumerate(spread(work, [task.model_dump_json() for task in tasks]), 1):
            if done % max(1, len(tasks) // 4) == 0:
                say(f"data: {done} of {len(tasks)} shards committed")
    # a run's plan names its encoders too: each run makes its own, and finds these commits
    files.remove(PLAN)
    return len(tasks)


def _commit(home: Path, spec: DataSpec, pool: Path, text: str) -> None:
    recipe = recipe_from(recipe_value(spec, home / ROWS, pool, []), origin="bench")
    step = recipe.passes[0]
    transforms: list[Transform] = [
        partial(_read, pool=pool), partial(_inspected, pool=pool), step.stages[2].open(),
    ]  # fmt: skip
    run_task(LocalFiles(home / "set"), step, transforms, Task.model_validate_json(text))


def _read(table: pa.Table, *, pool: Path) -> pa.Table:
    """What `read_file` gives, but for the bytes, which nobody looks at again."""
    table = table.append_column(c.BODY, pa.nulls(len(table), c.BODY.type))
    chosen = _rows_of(table, pool)
    for field in (c.ORIGINAL_SHA256, c.ORIGINAL_BYTES, c.OBSERVED_AT):
        table = table.append_column(field, _pool(pool)[field.name].take(chosen))
    return table


def _inspected(table: pa.Table, *, pool: Path) -> pa.Table:
    """What `inspect` gives, from what it gave for the picture of each row."""
    chosen = _rows_of(table, pool)
    for field in Inspect.produces:
        if field.name == c.IMAGE.name:
            column = _images(table[c.KEY.name], _pool(pool)[field.name].take(chosen))
        else:
            column = _pool(pool)[field.name].take(chosen)
        table = table.append_column(field, column)
    return table


def _images(keys: pa.ChunkedArray, pictures: pa.ChunkedArray) -> pa.Array:
    """The pictures under the names of their rows."""
    bodies = pc.struct_field(pictures.combine_chunks(), 0)
    names = pc.binary_join_element_wise(keys.combine_chunks(), "jpg", ".")
    return pa.StructArray.from_arrays([bodies, names], fields=list(c.IMAGE_TYPE))


def _rows_of(table: pa.Table, pool: Path) -> pa.ChunkedArray:
    return pc.index_in(table[c.PATH.name], value_set=_pool(pool)[c.PATH.name].combine_chunks())


@lru_cache(maxsize=2)
def _pool(folder: Path) -> pa.Table:
    return pq.read_table(folder / POOL).combine_chunks()


@contextmanager
def _processes(
    count: int,
) -> Iterator[Callable[[Callable[[Item], Result], Iterable[Item]], Iterable[Result]]]:
    """A `map` over some processes, or over this one alone."""
    if count <= 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(count, MOST_PROCESSES), mp_context=context) as pool:
        yield pool.map
