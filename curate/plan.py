"""The plan: the frozen, sorted, sharded list of candidates.

Candidates stream from the source through spill files, so memory holds no more of a million than
of a thousand. Parts are leaves of a binary tree over key bits, split until each holds at most
`shard_rows` rows: adding rows moves only the parts they fall into.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from curate.errors import EngineError, OutputMismatch, RecipeError, StoreError
from curate.ranges import key_ranges
from curate.recipe import Recipe
from curate.sources.base import InputFile
from curate.sources.captions import CaptionIndex, Joined, joined, noted
from curate.sources.removed import Sought, erased
from curate.store.commit import Commit, commit_shard, load_commits
from curate.store.digest import json_digest, table_digest
from curate.store.files import LocalFiles
from curate.store.tombstones import LOG, load_log, unfinished

PLAN = "plan/PLAN.json"
LAYER = "plan"


class Settled(BaseModel, frozen=True, extra="forbid"):
    """Why a barrier's verdicts stand though rows that it saw were removed.

    `inputs` are the digests of all that it read, of each version in turn, the present one last:
    parts that no removal touched keep the commits made from earlier ones. `remembered` is what it
    needs to know of rows that are gone.
    """

    inputs: list[str]
    remembered: dict[str, float] = {}

    def accepted(self, present: str) -> list[str]:
        """Digests that commits may name, the newest first; none but `present` if that is not ours."""
        return self.inputs[::-1] if self.inputs and self.inputs[-1] == present else [present]


class Plan(BaseModel, frozen=True, extra="forbid"):
    """What was planned, for whom, and from which files."""

    format: Literal["curate-plan/3"] = "curate-plan/3"
    recipe_name: str
    recipe_fingerprint: str
    recipe: dict[str, Any]
    limit: int | None
    source: dict[str, Any]
    identities: dict[str, list[Any]] = Field(
        description="layer → what its fingerprint is the digest of: stages with versions and digests"
    )
    inputs: list[dict[str, Any]]
    rows: int
    shards: dict[str, str] = Field(description="part → shard id of the commit that holds its rows")
    captions: list[Joined] = Field([], description="what became of each import of captions")
    version: int = Field(1, ge=1, description="of the dataset; each removal makes the next one")
    previous: str | None = Field(None, description="manifest digest of the version before")
    settled: dict[str, Settled] = Field(
        {}, description="verdict layer → what its barrier decided before rows were removed"
    )

    @property
    def parts(self) -> list[str]:
        """Names of the parts, sorted."""
        return sorted(self.shards)

    def accepted(self, layer: str, present: str) -> list[str]:
        """Input digests that a verdict layer's commits may name, the newest first."""
        return self.settled[layer].accepted(present) if layer in self.settled else [present]

    def remembered(self, layer: str, present: str) -> dict[str, float]:
        """What the barrier of a verdict layer remembers of rows that were removed."""
        known = self.settled.get(layer)
        return known.remembered if known and known.inputs[-1:] == [present] else {}

    def to_bytes(self) -> bytes:
        return (
            json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False).encode() + b"\n"
        )


def load_plan(files: LocalFiles) -> Plan | None:
    """The plan of an output directory, or None if it has none yet."""
    if not files.exists(PLAN):
        return None
    try:
        return Plan.model_validate_json(files.read(PLAN))
    except ValueError as error:
        raise StoreError(
            f"{files.root / PLAN} is damaged, or of another version of curate: {error}"
        ) from error


def plan_commits(files: LocalFiles, plan: Plan) -> list[Commit]:
    """The commits of a finished plan in part order."""
    found = load_commits(files, LAYER)
    lost = [part for part in plan.parts if plan.shards[part] not in found]
    if lost:
        raise StoreError(
            f"{files.root / PLAN} names {len(lost)} parts without a commit, first {lost[0]}"
        )
    return [found[plan.shards[part]] for part in plan.parts]


def with_own_log(recipe: Recipe, files: LocalFiles) -> Recipe:
    """The recipe with its tombstones read from the output directory's own log.

    A new directory gets a copy of the log that the recipe names; removals of its own go on with it.
    Raises EngineError if a removal in the directory was not finished.
    """
    note = unfinished(files)
    if note is not None:
        raise EngineError(
            f"{files.path(note)}: a removal was not finished; "
            f"`curate remove {files.root} --finish` ends it, then run again"
        )
    stage = recipe.tombstone_stage
    if stage is None:
        return recipe
    digest = stage.head()
    if not files.exists(PLAN) and not files.exists(LOG):
        files.publish(LOG, stage.log().to_bytes())
    load_log(files).upto(digest)
    own = stage.model_copy(update={"logs": (str(files.path(LOG)),), "digest": digest})
    first = recipe.passes[0]
    stages = [own if old is stage else old for old in first.stages]
    passes = [first.model_copy(update={"stages": stages}), *recipe.passes[1:]]
    return recipe.model_copy(update={"passes": passes})


