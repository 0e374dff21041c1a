"""Keys: the name of a candidate, made from its source and the id (or address) it has there.

Whether a row repeats another is decided over a whole plan and by content, never by row order, so
the same rows in another order get the same keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c

DUPLICATE_ID: Final = "malformed:duplicate_id"
MAX_MERGED_CLAIMS: Final = 32
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_SLICE_ROWS: Final = 4096


def row_key(source: str, id: str) -> str:
    """Hex sha256 of source, NUL, and the source id or canonical URL."""
    return hashlib.sha256(f"{source}\0{id}".encode()).hexdigest()


def repeat_key(key: str, n: int) -> str:
    """The key of the n-th further row (n from 1) that claims a key already taken.

    The first 64 bits stay, so that it falls into the same key range.
    """
    return key[:16] + hashlib.sha256(f"{key}\0{n}".encode()).hexdigest()[:48]


def defect_key(source: str, raw_digest: bytes) -> str:
    """The key of a row without a usable id or address: from a digest of its raw content.

    The second NUL keeps these apart from every usable id, since an id never begins with NUL.
    """
    return hashlib.sha256(f"{source}\0\0".encode() + raw_digest).hexdigest()


def canonical_url(url: str) -> str:
    """The URL with lower-case scheme and host, without default port and fragment.

    Never raises: what does not parse as a URL comes back stripped of outer blanks only.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    netloc = parts.netloc.rpartition("@")
    host = netloc[2].lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, "\0"))
    return urlunsplit((parts.scheme, netloc[0] + netloc[1] + host, parts.path, parts.query, ""))


def settle_repeats(table: pa.Table) -> pa.Table:
    """Give each repeat of a key a key of its own and a defect; rows come back in the same places.

    `table` (schema CANDIDATE) must hold every row of each key in it. Of rows that share a key, a
    well-formed one that comes first by content keeps it and takes over the differing licence
    claims of the others, so that contradicting claims for one picture are never hidden.
    """
    counts = pc.value_counts(table[c.KEY.name])
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if not len(repeated):
        return table
    rows = pc.indices_nonzero(pc.is_in(table[c.KEY.name], value_set=repeated))
    groups: dict[str, list[tuple[bool, str, int]]] = {}
    for index, row in _rows_at(table, rows):
        content = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
        groups.setdefault(row["key"], []).append((row["defect"] is not None, content, index))
    return _rewrite(table, {key: sorted(group) for key, group in groups.items()})


def _rows_at(table: pa.Table, indices: pa.Array) -> Iterator[tuple[int, dict[str, Any]]]:
    for start in range(0, len(indices), _SLICE_ROWS):
        part = indices.slice(start, _SLICE_ROWS)
        yield from zip(part.to_pylist(), table.take(part).to_pylist(), strict=True)


def _rewrite(table: pa.Table, groups: dict[str, list[tuple[bool, str, int]]]) -> pa.Table:
    keys = table[c.KEY.name].to_pylist()
    defects = table[c.DEFECT.name].to_pylist()
    merged: dict[int, list[dict[str, Any]]] = {}
    for group in groups.values():
        claims: dict[str, dict[str, Any]] = {}
        members = pa.array([index for *_, index in group])
        for n, (index, row) in enumerate(_rows_at(table, members)):
            for claim in row["claims"] or []:
                if len(claims) < MAX_MERGED_CLAIMS:
                    claims.setdefault(json.dumps(claim, sort_keys=True), claim)
            if n:
                keys[index] = repeat_key(row["key"], n)
                defects[index] = DUPLICATE_ID
        merged[group[0][2]] = list(claims.values())
    table = _set(table, c.KEY, pa.array(keys, pa.string()))
    table = _set(table, c.DEFECT, pa.array(defects, pa.string()))
    where = sorted(merged)
    if not any(merged.values()):
        return table
    mask = pc.is_in(pa.array(range(len(table))), value_set=pa.array(where))
    new = pa.array([merged[index] for index in where], c.CLAIMS.type)
    return _set(table, c.CLAIMS, _replace(table[c.CLAIMS.name], mask, new))


def _replace(column: pa.ChunkedArray, mask: pa.Array, new: pa.Array) -> pa.ChunkedArray:
    """`column` with the masked rows taken, in order, from `new` (works for nested types)."""
    both = pa.chunked_array([*column.chunks, new], column.type)
    order = pc.replace_with_mask(
        pa.array(range(len(column)), pa.int64()), mask,
        pa.array(range(len(column), len(column) + len(new)), pa.int64()),
    )  # fmt: skip
    return both.take(order)


def _set(table: pa.Table, field: pa.Field, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(field.name), field, values)
