"""Data that another program made, read as rows and pictures: tables, tars, folders, img2dataset.

Nothing is trusted and nothing is judged here: what rows say stays text, and a picture is a way to
its bytes, or to the knowledge that it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.errors import MissingInput
from curate.sources.archives import PICTURES, samples
from curate.sources.read import SUFFIXES, Format, column_names, read_rows
from curate.sources.text import to_text

BATCH_ROWS: Final = 4096
PICTURE_ROWS: Final = 64
STATS: Final = "_stats.json"
OURS: Final = ("ATTRIBUTION", "croissant")
"""Files beside pictures that are about them without being their table."""

Picture = Callable[[], bytes]
"""Reads the bytes of a picture; raises OSError if they are not there."""


@dataclass(frozen=True)
class Rows:
    """Some rows: their columns as text, where they are from, and the picture of each.

    A picture is None where it is known not to be there, and `known` is False where a table does
    not say where pictures would be.
    """

    origin: str
    columns: Mapping[str, pa.Array]
    pictures: Sequence[Picture | None]
    known: bool = True
    broken: int = 0

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass
class Found:
    """What lies at a path, by kind; names are relative to it."""

    root: Path
    tables: list[tuple[Path, Format]] = field(default_factory=list)
    tars: list[Path] = field(default_factory=list)
    stats: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """A path as findings name it: never where it lies on this machine."""
        return path.relative_to(self.root).as_posix() if path != self.root else path.name

    def form(self) -> str:
        """What it seems to be, in words."""
        if self.stats:
            return "output of img2dataset"
        if self.tars:
            return "WebDataset tars" + (" with tables" if self.tables else "")
        if self.pictures:
            return "a folder of pictures" + (" with a table" if self.tables else "")
        return "a table" if len(self.tables) == 1 else f"{len(self.tables):,} tables"


def find(path: Path) -> Found:
    """What lies at a path. Raises MissingInput if there is nothing that holds rows or pictures."""
    found = Found(path if path.is_dir() else path.parent)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    if path.is_file():
        found.root = path.parent
    for file in files:
        suffix = file.suffix.lower()
        if any(part.startswith(".") for part in file.relative_to(found.root).parts):
            continue
        if file.name.endswith(STATS):
            found.stats.append(file)
        elif suffix in SUFFIXES and not file.name.startswith(OURS):
            found.tables.append((file, SUFFIXES[suffix]))
        elif suffix == ".tar":
            found.tars.append(file)
        elif suffix[1:] in PICTURES:
            found.pictures.append(file)
        elif "_tmp" in file.parts or suffix == ".tmp":
            found.left.append(file)
    if not found.tables and not found.tars and not found.pictures:
        raise MissingInput(
            f"{path} holds no MANIFEST.json, and neither a table (.parquet, .csv, .jsonl) nor a tar "
            f"nor pictures: there is nothing to audit"
        )
    return found


def read(found: Found) -> Iterator[Rows]:
    """All rows, table after table; then those of tars without a table, or bare pictures."""
    tars = {tar.with_suffix(""): tar for tar in found.tars}
    for table, format in found.tables:
        tar = tars.pop(table.with_suffix(""), None)
        yield from _table(found, table, format, tar)
    for tar in tars.values():
        yield from _tar(found, tar)
    if not found.tables and not found.tars:
        for start in range(0, len(found.pictures), BATCH_ROWS):
            part = found.pictures[start : start + BATCH_ROWS]
            names = pa.array([found.name(file) for file in part])
            yield Rows(found.root.name, {"file_name": names}, [file.read_bytes for file in part])


def unclaimed(found: Found, claimed: set[str]) -> list[str]:
    """Names of pictures in folders that no row names."""
    if not found.tables:
        return []
    return [name for file in found.pictures if (name := found.name(file)) not in claimed]


def picture_column(schema: pa.Schema) -> str | None:
    """The column that holds pictures: an image struct of `datasets`, or bytes named by a format."""
    for column in schema:
        kind = column.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return str(column.name)
        binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        if binary and column.name.lower() in (*PICTURES, "image", "img", "bytes"):
            return str(column.name)
    return None


def _table(found: Found, table: Path, format: Format, tar: Path | None) -> Iterator[Rows]:
    name = found.name(table)
    if format == "parquet":
        try:
            with pq.ParquetFile(table) as file:
                if (column := picture_column(file.schema_arrow)) is not None:
                    yield from _with_pictures(name, file, column)
                    return
        except (pa.ArrowException, OSError) as error:
            raise MissingInput(f"{table} is not a readable Parquet file: {error}") from error
    names = [n for n in dict.fromkeys(column_names(table, format)) if n]
    where = _spans(tar) if tar is not None else _beside(found, table)
    for batch in read_rows(table, format, names):
        columns = {n: to_text(batch.columns[n]).values for n in names}
        pictures, known = _pictures(columns, where, batch.rows)
        yield Rows(name, columns, pictures, known, len(batch.broken))


def _with_pictures(name: str, file: pq.ParquetFile, column: str) -> Iterator[Rows]:
    for batch in file.iter_batches(batch_size=PICTURE_ROWS):
        values = batch.column(column)
        if pa.types.is_struct(values.type):
            values = pc.struct_field(values, "bytes")
        texts = {
            n: to_text(batch.column(n)).values
            for n in batch.schema.names
            if n != column and not pa.types.is_nested(batch.schema.field(n).type)
        }
        held: list[Picture | None] = [
            _Held(value).read if value.is_valid else None for value in values
        ]
        yield Rows(name, texts, held)


def _tar(found: Found, tar: Path) -> Iterator[Rows]:
    """Of a tar without a table the fields of its JSON members."""
    batch: list[Any] = []
    for sample in samples(tar):
        batch.append(sample)
        if len(batch) == BATCH_ROWS:
            yield _from_samples(found, tar, batch)
            batch = []
    if batch:
        yield _from_samples(found, tar, batch)


def _from_samples(found: Found, tar: Path, batch: Sequence[Any]) -> Rows:
    names = list(dict.fromkeys(name for sample in batch for name in sample.fields))
    columns = {n: to_text([sample.fields.get(n) for sample in batch]).values for n in names}
    columns.setdefault("key", pa.array([sample.key for sample in batch], pa.string()))
    size = tar.stat().st_size
    pictures = [_Span(tar, *s.picture).of(size) if s.picture else None for s in batch]
    broken = sum(sample.broken is not None for sample in batch)
    return Rows(found.name(tar), columns, pictures, broken=broken)


def _spans(tar: Path) -> Mapping[str, Picture]:
    """Key → picture of a tar that has a table beside it."""
    size = tar.stat().st_size
    spans = ((s.key, _Span(tar, *s.picture).of(size)) for s in samples(tar, texts=frozenset())
             if s.picture)  # fmt: skip
    return {key: span for key, span in spans if span is not None}


def _beside(found: Found, table: Path) -> Mapping[str, Picture] | None:
    """Name, path or key → picture of the files in the table's folder; None if there are none."""
    folder = table.parent
    own = [file for file in found.pictures if file.is_relative_to(folder)]
    if not own:
        return None
    where: dict[str, Picture] = {}
    for file in own:
        where.setdefault(file.stem, file.read_bytes)
        where[file.relative_to(folder).as_posix()] = file.read_bytes
    return where


def _pictures(
    columns: Mapping[str, pa.Array], where: Mapping[str, Picture] | None, rows: int
) -> tuple[list[Picture | None], bool]:
    """The picture of each row by file name or key, and whether the table could name one."""
    naming = next((n for n in ("file_name", "key", "path", "filename") if n in columns), None)
    if where is None or naming is None:
        return [None] * rows, False
    return [where.get(name or "") for name in columns[naming].to_pylist()], True


@dataclass(frozen=True)
class _Held:
    value: pa.Scalar

    def read(self) -> bytes:
        return bytes(self.value.as_py())


@dataclass(frozen=True)
class _Span:
    path: Path
    offset: int
    size: int

    def of(self, whole: int) -> Picture | None:
        """A way to the bytes, unless the tar ends before them."""
        return self.read if self.offset + self.size <= whole else None

    def read(self) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)


def repeated(hashes: Sequence[np.ndarray[Any, np.dtype[np.uint64]]]) -> int:
    """How many of the hashed values came before."""
    whole = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
    return len(whole) - len(np.unique(whole))
