"""Whether what a row says of where and when its claim was got can be true.

A claim of an answer that was none (404, 500), of a day to come or of no address has no evidence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate.sources.publisher import is_to_come

_STATUS: Final = r"^\s*\+?([1-5][0-9]{2})(\.0*)?\s*$"
_PATTERNS: Final[Mapping[str, str]] = {
    "http_status": r"^\s*\+?2[0-9]{2}(\.0*)?\s*$",
    "final_url": r"^(?i:https?)://[^\s/?#@\\]+([/?#]\S*)?$",
    "response_sha256": r"^[0-9A-Fa-f]{64}$",
}


def improper(name: str, values: pa.Array) -> dict[int, bytes]:
    """The rows whose value of an evidence column cannot be evidence, with a digest of each.

    A status has to be 2xx, a time ISO 8601 and not to come, a digest 64 hexadecimal digits, a final
    address http or https. Empty values say nothing, and names and locators may say anything.
    """
    if name == "retrieved_at":
        wrong = _by_value(values, _no_time)
    elif name in _PATTERNS:
        fits = pc.match_substring_regex(values, _PATTERNS[name])
        wrong = pc.invert(pc.fill_null(fits, True))
    else:
        return {}
    return {
        row: hashlib.sha256(values[row].as_py().encode()).digest()
        for row in pc.indices_nonzero(wrong).to_pylist()
    }


def statuses(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """HTTP statuses as numbers; what cannot be one is null."""
    known = pc.fill_null(pc.match_substring_regex(values, _STATUS), False)
    digits = pc.replace_substring_regex(values, _STATUS, r"\1")
    return pc.if_else(known, digits, pa.scalar(None, pa.string())).cast(kind)


def _by_value(values: pa.Array, wrong: Callable[[str], bool]) -> pa.Array:
    """A test of each distinct value, spread over the rows; empty ones pass."""
    encoded = values.dictionary_encode()
    answers = pa.array([wrong(value) for value in encoded.dictionary.to_pylist()], pa.bool_())
    return pc.fill_null(answers.take(encoded.indices), False)


def _no_time(text: str) -> bool:
    try:
        return is_to_come(text.strip())
    except (ValueError, OverflowError):
        return True
