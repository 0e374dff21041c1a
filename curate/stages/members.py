"""Bytes of pictures below a folder: whole files, spans of archives, values of Parquet files.

Rows of one file are read together and in the file's order: each is opened once, each row group
passed once, a few values at a time. A path may not leave the folder, by `..` or by a link.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate.sources.address import Address, parse_address

_AT_ONCE: Final = 8
"""Values of a Parquet column that are in memory together, beside the page that holds them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A picture's bytes, or the reason why there are none; `text` is what was measured."""

    body: bytes | None = None
    reason: str | None = None
    text: str | None = None


Wanted = tuple[int, Address]
"""A row's number, and where its bytes lie."""


def read_all(root: Path, paths: Sequence[str | None], max_bytes: int) -> list[Found]:
    """The bytes of each path below `root` (which is resolved), in the order of the paths."""
    found = [Found(reason="malformed:path")] * len(paths)
    by_file: dict[str, list[Wanted]] = {}
    for row, path in enumerate(paths):
        if path and "\x00" not in path:
            address = parse_address(path)
            by_file.setdefault(address.file, []).append((row, address))
    for name, wanted in by_file.items():
        file = _locate(root, name)
        addresses = dict(wanted)
        if isinstance(file, str):
            answers: Iterable[tuple[int, Found]] = ((row, Found(reason=file)) for row in addresses)
        else:
            answers = _read(file, wanted, max_bytes)
        for row, answer in answers:
            found[row] = _checked(answer, addresses[row].sha256)
    return found


def _locate(root: Path, name: str) -> Path | str:
    """The regular file of that name below the root, or a reason."""
    try:
        path = (root / name).resolve()
    except (OSError, RuntimeError):  # a loop of links, a name too long
        return "missing_file"
    if not path.is_relative_to(root):
        return "malformed:path"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would never end
            return "missing_file:not_a_file"
    except (FileNotFoundError, NotADirectoryError):
        return "missing_file"
    except OSError:
        return "missing_file:unreadable"
    return path


def _read(path: Path, wanted: list[Wanted], max_bytes: int) -> Iterable[tuple[int, Found]]:
    whole = [(row, a) for row, a in wanted if a.span is None and a.value is None]
    spans = [(row, a) for row, a in wanted if a.span is not None]
    values = [(row, a) for row, a in wanted if a.value is not None]
    for row, address in whole:
        if address.member is not None:
            yield row, Found(reason="missing_file:member")
        else:
            yield row, _whole_file(path, max_bytes)
    if spans:
        yield from _spans(path, spans, max_bytes)
    if values:
        yield from _values(path, values, max_bytes)


def _whole_file(path: Path, max_bytes: int) -> Found:
    try:
        with path.open("rb") as file:
            return _capped(file.read(max_bytes + 1), max_bytes)
    except OSError:
        return Found(reason="missing_file:unreadable")


def _spans(path: Path, wanted: list[Wanted], max_bytes: int) -> Iterable[tuple[int, Found]]:
    """Spans in the order in which they lie in the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield from ((row, Found(reason="missing_file:unreadable")) for row, _ in wanted)
        return
    try:
        for row, address in sorted(wanted, key=lambda item: item[1].span or (0, 0)):
            yield row, _span(descriptor, *(address.span or (0, 0)), max_bytes)
    finally:
        os.close(descriptor)


def _span(descriptor: int, offset: int, size: int, max_bytes: int) -> Found:
    if size == 0:
        return Found(reason="missing_file:member")
    if size > max_bytes:
        return Found(reason="too_large:bytes")
    try:
        body = os.pread(descriptor, size, offset)
    except OSError:
        return Found(reason="missing_file:unreadable")
    return Found(body) if len(body) == size else Found(reason="corrupt:truncated")


def _values(path: Path, wanted: list[Wanted], max_bytes: int) -> Iterable[tuple[int, Found]]:
    """Values of a Parquet file, row group by row group."""
    try:
        file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    except (pa.ArrowInvalid, OSError):
        yield from ((row, Found(reason="corrupt:container")) for row, _ in wanted)
        return
    groups: dict[tuple[int, str], dict[int, list[int]]] = {}
    for row, address in wanted:
        group, place, column = address.value or (0, 0, "")
        groups.setdefault((group, column), {}).setdefault(place, []).append(row)
    with file:
        for (group, column), places in sorted(groups.items()):
            reason = "missing_file:member"
            try:
                if not _holds_bytes(file, column):
                    reason = "missing_file:column"
                elif group < file.num_row_groups:
                    yield from _group(file, group, column, places, max_bytes)
            except (pa.ArrowInvalid, OSError):
                reason = "corrupt:container"
            yield from ((row, Found(reason=reason)) for rows in places.values() for row in rows)


def _holds_bytes(file: pq.ParquetFile, column: str) -> bool:
    """Whether a column is binary, or a struct with binary `bytes` (an image of `datasets`)."""
    if column not in file.schema_arrow.names:
        return False
    kind = file.schema_arrow.field(column).type
    if pa.types.is_struct(kind):
        kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else pa.null()
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _group(
    file: pq.ParquetFile, group: int, column: str, places: dict[int, list[int]], max_bytes: int
) -> Iterable[tuple[int, Found]]:
    """The wanted values of one row group; places that were found are taken out of `places`."""
    start, last = 0, max(places)
    for batch in file.iter_batches(batch_size=_AT_ONCE, row_groups=[group], columns=[column]):
        values = batch.column(0)
        values = values.field("bytes") if pa.types.is_struct(values.type) else values
        for place in sorted(p for p in places if start <= p < start + len(values)):
            body = values[place - start].as_py()
            answer = _capped(body, max_bytes) if body else Found(reason="missing_file:member")
            yield from ((row, answer) for row in places.pop(place))
        start += len(values)
        if start > last:
            return


def _capped(body: bytes, max_bytes: int) -> Found:
    return Found(body) if len(body) <= max_bytes else Found(reason="too_large:bytes")


def _checked(answer: Found, sha256: str | None) -> Found:
    """The bytes only if they are those that the source says."""
    if answer.body is None or sha256 is None:
        return answer
    found = hashlib.sha256(answer.body).hexdigest()
    if found == sha256:
        return answer
    return Found(reason="corrupt:sha256", text=f"{found}, not {sha256}")
