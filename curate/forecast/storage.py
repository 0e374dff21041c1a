"""How much a recipe will store, from its columns, its settings and the dimensions of its models."""

from __future__ import annotations

from typing import Final

from curate import columns as c
from curate.forecast.rows import DEFAULT_PIXELS, Assumed, area, rows_of
from curate.recipe import Recipe
from curate.stages.encoders import Encoder
from curate.stages.inspect import Inspect
from curate.store.numbers import vector_bytes

ROW_BYTES: Final = 900  # candidate, licence and picture facts, compressed
FEATURE_ROW_BYTES: Final = 40  # key and marks
PICTURE_BITS_PER_PIXEL: Final = 2.4  # JPEG quality 95, 4:4:4, photographs
THUMBNAIL_BYTES: Final = 3_000


def storage(recipe: Recipe, assumed: Assumed) -> list[tuple[str, float]]:
    """(layer, bytes) in recipe order, and what they are together as `all`."""
    rows, pixels = rows_of(recipe, assumed), area(recipe)
    total: list[tuple[str, float]] = []
    for step in recipe.passes:
        each = float(FEATURE_ROW_BYTES)
        for stage in step.stages:
            if isinstance(stage, Inspect):
                stored = min(DEFAULT_PIXELS, (stage.max_side or 10**9) ** 2)
                each += ROW_BYTES + THUMBNAIL_BYTES + stored * PICTURE_BITS_PER_PIXEL / 8
            elif isinstance(stage, Encoder):
                each += feature_bytes(stage, pixels=pixels, tokens=assumed.tokens)
        total.append((step.layer, each * rows[step.layer]))
    return [*total, ("all", sum(size for _, size in total))]


def feature_bytes(stage: Encoder, *, pixels: int, tokens: float) -> float:
    """Bytes that one encoder stores of a row with one caption, in the form its settings name."""
    notes = stage.field_metadata()
    if stage.part == "clip":
        dim = int(notes[c.CLIP_IMAGE.name]["dim"])
        return 2 * dim + 2 * dim + 2 * 4  # picture and caption in float16, score twice in float32
    if stage.part == "t5":
        told = notes[c.T5_EMBEDDINGS.name]
        return tokens * vector_bytes(told["dtype"], int(told["dim"]))
    told = notes[c.LATENT.name]
    maps = int(told["channels"]) * (1 if told["posterior"] == "mode" else 2)
    return 2 * maps * pixels / float(told["factor"]) ** 2
