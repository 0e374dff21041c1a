"""The kinds of autoencoder that load, and what the config of each says of its latents.

AutoencoderKL gives a posterior, mean and log variance. AutoencoderDC and AutoencoderTiny give the
latent itself, as `encode` of diffusers returns it: for AutoencoderTiny the raw latents, never the
numbers between 0 and 1 that its `scale_latents` makes for pictures of latents.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict

from curate.errors import ModelError
from curate.models import read_config
from curate.models.loading import loading, refuse_random

if TYPE_CHECKING:
    import torch

KINDS: Final = ("AutoencoderKL", "AutoencoderDC", "AutoencoderTiny")
_DC_WIDTHS: Final = (128, 256, 512, 512, 1024, 1024)
_DC_LAYERS: Final = (2, 2, 2, 3, 3, 3)
_TINY_BLOCKS: Final = (1, 3, 3, 3)
"""diffusers' own defaults, for configs that leave them out."""


class Facts(TypedDict):
    """What a reader of latents has to know.

    `factor`: pixels to a latent cell; `channels` of the latent; a diffusion model is given
    (latent − `shift_factor`) × `scaling_factor`; `deterministic`: there is no posterior. Some
    AutoencoderKL state mean and deviation of each channel besides, as JSON lists here.
    """

    class_name: str
    channels: int
    factor: int
    scaling_factor: float
    shift_factor: float
    deterministic: bool
    latents_mean: NotRequired[str]
    latents_std: NotRequired[str]


def facts_of(path: Path) -> Facts:
    """The facts as the config of a model directory states them; no weights are read.

    Raises ModelError for a class that is not one of KINDS, or numbers that cannot be.
    """
    config = read_config(path, "config.json")
    kind = config.get("_class_name")
    if kind not in KINDS:
        raise ModelError(
            f"{path}/config.json is of class {kind!r}, expected {', '.join(KINDS[:-1])} or {KINDS[-1]}"
        )
    if config.get("in_channels", 3) != 3:
        raise ModelError(
            f"{path}/config.json: in_channels is {config['in_channels']!r}, pictures have 3"
        )
    try:
        facts = Facts(
            class_name=kind, channels=int(config.get("latent_channels", 32 if kind == KINDS[1] else 4)),
            factor=_factor(kind, config),
            scaling_factor=float(config.get("scaling_factor", 0.18215 if kind == KINDS[0] else 1.0)),
            shift_factor=float(config.get("shift_factor") or 0.0), deterministic=kind != KINDS[0],
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}/config.json: a number of its latents is none: {error}") from error
    if facts["channels"] < 1 or not 0.0 < facts["scaling_factor"] < math.inf:
        raise ModelError(
            f"{path}/config.json: {facts['channels']} latent channels, scaling_factor "
            f"{facts['scaling_factor']}: both must be positive"
        )
    for name in ("latents_mean", "latents_std"):
        if config.get(name) is not None:
            facts[name] = json.dumps(config[name])
    return facts


def _factor(kind: str, config: dict[str, Any]) -> int:
    """Each step down halves the sides."""
    if kind == "AutoencoderKL":
        blocks = len(config.get("down_block_types", ("DownEncoderBlock2D",)))
        return 1 << min(blocks, len(config.get("block_out_channels", (64,))) - 1)
    if kind == "AutoencoderTiny":
        return 1 << (len(config.get("num_encoder_blocks", _TINY_BLOCKS)) - 1)
    layers = config.get("encoder_layers_per_block", _DC_LAYERS)
    layers = layers[: len(config.get("encoder_block_out_channels", _DC_WIDTHS))]
    first = int(layers[0] == 0)  # then the first convolution goes down
    return 1 << (first + sum(count > 0 for count in layers[:-1]))


def read_weights(ref: str, path: Path, device: torch.device) -> Any:
    """The autoencoder of a directory in float32 on a device, for inference.

    Raises ModelError if the weights are damaged or incomplete.
    """
    import diffusers
    import torch

    kind = getattr(diffusers, facts_of(path)["class_name"])
    with loading(ref, path, "diffusers"):
        model, report = kind.from_pretrained(
            path, torch_dtype=torch.float32, local_files_only=True, use_safetensors=True,
            low_cpu_mem_usage=False, output_loading_info=True,
        )  # fmt: skip
    refuse_random(report, ref, path)
    return model.to(device).eval().requires_grad_(False)


def encoder_of(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """[n, 3, h, w] between −1 and 1 to the posterior's mean and log variance, or to the latent."""
    last = getattr(model, "quant_conv", None)

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = model.encoder(pixels)
        return hidden if last is None else last(hidden)

    return encode
