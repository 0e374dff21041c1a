"""Models of real size with random weights, in the formats that real ones come in.

A model's speed follows from its dimensions alone. Directories are written once, under a name that
is only there when they are complete; the loaders that read them are those of every run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from curate.bench.captions import write_tokenizer
from curate.models import CONFIG, Part, read_config
from curate.store.digest import canonical_json, json_digest

if TYPE_CHECKING:
    import torch

SEED: Final = 4
SHARD: Final = "1GB"
SETTINGS: Final = "bench.json"
_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)


class Sizes(BaseModel, frozen=True, extra="forbid"):
    """The dimensions of the three encoders, as their own configs name them."""

    clip: dict[str, Any]
    t5: dict[str, Any]
    vae: dict[str, Any]


REAL: Final = Sizes(
    clip={  # open_clip's ViT-L-14
        "embed_dim": 768,
        "vision_cfg": {"image_size": 224, "layers": 24, "width": 1024, "patch_size": 14},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 768, "heads": 12, "layers": 12,
        },
    },
    t5={  # google/t5-v1_1-xxl
        "vocab_size": 32128, "d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_heads": 64,
        "num_layers": 24, "feed_forward_proj": "gated-gelu",
    },
    vae={  # stabilityai/sdxl-vae
        "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4,
        "norm_num_groups": 32, "sample_size": 1024, "scaling_factor": 0.13025,
    },
)  # fmt: skip
"""T5-v1.1-XXL, the VAE of SDXL and CLIP ViT-L/14."""

NAMES: Final[Mapping[Part, str]] = {
    "clip": "clip-vit-l-14-random", "t5": "t5-v1_1-xxl-random", "vae": "sdxl-vae-random",
}  # fmt: skip


def write_models(
    folder: Path, sizes: Sizes, parts: Iterable[Part], *, device: str
) -> Iterator[tuple[Part, Path, bool]]:
    """Write what is not there yet; yields part, directory and whether it had to be written.

    `device` is where random numbers are drawn: a GPU is faster by minutes.
    """
    writers: dict[Part, Callable[[Path, dict[str, Any], str], None]] = {
        "clip": _write_clip, "t5": _write_t5, "vae": _write_vae,
    }  # fmt: skip
    for part in sorted(parts):
        wanted, write = getattr(sizes, part), writers[part]
        path = folder / f"{NAMES[part]}-{json_digest([SEED, wanted])[:8]}"
        made = not is_complete(path, part)
        if made:
            with _whole(path) as unfinished:
                write(unfinished, wanted, device)
                (unfinished / SETTINGS).write_bytes(canonical_json(wanted) + b"\n")
        yield part, path, made


def is_complete(path: Path, part: Part) -> bool:
    """True for a directory that `write_models` finished."""
    return (path / SETTINGS).is_file() and (path / CONFIG[part]).is_file()


def vocabulary_of(sizes: Sizes) -> int:
    """How many tokens the written T5 tokenizer may have."""
    return int(sizes.t5["vocab_size"])


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A directory to write into that gets its name at the end."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    for left in (unfinished, path):
        shutil.rmtree(left, ignore_errors=True)
    unfinished.mkdir(parents=True)
    yield unfinished
    unfinished.rename(path)


@contextmanager
def _drawing(device: str, dtype: torch.dtype) -> Iterator[None]:
    """New parameters come on `device` in `dtype`, from the seed."""
    import torch

    before = torch.get_default_dtype()
    torch.manual_seed(SEED)
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def _write_t5(folder: Path, sizes: dict[str, Any], device: str) -> None:
    """bfloat16 weights as transformers initialises T5 encoders, and a tokenizer."""
    import torch
    from transformers import T5Config, T5EncoderModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    config = T5Config(**sizes, is_encoder_decoder=False, use_cache=False, tie_word_embeddings=False)
    with _drawing(device, torch.bfloat16):
        model = T5EncoderModel(config)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=SHARD)
    write_tokenizer(folder, size=int(sizes["vocab_size"]))
    read_config(folder, CONFIG["t5"])


def _write_clip(folder: Path, sizes: dict[str, Any], device: str) -> None:
    """float32 weights as open_clip initialises them; the tokenizer is open_clip's own."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    with _drawing(device, torch.float32):
        model = open_clip.CLIP(**sizes)
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    preprocess = {
        "mean": _CLIP_MEAN, "std": _CLIP_STD, "interpolation": "bicubic", "resize_mode": "shortest",
    }  # fmt: skip
    config = {"model_cfg": sizes, "preprocess_cfg": preprocess}
    (folder / CONFIG["clip"]).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _write_vae(folder: Path, sizes: dict[str, Any], device: str) -> None:
    """float32 weights as diffusers initialises them."""
    import torch
    from diffusers import AutoencoderKL

    blocks = len(sizes["block_out_channels"])
    with _drawing(device, torch.float32):
        model = AutoencoderKL(
            in_channels=3, out_channels=3, act_fn="silu",
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks, **sizes,
        )  # fmt: skip
    model.save_pretrained(folder)
