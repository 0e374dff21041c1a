"""The kept pictures for other tools: WebDataset tars, or a folder with captions and a table.

The same dataset gives the same bytes: rows in key order, no times, no owners. Every picture goes
with its captions, licence and credit, since those who train on it owe the credit too.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from curate import columns as c
from curate.errors import OutputMismatch, StoreError
from curate.store.dataset import Dataset

_SOURCES: Final = (
    c.KEY, c.SOURCE, c.SOURCE_ID, c.URL, c.LANDING_URL, c.TITLE, c.CREATOR, c.CREATOR_URL,
    c.CAPTIONS, c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_GROUP, c.EVIDENCE_LEVEL, c.WIDTH,
    c.HEIGHT, c.ORIGINAL_SHA256, c.STORED_SHA256, c.IMAGE,
)  # fmt: skip
_LAYER: Final = "images"
NOT_AUDITED: Final = "not audited"
"""What stands in the place of a licence where nobody looked at one."""


def export_webdataset(dataset: Dataset | str | Path, to: str | Path) -> int:
    """Write `<part>.tar` with `<key>.jpg|png|webp`, `<key>.txt` (first caption) and `<key>.json`.

    Returns the number of pictures. Raises OutputMismatch if `to` holds files already.
    """
    folder, written = _empty_folder(to), 0
    for part, rows in _parts(dataset):
        if not rows:
            continue
        with tarfile.open(folder / f"{part}.tar", "x", format=tarfile.USTAR_FORMAT) as tar:
            for row, name, picture in rows:
                for member, body in _members(row, name, picture):
                    _add(tar, member, body)
                written += 1
    return written


def export_files(dataset: Dataset | str | Path, to: str | Path) -> int:
    """Write each picture beside a `.txt` of its captions, one a line, and `metadata.jsonl`.

    The table names each picture in `file_name`, as `datasets.load_dataset("imagefolder")` reads it.
    Returns the number of pictures. Raises OutputMismatch if `to` holds files already.
    """
    folder, written = _empty_folder(to), 0
    with (folder / "metadata.jsonl").open("x", encoding="utf-8") as table:
        for _, rows in _parts(dataset):
            for row, name, picture in rows:
                (folder / name).write_bytes(picture)
                captions = "\n".join(" ".join(text.split()) for text in _captions(row))
                (folder / name).with_suffix(".txt").write_text(captions + "\n", encoding="utf-8")
                table.write(_json({"file_name": name, **row}) + "\n")
                written += 1
    return written


def _parts(
    dataset: Dataset | str | Path,
) -> Iterator[tuple[str, list[tuple[dict[str, Any], str, bytes]]]]:
    """Per part: metadata, file name and bytes of each kept picture, by key."""
    held = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    parts = [s for s in held.layer(_LAYER).shards if s.file("data")]
    first = next((entry for s in parts if (entry := s.file("data"))), None)
    present = held.schema(first).names if first else []
    columns = [field.name for field in _SOURCES if field.name in present]
    tables = held.kept(_LAYER, columns)
    told = {} if held.manifest.license_audited else {c.LICENSE.name: NOT_AUDITED}
    for shard in parts:
        if entry := shard.file("data"):
            held.verify(entry)
            rows = (told | row for row in next(tables).to_pylist())
            yield shard.part, [_picture(row) for row in rows]


def _picture(row: dict[str, Any]) -> tuple[dict[str, Any], str, bytes]:
    image = row.pop(c.IMAGE.name)
    if not image or not image["bytes"]:
        raise StoreError(f"kept row {row[c.KEY.name]} has no picture in the images layer")
    suffix = PurePosixPath(image["path"] or "").suffix or ".jpg"
    return row, f"{row[c.KEY.name]}{suffix}", image["bytes"]


def _members(row: dict[str, Any], name: str, picture: bytes) -> Iterator[tuple[str, bytes]]:
    key = row[c.KEY.name]
    yield name, picture
    yield f"{key}.json", _json(row).encode()
    yield f"{key}.txt", next(iter(_captions(row)), "").encode()


def _captions(row: dict[str, Any]) -> list[str]:
    return [caption["text"] for caption in row.get(c.CAPTIONS.name) or [] if caption["text"]]


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    """A member without time or owner, so that equal content is an equal tar."""
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(body), 0, 0o644
    tar.addfile(member, io.BytesIO(body))


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _empty_folder(to: str | Path) -> Path:
    folder = Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise OutputMismatch(f"{folder} is not empty; name a new directory for the export")
    return folder
