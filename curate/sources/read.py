"""Streaming readers for Parquet, CSV and JSON Lines that keep every row, also the broken ones.

Each yields batches of the wanted columns with raw values. CSV and JSON go through Python's own
parsers, because those can go on after a bad row; Parquet values are judged later, in text.py.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from curate.errors import MissingInput, RecipeError
from curate.sources.base import BATCH_ROWS
from curate.sources.text import Raw

Format = Literal["csv", "parquet", "jsonl"]
SUFFIXES: Final[Mapping[str, Format]] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
_BUFFER_BYTES: Final = 1 << 16
"""Of a column of Parquet: without a bound its whole row group is read at once."""
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
T = TypeVar("T")


@dataclass(frozen=True)
class RawBatch:
    """Rows as read: one raw column a name; `broken` maps unreadable rows to a digest of them.

    `unfit` maps rows that are read well but are no picture (a video) to their reason.
    """

    rows: int
    columns: Mapping[str, Raw]
    broken: Mapping[int, bytes] = field(default_factory=dict)
    unfit: Mapping[int, str] = field(default_factory=dict)


def table_files(path: Path, format: Format | None) -> list[tuple[Path, Format]]:
    """The files of a table source, sorted: the path itself, or those of one format below it.

    Raises RecipeError when there is no file of a known format, or more than one format.
    """
    if path.is_file():
        kind = format or SUFFIXES.get(path.suffix.lower())
        if kind is None:
            raise RecipeError(
                f"{path}: {path.suffix!r} is no known format; set `format` to csv, parquet or jsonl"
            )
        return [(path, kind)]
    known = [
        (file, SUFFIXES.get(file.suffix.lower()))
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    found = [(file, kind) for file, kind in known if kind is not None and format in (None, kind)]
    if not found:
        raise MissingInput(f"{path} holds no .csv, .tsv, .parquet or .jsonl file")
    if len({kind for _, kind in found}) > 1:
        raise RecipeError(f"{path} holds files of several formats; set `format` to the one to read")
    return found


def read_rows(path: Path, format: Format, wanted: Sequence[str]) -> Iterator[RawBatch]:
    """Batches of the wanted columns, at most BATCH_ROWS rows each.

    Raises RecipeError if a wanted column is not in the file (for JSON Lines: in none of the first
    batch's rows) and MissingInput if the file is not of its format at all.
    """
    if format == "parquet":
        return _read_parquet(path, wanted)
    return _read_csv(path, wanted) if format == "csv" else _read_jsonl(path, wanted)


def column_names(path: Path, format: Format) -> list[str]:
    """The columns a file has; of JSON Lines, those of the first batch of rows, in order."""
    if format == "parquet":
        return list(_open_parquet(path).schema_arrow.names)
    if format == "csv":
        with _open_text(path) as stream:
            return next(_csv_rows(stream, path), [])
    with path.open("rb") as binary:
        first = [
            _json_row(line) for _, line in zip(range(BATCH_ROWS), _lines(binary), strict=False)
        ]
    return list(dict.fromkeys(name for row in first if row is not None for name in row))


def schema_of(path: Path) -> pa.Schema:
    """The schema of a Parquet file. Raises MissingInput if it is none."""
    return _open_parquet(path).schema_arrow


def _require(path: Path, wanted: Sequence[str], found: Sequence[str]) -> None:
    for name in wanted:
        if name not in found:
            raise RecipeError(f"{path}: no column {name!r}; it has {', '.join(map(repr, found))}")


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    except (pa.ArrowInvalid, OSError) as error:
        raise MissingInput(f"{path} is not a readable Parquet file: {error}") from error


def _read_parquet(path: Path, wanted: Sequence[str]) -> Iterator[RawBatch]:
    file = _open_parquet(path)
    _require(path, wanted, file.schema_arrow.names)
    try:
        for group in range(file.num_row_groups):  # asked for all at once, it keeps what it has read
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(wanted)):
                yield RawBatch(batch.num_rows, {name: batch.column(name) for name in wanted})
    except (pa.ArrowInvalid, OSError) as error:
        raise MissingInput(f"{path} is damaged: {error}") from error


def _open_text(path: Path) -> IO[str]:
    """Text in which invalid UTF-8 survives as lone surrogates, to be found value by value."""
    return path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_rows(stream: IO[str], path: Path) -> Iterator[list[str]]:
    """Rows of cells; an over-long cell gives a row of no cells, and reading goes on."""
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield []
        else:
            if cells:
                yield cells


def _read_csv(path: Path, wanted: Sequence[str]) -> Iterator[RawBatch]:
    with _open_text(path) as stream:
        rows = _csv_rows(stream, path)
        header = next(rows, None)
        if header is None:
            raise MissingInput(f"{path} is empty: a CSV file starts with a line of column names")
        _require(path, wanted, header)
        places = [header.index(name) for name in wanted]
        for batch in _batched(rows):
            yield _csv_batch(batch, wanted, places, len(header))


def _csv_batch(
    rows: list[list[str]], wanted: Sequence[str], places: list[int], width: int
) -> RawBatch:
    broken: dict[int, bytes] = {}
    for index, cells in enumerate(rows):
        if len(cells) != width:
            broken[index] = _digest("\0".join(cells))
            rows[index] = cells + [""] * (width - len(cells))
    columns = {
        name: [cells[place] for cells in rows] for name, place in zip(wanted, places, strict=True)
    }
    return RawBatch(len(rows), columns, broken)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines that are not blank; a line over MAX_LINE_BYTES comes out cut there, once."""
    whole = True
    while line := stream.readline(MAX_LINE_BYTES):
        if whole and line.strip():
            yield line
        whole = line.endswith(b"\n")


def _json_row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _read_jsonl(path: Path, wanted: Sequence[str]) -> Iterator[RawBatch]:
    checked = False
    with path.open("rb") as stream:
        for lines in _batched(_lines(stream)):
            rows = [_json_row(line) for line in lines]
            if not checked and any(row is not None for row in rows):
                found = dict.fromkeys(name for row in rows if row is not None for name in row)
                _require(path, wanted, list(found))
                checked = True
            broken = {
                index: hashlib.sha256(lines[index]).digest()
                for index, row in enumerate(rows) if row is None
            }  # fmt: skip
            columns = {
                name: [None if row is None else row.get(name) for row in rows] for name in wanted
            }
            yield RawBatch(len(rows), columns, broken)


def _batched(items: Iterator[T]) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
