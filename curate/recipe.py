"""A recipe says what: source, passes of stages, barriers, training. YAML, strict, fingerprinted.

Stages are a discriminated union on `kind`, an explicit list. Mistakes are reported with their
line, the name that was wrong and the names that would be right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from curate import columns as c
from curate.errors import MissingInput, RecipeError
from curate.sources import AnySource
from curate.sources.captions import CaptionImport
from curate.stage import Stage
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
from curate.store.digest import json_digest
from curate.train.settings import TrainSettings
from curate.yaml_lines import explain, load_yaml, override

AnyStage = Annotated[
    LicenseStage | OptOut | Captions | Download | ReadFile | Inspect | Embedded | Resolution
    | Aspect | Buckets | ClipScore | T5Stage | VaeStage | Tombstones,
    Field(discriminator="kind"),
]  # fmt: skip
AnyBarrier = Annotated[Duplicates | Threshold, Field(discriminator="kind")]
FIRST_LAYER = "images"
FETCHING_PASS_ONLY = ("license", "opt_out", "download", "read_file", "inspect", "embedded",
                      "tombstones")  # fmt: skip


class Pass(BaseModel, frozen=True, extra="forbid"):
    """Stages that run over each shard without a break; what they produce is one layer."""

    layer: str
    stages: list[AnyStage] = Field(min_length=1)
    barrier: AnyBarrier | None = None

    @field_validator("layer")
    @classmethod
    def _known_place(cls, layer: str) -> str:
        name = layer.removeprefix("features/")
        plain = name.replace("-", "").replace("_", "").isalnum()
        if layer != FIRST_LAYER and (name == layer or not plain):
            raise ValueError(f"layer is `images` or `features/<name>`, not {layer!r}")
        return layer

    @model_validator(mode="after")
    def _each_stage_once(self) -> Pass:
        kinds = [stage.kind for stage in self.stages]
        if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
            raise ValueError(
                f"each stage may run once in a pass; {self.layer} has twice: {', '.join(twice)}"
            )
        return self

    @property
    def verdict_layer(self) -> str | None:
        """Where the barrier's marks are committed, named after the pass before it."""
        if self.barrier is None:
            return None
        return f"verdicts/{self.layer.removeprefix('features/')}-{self.barrier.kind}"


class Recipe(BaseModel, frozen=True, extra="forbid"):
    """What to build. `shard_rows` bounds the rows of a shard (the unit of work and of commit).

    `tombstones` are logs of removals (paths of TOMBSTONES.jsonl): what they name is not taken. They
    put the stage of that kind behind `inspect`, with the duplicates barrier's idea of near.
    `captions` are tables of more captions for the source's rows.
    """

    name: str
    source: AnySource
    captions: tuple[CaptionImport, ...] = ()
    tombstones: tuple[str, ...] = ()
    shard_rows: int = Field(1024, ge=1, le=1 << 20)
    passes: list[Pass] = Field(min_length=1)
    train: TrainSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_tombstones(cls, value: Any) -> Any:
        return with_tombstones(value)

    @model_validator(mode="after")
    def _unique_layers(self) -> Recipe:
        layers = [p.layer for p in self.passes]
        layers += [p.verdict_layer for p in self.passes if p.verdict_layer]
        twice = sorted({layer for layer in layers if layers.count(layer) > 1})
        if twice:
            raise ValueError(f"each layer may appear once; twice: {twice}")
        if self.passes[0].layer != FIRST_LAYER:
            raise ValueError("the first pass makes the layer `images`")
        if self.tombstones and self.tombstone_stage is None:
            raise ValueError(
                "tombstones need the stage inspect: what was removed is known by looks"
            )
        return self

    @model_validator(mode="after")
    def _license_first(self) -> Recipe:
        """Nothing is fetched from the web before its licence is accepted."""
        later = [s.kind for p in self.passes[1:] for s in p.stages if s.kind in FETCHING_PASS_ONLY]
        if later:
            raise ValueError(f"{later} belong into the first pass, before anything is fetched")
        kinds = [stage.kind for stage in self.passes[0].stages]
        if "download" in kinds:
            before = kinds[: kinds.index("download")]
            missing = [kind for kind in ("license", "opt_out") if kind not in before]
            if missing:
                raise ValueError(
                    f"download needs {' and '.join(missing)} before it: nothing is fetched before its "
                    f"licence is accepted (your own files need neither: use read_file)"
                )
        return self

    @model_validator(mode="after")
    def _pictures_are_heard(self) -> Recipe:
        """Where licences are judged, what a picture says of its own is read, however it came."""
        kinds = [stage.kind for stage in self.passes[0].stages]
        after = kinds[kinds.index("inspect") :] if "inspect" in kinds else []
        if "license" in kinds and after and "embedded" not in after:
            raise ValueError(
                "inspect needs embedded after it where licences are judged: what a picture says of "
                "its licence and reserves is read there; to ignore a reservation, leave its signal "
                "out of embedded.honour"
            )
        return self

    @property
    def license_stage(self) -> LicenseStage | None:
        """The stage that judges licences, or None: then nothing is audited and outputs say so."""
        return next((s for s in self.passes[0].stages if isinstance(s, LicenseStage)), None)

    @property
    def tombstone_stage(self) -> Tombstones | None:
        """The stage that keeps out what was removed elsewhere, or None."""
        return next((s for s in self.passes[0].stages if isinstance(s, Tombstones)), None)

    def portable(self) -> dict[str, Any]:
        """The recipe as plan and record keep it: of where the source's files lie, the last name."""
        passes = [
            {
                "layer": step.layer,
                "stages": [stage.portable() for stage in step.stages],
                "barrier": step.barrier.model_dump(mode="json") if step.barrier else None,
            }
            for step in self.passes
        ]
        whole = self.model_dump(mode="json")
        whole |= {"captions": [table.portable() for table in self.captions]}
        return whole | {"source": self.source.portable(), "passes": passes, "tombstones": []}

    def identities(self) -> dict[str, list[Any]]:
        """Layer → what its fingerprint is the digest of."""
        return {step.layer: self._identity(step) for step in self.passes}

    def pass_fingerprint(self, index: int) -> str:
        """Digest of what one pass does: stages, parameters, models, codec versions, writer."""
        return json_digest(self._identity(self.passes[index]))

    def _identity(self, step: Pass) -> list[Any]:
        return [step.layer, [stage.identity() for stage in step.stages], _writer()]

    def fingerprint(self, *, limit: int | None = None) -> str:
        """Digest of everything that decides the dataset; training and locations are not in it."""
        barriers = [p.barrier.identity() if p.barrier else None for p in self.passes]
        passes = [self.pass_fingerprint(index) for index in range(len(self.passes))]
        more = [[table.identity() for table in self.captions]] if self.captions else []
        return json_digest(
            [self.source.identity(), self.shard_rows, passes, barriers, limit, *more]
        )

    def check_columns(self) -> list[str]:
        """Type-check the column chain; returns one line a stage.

        Raises RecipeError naming the stage, the column it lacks, and who could produce it.
        """
        lines: list[str] = []
        known: dict[str, pa.DataType] = {f.name: f.type for f in c.CANDIDATE}
        stored = dict(known)
        for number, step in enumerate(self.passes):
            available = dict(known) if number == 0 else dict(stored)
            for stage in step.stages:
                _require(f"stage {stage.kind} of {step.layer}", stage.consumes, available)
                _refuse_again(f"stage {stage.kind} of {step.layer}", stage.produces, available)
                available.update({f.name: f.type for f in stage.produces})
                stored.update({f.name: f.type for f in stage.produces if _is_stored(f)})
                lines.append(
                    f"{step.layer}: {stage.kind} → {', '.join(stage.produces.names) or 'marks only'}"
                )
            if step.barrier:
                wanted = pa.schema([f for f in step.barrier.consumes if f.name != c.KEY.name])
                _require(f"barrier {step.barrier.kind}", wanted, stored)
                lines.append(f"{step.verdict_layer}: {step.barrier.kind} → marks only")
        return lines


