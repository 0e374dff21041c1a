"""The plan: the frozen, sorted, sharded list of candidates.

Candidates stream from the source into spill files by the first digit of their key, so memory
holds a sixteenth of them. Parts are leaves of a binary tree over key bits, split until each holds
at most `shard_rows` rows: adding rows moves only the parts they fall into.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from curate import columns as c
from curate.errors import OutputMismatch, RecipeError, StoreError
from curate.recipe import Recipe
from curate.sources.keys import settle_repeats
from curate.store.commit import Commit, commit_shard, load_commits
from curate.store.digest import json_digest, table_digest
from curate.store.files import LocalFiles

PLAN = "plan/PLAN.json"
LAYER = "plan"
DIGITS = "0123456789abcdef"


class Plan(BaseModel, frozen=True, extra="forbid"):
    """What was planned, for whom, and from which files."""

    format: Literal["curate-plan/2"] = "curate-plan/2"
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

    @property
    def parts(self) -> list[str]:
        """Names of the parts, sorted."""
        return sorted(self.shards)


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


def make_plan(recipe: Recipe, files: LocalFiles, *, limit: int | None = None) -> Plan:
    """Plan a recipe into an output directory; an unfinished plan is made again, a finished one kept.

    Raises OutputMismatch if the directory belongs to another recipe, RecipeError if the source's
    files have changed since they were planned or hold no row.
    """
    fingerprint = recipe.fingerprint(limit=limit)
    inputs = [item.model_dump(mode="json") for item in recipe.source.inputs()]
    plan = load_plan(files)
    if plan is not None:
        _check_same(plan, fingerprint, inputs, files.root)
        return plan
    with tempfile.TemporaryDirectory(prefix="curate-plan-") as folder:
        counts = _spill(recipe, Path(folder), limit)
        if not sum(counts.values()):
            raise RecipeError(f"the source of recipe {recipe.name!r} holds no candidate row")
        commits = [
            _commit_part(files, recipe, part, table)
            for bits, rows in _ranges(Path(folder), counts, recipe.shard_rows)
            for part, table in _groups(recipe, bits, rows)
        ]
    plan = Plan(
        recipe_name=recipe.name, recipe_fingerprint=fingerprint, limit=limit, inputs=inputs,
        recipe=recipe.portable(), source=recipe.source.identity(), identities=recipe.identities(),
        rows=sum(commit.rows_out for commit in commits),
        shards={commit.part: commit.shard_id for commit in commits},
    )  # fmt: skip
    body = json.dumps(plan.model_dump(mode="json"), indent=1, ensure_ascii=False).encode()
    if not files.put_if_absent(PLAN, body + b"\n"):  # another run was first: it is its directory
        return make_plan(recipe, files, limit=limit)
    return plan


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


def _spill(recipe: Recipe, folder: Path, limit: int | None) -> dict[str, int]:
    """Write the candidates into one Arrow file a first digit; returns rows by digit."""
    writers = {d: pa.ipc.new_file(str(folder / d), c.CANDIDATE) for d in DIGITS}
    counts = dict.fromkeys(DIGITS, 0)
    try:
        for table in _limited(recipe.source.candidates(), limit):
            first = pc.utf8_slice_codeunits(table[c.KEY.name], 0, 1)
            for digit in pc.unique(first).to_pylist():
                rows = table.filter(pc.equal(first, digit)).cast(c.CANDIDATE)
                writers[digit].write_table(rows)
                counts[digit] += len(rows)
    finally:
        for writer in writers.values():
            writer.close()
    return counts


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


def _ranges(folder: Path, counts: dict[str, int], bound: int) -> Iterator[tuple[str, pa.Table]]:
    """(key bits, rows sorted by key) of each leaf of the tree over key bits."""
    todo = [""]
    while todo:
        bits = todo.pop()
        digits = [d for d in DIGITS if f"{int(d, 16):04b}".startswith(bits)]
        if len(bits) < 4 and sum(counts[d] for d in digits) > bound:
            todo += [bits + "1", bits + "0"]
            continue
        tables = [pa.ipc.open_file(str(folder / d)).read_all() for d in digits]
        rows = settle_repeats(pa.concat_tables(tables)).sort_by(c.KEY.name)
        yield from _split(bits, rows, bound)


def _split(bits: str, rows: pa.Table, bound: int) -> Iterator[tuple[str, pa.Table]]:
    if len(rows) <= bound or len(bits) == 64:
        if len(rows):
            yield bits, rows
        return
    heads = bytes.fromhex("".join(key[:16] for key in rows[c.KEY.name].to_pylist()))
    middle = int(f"{bits}1".ljust(64, "0"), 2)
    cut = int(np.searchsorted(np.frombuffer(heads, ">u8").astype(np.uint64), np.uint64(middle)))
    yield from _split(bits + "0", rows.slice(0, cut), bound)
    yield from _split(bits + "1", rows.slice(cut), bound)


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
