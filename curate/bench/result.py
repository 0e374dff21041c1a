"""What one `curate bench` found, and the last such results of this machine.

`curate plan` forecasts GPU-hours from them and `curate run` prints its ratio to the bare loop, so
they are kept in the user's cache, one list, newest last.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError, computed_field

from curate.models import CONFIG, Part, digest, read_config, resolve
from curate.models.agreement import Agreement

Captions = Literal["alt", "llava"]
Phase = Literal["bare", "at1", "pipeline"]
FORMAT: Final = "curate-bench/1"
_FROZEN: Final[Any] = {"frozen": True, "extra": "ignore"}

_SIZES: Final[Mapping[Part, tuple[str, ...]]] = {
    "clip": ("model_cfg",),
    "t5": ("d_model", "d_ff", "d_kv", "num_heads", "num_layers"),
    "vae": ("_class_name", "block_out_channels", "layers_per_block", "latent_channels"),
}


class ModelFacts(BaseModel, **_FROZEN):
    """One encoder that was measured: `sizes` are the dimensions its speed follows from.

    Two models of equal `sizes` are equally fast whatever their weights; `ref` is what was named, of
    a local directory the last name.
    """

    ref: str
    digest: str
    sizes: str
    random: bool = False

    @classmethod
    def of(cls, ref: str, part: Part, *, random: bool = False) -> ModelFacts:
        """The facts of a model directory; no weights are loaded, but they are hashed."""
        path = resolve(ref, part)
        name = ref if ref.startswith(("builtin:", "hub:")) else path.name
        return cls(ref=name, digest=digest(path), sizes=sizes_of(path, part), random=random)


def sizes_of(path: Path, part: Part) -> str:
    """The dimensions in a model directory's config, as one line of JSON."""
    config = read_config(path, CONFIG[part])
    told = {name: config[name] for name in _SIZES[part] if name in config}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


class Device(BaseModel, **_FROZEN):
    """What the models ran on: `kind` is cuda or cpu, `count` how many such devices there are."""

    kind: str
    name: str
    count: int
    memory_gib: float | None = None
    driver: str | None = None
    cuda: str | None = None
    cores: int
    host_memory_gib: float


class Rate(BaseModel, **_FROZEN):
    """A steady rate: `samples` in `seconds`, after a warm-up that is not counted.

    `tflop` is the arithmetic of one sample in 10¹² operations, counted from the model's
    dimensions; `peak_share` is `tflop_per_second` over the device's measured matmul peak.
    """

    per_second: float
    seconds: float
    samples: int
    tflop: float | None = None
    tflop_per_second: float | None = None
    peak_share: float | None = None


class BareRates(BaseModel, **_FROZEN):
    """The fastest encoders of this repository in a bare loop, in samples (rows) a second.

    From decoded uint8 pictures in pinned memory and token ids to pinned results on the host;
    `all_decoded` starts from JPEG bytes and is null where there is no decoder on the device.
    """

    clip_images: Rate
    clip_texts: Rate
    clip: Rate
    t5: Rate
    vae: Rate
    all: Rate
    all_decoded: Rate | None = None
    decode: Rate | None = None
    warmup_seconds: float
    peak_memory_gib: float | None = None


class PipelineRun(BaseModel, **_FROZEN):
    """`curate run` over the features pass, committed shards in and committed shards out.

    `per_second` is the steady rate over `seconds` that the run states of itself, `by_commit_times`
    the same from the times of the commit files alone. `startup_seconds` is the longest that a worker
    took to load and check its models, `first_commit_seconds` when the first shard was committed,
    `total_seconds` the whole call, planning and publishing included.
    """

    workers: int
    gpus: float
    rows: int
    per_second: float
    seconds: float
    by_commit_times: float
    startup_seconds: float
    first_commit_seconds: float
    total_seconds: float
    gpu_busy: float | None = None
    shards: int
    kept: int


class Storage(BaseModel, **_FROZEN):
    """Bytes that one row takes on disk, as they were written.

    `t5_int8_error` is the relative error of the 8-bit form beside the stored bfloat16 vectors.
    """

    caption_tokens: Annotated[float, Field(description="mean tokens of a caption, </s> included")]
    t5_bytes: float
    t5_bytes_at_15_tokens: float
    t5_int8_bytes_at_15_tokens: float
    t5_int8_error: float
    latent_bytes: float
    clip_bytes: float
    feature_bytes: Annotated[float, Field(description="whole feature shards, over their rows")]


