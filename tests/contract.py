"""What the contract suite runs each stage on: one example a kind, over one set of rows.

A new stage fails `test_every_stage_has_an_example` until it stands here: write a function that
returns the stage as a recipe would have it, and add what it consumes to `rows` if it is new.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from loopback import HOST
from pictures import exif, file, scene

import curate.stages
from curate import columns as c
from curate.stage import Barrier, Stage, apply
from curate.stages.aspect import Aspect
from curate.stages.buckets import Buckets
from curate.stages.captions import Captions
from curate.stages.clip_score import ClipScore
from curate.stages.download import Download
from curate.stages.duplicates import Duplicates
from curate.stages.embedded import Embedded
from curate.stages.inspect import Inspect
from curate.stages.license import LicenseStage
from curate.stages.opt_out import OptOut
from curate.stages.read_file import ReadFile
from curate.stages.resolution import Resolution
from curate.stages.t5 import T5Stage
from curate.stages.threshold import Threshold
from curate.stages.tombstones import Tombstones
from curate.stages.vae import VaeStage
from curate.store.tombstones import LOG, Log, Tombstone

Kind = TypeVar("Kind", bound=Stage | Barrier)


@dataclass(frozen=True)
class Example:
    """A stage to hold to the contract.

    `tolerance` says, per column, how far numbers may move when a batch is split (one unit in the
    last place of what is stored); columns without one may not move at all. `nulls_pass` says why
    a row with nothing but nulls lives; every other stage has to mark it.
    """

    stage: Stage
    tolerance: Mapping[str, float] = field(default_factory=dict)
    nulls_pass: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a stage may need around it: a folder of its own, and the rows of the example."""

    folder: Path

    @cached_property
    def rows(self) -> pa.Table:
        return rows()


def _read_file(around: Surroundings) -> Example:
    for name, body in zip(PATHS, BODIES, strict=True):
        if body is not None:
            (around.folder / name).write_bytes(body)
    return Example(ReadFile(root=str(around.folder)))


def _download(around: Surroundings) -> Example:
    return Example(
        Download(
            contact="nobody, this is a test", allow_private_hosts=(HOST,), retries=0,
            timeout_seconds=5.0, threads=4, requests_per_second_per_host=None,
        )
    )  # fmt: skip


def _tombstones(around: Surroundings) -> Example:
    first = str(around.rows[c.PIXEL_SHA256.name][0])
    entry = Tombstone(
        time="2026-01-01", selector="key", reason="a test", found_by="asked", pixel_sha256=first
    )
    log = around.folder / LOG
    log.write_bytes(Log().followed_by([entry]).to_bytes())
    stage = Tombstones(logs=(str(log),))
    return Example(stage, nulls_pass="without a picture there is nothing to know it by")


EXAMPLES: dict[str, Callable[[Surroundings], Example]] = {
    "aspect": lambda _: Example(Aspect(max_ratio=1.5)),
    "buckets": lambda _: Example(Buckets(sizes=((64, 64), (96, 64)))),
    "captions": lambda _: Example(Captions(min_characters=3)),
    "clip_score": lambda _: Example(
        ClipScore(batch_size=3, device="cpu"),
        tolerance={"clip_score": 1e-5, "clip_scores": 1e-5, "clip_image": 1e-3, "clip_text": 1e-3},
    ),
    "download": _download,
    "embedded": lambda _: Example(
        Embedded(), nulls_pass="a picture need not say anything of itself"
    ),
    "inspect": lambda _: Example(Inspect()),
    "license": lambda _: Example(LicenseStage(policy="sharealike")),
    "opt_out": lambda _: Example(
        OptOut(url_prefixes=(f"https://{HOST}/2",)), nulls_pass="a local file has no address"
    ),
    "read_file": _read_file,
    "resolution": lambda _: Example(Resolution(min_side=48)),
    "t5": lambda _: Example(T5Stage(batch_size=3, device="cpu"), tolerance={"t5_embeddings": 0.02}),
    "tombstones": _tombstones,
    "vae": lambda _: Example(VaeStage(batch_size=3, device="cpu"), tolerance={"latent": 0.02}),
}

