"""Licence claims: what they say, how well they are evidenced, what a policy makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.license.answer import Parsed
from curate.license.batch import batch
from curate.license.parse import SOURCE_KINDS, license_token, parse

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SOURCE_KINDS", "Parsed", "batch", "license_token", "parse", "parse_column"]


def parse_column(values: pa.Array | pa.ChunkedArray, source_kind: str) -> pa.Table:
    """`parse` over a whole column; see `curate.license.column`."""
    from curate.license.column import parse_column as parse_whole

    return parse_whole(values, source_kind)
