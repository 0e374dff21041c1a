"""Parameters, models and fingerprints belong together, whatever else was made to agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.provenance.audit import audit
from curate.store.digest import bytes_sha256
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, RECORD, load_manifest, load_record, record_bytes


def forge(
    root: Path, *, manifest: Callable[[Any], Any], record: Callable[[dict[str, Any]], None]
) -> str:
    """Edit manifest and record, make their digests right again, and return what the audit says."""
    files = LocalFiles(root)
    body = load_record(files)
    changed = manifest(load_manifest(files))
    changed = changed.model_copy(update={"digest": changed.self_digest()})
    files.publish(MANIFEST, changed.to_bytes())
    record(body)
    body["manifest_sha256"] = bytes_sha256(files.read(MANIFEST))
    files.publish(RECORD, record_bytes(body))
    return "\n".join(audit(root, hashes=False).problems)


def same(value: Any) -> Any:
    return value


def test_another_parameter_in_plan_and_record_is_found(demo_copy: Path) -> None:
    def edit(body: dict[str, Any]) -> None:
        for recipe in (body["recipe"], plan["recipe"]):
            stages = recipe["passes"][0]["stages"]
            next(s for s in stages if s["kind"] == "inspect")["quality"] = 10

    file = demo_copy / "plan/PLAN.json"
    plan = json.loads(file.read_text())
    assert audit(demo_copy, hashes=False).problems == []
    forge(demo_copy, manifest=same, record=edit)
    file.write_text(json.dumps(plan))
    found = "\n".join(audit(demo_copy, hashes=False).problems)
    assert "inspect.quality = 10" in found
    assert "made with 95" in found


def test_other_identities_in_the_plan_do_not_have_the_fingerprint(demo_copy: Path) -> None:
    file = demo_copy / "plan/PLAN.json"
    plan = json.loads(file.read_text())
    plan["identities"]["features/clip"][1][0]["model_digest"] = "0" * 64
    file.write_text(json.dumps(plan))
    found = "\n".join(audit(demo_copy, hashes=False).problems)
    assert "features/clip does not have that layer's fingerprint" in found


def test_another_model_in_manifest_and_record_is_found(demo_copy: Path) -> None:
    def manifest(value: Any) -> Any:
        layers = []
        for layer in value.layers:
            models = {k: m.model_copy(update={"digest": "0" * 64}) for k, m in layer.models.items()}
            layers.append(layer.model_copy(update={"models": models}))
        return value.model_copy(update={"layers": layers})

    def record(body: dict[str, Any]) -> None:
        for model in body["models"].values():
            model["digest"] = "0" * 64

    assert "models of features/clip are" in forge(demo_copy, manifest=manifest, record=record)