def _writer() -> str:
    return f"parquet/1 pyarrow {pa.__version__}"


def _is_stored(field: pa.Field) -> bool:
    return c.role_of(field) in ("fact", "model")


def _require(who: str, wanted: pa.Schema, available: dict[str, pa.DataType]) -> None:
    for field in wanted:
        if field.name not in available:
            makers = [
                k.model_fields["kind"].default
                for k in _stage_classes()
                if field.name in k.produces.names
            ]
            hint = f"put {' or '.join(makers)} before it" if makers else "no stage produces it"
            raise RecipeError(
                f"{who} needs the column {field.name!r}, which nothing before it produces: {hint}"
            )
        if available[field.name] != field.type:
            raise RecipeError(
                f"{who} needs {field.name!r} as {field.type}, but it is {available[field.name]}"
            )


def _refuse_again(who: str, made: pa.Schema, available: dict[str, pa.DataType]) -> None:
    for name in made.names:
        if name in available:
            raise RecipeError(
                f"{who} produces the column {name!r}, which is there already: a column has one "
                f"maker, so leave this stage or the one that made it out"
            )


def _stage_classes() -> list[type[Stage]]:
    return [LicenseStage, OptOut, Captions, Download, ReadFile, Inspect, Embedded, Resolution,
            Aspect, Buckets, ClipScore, T5Stage, VaeStage, Tombstones]  # fmt: skip


def with_tombstones(value: Any) -> Any:
    """A recipe's plain values with the stage that its `tombstones` ask for, in place of another.

    A plan keeps the stage with the log's digest and no paths: those may name another log by now.
    """
    logs = value.get("tombstones") if isinstance(value, dict) else None
    try:
        first = value["passes"][0] if logs else {}
        stages = [s for s in first.get("stages", ()) if s["kind"] != "tombstones"]
        kinds = [stage["kind"] for stage in stages]
        barrier = first.get("barrier") or {}
        near = {n: barrier[n] for n in ("near_bits", "near_rgb") if n in barrier}
    except (AttributeError, IndexError, KeyError, TypeError):
        return value  # malformed: the fields' own validation says how
    if not logs or "inspect" not in kinds:
        return value
    stages.insert(kinds.index("inspect") + 1, {"kind": "tombstones", "logs": logs, **near})
    return {**value, "passes": [{**first, "stages": stages}, *value["passes"][1:]]}


def load_recipe(path: str | Path, *, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe file, apply `a.b=value` overrides and validate it.

    Raises MissingInput if there is no such file, RecipeError with the line of each mistake.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingInput(f"recipe {file} does not exist; `curate init PATH` writes one")
    text = file.read_text(encoding="utf-8", errors="replace")
    value, lines = load_yaml(text, str(file))
    for setting in overrides or []:
        override(value, setting)
    return recipe_from(value, origin=str(file), lines=lines)


def recipe_from(
    value: Any, *, origin: str, lines: dict[tuple[Any, ...], int] | None = None
) -> Recipe:
    """Validate a recipe given as plain values; raises RecipeError."""
    try:
        recipe = Recipe.model_validate(value)
    except ValidationError as error:
        raise RecipeError(explain(error, origin=origin, lines=lines or {}, model=Recipe)) from error
    recipe.check_columns()
    return recipe
