"""Columns that follow from others: sizes, orientation, crops, the shapes of latents.

Nothing is decoded for this. A size, a turn or a crop that was forged alone does not fit the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate import columns as c
from curate.images.metadata import orientation
from curate.provenance.findings import compare_rows, flat
from curate.provenance.partition import read_role
from curate.recipe import FIRST_LAYER, Recipe
from curate.stage import Stage, living
from curate.stages.buckets import Buckets
from curate.stages.inspect import Inspect
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
HASHES: Final = (c.ORIGINAL_SHA256, c.STORED_SHA256, c.PIXEL_SHA256)
SAME_BYTES: Final = (c.PIXEL_SHA256, c.ORIGINAL_WIDTH, c.ORIGINAL_HEIGHT, c.ORIGINAL_FORMAT,
                     c.ORIGINAL_MODE, c.ORIENTATION, c.ORIGINAL_BYTES, c.PHASH)  # fmt: skip
"""What two rows with the same original bytes must agree in."""
COLUMNS: Final = (c.KEY, c.WIDTH, c.HEIGHT, *HASHES, c.ORIGINAL_WIDTH, c.ORIGINAL_HEIGHT,
                  c.ORIGINAL_FORMAT, c.ORIGINAL_MODE, c.ORIENTATION, c.ORIGINAL_BYTES, c.PHASH,
                  c.EMBEDDED_EXIF, c.BUCKET_WIDTH, c.BUCKET_HEIGHT, c.CROP_BOX)  # fmt: skip


def check_derived(
    dataset: Dataset, recipe: Recipe, part: str, shards: Mapping[str, Shard]
) -> Iterator[str]:
    """Problems in the derived columns of one part."""
    rows = read_role(dataset, shards[FIRST_LAYER], "data", [f.name for f in COLUMNS])
    where = f"{FIRST_LAYER} {part}"
    for stage in recipe.passes[0].stages:
        if isinstance(stage, Inspect):
            yield from _sizes(where, rows, stage.max_side)
            yield from _turns(where, rows)
        if isinstance(stage, Buckets):
            yield from _again(where, rows, stage)
    yield from _hashes(where, rows)
    yield from _same_bytes(where, rows)
    yield from _latents(dataset, part, rows, shards)


def _sizes(where: str, rows: pa.Table, max_side: int | None) -> Iterator[str]:
    """The stored size follows from the original one, its turn and the recipe's `max_side`."""
    wide, high = (_numbers(rows, f) for f in (c.ORIGINAL_WIDTH, c.ORIGINAL_HEIGHT))
    turned = _numbers(rows, c.ORIENTATION) >= 5
    upright = [np.where(turned, high, wide), np.where(turned, wide, high)]
    longest = np.maximum(*upright)
    if max_side is not None:
        smaller = (np.rint(side * max_side / np.maximum(longest, 1)) for side in upright)
        shrunk = (np.maximum(side, 1).astype(np.int64) for side in smaller)
        pairs = zip(shrunk, upright, strict=True)
        upright = [np.where(longest > max_side, small, whole) for small, whole in pairs]
    stored = [_numbers(rows, f) for f in (c.WIDTH, c.HEIGHT)]
    odd = (stored[0] != upright[0]) | (stored[1] != upright[1]) | (longest < 1)
    for row in np.flatnonzero(odd).tolist():
        yield (
            f"{where}: row {_key(rows, row)}: stored as {stored[0][row]} × {stored[1][row]}, an original "
            f"of {wide[row]} × {high[row]} gives {upright[0][row]} × {upright[1][row]}"
        )


def _turns(where: str, rows: pa.Table) -> Iterator[str]:
    """The orientation is what the embedded EXIF says; the format is one that is decoded."""
    told = _numbers(rows, c.ORIENTATION)
    derived = np.ones(len(rows), np.int64)
    exif = flat(rows[c.EMBEDDED_EXIF.name])
    for row in np.flatnonzero(np.asarray(pc.is_valid(exif))).tolist():
        derived[row] = orientation(exif[row].as_py())
    for row in np.flatnonzero(told != derived).tolist():
        yield (
            f"{where}: row {_key(rows, row)}: orientation is {told[row]}, "
            f"its embedded EXIF says {derived[row]}"
        )
    known = pc.is_in(rows[c.ORIGINAL_FORMAT.name], value_set=pa.array(FORMATS))
    for row in np.flatnonzero(~np.asarray(known)).tolist():
        form = rows[c.ORIGINAL_FORMAT.name][row]
        yield f"{where}: row {_key(rows, row)}: original_format {form} is none that is decoded"


