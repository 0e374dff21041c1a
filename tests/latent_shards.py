"""Shards of pictures for the VAE's stage, and what it made of them."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from curate import columns as c
from curate.demo.scenes import draw, random_scene
from curate.models.vae import Vae
from curate.stage import apply
from curate.stages.vae import VaeStage

Pixels = NDArray[np.uint8]
SCHEMA = pa.schema([c.KEY, c.IMAGE, c.CROP_BOX, c.BUCKET_WIDTH, c.BUCKET_HEIGHT])


def scenes(count: int, *, size: tuple[int, int] = (64, 64), seed: int = 1) -> list[Pixels]:
    """What the builtin models were trained on."""
    rng = np.random.default_rng(seed)
    return [np.asarray(draw(random_scene(rng), size)) for _ in range(count)]


def table(pictures: list[Pixels | None]) -> pa.Table:
    """A shard of pictures, each its own bucket; None is a row that cannot be read."""
    rows = []
    for key, picture in enumerate(pictures):
        height, width = (64, 64) if picture is None else picture.shape[:2]
        stream = io.BytesIO(b"nothing" if picture is None else b"")
        if picture is not None:
            Image.fromarray(picture).save(stream, "PNG")
        rows.append({
            "key": str(key), "image": {"bytes": stream.getvalue(), "path": None},
            "crop_box": [0, 0, width, height], "bucket_width": width, "bucket_height": height,
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def encode(stage: VaeStage, given: pa.Table, vae: Vae | None = None) -> pa.Table:
    model = vae or stage.load(given)
    return apply(stage, given, partial(stage.encode, model=model))


def reasons(found: pa.Table) -> list[str | None]:
    told: list[str | None] = found["reason"].to_pylist()
    return told


def latents(found: pa.Table) -> list[NDArray[np.float32] | None]:
    """The stored numbers of each row, [channels, height, width]."""
    return [
        None if row["latent"] is None else
        np.frombuffer(row["latent"], "<f2").astype(np.float32).reshape(
            -1, row["latent_height"], row["latent_width"])
        for row in found.to_pylist()
    ]  # fmt: skip


MIXED: list[Pixels | None] = [
    scene
    for trio in zip(
        scenes(4), scenes(4, size=(96, 64)), [None, *scenes(2, size=(64, 96)), None], strict=True
    )
    for scene in trio
]
