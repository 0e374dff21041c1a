"""The pixels that encoders see: the crop box of the stored picture, resized to its bucket.

One function for every encoder, so that CLIP judges what the VAE encodes and the trainer learns;
inside `sharing` the encoders of one shard decode each picture once between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.errors import ContractError
from curate.images.gpu_decode import IntBox, Place, decode_crops, gathered
from curate.models.launch import lane

if TYPE_CHECKING:
    import torch

COLUMNS: Final = (c.IMAGE, c.CROP_BOX, c.BUCKET_WIDTH, c.BUCKET_HEIGHT)
"""What a stage consumes to call `batches`."""
SHARED_BYTES: Final = {"cuda": 2 << 30, "cpu": 256 << 20}
"""Pixels of one shard that are kept for its next encoder."""
SHARE_OF_MEMORY: Final = 0.05
"""Of a GPU's memory at most, for the same."""
THREADS_VARIABLES: Final = ("CURATE_DECODE_THREADS", "OMP_NUM_THREADS")
"""Environment variables that say how many CPU threads decode; Ray sets the second for its workers."""

Bucket = tuple[int, int]
Name = tuple[str, Bucket, IntBox, str]


@dataclass(frozen=True)
class Batch:
    """Some rows of a table and their pixels, uint8 [n, height, width, 3] of one bucket."""

    rows: list[int]
    pixels: torch.Tensor


def batches(
    table: pa.Table, size: Callable[[int, int], int], device: torch.device
) -> Iterator[Batch]:
    """Pixels of all rows that can be read, on the device, one bucket after the other.

    `size` says how many pictures of a width and height go together. The plan depends on the table
    alone: buckets in ascending order, rows in theirs. Rows that cannot be read are in no batch.
    Pictures are decoded a batch at a time, so memory does not grow with the table. On a GPU the
    pixels are complete, and may be read by the device's lane without further ado.
    """
    pictures = _Pictures.of(table)
    for bucket, rows in sorted(pictures.rows_of_buckets().items()):
        step = max(1, size(*bucket))
        for start in range(0, len(rows), step):
            batch = _batch(pictures, rows[start : start + step], bucket, device)
            if batch is not None:
                yield batch


def decode_threads() -> int:
    """CPU threads that decode beside each other in this worker; the pixels do not depend on it."""
    for name in THREADS_VARIABLES:
        told = os.environ.get(name, "")
        if told.isdecimal() and int(told):
            return int(told)
    return 1


# --- rows of a table ------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Pictures:
    """The columns of a table that decoding needs; bytes stay where Arrow has them."""

    bodies: list[memoryview | None]
    boxes: list[list[int] | None]
    buckets: list[tuple[int | None, int | None]]
    keys: list[str] | None

    @classmethod
    def of(cls, table: pa.Table) -> _Pictures:
        widths, heights = (table[f.name].to_pylist() for f in (c.BUCKET_WIDTH, c.BUCKET_HEIGHT))
        named = c.KEY.name in table.column_names
        return cls(
            bodies=_views(pc.struct_field(table[c.IMAGE.name], "bytes")),  # null where its row is
            boxes=table[c.CROP_BOX.name].to_pylist(),
            buckets=list(zip(widths, heights, strict=True)),
            keys=table[c.KEY.name].to_pylist() if named else None,
        )

    def rows_of_buckets(self) -> dict[Bucket, list[int]]:
        """Rows with bytes, a box and a bucket, by bucket."""
        found: dict[Bucket, list[int]] = {}
        for row, (width, height) in enumerate(self.buckets):
            box = self.boxes[row]
            whole = box is not None and None not in box
            if self.bodies[row] and whole and (width or 0) > 0 and (height or 0) > 0:
                found.setdefault((width or 0, height or 0), []).append(row)
        return found

    def body(self, row: int) -> memoryview:
        return self.bodies[row] or memoryview(b"")

    def box(self, row: int) -> IntBox:
        left, top, right, bottom = self.boxes[row] or (0, 0, 0, 0)
        return left, top, right, bottom

    def name(self, row: int, bucket: Bucket, device: torch.device) -> Name | None:
        """What a row's pixels are shared by; None where the table has no keys."""
        return None if self.keys is None else (self.keys[row], bucket, self.box(row), str(device))


