"""A table of texts by key that lies on disk: joins hold a bounded number of rows in memory."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CACHE_KIB: Final = 32 * 1024
_AT_ONCE: Final = 500


class Lookup:
    """Rows of texts by their first text; of several rows with one key, the first stays."""

    def __init__(self, connection: sqlite3.Connection, values: int) -> None:
        self._connection = connection
        self._marks = ", ".join("?" * (values + 1))
        names = ", ".join(f"v{n} TEXT" for n in range(values))
        connection.execute(f"CREATE TABLE known (key TEXT PRIMARY KEY, {names}) WITHOUT ROWID")

    def add(self, rows: Iterable[Sequence[str | None]]) -> None:
        """Add rows of (key, value, …); rows without a key are left out."""
        kept = (row for row in rows if row[0] is not None)
        with self._connection:
            self._connection.executemany(
                f"INSERT OR IGNORE INTO known VALUES ({self._marks})", kept
            )

    def find(self, keys: Iterable[str | None]) -> dict[str, tuple[str | None, ...]]:
        """The values of each key that is known."""
        wanted = sorted({key for key in keys if key is not None})
        found: dict[str, tuple[str | None, ...]] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(part))
            for row in self._connection.execute(
                f"SELECT * FROM known WHERE key IN ({marks})", part
            ):
                found[row[0]] = row[1:]
        return found


@contextmanager
def lookup(*, values: int) -> Iterator[Lookup]:
    """An empty table with so many values a key, gone at the end; 32 MiB of it in memory at most."""
    with tempfile.TemporaryDirectory(prefix="curate-lookup-") as folder:
        connection = sqlite3.connect(Path(folder) / "known.sqlite")
        try:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            yield Lookup(connection, values)
        finally:
            connection.close()
