"""Rows of delimited text with or without a header, plain, gzip or bzip2, one batch in memory.

Rows of another width than the first are kept as broken; a file that ends in the middle of its
compression is named instead of read as far as it goes.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Literal

from curate.errors import MissingInput, RecipeError
from curate.sources.base import BATCH_ROWS
from curate.sources.read import MAX_LINE_BYTES, RawBatch

TAB: Final = "\t"


def read_delimited(
    path: Path,
    wanted: Sequence[str],
    *,
    names: Mapping[int, Sequence[str]] | None = None,
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL,
) -> Iterator[RawBatch]:
    """Batches of the wanted columns of tab-separated text, at most BATCH_ROWS rows each.

    `names` are the columns of a file without a header, by how many there are; without it the
    first line names them. Raises RecipeError if a wanted column is not there, MissingInput if the
    file is damaged.
    """
    try:
        with _open(path) as stream:
            yield from _batches(path, _rows(stream, quoting), wanted, names)
    except (EOFError, zlib.error, OSError) as error:
        raise MissingInput(f"{path} is damaged or not what its name says: {error}") from error


def _open(path: Path) -> IO[str]:
    """Text in which invalid UTF-8 survives as lone surrogates, to be found value by value."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape", newline="")
    if suffix == ".bz2":
        return bz2.open(path, "rt", encoding="utf-8", errors="surrogateescape", newline="")
    return path.open("r", encoding="utf-8", errors="surrogateescape", newline="")


def _rows(stream: IO[str], quoting: Literal[0, 3]) -> Iterator[list[str]]:
    """Rows of cells, blank lines left out; an over-long cell gives a row of no cells."""
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(stream, delimiter=TAB, quoting=quoting)
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


def _batches(
    path: Path,
    rows: Iterator[list[str]],
    wanted: Sequence[str],
    names: Mapping[int, Sequence[str]] | None,
) -> Iterator[RawBatch]:
    first = next(rows, None)
    if first is None:
        raise MissingInput(f"{path} is empty")
    header = first if names is None else names.get(len(first))
    if header is None:
        widths = " or ".join(map(str, names or {}))
        raise RecipeError(f"{path}: the first line has {len(first)} columns, wanted are {widths}")
    header = [name.removeprefix("\ufeff") for name in header]
    for name in wanted:
        if name not in header:
            raise RecipeError(f"{path}: no column {name!r}; it has {', '.join(map(repr, header))}")
    batch = [] if names is None else [first]
    for cells in rows:
        if len(batch) == BATCH_ROWS:
            yield _batch(batch, wanted, header)
            batch = []
        batch.append(cells)
    if batch:
        yield _batch(batch, wanted, header)


def _batch(rows: list[list[str]], wanted: Sequence[str], header: Sequence[str]) -> RawBatch:
    width = len(header)
    broken: dict[int, bytes] = {}
    for number, cells in enumerate(rows):
        if len(cells) != width:
            text = "\0".join(cells).encode("utf-8", "surrogatepass")
            broken[number] = hashlib.sha256(text).digest()
            rows[number] = cells + [""] * (width - len(cells))
    places = {name: header.index(name) for name in wanted}
    columns = {name: [cells[place] for cells in rows] for name, place in places.items()}
    return RawBatch(len(rows), columns, broken)
