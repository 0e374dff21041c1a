"""Numbers that Arrow has no type for, as binary columns hold them: bfloat16, and 8 bits in blocks.

A vector in the form `int8-blocks64` is its int8 values, then one bfloat16 scale for each 64 of them
(the last block may be shorter); value = int8 × scale. Little-endian. numpy alone reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

INT8: Final = "int8-blocks64"
BLOCK: Final = 64
WIDTHS: Final[Mapping[str, int]] = {"float16": 2, "bfloat16": 2, "float32": 4}


def blocks(dim: int) -> int:
    """Scales of a vector of `dim` values in the 8-bit form."""
    return -(-dim // BLOCK)


def vector_bytes(dtype: str, dim: int) -> int:
    """Bytes of a stored vector; raises KeyError for a form that is not known here."""
    return dim + 2 * blocks(dim) if dtype == INT8 else dim * WIDTHS[dtype]


def widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16, given as its bits, as float32: exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrowed(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """float32 rounded to the nearest bfloat16 (ties to even), as bits; of finite values."""
    bits = values.view(np.uint32)
    even = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + even) >> np.uint32(16)).astype(np.uint16)


def dequantise(data: Any, dim: int) -> NDArray[np.float32]:
    """Vectors in the 8-bit form (bytes, a buffer or uint8 array) as float32 [vectors, dim].

    Raises ValueError for bytes that are not whole vectors.
    """
    values = _rows(data, dim)[:, :dim].view(np.int8).astype(np.float32)
    with np.errstate(invalid="ignore"):  # a scale that is not finite gives numbers that are not
        values *= np.repeat(widened(scale_bits(data, dim)), BLOCK, axis=1)[:, :dim]
    return values


def scale_bits(data: Any, dim: int) -> NDArray[np.uint16]:
    """The scales of vectors in the 8-bit form as bits of bfloat16: [vectors, blocks]."""
    return np.ascontiguousarray(_rows(data, dim)[:, dim:]).view("<u2")


def decoded(data: Any, dtype: str, dim: int) -> NDArray[np.float32]:
    """Stored vectors of any form as float32 [vectors, dim]."""
    if dtype == INT8:
        return dequantise(data, dim)
    raw = _bytes(data)
    if dtype == "bfloat16":
        return widened(raw.view("<u2")).reshape(-1, dim)
    return raw.view(np.dtype(dtype)).astype(np.float32).reshape(-1, dim)


def _rows(data: Any, dim: int) -> NDArray[np.uint8]:
    raw, width = _bytes(data), vector_bytes(INT8, dim)
    if raw.size % width:
        raise ValueError(f"{raw.size} bytes are not whole vectors of {dim} values ({width} bytes)")
    return raw.reshape(-1, width)


def _bytes(data: Any) -> NDArray[np.uint8]:
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    return np.frombuffer(data, np.uint8)
