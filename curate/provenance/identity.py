"""Whether fingerprints and models are those of the recipe beside them.

The plan keeps, a layer, what its fingerprint is the digest of: no model has to be there to see
that parameters, models and fingerprints belong together, and that shards name the same models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curate.plan import PLAN, Plan
from curate.recipe import Pass, Recipe
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.manifest import Layer

MODEL = b"curate.model"


def check_identity(dataset: Dataset, plan: Plan, recipe: Recipe) -> Iterator[str]:
    """One sentence for each fingerprint, parameter or model that does not fit the others."""
    layers = {layer.name: layer for layer in dataset.manifest.layers}
    for step in recipe.passes:
        layer, told = layers.get(step.layer), plan.identities.get(step.layer)
        if layer is None:
            continue
        if told is None or json_digest(told) != layer.fingerprint:
            yield f"{PLAN}: what it says of {step.layer} does not have that layer's fingerprint"
            continue
        yield from _parameters(step, told)
        yield from _models(dataset, layer, dict(zip(_kinds(step), told[1], strict=False)))


def _kinds(step: Pass) -> list[str]:
    return [stage.kind for stage in step.stages]


def _parameters(step: Pass, told: list[Any]) -> Iterator[str]:
    if [identity.get("kind") for identity in told[1]] != _kinds(step):
        yield f"{step.layer}: its fingerprint is of other stages than the recipe's"
        return
    for stage, identity in zip(step.stages, told[1], strict=True):
        settings = stage.model_dump(mode="json")
        for name in sorted(settings.keys() & identity.keys()):
            if settings[name] != identity[name]:
                yield (
                    f"{step.layer}: the recipe says {stage.kind}.{name} = {settings[name]!r}, "
                    f"the layer was made with {identity[name]!r}"
                )


def _models(dataset: Dataset, layer: Layer, identities: dict[str, Any]) -> Iterator[str]:
    """Manifest, fingerprint and every shard's own columns name the same models."""
    told = {kind: info.digest for kind, info in layer.models.items()}
    made = {k: i["model_digest"] for k, i in identities.items() if "model_digest" in i}
    if told != made:
        yield f"MANIFEST.json: models of {layer.name} are {told}, its fingerprint says {made}"
    for shard in layer.shards:
        entry = shard.file("data")
        if entry is None:
            continue
        named = {(field.metadata or {}).get(MODEL) for field in dataset.schema(entry)} - {None}
        if {digest.decode() for digest in named if digest} != set(made.values()):
            yield f"{entry.path}: its columns name other models than the manifest"
