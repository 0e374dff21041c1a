"""What the stages that run a model have in common: their settings, identity and start-up."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any, ClassVar

from pydantic import Field

from curate.models import Part, digest, resolve
from curate.stage import Stage


class Encoder(Stage):
    """A stage around one model; batches follow from the table alone, so retries give the same bits.

    `device` is `auto`, `cpu` or `cuda`; it says where, not what, and is no part of the identity.
    """

    model: str = "builtin:tiny"
    batch_size: Annotated[int, Field(ge=1)] = 32
    device: str = "auto"

    part: ClassVar[Part]
    codecs: ClassVar[tuple[str, ...]]  # distributions whose versions may change the values

    def identity(self) -> dict[str, Any]:
        """Settings but where model and work are, the digest of the model's files, codec versions."""
        settings = self.model_dump(mode="json", exclude={"device", "model"})
        facts = {"model_digest": self.model_digest, "codecs": _versions(self.codecs)}
        return settings | facts | {"version": self.version}

    @property
    def model_digest(self) -> str:
        return digest(resolve(self.model, self.part))


def one_thread() -> None:
    """Give this worker's CPU arithmetic one thread: workers are how work is spread."""
    import torch

    torch.set_num_threads(1)


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    """Major and minor version of each distribution."""
    return {name: ".".join(version(name).split(".")[:2]) for name in names}
