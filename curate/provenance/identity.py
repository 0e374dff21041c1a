"""Whether fingerprints and models are those of the recipe beside them.

The plan keeps, a layer, what its fingerprint is the digest of: no model has to be there to see
that parameters, models and fingerprints belong together, and that shards name the same models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import pyarrow as pa

from curate.images.decode import codec_versions
from curate.license.parse import RULES_VERSION
from curate.plan import PLAN, Plan
from curate.recipe import Pass, Recipe
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.manifest import Layer

WRITER: Final = "pyarrow "


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
        yield from _models(layer, dict(zip(_kinds(step), told[1], strict=False)))


def other_versions(plan: Plan, recipe: Recipe) -> list[str]:
    """Notes on what made this data and is not here, or is another version here.

    Its fingerprints cannot be made again on this machine; they were compared with what the plan
    says they are the digest of, and the content was judged all the same.
    """
    notes: dict[str, None] = {}
    for step in recipe.passes:
        told = plan.identities.get(step.layer)
        if not told or len(told) < 3 or not isinstance(told[1], list):
            continue
        for stage, identity in zip(step.stages, told[1], strict=False):
            notes |= dict.fromkeys(_other(stage.kind, stage.version, identity))
        made = str(told[2]).partition(WRITER)[2]
        if made and made != pa.__version__:
            notes[f"shards were written by pyarrow {made}, here is {pa.__version__}"] = None
    return list(notes)


def _other(kind: str, here: int, identity: Mapping[str, Any]) -> Iterator[str]:
    if identity.get("version", here) != here:
        yield (
            f"{kind} was version {identity['version']}, here is {here}: what it decided is compared "
            f"with what this version decides"
        )
    if identity.get("rules", RULES_VERSION) != RULES_VERSION:
        yield (
            f"licences were parsed by rules {identity['rules']}, here are rules {RULES_VERSION}: "
            f"a difference may come from them"
        )
    codecs = identity.get("codecs")
    for name, made in codecs.items() if isinstance(codecs, dict) else ():
        found = _installed(name, made)
        if found != made:
            yield f"{kind} was made with {name} {made}, here is {found}"


def _installed(name: str, like: str) -> str:
    """The version of a codec or distribution here, with as many numbers as the other has."""
    known = codec_versions()
    if name in known:
        return known[name]
    try:
        return ".".join(version(name).split(".")[: like.count(".") + 1])
    except PackageNotFoundError:
        return "none"


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


def _models(layer: Layer, identities: dict[str, Any]) -> Iterator[str]:
    """Manifest and fingerprint name the same models; what shards name is checked file by file."""
    told = {kind: info.digest for kind, info in layer.models.items()}
    made = {k: i["model_digest"] for k, i in identities.items() if "model_digest" in i}
    if told != made:
        yield f"MANIFEST.json: models of {layer.name} are {told}, its fingerprint says {made}"
