"""What the manifest says of the models: told, never applied, and no burden on older manifests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import autoencoders as ae
import pytest

from curate.errors import StoreError
from curate.publish import models_of
from curate.recipe import Recipe, recipe_from
from curate.store.digest import json_digest
from curate.store.files import LocalFiles
from curate.store.manifest import (
    MANIFEST,
    Counts,
    Layer,
    Manifest,
    ModelInfo,
    load_manifest,
)


def recipe(*stages: dict[str, Any]) -> Recipe:
    source = {"kind": "demo", "pictures": 8}
    kinds = [
        {"kind": "license", "policy": "public-domain"}, {"kind": "captions"},
        {"kind": "read_file", "root": "."}, {"kind": "inspect"}, {"kind": "embedded"},
        {"kind": "buckets", "sizes": [[64, 64]]},
    ]  # fmt: skip
    image = {"layer": "images", "stages": kinds}
    value = {
        "name": "facts", "source": source,
        "passes": [image, {"layer": "features/all", "stages": list(stages)}],
    }  # fmt: skip
    return recipe_from(value, origin="a test")


def test_a_manifest_tells_what_a_reader_of_latents_needs(tmp_path: Path) -> None:
    flux = ae.save(tmp_path / "kl", "kl", scaling_factor=0.3611, shift_factor=0.1159)
    dc = ae.save(tmp_path / "dc", "dc")
    told = models_of(
        recipe({"kind": "t5"}, {"kind": "clip_score"}, {"kind": "vae", "model": str(flux)})
    )["features/all"]
    vae = told["vae"].facts
    assert {name: vae[name] for name in ("factor", "channels", "scaling_factor", "shift_factor")} == {
        "factor": 4.0, "channels": 4.0, "scaling_factor": 0.3611, "shift_factor": 0.1159,
    }  # fmt: skip
    assert vae["posterior"] == "moments"
    assert (told["t5"].facts["dim"], told["t5"].facts["dtype"]) == (128.0, "bfloat16")
    assert told["clip_score"].facts["dim"] == 128.0
    assert all("model" not in info.facts for info in told.values())
    other = models_of(recipe({"kind": "vae", "model": str(dc)}))["features/all"]["vae"].facts
    assert (other["posterior"], other["class_name"]) == ("mode", "AutoencoderDC")
    assert other["scaling_factor"] == 0.41407


def test_stages_without_a_model_have_no_facts() -> None:
    assert set(models_of(recipe({"kind": "vae"}))) == {"features/all"}


def manifest(info: ModelInfo) -> Manifest:
    layer = Layer(name="features/all", fingerprint="f", models={"vae": info}, shards=[])
    return Manifest(
        recipe_name="facts", recipe_fingerprint="r", license_audited=True, dataset_digest="d",
        bytes_digest="b", counts=Counts(candidates=0, kept=0, rejected={}, failed={}), layers=[layer],
    )  # fmt: skip


def test_a_manifest_from_before_there_were_facts_still_loads_with_its_digest(
    tmp_path: Path,
) -> None:
    old = json.loads(manifest(ModelInfo(ref="builtin:tiny", digest="1" * 64)).to_bytes())
    assert old["layers"][0]["models"]["vae"] == {"ref": "builtin:tiny", "digest": "1" * 64}
    old["digest"] = json_digest({k: v for k, v in old.items() if k != "digest"})
    files = LocalFiles(tmp_path)
    files.publish(MANIFEST, json.dumps(old).encode())
    assert load_manifest(files).layers[0].models["vae"].facts == {}


def test_facts_are_under_the_manifests_digest(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    info = ModelInfo(
        ref="builtin:tiny", digest="1" * 64, facts={"factor": 8.0, "posterior": "mode"}
    )
    files.publish(MANIFEST, manifest(info).to_bytes())
    assert load_manifest(files).layers[0].models["vae"] == info
    forged = files.read(MANIFEST).replace(b'"factor": 8.0', b'"factor": 4.0')
    (tmp_path / MANIFEST).write_bytes(forged)
    with pytest.raises(StoreError, match="was edited"):
        load_manifest(files)