def _again(where: str, rows: pa.Table, stage: Stage) -> Iterator[str]:
    """The columns of a stage that needs no more than these rows, made again."""
    names = stage.produces.names
    if not set(names) <= set(rows.column_names) or not len(rows):
        return
    derived = stage.open()(rows.select(stage.consumes.names))
    yield from compare_rows(where, flat(rows[c.KEY.name]), rows, derived, names)
    for row in np.flatnonzero(~np.asarray(living(derived))).tolist():
        yield f"{where}: row {_key(rows, row)}: {stage.kind} rejects it, yet it is there"  # type: ignore[attr-defined]


def _hashes(where: str, rows: pa.Table) -> Iterator[str]:
    """Every picture has the sha256 of the bytes it came from and of those that are kept."""
    for field in HASHES:
        if field.name not in rows.column_names:
            continue
        fits = pc.match_substring_regex(rows[field.name], "^[0-9a-f]{64}$")
        for row in np.flatnonzero(~np.asarray(pc.fill_null(fits, False))).tolist():
            found = rows[field.name][row].as_py()
            yield f"{where}: row {_key(rows, row)}: {field.name} is {found!r}, not a sha256"


def _same_bytes(where: str, rows: pa.Table) -> Iterator[str]:
    """Rows with the same original bytes were measured alike."""
    if c.ORIGINAL_SHA256.name not in rows.column_names:
        return
    counts = pc.value_counts(rows[c.ORIGINAL_SHA256.name])
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    shared = rows.filter(pc.is_in(rows[c.ORIGINAL_SHA256.name], value_set=twice))
    first: dict[str, dict[str, Any]] = {}
    names = [f.name for f in SAME_BYTES if f.name in rows.column_names]
    for row in shared.select([c.KEY.name, c.ORIGINAL_SHA256.name, *names]).to_pylist():
        seen = first.setdefault(row[c.ORIGINAL_SHA256.name], row)
        for name in names:
            if seen[name] != row[name]:
                yield (
                    f"{where}: row {row['key']}: {name} differs from that of row {seen['key']}, "
                    f"which has the same original bytes"
                )


def _latents(
    dataset: Dataset, part: str, rows: pa.Table, shards: Mapping[str, Shard]
) -> Iterator[str]:
    """A latent has the bucket's shape over the factor of its VAE."""
    for name, shard in shards.items():
        entry = shard.file("data")
        if entry is None or c.LATENT_WIDTH.name not in (schema := dataset.schema(entry)).names:
            continue
        notes = schema.field(c.LATENT.name).metadata or {}
        factor = int(notes.get(b"curate.factor", b"0"))
        made = dataset.read(entry, [c.KEY.name, c.LATENT_WIDTH.name, c.LATENT_HEIGHT.name])
        place = pc.index_in(made[c.KEY.name], value_set=flat(rows[c.KEY.name]))
        of = rows.take(place)
        for latent, bucket in (
            (c.LATENT_WIDTH, c.BUCKET_WIDTH),
            (c.LATENT_HEIGHT, c.BUCKET_HEIGHT),
        ):
            have, want = _numbers(made, latent) * factor, _numbers(of, bucket)
            for row in np.flatnonzero(have != want).tolist():
                yield (
                    f"{name} {part}: row {_key(made, row)}: {latent.name} × {factor} is {have[row]}, "
                    f"its {bucket.name} is {want[row]}"
                )


def _numbers(rows: pa.Table, field: pa.Field) -> NDArray[np.int64]:
    """An integer column with -1 for null."""
    return np.asarray(pc.fill_null(rows[field.name].cast(pa.int64()), -1))


def _key(rows: pa.Table, row: int) -> str:
    return str(rows[c.KEY.name][row])
