"""Hugging Face sets on disk: Parquet with an image column, or an imagefolder with its metadata.

An image column is a struct of `bytes` and `path`, as `datasets` writes it. In an imagefolder each
`metadata.jsonl`, `.csv` or `.parquet` names pictures, in `file_name`, relative to where it lies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from curate.errors import MissingInput, RecipeError
from curate.sources import carried
from curate.sources.adapter import read_known
from curate.sources.address import value_address
from curate.sources.assemble import ColumnMap
from curate.sources.base import BATCH_ROWS, NAME_PATTERN, InputFile, hash_listing
from curate.sources.carried import ADDRESS, Carried, value_rows, with_addresses
from curate.sources.folder import PICTURES
from curate.sources.lookup import Lookup, lookup
from curate.sources.read import SUFFIXES, RawBatch, column_names
from curate.sources.text import to_text

METADATA: Final = frozenset({"metadata.jsonl", "metadata.csv", "metadata.parquet"})
_FILE: Final = "file_name"


class Huggingface(Carried):
    """Rows of a set on disk, keyed by where each picture lies unless `columns: {id: …}` names an id.

    `image` is the column with the pictures, `columns: {captions: […]}` those with texts (`text` if
    none are named). Pictures of an imagefolder that no metadata names are rows without a text.
    """

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(path=ADDRESS, captions=("text",))
    WHY: ClassVar[str] = (
        "The licence of a set is not that of its pictures: a claim is a column with one for each "
        "row, and its rung is for the recipe to say."
    )
    WORTH: ClassVar[str] = carried.WORTH
    LIVE: ClassVar[str] = (
        "Not run live: the tests read sets of our own, written as `datasets` and imagefolders are."
    )

    kind: Literal["huggingface"] = "huggingface"
    name: str = Field(default="huggingface", pattern=NAME_PATTERN)
    image: str = "image"

    def inputs(self) -> list[InputFile]:
        """The Parquet files with their hashes; of an imagefolder the metadata files, and the
        pictures as one entry by their names and sizes: their hashes are taken when they are read.
        """
        metadata = self._metadata()
        if not metadata:
            return self.hashed(self.below(".parquet"))
        total = sum(size for _, size in self._sizes())
        listing = hash_listing(
            (f"{size} {name}" for name, size in self._sizes()), "pictures", total
        )
        return [*self.hashed(metadata), listing]

    def batches(self, wanted: list[str]) -> Iterator[RawBatch]:
        raw = [name for name in wanted if name != ADDRESS]
        metadata = self._metadata()
        if metadata:
            yield from self._folder(metadata, raw)
            return
        tables = self.below(".parquet")
        if not tables:
            raise MissingInput(
                f"source {self.name}: {self.path} holds no .parquet file and no metadata.jsonl"
            )
        for table in tables:
            yield from self._table(table, raw)

    def _metadata(self) -> list[Path]:
        return [file for file in self.below(*SUFFIXES) if file.name in METADATA]

    def _table(self, table: Path, raw: list[str]) -> Iterator[RawBatch]:
        try:
            self._check(table, self.image)
            self._check_pictures(table)
            for group, start, columns, rows in value_rows(table, raw, batch_rows=BATCH_ROWS):
                addresses = [
                    value_address(self.inside(table), group, start + n, self.image)
                    for n in range(rows)
                ]
                yield with_addresses(rows, columns, [*addresses], raw)
        except (pa.ArrowInvalid, OSError) as error:
            raise MissingInput(f"{table} is damaged: {error}") from error

    def _check(self, file: Path, needed: str) -> None:
        """Raises RecipeError for a column that the recipe names, or that must be, and is not."""
        found = column_names(file, SUFFIXES[file.suffix.lower()])
        self.check_named(file, found)
        if needed not in found:
            raise RecipeError(
                f"source {self.name}: {file} has no column {needed!r}; it has {', '.join(found)}"
            )

    def _check_pictures(self, table: Path) -> None:
        """Raises RecipeError if the image column holds no bytes, such as addresses."""
        kind = pq.read_schema(table).field(self.image).type
        held = kind.field("bytes").type if _has_bytes(kind) else kind
        if not pa.types.is_binary(held) and not pa.types.is_large_binary(held):
            raise RecipeError(
                f"source {self.name}: {table}: the column {self.image!r} holds {kind} and no pictures; name "
                f"another as `image`, or read addresses with the source `table`"
            )

    def _folder(self, metadata: list[Path], raw: list[str]) -> Iterator[RawBatch]:
        """Rows of the metadata, then the pictures that none of it names."""
        with lookup(values=1) as named:
            for file in metadata:
                self._check(file, _FILE)
                may_lack = frozenset(self.COLUMNS.captions)
                kind = SUFFIXES[file.suffix.lower()]
                for batch in read_known(file, kind, [*raw, _FILE], may_lack):
                    places = self._places(file, batch)
                    named.add((place, None) for place in places)
                    columns = {**batch.columns, ADDRESS: places}
                    yield RawBatch(batch.rows, columns, batch.broken)
            yield from self._unnamed(named, raw)

    def _places(self, file: Path, batch: RawBatch) -> list[str | None]:
        """Paths from the set's folder, of names that are relative to the metadata file."""
        below = file.parent.relative_to(self.base).as_posix()
        names = to_text(batch.columns[_FILE]).values.to_pylist()
        return [
            name if name is None or below == "." else f"{below}/{name.removeprefix('./')}"
            for name in names
        ]

    def _sizes(self) -> Iterator[tuple[str, int]]:
        for part in self._pictures():
            yield from ((name, os.lstat(self.base / name).st_size) for name in part)

    def _unnamed(self, named: Lookup, raw: list[str]) -> Iterator[RawBatch]:
        for names in self._pictures():
            known = named.find(names)
            rest: list[str | None] = [name for name in names if name not in known]
            if rest:
                yield with_addresses(len(rest), {}, rest, raw)

    def _pictures(self) -> Iterator[list[str]]:
        """Paths of the pictures below the folder, a bounded number at a time, folder by folder."""
        part: list[str] = []
        for folder, inner, files in os.walk(self.base):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for name in sorted(files):
                if Path(name).suffix.lower() in PICTURES and not name.startswith("."):
                    part.append(self.inside(Path(folder) / name))
                if len(part) == BATCH_ROWS:
                    yield part
                    part = []
        if part:
            yield part


def _has_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
