"""What the adapters share: a source whose columns, claims and rungs are known beforehand.

A publisher's own dump counts as its API where the recipe records the dump's address, date and
digest, the address is the publisher's and the files match it; a copy stands one rung lower.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
from pydantic import BaseModel, Field, field_validator

from curate.errors import ContractError, MissingInput, RecipeError
from curate.sources.assemble import CaptionColumn, ClaimColumn, ColumnMap, Layout, assemble
from curate.sources.base import InputFile, Source, existing, hash_file
from curate.sources.publisher import host_of, is_published_at, iso_date
from curate.sources.read import Format, RawBatch, column_names, read_rows, table_files

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Dump(BaseModel, frozen=True, extra="forbid"):
    """A publisher's own file: where it was got, when (ISO 8601), and what it was.

    `sha256` is that of the file or, of several, of the lines that `sha256sum` prints for them in
    the order of their names.
    """

    url: str = Field(pattern=r"^https?://[^\s/]+")
    date: str
    sha256: str

    @field_validator("date", mode="before")
    @classmethod
    def _iso(cls, value: object) -> object:
        return iso_date(value)

    @field_validator("sha256")
    @classmethod
    def _hex(cls, value: str) -> str:
        if not _SHA256.fullmatch(value.lower()):
            raise ValueError("a sha256 is 64 hexadecimal digits, as `sha256sum FILE` prints them")
        return value.lower()


class Adapter(Source):
    """A source whose table is known: subclasses say what its columns hold and what they are worth.

    `CLAIMS` carry the rung of a value read from the publisher, who is found at `PUBLISHED` (hosts,
    or folders of hosts); a copy loses `COPY_LOSES` rungs, 0 where the set is itself a third
    party's, so that its rung is already that of such a claim.
    Columns in `MAY_LACK` are read as empty where a file has none of that name. `DERIVED` names the
    columns that `derive` makes, and from which raw ones.
    """

    COLUMNS: ClassVar[ColumnMap]
    CAPTIONS: ClassVar[tuple[CaptionColumn, ...]] = ()
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = ()
    MAY_LACK: ClassVar[frozenset[str]] = frozenset()
    DERIVED: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    COPY_LOSES: ClassVar[int] = 1
    PUBLISHED: ClassVar[tuple[str, ...]] = ()

    path: Path
    format: Format | None = None
    dump: Dump | None = None

    def layout(self) -> Layout:
        """How the columns become candidates, on the rungs that the dump, or its lack, gives."""
        dump = self.dump
        claims = self.ranked(dump.url if dump else None)
        return Layout(
            source=self.name, columns=self.COLUMNS, licenses=claims, captions=self.CAPTIONS,
            retrieved_at=dump.date if dump else None,
            final_url=dump.url if dump else None,
            response_sha256=dump.sha256 if dump else None,
        )  # fmt: skip

    def ranked(self, place: str | None) -> tuple[ClaimColumn, ...]:
        """The claims on the rung that an address gives: a copy's, unless it is the publisher's.

        A copy that says where it was got is the word of that host.
        """
        if place is not None and is_published_at(place, self.PUBLISHED):
            return self.CLAIMS
        handed = f", as {host_of(place)} hands it on" if place is not None else ""
        return tuple(
            claim.model_copy(
                update={
                    "level": max(0, claim.level - self.COPY_LOSES),
                    "claimed_by": f"{claim.claimed_by or self.name}{handed}",
                }
            )
            for claim in self.CLAIMS
        )

    def candidates(self) -> Iterator[pa.Table]:
        """Candidate tables, files in name order, rows in file order.

        Raises MissingInput or RecipeError if the files or a column are not there, or are not the
        dump that the recipe records.
        """
        if self.dump is not None:
            check_dump(self.dump, self.inputs(), what=f"source {self.name}")
        layout = self.layout()
        for batch in self.batches(layout.wanted()):
            yield assemble(batch, layout)

    def batches(self, wanted: list[str]) -> Iterator[RawBatch]:
        """Raw rows with the wanted columns; a source that must join tables overrides it."""
        raw = list(dict.fromkeys(n for name in wanted for n in self.DERIVED.get(name, (name,))))
        for file, format in self.tables():
            for batch in read_known(file, format, raw, self.MAY_LACK):
                yield self.derive(batch) if self.DERIVED else batch

    def derive(self, batch: RawBatch) -> RawBatch:
        """The batch with the columns of `DERIVED` added."""
        raise ContractError(f"{type(self).__name__} names DERIVED columns and does not make them")

    def tables(self) -> list[tuple[Path, Format]]:
        """The files to read, sorted, each with its format."""
        return table_files(existing(self.path, what=f"source {self.name}"), self.format)

    def inputs(self) -> list[InputFile]:
        """The files with their hashes."""
        files = [file for file, _ in self.tables()]
        base = self.path.parent if self.path.is_file() else self.path
        if not files:
            raise MissingInput(f"source {self.name}: {self.path} holds no table")
        return [hash_file(file, file.relative_to(base).as_posix()) for file in files]

    def identity(self) -> dict[str, Any]:
        """Settings, and the layout: what the columns mean decides the rows as much as they do."""
        return super().identity() | {"layout": self.layout().model_dump(mode="json")}


def read_known(
    file: Path, format: Format, wanted: list[str], may_lack: frozenset[str]
) -> Iterator[RawBatch]:
    """Batches of the wanted columns; those of `may_lack` that the file has not are all null."""
    found = set(column_names(file, format)) if may_lack else set()
    lacking = [name for name in wanted if name in may_lack and name not in found]
    for batch in read_rows(file, format, [name for name in wanted if name not in lacking]):
        nulls = {name: pa.nulls(batch.rows) for name in lacking}
        yield RawBatch(batch.rows, {**batch.columns, **nulls}, batch.broken, batch.unfit)


def dump_sha256(inputs: list[InputFile]) -> str:
    """The digest that `Dump.sha256` is compared with: of the file, or of the listing of several."""
    if len(inputs) == 1:
        return inputs[0].sha256
    lines = "".join(f"{item.sha256}  {item.name}\n" for item in inputs)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def check_dump(dump: Dump, inputs: list[InputFile], *, what: str) -> None:
    """Raises RecipeError naming both digests if the files are not the dump."""
    found = dump_sha256(inputs)
    if found != dump.sha256:
        raise RecipeError(
            f"{what}: `dump` records {dump.url} with sha256 {dump.sha256}, but what lies at `path` has "
            f"{found}: give the digest of these files, get the dump again, or leave `dump` out and "
            f"its claims count as a copy's"
        )
