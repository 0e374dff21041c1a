"""Small CLIP models with random weights, as open_clip saves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import open_clip
import torch
from safetensors.torch import save_file

from curate.models import BUILTIN

TEXT: Final = {
    "context_length": 24, "vocab_size": 412, "width": 32, "heads": 2, "layers": 3,
    "hf_tokenizer_name": "tokenizer in this directory",
}  # fmt: skip
VISION: Final = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
SIGLIP_TEXT: Final = {
    **TEXT, "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6}, "act_kwargs": {"approximate": "tanh"},
    "tokenizer_kwargs": {"clean": "canonicalize"},
}  # fmt: skip
SIGLIP_PIXELS: Final = {
    "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash",
}  # fmt: skip


def config(
    *, vision: Mapping[str, Any] | None = None, text: Mapping[str, Any] | None = None,
    pixels: Mapping[str, Any] | None = None, **top: Any,
) -> dict[str, Any]:  # fmt: skip
    """An open_clip_config.json: the small defaults with some settings changed."""
    towers = {"vision_cfg": {**VISION, **(vision or {})}, "text_cfg": {**TEXT, **(text or {})}}
    return {"model_cfg": {"embed_dim": 24, **towers, **top}, "preprocess_cfg": dict(pixels or {})}


def siglip(timm_model: str = "test_vit3", width: int = 96) -> dict[str, Any]:
    """The config of a SigLIP model as open_clip has them, with one of timm's smallest towers."""
    vision = {
        "image_size": 160, "timm_model_name": timm_model, "timm_model_pretrained": False,
        "timm_pool": "map", "timm_proj": "none",
    }  # fmt: skip
    towers = {"vision_cfg": vision, "text_cfg": dict(SIGLIP_TEXT)}
    top = {"embed_dim": width, "init_logit_bias": -10, "custom_text": True}
    return {"model_cfg": top | towers, "preprocess_cfg": dict(SIGLIP_PIXELS)}


def write(folder: Path, told: Mapping[str, Any], *, seed: int = 0) -> Path:
    """A model directory: config, weights that are all random, and the small tokenizer."""
    folder.mkdir(parents=True)
    for file in (BUILTIN / "tiny" / "clip").glob("tokenizer*"):
        shutil.copy(file, folder)
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    weights = shaken(model, seed).state_dict()
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in weights.items()},
        folder / "open_clip_model.safetensors",
    )
    return folder


def shaken(model: Any, seed: int = 0) -> Any:
    """The model with every parameter moved at random, norms and biases too, so that each counts."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=rng)
    return model.eval().requires_grad_(False)


def built(told: Mapping[str, Any], *, seed: int = 0) -> Any:
    """The model of a config without a directory, weights at random."""
    settings = dict(told["model_cfg"])
    custom = settings.pop("custom_text", False)
    made = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**settings)
    open_clip.model.set_model_preprocess_cfg(
        made,
        {"mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28), **told["preprocess_cfg"],
         "size": made.visual.image_size},
    )  # fmt: skip
    return shaken(made, seed)
