"""Members of WebDataset tars, by sample: names, sizes and places, without reading the pictures."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PICTURES: Final = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
_MAX_TEXT_BYTES: Final = 1024 * 1024


@dataclass
class Sample:
    """What one key has in an archive; `picture` is (offset, bytes) of the first picture."""

    key: str
    picture: tuple[int, int] | None = None
    text: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    broken: bytes | None = None


def samples(path: Path, *, texts: frozenset[str] = frozenset({"txt", "json"})) -> Iterator[Sample]:
    """The samples of a tar in its order; members of one key lie side by side.

    `texts` are the suffixes that are read. A truncated tar ends with its last whole header.
    """
    sample: Sample | None = None
    with tarfile.open(path, "r:") as tar:
        while (info := _next(tar)) is not None:
            tar.members.clear()  # type: ignore[attr-defined]
            if not info.isreg() or info.sparse is not None:
                continue
            folder, slash, name = info.name.rpartition("/")
            stem, _, suffix = name.partition(".")
            key = f"{folder}{slash}{stem}"
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = Sample(key)
            _take(sample, tar, info, suffix.lower(), texts)
    if sample is not None:
        yield sample


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return tar.next()
    except tarfile.ReadError:
        return None


def _take(
    sample: Sample, tar: tarfile.TarFile, info: tarfile.TarInfo, suffix: str, texts: frozenset[str]
) -> None:
    if suffix in PICTURES:
        sample.picture = sample.picture or (info.offset_data, info.size)
    elif suffix in texts and info.size <= _MAX_TEXT_BYTES:
        member = tar.extractfile(info)
        body = member.read() if member is not None else b""
        if suffix == "txt":
            sample.text = body.decode("utf-8", "surrogateescape")
        else:
            _fields(sample, body)


def _fields(sample: Sample, body: bytes) -> None:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        sample.fields = told
    else:
        sample.broken = body