def make_plan(recipe: Recipe, files: LocalFiles, *, limit: int | None = None) -> Plan:
    """Plan a recipe into an output directory; an unfinished plan is made again, a finished one kept.

    Raises OutputMismatch if the directory belongs to another recipe, RecipeError if the source's
    files have changed since they were planned or hold no row.
    """
    fingerprint = recipe.fingerprint(limit=limit)
    inputs = [item.model_dump(mode="json") for item in _inputs(recipe)]
    plan = load_plan(files)
    if plan is not None:
        _check_same(plan, fingerprint, inputs, files.root)
        return plan
    with tempfile.TemporaryDirectory(prefix="curate-plan-") as folder:
        shards, rows, captions = _planned(recipe, files, Path(folder), limit)
    if not rows:
        raise RecipeError(f"the source of recipe {recipe.name!r} holds no candidate row")
    plan = Plan(
        recipe_name=recipe.name, recipe_fingerprint=fingerprint, limit=limit, inputs=inputs,
        recipe=recipe.portable(), source=recipe.source.identity(), identities=recipe.identities(),
        rows=rows, shards=shards, captions=captions,
    )  # fmt: skip
    if not files.put_if_absent(PLAN, plan.to_bytes()):  # another run was first: it is its directory
        return make_plan(recipe, files, limit=limit)
    return plan


def _inputs(recipe: Recipe) -> list[InputFile]:
    """The files that decide the candidates: the source's, then those of imported captions."""
    more = [item for table in recipe.captions for item in table.inputs()]
    return [*recipe.source.inputs(), *more]


def _planned(
    recipe: Recipe, files: LocalFiles, folder: Path, limit: int | None
) -> tuple[dict[str, str], int, list[Joined]]:
    """Commit every part; returns part → shard id, rows in all, what became of imported captions."""
    with ExitStack() as stack:
        indexes = [CaptionIndex(table, folder, n) for n, table in enumerate(recipe.captions)]
        for index in indexes:
            stack.callback(index.close)
        tables = noted(_limited(recipe.source.candidates(), limit), indexes)
        ranges = key_ranges(tables, folder, range_rows=recipe.shard_rows)
        shards, rows = _commit_parts(files, recipe, joined(ranges, indexes))
        return shards, rows, [index.told() for index in indexes]


def _check_same(plan: Plan, fingerprint: str, inputs: list[dict[str, Any]], root: Path) -> None:
    if plan.recipe_fingerprint != fingerprint:
        raise OutputMismatch(
            f"{root} belongs to recipe {plan.recipe_name!r} with fingerprint "
            f"{plan.recipe_fingerprint[:16]}, this recipe has {fingerprint[:16]}: choose another --to, "
            f"or go back to the recipe that is kept in {root / PLAN}"
        )
    if plan.inputs != inputs:
        was = ", ".join(f"{i['name']} {i['sha256'][:12]}" for i in plan.inputs)
        now = ", ".join(f"{i['name']} {i['sha256'][:12]}" for i in inputs)
        raise OutputMismatch(
            f"{root} was planned from {was}, the source is now {now}: choose another --to"
        )


def _limited(tables: Iterator[pa.Table], limit: int | None) -> Iterator[pa.Table]:
    left = limit
    for table in tables:
        if left is None:
            yield table
            continue
        if left <= 0:
            return
        yield table.slice(0, left)
        left -= min(left, len(table))


def _commit_parts(
    files: LocalFiles, recipe: Recipe, ranges: Iterable[tuple[str, pa.Table]]
) -> tuple[dict[str, str], int]:
    """Commit each part of each range; returns part → shard id, and the rows in all."""
    shards: dict[str, str] = {}
    total = 0
    stage = recipe.tombstone_stage
    sought = Sought.of(stage.log()) if stage else None
    for bits, rows in ranges:
        for part, table in _groups(recipe, bits, rows):
            if sought:  # what was removed elsewhere leaves no address, name or text here
                table = erased(table, sought.candidates(table))
            shards[part] = _commit_part(files, recipe, part, table).shard_id
            total += len(table)
    return shards, total


def _groups(recipe: Recipe, bits: str, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Split a range by licence group, so that share-alike and non-commercial rows stay separable."""
    name = bits or "all"
    if recipe.license_stage is None:
        yield f"{name}-open", rows
        return
    groups = recipe.license_stage.groups(rows)
    for group in sorted(pc.unique(groups).to_pylist()):
        yield f"{name}-{group}", rows.filter(pc.equal(groups, group))


def _commit_part(files: LocalFiles, recipe: Recipe, part: str, rows: pa.Table) -> Commit:
    fingerprint = json_digest([LAYER, recipe.source.identity(), recipe.shard_rows])
    rows = rows.combine_chunks()
    return commit_shard(
        files, layer=LAYER, part=part, fingerprint=fingerprint,
        input_digest=table_digest(rows),
        rows_in=len(rows), tables={"data": rows}, marked={},
    )  # fmt: skip
