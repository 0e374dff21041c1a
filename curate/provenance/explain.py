"""One row's whole story: what was claimed, how it was read, what was fetched, what came of it.

Everything shown was written by strangers, so control characters are made visible and nothing is
taken for markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from curate import columns as c
from curate.provenance.find import find_one
from curate.provenance.places import model_name
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

LONGEST_VALUE: Final = 400
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
        lines = [f"row {self.key}"]
        for section in self.sections:
            lines += ["", section.title, *(f"  {line}" for line in section.lines)]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()


def explain(path: str | Path, wanted: str) -> Story:
    """The story of the row with this key, unique beginning of a key, sha256, URL or source id.

    Raises MissingInput if no row fits, RecipeError naming some if several do.
    """
    dataset = Dataset.open(path)
    part, key = find_one(dataset, wanted.strip())
    shards = {
        layer.name: s for layer in dataset.manifest.layers for s in layer.shards if s.part == part
    }
    plan = _row(dataset, shards["plan"], "data", key) or {}
    image = (
        _row(dataset, shards["images"], "data", key)
        or _row(dataset, shards["images"], "marks", key)
        or {}
    )
    observed = _row(dataset, shards["images"], "observations", key)
    audited = dataset.manifest.license_audited
    sections = [
        Section("candidate", tuple(_fields(plan, CANDIDATE))),
        Section("captions", tuple(_captions(plan))),
        Section("licence claims, as found", tuple(_claims(plan))),
        Section(
            "licence decision", tuple(_fields(image, LICENSE)) if audited else ("not audited",)
        ),
        Section("fetched", tuple(_observed(observed)) if observed else ("no observation",)),
        Section("picture", tuple(_fields(image, PICTURE))),
        *_passes(dataset, shards, key),
        Section("verdict", tuple(_verdict(dataset, shards["ledger"], key))),
        Section("where it is", tuple(_places(dataset, shards, key))),
    ]
    return Story(key, tuple(s if s.lines else Section(s.title, ("nothing",)) for s in sections))


def _row(dataset: Dataset, shard: Shard, role: str, key: str) -> dict[str, Any] | None:
    """One row of a file without its heavy columns, or None."""
    entry = next((entry for entry in shard.files if entry.role == role), None)
    if entry is None:
        return None
    names = [name for name in dataset.schema(entry).names if name not in HEAVY]
    table = dataset.read(entry, names)
    rows = table.filter(pc.equal(table["key"], key)).to_pylist()
    return rows[0] if rows else None


def _fields(row: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if row.get(name) is not None:
            yield f"{name.replace('_', ' ')}: {printable(row[name])}"


def _captions(row: Mapping[str, Any]) -> Iterator[str]:
    for caption in row.get("captions") or []:
        notes = [caption["origin"], caption["model"], caption["language"]]
        yield f"{printable(caption['text'])}  ({', '.join(printable(n) for n in notes if n)})"


def _claims(row: Mapping[str, Any]) -> Iterator[str]:
    """Each claim with who made it and where, and how its words are read."""
    from curate.license import parse

    for claim in row.get("claims") or []:
        where = printable(claim["locator"]) + (
            f", {claim['retrieved_at']}" if claim["retrieved_at"] else ""
        )
        yield f"L{claim['level']} {claim['kind']}: {printable(claim['value'])}"
        yield f"   claimed by {printable(claim['claimed_by'])} at {where}"
        if claim["kind"] == "declaration":
            yield "   kept as a declaration, not as found evidence"
            continue
        parsed = parse(claim["value"], claim["kind"])
        yield f"   read as {parsed.token} ({parsed.reason})"


def _observed(row: Mapping[str, Any]) -> Iterator[str]:
    names = [f.name for f in (c.OBSERVED_AT, c.HTTP_STATUS, c.FINAL_URL, c.FETCH_ATTEMPTS,
                              c.FETCH_SECONDS, c.RESPONSE_HEADERS)]  # fmt: skip
    return _fields(row, names)


def _passes(dataset: Dataset, shards: Mapping[str, Shard], key: str) -> Iterator[Section]:
    """What each later layer holds of the row: a mark, or features and the models they are from."""
    for layer in dataset.manifest.layers:
        if layer.name in ("plan", "images", "ledger"):
            continue
        shard = shards[layer.name]
        data, marked = _row(dataset, shard, "data", key), _row(dataset, shard, "marks", key)
        lines = list(_fields(marked or {}, MARKS))
        lines += _fields(data or {}, [name for name in data or {} if name != "key"])
        if data is not None:
            lines += [
                f"{kind}: {model_name(info.ref)}, digest {info.digest[:16]}"
                for kind, info in layer.models.items()
            ]
        if layer.name.startswith("verdicts/") and not lines:
            lines = ["passed" if _reached(dataset, shards, layer.name, key) else "did not get here"]
        yield Section(layer.name, tuple(lines) or ("did not get here",))


def _reached(dataset: Dataset, shards: Mapping[str, Shard], layer: str, key: str) -> bool:
    """Whether a row was still alive when a barrier decided: no earlier layer marked it."""
    for name, shard in shards.items():
        if name == layer:
            return True
        if name != "plan" and _row(dataset, shard, "marks", key) is not None:
            return False
    return True


def _verdict(dataset: Dataset, ledger: Shard, key: str) -> Iterator[str]:
    yield from _fields(_row(dataset, ledger, "data", key) or {}, MARKS)
    copies = []
    for table in dataset.tables("ledger", ["key", "related_key"]):
        copies += table.filter(pc.fill_null(pc.equal(table["related_key"], key), False))[
            "key"
        ].to_pylist()
    if copies:
        yield f"kept in place of {len(copies)} duplicates: {', '.join(copy[:16] for copy in copies[:8])}"


def _places(dataset: Dataset, shards: Mapping[str, Shard], key: str) -> Iterator[str]:
    """Every file that holds the row: what a removal would have to rewrite."""
    for shard in shards.values():
        for entry in shard.files:
            if pc.any(pc.equal(dataset.read(entry, ["key"])["key"], key)).as_py():
                yield entry.path


def printable(value: Any) -> str:
    """Any value as one short line of printable characters."""
    text = value if isinstance(value, str) else repr(value)
    shown = "".join(ch if ch.isprintable() else ascii(ch)[1:-1] for ch in text[:LONGEST_VALUE])
    return shown + (f"… ({len(text)} characters)" if len(text) > LONGEST_VALUE else "")
