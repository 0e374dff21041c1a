"""What a tombstone log knows a row by, and what is left of a row that was removed.

A removed row keeps key and source; everything else of a candidate becomes null and its defect says
`removed`, so that it is rejected before anything is fetched.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.images.likeness import Prints
from curate.sources.keys import canonical_url
from curate.store.tombstones import Log, Tombstone

REMOVED: Final = "removed"
LEFT: Final = (c.KEY.name, c.SOURCE.name, c.DEFECT.name)
"""The candidate columns that a removed row still has."""


def url_sha256(url: str) -> str:
    """Hex sha256 of the canonical URL."""
    return hashlib.sha256(canonical_url(url).encode(errors="surrogatepass")).hexdigest()


def creator_sha256(name: str) -> str:
    """Hex sha256 of a creator's name or address: NFC, case folded, blanks in a row as one."""
    plain = " ".join(unicodedata.normalize("NFC", name).casefold().split())
    return hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Sought:
    """The tombstones of a log as sets to look up in."""

    entries: tuple[Tombstone, ...]

    @classmethod
    def of(cls, log: Log | Iterable[Tombstone]) -> Sought:
        return cls(log.entries if isinstance(log, Log) else tuple(log))

    @cached_property
    def keys(self) -> frozenset[str]:
        return _present(entry.key for entry in self.entries)

    @cached_property
    def files(self) -> frozenset[str]:
        """sha256 of pictures' bytes, as fetched and as stored."""
        return _present(
            digest
            for entry in self.entries
            for digest in (entry.original_sha256, entry.stored_sha256)
        )

    @cached_property
    def pixels(self) -> frozenset[str]:
        return _present(entry.pixel_sha256 for entry in self.entries)

    @cached_property
    def urls(self) -> frozenset[str]:
        return _present(entry.url_sha256 for entry in self.entries)

    @cached_property
    def creators(self) -> frozenset[str]:
        return _present(entry.creator_sha256 for entry in self.entries)

    @cached_property
    def prints(self) -> Prints:
        return Prints.of([entry.print for entry in self.entries if entry.print is not None])

    def candidates(self, table: pa.Table) -> pa.BooleanArray:
        """Which candidate rows the log names by key, address or creator."""
        named = _isin(table[c.KEY.name], self.keys)
        if self.urls:
            named = pc.or_(named, _hashed(table[c.URL.name], url_sha256, self.urls))
        if self.creators:
            for field in (c.CREATOR, c.CREATOR_URL):
                named = pc.or_(named, _hashed(table[field.name], creator_sha256, self.creators))
        return named


def erased(table: pa.Table, removed: pa.BooleanArray) -> pa.Table:
    """Candidate rows with all but key and source taken out of the removed ones."""
    if not pc.any(removed).as_py():
        return table
    keep = pc.invert(removed)
    for at, field in enumerate(table.schema):
        if field.name == c.DEFECT.name:
            column = pc.if_else(keep, table[field.name], pa.scalar(REMOVED, pa.string()))
        elif field.name in LEFT:
            continue
        else:
            column = _emptied(table[field.name], keep)
        table = table.set_column(at, field, column)
    return table


def _emptied(column: pa.ChunkedArray, keep: pa.BooleanArray) -> pa.ChunkedArray:
    """The column with nulls where `keep` is false; works for nested types."""
    place = pc.if_else(keep, pa.array(range(len(column)), pa.int64()), None)
    return column.take(place)


def _present(values: Iterable[str | None]) -> frozenset[str]:
    return frozenset(value for value in values if value is not None)


def _isin(column: pa.ChunkedArray, values: frozenset[str]) -> pa.BooleanArray:
    found = pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _hashed(
    column: pa.ChunkedArray, digest: Callable[[str], str], wanted: frozenset[str]
) -> pa.BooleanArray:
    """Where the digest of a text is one of those wanted; each distinct text is hashed once."""
    texts = pc.unique(column).drop_null().to_pylist()
    return _isin(column, frozenset(text for text in texts if digest(text) in wanted))
