"""What the stages that run a model have in common: settings, identity, start-up, batches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, Final

import pyarrow as pa
from pydantic import Field

from curate.models import Part, digest, resolve
from curate.models.agreement import TOLERANCE, Agreement
from curate.stage import Resources, Stage, Transform

SAMPLE_ROWS: Final = 64
"""Rows of the run on which the fast paths are held against float32."""
REFERENCE_PIXELS: Final = 256 * 256


class Encoder(Stage):
    """A stage around one model; batches follow from the table alone, so retries give the same bits.

    `device` is `auto`, `cpu` or `cuda`; it says where, not what, and is no part of the identity.
    `batch_size` is for pictures of 256 × 256 pixels; larger ones go in proportionally smaller
    batches. A fast path further than `tolerance` from float32 on rows of the run is not used.
    """

    model: str = "builtin:tiny"
    batch_size: Annotated[int, Field(ge=1)] = 128
    device: str = "auto"
    tolerance: Annotated[float, Field(gt=0.0, le=1.0)] = TOLERANCE

    part: ClassVar[Part]
    codecs: ClassVar[tuple[str, ...]]  # distributions whose versions may change the values
    needs: ClassVar[Resources] = Resources(gpus=1.0)

    def open(self) -> Transform:
        return Opened(self)

    def load(self, sample: pa.Table) -> Any:
        """The model, its fast paths checked on a sample; it has `agreements`, a sequence."""
        raise NotImplementedError

    def encode(self, table: pa.Table, model: Any) -> pa.Table:
        """The table with the produced columns; several threads may call it at once."""
        raise NotImplementedError

    def batch(self, width: int, height: int) -> int:
        """Pictures of a size in pixels that go together."""
        return max(1, self.batch_size * REFERENCE_PIXELS // max(width * height, REFERENCE_PIXELS))

    def identity(self) -> dict[str, Any]:
        """Settings but where model and work are, the digest of the model's files, codec versions."""
        settings = self.model_dump(mode="json", exclude={"device", "model"})
        facts = {"model_digest": self.model_digest, "codecs": _versions(self.codecs)}
        return settings | facts | {"version": self.version}

    @property
    def model_digest(self) -> str:
        return digest(resolve(self.model, self.part))


class Opened:
    """The transform of an encoder; its model is loaded by `start`, or by the first table.

    Threads that come while another loads wait for it, so a worker can read its first shard
    meanwhile.
    """

    def __init__(self, stage: Encoder) -> None:
        self.stage = stage
        self._loading = threading.Lock()
        self._model: Any = None

    def start(self, sample: pa.Table) -> Sequence[Agreement]:
        """Load the model once, with its fast paths checked on `sample`; later calls just answer."""
        return tuple(self._ready(sample).agreements)

    def __call__(self, table: pa.Table) -> pa.Table:
        return self.stage.encode(table, self._ready(table))

    def _ready(self, sample: pa.Table) -> Any:
        with self._loading:
            if self._model is None:
                one_thread()
                self._model = self.stage.load(sample.slice(0, SAMPLE_ROWS))
            return self._model


def one_thread() -> None:
    """Give this worker's CPU arithmetic one thread: workers are how work is spread."""
    import torch

    torch.set_num_threads(1)


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    """Major and minor version of each distribution."""
    return {name: ".".join(version(name).split(".")[:2]) for name in names}
