"""What was removed once does not come back: rows that a tombstone log names are rejected `removed`.

By key, address and creator rows are taken out of the plan before anything is fetched (curate.plan);
this stage finds, among what was fetched, the same bytes, the same pixels and near copies.
"""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curate import columns as c
from curate.images.likeness import Prints
from curate.sources.removed import REMOVED, Sought
from curate.stage import Stage, Transform, mark
from curate.stages.duplicates import Duplicates
from curate.store.tombstones import Log, read_logs

_NEAR = {name: Duplicates.model_fields[name].default for name in ("near_bits", "near_rgb")}


class Tombstones(Stage):
    """Rejects `removed`; the text says by what: original_sha256, stored_sha256, pixel_sha256, near.

    `logs` are paths of TOMBSTONES.jsonl, or of datasets that hold one. What counts is their
    content, not their place: `digest` is that of the last line, filled in where it is not given.
    """

    kind: Literal["tombstones"] = "tombstones"
    logs: Annotated[tuple[str, ...], Field(min_length=1)]
    digest: str | None = None
    near_bits: Annotated[int, Field(ge=0, le=24)] = _NEAR["near_bits"]
    near_rgb: Annotated[float, Field(ge=0.0, le=16.0)] = _NEAR["near_rgb"]

    consumes: ClassVar[pa.Schema] = pa.schema([
        c.KEY, c.ORIGINAL_SHA256, c.STORED_SHA256, c.PIXEL_SHA256, c.PHASH, c.THUMBPRINT,
    ])  # fmt: skip

    def log(self) -> Log:
        """The log's lines up to `digest`. Raises MissingInput or StoreError."""
        log = read_logs(self.logs)
        return log if self.digest is None else log.upto(self.digest)

    def head(self) -> str | None:
        """The digest of the log's last line that counts."""
        return self.digest or self.log().digest

    def identity(self) -> dict[str, Any]:
        told = self.model_dump(mode="json", exclude={"logs"})
        return told | {"digest": self.head(), "version": self.version}

    def portable(self) -> dict[str, Any]:
        names = [PurePath(path).name for path in self.logs]
        return super().portable() | {"logs": names, "digest": self.head()}

    def open(self) -> Transform:
        return partial(self._judged, sought=Sought.of(self.log()))

    def _judged(self, table: pa.Table, *, sought: Sought) -> pa.Table:
        return removed_rows(
            table, sought, near_bits=self.near_bits, near_rgb=self.near_rgb, stage=self.kind
        )


def removed_rows(
    table: pa.Table, sought: Sought, *, near_bits: int, near_rgb: float, stage: str
) -> pa.Table:
    """The table with the rows that tombstones name by bytes, pixels or likeness marked `removed`.

    The measured value is the difference to the nearest tombstone, 0 for the same bytes or pixels.
    """
    told: list[str | None] = [None] * len(table)
    value: list[float | None] = [None] * len(table)
    near = _near(table, sought, near_bits=near_bits, near_rgb=near_rgb)
    for row in np.flatnonzero(np.isfinite(near)).tolist():
        told[row], value[row] = "near", float(near[row])
    for field, hashes in (
        (c.PIXEL_SHA256, sought.pixels),
        (c.STORED_SHA256, sought.files),
        (c.ORIGINAL_SHA256, sought.files),
    ):
        same = pc.is_in(table[field.name], value_set=pa.array(sorted(hashes), pa.string()))
        for row in np.flatnonzero(np.asarray(same)).tolist():
            told[row], value[row] = field.name, 0.0
    reasons = [REMOVED if text else None for text in told]
    return mark(table, reasons, stage=stage, text=told, value=value)


def _near(
    table: pa.Table, sought: Sought, *, near_bits: int, near_rgb: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Difference of each row to the tombstone it is near to, infinite where none is near."""
    difference = np.full(len(table), np.inf)
    rows, prints = prints_of(table)
    if len(rows) and len(sought.prints):
        found = sought.prints.near(prints, near_bits=near_bits, near_rgb=near_rgb)
        difference[rows] = np.where(found.which >= 0, found.difference, np.inf)
    return difference


def prints_of(table: pa.Table) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Prints]:
    """Row numbers of the measured rows, and their prints."""
    phash, thumbprint = table[c.PHASH.name], table[c.THUMBPRINT.name]
    measured = pc.and_(pc.is_valid(phash), pc.is_valid(thumbprint))
    rows = np.flatnonzero(np.asarray(measured))
    joined = b"".join(thumbprint.filter(measured).to_pylist())
    width = c.THUMBPRINT.type.byte_width
    return rows, Prints(
        np.asarray(phash.filter(measured), np.uint64),
        np.frombuffer(joined, np.uint8).reshape(-1, width),
    )
