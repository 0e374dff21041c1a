"""What a forecast takes for granted of rows that nobody has seen yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import BaseModel, Field

from curate.recipe import Pass, Recipe
from curate.stages.buckets import Buckets
from curate.stages.clip_score import ClipScore
from curate.stages.t5 import T5Stage
from curate.stages.vae import VaeStage

AnyEncoder = ClipScore | T5Stage | VaeStage
DEFAULT_PIXELS: Final = 1_000_000


class Assumed(BaseModel, frozen=True, extra="forbid"):
    """`rows` that pass every filter of the images, with one caption of `tokens` tokens each.

    `keep` is the share of rows that survives the barrier behind a pass that encodes: later passes
    encode no others, so CLIP in a pass of its own saves T5 and VAE the rest.
    """

    rows: Annotated[int, Field(ge=1)] = 1_000_000
    tokens: Annotated[float, Field(gt=0)] = 15.0  # the mean of alt texts, </s> included
    keep: Annotated[float, Field(gt=0, le=1)] = 1.0


def rows_of(recipe: Recipe, assumed: Assumed) -> dict[str, float]:
    """Layer → rows that its stages see."""
    found, left = {}, float(assumed.rows)
    for step in recipe.passes:
        found[step.layer] = left
        if _judges(step):
            left *= assumed.keep
    return found


def judged_between(recipe: Recipe) -> bool:
    """True if a pass that encodes comes after another one's barrier: then `keep` saves time."""
    judged = False
    for step in encoding(recipe):
        if judged:
            return True
        judged = _judges(step)
    return False


def encoding(recipe: Recipe) -> list[Pass]:
    """The passes that run a model, in order."""
    return [step for step in recipe.passes if any(encoders(step))]


def _judges(step: Pass) -> bool:
    return step.barrier is not None and any(encoders(step))


def encoders(step: Pass) -> Iterator[AnyEncoder]:
    """The stages of a pass that run a model."""
    return (stage for stage in step.stages if isinstance(stage, ClipScore | T5Stage | VaeStage))


def bucket_sizes(recipe: Recipe) -> list[tuple[int, int]]:
    """(width, height) of every bucket, smallest area first; empty where the recipe has none."""
    found = {
        size
        for step in recipe.passes
        for stage in step.stages
        if isinstance(stage, Buckets)
        for size in stage.buckets
    }
    return sorted(found, key=lambda size: (size[0] * size[1], size))


def area(recipe: Recipe) -> int:
    """Pixels of a picture in its bucket: of the largest one, so that forecasts err upwards."""
    return max((width * height for width, height in bucket_sizes(recipe)), default=DEFAULT_PIXELS)
