"""Choose for each picture the size it is trained at, and the centred crop that fits it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from curate import columns as c
from curate.stage import Stage, Transform, mark

Side = Annotated[int, Field(ge=1, le=1 << 20)]
Size = tuple[Side, Side]
Pixels = NDArray[np.int64]

STEP: Final = 64
MAX_RATIO: Final = 2.0
MOST_STEPS: Final = 256
"""Steps in a base at most: more buckets than that would hold a picture or two each."""


class Buckets(Stage):
    """The bucket of nearest aspect, and the largest centred crop box of that aspect.

    Either `sizes` lists the buckets as (width, height): of those with the same aspect the largest
    that needs no up-scaling is taken. Or `base` says them: for a base of 512 every width and height
    that are multiples of `step`, as large as fit in 512 × 512 pixels of area, no side more than
    `max_ratio` times the other, lying and standing alike (512 × 512, 576 × 448, 640 × 384, …). Of
    several bases a picture goes to the largest whose bucket needs no up-scaling.

    With `upscale: reject` a picture smaller than its bucket is rejected `too_small`; the value is
    how much of the bucket's side it can fill, between 0 and 1. With `allow` it is enlarged, to the
    smallest base.
    """

    kind: Literal["buckets"] = "buckets"
    sizes: tuple[Size, ...] = ()
    base: Side | Annotated[tuple[Side, ...], Field(min_length=1)] | None = None
    step: Side = STEP
    max_ratio: Annotated[float, Field(ge=1.0, allow_inf_nan=False)] = MAX_RATIO
    upscale: Literal["reject", "allow"] = "reject"

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.WIDTH, c.HEIGHT])
    produces: ClassVar[pa.Schema] = pa.schema([c.BUCKET_WIDTH, c.BUCKET_HEIGHT, c.CROP_BOX])

    @model_validator(mode="after")
    def _one_way(self) -> Buckets:
        """Exactly one way of saying the buckets."""
        if bool(self.sizes) == (self.base is not None):
            raise ValueError("say the buckets by sizes, a list of [width, height], or by base")
        if self.sizes and (self.step, self.max_ratio) != (STEP, MAX_RATIO):
            raise ValueError("step and max_ratio go with base, not with sizes")
        for base in self._bases:
            if base % self.step or base > MOST_STEPS * self.step:
                raise ValueError(
                    f"base {base} is not a multiple of step {self.step}, at most {MOST_STEPS} times it"
                )
        return self

    @property
    def buckets(self) -> tuple[Size, ...]:
        """(width, height) of every bucket, sorted."""
        return tuple(sorted({size for sizes in self._tiers for size in sizes}))

    @property
    def _bases(self) -> tuple[int, ...]:
        """The bases, largest first."""
        bases = (self.base,) if isinstance(self.base, int) else self.base or ()
        return tuple(sorted(set(bases), reverse=True))

    @property
    def _tiers(self) -> tuple[tuple[Size, ...], ...]:
        """Sets of buckets to try one after the other, each sorted."""
        if self.sizes:
            return (tuple(sorted(set(self.sizes))),)
        return tuple(sizes_of(base, self.step, self.max_ratio) for base in self._bases)

    def identity(self) -> dict[str, Any]:
        """Only the settings that say the buckets: listed sizes are what they were without a base."""
        silent = {"base", "step", "max_ratio"} if self.sizes else {"sizes"}
        return self.model_dump(mode="json", exclude=silent) | {"version": self.version}

    def open(self) -> Transform:
        return self._assign

    def _assign(self, table: pa.Table) -> pa.Table:
        width, height = (_pixels(table, name) for name in (c.WIDTH.name, c.HEIGHT.name))
        chosen, box, scale = self._choose(width, height)
        least = 0.0 if self.upscale == "allow" else 1.0
        refused = (scale < least) | (width < 1) | (height < 1)
        columns = (
            pa.array(chosen[:, 0], pa.int32(), mask=refused),
            pa.array(chosen[:, 1], pa.int32(), mask=refused),
            pa.FixedSizeListArray.from_arrays(
                pa.array(box.ravel(), pa.int32()), type=c.CROP_BOX.type, mask=pa.array(refused)
            ),
        )
        for field, values in zip(self.produces, columns, strict=True):
            table = table.append_column(field, values)
        reasons = ["too_small" if r else None for r in refused]
        return mark(table, reasons, stage=self.kind, value=scale.tolist())

    def _choose(self, width: Pixels, height: Pixels) -> tuple[Pixels, Pixels, NDArray[np.float64]]:
        """Per picture its bucket [n, 2], its crop box [n, 4] and how far the box fills the bucket."""
        tries = [_fitted(width, height, np.array(tier, np.int64)) for tier in self._tiers]
        full = np.stack([scale >= 1.0 for _, _, scale in tries])
        first = np.where(full.any(axis=0), full.argmax(axis=0), len(tries) - 1)
        rows = np.arange(len(width))
        bucket, box, scale = (np.stack(parts)[first, rows] for parts in zip(*tries, strict=True))
        return bucket, box, scale


def sizes_of(base: int, step: int, max_ratio: float) -> tuple[Size, ...]:
    """Widths and heights in steps, each pair as large as fits in base × base pixels, sorted."""
    found: set[Size] = set()
    for short in range(step, base + 1, step):
        long = base * base // (short * step) * step
        if long <= max_ratio * short:
            found |= {(short, long), (long, short)}
    return tuple(sorted(found))


def _pixels(table: pa.Table, name: str) -> Pixels:
    """A size column with 0 where it is null."""
    filled = pc.fill_null(table[name], 0).to_numpy()
    return np.asarray(filled, np.int64)


def _fitted(
    width: Pixels, height: Pixels, sizes: Pixels
) -> tuple[Pixels, Pixels, NDArray[np.float64]]:
    """Per picture the bucket of nearest aspect, its crop box, and how far that fills the bucket."""
    bucket = sizes[_nearest(width, height, sizes)]
    box = _crop_box(width, height, bucket)
    return bucket, box, np.min((box[:, 2:] - box[:, :2]) / bucket, axis=1)


def _nearest(width: Pixels, height: Pixels, sizes: Pixels) -> NDArray[np.intp]:
    """Per picture, the row of `sizes` whose aspect is nearest; among equals, the best filled."""
    across = np.outer(np.maximum(width, 1), sizes[:, 1])
    down = np.outer(np.maximum(height, 1), sizes[:, 0])
    stretch = np.maximum(across, down) / np.minimum(across, down)
    area = sizes.prod(axis=1)
    fits = (width[:, None] >= sizes[:, 0]) & (height[:, None] >= sizes[:, 1])
    preference = np.where(fits, -area, area)  # the largest that fits, else the smallest
    order = np.lexsort((preference, ~fits, stretch), axis=1)
    return order[:, 0]


def _crop_box(width: Pixels, height: Pixels, chosen: Pixels) -> Pixels:
    """Left, top, right, bottom of the largest centred box with the bucket's aspect, [n, 4]."""
    bucket_width, bucket_height = chosen.T
    across = (2 * height * bucket_width + bucket_height) // (2 * bucket_height)
    down = (2 * width * bucket_height + bucket_width) // (2 * bucket_width)
    box_width = np.minimum(width, np.maximum(across, 1))
    box_height = np.minimum(height, np.maximum(down, 1))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return np.stack([left, top, left + box_width, top + box_height], axis=1)
