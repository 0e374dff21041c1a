"""Candidates from a folder of pictures, with captions from the usual files beside them.

A folder says nothing about licences, so it makes no claim; only its owner can, by a declaration
that is kept as what it is: one person's statement, never found evidence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, Field

from curate.errors import MissingInput
from curate.license.evidence import DECLARATION
from curate.sources.assemble import ClaimColumn, ColumnMap, Layout, assemble
from curate.sources.base import BATCH_ROWS, InputFile, Source, existing, hash_file, hash_listing
from curate.sources.read import RawBatch, column_names, read_rows, table_files
from curate.sources.text import MAX_BYTES, to_entries, to_text

PICTURES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
)
METADATA: Final = ("metadata.jsonl", "metadata.csv", "captions.jsonl", "captions.csv")
FILE_COLUMNS: Final = ("file_name", "filename", "file", "path", "image")
CAPTION_COLUMNS: Final = ("text", "caption", "captions", "prompt", "description", "alt_text", "alt")


class Declaration(BaseModel, frozen=True, extra="forbid"):
    """What a rights holder states about the pictures of a folder: licence, name, own words."""

    license: str = Field(min_length=1)
    by: str = Field(min_length=1)
    statement: str = Field(min_length=1)


class Folder(Source):
    """The pictures below a folder, one candidate a picture, named by its relative path.

    Captions come from `metadata.jsonl`, `metadata.csv`, `captions.jsonl` or `captions.csv` (a
    column `file_name` and one of `text`, `caption`, …) and from a `.txt` beside the picture, one
    caption a line. A caption row for a picture that is not there becomes a candidate too: it
    fails later as a missing file instead of vanishing.
    """

    WHY: ClassVar[str] = (
        "L0: files say nothing of licences, and a declaration is no found evidence."
    )
    WORTH: ClassVar[str] = (
        "Nothing without `declare`; with it, the word of the person it names. Use it for pictures "
        "of your own. Every output counts the rows that rest on a declaration."
    )

    LIVE: ClassVar[str] = "Yes: it is the files you have."

    kind: Literal["folder"] = "folder"
    name: str = Field(default="folder", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    path: Path
    declare: Declaration | None = None
    caption_origin: Literal["source", "own", "model"] = "source"
    caption_language: str | None = None

    def candidates(self) -> Iterator[pa.Table]:
        """Candidate tables in path order. Raises MissingInput if the folder holds no picture."""
        pictures = self._pictures()
        captions, broken = _metadata(self._root())
        names = [*pictures, *sorted(set(captions) - set(pictures))]
        if not names and not broken:
            raise MissingInput(f"{self.path} holds no picture ({', '.join(sorted(PICTURES))})")
        for start in range(0, len(names), BATCH_ROWS):
            part = names[start : start + BATCH_ROWS]
            texts = [captions.get(name, []) + _sidecar(self._root() / name) for name in part]
            yield assemble(self._raw(part, texts, {}), self._layout())
        if broken:
            yield assemble(
                self._raw([None] * len(broken), [[]] * len(broken), dict(enumerate(broken))),
                self._layout(),
            )

    def inputs(self) -> list[InputFile]:
        """Caption files by content and the pictures as one entry, by their names and sizes.

        The pictures' own hashes are taken when they are read and stored row by row.
        """
        root = self._root()
        sizes = {name: os.lstat(root / name).st_size for name in self._pictures()}
        listing = hash_listing(
            (f"{size} {name}" for name, size in sizes.items()), "pictures", sum(sizes.values())
        )
        texts = [Path(name).with_suffix(".txt") for name in sizes]
        side = sorted({text.as_posix() for text in texts if (root / text).is_file()})
        hashes = [hash_file(root / text, text) for text in side]
        sidecars = hash_listing(
            (f"{h.sha256} {h.name}" for h in hashes), "captions", sum(h.bytes for h in hashes)
        )
        tables = [hash_file(root / name, name) for name in METADATA if (root / name).is_file()]
        return [*tables, listing, *([sidecars] if hashes else [])]

    def files_root(self) -> Path:
        return self._root()

    def _root(self) -> Path:
        root = existing(self.path, what=f"source {self.name}")
        if not root.is_dir():
            raise MissingInput(
                f"source {self.name}: {root} is a file; a folder of pictures is wanted"
            )
        return root

    def _pictures(self) -> list[str]:
        """Relative paths of the pictures, sorted; hidden names and linked folders are left out."""
        root = self._root()
        found: list[str] = []
        for folder, inner, files in os.walk(root):
            inner[:] = [name for name in inner if not name.startswith(".")]
            base = Path(folder).relative_to(root)
            for name in files:
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURES:
                    found.append((base / name).as_posix())
        return sorted(found)

    def _layout(self) -> Layout:
        columns = ColumnMap(id="path", path="path", captions=("captions",))
        licenses: tuple[ClaimColumn, ...] = ()
        if self.declare is not None:
            licenses = (
                ClaimColumn(
                    column="declared", kind=DECLARATION, level=0, claimed_by=self.declare.by,
                    locator=f"declared in the recipe: {self.declare.statement}",
                ),
            )  # fmt: skip
        return Layout(
            source=self.name, columns=columns, licenses=licenses,
            caption_origin=self.caption_origin, caption_language=self.caption_language,
        )  # fmt: skip

    def _raw(
        self, names: list[str] | list[None], captions: list[list[object]], broken: dict[int, bytes]
    ) -> RawBatch:
        columns: dict[str, list[object]] = {"path": list(names), "captions": list(captions)}
        if self.declare is not None:
            columns["declared"] = [self.declare.license] * len(names)
        return RawBatch(len(names), columns, broken)


def _sidecar(picture: Path) -> list[object]:
    """Captions of the `.txt` beside a picture, a line each; unreadable text stays as bytes."""
    path = picture.with_suffix(".txt")
    if not path.is_file():
        return []
    with path.open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    try:
        return [line.strip() for line in raw.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        return [raw]


def _metadata(root: Path) -> tuple[dict[str, list[object]], list[bytes]]:
    """Captions by relative path, from every caption table at the root, and the broken rows."""
    captions: dict[str, list[object]] = {}
    broken: list[bytes] = []
    for name in METADATA:
        path = root / name
        if path.is_file():
            found, bad = _caption_table(path)
            broken += bad
            for file, texts in found:
                captions.setdefault(file, []).extend(texts)
    return captions, broken


def _caption_table(path: Path) -> tuple[list[tuple[str, list[object]]], list[bytes]]:
    [(file, format)] = table_files(path, None)
    found = column_names(file, format)
    files = next((name for name in FILE_COLUMNS if name in found), None)
    texts = next((name for name in CAPTION_COLUMNS if name in found), None)
    if files is None or texts is None:
        raise MissingInput(
            f"{path} has the columns {', '.join(map(repr, found))}; wanted: one of {', '.join(FILE_COLUMNS)} "
            f"and one of {', '.join(CAPTION_COLUMNS)}"
        )
    pairs: list[tuple[str, list[object]]] = []
    broken: list[bytes] = []
    for batch in read_rows(file, format, [files, texts]):
        names = to_text(batch.columns[files])
        rows, entries = to_entries(batch.columns[texts])
        said: dict[int, list[object]] = {}
        for row, entry in zip(rows.tolist(), entries.values.to_pylist(), strict=True):
            said.setdefault(row, []).extend([entry] if entry is not None else [])
        for row in entries.bad:
            said.setdefault(row, []).append(b"\xff")
        for row, name in enumerate(names.values.to_pylist()):
            if name is None or row in batch.broken:
                broken.append(batch.broken.get(row) or names.bad.get(row) or bytes([row % 256]))
            else:
                pairs.append((name, said.get(row, [])))
    return pairs, broken
