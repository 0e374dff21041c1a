"""What sources that carry the pictures themselves share: claims only where the recipe names them.

Such a set says nothing of licences by itself. A recipe names the columns that do, with the rung
each stands on, as for a table; without any, every row is without a claim and the licence stage
keeps none. The pictures are read by the stage `read_file`, whose `root` is the source's `path`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow.parquet as pq
from pydantic import BaseModel

from curate.errors import MissingInput, RecipeError
from curate.sources.adapter import Adapter
from curate.sources.assemble import ColumnMap, Layout, LicenseColumn
from curate.sources.base import InputFile, existing, hash_file
from curate.sources.read import RawBatch

ADDRESS: Final = "address of picture"
WORTH: Final = (
    "Nothing by itself: the set holds pictures and texts, and its own licence, if it states one, is "
    "not that of its pictures. Worth what the column is that the recipe names: look where it was "
    "copied from, and give it that rung less one. Without such a column nothing is kept."
)


class Named(BaseModel, frozen=True, extra="forbid"):
    """Columns of the set that hold more of a row, by name."""

    id: str | None = None
    url: str | None = None
    landing_url: str | None = None
    title: str | None = None
    creator: str | None = None
    creator_url: str | None = None
    captions: tuple[str, ...] | None = None


class Carried(Adapter):
    """A source with the bytes in it. `licenses` are as in a table, `columns` names further columns."""

    COLUMNS: ClassVar[ColumnMap]
    licenses: tuple[LicenseColumn, ...] = ()
    columns: Named = Named()

    def layout(self) -> Layout:
        """The set's own columns, those that the recipe names, and its claims as it ranks them."""
        named = {k: v for k, v in self.columns.model_dump().items() if v is not None}
        columns = ColumnMap.model_validate(self.COLUMNS.model_dump() | named)
        return super().layout().model_copy(update={"columns": columns, "licenses": self.licenses})

    def check_named(self, file: Path, found: Sequence[str]) -> None:
        """Raises RecipeError for a column that the recipe names and the file has not."""
        told = self.columns.model_dump(exclude={"captions"}).values()
        named = [*told, *(self.columns.captions or ()), *(e.column for e in self.licenses)]
        for name in named:
            if name is not None and name not in found:
                raise RecipeError(
                    f"source {self.name}: {file} has no column {name!r}; it has {', '.join(found)}"
                )

    @property
    def base(self) -> Path:
        """The folder that addresses start from."""
        path = existing(self.path, what=f"source {self.name}")
        return path if path.is_dir() else path.parent

    def below(self, *suffixes: str) -> list[Path]:
        """Files of these suffixes: the path itself, or those below it, sorted by name."""
        path = existing(self.path, what=f"source {self.name}")
        if path.is_file():
            return [path] if path.suffix.lower() in suffixes else []
        found = (Path(folder) / n for folder, _, names in os.walk(path) for n in names)
        return sorted(file for file in found if file.suffix.lower() in suffixes)

    def inside(self, file: Path) -> str:
        """A file's name as addresses have it."""
        return file.relative_to(self.base).as_posix()

    def hashed(self, files: list[Path]) -> list[InputFile]:
        """The files with their hashes. Raises MissingInput if there are none."""
        if not files:
            raise MissingInput(f"source {self.name}: {self.path} holds no file of this kind")
        return [hash_file(file, self.inside(file)) for file in files]

    def files_root(self) -> Path:
        return self.base


def value_rows(
    path: Path, wanted: list[str], *, batch_rows: int
) -> Iterator[tuple[int, int, Mapping[str, Any], int]]:
    """(row group, first row in it, columns, rows) of a Parquet file; columns it lacks are left out."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        there = [name for name in wanted if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            start, rows = 0, file.metadata.row_group(group).num_rows
            if not there:
                yield group, 0, {}, rows
                continue
            for batch in file.iter_batches(batch_rows, row_groups=[group], columns=there):
                columns = {name: batch.column(name) for name in there}
                yield group, start, columns, batch.num_rows
                start += batch.num_rows


def with_addresses(
    rows: int, columns: Mapping[str, Any], addresses: list[str | None], wanted: list[str]
) -> RawBatch:
    """A batch of the wanted columns; those that the set lacks are empty."""
    given: dict[str, Any] = {name: columns.get(name, [None] * rows) for name in wanted}
    return RawBatch(rows, given | {ADDRESS: addresses})
