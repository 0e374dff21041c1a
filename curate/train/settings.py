"""What a training run is told: frozen, strict and light, so that recipes embed it as `train:`.

Nothing here imports torch; the loop reads these values and adds none of its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, model_validator

Size = Literal["tiny", "small", "B/2", "XL/2"]

BUDGET: Final = frozenset(
    {"steps", "max_seconds", "log_every_steps", "checkpoint_every_steps", "device", "threads",
     "prefetch_batches", "samples"}
)  # fmt: skip
"""Fields that say how long, where and how often: they may differ when a run is taken up again.

But not `steps` and `max_seconds` with a schedule that is stretched over them (`decisive`).
"""


class SampleSettings(BaseModel, frozen=True, extra="forbid"):
    """The grid drawn at the end: one picture a prompt, all from the same seed."""

    prompts: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)
    steps: int = Field(default=20, ge=2)
    guidance: float = Field(default=4.5, ge=1.0)
    columns: int = Field(default=4, ge=1)


class TrainSettings(BaseModel, frozen=True, extra="forbid"):
    """Everything that decides a training run; `steps` or `max_seconds` ends it, or the first of both.

    Learning rates are per optimizer step; times are on the unit interval, 1 being noise;
    `window_rows` samples are shuffled together and held in memory; `auto` precision is bfloat16
    (autocast) on a GPU and float32 on a CPU.
    """

    size: Size = "tiny"
    steps: int | None = Field(default=None, ge=1)
    max_seconds: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0, lt=2**63)

    batch_size: int = Field(default=64, ge=1)
    window_rows: int = Field(default=2048, ge=1)
    prefetch_batches: int = Field(default=4, ge=1)
    caption_dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    text_tokens_multiple: int = Field(default=8, ge=1)

    learning_rate: float = Field(default=1e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(default=100, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)

    prediction: Literal["flow"] = "flow"
    time_mean: float = 0.0
    time_std: float = Field(default=1.0, gt=0)
    flow_shift: float = Field(default=1.0, gt=0)

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compilation: Literal["none", "blocks"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, ge=1)

    log_every_steps: int = Field(default=10, ge=1)
    checkpoint_every_steps: int | None = Field(default=None, ge=1)
    samples: SampleSettings = SampleSettings()

    @model_validator(mode="after")
    def _ends(self) -> TrainSettings:
        if self.steps is None and self.max_seconds is None:
            raise ValueError("give steps or max_seconds: without one of them training never ends")
        return self

    def decisive(self) -> dict[str, Any]:
        """The fields that decide what is learnt at a given step, as JSON values.

        A cosine runs over the whole budget, so with it the budget sets the rate of every step.
        """
        free = BUDGET if self.schedule == "constant" else BUDGET - {"steps", "max_seconds"}
        return self.model_dump(mode="json", exclude=set(free))

    def fingerprint(self) -> str:
        """Hex sha256 over the decisive fields."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()
