"""The record: one run's account of itself, `record.json`, written after the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from curate.store.manifest import Counts, ModelInfo


class FunnelStep(BaseModel, frozen=True, extra="forbid"):
    """Rows in and out of one stage or barrier; `marked` counts the difference by reason."""

    layer: str
    stage: str
    rows_in: int
    rows_out: int
    marked: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class PassRate:
    """How fast one pass of a run went; of the shards that the run computed.

    `rows` went in alive. The steady rate leaves start-up out, and the end, when workers run dry: see
    curate.rates. `startup_seconds` is the longest that a worker took to load and check its models.
    `gpu_busy` is the share of the time in which the GPUs computed; null without one, as is `device`,
    the name of the GPU.
    """

    rows: int
    seconds_total: float
    startup_seconds: float
    steady_rows_per_second: float | None
    steady_seconds: float
    gpu_busy: float | None
    gpus: float
    workers: int
    device: str | None = None


class Record(BaseModel, frozen=True, extra="forbid"):
    """What a run did. Times, versions and machine are observations: no digest covers them."""

    format: Literal["curate-record/1"] = "curate-record/1"
    manifest_sha256: str
    dataset_digest: str
    bytes_digest: str
    counts: Counts
    license_audited: bool
    recipe: dict[str, Any] = Field(description="the recipe as it was run")
    recipe_fingerprint: str
    funnel: list[FunnelStep]
    models: dict[str, ModelInfo] = Field(description="by layer and stage")
    inputs: list[dict[str, Any]] = Field(description="the source's files: name, bytes, sha256")
    started_at: str = Field(description="ISO 8601, UTC; of the call that published this version")
    finished_at: str
    seconds: dict[str, float] = Field(description="by pass, of the call that published")
    seconds_total: float
    rates: dict[str, PassRate] = Field(
        {}, description="by layer, of the passes that the call computed something of"
    )
    checks: dict[str, list[dict[str, Any]]] = Field(
        {}, description="by layer: each fast path of a model beside float32 on rows of the run"
    )
    computed_shards: int = Field(
        description="shards that this call computed, the others were committed"
    )
    workers: int = Field(description="0 for a run without Ray")
    peak_memory_bytes: int
    versions: dict[str, str]
    device: dict[str, Any]
    removal: dict[str, Any] | None = Field(
        None, description="of a version made by a removal: its number, rows, parts, receipt"
    )
    digest: str = Field("", description="sha256 of the canonical JSON of all other fields")
