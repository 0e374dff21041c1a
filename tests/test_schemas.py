"""The published JSON Schemas are those of the code, and what runs write validates against them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml

from curate.schemas import schemas

FOLDER = Path(__file__).parent.parent / "schemas"


def schema(name: str) -> dict[str, object]:
    return json.loads((FOLDER / f"{name}.schema.json").read_text())


def test_files_are_generated_from_the_code() -> None:
    written = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    assert written == schemas(), "run `make schemas`"


def test_what_a_run_writes_validates(demo_dataset: Path) -> None:
    for name, file in (("manifest", "MANIFEST.json"), ("record", "record.json")):
        jsonschema.validate(json.loads((demo_dataset / file).read_text()), schema(name))


def test_shipped_recipes_validate() -> None:
    recipes = sorted((FOLDER.parent / "pipelines").glob("*.yaml"))
    assert recipes
    for path in recipes:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema("recipe"))


def test_a_row_validates_as_a_sample(demo_dataset: Path) -> None:
    import base64

    from curate.store.dataset import Dataset

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    dataset = Dataset.open(demo_dataset)
    rows = 0
    for layer in ("images", "features/clip", "features/latents"):
        for table in dataset.kept(layer):
            for row in table.slice(0, 2).to_pylist():
                told = {"source": "demo", **row}
                jsonschema.validate(plain(told), schema("sample"))
                rows += 1
    assert rows > 20
