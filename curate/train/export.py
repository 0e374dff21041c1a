"""The kept pictures for other tools: WebDataset tars, or a folder with captions and a table.

The same dataset gives the same bytes: rows in key order, no times, no owners. Every picture goes
with its captions, licence and credit, since those who train on it owe the credit too; an export is
one release, so rows that may not be handed on together are refused or left out by name.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from curate import columns as c
from curate.errors import OutputMismatch, StoreError
from curate.provenance.accepted import Accepted, Unhonoured, recipe_exceptions
from curate.provenance.attribution_requests import withheld
from curate.provenance.credit import READ, Credit, credit_of
from curate.provenance.licenses_page import LICENSES, licenses_text
from curate.provenance.licensing import licensing_of
from curate.provenance.release import Release, release, view
from curate.store.dataset import Dataset

EXPORT: Final = "EXPORT.json"
"""The file that names the dataset an export was made from and what was taken of it."""
FORMAT: Final = "curate-export/1"
SOURCES: Final = (
    c.KEY, c.SOURCE, c.SOURCE_ID, c.URL, c.LANDING_URL, c.TITLE, c.CREATOR, c.CREATOR_URL,
    c.CAPTIONS, c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_GROUP, c.EVIDENCE_LEVEL, c.WIDTH,
    c.HEIGHT, c.ORIGINAL_SHA256, c.STORED_SHA256,
)  # fmt: skip
"""What every export tells of a row, beside its credit."""
CREDITED: Final = ("credit", "license_url", "changes", "missing", "accepted_by", "exception")
"""What an export tells of a row's credit, texts all."""
_NAMING: Final = (
    c.SOURCE_ID.name, c.URL.name, c.LANDING_URL.name, c.TITLE.name, c.CREATOR.name,
    c.CREATOR_URL.name,
)  # fmt: skip
"""What leads to the author, and goes with a credit that is withheld."""
_LAYER: Final = "images"
NOT_AUDITED: Final = "not audited"
"""What stands in the place of a licence where nobody looked at one."""
Taken = tuple[dict[str, Any], str, bytes]
"""Metadata, file name and bytes of one picture."""
Described = tuple[dict[str, Any], dict[str, Any]]
"""A row as it is stored, and what stands beside it in an export: facts, licence, credit."""


