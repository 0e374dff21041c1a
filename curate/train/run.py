"""One process of a training run: what it loads at the start and writes at a checkpoint."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from curate import columns as c
from curate.errors import MissingInput, OutputMismatch
from curate.models.blocks8 import INT8, quantise
from curate.models.vae_kinds import facts_of
from curate.store.dataset import Dataset
from curate.train import checkpoint as ck
from curate.train.data import NUMPY_DTYPES, Reader, State
from curate.train.model import build
from curate.train.sample import silence_loading
from curate.train.settings import TrainSettings
from curate.train.shards import Features, Shards
from curate.train.step import Trainer, as_tensor

_VERSIONS = ("curate-t2i", "torch", "diffusers", "transformers", "numpy", "pyarrow", "safetensors")


@dataclass
class Run:
    """What one process holds: reader, trainer, and where the checkpoint goes."""

    dataset: Dataset
    settings: TrainSettings
    to: Path
    reader: Reader
    trainer: Trainer
    unconditional: Any
    progress: ck.Progress

    @classmethod
    def start(
        cls, dataset: Dataset, settings: TrainSettings, to: Path, *, rank: int, world: int,
        prepare: Callable[[Any], Any],
    ) -> Run:  # fmt: skip
        """Load or make everything the loop needs."""
        import torch

        from curate.models.device import pick

        if settings.threads:
            torch.set_num_threads(settings.threads)
        silence_loading()
        device, shards = pick(settings.device), Shards(dataset)
        held = shards.features
        vae = ck.check_encoder(held.latent_model, "vae")
        ck.check_encoder(held.text_model, "t5")
        card = _resumable(dataset, settings, to)
        empty = _unconditional(held, to / "checkpoint", card, str(device))
        reader = Reader(
            shards, batch_size=settings.batch_size, seed=settings.seed,
            window_rows=settings.window_rows, caption_dropout=settings.caption_dropout,
            unconditional=empty, rank=rank, world=world,
        )  # fmt: skip
        model = build(
            settings.size, channels=held.latent_channels, text_dim=held.text_dim,
            sample_size=reader.side(), seed=settings.seed,
        )  # fmt: skip
        scaling = facts_of(vae)["scaling_factor"]
        trainer = Trainer.create(
            model, settings, held, scaling_factor=scaling, device=device, rank=rank, prepare=prepare
        )
        if card:
            _restore(trainer, ck.locate(to), card)
        progress = card.progress if card else ck.Progress()
        return cls(dataset, settings, to, reader, trainer, empty, progress)

    @property
    def state(self) -> State:
        return State(self.progress.position, self.progress.pending)

    def save(self, progress: ck.Progress) -> None:
        trainer = self.trainer
        ck.write(
            self.to / "checkpoint", card=self._card(progress), model=trainer.model,
            average=trainer.average, weights=dict(trainer.model.named_parameters()),
            optimizer=trainer.optimizer_tensors(),
            unconditional=as_tensor(self.unconditional, trainer.features.text_dtype),
        )  # fmt: skip

    def _card(self, progress: ck.Progress) -> ck.Card:
        held, seen = self.trainer.features, progress.step * self.settings.batch_size
        return ck.Card(
            dataset=_source(self.dataset, held),
            models={"t5": held.text_model, "vae": held.latent_model},
            settings=self.settings, settings_fingerprint=self.settings.fingerprint(),
            parameters=count(self.trainer.model), batch_size=self.settings.batch_size,
            epochs=seen / self.reader.order.rows, progress=progress,
            consumed=self.reader.consumed(State(progress.position, progress.pending)),
            versions=_versions(), device=device_name(self.trainer.device), files={},
        )  # fmt: skip


def _resumable(dataset: Dataset, settings: TrainSettings, to: Path) -> ck.Card | None:
    """The card of the checkpoint to go on from; raises OutputMismatch if it is another run's."""
    try:
        card = ck.read_card(to)
    except MissingInput:
        return None
    if settings.fingerprint() != card.settings_fingerprint:
        raise OutputMismatch(
            f"{to} was trained with other settings ({_difference(card.settings, settings)}); give "
            "those, or name another directory"
        )
    here, there = dataset.manifest.dataset_digest, card.dataset.dataset_digest
    if here != there:
        raise OutputMismatch(
            f"{to} was trained on dataset {there}, this is {here}{_removed_since(dataset, there)}; "
            f"name another directory"
        )
    return card


def _removed_since(dataset: Dataset, digest: str) -> str:
    """Why a dataset is not the one of a checkpoint, if rows were removed from it since."""
    from curate.provenance.receipt import load_receipts, receipt_path

    receipts = list(load_receipts(dataset.files))
    first = next((r for r in receipts if r.before.dataset_digest == digest), None)
    if first is None:
        return ""
    return f", from which rows were removed since ({receipt_path(first.removal)}): train anew"


def _difference(before: TrainSettings, now: TrainSettings) -> str:
    there, here = before.decisive(), now.decisive()
    names = sorted(n for n in there.keys() | here.keys() if there.get(n) != here.get(n))
    told = (f"{name} was {there.get(name)!r}, is {here.get(name)!r}" for name in names)
    return ", ".join(told) or "of another version of curate"


def _restore(trainer: Trainer, checkpoint: Path, card: ck.Card) -> None:
    weights, average, moments = (
        ck.read_tensors(checkpoint, name, card) for name in (ck.WEIGHTS, ck.AVERAGE, ck.OPTIMIZER)
    )
    trainer.restore(weights, average, moments)


def _unconditional(held: Features, checkpoint: Path, card: ck.Card | None, device: str) -> Any:
    """The embedding of the empty caption in the shards' number format, [tokens, dim]."""
    import torch

    from curate.models.t5 import T5

    if card:
        stored = ck.read_tensors(ck.locate(checkpoint.parent), ck.UNCONDITIONAL, card)
        tensor = stored["unconditional"]
    else:
        encoded = T5.load(held.text_model.ref, device=device).encode([""])[0]
        tensor = _stored(torch.from_numpy(encoded), held.text_dtype)
    bits = tensor.view(torch.int16) if held.text_dtype == "bfloat16" else tensor
    return bits.numpy().view(NUMPY_DTYPES[held.text_dtype])


def _stored(states: Any, dtype: str) -> Any:
    """float32 states [tokens, dim] in a form of the shards."""
    import torch

    return quantise(states) if dtype == INT8 else states.to(getattr(torch, dtype))


def _source(dataset: Dataset, held: Features) -> ck.Source:
    manifest = dataset.manifest
    table = dataset.ledger([c.VERDICT.name, c.LICENSE.name])
    kept = table.filter(pc.equal(table[c.VERDICT.name], "kept"))[c.LICENSE.name]
    counts = {str(e["values"]): int(e["counts"]) for e in kept.value_counts().to_pylist()}
    layers = {"images", *held.layers}
    return ck.Source(
        recipe_name=manifest.recipe_name, recipe_fingerprint=manifest.recipe_fingerprint,
        version=manifest.version, manifest_digest=manifest.digest,
        dataset_digest=manifest.dataset_digest, bytes_digest=manifest.bytes_digest,
        license_audited=manifest.license_audited,
        layers={la.name: la.fingerprint for la in manifest.layers if la.name in layers},
        licenses=dict(sorted(counts.items())),
    )  # fmt: skip


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a distribution"
    return found


def count(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def device_name(device: Any) -> str:
    """What a person calls the device: the GPU's name, or the CPU and its threads in use."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{device.type}, {torch.get_num_threads()} thread(s)"