def _views(column: pa.ChunkedArray) -> list[memoryview | None]:
    """Each value of a binary column where it lies, None for a null; a scalar would be a copy."""
    views: list[memoryview | None] = []
    for chunk in column.chunks:
        if not len(chunk):  # may have no buffers at all
            continue
        _, ends, values = chunk.buffers()
        width = np.int64 if pa.types.is_large_binary(chunk.type) else np.int32
        places = np.frombuffer(ends, width)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        data = memoryview(values or b"").cast("B")  # Arrow's own are of signed bytes
        views += [
            data[start:end] if there else None
            for start, end, there in zip(
                places, places[1:], chunk.is_valid().to_pylist(), strict=False
            )
        ]
    return views


def _batch(
    pictures: _Pictures, rows: Sequence[int], bucket: Bucket, device: torch.device
) -> Batch | None:
    """The rows that can be read, in order: those on the shelf taken from it, the others decoded."""
    shelf = _shelf.get()
    names = [pictures.name(row, bucket, device) for row in rows]
    places = {} if shelf is None else shelf.find(names)
    missing = [at for at in range(len(rows)) if at not in places]
    if missing:
        pixels, readable = decode_crops(
            [pictures.body(rows[at]) for at in missing], [pictures.box(rows[at]) for at in missing],
            bucket, device, threads=decode_threads(),
        )  # fmt: skip
        _check(pixels, bucket)
        decoded = [missing[at] for at in readable]
        places |= {at: (pixels, index) for index, at in enumerate(decoded)}
        if shelf is not None:
            shelf.put([names[at] for at in decoded], pixels)
    if not places:
        return None
    order = sorted(places)
    chosen = gathered([places[at] for at in order], device)
    return Batch([rows[at] for at in order], lane(device).keep(chosen))


def _check(pixels: torch.Tensor, bucket: Bucket) -> None:
    """Every picture has the shape of its bucket, whatever decoded it."""
    import torch

    width, height = bucket
    if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != (height, width, 3):
        raise ContractError(
            f"bucket {width} × {height}: its pictures were decoded as {pixels.dtype} "
            f"{tuple(pixels.shape)}, not uint8 [n, {height}, {width}, 3]"
        )


# --- pixels kept for the next encoder of a shard --------------------------------------------------
@dataclass
class _Shelf:
    """Decoded pictures of one shard, by the row, box and bucket they were made of."""

    taken: int = 0
    places: dict[Name, Place] = field(default_factory=dict)

    def find(self, names: Sequence[Name | None]) -> dict[int, Place]:
        """For each name that is here its number and its place."""
        found = ((at, self.places.get(name)) for at, name in enumerate(names) if name is not None)
        return {at: place for at, place in found if place is not None}

    def put(self, names: Sequence[Name | None], pixels: torch.Tensor) -> None:
        """Keep a batch if there is room for it; what is not kept is decoded again."""
        size = pixels.numel()
        if self.taken + size > shared_bytes(pixels.device):
            return
        self.taken += size
        self.places |= {n: (pixels, at) for at, n in enumerate(names) if n is not None}


_shelf: ContextVar[_Shelf | None] = ContextVar("shelf", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Keep decoded pixels until the end, within `shared_bytes`, for every encoder called inside."""
    before = _shelf.set(_Shelf())
    try:
        yield
    finally:
        _shelf.reset(before)


def shared_bytes(device: torch.device) -> int:
    """How many bytes of pixels one shard may keep on a device."""
    import torch

    if device.type != "cuda":
        return SHARED_BYTES["cpu"]
    memory = torch.cuda.get_device_properties(device).total_memory
    return min(SHARED_BYTES["cuda"], int(memory * SHARE_OF_MEMORY))
