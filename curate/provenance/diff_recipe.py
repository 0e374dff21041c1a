"""Why two datasets differ, as far as how they were made differs: settings, inputs, models, software."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from curate.provenance.findings import shown
from curate.provenance.places import model_name
from curate.store.dataset import Dataset
from curate.store.manifest import RECORD

NOT_SET: Final = "not there"
IN_SOFTWARE: Final = ("curate-t2i", "pyarrow", "pillow", "torch", "torchvision", "img2dataset")
"""Packages whose version may change a row; the others change how fast it comes."""


def differing_settings(one: Dataset, two: Dataset) -> Iterator[tuple[str, str, str]]:
    """(name, before, after) of everything that may explain a difference, in the recipe's order."""
    before, after = _facts(one), _facts(two)
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield name, before.get(name, NOT_SET), after.get(name, NOT_SET)


def _facts(dataset: Dataset) -> dict[str, str]:
    """What a dataset was made by, as name → value in short words."""
    manifest = dataset.manifest
    record = dataset.record if dataset.files.exists(RECORD) else {}
    recipe = record.get("recipe") or {}
    found = dict(_flat("", {k: v for k, v in recipe.items() if k != "passes"}))
    for step in recipe.get("passes", ()):
        for stage in step["stages"]:
            found |= dict(_flat(f"{step['layer']}.{stage['kind']}", stage))
        if step.get("barrier"):
            found |= dict(_flat(f"{step['layer']}.{step['barrier']['kind']}", step["barrier"]))
    for item in record.get("inputs", ()):
        found[f"input {item.get('name')}"] = f"sha256 {str(item.get('sha256'))[:16]}"
    for layer in manifest.layers:
        for kind, info in layer.models.items():
            told = f"{model_name(info.ref)}, digest {info.digest[:16]}"
            found[f"model {layer.name} {kind}"] = told
    versions = record.get("versions") or {}
    found |= {f"software {n}": str(versions[n]) for n in IN_SOFTWARE if n in versions}
    if manifest.tombstones:
        found["tombstones"] = manifest.tombstones[:16]
    return found


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Dotted names and short values of nested settings; local folders say their last name only."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), inner)
    elif prefix.endswith(".model"):
        yield prefix, model_name(str(value))
    else:
        yield prefix, shown(json.loads(json.dumps(value)))
