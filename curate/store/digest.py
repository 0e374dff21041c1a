"""Digests that mean the content and not the encoding.

`table_digest` hashes the logical values of a table column by column, so that two tables with the
same rows have the same digest whatever their chunking, offsets or Parquet encoding.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.columns import role_of

FORM: Final = "curate-table/2"
"""Names the rule of `table_digest`; another rule gives every dataset another digest."""
SHA256_BYTES: Final = 32
PIECE_BYTES: Final = 2 << 20


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: one byte string a value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def json_digest(value: Any) -> str:
    """Lower-case hex sha256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def bytes_sha256(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: str | Path) -> str:
    """Lower-case hex sha256 of a file, read piece by piece; raises OSError if it cannot be read.

    Python's lock is free but between pieces, so threads hash several files at once; they are
    large, since a thread that wants the lock back may have to wait for it.
    """
    hasher, piece = hashlib.sha256(), bytearray(PIECE_BYTES)
    view = memoryview(piece)
    with open(path, "rb", buffering=0) as stream:
        while read := stream.readinto(piece):
            hasher.update(view[:read])
    return hasher.hexdigest()


def table_digest(table: pa.Table) -> str:
    """Hex sha256 over names, types, metadata and values of the `fact` columns in order.

    Of columns with role `model` it covers name, type, field metadata (model digest, dtype, shape)
    and which rows are null, not the values; observations and transients are left out. A table read
    piece by piece has the same digest: see TableDigest.
    """
    digest = TableDigest(table.schema)
    digest.update(table)
    return digest.hexdigest()


class TableDigest:
    """The digest of a table that comes in pieces, in row order, cut anywhere.

    Each column is some streams of bytes, hashed apart: one byte a slot for validity; then, by
    type, little-endian numbers, or lengths (int64) and bytes of text, or lengths and items of a
    list, or the members of a struct. Null slots count as zero or empty. A file inside a struct
    (the `bytes` of a picture) enters by its own sha256, 32 bytes a row, zeros for null: whoever
    has to check that hash anyway hashes the file once. The digest is the sha256 of the canonical
    JSON of FORM, the number of rows and, a column, its name, type, notes and streams' digests.
    """

    def __init__(self, schema: pa.Schema) -> None:
        covered = [field for field in schema if role_of(field) in ("fact", "model")]
        self._columns = {field.name: _Column(field) for field in covered}

    def update(self, rows: pa.Table) -> None:
        """Add the next rows; columns may come in several tables, each its own next rows."""
        for name in rows.column_names:
            for chunk in rows.column(name).chunks:
                self.add(name, chunk)

    def add(self, name: str, values: pa.Array, known: bytes | None = None) -> None:
        """Add the next values of one column.

        `known`, of a struct column, is what `file_sha256s` gives for its file, if it was taken.
        """
        column = self._columns.get(name)
        if column is not None and len(values):  # an empty piece is none: cutting leaves no trace
            column.add(values, known)

    def hexdigest(self) -> str:
        """The digest of the rows so far; raises ValueError if columns have different lengths."""
        rows = {column.rows for column in self._columns.values()}
        if len(rows) > 1:
            raise ValueError(f"columns of {sorted(rows)} rows were given to one digest")
        told = [column.told() for column in self._columns.values()]
        return json_digest([FORM, rows.pop() if rows else 0, told])


class _Column:
    """One column under way: how many values came, and their streams."""

    def __init__(self, field: pa.Field) -> None:
        self.rows = 0
        self._field = field
        self._role = role_of(field)
        self._streams = _Streams()

    def add(self, values: pa.Array, known: bytes | None) -> None:
        self.rows += len(values)
        self._streams.start()
        if self._role == "model":
            self._streams.valid(values)
        else:
            _feed(self._streams, values, known)

    def told(self) -> list[Any]:
        field = self._field
        return [field.name, type_name(field.type), _notes(field), self._streams.digests()]


class _Streams:
    """The hashed streams of one column, in the order in which its type names them."""

    def __init__(self) -> None:
        self._hashers: list[Any] = []
        self._place = 0

    def start(self) -> None:
        """Begin the next piece: its streams come in the same order again."""
        self._place = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Add to the next stream."""
        if self._place == len(self._hashers):
            self._hashers.append(hashlib.sha256())
        self._hashers[self._place].update(data)
        self._place += 1

    def valid(self, array: pa.Array) -> None:
        """One byte a slot."""
        self.feed(np.ascontiguousarray(np.asarray(pc.is_valid(array))).tobytes())

    def digests(self) -> list[str]:
        return [hasher.hexdigest() for hasher in self._hashers]


def file_sha256s(array: pa.Array) -> bytes:
    """sha256 of each value of a binary array, 32 bytes a slot, zeros for null; nothing is copied."""
    if not len(array):
        return b""
    _, offsets, data = array.buffers()
    width = np.dtype("<i8") if _is_large(array.type) else np.dtype("<i4")
    ends = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1].tolist()
    view = memoryview(data if data is not None else b"")
    found = [hashlib.sha256(view[a:b]).digest() for a, b in itertools.pairwise(ends)]
    for slot in np.flatnonzero(np.asarray(pc.is_null(array))).tolist() if array.null_count else ():
        found[slot] = bytes(SHA256_BYTES)
    return b"".join(found)


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


def _notes(field: pa.Field) -> dict[str, str]:
    """What the field says of itself: role, model digest, dtype, shape."""
    own = {k: v for k, v in (field.metadata or {}).items() if k.startswith(b"curate.")}
    return {k.decode(): v.decode() for k, v in sorted(own.items())}


def _feed(streams: _Streams, array: pa.Array, known: bytes | None = None) -> None:
    """Feed one array to the streams of its type, as TableDigest says."""
    kind = array.type
    streams.valid(array)
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            child = pc.struct_field(array, index)
            if _is_file(child.type):
                streams.valid(child)
                streams.feed(file_sha256s(child) if known is None else known)
            else:
                _feed(streams, child)
    elif pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        streams.feed(np.asarray(lengths, dtype="<i8").tobytes())
        _feed(streams, pc.list_flatten(array))
    elif pa.types.is_fixed_size_binary(kind):
        _feed(streams, array.cast(pa.binary()))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_file(kind):
        lengths = pc.fill_null(pc.binary_length(array), 0)
        streams.feed(np.asarray(lengths, dtype="<i8").tobytes())
        streams.feed(_value_bytes(array))
    elif not pa.types.is_null(kind):
        zero = pa.scalar(False) if pa.types.is_boolean(kind) else pa.scalar(0).cast(kind)
        streams.feed(np.ascontiguousarray(np.asarray(pc.fill_null(array, zero))).tobytes())


def _is_file(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_large(kind: pa.DataType) -> bool:
    return bool(pa.types.is_large_string(kind) or pa.types.is_large_binary(kind))


def _value_bytes(array: pa.Array) -> bytes | memoryview:
    """The concatenated bytes of the valid values (null slots may hide bytes: drop them first)."""
    valid = array.drop_null() if array.null_count else array
    _, offsets, data = valid.buffers()
    if data is None or len(valid) == 0:
        return b""
    width = np.dtype("<i8") if _is_large(array.type) else np.dtype("<i4")
    bounds = np.frombuffer(offsets, width)[valid.offset : valid.offset + len(valid) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]
