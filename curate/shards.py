"""One shard through one pass: read its living rows, apply the stages, commit.

A task names the files of the layers before it; the same task gives the same commit wherever and
whenever it runs. Neither Ray nor threads appear here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel

from curate import columns as c
from curate.recipe import FIRST_LAYER, Pass
from curate.sources.removed import REMOVED
from curate.stage import Barrier, Stage, Transform, apply, living, mark, with_marks
from curate.stages.pixels import sharing
from curate.store.commit import (
    Commit,
    FileEntry,
    FileRole,
    commit_path,
    commit_shard,
    count_marks,
    load_commit,
    shard_id,
)
from curate.store.digest import json_digest
from curate.store.files import LocalFiles
from curate.store.tombstones import load_log

KEPT_WITH_MARKS = [
    c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_BASIS, c.LICENSE_MATCHED, c.LICENSE_GROUP,
    c.EVIDENCE_LEVEL, c.ORIGINAL_SHA256, c.STORED_SHA256, c.WIDTH, c.HEIGHT, c.THUMBNAIL,
    c.EMBEDDED_CLAIMS, c.EMBEDDED_RESERVATIONS, c.EMBEDDED_AGREES,
]  # fmt: skip


KEPT_OF_REMOVED = frozenset(
    field.name for field in (c.KEY, c.VERDICT, c.REASON, c.RETRYABLE, c.STAGE, c.ORIGINAL_SHA256,
                             c.STORED_SHA256)
)  # fmt: skip
"""What the marks of the first pass still say of a row that was removed."""


HASHES = (c.ORIGINAL_SHA256.name, c.STORED_SHA256.name)


Places = NDArray[np.int64]


class Task(BaseModel, frozen=True, extra="forbid"):
    """The work on one part in one pass: data files to join by key, marks to leave out."""

    layer: str
    part: str
    fingerprint: str
    data: list[FileEntry]
    marks: list[FileEntry]

    @property
    def input_digest(self) -> str:
        return json_digest([[f.role, f.content_digest] for f in (*self.data, *self.marks)])

    @property
    def shard_id(self) -> str:
        return shard_id(
            layer=self.layer, part=self.part, fingerprint=self.fingerprint,
            input_digest=self.input_digest,
        )  # fmt: skip


def read_rows(
    files: LocalFiles, task: Task, columns: Sequence[str], *, at_most: int | None = None
) -> pa.Table:
    """The living rows of a task with the given columns, joined by key, in key order.

    `at_most` reads the first rows only, and of the files no more row groups than hold them.
    """
    table: pa.Table | None = None
    for entry in task.data:
        source = _open(files, entry)
        known = [c.KEY.name] if table is None else table.column_names
        wanted = [n for n in columns if n in source.schema_arrow.names and n not in known]
        if table is None:
            places = _living(files, source, task)[:at_most]
            table = _rows_at(source, places, [c.KEY.name, *wanted])
        elif wanted:
            rows = _rows_of(source, table[c.KEY.name], wanted)
            for field in rows.schema:
                table = table.append_column(field, rows[field.name])
    if table is None:
        raise ValueError("a task has at least one data file")
    return table


def first_rows(
    files: LocalFiles, tasks: Sequence[Task], columns: Sequence[str], *, rows: int
) -> pa.Table:
    """The first living rows of some tasks, in their order; fewer if they hold no more."""
    found: list[pa.Table] = []
    for task in tasks:
        missing = rows - sum(map(len, found))
        if missing <= 0:
            break
        found.append(read_rows(files, task, columns, at_most=missing))
    return pa.concat_tables(found)


def _open(files: LocalFiles, entry: FileEntry) -> pq.ParquetFile:
    """Mapped, not read into memory first: committed files never change."""
    return pq.ParquetFile(files.path(entry.path), memory_map=True)


def _keys(source: pq.ParquetFile) -> pa.Array:
    return source.read(columns=[c.KEY.name])[c.KEY.name].combine_chunks()


def _living(files: LocalFiles, source: pq.ParquetFile, task: Task) -> Places:
    """Places of the rows that no later layer marked, ascending."""
    keys = _keys(source)
    alive = np.ones(len(keys), np.bool_)
    for entry in task.marks:
        alive &= ~np.asarray(pc.is_in(keys, value_set=_keys(_open(files, entry))))
    return np.flatnonzero(alive)


def _rows_of(source: pq.ParquetFile, keys: pa.ChunkedArray, columns: Sequence[str]) -> pa.Table:
    """The rows with some keys, in their order; null where the file has no such key."""
    place = pc.index_in(keys, value_set=_keys(source)).combine_chunks()
    rows = _rows_at(source, np.asarray(place.drop_null(), np.int64), columns)
    if not place.null_count:
        return rows
    there = np.asarray(pc.is_valid(place))
    return rows.take(pa.array(np.cumsum(there) - 1, mask=~there))


def _rows_at(source: pq.ParquetFile, places: Places, columns: Sequence[str]) -> pa.Table:
    """The rows at some places of a file, out of the row groups that hold them."""
    groups = range(source.num_row_groups)
    sizes = np.array([source.metadata.row_group(i).num_rows for i in groups], np.int64)
    ends = np.cumsum(sizes)
    needed = np.unique(np.searchsorted(ends, places, side="right"))
    rows = source.read_row_groups(needed.tolist(), columns=list(columns))
    starts = np.repeat((ends - sizes)[needed] - _before(sizes[needed]), sizes[needed])
    read = np.arange(len(rows)) + starts  # the place in the file of each row that was read
    if np.array_equal(read, places):
        return rows
    return rows.take(pa.array(np.searchsorted(read, places)))


def _before(sizes: Places) -> Places:
    """For each size, the sum of those before it."""
    return np.cumsum(sizes) - sizes


def needed_columns(step: Pass) -> list[str]:
    """The columns that a pass reads from earlier layers."""
    if step.layer == FIRST_LAYER:
        return list(c.CANDIDATE.names)
    made: set[str] = set()
    needed = [c.KEY.name]
    for stage in step.stages:
        needed += [n for n in stage.consumes.names if n not in made and n not in needed]
        made |= set(stage.produces.names)
    return needed


def run_task(files: LocalFiles, step: Pass, transforms: Sequence[Transform], task: Task) -> Commit:
    """Apply the stages of a pass to one part and commit the result.

    A part that somebody committed meanwhile is not computed again: a second fetch would observe
    other times, and perhaps other answers.
    """
    before = commit_path(task.layer, task.shard_id)
    if files.exists(before):
        return load_commit(files, before)
    table = with_marks(read_rows(files, task, needed_columns(step)))
    rows_in = len(table)
    if step.layer == FIRST_LAYER:
        table = mark(table, table[c.DEFECT.name].to_pylist(), stage="source")
    with sharing():
        for number, (stage, work) in enumerate(zip(step.stages, transforms, strict=True), start=1):
            table = _without_spent(apply(stage, table, work), step.stages[number:])
    dead = _only(table, pc.invert(living(table)), _marked_columns(step, table))
    tables: dict[FileRole, pa.Table] = {"data": _data(table, step)}
    if len(dead):
        tables["marks"] = _with_hashes(files, forgotten(dead)).combine_chunks()
    observed = _observations(table, step)
    if observed is not None:
        tables["observations"] = observed
    return commit_shard(
        files, layer=task.layer, part=task.part, fingerprint=task.fingerprint,
        input_digest=task.input_digest, rows_in=rows_in, tables=tables, marked=count_marks(dead),
    )  # fmt: skip


def _data(table: pa.Table, step: Pass) -> pa.Table:
    """The stored columns of the rows that are alive at the end of a pass."""
    data = _only(table, living(table), _stored_columns(step)).combine_chunks()
    return data.cast(_annotated(data.schema, step.stages))


def _marked_columns(step: Pass, table: pa.Table) -> list[str]:
    kept = KEPT_WITH_MARKS if step.layer == FIRST_LAYER else []
    return [c.KEY.name, *c.MARKS.names, *(f.name for f in kept if f.name in table.column_names)]


def _observations(table: pa.Table, step: Pass) -> pa.Table | None:
    """What was observed of rows that are not removed; None if there is nothing to say.

    A shard of the first pass has a file of them even if nothing of it was fetched: that is said so.
    """
    names = list(dict.fromkeys(
        f.name for s in step.stages for f in s.produces if c.role_of(f) == "observation"
    ))  # fmt: skip
    if not names:
        return None
    telling = [c.OBSERVED_AT.name] if c.OBSERVED_AT.name in names else names
    there = pc.is_valid(table[telling[0]])
    for name in telling[1:]:
        there = pc.or_(there, pc.is_valid(table[name]))
    there = pc.and_not(there, _removed(table))
    seen = _only(table, there, [c.KEY.name, *names]).combine_chunks()
    return seen if len(seen) or step.layer == FIRST_LAYER else None


def _only(table: pa.Table, where: pa.ChunkedArray, columns: Sequence[str]) -> pa.Table:
    """Some columns of some rows; nothing is copied where that is all rows."""
    chosen = table.select(list(columns))
    return chosen if pc.all(where, min_count=0).as_py() else chosen.filter(where)


def forgotten(marks: pa.Table) -> pa.Table:
    """Marks in which removed rows keep key, verdict and the hashes of the picture, nothing else."""
    removed = _removed(marks)
    if not pc.any(removed).as_py():
        return marks
    place = pc.if_else(removed, None, pa.array(range(len(marks)), pa.int64()))
    for at, field in enumerate(marks.schema):
        if field.name not in KEPT_OF_REMOVED:
            marks = marks.set_column(at, field, marks[field.name].take(place))
    return marks


def _with_hashes(files: LocalFiles, marks: pa.Table) -> pa.Table:
    """Marks of the first pass with the hashes that the tombstone log keeps of removed rows.

    So a shard that was lost is made again as the removal left it.
    """
    names = [n for n in HASHES if n in marks.column_names]
    if not names or not pc.any(_removed(marks)).as_py():
        return marks
    known = {entry.key: entry for entry in load_log(files).entries if not entry.is_request}
    keys = pc.if_else(_removed(marks), marks[c.KEY.name], None).to_pylist()
    for name in names:
        told = [getattr(known[key], name) if key in known else None for key in keys]
        column = pc.coalesce(marks[name], pa.array(told, pa.string()))
        at = marks.column_names.index(name)
        marks = marks.set_column(at, marks.schema.field(at), column)
    return marks


def _removed(table: pa.Table) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(table[c.REASON.name], REMOVED), False)


def _without_spent(table: pa.Table, later: Sequence[Stage]) -> pa.Table:
    """Let go of transient columns (the fetched bytes) that no later stage reads."""
    wanted = {name for stage in later for name in stage.consumes.names}
    spent = [f.name for f in table.schema if c.role_of(f) == "transient" and f.name not in wanted]
    return table.drop_columns(spent) if spent else table


def _stored_columns(step: Pass) -> list[str]:
    """Stored columns of a pass's data: key, the candidate's own in the first layer, then its own."""
    names = [c.KEY.name]
    if step.layer == FIRST_LAYER:
        names = [n for n in c.CANDIDATE.names if n != c.DEFECT.name]
    for stage in step.stages:
        stored = [f.name for f in stage.produces if c.role_of(f) in ("fact", "model")]
        names += [n for n in stored if n not in names]
    return names


def _annotated(schema: pa.Schema, stages: Sequence[Stage]) -> pa.Schema:
    """The schema with what each stage says of its columns: model digest, dtype, shape."""
    notes = {name: told for stage in stages for name, told in stage.field_metadata().items()}
    fields = []
    for field in schema:
        extra = {
            f"curate.{k.removeprefix('curate.')}": v for k, v in notes.get(field.name, {}).items()
        }
        fields.append(field.with_metadata({**(field.metadata or {}), **extra}))
    return pa.schema(fields)


def decide(
    files: LocalFiles, barrier: Barrier, layer: str, fingerprint: str, tasks: Sequence[Task], *,
    remembered: Mapping[str, float] | None = None,
) -> list[Commit]:  # fmt: skip
    """Run a barrier over all parts and commit its marks part by part.

    The barrier sees the narrow columns it consumes; only keys and marks are held for the rest.
    `remembered` is what it knows of rows that were removed since it first decided.
    """
    columns = list(dict.fromkeys([c.KEY.name, *barrier.consumes.names]))
    rows = (read_rows(files, task, columns) for task in tasks)
    marks = with_marks(barrier.decide(rows, remembered=remembered))
    whole = json_digest([task.input_digest for task in tasks])
    commits = []
    for task in tasks:
        keys = read_rows(files, task, [c.KEY.name])[c.KEY.name].combine_chunks()
        own = marks.filter(pc.is_in(marks[c.KEY.name], value_set=keys)).sort_by(c.KEY.name)
        own = own.select([c.KEY.name, *c.MARKS.names]).cast(pa.schema([c.KEY, *c.MARKS]))
        commits.append(
            commit_shard(
                files, layer=layer, part=task.part, fingerprint=fingerprint, input_digest=whole,
                rows_in=len(keys), tables={"marks": own.combine_chunks()}, marked=count_marks(own),
            )
        )  # fmt: skip
    return commits
