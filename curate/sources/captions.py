"""More captions for candidates, from tables of their own, joined by key, URL or file name.

Both sides stream: the captions lie in a temporary index on disk, and candidates look theirs up
range by range. A file name that fits several pictures is given to none of them.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field, field_validator, model_validator

from curate import columns as c
from curate.errors import RecipeError
from curate.sources.adapter import dump_sha256
from curate.sources.base import InputFile, existing, hash_file
from curate.sources.keys import canonical_url
from curate.sources.read import Format, RawBatch, read_rows, table_files
from curate.sources.text import to_entries, to_text

MAX_IMPORTED: Final = 100
"""Captions that one import may add to one picture; further ones are counted, not joined."""
_LOOKED_UP: Final = 500
_SEVERAL: Final = "*"
_Row = tuple[str, int, str]


class CaptionImport(BaseModel, frozen=True, extra="forbid"):
    """A CSV, Parquet or JSON Lines file (or a folder of them) with captions for the source's rows.

    `by` says what `column` holds: `key` (a key, or the id the source gives), `url` (the picture's
    address) or `file` (the picture's path below the source's folder; of pictures that are fetched,
    the last part of the address). `sha256` is that of the file, or of several that of the lines
    `sha256sum` prints; given, it must fit.
    """

    path: Path
    format: Format | None = None
    by: Literal["key", "url", "file"]
    column: str
    captions: tuple[str, ...] = Field(min_length=1)
    origin: Literal["source", "own", "model"]
    model: str | None = None
    model_digest: str | None = None
    language: str | None = Field(default=None, description="BCP 47 tag, if all are in one")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _says_which_model(self) -> Self:
        if self.origin == "model" and self.model is None:
            raise ValueError("captions of origin `model` need `model`: which one wrote them")
        if self.origin != "model" and (self.model or self.model_digest):
            raise ValueError(
                f"captions of origin {self.origin!r} have no model: use origin `model`"
            )
        return self

    @field_validator("column", "captions")
    @classmethod
    def _named(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not all([value] if isinstance(value, str) else value):
            raise ValueError("a column has a name")
        return value

    def tables(self) -> list[tuple[Path, Format]]:
        """The files, sorted. Raises MissingInput or RecipeError if there are none to read."""
        return table_files(existing(self.path, what="captions"), self.format)

    def inputs(self) -> list[InputFile]:
        """The files with their hashes, as `captions/<name>`. Raises RecipeError if not `sha256`."""
        base = self.path.parent if self.path.is_file() else self.path
        plain = [hash_file(file, file.relative_to(base).as_posix()) for file, _ in self.tables()]
        found = dump_sha256(plain)
        if self.sha256 not in (None, found):
            raise RecipeError(
                f"captions {self.path}: the recipe says sha256 {self.sha256}, the content has {found}: "
                f"get the file again, or give the digest of this one"
            )
        return [item.model_copy(update={"name": f"captions/{item.name}"}) for item in plain]

    def digest(self) -> str:
        """sha256 of the content: as recorded, or of what lies at `path`."""
        if self.sha256 is not None:
            return self.sha256
        base = self.path.parent if self.path.is_file() else self.path
        return dump_sha256(
            [hash_file(file, file.relative_to(base).as_posix()) for file, _ in self.tables()]
        )

    def identity(self) -> dict[str, Any]:
        """What the fingerprint covers: settings and content, not where it lies."""
        return self.model_dump(mode="json", exclude={"path"}) | {"sha256": self.digest()}

    def portable(self) -> dict[str, Any]:
        """The settings as plan and record keep them: of the path the last name, and the digest."""
        return self.model_dump(mode="json") | {"path": self.path.name, "sha256": self.digest()}


class Joined(BaseModel, frozen=True, extra="forbid"):
    """What became of one import's rows."""

    name: str
    rows: int
    added: int = Field(description="captions that candidates got")
    unmatched: int = Field(description="rows whose name fits no candidate")
    several: int = Field(description="rows whose file name fits several candidates")
    unusable: int = Field(description="broken rows, and rows without name or text")
    too_many: int = Field(description=f"captions beyond {MAX_IMPORTED} of one picture")

    def sentence(self) -> str:
        """The counts in words, those that are zero left out."""
        parts = [f"{self.added:,} captions from {self.rows:,} rows"]
        for count, what in (
            (self.unmatched, "rows fit no candidate"),
            (self.several, "rows name a file that several pictures have, so none got them"),
            (self.unusable, "rows are broken, or without name or text"),
            (self.too_many, f"captions are beyond {MAX_IMPORTED} of one picture"),
        ):
            parts += [f"{count:,} {what}"] if count else []
        return f"{self.name}: {'; '.join(parts)}"


