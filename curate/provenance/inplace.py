"""Where the values of a plain Parquet column lie in its file, so that they are hashed unmoved.

Pictures are stored without codec and dictionary: their bytes are in the file as they are. Copying
them out costs a third of hashing them. Whatever is not in that plain form gives None, and the
caller lets Arrow read it. Format: parquet.apache.org, `parquet.thrift`, and Thrift's compact form.
"""

from __future__ import annotations

import struct
from typing import Final

import pyarrow.parquet as pq

Spans = list[tuple[int, int]]
"""Start and end of each value in the file."""

_LENGTH: Final = struct.Struct("<I")
_DATA_PAGE, _PLAIN, _RLE = 0, 0, 3
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    10,
    11,
    12,
)
_PAGE_FIELDS: Final = 5  # in PageHeader: the header of a data page, version 1
MAX_DEPTH: Final = 8


class _Odd(Exception):
    """The bytes are not in the plain form."""


def spans(data: memoryview, chunk: pq.ColumnChunkMetaData, levels: int) -> Spans | None:
    """Spans of the values of one column chunk in a mapped file, or None if it is not plain.

    Plain is: no codec, no dictionary, PLAIN pages of version 1, no null. `levels` is the
    definition level of a value that is there.
    """
    if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page:
        return None
    if chunk.physical_type != "BYTE_ARRAY":
        return None
    at = chunk.data_page_offset
    end = at + chunk.total_compressed_size
    found: Spans = []
    try:
        while len(found) < chunk.num_values:
            page, body = _page(data, at)
            stop = body + page[3]
            if stop > end:
                return None
            found += _values(data, body, stop, page, levels)
            at = stop
    except (_Odd, IndexError, KeyError, struct.error):
        return None
    return found if len(found) == chunk.num_values else None


def _values(data: memoryview, at: int, stop: int, page: dict[int, int], levels: int) -> Spans:
    """The values of one page: definition levels that say all are there, then lengths and bytes."""
    count = page[51]
    if page[1] != _DATA_PAGE or page[2] != page[3] or page[52] != _PLAIN or page[53] != _RLE:
        raise _Odd
    (size,) = _LENGTH.unpack_from(data, at)
    run, level = _varint(data, at + _LENGTH.size)
    if run & 1 or run >> 1 != count or data[level] != levels or level + 1 != at + 4 + size:
        raise _Odd
    at += _LENGTH.size + size
    found = []
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        found.append((at, at + length))
        at += length
    if at != stop:
        raise _Odd
    return found


def _page(data: memoryview, at: int) -> tuple[dict[int, int], int]:
    """The numbers in a page header by field (of its fifth, a struct, by 50 + field), and its end."""
    found: dict[int, int] = {}
    at = _struct(data, at, found, 0, 0)
    return found, at


def _struct(data: memoryview, at: int, found: dict[int, int], base: int, depth: int) -> int:
    """Read the fields of a struct in Thrift's compact form; returns where it ends."""
    if depth > MAX_DEPTH:
        raise _Odd
    field = 0
    while (head := data[at]) != _STOP:
        at += 1
        if head >> 4:
            field += head >> 4
        else:
            number, at = _varint(data, at)
            field = _signed(number)
        kind = head & 15
        if kind == _STRUCT:
            own = 10 * field if not base and field == _PAGE_FIELDS else 1000
            at = _struct(data, at, found if own < 1000 else {}, own, depth + 1)
        elif 3 < kind < _DOUBLE:
            number, at = _varint(data, at)
            found[base + field] = _signed(number)
        else:
            at = _skipped(data, at, kind)
    return at + 1


def _skipped(data: memoryview, at: int, kind: int) -> int:
    """The end of a value that nobody asked for."""
    if kind in (_TRUE, _FALSE):
        return at
    if kind == _BYTE:
        return at + 1
    if kind == _DOUBLE:
        return at + 8
    if kind == _BINARY:
        size, at = _varint(data, at)
        return at + size
    raise _Odd  # lists, sets and maps have no place in a page header


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    number = shift = 0
    while (byte := data[at]) & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > 63:
            raise _Odd
    return number | byte << shift, at + 1


def _signed(number: int) -> int:
    return number >> 1 ^ -(number & 1)
