"""Values of any kind as text, a whole column at a time; what does not fit is null and named.

Rows come from files that nobody checked: numbers where text should be, invalid UTF-8, strings of
megabytes, NUL bytes. None of them raises; the fast path is Arrow's and bad rows take the slow one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_BYTES: Final = 64 * 1024
Raw: TypeAlias = "pa.Array | Sequence[object]"


@dataclass(frozen=True)
class Text:
    """A column as strings. `bad` maps each row whose value did not fit to a digest of it."""

    values: pa.Array
    bad: Mapping[int, bytes]


def to_text(raw: Raw) -> Text:
    """Strings of at most MAX_BYTES bytes of UTF-8 without NUL; empty and NaN become null.

    Integers, floats, booleans, dates and decimals are written out (`12.0` as `12`, true as
    `true`); lists and objects do not fit.
    """
    if isinstance(raw, pa.Array):
        return _from_arrow(raw)
    try:
        return _fitting(pa.array(raw, pa.string()), {})
    except (UnicodeEncodeError, pa.ArrowTypeError, pa.ArrowInvalid):
        return _from_python(raw)


def to_json_text(raw: Raw) -> Text:
    """As `to_text`, but lists and objects are kept as JSON: some licence fields are objects."""
    if isinstance(raw, pa.Array):
        if not pa.types.is_nested(raw.type):
            return _from_arrow(raw)
        raw = _pylist(raw)
    return to_text([_dumped(v) if isinstance(v, list | dict) else v for v in raw])


def to_numbers(raw: Raw) -> Text:
    """Positive whole numbers below 2³¹ as int32 `values`; 0 and empty become null."""
    text = to_text(raw)
    number = pc.match_substring_regex(text.values, r"^\s*\+?[0-9]{1,9}(\.0*)?\s*$")
    wrong = pc.and_(pc.is_valid(text.values), pc.invert(pc.fill_null(number, False)))
    bad = dict(text.bad)
    for row in pc.indices_nonzero(wrong).to_pylist():
        bad[row] = _digest(text.values[row].as_py())
    digits = pc.replace_substring_regex(text.values, r"^\s*\+?([0-9]+).*$", r"\1")
    values = pc.if_else(number, digits, None).cast(pa.int32())
    return Text(pc.if_else(pc.equal(values, 0), None, values), bad)


def to_entries(raw: Raw) -> tuple[np.ndarray, Text]:
    """Texts of a column of strings or lists of strings: the row of each entry, and the entries.

    `bad` of the result counts rows, not entries; blank entries are null.
    """
    if isinstance(raw, pa.Array) and (
        pa.types.is_list(raw.type) or pa.types.is_large_list(raw.type)
    ):
        rows = np.asarray(pc.list_parent_indices(raw))
        text = to_text(pc.list_flatten(raw))
    elif not isinstance(raw, pa.Array) and any(isinstance(value, list) for value in raw):
        lists = [value if isinstance(value, list) else [value] for value in raw]
        rows = np.repeat(np.arange(len(lists)), [len(value) for value in lists])
        text = to_text([value for entries in lists for value in entries])
    else:
        text = to_text(raw)
        rows = np.arange(len(text.values))
    blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(text.values)), 0)
    values = pc.if_else(pc.fill_null(blank, False), None, text.values)
    return rows, Text(values, {int(rows[entry]): digest for entry, digest in text.bad.items()})


def to_python(raw: Raw) -> list[object]:
    """The values as Python objects; a string that is not UTF-8 comes out as its bytes."""
    if not isinstance(raw, pa.Array):
        return list(raw)
    try:
        return list(raw.to_pylist())
    except UnicodeDecodeError:
        plain = raw.dictionary_decode() if pa.types.is_dictionary(raw.type) else raw
    if pa.types.is_nested(plain.type):
        return _pylist(plain)
    values = plain.cast(pa.large_binary()).to_pylist()
    return [value if value is None else _decoded(value) for value in values]


def _decoded(value: bytes) -> object:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _from_arrow(array: pa.Array) -> Text:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _from_arrow(array.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _from_bytes(array.cast(pa.large_binary()))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return _from_bytes(array.cast(pa.large_binary()))
    if pa.types.is_floating(kind):
        wide = array.cast(pa.float64())
        return Text(pc.if_else(pc.is_nan(wide), None, wide.cast(pa.string())), {})
    if pa.types.is_null(kind):
        return Text(pa.nulls(len(array), pa.string()), {})
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        return _from_python(_pylist(array))
    return Text(array.cast(pa.string()), {})


def _from_bytes(array: pa.Array) -> Text:
    """Bytes to text: too long ones are set aside first, then all at once if all is valid UTF-8."""
    bad: dict[int, bytes] = {}
    fits = pc.less_equal(pc.binary_length(array), MAX_BYTES)
    for row in pc.indices_nonzero(pc.invert(fits)).to_pylist():
        bad[row] = _digest(array[row].as_py())
    short = pc.if_else(fits, array, None)
    try:
        return _fitting(short.cast(pa.string()), bad)
    except pa.ArrowInvalid:
        later = _from_python(short.to_pylist())
        return Text(later.values, {**bad, **later.bad})


def _fitting(values: pa.Array, bad: dict[int, bytes]) -> Text:
    """Valid strings: too long ones and those with a NUL are bad, empty ones null."""
    wrong = pc.or_(
        pc.greater(pc.binary_length(values), MAX_BYTES), pc.match_substring(values, "\0")
    )
    for row in pc.indices_nonzero(wrong).to_pylist():
        bad[row] = _digest(values[row].as_py())
    keep = pc.and_(pc.greater(pc.binary_length(values), 0), pc.invert(wrong))
    return Text(pc.if_else(keep, values, None), bad)


def _from_python(raw: Sequence[object]) -> Text:
    texts: list[str | None] = []
    bad: dict[int, bytes] = {}
    for row, value in enumerate(raw):
        text = _text_of(value)
        if text is not None and ("\0" in text or not _encodes(text)):
            text = None
            bad[row] = _digest(value)
        elif text is None and value is not None and not _is_empty(value):
            bad[row] = _digest(value)
        texts.append(text or None)
    return Text(pa.array(texts, pa.string()), bad)


def _text_of(value: object) -> str | None:
    """The value written out, or None if it is nothing or no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 2**63
        return None if math.isnan(value) else str(int(value)) if whole else repr(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() < 1024 else None
    return None


def _encodes(text: str) -> bool:
    try:
        return len(text.encode()) <= MAX_BYTES
    except UnicodeEncodeError:
        return False


def _is_empty(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _digest(value: object) -> bytes:
    """sha256 of a raw value, whatever it is."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).digest()
    text = value if isinstance(value, str) else repr(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=repr)


def _pylist(array: pa.Array) -> list[object]:
    """Python values; a list or struct that holds invalid UTF-8 becomes bytes, thus unfit."""
    try:
        return list(array.to_pylist())
    except UnicodeDecodeError:
        return [_one(scalar) for scalar in array]


def _one(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return b"\xff"