class CaptionIndex:
    """The captions of one import by name, in a temporary database below `folder`."""

    def __init__(self, settings: CaptionImport, folder: Path, number: int) -> None:
        self.settings = settings
        self._path = folder / f"captions-{number}.db"
        self._db = sqlite3.connect(self._path, isolation_level=None)
        self._rows = self._unusable = self._added = self._too_many = 0
        for statement in (
            "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA temp_store = FILE",
            "CREATE TABLE rows (name TEXT, place INTEGER, texts TEXT)",
            "CREATE TABLE fits (name TEXT PRIMARY KEY, key TEXT) WITHOUT ROWID",
        ):  # fmt: skip
            self._db.execute(statement)
        self._fill()

    def _fill(self) -> None:
        wanted = [self.settings.column, *self.settings.captions]
        self._db.execute("BEGIN")
        for file, format in self.settings.tables():
            for batch in read_rows(file, format, list(dict.fromkeys(wanted))):
                found = list(self._entries(batch))
                self._db.executemany("INSERT INTO rows VALUES (?, ?, ?)", found)
                self._rows += batch.rows
                self._unusable += batch.rows - len(found)
        self._db.execute("CREATE INDEX by_name ON rows (name, place)")
        self._db.execute("COMMIT")

    def _entries(self, batch: RawBatch) -> Iterator[_Row]:
        said: dict[int, list[str]] = {}
        for column in self.settings.captions:
            rows, entries = to_entries(batch.columns[column])
            for row, text in zip(rows.tolist(), entries.values.to_pylist(), strict=True):
                if text is not None:
                    said.setdefault(row, []).append(text)
        names = to_text(batch.columns[self.settings.column]).values.to_pylist()
        for row, name in enumerate(names):
            if name is not None and row in said and row not in batch.broken:
                yield self._folded(name), self._rows + row, json.dumps(said[row])

    def _folded(self, name: str) -> str:
        if self.settings.by == "url":
            return canonical_url(name)
        return _plain_path(name) if self.settings.by == "file" else name.strip()

    def note(self, table: pa.Table) -> None:
        """Remember which pictures a name fits: by `file`, one name may fit several."""
        named = [
            (name, row["key"]) for row in _rows(table) for name in self._names(row)
        ]  # fmt: skip
        known = self._known([name for name, _ in named])
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO fits VALUES (?, ?) ON CONFLICT (name) DO UPDATE "
            f"SET key = CASE WHEN key = excluded.key THEN key ELSE '{_SEVERAL}' END",
            [(name, key if self.settings.by == "file" else "") for name, key in named
             if name in known],
        )  # fmt: skip
        self._db.execute("COMMIT")

    def _known(self, names: Sequence[str]) -> set[str]:
        return {name for name, *_ in self._select("SELECT DISTINCT name FROM rows", names)}

    def _names(self, row: Mapping[str, Any]) -> list[str]:
        """What a row of an import may call this candidate."""
        if self.settings.by == "key":
            return [name for name in dict.fromkeys((row["key"], row["source_id"])) if name]
        if self.settings.by == "url":
            return [canonical_url(row["url"])] if row["url"] else []
        if row["path"]:
            return [_plain_path(row["path"])]
        return [name] if row["url"] and (name := _file_of(row["url"])) else []

    def join(self, table: pa.Table) -> pa.Table:
        """The candidates with their captions appended; rows at fault stay as they are."""
        rows = list(_rows(table))
        named = [(row["place"], name) for row in rows for name in self._names(row)]
        found = self._texts([name for _, name in named])
        added: dict[int, list[str]] = {}
        for place, name in named:
            added.setdefault(place, []).extend(found.get(name, []))
        have = {row["place"]: row["captions"] for row in rows}
        kept = {place: self._new(texts, have[place] or []) for place, texts in added.items()}
        kept = {place: texts for place, texts in kept.items() if texts}
        self._added += sum(map(len, kept.values()))
        return self._appended(table, kept) if kept else table

    def _new(self, texts: list[str], have: Sequence[Mapping[str, Any]]) -> list[str]:
        """The texts in order, each once, without those the picture has from the same origin."""
        same = (self.settings.origin, self.settings.model)
        old = {entry["text"] for entry in have if (entry["origin"], entry["model"]) == same}
        new = [text for text in dict.fromkeys(texts) if text not in old]
        self._too_many += max(0, len(new) - MAX_IMPORTED)
        return new[:MAX_IMPORTED]

    def _texts(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Name → captions, in the order of the import's rows."""
        query = (
            "SELECT rows.name, texts FROM rows JOIN fits ON fits.name = rows.name "
            f"AND fits.key != '{_SEVERAL}'"
        )
        found: dict[str, list[str]] = {}
        for name, texts in self._select(query, names, column="rows.name", order="rows.place"):
            held = found.setdefault(name, [])
            if len(held) <= MAX_IMPORTED:
                held.extend(json.loads(texts))
            else:
                self._too_many += len(json.loads(texts))
        return found

    def _select(
        self, query: str, names: Sequence[str], *, column: str = "name", order: str | None = None
    ) -> Iterator[tuple[str, ...]]:
        left = iter(dict.fromkeys(names))
        while part := list(islice(left, _LOOKED_UP)):
            places = ", ".join("?" * len(part))
            tail = f" ORDER BY {order}" if order else ""
            with closing(
                self._db.execute(f"{query} WHERE {column} IN ({places}){tail}", part)
            ) as all_:
                yield from all_

    def _appended(self, table: pa.Table, added: Mapping[int, list[str]]) -> pa.Table:
        old = table[c.CAPTIONS.name].combine_chunks()
        texts = [text for place in sorted(added) for text in added[place]]
        their_rows = [place for place in sorted(added) for _ in added[place]]
        s = self.settings
        same = (s.origin, s.model, s.model_digest, s.language)
        constant = [pa.repeat(pa.scalar(value, pa.string()), len(texts)) for value in same]
        new = pa.StructArray.from_arrays(
            [pa.array(texts, pa.string()), *constant], fields=list(c.CAPTION)
        )
        rows = np.concatenate([np.asarray(pc.list_parent_indices(old)), np.array(their_rows)])
        values = pa.chunked_array([pc.list_flatten(old), new]).combine_chunks()
        ends = np.cumsum(np.bincount(rows.astype(np.int64), minlength=len(table)))
        order = pa.array(np.argsort(rows, kind="stable"))
        lists = pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], ends]), pa.int32()), values.take(order)
        )
        place = table.column_names.index(c.CAPTIONS.name)
        return table.set_column(place, c.CAPTIONS, lists.cast(c.CAPTIONS.type))

    def told(self) -> Joined:
        """The counts, once every candidate has been noted and joined."""
        outer = "FROM rows LEFT JOIN fits ON fits.name = rows.name WHERE fits.key"
        [[unmatched]] = self._db.execute(f"SELECT count(*) {outer} IS NULL")
        [[several]] = self._db.execute(f"SELECT count(*) {outer} = '{_SEVERAL}'")
        return Joined(
            name=self.settings.path.name, rows=self._rows, added=self._added, unmatched=unmatched,
            several=several, unusable=self._unusable, too_many=self._too_many,
        )  # fmt: skip

    def close(self) -> None:
        """Let the database go; its file is removed."""
        self._db.close()
        self._path.unlink(missing_ok=True)


