"""Verdicts, re-derived: the same stages and barriers judge the same committed columns again.

Licences are parsed anew from the raw claims, embedded metadata from the kept blocks; caption, size
and duplicate decisions are taken anew from what the layers hold. What depends on the network, on
decoding or on a signature cannot be repeated here: its marks are taken as committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.engine import Layers, barrier_tasks
from curate.plan import load_plan
from curate.provenance.embedded import BLOCKS, NOTED, WRITTEN, check_embedded
from curate.provenance.findings import compare_rows, compare_sets, flat
from curate.provenance.partition import read_role
from curate.recipe import FIRST_LAYER, Pass, Recipe
from curate.shards import forgotten, read_rows
from curate.sources.keys import canonical_url, row_key
from curate.stage import apply, mark, with_marks
from curate.stages.embedded import Embedded
from curate.store.commit import Commit
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.manifest import Shard

PURE: Final = ("license", "opt_out", "captions", "resolution", "aspect")
"""Stages whose verdict follows from columns that are kept, for rejected rows too."""
JUDGED: Final = [c.VERDICT.name, c.REASON.name, c.RETRYABLE.name, c.MEASURED_VALUE.name,
                 c.MEASURED_TEXT.name, c.RELATED_KEY.name]  # fmt: skip
LICENSE: Final = [f.name for f in (c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_BASIS,
                                   c.LICENSE_MATCHED, c.LICENSE_GROUP, c.EVIDENCE_LEVEL)]  # fmt: skip
OWN: Final = [name for name in c.CANDIDATE.names if name != c.DEFECT.name]


def check_candidates(
    dataset: Dataset, recipe: Recipe, part: str, shards: Mapping[str, Shard]
) -> Iterator[str]:
    """The first pass of one part judged again from the plan's raw rows, and keys made again."""
    plan = read_role(dataset, shards["plan"], "data", None)
    wanted = [*OWN, *LICENSE, "width", "height", *BLOCKS, *WRITTEN]
    data = read_role(dataset, shards[FIRST_LAYER], "data", wanted)
    marks = read_role(dataset, shards[FIRST_LAYER], "marks", None)
    yield from _check_row_keys(part, plan)
    yield from _check_own_columns(part, plan, data)
    facts = pa.concat_tables([data, marks], promote_options="default")
    table = mark(with_marks(plan), plan[c.DEFECT.name].to_pylist(), stage="source")
    yield from _compare_marks(part, "source", table, marks)
    for stage in recipe.passes[0].stages:
        table = _with_facts(table, facts, stage.consumes.names)
        if isinstance(stage, Embedded):
            table = _with_facts(table, facts, NOTED)
            if set(NOTED) <= set(table.column_names):
                table = stage.weigh(table)
                yield from _compare_marks(part, stage.kind, table, marks)
            yield from check_embedded(f"{FIRST_LAYER} {part}", data, table)
        elif stage.kind in PURE and set(stage.consumes.names) <= set(table.column_names):
            table = apply(stage, table)
            yield from _compare_marks(part, stage.kind, table, marks)
        else:
            table = _marked_as_committed(table, marks, stage.kind)
    if recipe.license_stage is not None:
        yield from _check_licenses(part, table, facts)
        yield from _check_group(part, data)


def check_barriers(dataset: Dataset, recipe: Recipe, commits: Layers) -> Iterator[str]:
    """Every barrier decided again over the columns it saw, its marks compared with the committed."""
    for step in recipe.passes:
        if step.barrier is not None and step.verdict_layer in commits:
            yield from _check_barrier(dataset, recipe, step, commits)


def _check_barrier(dataset: Dataset, recipe: Recipe, step: Pass, commits: Layers) -> Iterator[str]:
    barrier, name = step.barrier, step.verdict_layer
    if barrier is None or name is None:
        return
    names = list(commits)
    before = {layer: commits[layer] for layer in names[: names.index(name)]}
    tasks = barrier_tasks(recipe, step, before)
    columns = list(dict.fromkeys([c.KEY.name, *barrier.consumes.names]))
    rows = (read_rows(dataset.files, task, columns) for task in tasks)
    plan = load_plan(dataset.files)
    whole = json_digest([task.input_digest for task in tasks])
    remembered = plan.remembered(name, whole) if plan else {}
    derived = with_marks(barrier.decide(rows, remembered=remembered))
    stored = pa.concat_tables([_marks_of(dataset, commit) for commit in commits[name].values()])
    yield from _compare_tables(name, "marks", stored, derived)