@dataclass
class Told:
    """What was exported: pictures by licence, and by the recipe's lines that they rest on."""

    licenses: Counter[str] = field(default_factory=Counter)
    accepted_by: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one picture by its metadata."""
        self.licenses[row.get(c.LICENSE.name) or NOT_AUDITED] += 1
        if row["accepted_by"]:
            self.accepted_by[row["accepted_by"]] += 1


def export_webdataset(
    dataset: Dataset | str | Path, to: str | Path, *, groups: Sequence[str] | None = None,
    policy: str | Sequence[str] | None = None,
) -> int:  # fmt: skip
    """Write `<part>.tar` with `<key>.jpg|png|webp`, `<key>.txt` (first caption) and `<key>.json`.

    `groups` (open, sharealike, noncommercial) and `policy` (a policy's name, or licence ids) leave
    rows out. Returns the number of pictures. Raises ReleaseRefused, naming licences and rows, if
    what is left may not be one release; OutputMismatch if `to` holds files already.
    """
    held, chosen = opened(dataset, groups, policy)
    folder, told = empty_folder(to), Told()
    for part, rows in _parts(held, chosen):
        if not rows:
            continue
        with tarfile.open(folder / f"{part}.tar", "x", format=tarfile.USTAR_FORMAT) as tar:
            for row, name, picture in rows:
                for member, body in _members(row, name, picture):
                    _add(tar, member, body)
                told.add(row)
    return finish(held, folder, chosen, told, form="webdataset")


def export_files(
    dataset: Dataset | str | Path, to: str | Path, *, groups: Sequence[str] | None = None,
    policy: str | Sequence[str] | None = None,
) -> int:  # fmt: skip
    """Write each picture beside a `.txt` of its captions, one a line, and `metadata.jsonl`.

    The table names each picture in `file_name`, as `datasets.load_dataset("imagefolder")` reads it.
    Arguments, result and errors as of `export_webdataset`.
    """
    held, chosen = opened(dataset, groups, policy)
    folder, told = empty_folder(to), Told()
    with (folder / "metadata.jsonl").open("x", encoding="utf-8") as table:
        for _, rows in _parts(held, chosen):
            for row, name, picture in rows:
                (folder / name).write_bytes(picture)
                captions = "\n".join(" ".join(text.split()) for text in _captions(row))
                (folder / name).with_suffix(".txt").write_text(captions + "\n", encoding="utf-8")
                table.write(_json({"file_name": name, **row}) + "\n")
                told.add(row)
    return finish(held, folder, chosen, told, form="files")


def opened(
    dataset: Dataset | str | Path, groups: Sequence[str] | None, policy: str | Sequence[str] | None
) -> tuple[Dataset, Release]:
    held = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    return held, release(held, groups=groups, policy=policy)


def finish(dataset: Dataset, folder: Path, chosen: Release, told: Told, *, form: str) -> int:
    """What an export ships beside its pictures: the licences' page, and where all is from."""
    text = licenses_text(licensing_of(view(dataset, chosen.groups), told.licenses))
    (folder / LICENSES).write_text(text, encoding="utf-8")
    body = {
        "format": FORMAT, "form": form, "dataset_digest": dataset.manifest.dataset_digest,
        "manifest_digest": dataset.manifest.digest, "version": dataset.manifest.version,
        "groups": list(chosen.groups), "policy": chosen.accept, "pictures": told.licenses.total(),
        "licenses": dict(sorted(told.licenses.items())),
        "exceptions": list(recipe_exceptions(dataset)),
        "accepted_by": dict(sorted(told.accepted_by.items())),
    }  # fmt: skip
    (folder / EXPORT).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    return told.licenses.total()


def _parts(dataset: Dataset, chosen: Release) -> Iterator[tuple[str, list[Taken]]]:
    for part, rows in described(dataset, chosen, (c.IMAGE.name,)):
        yield part, [_picture(row, metadata) for row, metadata in rows]


def described(
    dataset: Dataset, chosen: Release, also: Sequence[str] = ()
) -> Iterator[tuple[str, list[Described]]]:
    """Per part of the release: its kept rows by key; a part's files are verified first.

    A row has what credits are made of and the columns `also`, of those the dataset holds.
    """
    held = view(dataset, chosen.groups)
    parts = [s for s in held.layer(_LAYER).shards if s.file("data")]
    first = next((entry for s in parts if (entry := s.file("data"))), None)
    present = held.schema(first).names if first else []
    wanted = dict.fromkeys([*(field.name for field in SOURCES), *READ, *also])
    tables = held.kept(_LAYER, [name for name in wanted if name in present])
    hidden, unhonoured = withheld(dataset), Unhonoured(dataset)
    for shard in parts:
        if entry := shard.file("data"):
            held.verify(entry)
            rows = (row for row in next(tables).to_pylist() if chosen.takes(row.get("license")))
            seen = unhonoured.of(shard)
            yield (
                shard.part,
                [(row, _metadata(row, _credit(row, hidden, seen), held)) for row in rows],
            )


def _credit(
    row: dict[str, Any], hidden: frozenset[str], seen: Mapping[str, Sequence[Accepted]]
) -> Credit:
    key = row[c.KEY.name]
    return credit_of(row, withheld=key in hidden, unhonoured=seen.get(key, ()))


def _picture(row: dict[str, Any], metadata: dict[str, Any]) -> Taken:
    image = row.get(c.IMAGE.name)
    if not image or not image["bytes"]:
        raise StoreError(f"kept row {row[c.KEY.name]} has no picture in the images layer")
    suffix = PurePosixPath(image["path"] or "").suffix or ".jpg"
    return metadata, f"{row[c.KEY.name]}{suffix}", image["bytes"]


def _metadata(row: dict[str, Any], credit: Credit, dataset: Dataset) -> dict[str, Any]:
    """What stands beside a picture: its row, and its credit as its licence asks for it."""
    told = {field.name: row[field.name] for field in SOURCES if field.name in row}
    if credit.withheld:
        told |= dict.fromkeys(name for name in _NAMING if name in told)
    if not dataset.manifest.license_audited:
        told[c.LICENSE.name] = NOT_AUDITED
    return told | {"credit": credit.text, "license_url": credit.license_url,
                   "changes": credit.changes, "missing": credit.missing,
                   "accepted_by": credit.accepted_by, "exception": credit.exception}  # fmt: skip


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


def empty_folder(to: str | Path) -> Path:
    folder = Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise OutputMismatch(f"{folder} is not empty; name a new directory for the export")
    return folder