BARRIERS: dict[str, Callable[[], Barrier]] = {
    "duplicates": Duplicates,
    "threshold": lambda: Threshold(quantile=0.5),
}


def every(base: type[Kind]) -> dict[str, type[Kind]]:
    """The classes of curate.stages that have a kind, by kind: modules are walked, none is named."""
    found: dict[str, type[Kind]] = {}
    for module in pkgutil.walk_packages(curate.stages.__path__, "curate.stages."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, base) and "kind" in value.model_fields:
                found[str(value.model_fields["kind"].default)] = value
    return found


RESERVING = (
    b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description"
    b" xmlns:plus='http://ns.useplus.org/ldf/xmp/1.0/' plus:DataMining='DMI-PROHIBITED'/></rdf:RDF>"
)

# --- the rows ------------------------------------------------------------------------------------
BODIES: list[bytes | None] = [
    file(scene(1)),
    file(scene(2, (96, 64)), "PNG"),
    file(scene(3), "WEBP", quality=90, exif=exif(6), xmp=RESERVING),
    file(scene(1), quality=60),  # the first one again
    file(scene(4, (40, 120))),  # too small, too long
    file(scene(5))[:500],  # truncated
    b"<!doctype html>",
    None,
]
PATHS = [f"{at}.bin" for at in range(len(BODIES))]
CLAIMED = [
    "https://creativecommons.org/licenses/by/4.0/",
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC BY",
    "all rights reserved",
    "https://creativecommons.org/licenses/by-sa/3.0/",
    "",
    "https://creativecommons.org/licenses/by/2.0/",
]
TEXTS: list[list[str | None]] = [
    ["a red circle", "a RED circle on gray  "], ["a blue ring"], ["a green star", None, ""], ["x"],
    [], ["a pink cross"], [" "], ["a very small yellow square above a large purple triangle"],
]  # fmt: skip


def rows() -> pa.Table:
    """Eight rows, good and bad, with every column that some stage consumes."""
    count = len(BODIES)
    keys = [sha256(f"contract\0{at}".encode()).hexdigest() for at in range(count)]
    made: dict[pa.Field, list[Any]] = {
        c.KEY: keys,
        c.SOURCE: ["contract"] * count,
        c.SOURCE_ID: [str(at) for at in range(count)],
        c.URL: [f"http://{HOST}/status-404" if at == 5 else f"http://{HOST}/{at}"
                for at in range(count)],
        c.PATH: PATHS,
        c.LANDING_URL: [None if at == 3 else f"http://{HOST}/page/{at}" for at in range(count)],
        c.CAPTIONS: [[{"text": text, "origin": "source"} for text in texts] for texts in TEXTS],
        c.CLAIMS: [[{"kind": "url" if "://" in value else "text", "value": value, "level": 5,
                     "claimed_by": "contract", "locator": "here"}] for value in CLAIMED],
        c.BODY: BODIES,
        c.ORIGINAL_SHA256: [None if b is None else sha256(b).hexdigest() for b in BODIES],
        c.LICENSE: ["CC-BY-4.0"] * count,
        c.EVIDENCE_LEVEL: [5] * count,
        c.RESPONSE_HEADERS: ['[["x-robots-tag", "noai"]]' if at == 1 else "[]"
                             for at in range(count)],
        c.CLIP_SCORE: [0.1, 0.5, None, float("nan"), 0.3, 0.2, 0.4, 0.3],
    }  # fmt: skip
    table = pa.table(list(made.values()), schema=pa.schema(list(made)))
    seen = apply(Inspect(), table)
    sized = apply(Buckets(sizes=((64, 64), (96, 64)), upscale="allow"), seen)
    return sized.drop_columns(c.MARKS.names)


def consumed(stage: Stage | Barrier, table: pa.Table) -> pa.Table:
    """The columns a stage consumes, as it would be given them."""
    return table.select(stage.consumes.names).cast(stage.consumes)


def nulls(stage: Stage | Barrier, table: pa.Table) -> pa.Table:
    """The consumed columns, null wherever they may be."""
    given = consumed(stage, table)
    columns = [
        pa.nulls(len(given), f.type) if f.nullable else given[f.name] for f in stage.consumes
    ]
    return pa.table(columns, schema=stage.consumes)
