"""What an audit looked at, told promise by promise, with what the files cannot show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from curate.errors import CurateError
from curate.provenance import lineage, rejudge
from curate.provenance.evidence import Evidence
from curate.provenance.licensing import exceptions
from curate.provenance.partition import Tally
from curate.provenance.pictures import PictureCount
from curate.provenance.promises import Findings, Kept
from curate.recipe import Recipe
from curate.store.dataset import Dataset


@dataclass
class Seen:
    """What was counted on the way."""

    hashes: bool
    tally: Tally = field(default_factory=Tally)
    evidence: Evidence = field(default_factory=Evidence)
    pictures: PictureCount = field(default_factory=PictureCount)
    verified: list[str] = field(default_factory=list)


def tell(dataset: Dataset, recipe: Recipe | None, findings: Findings, seen: Seen) -> list[str]:
    """Fill in what was looked at for each promise and the lines of `verified`; returns the notes."""
    _files(dataset, findings, seen)
    _rows(findings, seen)
    _evidence(findings, seen)
    _verdicts(dataset, recipe, findings, seen)
    _hardware(dataset, findings)
    seen.verified += [line for promise in findings.promises() for line in promise.looked_at]
    notes = [
        f"the recipe accepts what the default refuses: {line}"
        for line in (exceptions(recipe.model_dump(mode="json")) if recipe else [])
    ]
    if not dataset.manifest.license_audited:
        notes.append("licence: not audited (the recipe has no licence stage)")
    notes.append("original_sha256 names bytes that were not kept: recorded, not verified")
    notes.append("evidence shows that a claim was made, not that it was true")
    return notes


def _files(dataset: Dataset, findings: Findings, seen: Seen) -> None:
    shards = [shard for layer in dataset.manifest.layers for shard in layer.shards]
    files = sum(len(shard.files) for shard in shards)
    depth = (
        "every byte hashed, every content digest taken again"
        if seen.hashes
        else "sizes, footers and schemas; small layers by content"
    )
    findings.looked(Kept.SAME_DATA, f"{files:,} files: {depth}")
    findings.looked(Kept.SAME_DATA, "dataset_digest and bytes_digest recomputed")
    findings.looked(
        Kept.EXACTLY_ONCE,
        f"{len(shards):,} commits, each the hash in the manifest, a part once a layer; no file twice",
    )
    if not seen.hashes:
        findings.unknown(
            Kept.SAME_DATA, "the bytes of large files and what is in them: ask with --hashes"
        )


def _rows(findings: Findings, seen: Seen) -> None:
    findings.looked(
        Kept.CONSERVATION,
        f"{seen.tally.verdicts.total():,} candidates: one verdict each, followed through every layer "
        f"as sets of keys",
    )


def _evidence(findings: Findings, seen: Seen) -> None:
    told, counted = seen.evidence, seen.pictures
    findings.looked(
        Kept.EVIDENCE,
        f"{told.kept:,} kept rows: claims, licence, hashes; sizes, turns and crops that follow",
    )
    if told.undated:
        findings.unknown(
            Kept.EVIDENCE,
            f"when the claims of {told.undated:,} kept rows were made: no date is told",
        )
    if seen.hashes:
        findings.looked(
            Kept.EVIDENCE,
            f"{counted.pictures:,} pictures: bytes against stored_sha256, size against the header",
        )
        findings.looked(
            Kept.EVIDENCE,
            f"{counted.decoded:,} of them decoded: phash, thumbprint and thumbnail measured again; "
            f"{counted.pixels:,} against pixel_sha256 (lossy or smaller files cannot show it)",
        )
        if counted.decoded < counted.pictures:
            findings.unknown(
                Kept.EVIDENCE,
                f"what was measured of the {counted.pictures - counted.decoded:,} pictures that were "
                f"not decoded: ask with --full",
            )
    else:
        findings.unknown(Kept.EVIDENCE, "the pictures against their hashes: ask with --hashes")
    findings.unknown(
        Kept.EVIDENCE,
        "original_sha256, original_bytes and embedded metadata: the bytes they were taken from were "
        "not kept",
    )


def _verdicts(dataset: Dataset, recipe: Recipe | None, findings: Findings, seen: Seen) -> None:
    if recipe is None:
        findings.cannot(Kept.LICENSE_FIRST, "the recipe is not known")
        findings.cannot(Kept.LINEAGE, "the recipe is not known")
        return
    again: list[str] = [s.kind for s in recipe.passes[0].stages if s.kind in rejudge.PURE]
    again += [step.barrier.kind for step in recipe.passes if step.barrier]
    findings.looked(Kept.SAME_DATA, f"verdicts taken again: {', '.join(again) or 'none'}")
    made = ", ".join(lineage.made_by(recipe))
    findings.looked(Kept.LINEAGE, f"inputs of every shard worked out again: plan, {made}, ledger")
    told = seen.evidence
    if recipe.license_stage is None:
        findings.cannot(Kept.LICENSE_FIRST, "the recipe has no licence stage: nothing was judged")
        return
    findings.looked(Kept.LICENSE_FIRST, "every licence parsed again from its raw claims")
    findings.looked(
        Kept.LICENSE_FIRST,
        f"none of {told.unfetched:,} rows rejected before the fetch is among the {told.fetched:,} "
        f"that were fetched",
    )


def _hardware(dataset: Dataset, findings: Findings) -> None:
    """What the run recorded of its speed; an audit cannot run it again."""
    try:
        record: dict[str, Any] = dataset.record
    except (CurateError, OSError):
        record = {}
    told = record.get("speed_of_light")
    device = str(record.get("device")).lower()
    if told:
        findings.looked(Kept.NEAR_HARDWARE, f"recorded by the run, not measured again: {told}")
    elif "cuda" in device or "nvidia" in device:
        findings.cannot(Kept.NEAR_HARDWARE, "speed is not in the data, and the run recorded none")
    else:
        findings.cannot(Kept.NEAR_HARDWARE, "not applicable: the run records no GPU")
