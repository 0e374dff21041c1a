"""What `curate bench` is asked to do, and what it does where nothing is said."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, Field

from curate.bench.data import DataSpec, shard_of
from curate.bench.models import REAL, Sizes, vocabulary_of
from curate.bench.result import Captions, Phase
from curate.models import Part

BUILTIN: Final = "builtin:tiny"
GPU_PX: Final = 256
CPU_PX: Final = 64
GPU_SECONDS: Final = 60.0
CPU_SECONDS: Final = 2.0
CPU_ROWS: Final = 96
CPU_PICTURES: Final = 8
MARGIN_SHARDS: Final = 8
"""What a worker has in hand while it begins and while it ends, which is not measured."""
ROWS_PER_SECOND: Final = ((256, 900), (512, 340), (1024, 85))
"""What one GPU is expected to do at most; it says how many rows are made, nothing else."""
SHARE_OF_SPEED: Final[Mapping[Captions, float]] = {"alt": 1.0, "llava": 0.45}
"""The same for captions that are longer."""


class Settings(BaseModel, frozen=True, extra="forbid"):
    """One bench. `models` names encoders by part; those it does not name are made, with `sizes`.

    `folder` keeps models and data for the next call. `workers` are the GPU workers of each run of
    the pipeline. `random` are the encoders that were made, once all have names. `started` is when
    the call began, in seconds since 1970.
    """

    folder: Path
    px: int = Field(ge=16, multiple_of=8)
    rows: int = Field(ge=4)
    seconds: float = Field(gt=0)
    workers: tuple[int, ...] = (1,)
    captions: Captions = "alt"
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    pictures: int = Field(256, ge=1)
    models: dict[Part, str] = {}
    random: frozenset[Part] = frozenset()
    sizes: Sizes = REAL
    device: str = "auto"
    skip: frozenset[Phase] = frozenset()
    inline: bool = False
    started: float = 0.0

    @property
    def spec(self) -> DataSpec:
        """The data set that this bench needs."""
        return DataSpec(
            px=self.px, rows=self.rows, captions=self.captions, subsampling=self.subsampling,
            pictures=min(self.pictures, self.rows),
            t5=None if "t5" in self.random else self.models.get("t5"),
            vocabulary=vocabulary_of(self.sizes), processes=max(1, (os.cpu_count() or 2) - 1),
        )  # fmt: skip

    @property
    def made(self) -> frozenset[Part]:
        """The encoders that get random weights."""
        parts: tuple[Part, ...] = ("clip", "t5", "vae")
        return frozenset(part for part in parts if part not in self.models)


def expected_rows(px: int, seconds: float, gpus: int, captions: Captions = "alt") -> int:
    """Rows enough for `seconds` of a pipeline on so many GPUs, and its begin and end."""
    smaller = [(size, rate) for size, rate in ROWS_PER_SECOND if size <= px]
    size, rate = smaller[-1] if smaller else (px, ROWS_PER_SECOND[0][1])
    expected = rate * (size / px) ** 2 * SHARE_OF_SPEED[captions]
    return gpus * (int(expected * seconds) + MARGIN_SHARDS * shard_of(px))


def default_folder() -> Path:
    """Where models and data lie if nothing is said: the user's own folder below the temporary one."""
    return Path(tempfile.gettempdir()) / f"curate-bench-{getpass.getuser()}"


def settings_for(
    *, gpu: bool, folder: Path | None = None, px: int | None = None, rows: int | None = None,
    seconds: float | None = None, gpus: int | None = None, captions: Captions = "alt",
    subsampling: Literal["4:2:0", "4:4:4"] = "4:2:0", models: dict[Part, str] | None = None,
    skip: frozenset[Phase] = frozenset(), inline: bool = False, started: float = 0.0,
) -> Settings:  # fmt: skip
    """The settings of a call: real sizes where there is a GPU, the builtin models where there is none."""
    px = px or (GPU_PX if gpu else CPU_PX)
    seconds = seconds or (GPU_SECONDS if gpu else CPU_SECONDS)
    count = gpus or 1
    named = dict(models or {})
    if not gpu:
        named = {"clip": BUILTIN, "t5": BUILTIN, "vae": BUILTIN, **named}
    return Settings(
        folder=(folder or default_folder()).absolute(), px=px, seconds=seconds, captions=captions,
        rows=rows or (expected_rows(px, seconds, count, captions) if gpu else CPU_ROWS),
        workers=tuple(sorted({1, count})), subsampling=subsampling, models=named, skip=skip,
        pictures=256 if gpu else CPU_PICTURES, inline=inline, started=started,
    )  # fmt: skip
