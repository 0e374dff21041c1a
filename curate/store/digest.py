"""Digests that mean the content and not the encoding.

`table_digest` hashes the logical values of a table column by column, so that two tables with the
same rows have the same digest whatever their chunking, offsets or Parquet encoding.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.columns import role_of


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: one byte string a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def json_digest(value: Any) -> str:
    """Lower-case hex sha256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def bytes_sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: str | Path) -> str:
    """Lower-case hex sha256 of a file, read piece by piece; raises OSError if it cannot be read."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def table_digest(table: pa.Table) -> str:
    """Hex sha256 over names, types, metadata and values of the `fact` columns in order.

    Of columns with role `model` it covers name, type, field metadata (model digest, dtype, shape)
    and which rows are null, not the values; observations and transients are left out.
    """
    hasher = hashlib.sha256()
    hasher.update(len(table).to_bytes(8, "little"))
    for field in table.schema:
        role = role_of(field)
        if role not in ("fact", "model"):
            continue
        own = {k: v for k, v in (field.metadata or {}).items() if k.startswith(b"curate.")}
        notes = {k.decode(): v.decode() for k, v in sorted(own.items())}
        hasher.update(canonical_json([field.name, type_name(field.type), notes]))
        array = table[field.name].combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], field.type)
        if role == "model":
            _hash_nulls(hasher, array)
        else:
            _hash_array(hasher, array)
    return hasher.hexdigest()


def type_name(kind: pa.DataType) -> str:
    """The type in words that survive a Parquet round trip (which renames the items of lists)."""
    if pa.types.is_struct(kind):
        children = (kind.field(i) for i in range(kind.num_fields))
        return f"struct<{', '.join(f'{f.name}: {type_name(f.type)}' for f in children)}>"
    if pa.types.is_fixed_size_list(kind):
        return f"list<{type_name(kind.value_type)}>[{kind.list_size}]"
    if pa.types.is_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    return str(kind)


def _hash_nulls(hasher: Any, array: pa.Array) -> None:
    hasher.update(np.packbits(np.asarray(pc.is_valid(array))).tobytes())


def _hash_array(hasher: Any, array: pa.Array) -> None:
    """Feed validity, lengths and values of one array; null slots count as empty or zero."""
    kind = array.type
    _hash_nulls(hasher, array)
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            child = pc.struct_field(array, index)
            _hash_array(hasher, child)
    elif (
        pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    ):
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        hasher.update(np.asarray(lengths, dtype="<i8").tobytes())
        _hash_array(hasher, pc.list_flatten(array))
    elif pa.types.is_fixed_size_binary(kind):
        _hash_array(hasher, array.cast(pa.binary()))
    elif pa.types.is_string(kind) or pa.types.is_binary(kind) or _is_large(kind):
        lengths = pc.fill_null(pc.binary_length(array), 0)
        hasher.update(np.asarray(lengths, dtype="<i8").tobytes())
        for piece in _value_bytes(array):
            hasher.update(piece)
    elif pa.types.is_null(kind):
        return
    else:
        zero = pa.scalar(False) if pa.types.is_boolean(kind) else pa.scalar(0).cast(kind)
        hasher.update(np.ascontiguousarray(np.asarray(pc.fill_null(array, zero))).tobytes())


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def _value_bytes(array: pa.Array) -> list[bytes | memoryview]:
    """The concatenated bytes of the valid values (null slots may hide bytes: drop them first)."""
    valid = array.drop_null() if array.null_count else array
    _, offsets, data = valid.buffers()
    if data is None or len(valid) == 0:
        return []
    width = np.dtype("<i8") if _is_large(array.type) else np.dtype("<i4")
    bounds = np.frombuffer(offsets, width)[valid.offset : valid.offset + len(valid) + 1]
    return [memoryview(data)[int(bounds[0]) : int(bounds[-1])]]
