"""How much a recipe will store, from its columns and the dimensions of its models."""

from __future__ import annotations

from curate.recipe import Recipe
from curate.stages.inspect import Inspect

ROW_BYTES = 900  # candidate, licence and picture facts, compressed
PICTURE_BITS_PER_PIXEL = 2.4  # JPEG quality 95, 4:4:4, photographs
THUMBNAIL_BYTES = 3_000
CAPTION_TOKENS = 15  # the mean of alt texts
DEFAULT_PIXELS = 1_000_000


def storage(recipe: Recipe, *, rows: int) -> list[tuple[str, float]]:
    """(layer, bytes) for `rows` kept rows with one caption of 15 tokens and 1 Mpx pictures."""
    sizes = [
        stage.sizes for step in recipe.passes for stage in step.stages if stage.kind == "buckets"
    ]
    area = max((w * h for bucket in sizes for w, h in bucket), default=DEFAULT_PIXELS)
    total: list[tuple[str, float]] = []
    for step in recipe.passes:
        each = 40.0
        for stage in step.stages:
            if isinstance(stage, Inspect):
                pixels = min(DEFAULT_PIXELS, (stage.max_side or 10**9) ** 2)
                each += ROW_BYTES + THUMBNAIL_BYTES + pixels * PICTURE_BITS_PER_PIXEL / 8
            elif stage.kind in ("clip_score", "t5", "vae"):
                notes = stage.field_metadata()
                each += _feature_bytes(stage.kind, notes, area)
        total.append((step.layer, each * rows))
    return [*total, ("all", sum(size for _, size in total))]


def _feature_bytes(kind: str, notes: dict[str, dict[str, str]], area: int) -> float:
    def number(column: str, name: str) -> float:
        return float(notes.get(column, {}).get(name, 0))

    if kind == "clip_score":
        return 4 * number("clip_image", "dim")
    if kind == "t5":
        return 2 * CAPTION_TOKENS * number("t5_embeddings", "dim")
    factor = number("latent", "factor") or 8.0
    return 2 * 2 * number("latent", "channels") * area / factor**2
