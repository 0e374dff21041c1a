"""Candidates from a table: CSV, Parquet or JSON Lines, one file or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from curate.errors import MissingInput
from curate.sources.adapter import Dump, check_dump
from curate.sources.assemble import ColumnMap, Layout, LicenseColumn, assemble
from curate.sources.base import InputFile, Source, existing, hash_file
from curate.sources.publisher import iso_date
from curate.sources.read import Format, read_rows, table_files


class Table(Source):
    """Rows of a metadata table, one candidate a row.

    `columns` says which column holds what, `licenses` which columns hold licence claims and on
    which rung of the evidence ladder. `root` is the folder that a `path` column is relative to;
    left out, it is the folder of the table. `retrieved_at` is when the table was got, ISO 8601.
    `dump` records the publisher's file that it is; the files must fit, and each claim carries it.
    """

    WHY: ClassVar[str] = (
        "The recipe's own word, column by column: only its author knows where the table comes from."
    )
    WORTH: ClassVar[str] = (
        "What the table's author makes of it: 5 for the publisher's own table, 4 for a copy of its "
        "values, 2 for what is said about a page, 1 for free text found near a picture. Name the "
        "columns of when and where a value was got (`evidence:`), and each row carries its own."
    )

    LIVE: ClassVar[str] = "Yes: it is the file you have."

    kind: Literal["table"] = "table"
    path: Path
    root: Path | None = None
    format: Format | None = None
    columns: ColumnMap
    licenses: tuple[LicenseColumn, ...] = ()
    caption_origin: Literal["source", "own", "model"] = "source"
    caption_model: str | None = None
    caption_language: str | None = Field(default=None, description="BCP 47 tag, if all are in one")
    retrieved_at: str | None = None
    dump: Dump | None = None

    @field_validator("retrieved_at", mode="before")
    @classmethod
    def _iso(cls, value: object) -> object:
        return iso_date(value)

    def layout(self) -> Layout:
        """How columns become candidates."""
        return Layout(
            source=self.name, columns=self.columns, licenses=self.licenses,
            caption_origin=self.caption_origin, caption_model=self.caption_model,
            caption_language=self.caption_language,
            retrieved_at=self.retrieved_at or (self.dump.date if self.dump else None),
            final_url=self.dump.url if self.dump else None,
            response_sha256=self.dump.sha256 if self.dump else None,
        )  # fmt: skip

    def candidates(self) -> Iterator[pa.Table]:
        """Candidate tables, files in name order, rows in file order.

        Raises MissingInput or RecipeError if the file or a mapped column is not there, or if the
        files are not the dump that the recipe records.
        """
        if self.dump is not None:
            check_dump(self.dump, self.inputs(), what=f"source {self.name}")
        layout = self.layout()
        for file, format in table_files(
            existing(self.path, what=f"source {self.name}"), self.format
        ):
            for batch in read_rows(file, format, layout.wanted()):
                yield assemble(batch, layout)

    def inputs(self) -> list[InputFile]:
        """The table's files with their hashes."""
        path = existing(self.path, what=f"source {self.name}")
        base = path.parent if path.is_file() else path
        files = [file for file, _ in table_files(path, self.format)]
        if not files:
            raise MissingInput(f"source {self.name}: {path} holds no table")
        return [hash_file(file, file.relative_to(base).as_posix()) for file in files]

    def files_root(self) -> Path | None:
        """The folder of `path` values, or None if the table has only URLs."""
        if self.columns.path is None:
            return None
        return self.root or (self.path.parent if self.path.is_file() else self.path)