def _marks_of(dataset: Dataset, commit: Commit) -> pa.Table:
    entry = commit.file("marks")
    columns = [c.KEY.name, *c.MARKS.names]
    return dataset.read(entry, columns) if entry else pa.schema([c.KEY, *c.MARKS]).empty_table()


def _compare_tables(where: str, what: str, stored: pa.Table, derived: pa.Table) -> Iterator[str]:
    """Two sets of marks: the same keys, and the same verdict for each."""
    mine, theirs = flat(stored[c.KEY.name]), flat(derived[c.KEY.name])
    yield from compare_sets(where, what, mine, theirs)
    shared = mine.filter(pc.is_in(mine, value_set=theirs))
    left = stored.take(pc.index_in(shared, value_set=mine))
    right = derived.take(pc.index_in(shared, value_set=theirs))
    yield from compare_rows(where, shared, left, right, JUDGED)


def _compare_marks(part: str, stage: str, table: pa.Table, marks: pa.Table) -> Iterator[str]:
    """What a stage rejects on judging again, against its committed marks."""
    derived = table.filter(_is(table, stage))
    stored = marks.filter(_is(marks, stage))
    yield from _compare_tables(
        f"{FIRST_LAYER} {part}", f"rows that {stage} rejects", stored, derived
    )


def _is(table: pa.Table, stage: str) -> pa.Array:
    return pc.fill_null(pc.equal(table[c.STAGE.name], stage), False)


def _marked_as_committed(table: pa.Table, marks: pa.Table, stage: str) -> pa.Table:
    own = marks.filter(_is(marks, stage))
    place = pc.index_in(table[c.KEY.name], value_set=flat(own[c.KEY.name]))
    alive = pc.is_null(table[c.VERDICT.name])
    for field in c.MARKS:
        taken = own[field.name].take(place)
        merged = pc.if_else(alive, taken, table[field.name])
        table = table.set_column(table.column_names.index(field.name), field, merged)
    return table


def _with_facts(table: pa.Table, facts: pa.Table, names: Sequence[str]) -> pa.Table:
    """Columns that a stage reads and that only the committed rows hold: width, height."""
    place = None
    for name in names:
        if name in table.column_names or name not in facts.column_names:
            continue
        if place is None:
            place = pc.index_in(table[c.KEY.name], value_set=flat(facts[c.KEY.name]))
        table = table.append_column(name, facts[name].take(place))
    return table


def _check_row_keys(part: str, plan: pa.Table) -> Iterator[str]:
    """A key is sha256 of source and id, or else of source and canonical URL, or else path."""
    names = (c.KEY, c.SOURCE, c.SOURCE_ID, c.URL, c.PATH, c.DEFECT)
    for key, source, id, url, path, defect in zip(
        *(plan[f.name].to_pylist() for f in names), strict=True
    ):
        if defect is not None:
            continue  # such rows have keys of their own
        name = id if id is not None else canonical_url(url) if url is not None else path
        if name is None or row_key(source, name) != key:
            yield f"plan {part}: row {key} does not have the key of its source and id {name!r}"


def _check_own_columns(part: str, plan: pa.Table, data: pa.Table) -> Iterator[str]:
    """What images repeats of a candidate (claims, captions, creator …) is what was planned."""
    keys = flat(data[c.KEY.name])
    planned = plan.take(pc.index_in(keys, value_set=flat(plan[c.KEY.name])))
    yield from compare_rows(f"{FIRST_LAYER} {part}", keys, data, planned, OWN[1:])


def _check_licenses(part: str, table: pa.Table, facts: pa.Table) -> Iterator[str]:
    """The stored licence columns against those parsed from the plan's raw claims."""
    names = [n for n in LICENSE if n in table.column_names and n in facts.column_names]
    keys = flat(table[c.KEY.name])
    stored = facts.take(pc.index_in(keys, value_set=flat(facts[c.KEY.name])))
    derived = forgotten(table.select([c.KEY.name, *c.MARKS.names, *names]))
    yield from compare_rows(f"{FIRST_LAYER} {part}", keys, stored, derived, names)


def _check_group(part: str, data: pa.Table) -> Iterator[str]:
    """Rows of one part are of the licence group that the part is named for."""
    group = part.rpartition("-")[2]
    odd = data.filter(pc.fill_null(pc.not_equal(data[c.LICENSE_GROUP.name], group), True))
    for key, found in zip(
        odd[c.KEY.name].to_pylist(), odd[c.LICENSE_GROUP.name].to_pylist(), strict=True
    ):
        yield f"{FIRST_LAYER} {part}: row {key} is of group {found!r}"
