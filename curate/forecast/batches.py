"""In which batches and packs a recipe's encoders work: they follow from recipe and shard alone."""

from __future__ import annotations

from itertools import groupby

from curate.forecast.rows import Assumed, bucket_sizes, encoders, encoding
from curate.recipe import Recipe
from curate.stages.encoders import Encoder
from curate.stages.t5 import T5Stage


def batches(recipe: Recipe, assumed: Assumed) -> list[tuple[str, str]]:
    """(layer and stage, its batches in words) of each encoder in recipe order."""
    sizes, rows = bucket_sizes(recipe), recipe.shard_rows
    return [
        (
            f"{step.layer}: {stage.kind}",
            _packs(stage, rows, assumed.tokens)
            if isinstance(stage, T5Stage)
            else _pictures(stage, sizes),
        )
        for step in encoding(recipe)
        for stage in encoders(step)
    ]


def _packs(stage: T5Stage, rows: int, tokens: float) -> str:
    limit = stage.pack_tokens
    held = -(-int(rows * tokens * 1000) // 1000)
    packs = -(-held // limit)
    return (
        f"packs of at most {limit:,} tokens: {packs:,} of {-(-held // packs):,} for a full shard's "
        f"{rows:,} captions of {tokens:g} (without a GPU {stage.batch_size:,} captions of a length)"
    )


def _pictures(stage: Encoder, sizes: list[tuple[int, int]]) -> str:
    """Pictures a batch, buckets of equal batches told together; CLIP fills its own over all buckets."""
    told = _by_bucket(stage, sizes)
    return (
        f"{stage.batch_size:,} a batch over all buckets, from {told}"
        if stage.part == "clip"
        else told
    )


def _by_bucket(stage: Encoder, sizes: list[tuple[int, int]]) -> str:
    if not sizes:
        return f"{stage.batch_size:,} pictures of 256 × 256 a batch, fewer of larger ones"
    parts = []
    for batch, group in groupby(sizes, key=lambda size: stage.batch(*size)):
        found = [f"{width} × {height}" for width, height in group]
        told = found[0] if len(found) == 1 else f"{found[0]} … {found[-1]} ({len(found)} buckets)"
        parts.append(f"{batch:,} pictures a batch of {told}")
    return ", ".join(parts)
