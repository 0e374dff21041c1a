"""A cluster file says where and how many; nothing in it changes a digest."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from curate.errors import MissingInput, RecipeError
from curate.yaml_lines import explain, load_yaml


class Cluster(BaseModel, frozen=True, extra="forbid"):
    """Where a run works. Without `address` it starts Ray on this machine for the run alone."""

    address: str | None = None
    workers: int = Field(default_factory=lambda: max(1, min(2, os.cpu_count() or 1)), ge=1)
    cpus_per_worker: float = Field(1.0, gt=0)
    gpus_per_worker: float = Field(1.0, ge=0, description="for GPU stages only")
    object_store_bytes: int = Field(256 << 20, ge=80 << 20)
    connect_to: dict[str, str] = Field(default_factory=dict, description="host: address[:port]")


def load_cluster(path: str | Path | None) -> Cluster:
    """Read a cluster file; the default cluster is this machine."""
    if path is None:
        return Cluster()
    file = Path(path)
    if not file.is_file():
        raise MissingInput(f"cluster file {file} does not exist")
    value, lines = load_yaml(file.read_text(encoding="utf-8", errors="replace"), str(file))
    try:
        return Cluster.model_validate(value)
    except ValidationError as error:
        raise RecipeError(explain(error, origin=str(file), lines=lines, model=Cluster)) from error
