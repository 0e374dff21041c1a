"""A checkpoint: a pipeline anyone can open, what is needed to go on, and what it was trained on.

`PixArtAlphaPipeline.from_pretrained` opens the directory (EMA weights); `state/` holds the raw
weights and the optimizer; `curate.json`, written last, names dataset, models, rows and versions.
All tensors are safetensors: nothing here is pickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from curate.errors import MissingInput, ModelError, StoreError
from curate.models import digest, resolve, tokenizer_dir
from curate.models.t5_paths import class_of
from curate.models.vae_kinds import facts_of
from curate.store.digest import file_sha256
from curate.store.manifest import ModelInfo
from curate.train.settings import TrainSettings

CARD: Final = "curate.json"
FORMAT: Final = "curate-checkpoint/1"
WEIGHTS: Final = "state/weights.safetensors"
OPTIMIZER: Final = "state/optimizer.safetensors"
AVERAGE: Final = "transformer/diffusion_pytorch_model.safetensors"
UNCONDITIONAL: Final = "unconditional.safetensors"
_ENCODER_FILES: Final = ("config.json", "generation_config.json", "model.safetensors.index.json")
_WEIGHTS: Final = ".safetensors"
_LINK_FROM_BYTES: Final = 64 << 20  # weights of this size and more are linked, not copied


class Progress(BaseModel, frozen=True, extra="forbid"):
    """Where training stands: enough, with the weights, to take the very next step."""

    step: int = 0
    position: int = 0
    pending: tuple[int, ...] = ()
    seconds: float = 0.0
    waited_seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0


class Source(BaseModel, frozen=True, extra="forbid"):
    """The dataset version that was read, and its layers by fingerprint."""

    recipe_name: str
    recipe_fingerprint: str
    version: int
    manifest_digest: str
    dataset_digest: str
    bytes_digest: str
    license_audited: bool
    layers: dict[str, str]
    licenses: dict[str, int]


class Card(BaseModel, frozen=True, extra="forbid"):
    """curate.json: from this checkpoint back to its data.

    `consumed` names the rows seen, per shard as inclusive ranges of row offsets in its file;
    `files` are sha256 of what training wrote, `models` the encoders as the manifest names them.
    """

    format: str = FORMAT
    dataset: Source
    models: dict[str, ModelInfo]
    settings: TrainSettings
    settings_fingerprint: str
    parameters: int
    batch_size: int
    epochs: float
    progress: Progress
    consumed: list[dict[str, Any]]
    versions: dict[str, str]
    device: str
    files: dict[str, str]


def write(
    to: Path, *, card: Card, model: Any, average: Mapping[str, Any], weights: Mapping[str, Any],
    optimizer: Mapping[str, Any], unconditional: Any,
) -> None:  # fmt: skip
    """Write a whole checkpoint beside `to` and put it in its place at once.

    The weights of the encoders are not written again if the checkpoint at `to` has them.

    `average` and `weights` are state dictionaries of the model, `optimizer` tensors by name,
    `unconditional` the embedding of the empty caption [tokens, dim].
    """
    from safetensors.torch import save_file

    part = to.with_name(f".{to.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    (part / "state").mkdir(parents=True)
    model.save_config(part / "transformer")
    save_file(_plain(average), part / AVERAGE, metadata={"format": "pt"})
    save_file(_plain(weights), part / WEIGHTS)
    save_file(_plain(optimizer), part / OPTIMIZER)
    save_file({"unconditional": unconditional}, part / UNCONDITIONAL)
    _place_encoders(part, card.models, _same_encoders(to, card.models))
    _write_pipeline(part, card.settings)
    files = {
        name: file_sha256(part / name) for name in (AVERAGE, WEIGHTS, OPTIMIZER, UNCONDITIONAL)
    }
    text = card.model_copy(update={"files": files}).model_dump_json(indent=1)
    (part / CARD).write_text(text + "\n", encoding="utf-8")
    _swap(part, to)


def read_card(checkpoint: Path) -> Card:
    """The card of a checkpoint directory, or of the training directory that holds one.

    Raises MissingInput if there is none, StoreError if it is damaged.
    """
    file = locate(checkpoint) / CARD
    try:
        return Card.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise StoreError(f"{file} is damaged: {error}") from error


def locate(path: Path) -> Path:
    """The checkpoint directory at `path` or at `path/checkpoint`; raises MissingInput."""
    for folder in (path, path / "checkpoint", path / ".checkpoint.old"):
        if (folder / CARD).is_file():
            return folder
    raise MissingInput(f"{path} holds no checkpoint ({CARD} is missing); `curate train` writes one")


def read_tensors(checkpoint: Path, name: str, card: Card, device: str = "cpu") -> dict[str, Any]:
    """One safetensors file of a checkpoint, checked against its card.

    Raises StoreError if the file is missing or was changed.
    """
    from safetensors.torch import load_file

    file = checkpoint / name
    if not file.is_file() or file_sha256(file) != card.files.get(name):
        raise StoreError(f"{file} is missing or is not the file that training wrote; start anew")
    return dict(load_file(file, device=device))


def check_encoder(info: ModelInfo, part: Any) -> Path:
    """The directory of a model named in a manifest.

    Raises ModelError if what lies there now is not what made the features.
    """
    path = resolve(info.ref, part)
    found = digest(path)
    if found != info.digest:
        raise ModelError(
            f"model {info.ref!r} has the digest {found}, but the features were made with "
            f"{info.digest}; give the weights that were used, or encode again"
        )
    return path


def _same_encoders(checkpoint: Path, models: Mapping[str, ModelInfo]) -> Path | None:
    """The checkpoint, if it is there, whole, and holds encoders of the same digests."""
    try:
        held = read_card(checkpoint).models
    except (MissingInput, StoreError):
        return None
    same = all(name in held and held[name].digest == told.digest for name, told in models.items())
    return checkpoint if same else None


def _place_encoders(part: Path, models: Mapping[str, ModelInfo], earlier: Path | None) -> None:
    vae, text = resolve(models["vae"].ref, "vae"), resolve(models["t5"].ref, "t5")
    wanted = {f"vae/{f.name}": f for f in vae.iterdir() if f.suffix in (".json", _WEIGHTS)}
    for file in text.iterdir():
        if file.suffix == _WEIGHTS or file.name in _ENCODER_FILES:
            wanted[f"text_encoder/{file.name}"] = file
    for file in tokenizer_dir(text).iterdir():
        if file.suffix in (".json", ".model", ".txt") and file.name not in _ENCODER_FILES:
            wanted[f"tokenizer/{file.name}"] = file
    for name, file in sorted(wanted.items()):
        _place(file.resolve(), part / name, earlier / name if earlier else None)
    _load_in_float32(part / "text_encoder" / "config.json")


def _load_in_float32(config: Path) -> None:
    """transformers loads in the number format of the config, diffusers in float32: they must agree."""
    told = json.loads(config.read_text(encoding="utf-8"))
    told.pop("torch_dtype", None)
    config.write_text(json.dumps({**told, "dtype": "float32"}, indent=2) + "\n", encoding="utf-8")


def _place(source: Path, target: Path, earlier: Path | None) -> None:
    """Copy a file; weights become a second name of the earlier checkpoint's, or of large ones."""
    target.parent.mkdir(exist_ok=True)
    size = source.stat().st_size
    if target.suffix == _WEIGHTS:
        same = earlier is not None and earlier.is_file() and earlier.stat().st_size == size
        if earlier and same and _linked(earlier, target):
            return
        if size >= _LINK_FROM_BYTES and _linked(source, target):
            return
    shutil.copyfile(source, target)


