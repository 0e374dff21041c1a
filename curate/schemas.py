"""JSON Schemas of recipe, record, manifest and sample, generated from the code.

`python -m curate.schemas` writes them to schemas/; a test holds the files to the code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from curate import columns as c
from curate.recipe import Recipe
from curate.store.manifest import Manifest
from curate.store.record import Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """File name → schema."""
    models: dict[str, type[BaseModel]] = {"recipe": Recipe, "record": Record, "manifest": Manifest}
    found = {f"{name}.schema.json": model.model_json_schema() for name, model in models.items()}
    found["sample.schema.json"] = sample_schema()
    return {name: {"$schema": DIALECT, **schema} for name, schema in found.items()}


def sample_schema() -> dict[str, Any]:
    """Every stored column of a kept row, over all layers; binary values are base64 in JSON."""
    fields = [
        field
        for field in vars(c).values()
        if isinstance(field, pa.Field) and c.role_of(field) in ("fact", "model")
    ]
    hidden = {*c.MARKS.names, c.DEFECT.name}
    columns = {f.name: _json_type(f.type, f.nullable) for f in fields if f.name not in hidden}
    return {
        "title": "Sample",
        "description": "One kept row, its layers joined on key",
        "type": "object",
        "properties": dict(sorted(columns.items())),
        "required": [c.KEY.name, c.SOURCE.name],
        "additionalProperties": False,
    }


def _json_type(kind: pa.DataType, nullable: bool = True) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        children = [kind.field(i) for i in range(kind.num_fields)]
        told: dict[str, Any] = {
            "type": "object",
            "properties": {f.name: _json_type(f.type) for f in children},
        }
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        told = {"type": "array", "items": _json_type(kind.value_type)}
        if pa.types.is_fixed_size_list(kind):
            told |= {"minItems": kind.list_size, "maxItems": kind.list_size}
    elif pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        told = {"type": "string", "contentEncoding": "base64"}
    elif pa.types.is_string(kind):
        told = {"type": "string"}
    elif pa.types.is_boolean(kind):
        told = {"type": "boolean"}
    else:
        told = {"type": "integer" if pa.types.is_integer(kind) else "number"}
    told["$comment"] = f"Arrow {kind}"
    return told | {"type": [told["type"], "null"]} if nullable else told


def write(folder: Path) -> None:
    """Write all schemas into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / name).write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write(Path(__file__).parent.parent / "schemas")
