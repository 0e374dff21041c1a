"""How far two computations of the same shard lie apart, column by column.

Model columns need not come out bit for bit the same on another device. Within the tolerance the
first commit stands and the second is recorded; beyond it is an alarm.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate.columns import role_of
from curate.store.numbers import INT8, dequantise, widened

TOLERANCE = 0.02
"""Largest relative error ‖a − b‖ / ‖a‖ of a model column between two honest computations."""


def distances(first: pa.Table, second: pa.Table) -> dict[str, float]:
    """Relative error of each model column; infinite where lengths or finiteness differ."""
    names = [field.name for field in first.schema if role_of(field) == "model"]
    return {name: _distance(first, second, name) for name in names}


def _distance(first: pa.Table, second: pa.Table, name: str) -> float:
    a, b = (_numbers(table[name], table.schema.field(name)) for table in (first, second))
    if len(a) != len(b) or not (np.isfinite(a) == np.isfinite(b)).all():
        return float("inf")
    fine = np.isfinite(a)
    norm = float(np.linalg.norm(a[fine]))
    apart = float(np.linalg.norm(a[fine] - b[fine]))
    return apart / norm if norm else apart


def _numbers(column: pa.ChunkedArray, field: pa.Field) -> NDArray[np.float64]:
    """All values of a column in order; binary values are read by the dtype in the field metadata."""
    array = column.combine_chunks()
    while pa.types.is_list(array.type):
        array = pc.list_flatten(array)
    array = array.drop_null()
    if not pa.types.is_binary(array.type):
        return np.asarray(array, np.float64)
    data = b"".join(array.to_pylist())
    notes = field.metadata or {}
    dtype = notes.get(b"curate.dtype", b"uint8").decode()
    if dtype == INT8:
        return dequantise(data, int(notes[b"curate.dim"])).reshape(-1).astype(np.float64)
    if dtype == "bfloat16":
        return widened(np.frombuffer(data, "<u2")).astype(np.float64)
    return np.frombuffer(data, np.dtype(dtype)).astype(np.float64)