def _linked(source: Path, target: Path) -> bool:
    """Whether a second name could be made: not across devices, nor of every foreign file."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _write_pipeline(part: Path, settings: TrainSettings) -> None:
    """model_index.json and the scheduler: flow matching as PixArtAlphaPipeline can sample it."""
    import diffusers
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=settings.flow_shift
    )
    scheduler.save_pretrained(part / "scheduler")
    index = {
        "_class_name": "PixArtAlphaPipeline",
        "_diffusers_version": diffusers.__version__,
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", class_of("text_encoder", part / "text_encoder")],
        "tokenizer": ["transformers", _tokenizer_class(part / "tokenizer")],
        "transformer": ["diffusers", "PixArtTransformer2DModel"],
        "vae": ["diffusers", facts_of(part / "vae")["class_name"]],
    }
    (part / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _tokenizer_class(folder: Path) -> str:
    """The class that the tokenizer's own config names, if transformers has it."""
    import transformers

    config = folder / "tokenizer_config.json"
    name = (
        json.loads(config.read_text(encoding="utf-8")).get("tokenizer_class")
        if config.is_file()
        else None
    )
    return str(name) if name and hasattr(transformers, name) else "T5Tokenizer"


def _swap(part: Path, to: Path) -> None:
    """Put the new directory in its place; until then the old one stays readable."""
    old = to.with_name(f".{to.name}.old")
    if to.exists():
        shutil.rmtree(old, ignore_errors=True)
        to.rename(old)
    part.rename(to)
    shutil.rmtree(old, ignore_errors=True)


def _plain(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
