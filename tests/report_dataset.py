"""A small finished dataset for the report's tests, written with the real store.

Scenes of the demo generator, every kind of verdict, hostile strings in the metadata.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate import columns as c
from curate.demo.scenes import caption, draw, random_scene
from curate.images.encode import encode, thumbnail
from curate.store.commit import Commit, commit_shard
from curate.store.files import LocalFiles
from curate.store.manifest import (
    MANIFEST,
    RECORD,
    Counts,
    Manifest,
    ModelInfo,
    bytes_digest,
    dataset_digest,
    layer_of,
    record_bytes,
)

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)> \"quoted\" & 'so'"
THRESHOLD = 0.21
LICENSES = (
    ("CC-BY-4.0", "open", 5), ("CC0-1.0", "open", 5), ("CC-BY-SA-4.0", "sharealike", 4),
    ("CC-BY-2.0", "open", 3), ("CC-PDM-1.0", "open", 3), ("CC-BY-SA-3.0-DE", "sharealike", 3),
)  # fmt: skip
NOT_FETCHED = {
    "license:unknown": 18, "license:ambiguous": 11, "license:policy": 16, "license:contradictory": 6,
    "reservation:x_robots_tag": 5, "http:404": 7, "timeout": 3, "not_an_image:html": 4,
    "corrupt:truncated": 4,
}  # fmt: skip
FAILED = ("http", "timeout", "connection")
WITH_PICTURE = {"too_small": 6, "aspect": 5}


@dataclass
class Row:
    """One candidate with everything the layers will hold of it."""

    key: str
    part: str
    candidate: dict[str, Any]
    license: str | None
    group: str
    level: int | None
    jpeg: bytes | None = None
    pixels: Any = None
    verdict: str = "kept"
    reason: str | None = None
    stage: str | None = None
    value: float | None = None
    text: str | None = None
    related: str | None = None
    score: float = 0.0

    def marks(self) -> dict[str, Any]:
        return {
            "key": self.key, "verdict": None if self.verdict == "kept" else self.verdict,
            "reason": self.reason, "retryable": self.reason == "timeout", "stage": self.stage,
            "measured_value": self.value, "measured_text": self.text, "related_key": self.related,
        }  # fmt: skip


@dataclass
class Written:
    """Where the dataset lies and what was put into it."""

    root: Path
    rows: list[Row] = field(default_factory=list)

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if (row.reason or "kept").partition(":")[0] == kind]


def write_dataset(
    root: Path, *, rows: int = 300, seed: int = 7, audited: bool = True, vae: Any = None,
    vae_ref: str = "", floor: int = 3,
) -> Written:  # fmt: skip
    """Write the dataset; `vae` is a loaded Vae whose latents are stored, or None for no latents."""
    rng = np.random.default_rng(seed)
    made = [_row(rng, number, audited=audited, floor=floor) for number in range(rows)]
    _mark(made, rng)
    made.sort(key=lambda row: row.key)
    files = LocalFiles(root)
    layers = _layers(files, made, vae, audited=audited)
    _publish(files, made, layers, audited=audited, models=_models(vae, vae_ref))
    return Written(root, made)


def _row(rng: np.random.Generator, number: int, *, audited: bool, floor: int) -> Row:
    key = hashlib.sha256(f"test\0{number}".encode()).hexdigest()
    scene = random_scene(rng)
    license_id, group, level = LICENSES[int(rng.integers(len(LICENSES)))]
    level = floor if level == 3 else level
    picture = draw(scene, (96, 80) if number % 5 == 0 else 96)
    words = HOSTILE if number % 40 == 1 else caption(scene, rng)
    text = {
        "text": words,
        "origin": "source",
        "model": None,
        "model_digest": None,
        "language": "en",
    }
    hostile = number % 3 == 1
    candidate = {
        "key": key, "source": "test", "source_id": str(number),
        "url": f"http://127.0.0.1:1/{number}.jpg", "path": None,
        "landing_url": "javascript:alert(1)" if hostile else f"https://example.org/p/{number}",
        "title": None if number % 7 == 0 else (HOSTILE if number % 41 == 1 else f"Scene {number}"),
        "creator": None if number % 11 == 0 else f"Painter {number % 17}",
        "creator_url": "java\nscript:alert(1)" if hostile else "https://example.org/u/1",
        "captions": [text], "claims": [], "declared_width": None, "declared_height": None,
        "defect": None,
    }  # fmt: skip
    return Row(
        key, f"{int(key[0], 16) >> 3:b}-{group if audited else 'open'}", candidate,
        license_id if audited else None, group, level if audited else None,
        jpeg=encode(picture, quality=90), pixels=picture, score=float(np.float32(rng.normal(0.29, 0.03))),
    )  # fmt: skip


def _mark(rows: list[Row], rng: np.random.Generator) -> None:
    free = iter([rows[int(n)] for n in rng.permutation(len(rows))])
    for reason, count in (NOT_FETCHED | WITH_PICTURE).items():
        for row in (next(free) for _ in range(count)):
            kind = reason.partition(":")[0]
            row.verdict, row.reason, row.stage = "rejected", reason, "download"
            if kind in FAILED:
                row.verdict = "failed"
            if kind == "license":
                row.license, row.level, row.stage = None, None, "license"
            if reason in WITH_PICTURE:
                row.stage, row.value = "resolution", 48.0
            else:
                row.jpeg = row.pixels = None
    for number in range(24):
        row, survivor = next(free), None
        near = number % 2 == 1
        survivor = (
            next(r for r in rows if r.verdict == "kept" and r is not row) if number < 4 else None
        )
        survivor = survivor or next(free)
        row.verdict, row.stage, row.related = "rejected", "duplicates", survivor.key
        row.reason, row.value = ("duplicate:near", 3.0) if near else ("duplicate:exact", 0.0)
        row.jpeg = survivor.jpeg if not near else encode(survivor.pixels, quality=45)
        row.pixels = survivor.pixels
        row.candidate["captions"] = survivor.candidate["captions"]
    for row in (next(free) for _ in range(26)):
        row.score = float(np.float32(rng.uniform(0.02, 0.2)))
        row.verdict, row.reason, row.stage, row.value = (
            "rejected",
            "clip_score",
            "threshold",
            row.score,
        )


def _layers(
    files: LocalFiles, rows: list[Row], vae: Any, *, audited: bool
) -> dict[str, list[Commit]]:
    layers: dict[str, list[Commit]] = {}
    for part in sorted({row.part for row in rows}):
        own = [row for row in rows if row.part == part]
        for layer, tables in _tables(own, vae).items():
            commit = commit_shard(
                files, layer=layer, part=part, fingerprint=hashlib.sha256(layer.encode()).hexdigest(),
                input_digest=part, rows_in=len(own), tables=tables, marked={},
            )  # fmt: skip
            layers.setdefault(layer, []).append(commit)
    return layers


def _tables(rows: list[Row], vae: Any) -> dict[str, dict[Any, pa.Table]]:
    first = [r for r in rows if r.stage in ("license", "download", "resolution")]
    second = [r for r in rows if r.stage == "duplicates"]
    third = [r for r in rows if r.stage == "threshold"]
    alive = [r for r in rows if r not in first]
    scored = [r for r in alive if r not in second]
    kept = [r for r in scored if r not in third]
    found: dict[str, dict[Any, pa.Table]] = {
        "plan": {"data": pa.Table.from_pylist([r.candidate for r in rows], c.CANDIDATE)},
        "images": {"data": _images(alive), "marks": _marks(first)},
        "verdicts/duplicates": {"marks": _marks(second, narrow=True)},
        "features/clip": {"data": _clip(scored)},
        "verdicts/threshold": {"marks": _marks(third, narrow=True)},
    }
    if vae is not None:
        found["features/latents"] = {"data": _latents(kept, vae)}
    return found | {"ledger": {"data": _ledger(rows)}}


def _images(rows: list[Row]) -> pa.Table:
    facts = [c.LICENSE, c.LICENSE_GROUP, c.EVIDENCE_LEVEL, c.ORIGINAL_SHA256, c.STORED_SHA256]
    seen = [c.IMAGE, c.WIDTH, c.HEIGHT, c.THUMBNAIL, c.BUCKET_WIDTH, c.BUCKET_HEIGHT, c.CROP_BOX]
    schema = pa.schema([*(f for f in c.CANDIDATE if f.name != "defect"), *facts, *seen])
    told = []
    for row in rows:
        width, height = row.pixels.size
        left = (width - min(width, height)) // 2
        box = [left, 0, left + min(width, height), min(width, height)]
        told.append(row.candidate | {
            "license": row.license, "license_group": row.group, "evidence_level": row.level,
            "original_sha256": hashlib.sha256(row.jpeg or b"").hexdigest(), "stored_sha256": None,
            "image": {"bytes": row.jpeg, "path": f"{row.key}.jpg"}, "width": width, "height": height,
            "thumbnail": thumbnail(row.pixels, 96), "bucket_width": 64, "bucket_height": 64,
            "crop_box": box,
        })  # fmt: skip
    return pa.Table.from_pylist(told, schema)


def _marks(rows: list[Row], *, narrow: bool = False) -> pa.Table:
    wide = [c.LICENSE, c.LICENSE_GROUP, c.EVIDENCE_LEVEL, c.THUMBNAIL]
    schema = pa.schema([c.KEY, *c.MARKS, *([] if narrow else wide)])
    told = []
    for row in rows:
        # a picture that must never be shown lies here on purpose
        small = thumbnail(row.pixels, 96) if row.pixels else WITHHELD_PICTURE
        held = None if row.verdict == "failed" or row.stage == "download" else small
        facts = {"license": row.license, "license_group": row.group, "evidence_level": row.level}
        told.append(row.marks() | ({} if narrow else facts | {"thumbnail": held}))
    return pa.Table.from_pylist(told, schema)


def _withheld() -> bytes:
    from PIL import Image

    return encode(Image.new("RGB", (16, 16), (255, 0, 255)))


WITHHELD_PICTURE = _withheld()


def _clip(rows: list[Row]) -> pa.Table:
    told = [{"key": r.key, "clip_score": r.score, "clip_scores": [r.score]} for r in rows]
    return pa.Table.from_pylist(told, pa.schema([c.KEY, c.CLIP_SCORE, c.CLIP_SCORES]))


def _latents(rows: list[Row], vae: Any) -> pa.Table:
    fields = [
        c.KEY,
        c.LATENT.with_metadata({"curate.dtype": "float16"}),
        c.LATENT_HEIGHT,
        c.LATENT_WIDTH,
    ]
    told = []
    for row in rows:
        side = min(row.pixels.size)
        left = (row.pixels.width - side) // 2
        square = row.pixels.crop((left, 0, left + side, side)).resize((64, 64))
        moments = vae.encode(np.array(square)[None])[0].astype(np.float16)
        _, height, width = moments.shape
        told.append({"key": row.key, "latent": moments.tobytes(), "latent_height": height,
                     "latent_width": width})  # fmt: skip
    return pa.Table.from_pylist(told, pa.schema(fields))


def _ledger(rows: list[Row]) -> pa.Table:
    told = [
        row.marks() | {
            "verdict": row.verdict, "license": row.license,
            "license_group": row.group, "evidence_level": row.level,
        }
        for row in rows
    ]  # fmt: skip
    return pa.Table.from_pylist(told, c.LEDGER)


def _models(vae: Any, ref: str) -> dict[str, dict[str, ModelInfo]]:
    clip = {"clip_score": ModelInfo(ref="builtin:tiny", digest="c1" * 32)}
    if vae is None:
        return {"features/clip": clip}
    return {
        "features/clip": clip,
        "features/latents": {"vae": ModelInfo(ref=ref, digest=vae.digest)},
    }


def _publish(
    files: LocalFiles, rows: list[Row], layers: dict[str, list[Commit]], *, audited: bool,
    models: dict[str, dict[str, ModelInfo]],
) -> None:  # fmt: skip
    told = [layer_of(name, commits, models.get(name, {})) for name, commits in layers.items()]
    counts = {verdict: _counted(rows, verdict) for verdict in ("rejected", "failed")}
    kept = sum(row.verdict == "kept" for row in rows)
    manifest = Manifest(
        recipe_name="shapes", recipe_fingerprint="f0" * 32, license_audited=audited,
        dataset_digest=dataset_digest(told, None), bytes_digest=bytes_digest(told), layers=told,
        counts=Counts(candidates=len(rows), kept=kept, **counts),
    )  # fmt: skip
    files.publish(MANIFEST, manifest.to_bytes())
    files.publish(RECORD, record_bytes(_record(rows, audited=audited)))


def _counted(rows: list[Row], verdict: str) -> dict[str, int]:
    reasons = [row.reason or "" for row in rows if row.verdict == verdict]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def _record(rows: list[Row], *, audited: bool) -> dict[str, Any]:
    license_stage = {"kind": "license", "policy": "sharealike", "evidence_at_least": "L3"}
    order = [("images", "license"), ("images", "download"), ("images", "resolution"),
             ("verdicts/duplicates", "duplicates"), ("verdicts/threshold", "threshold")]  # fmt: skip
    left, steps = len(rows), []
    for layer, stage in order:
        own = [row.reason or "" for row in rows if row.stage == stage]
        marked = {reason: own.count(reason) for reason in sorted(set(own))}
        steps.append({"layer": layer, "stage": stage, "rows_in": left, "rows_out": left - len(own),
                      "marked": marked})  # fmt: skip
        left -= len(own)
    return {
        "recipe": {
            "name": "shapes", "source": {"kind": "table", "name": "test", "path": "rows.parquet"},
            "passes": [
                {"layer": "images", "stages": [license_stage] if audited else [], "barrier": None},
                {"layer": "features/clip", "stages": [{"kind": "clip_score", "model": "builtin:tiny"}],
                 "barrier": {"kind": "threshold", "column": "clip_score", "at_least": THRESHOLD,
                             "quantile": None, "reason": "clip_score"}},
            ],
        },
        "funnel": steps, "seconds": {"plan": 0.4, "images": 31.2, "features/clip": 12.75},
        "seconds_total": 75.0, "started_at": "2026-11-22T09:00:00+00:00",
        "finished_at": "2026-11-22T09:01:15+00:00", "workers": 2,
        "versions": {"python": "3.11.2", "pyarrow": pa.__version__},
        "device": {"machine": "x86_64", "cpus": 2}, "peak_memory_bytes": 1_234_567_890,
        "license_audited": audited,
    }  # fmt: skip