def noted(tables: Iterable[pa.Table], indexes: Sequence[CaptionIndex]) -> Iterator[pa.Table]:
    """The tables as they are, each shown to the indexes on the way."""
    for table in tables:
        for index in indexes:
            index.note(table)
        yield table


def joined(
    ranges: Iterable[tuple[str, pa.Table]], indexes: Sequence[CaptionIndex]
) -> Iterator[tuple[str, pa.Table]]:
    """The ranges with the captions of every import appended, in the order of the imports."""
    for bits, table in ranges:
        for index in indexes:
            table = index.join(table)
        yield bits, table


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """What joins need of each row that is not at fault, with its `place` in the table."""
    names = [c.KEY.name, c.SOURCE_ID.name, c.URL.name, c.PATH.name, c.CAPTIONS.name]
    sound = pc.indices_nonzero(pc.is_null(table[c.DEFECT.name]))
    for start in range(0, len(sound), _LOOKED_UP):
        part = sound.slice(start, _LOOKED_UP)
        rows = table.select(names).take(part).to_pylist()
        for place, row in zip(part.to_pylist(), rows, strict=True):
            yield {"place": place, **row}


def _plain_path(path: str) -> str:
    return re.sub(r"^(\./)+", "", path.strip().replace("\\", "/"))


def _file_of(url: str) -> str | None:
    """The last part of an address's path, decoded; None where there is none."""
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2]) or None
    except ValueError:
        return None
