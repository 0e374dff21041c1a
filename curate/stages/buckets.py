"""Choose for each picture the size it is trained at, and the centred crop that fits it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from curate import columns as c
from curate.stage import Stage, Transform, mark

Side = Annotated[int, Field(ge=1, le=1 << 20)]
Pixels = NDArray[np.int64]


class Buckets(Stage):
    """The bucket of nearest aspect, and the largest centred crop box of that aspect.

    Of buckets with the same aspect, the largest that needs no up-scaling. With
    `upscale: reject` a picture smaller than its bucket is rejected `too_small`; the value is how
    much of the bucket's side it can fill, between 0 and 1.
    """

    kind: Literal["buckets"] = "buckets"
    sizes: Annotated[tuple[tuple[Side, Side], ...], Field(min_length=1)]
    upscale: Literal["reject", "allow"] = "reject"

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.WIDTH, c.HEIGHT])
    produces: ClassVar[pa.Schema] = pa.schema([c.BUCKET_WIDTH, c.BUCKET_HEIGHT, c.CROP_BOX])

    def open(self) -> Transform:
        return self._assign

    def _assign(self, table: pa.Table) -> pa.Table:
        width, height = (_pixels(table, name) for name in (c.WIDTH.name, c.HEIGHT.name))
        sizes = np.array(sorted(set(self.sizes)), np.int64)
        chosen = sizes[_nearest(width, height, sizes)]
        box = _crop_box(width, height, chosen)
        scale = np.min((box[:, 2:] - box[:, :2]) / chosen, axis=1)
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


def _pixels(table: pa.Table, name: str) -> Pixels:
    """A size column with 0 where it is null."""
    filled = pc.fill_null(table[name], 0).to_numpy()
    return np.asarray(filled, np.int64)


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
