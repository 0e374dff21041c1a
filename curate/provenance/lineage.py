"""What every shard was made from, worked out again from the recipe and the manifest's own files.

A commit names its inputs by one digest. Here that digest is made anew, not by the engine, from the
files that the manifest lists for the layers before it: features of other pictures do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from curate.plan import load_plan
from curate.provenance.chain import Chain
from curate.recipe import FIRST_LAYER, Recipe
from curate.shards import Task, needed_columns
from curate.store.commit import Commit, FileEntry
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.manifest import Manifest, Shard

LEDGER = "ledger"
PLAN = "plan"
Made = TypeVar("Made", bound=Shard | Commit)
Layers = Mapping[str, Mapping[str, Shard | Commit]]
"""Layer name → part → shard, in the order in which the layers were made."""


def check_lineage(dataset: Dataset, recipe: Recipe, chain: Chain) -> Iterator[str]:
    """A problem for each commit that was made from other files than the manifest names."""
    names = [PLAN, *made_by(recipe), LEDGER]
    have = [layer.name for layer in dataset.manifest.layers]
    if have != names:
        yield f"MANIFEST.json: layers are {', '.join(have)}, the recipe makes {', '.join(names)}"
        return
    parts = {frozenset(shard.part for shard in layer.shards) for layer in dataset.manifest.layers}
    if len(parts) > 1:
        return  # said already: a layer lacks a part of the plan
    plan = load_plan(dataset.files)
    for (layer, part), digest in input_digests(dataset.manifest, recipe).items():
        commit = chain.commits.get(layer, {}).get(part)
        accepted = plan.accepted(layer, digest) if plan else [digest]
        if commit is not None and commit.input_digest not in accepted:
            yield f"{layer} {part}: the commit was made from other files than the manifest names"


def made_by(recipe: Recipe) -> list[str]:
    """Names of the layers that the passes of a recipe make, in order."""
    pairs = [(step.layer, step.verdict_layer) for step in recipe.passes]
    return [name for pair in pairs for name in pair if name is not None]


def input_digests(manifest: Manifest, recipe: Recipe) -> dict[tuple[str, str], str]:
    """(layer, part) → the digest of what that shard's commit must have been made from."""
    layers = {
        layer.name: {shard.part: shard for shard in layer.shards} for layer in manifest.layers
    }
    parts = sorted(layers[PLAN])
    found = {(PLAN, part): _content(layers[PLAN][part]) for part in parts}
    for index, step in enumerate(recipe.passes):
        earlier = before(layers, step.layer)
        for part in parts:
            files = inputs(recipe, index, needed_columns(step), earlier, part)
            found[step.layer, part] = files.input_digest
        if step.verdict_layer is not None:
            whole = barrier_digest(recipe, index, before(layers, step.verdict_layer))
            found |= {(step.verdict_layer, part): whole for part in parts}
    earlier = before(layers, LEDGER)
    found |= {(LEDGER, part): ledger_digest(earlier, part) for part in parts}
    return found


def barrier_digest(recipe: Recipe, index: int, layers: Layers) -> str:
    """What the barrier behind pass `index` reads: the digests of all parts in one."""
    names = barrier.consumes.names if (barrier := recipe.passes[index].barrier) else []
    tasks = [inputs(recipe, index + 1, names, layers, part) for part in sorted(layers[PLAN])]
    return json_digest([task.input_digest for task in tasks])


def ledger_digest(layers: Layers, part: str) -> str:
    """What the ledger of a part is derived from: every file of it but what features observed."""
    return json_digest([
        [e.content_digest for e in of[part].files if name == FIRST_LAYER or e.role != "observations"]
        for name, of in layers.items()
    ])  # fmt: skip


def before(layers: Mapping[str, Mapping[str, Made]], name: str) -> dict[str, Mapping[str, Made]]:
    """The layers that were there when another was made."""
    names = list(layers)
    return {earlier: layers[earlier] for earlier in names[: names.index(name)]}


def _content(plan: Shard | Commit) -> str:
    """A plan's commit is made from its rows themselves."""
    entry = plan.file("data")
    return entry.content_digest if entry else ""


def inputs(recipe: Recipe, index: int, columns: list[str], layers: Layers, part: str) -> Task:
    """The files that pass `index` reads for one part: data to join, marks of rows to leave out."""
    sources = [PLAN] if index == 0 else _holding(recipe, index, columns)
    marking = [name for name in layers if name not in (PLAN, FIRST_LAYER)]
    data = [entry for name in sources if (entry := layers[name][part].file("data"))]
    marks: list[FileEntry] = [
        entry for name in marking if (entry := layers[name][part].file("marks"))
    ]
    return Task(layer="", part=part, fingerprint="", data=data, marks=marks)


def _holding(recipe: Recipe, index: int, columns: list[str]) -> list[str]:
    """The first layer, and every other before pass `index` that makes a column of those wanted."""
    wanted = set(columns)
    return [
        step.layer
        for step in recipe.passes[:index]
        if step.layer == FIRST_LAYER
        or any(wanted & set(stage.produces.names) for stage in step.stages)
    ]
