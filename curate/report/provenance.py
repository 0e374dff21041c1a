"""What the data was made from: recipe, models with digests, layers, versions and times.

Taken from the manifest and the run's record as they stand; only declarations are counted anew,
from the kept rows themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from curate import columns as c
from curate.provenance.licensing import Declared, declarations, exceptions
from curate.provenance.places import model_name
from curate.report.format import clean, duration, moment, size, thousands
from curate.report.reading import layer_holding
from curate.report.rights import Rights, rights
from curate.store.dataset import Dataset
from curate.store.manifest import Layer

RECIPE_LIMIT = 60_000
_HELD = {
    c.IMAGE.name: "pictures",
    c.CAPTIONS.name: "captions",
    c.CLIP_SCORE.name: "CLIP scores",
    c.T5_EMBEDDINGS.name: "T5 text embeddings",
    c.LATENT.name: "VAE latents",
}


@dataclass(frozen=True)
class ModelUse:
    """A model and where its output lies."""

    stage: str
    layer: str
    ref: str
    digest: str


@dataclass(frozen=True)
class LayerFacts:
    """A layer of the manifest in numbers; bytes are those of all its files."""

    name: str
    shards: int
    rows: int
    marked: int
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class Provenance:
    """Where the dataset comes from, ready to be shown."""

    source: str
    holds: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    models: tuple[ModelUse, ...]
    layers: tuple[LayerFacts, ...]
    versions: tuple[tuple[str, str], ...]
    recipe_text: str
    exceptions: tuple[str, ...]
    declarations: tuple[Declared, ...]
    rights: Rights


def provenance(dataset: Dataset) -> Provenance:
    """Read manifest and record."""
    record, recipe = dataset.record, dataset.record["recipe"]
    text = yaml.safe_dump(_shown(recipe), sort_keys=False, allow_unicode=True, width=96)
    layers = dataset.manifest.layers
    return Provenance(
        source=_source(recipe),
        holds=tuple(word for name, word in _HELD.items() if layer_holding(dataset, name)),
        facts=_facts(dataset),
        models=tuple(
            ModelUse(stage, layer.name, model_name(info.ref), info.digest)
            for layer in layers
            for stage, info in sorted(layer.models.items())
        ),
        layers=tuple(_layer(layer) for layer in layers),
        versions=tuple((name, str(value)) for name, value in record.get("versions", {}).items()),
        recipe_text=text if len(text) <= RECIPE_LIMIT else text[:RECIPE_LIMIT] + "\n…",
        exceptions=exceptions(recipe),
        declarations=declarations(dataset),
        rights=rights(dataset),
    )


def _shown(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe of the record, with models of local directories by name: it finds them by path."""

    def stage(told: dict[str, Any]) -> dict[str, Any]:
        return told | {"model": model_name(told["model"])} if told.get("model") else told

    passes = [step | {"stages": list(map(stage, step["stages"]))} for step in recipe["passes"]]
    return recipe | {"passes": passes}


def _facts(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    record = dataset.record
    seconds = record.get("seconds", {})
    passes = ", ".join(f"{name} {duration(value)}" for name, value in seconds.items())
    peak = record.get("peak_memory_bytes")
    rows = [
        ("Recipe fingerprint", dataset.manifest.recipe_fingerprint),
        ("Started", moment(record.get("started_at"))),
        ("Finished", moment(record.get("finished_at"))),
        ("Time", duration(record["seconds_total"]) if "seconds_total" in record else None),
        ("Time by pass", passes),
        ("Workers", thousands(record["workers"]) if record.get("workers") else None),
        ("Machine", _machine(record.get("device", {}))),
        ("Peak memory", size(peak) if peak else None),
    ]
    return tuple((name, clean(value, 400)) for name, value in rows if value)


def _machine(device: dict[str, Any]) -> str:
    named = {"machine": "{}", "cpus": "{} CPUs"}
    return ", ".join(named.get(name, f"{name} {{}}").format(v) for name, v in device.items())


def _source(recipe: dict[str, Any]) -> str:
    """Kind and name of the source, then its other settings; a declaration is told elsewhere."""
    source = {k: v for k, v in (recipe.get("source") or {}).items() if v not in (None, [], {}, "")}
    for place in ("declare", "path", "root"):  # where files lay on one machine tells nobody else
        source.pop(place, None)
    names = dict.fromkeys(clean(source.pop(n), 80) for n in ("kind", "name") if n in source)
    head = " ".join(names)
    rest = [f"{name} {clean(value, 120)}" for name, value in source.items()]
    return clean(", ".join([head, *rest]), 240)


def _layer(layer: Layer) -> LayerFacts:
    files = [entry for shard in layer.shards for entry in shard.files]

    def rows(role: str) -> int:
        return sum(entry.rows for entry in files if entry.role == role)

    total = sum(entry.bytes for entry in files)
    shards = len(layer.shards)
    return LayerFacts(layer.name, shards, rows("data"), rows("marks"), total, layer.fingerprint)
