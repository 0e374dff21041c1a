"""What every source is: a frozen value that yields candidate rows and names its inputs.

Locations (where the files lie) are no part of a source's identity: the same files elsewhere are
the same source, and the content of the inputs is fingerprinted by hash instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, Field

from curate.errors import ContractError, MissingInput
from curate.store.digest import file_sha256

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
BATCH_ROWS = 8192


class InputFile(BaseModel, frozen=True, extra="forbid"):
    """One file that a source read: its name below the source's location, size and sha256."""

    name: str
    bytes: int
    sha256: str


class Source(BaseModel, frozen=True, extra="forbid"):
    """Candidate rows of one origin; subclasses carry a `kind: Literal[...]` field.

    `name` goes into every key of the source, so renaming a source makes new keys.
    """

    LOCATIONS: ClassVar[frozenset[str]] = frozenset({"path", "root"})
    WHY: ClassVar[str] = ""  # why its claims stand on the rung they stand on, in a sentence
    WORTH: ClassVar[str] = ""  # what its licence claim is worth, for docs/sources.md and cards
    LIVE: ClassVar[str] = "Not run live: the tests read rows of our own in its columns."

    name: str = Field(pattern=NAME_PATTERN)

    def candidates(self) -> Iterator[pa.Table]:
        """Tables of schema `columns.CANDIDATE`, at most BATCH_ROWS rows each, one row a candidate.

        Unusable rows come out with a `defect` instead of raising. Keys may repeat when ids do:
        `keys.settle_repeats` gives the repeats keys of their own.
        """
        raise ContractError(f"{type(self).__name__} does not implement candidates()")

    def inputs(self) -> list[InputFile]:
        """The files the rows come from, sorted by name. Raises MissingInput if there are none."""
        raise ContractError(f"{type(self).__name__} does not implement inputs()")

    def files_root(self) -> Path | None:
        """The folder that `path` values of the candidates are relative to, if there is one."""
        return None

    def portable(self) -> dict[str, Any]:
        """The settings as a record keeps them: of locations, the last name only."""
        told = self.model_dump(mode="json")
        given = {name: told[name] for name in self.LOCATIONS if told.get(name)}
        return told | {name: Path(place).name for name, place in given.items()}

    def identity(self) -> dict[str, Any]:
        """What the fingerprint covers: every setting except the locations."""
        return self.model_dump(mode="json", exclude=set(self.LOCATIONS))


def hash_file(path: Path, name: str) -> InputFile:
    """The InputFile of a file on disk."""
    return InputFile(name=name, bytes=path.stat().st_size, sha256=file_sha256(path))


def hash_listing(lines: Iterable[str], name: str, total_bytes: int) -> InputFile:
    """An InputFile that stands for many files: the sha256 is over one line a file."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return InputFile(name=name, bytes=total_bytes, sha256=digest.hexdigest())


def existing(path: Path | None, *, what: str) -> Path:
    """The path, if something is there. Raises MissingInput saying what was wanted and where."""
    if path is None:
        raise MissingInput(
            f"{what}: no path given; set `path` in the recipe or on the command line"
        )
    if not path.exists():
        raise MissingInput(f"{what}: {path} does not exist; check the path in the recipe")
    return path
