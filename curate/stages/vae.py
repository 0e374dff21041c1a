"""Encode pictures with an autoencoder: the moments of the posterior, from which training samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from curate import columns as c
from curate.errors import ContractError, RecipeError
from curate.models import Part, resolve
from curate.models.device import pick
from curate.models.vae_kinds import facts_of
from curate.stage import mark
from curate.stages.encoders import Encoder
from curate.stages.latent_batches import Encoding
from curate.stages.latent_checks import PSNR, Limits
from curate.stages.latent_column import binary
from curate.stages.pixels import COLUMNS, Batch, batches

if TYPE_CHECKING:
    from curate.models.vae import Vae


class VaeStage(Encoder):
    """float16 latents of the bucket's pixels, unscaled, and their size in cells.

    `store` says what of the posterior: its `moments` [2 × channels, height, width], mean and log
    variance, or its `mode` [channels, height, width], the mean alone. Autoencoders without a
    posterior give the latent itself, which is stored as `mode`. Scaling and shift factor are told
    in the column's metadata.

    Each row must be finite in float16 and its mean latent times the scaling factor have a standard
    deviation within `std_range`; `check_rows` rows of a shard, spread evenly, are decoded and must
    come within `least_psnr` decibels of their pixels (null decodes none: weights that were never
    trained). What fails is encoded again in float32, then rejected `numeric`; if a decoded row is
    better in float32, so is its whole shard taken. A picture that cannot be read is rejected
    `corrupt`; a row that does not fit in memory alone is failed `out_of_memory`. A bucket that the
    factor does not divide is a RecipeError.
    """

    kind: Literal["vae"] = "vae"
    store: Literal["moments", "mode"] = "moments"
    std_range: tuple[float, float] = (0.001, 20.0)
    check_rows: Annotated[int, Field(ge=0)] = 4
    least_psnr: float | None = 10.0

    part: ClassVar[Part] = "vae"
    codecs: ClassVar = ("pillow", "torch", "diffusers")
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, *COLUMNS])
    produces: ClassVar[pa.Schema] = pa.schema(
        [c.LATENT, c.LATENT_HEIGHT, c.LATENT_WIDTH, c.VAE_BATCH, c.VAE_FLOAT32]
    )

    @field_validator("std_range")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not 0 <= low < high:
            raise ValueError(
                f"std_range {low} … {high}: give two numbers from 0 on, the lower first"
            )
        return value

    def load(self, sample: pa.Table) -> Vae:
        from curate.models.vae import Vae

        factor = facts_of(resolve(self.model, self.part))["factor"]
        found = batches(sample, self.batch, pick(self.device))
        pixels = (batch.pixels for batch in _fitting(found, factor))
        return Vae.load(self.model, device=self.device, sample=pixels, tolerance=self.tolerance)

    def encode(self, table: pa.Table, model: Vae) -> pa.Table:
        done = self._walk(table, model)
        if not done.refused or model.exact() is model:
            return self._written(table, model, done, in_float32=set())
        again = done.again(model.exact())
        if not any(done.refused[row].reason == PSNR for row in again.fine):
            done.replace(again)
            return self._written(table, model, done, in_float32=again.fine)
        del done, again
        done = self._walk(table, model.exact())
        return self._written(table, model, done, in_float32=done.fine)

    def field_metadata(self) -> dict[str, dict[str, str]]:
        facts = facts_of(resolve(self.model, self.part))
        posterior = "mode" if facts["deterministic"] else self.store
        told = {name: str(value) for name, value in facts.items() if name != "deterministic"}
        notes = {"model": self.model_digest, "dtype": "float16", "posterior": posterior}
        return {c.LATENT.name: notes | told}

    @property
    def limits(self) -> Limits:
        return Limits(self.std_range, self.check_rows, self.least_psnr)

    def _walk(self, table: pa.Table, model: Vae) -> Encoding:
        """All rows through one model."""
        limits = self.limits
        walk = Encoding(
            model, mode=self.store == "mode", limits=limits, sampled=limits.sampled(len(table))
        )
        for batch in _fitting(batches(table, self.batch, model.device), model.factor):
            _, height, width, _ = batch.pixels.shape
            walk.add(batch.rows, batch.pixels, self.batch(width, height))
        return walk.finish()

    def _written(
        self, table: pa.Table, model: Vae, done: Encoding, *, in_float32: set[int]
    ) -> pa.Table:
        """The table with the columns of a finished walk, and marks on what cannot be stored."""
        _check_shapes(table, done, model.factor)
        count = len(table)
        gone, sides = np.ones(count, bool), np.zeros((2, count), np.int32)
        for piece in done.pieces:
            gone[piece.rows] = False
            sides[0, piece.rows], sides[1, piece.rows] = piece.shape[1:]
        refused = done.refused
        gone[[*refused, *done.lost]] = True
        again = np.zeros(count, bool)
        again[list(in_float32)] = True
        columns = (
            binary(done.blocks, ~gone), pa.array(sides[0], mask=gone), pa.array(sides[1], mask=gone),
            pa.array([done.halved] * count, pa.int32()), pa.array(again, mask=~again),
        )  # fmt: skip
        for field, column in zip(self.produces, columns, strict=True):
            table = table.append_column(field, column)
        failed = ["out_of_memory" if row in done.lost else None for row in range(count)]
        reasons = [
            None if not gone[row] else refused[row].reason if row in refused else "corrupt"
            for row in range(count)
        ]
        values = [refused[row].value if row in refused else None for row in range(count)]
        table = mark(table, failed, verdict="failed", retryable=True, stage=self.kind)
        return mark(table, reasons, stage=self.kind, value=values)


def _fitting(found: Iterable[Batch], factor: int) -> Iterable[Batch]:
    """The same batches; raises RecipeError for a bucket that the factor does not divide."""
    for batch in found:
        _, height, width, _ = batch.pixels.shape
        if height % factor or width % factor:
            raise RecipeError(
                f"bucket {width} × {height}: both sides must be multiples of {factor}, the factor "
                f"of the VAE"
            )
        yield batch


def _check_shapes(table: pa.Table, done: Encoding, factor: int) -> None:
    """Raises ContractError unless each latent has the shape of its row's bucket."""
    buckets = [
        np.asarray(pc.fill_null(table[field.name], 0))
        for field in (c.BUCKET_HEIGHT, c.BUCKET_WIDTH)
    ]
    for piece in done.pieces:
        sides = np.stack([side[piece.rows] for side in buckets], 1)
        odd = (sides != np.multiply(piece.shape[1:], factor)).any(1)
        if piece.shape[0] != done.channels or odd.any():
            row = int(piece.rows[odd.argmax()])
            height, width = (side[row] for side in buckets)
            raise ContractError(
                f"row {table[c.KEY.name][row]}: a latent of {' × '.join(map(str, piece.shape))} for a "
                f"bucket {width} × {height}; the VAE's config says {done.channels} channels and a "
                f"factor of {factor}, so its encoder is not what the config describes"
            )