class BenchData(BaseModel, **_FROZEN):
    """The data set that all phases used: `pictures` different ones, again and again under new keys.

    `picture_pixels` and `picture_bytes` are means over the pool, of the stored JPEGs.
    """

    rows: int
    shards: int
    pictures: int
    picture_pixels: float
    picture_bytes: float
    jpeg: str
    captions: Captions
    caption_tokens: Annotated[float, Field(description="mean, </s> included")]


class BenchResult(BaseModel, **_FROZEN):
    """One `curate bench`; phases that were skipped are null or empty."""

    format: str = FORMAT
    date: str
    commit: str
    versions: dict[str, str]
    device: Device
    px: int
    models: dict[Part, ModelFacts]
    data: BenchData
    roof: dict[str, float] | None = None
    bare: BareRates | None = None
    at1: dict[str, float] | None = None
    at1_notes: tuple[str, ...] = ()
    pipeline: tuple[PipelineRun, ...] = ()
    storage: Storage | None = None
    agreements: tuple[Agreement, ...] = ()
    seconds: Annotated[dict[str, float], Field(description="wall time by phase")] = {}
    reused: Annotated[
        dict[str, str], Field(description="phases taken from an earlier call: its date and commit")
    ] = {}

    @property
    def one_worker(self) -> PipelineRun | None:
        """The pipeline with the fewest workers."""
        return min(self.pipeline, key=lambda run: run.workers, default=None)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def pipeline_to_bare(self) -> float | None:
        """The pipeline's rate a GPU over the bare loop's: the speed-of-light ratio."""
        one = self.one_worker
        if one is None or self.bare is None:
            return None
        return one.per_second / one.workers / self.bare.all.per_second

    @computed_field  # type: ignore[prop-decorator]
    @property
    def pipeline_to_at1(self) -> float | None:
        """How many times faster one worker of the pipeline is than AT1's way."""
        one, rate = self.one_worker, (self.at1 or {}).get("both_per_second")
        return one.per_second / one.workers / rate if one and rate else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def scaling(self) -> dict[str, float]:
        """Workers → how many times the rate with the fewest workers."""
        one = self.one_worker
        more = [run for run in self.pipeline if one and run.workers > one.workers]
        return {str(run.workers): run.per_second / one.per_second for run in more if one}

    @property
    def phases(self) -> frozenset[Phase]:
        """The phases that were run."""
        ran: dict[Phase, object] = {"bare": self.bare, "at1": self.at1, "pipeline": self.pipeline}
        return frozenset(phase for phase, found in ran.items() if found)

    def same_subject(self, other: BenchResult) -> bool:
        """True if both measured the same models at the same size on the same kind of device."""
        mine, its = (
            (r.device.name, r.px, r.data.captions, {p: m.digest for p, m in r.models.items()})
            for r in (self, other)
        )
        return mine == its


def cache_path() -> Path:
    """Where the last results are kept: `$XDG_CACHE_HOME/curate/bench.json`, `~/.cache` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "curate" / "bench.json"


def known_benches() -> list[BenchResult]:
    """All results that are kept, newest last; what another version wrote or is damaged is passed over."""
    try:
        told = json.loads(cache_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    results = []
    for value in told if isinstance(told, list) else ():
        try:
            result = BenchResult.model_validate(value)
        except ValidationError:
            continue
        if result.format == FORMAT:
            results.append(result)
    return results


def last_bench(
    device_name: str | None = None, px: int | None = None,
    models: Mapping[Part, str] | None = None, *, having: Phase | None = None,
) -> BenchResult | None:  # fmt: skip
    """The newest result for a device, a picture size and models, as far as they are given.

    `models` are digests or `sizes` by part: a bench with random weights of the same dimensions
    forecasts real ones. `having` wants a phase that was run.
    """
    wanted = models or {}

    def fits(result: BenchResult) -> bool:
        parts = (
            part in result.models
            and told in (result.models[part].digest, result.models[part].sizes)
            for part, told in wanted.items()
        )
        return (
            device_name in (None, result.device.name)
            and px in (None, result.px)
            and (having is None or having in result.phases)
            and all(parts)
        )

    return next((result for result in reversed(known_benches()) if fits(result)), None)


def save_bench(result: BenchResult) -> Path:
    """Keep a result as the newest; older ones of the same subject go, unless they hold more phases."""
    kept = [
        old for old in known_benches()
        if not (old.same_subject(result) and old.phases <= result.phases)
    ]  # fmt: skip
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([one.model_dump(mode="json") for one in (*kept, result)], indent=1)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path
