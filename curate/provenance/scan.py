"""One file's content, of whatever kind, searched for what a tombstone log knows.

The kind is told by the first bytes, never by the name: Parquet and Arrow by cells, archives by
members, pictures by pixels, JSON by values, everything else by its raw bytes, in which pictures
may begin anywhere (a half-written shard has no footer, but its pictures are there).
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import mmap
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate import columns as c
from curate.columns import role_of
from curate.images.decode import sniff
from curate.provenance.known import Bytes, Known, Match, hidden_pictures, strings_of

BATCH_ROWS: Final = 256
TEXT_BYTES: Final = 1 << 27
"""A longer text is searched for names as it stands; JSON in it is not taken apart."""
UNPACKED_BYTES: Final = 1 << 31
DEPTH: Final = 4
PACKED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
ZIP: Final = b"PK\3\4"
DAMAGE: Final = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, pa.ArrowException,
                 tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)  # fmt: skip


@dataclass(frozen=True)
class Unread:
    """Something that could not be looked into, and why."""

    why: str


Found = Iterator[Match | Unread]


def scan(known: Known, data: Bytes, name: str, *, names: bool, depth: int = 0) -> Found:
    """Everything in `data` that the log knows; `names` is false where keys and hashes may stand."""
    yield from known.in_bytes(data, "the whole of it")
    head = bytes(data[:16])
    if head.startswith((b"PAR1", b"ARROW1")):
        yield from _table(known, data, names=names)
    elif head.startswith((*PACKED, ZIP)) or _is_tar(data):
        yield from _archive(known, data, name, names=names, depth=depth)
    elif sniff(bytes(data[:512])) is not None:
        yield from known.in_pictures([("the picture", bytes(data))])
        yield from known.in_text(data, names=names)
    else:
        yield from _raw(known, data, names=names)


# --- text and bytes -------------------------------------------------------------------------------
def _raw(known: Known, data: Bytes, *, names: bool) -> Found:
    binary = b"\0" in bytes(data[: 1 << 16])
    yield from known.in_text(data, names=names)
    yield from known.in_pictures(hidden_pictures(data, carve=binary))
    if binary:
        return
    values = list(_values(data)) if len(data) <= TEXT_BYTES and bytes(data[:1]) in b"[{" else []
    for where, text in values:
        yield from known.in_cell(text, where)
    if known.creators and not values:
        yield from _lines(known, data)


def _values(data: Bytes) -> Iterator[tuple[str, str]]:
    """Strings of a JSON text, or of one JSON value a line; nothing if it is neither."""
    text = bytes(data[:]).decode("utf-8", "replace")
    try:
        yield from strings_of(json.loads(text))
        return
    except (ValueError, RecursionError):
        pass
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            yield from strings_of(json.loads(line), f"line {number}")
        except (ValueError, RecursionError):
            continue


def _lines(known: Known, data: Bytes) -> Iterator[Match]:
    """Creators in the lines of a text, of HTML with its entities resolved."""
    import html

    stream = io.BytesIO(data) if isinstance(data, bytes) else _reader(data)
    for number, line in enumerate(stream, start=1):
        told = html.unescape(line.decode("utf-8", "replace"))
        for piece in told.replace("<", "\n").replace(">", "\n").replace(",", "\n").split("\n"):
            yield from known.in_words(piece, f"line {number:,}")
        if "," in told and "<" not in told:
            yield from known.in_words(told, f"line {number:,}")


def _reader(data: mmap.mmap) -> Iterator[bytes]:
    data.seek(0)
    return iter(data.readline, b"")


# --- archives -------------------------------------------------------------------------------------
def _is_tar(data: Bytes) -> bool:
    return bytes(data[257:262]) == b"ustar"


def _archive(known: Known, data: Bytes, name: str, *, names: bool, depth: int) -> Found:
    """Members of a tar or zip, the content of a packed file, each searched as a file of its own."""
    if depth >= DEPTH:
        yield Unread(f"archives within archives, more than {DEPTH} deep")
        return
    try:
        for member, content in _members(data):
            for match in known.in_text(member.encode(errors="surrogateescape")):
                yield Match(f"{member}, its name", match.what, match.line)
            if len(content) > UNPACKED_BYTES:
                yield Unread(f"{member} is larger than {UNPACKED_BYTES:,} bytes unpacked")
                continue
            for found in scan(known, content, member, names=names, depth=depth + 1):
                told = f"{member}, " if member else ""
                yield Match(told + found.where, found.what, found.line) if isinstance(found, Match) else found  # fmt: skip
    except DAMAGE as error:
        yield Unread(f"the archive does not open: {error}")
        yield from _raw(known, data, names=names)


def _members(data: Bytes) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each member; the content of a packed file has no name."""
    raw, head = _Window(data), bytes(data[:8])
    if head.startswith(PACKED):
        yield "", _unpacked(raw, head)
    elif head.startswith(ZIP):
        with zipfile.ZipFile(raw) as archive:
            for info in archive.infolist():
                with archive.open(info) as stream:
                    yield info.filename, stream.read(UNPACKED_BYTES + 1)
    else:
        with tarfile.open(fileobj=raw, mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                yield member.name, file.read(UNPACKED_BYTES + 1) if file else b""


def _unpacked(raw: io.RawIOBase, head: bytes) -> bytes:
    if head.startswith(b"BZh"):
        with bz2.BZ2File(raw) as packed:
            return packed.read(UNPACKED_BYTES + 1)
    if head.startswith(b"\xfd7zXZ"):
        with lzma.LZMAFile(raw) as packed_xz:  # type: ignore[arg-type]
            return packed_xz.read(UNPACKED_BYTES + 1)
    with gzip.GzipFile(fileobj=raw) as packed_gz:
        return packed_gz.read(UNPACKED_BYTES + 1)


class _Window(io.RawIOBase):
    """A file over bytes that are mapped, not read."""

    def __init__(self, data: Bytes) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._data[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


# --- tables ---------------------------------------------------------------------------------------
def _table(known: Known, data: Bytes, *, names: bool) -> Found:
    """A Parquet or Arrow file cell by cell; one that does not open, by its raw bytes."""
    try:
        for start, batch in _batches(data):
            yield from _batch(known, batch, start, names=names)
    except DAMAGE:
        yield from _raw(known, data, names=names)


def _batches(data: Bytes) -> Iterator[tuple[int, pa.Table]]:
    source = pa.BufferReader(pa.py_buffer(data))
    start = 0
    if bytes(data[:4]) == b"PAR1":
        file = pq.ParquetFile(source)
        wanted = [field.name for field in file.schema_arrow if role_of(field) != "model"]
        batches = file.iter_batches(batch_size=BATCH_ROWS, columns=wanted)
    else:
        reader = pa.ipc.open_file(source)
        batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
    for batch in batches:
        yield start, pa.Table.from_batches([batch])
        start += len(batch)


def _batch(known: Known, table: pa.Table, start: int, *, names: bool) -> Iterator[Match]:
    keys = table[c.KEY.name].to_pylist() if c.KEY.name in table.column_names else []

    def where(column: str, row: int) -> str:
        told = f", key {str(keys[row])[:16]}…" if keys else ""
        return f"row {start + row:,}, column {column}{told}"

    for name in table.column_names:
        for row, value in enumerate(table[name].to_pylist()):
            for leaf in _leaves(value):
                if isinstance(leaf, str):
                    yield from _text_cell(known, leaf, where(name, row), names=names)
                else:
                    yield from _bytes_cell(known, leaf, where(name, row))
    yield from _prints(known, table, where)


def _leaves(value: Any) -> Iterator[str | bytes]:
    """Texts and bytes of a cell, of lists and structs too."""
    if isinstance(value, str | bytes):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)


def _text_cell(known: Known, text: str, where: str, *, names: bool) -> Iterator[Match]:
    data = text.encode(errors="surrogatepass")
    found = [*known.in_text(data, names=names)]
    found += known.in_pictures(hidden_pictures(data, carve=False)) if len(data) > 64 else ()
    yield from (Match(where, match.what, match.line) for match in found)
    yield from known.in_cell(text, where)


def _bytes_cell(known: Known, data: bytes, where: str) -> Iterator[Match]:
    if sniff(data) is not None:
        yield from known.in_bytes(data, where)
        yield from known.in_pictures([(where, data)])
    elif len(data) > 64:
        found = [*known.in_text(data), *known.in_pictures(hidden_pictures(data, carve=True))]
        yield from (Match(where, match.what, match.line) for match in found)


def _prints(known: Known, table: pa.Table, where: Callable[[str, int], str]) -> Iterator[Match]:
    """Perceptual hashes with their thumbprints, where both columns are there."""
    names = (c.PHASH.name, c.THUMBPRINT.name)
    if not set(names) <= set(table.column_names):
        return
    if [table.schema.field(name).type for name in names] != [c.PHASH.type, c.THUMBPRINT.type]:
        return
    pairs = zip(*(table[name].to_pylist() for name in names), strict=True)
    given = [(where(names[1], row), *pair) for row, pair in enumerate(pairs) if None not in pair]
    yield from known.in_prints(given)
