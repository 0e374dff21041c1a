"""Which bench a forecast or a ratio may be taken from: the same device, models and picture size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from curate.bench.result import BareRates, BenchResult, known_benches, sizes_of
from curate.errors import MissingInput, RecipeError
from curate.forecast.rows import area, encoders, encoding
from curate.models import Part, resolve
from curate.recipe import Recipe

SAME_AREA: Final = 0.1
"""How far, relatively, a bucket's area may lie from that of a bench of the same picture size."""


def read_bench(path: Path) -> BenchResult:
    """A result that `curate bench` wrote; raises MissingInput or RecipeError if it is none."""
    if not path.is_file():
        raise MissingInput(
            f"bench {path} does not exist; `curate bench --out FILE.json` writes one"
        )
    try:
        return BenchResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RecipeError(
            f"{path} is no result of `curate bench`: {where}: {first['msg']}"
        ) from error


def model_sizes(recipe: Recipe) -> dict[Part, str]:
    """The dimensions of the recipe's models by part; models of equal ones are equally fast."""
    return {
        stage.part: sizes_of(resolve(stage.model, stage.part), stage.part)
        for step in encoding(recipe)
        for stage in encoders(step)
    }


def nearest_bench(
    recipe: Recipe, device_name: str | None, *, kind: str | None = None
) -> BenchResult | None:
    """The newest bare-loop bench of the recipe's models on a device, of the nearest picture size."""
    pixels, wanted = area(recipe), model_sizes(recipe)
    fitting = [
        result for result in known_benches()
        if result.bare is not None
        and device_name in (None, result.device.name)
        and kind in (None, result.device.kind)
        and not unlike(result, wanted)
    ]  # fmt: skip
    newest_first = reversed(fitting)
    return min(newest_first, key=lambda result: _apart(result.px**2, pixels), default=None)


def same_size(result: BenchResult, recipe: Recipe) -> bool:
    """True if the recipe's buckets have about the area of the bench's pictures."""
    return _apart(result.px**2, area(recipe)) <= SAME_AREA


def unlike(result: BenchResult, wanted: Mapping[Part, str]) -> list[Part]:
    """Parts for which a bench measured models of other dimensions, or none."""
    told = {part: facts.sizes for part, facts in result.models.items()}
    return [
        part for part, sizes in wanted.items()
        if part not in told or not _alike(json.loads(told[part]), json.loads(sizes))
    ]  # fmt: skip


def part_rate(bare: BareRates, part: Part) -> float:
    """Rows a second of one encoder alone in the bare loop."""
    return {"clip": bare.clip, "t5": bare.t5, "vae": bare.vae}[part].per_second


def _apart(one: float, other: float) -> float:
    return max(one, other) / min(one, other) - 1


def _alike(one: Any, other: Any) -> bool:
    """Equal dimensions: tokenizers do not count, nor numbers that one config leaves to the default."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return bool(one == other)
    for name in {*one, *other}:
        if "tokenizer" in name:
            continue
        if name in one and name in other:
            if not _alike(one[name], other[name]):
                return False
        elif isinstance(one.get(name, other.get(name)), str):
            return False
    return True
