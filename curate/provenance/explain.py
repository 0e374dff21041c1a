"""One row's whole story: what was claimed, how it was read, what was fetched, what came of it.

Everything shown was written by strangers, so control characters are made visible and nothing is
taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from curate.errors import CurateError
from curate.provenance import lines, recheck_log
from curate.provenance.artefacts import artefacts
from curate.provenance.attribute import credit_row
from curate.provenance.attribution_requests import withheld
from curate.provenance.find import find_one
from curate.provenance.places import model_name
from curate.store.dataset import Dataset
from curate.store.manifest import Shard
from curate.store.tombstones import load_log

HEAVY: Final = frozenset({"image", "thumbnail", "thumbprint", "embedded_exif", "embedded_xmp",
                          "embedded_iptc", "clip_image", "clip_text", "t5_embeddings", "latent"})  # fmt: skip
CANDIDATE: Final = ("source", "source_id", "url", "path", "landing_url", "title", "creator",
                    "creator_url", "declared_width", "declared_height", "defect")  # fmt: skip
LICENSE: Final = ("license", "license_expression", "license_basis", "license_matched",
                  "license_group", "evidence_level")  # fmt: skip
PICTURE: Final = ("original_sha256", "original_bytes", "original_format", "original_mode",
                  "original_width", "original_height", "orientation", "stored_sha256", "width",
                  "height", "pixel_sha256", "phash", "bucket_width", "bucket_height",
                  "crop_box")  # fmt: skip
MARKS: Final = ("verdict", "stage", "reason", "measured_value", "measured_text", "retryable",
                "related_key")  # fmt: skip
Shards = Mapping[str, Shard]


@dataclass(frozen=True)
class Section:
    """One chapter of a story: a title and its lines."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    """Everything a dataset knows of one row, in the order in which it happened."""

    key: str
    sections: tuple[Section, ...]

    def to_text(self) -> str:
        """The story as plain text."""
        told = [f"row {self.key}"]
        for section in self.sections:
            told += ["", section.title, *(f"  {line}" for line in section.lines)]
        return "\n".join(told)

    def __str__(self) -> str:
        return self.to_text()


def explain(path: str | Path, wanted: str) -> Story:
    """The story of the row with this key, unique beginning of a key, sha256, URL or source id.

    Of a removed row only key, reason and hashes are left, and its story says so. Raises
    MissingInput if no row fits, RecipeError naming some if several do.
    """
    dataset = Dataset.open(path)
    part, key = find_one(dataset, wanted.strip())
    shards = {
        layer.name: s for layer in dataset.manifest.layers for s in layer.shards if s.part == part
    }
    verdict = _row(dataset, shards["ledger"], "data", key) or {}
    told = _removed if verdict.get("reason") == "removed" else _told
    sections = [
        *told(dataset, shards, key, verdict),
        Section("where it is", tuple(_places(dataset, shards, key))),
        Section("made from it, in this folder", tuple(artefacts(dataset, part, key))),
    ]
    return Story(key, tuple(s if s.lines else Section(s.title, ("nothing",)) for s in sections))


def _told(
    dataset: Dataset, shards: Shards, key: str, verdict: Mapping[str, Any]
) -> Iterator[Section]:
    """The chapters of a row that is there, kept or not."""
    plan = _row(dataset, shards["plan"], "data", key) or {}
    images = shards["images"]
    image = _row(dataset, images, "data", key) or _row(dataset, images, "marks", key) or {}
    seen = _row(dataset, images, "observations", key) or {}
    decided = lines.fields(image, LICENSE) if dataset.manifest.license_audited else ["not audited"]
    yield Section("candidate", tuple(lines.fields(plan, CANDIDATE)))
    yield Section("captions", tuple(lines.captions(plan)))
    yield Section("licence claims, as found", tuple(lines.claims(plan.get("claims"))))
    yield Section("licence decision", tuple(decided))
    yield Section("asked about reservations", tuple(lines.reservations(seen)))
    yield Section("fetched", tuple(lines.observed(seen)) or ("no observation",))
    yield Section("picture", tuple(lines.fields(image, PICTURE)))
    yield Section("what the picture says of itself", tuple(lines.embedded(image)))
    yield from _passes(dataset, shards, key)
    yield Section("verdict", tuple(_verdict(dataset, verdict, key)))
    if verdict.get("verdict") == "kept":
        yield Section("credit", tuple(_credit(dataset, shards["images"].part, key)))
    if later := list(_later(dataset, key)):
        yield Section("seen later, by rechecks", tuple(later))


def _removed(
    dataset: Dataset, shards: Shards, key: str, verdict: Mapping[str, Any]
) -> Iterator[Section]:
    """What a removal leaves: verdict and hashes in the ledger, and the line of the tombstone log."""
    hashes = ("license", "original_sha256", "stored_sha256")
    yield Section("verdict", (*lines.fields(verdict, MARKS), *lines.fields(verdict, hashes)))
    found = []
    try:
        for entry in load_log(dataset.files).entries:
            if entry.key == key and not entry.is_request:
                found.append(f"{entry.time}, by {entry.selector}: {lines.printable(entry.reason)}")
    except CurateError as error:
        found.append(f"the log cannot be read: {error}")
    yield Section("removed on request", tuple(found))
    yield Section("everything else", ("erased: address, names, text, picture and features",))


def _later(dataset: Dataset, key: str) -> Iterator[str]:
    """What was found when the evidence was asked for again; the evidence above stays as it was."""
    try:
        for finding in recheck_log.read(dataset.files, key):
            yield f"{finding.at}: {lines.printable(str(finding))}"
    except CurateError as error:
        yield f"the rechecks cannot be read: {error}"


def _row(dataset: Dataset, shard: Shard, role: str, key: str) -> dict[str, Any] | None:
    """One row of a file without its heavy columns, or None."""
    entry = next((entry for entry in shard.files if entry.role == role), None)
    if entry is None:
        return None
    names = [name for name in dataset.schema(entry).names if name not in HEAVY]
    table = dataset.read(entry, names)
    rows = table.filter(pc.equal(table["key"], key)).to_pylist()
    return rows[0] if rows else None


def _passes(dataset: Dataset, shards: Shards, key: str) -> Iterator[Section]:
    """What each later layer holds of the row: a mark, or features and the models they are from."""
    for layer in dataset.manifest.layers:
        if layer.name in ("plan", "images", "ledger"):
            continue
        shard = shards[layer.name]
        data, marked = _row(dataset, shard, "data", key), _row(dataset, shard, "marks", key)
        told = list(lines.fields(marked or {}, MARKS))
        told += lines.fields(data or {}, [name for name in data or {} if name != "key"])
        if data is not None:
            told += [
                f"{kind}: {model_name(info.ref)}, digest {info.digest[:16]}"
                for kind, info in layer.models.items()
            ]
        if layer.name.startswith("verdicts/") and not told:
            told = ["passed" if _reached(dataset, shards, layer.name, key) else "did not get here"]
        yield Section(layer.name, tuple(told) or ("did not get here",))


def _reached(dataset: Dataset, shards: Shards, layer: str, key: str) -> bool:
    """Whether a row was still alive when a barrier decided: no earlier layer marked it."""
    for name, shard in shards.items():
        if name == layer:
            return True
        if name != "plan" and _row(dataset, shard, "marks", key) is not None:
            return False
    return True


def _verdict(dataset: Dataset, row: Mapping[str, Any], key: str) -> Iterator[str]:
    yield from lines.fields(row, MARKS)
    copies = []
    for table in dataset.tables("ledger", ["key", "related_key"]):
        copies += table.filter(pc.fill_null(pc.equal(table["related_key"], key), False))[
            "key"
        ].to_pylist()
    if copies:
        yield f"kept in place of {len(copies)} duplicates: {', '.join(copies[:8])}"


def _credit(dataset: Dataset, part: str, key: str) -> Iterator[str]:
    credit = credit_row(dataset, part, key, withheld(dataset))
    yield lines.printable(credit.text)
    if credit.accepted_by:
        yield f"the defaults would refuse it; the recipe's lines that do not: {credit.accepted_by}"
    if credit.missing:
        yield f"the licence asks for it and nobody stated it: {credit.missing}"


def _places(dataset: Dataset, shards: Shards, key: str) -> Iterator[str]:
    """Every file that holds the row: what a removal would have to rewrite."""
    for shard in shards.values():
        for entry in shard.files:
            if pc.any(pc.equal(dataset.read(entry, ["key"])["key"], key)).as_py():
                yield entry.path
