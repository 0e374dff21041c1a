"""img2dataset's output: Parquet with the pictures in it, WebDataset tars, or plain files.

Each `00000` is one shard of it: `00000.parquet` with a row for every address, also those that
failed, and the pictures in it, in `00000.tar`, or in the folder `00000`.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from curate.errors import MissingInput
from curate.sources import carried
from curate.sources.address import file_address, member_address, span_address, value_address
from curate.sources.archives import PICTURES, Sample, samples
from curate.sources.assemble import ColumnMap
from curate.sources.base import BATCH_ROWS, NAME_PATTERN, InputFile
from curate.sources.carried import ADDRESS, Carried, value_rows, with_addresses
from curate.sources.read import RawBatch
from curate.sources.text import to_text

_ALWAYS: Final = ["key", "sha256"]


class Img2dataset(Carried):
    """Rows of img2dataset's output, keyed by its `key` (name another with `columns: {id: …}`).

    `pictures` says what they are. `original`: as they were fetched, and where the output gives
    a `sha256` (it is of the fetched bytes) a picture that differs is rejected as `corrupt:sha256`.
    `resized`: as img2dataset wrote them anew, which is its default; no hash of the original remains
    then, and what a picture said of its licence is gone from it.
    """

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        id="key", url="url", path=ADDRESS, captions=("caption",), width="original_width",
        height="original_height",
    )  # fmt: skip
    WHY: ClassVar[str] = (
        "img2dataset fetches addresses and keeps the columns it is told to: a claim is one of those "
        "columns, and its rung is for the recipe to say."
    )
    WORTH: ClassVar[str] = carried.WORTH
    LIVE: ClassVar[str] = (
        "Partly: a slow test runs the real img2dataset against a loopback server and reads all three "
        "of its formats; no set of anybody else was read."
    )

    kind: Literal["img2dataset"] = "img2dataset"
    name: str = Field(default="img2dataset", pattern=NAME_PATTERN)
    pictures: Literal["original", "resized"] = "original"

    def inputs(self) -> list[InputFile]:
        """Every Parquet file and tar of the output with its hash."""
        return self.hashed(self.below(".parquet", ".tar"))

    def batches(self, wanted: list[str]) -> Iterator[RawBatch]:
        """Shard by shard; of a tar without a Parquet file beside it, what its texts say."""
        raw = list(dict.fromkeys([*(name for name in wanted if name != ADDRESS), *_ALWAYS]))
        tables = {file.with_suffix(""): file for file in self.below(".parquet")}
        tars = {file.with_suffix(""): file for file in self.below(".tar")}
        if not tables and not tars:
            raise MissingInput(
                f"source {self.name}: {self.path} holds no .parquet and no .tar file"
            )
        for shard in sorted({*tables, *tars}):
            if shard in tables:
                yield from self._from_table(tables[shard], tars.get(shard), raw)
            else:
                yield from self._from_tar(tars[shard], raw)

    def _from_table(self, table: Path, tar: Path | None, raw: list[str]) -> Iterator[RawBatch]:
        names, column = _columns(table)
        self.check_named(table, names)
        if tar is None and table.with_suffix(".tar").is_file():
            tar = table.with_suffix(".tar")  # the path is the table itself
        places = None if column else self._places(table, tar)
        try:
            for group, start, columns, rows in value_rows(table, raw, batch_rows=BATCH_ROWS):
                hashes = self._hashes(columns, rows)
                if column is not None:
                    addresses = [
                        value_address(self.inside(table), group, start + n, column, hashes[n])
                        for n in range(rows)
                    ]
                else:
                    keys = to_text(columns["key"]).values.to_pylist() if "key" in columns else []
                    found = zip(keys or [None] * rows, hashes, strict=True)
                    addresses = [self._address(tar or table, places or {}, *row) for row in found]
                yield with_addresses(rows, columns, [*addresses], raw)
        except (pa.ArrowInvalid, OSError) as error:
            raise MissingInput(f"{table} is damaged: {error}") from error

    def _places(self, table: Path, tar: Path | None) -> dict[str, Any]:
        """Key → where its picture lies: a span of the tar, or the name of a file."""
        if tar is not None:
            return {s.key: s.picture for s in _samples(tar, frozenset()) if s.picture}
        folder = table.with_suffix("")
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        return {
            Path(name).stem: self.inside(folder / name)
            for name in names
            if Path(name).suffix[1:].lower() in PICTURES
        }

    def _address(
        self, holder: Path, places: dict[str, Any], key: str | None, sha256: str | None
    ) -> str:
        place = places.get(key or "")
        if isinstance(place, str):
            return file_address(place, sha256)
        if place is None:
            return member_address(self.inside(holder), f"{key}.jpg")
        offset, size = place
        return span_address(self.inside(holder), offset, size, sha256)

    def _hashes(self, columns: Any, rows: int) -> list[str | None]:
        """The sha256 that each picture must have: none where they are written anew."""
        if self.pictures == "resized" or "sha256" not in columns:
            return [None] * rows
        found: list[str | None] = to_text(columns["sha256"]).values.to_pylist()
        return found

    def _from_tar(self, tar: Path, raw: list[str]) -> Iterator[RawBatch]:
        batch: list[Sample] = []
        for sample in _samples(tar, frozenset({"txt", "json"})):
            batch.append(sample)
            if len(batch) == BATCH_ROWS:
                yield self._batch(tar, batch, raw)
                batch = []
        if batch:
            yield self._batch(tar, batch, raw)

    def _batch(self, tar: Path, batch: list[Sample], raw: list[str]) -> RawBatch:
        said = [{"key": s.key, "caption": s.text, **s.fields} for s in batch]
        columns = {name: [row.get(name) for row in said] for name in raw}
        places = {s.key: s.picture for s in batch}
        hashes = self._hashes(columns, len(batch))
        addresses = [
            self._address(tar, places, sample.key, hashes[n]) for n, sample in enumerate(batch)
        ]
        made = with_addresses(len(batch), columns, [*addresses], raw)
        broken = {n: hashlib.sha256(s.broken).digest() for n, s in enumerate(batch) if s.broken}
        return RawBatch(made.rows, made.columns, broken)


def _samples(tar: Path, texts: frozenset[str]) -> Iterable[Sample]:
    try:
        yield from samples(tar, texts=texts)
    except (tarfile.TarError, OSError) as error:
        raise MissingInput(f"{tar} is not a readable tar: {error}") from error


def _columns(table: Path) -> tuple[list[str], str | None]:
    """The columns, and the one with the pictures: img2dataset names it by the format it encodes."""
    try:
        schema = pq.read_schema(table)
    except (pa.ArrowInvalid, OSError) as error:
        raise MissingInput(f"{table} is not a readable Parquet file: {error}") from error
    named = (field for field in schema if field.name in PICTURES)
    return schema.names, next((f.name for f in named if pa.types.is_binary(f.type)), None)
