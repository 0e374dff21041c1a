"""Encode pictures with a VAE: the moments of the posterior, from which training samples."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa

from curate import columns as c
from curate.errors import RecipeError
from curate.models import Part, resolve
from curate.models.vae import facts_of
from curate.stage import Transform, mark
from curate.stages.encoders import Encoder, one_thread
from curate.stages.pixels import COLUMNS, Batch, batches

if TYPE_CHECKING:
    from curate.models.vae import Vae


class VaeStage(Encoder):
    """float16 moments [2 × channels, height, width] of the bucket's pixels, and the latent's size.

    Unscaled: the scaling factor is told in the column's metadata. A picture that cannot be read is
    rejected `corrupt`, one whose moments are not finite in float16 `numeric`. A bucket that the
    VAE's factor does not divide is a RecipeError.
    """

    kind: Literal["vae"] = "vae"

    part: ClassVar[Part] = "vae"
    codecs: ClassVar = ("pillow", "torch", "diffusers")
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, *COLUMNS])
    produces: ClassVar[pa.Schema] = pa.schema([c.LATENT, c.LATENT_HEIGHT, c.LATENT_WIDTH])

    def open(self) -> Transform:
        from curate.models.vae import Vae

        one_thread()
        vae = Vae.load(self.model, device=self.device)
        return partial(_encode, vae=vae, batch_size=self.batch_size, stage=self.kind)

    def field_metadata(self) -> dict[str, dict[str, str]]:
        facts = {name: str(value) for name, value in facts_of(resolve(self.model, "vae")).items()}
        return {c.LATENT.name: {"model": self.model_digest, "dtype": "float16", **facts}}


def _encode(table: pa.Table, *, vae: Vae, batch_size: int, stage: str) -> pa.Table:
    latents: list[bytes | None] = [None] * len(table)
    heights: list[int | None] = [None] * len(table)
    widths: list[int | None] = [None] * len(table)
    reasons: list[str | None] = ["corrupt"] * len(table)
    for batch in batches(table, batch_size):
        for row, moments in _moments(batch, vae):
            finite = bool(np.isfinite(moments).all())
            reasons[row] = None if finite else "numeric:latent"
            latents[row] = moments.tobytes() if finite else None
            heights[row], widths[row] = moments.shape[1:] if finite else (None, None)
    for field, column in zip(VaeStage.produces, (latents, heights, widths), strict=True):
        table = table.append_column(field, pa.array(column, field.type))
    return mark(table, reasons, stage=stage)


def _moments(batch: Batch, vae: Vae) -> list[tuple[int, np.ndarray]]:
    """(row, float16 [2 × channels, h, w]) of the rows of a batch that have pixels."""
    found = [(row, p) for row, p in zip(batch.rows, batch.pixels, strict=True) if p is not None]
    if not found:
        return []
    height, width, _ = found[0][1].shape
    if height % vae.factor or width % vae.factor:
        raise RecipeError(
            f"bucket {width} × {height}: both sides must be multiples of {vae.factor}, the factor of the VAE"
        )
    with np.errstate(over="ignore"):  # an overflow becomes inf, which rejects the row
        encoded = vae.encode(np.stack([p for _, p in found]), batch_size=len(found)).astype("<f2")
    return list(zip([row for row, _ in found], encoded, strict=True))
