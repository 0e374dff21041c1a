"""Results of a bench that never ran: made-up figures, for programs that read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.bench.result import BenchResult, sizes_of
from curate.models import Part, resolve
from curate.recipe import Recipe, recipe_from

SIZES = [[256, 256]]
CONFIGS: Mapping[Part, tuple[str, dict[str, Any]]] = {
    "t5": ("config.json", {
        "model_type": "t5", "d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_heads": 64,
        "num_layers": 24,
    }),
    "vae": ("config.json", {
        "_class_name": "AutoencoderKL", "latent_channels": 4, "layers_per_block": 2,
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
    }),
    "clip": ("open_clip_config.json", {"model_cfg": {
        "embed_dim": 768,
        "vision_cfg": {"image_size": 224, "layers": 24, "width": 1024, "patch_size": 14},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 768, "layers": 12},
    }}),
}  # fmt: skip
"""The configs of T5-v1.1-XXL, the VAE of SDXL and CLIP ViT-L/14, as far as they are read."""


def model_folders(folder: Path) -> dict[Part, str]:
    """Directories of real size with a config and weights that nobody loads."""
    places: dict[Part, str] = {}
    for part, (name, config) in CONFIGS.items():
        path = folder / part
        path.mkdir(parents=True)
        (path / name).write_text(json.dumps(config))
        (path / "model.safetensors").write_bytes(b"not read")
        places[part] = str(path)
    return places


def rate(per_second: float, tflop: float | None = None) -> dict[str, Any]:
    told = {"per_second": per_second, "seconds": 60.0, "samples": int(60 * per_second)}
    if tflop is None:
        return told
    speed = tflop * per_second
    return told | {"tflop": tflop, "tflop_per_second": speed, "peak_share": speed / 700}


def pipeline(workers: int, per_second: float) -> dict[str, Any]:
    return {
        "workers": workers, "gpus": float(workers), "rows": 60_000, "per_second": per_second,
        "seconds": 61.0, "startup_seconds": 36.0, "total_seconds": 110.0, "gpu_busy": 0.97,
        "shards": 60, "kept": 60_000, "first_commit_seconds": 40.0, "by_commit_times": per_second,
    }  # fmt: skip


def bench_result(
    models: Mapping[Part, str], *, px: int = 256, device: str = "Made-up GPU", kind: str = "cuda",
    date: str = "2030-01-02T03:04:05+00:00", **changes: Any,
) -> BenchResult:  # fmt: skip
    """A whole result; `changes` replace fields."""
    scale = (px / 256) ** 2
    facts = {
        part: {"ref": part, "digest": "0" * 64, "sizes": sizes_of(resolve(ref, part), part)}
        for part, ref in models.items()
    }
    value: dict[str, Any] = {
        "date": date, "commit": "c" * 40, "versions": {"torch": "2.11.0", "ray": "2.60.0"}, "px": px,
        "device": {"kind": kind, "name": device, "count": 1, "cores": 16, "host_memory_gib": 128.0},
        "models": facts,
        "data": {
            "rows": 60_000, "shards": 60, "pictures": 256, "picture_pixels": 1e6, "picture_bytes": 3e5, "jpeg": "4:2:0",
            "captions": "alt", "caption_tokens": 15.0,
        },
        "roof": {
            "matmul_tflops": 700.0, "conv_tflops": 650.0, "copy_tbps": 4.2, "to_device_gbps": 54.0,
            "sha256_gbps": 1.8,
        },
        "bare": {
            "clip_images": rate(3000.0, 0.17), "clip_texts": rate(40_000.0, 0.003),
            "clip": rate(2800.0, 0.175), "t5": rate(4000.0, 0.14),
            "vae": rate(1600.0 / scale, 0.27 * scale), "all": rate(700.0 / scale, 0.6 * scale),
            "warmup_seconds": 40.0,
        },
        "at1": {
            "t5_per_second": 30.0, "vae_per_second": 36.0, "clip_per_second": 270.0,
            "both_per_second": 1 / (1 / 30 + 1 / 36), "all_per_second": 15.4,
            "bytes_per_caption": 6.2e5, "bytes_per_picture": 8320.0,
        },
        "pipeline": [pipeline(1, 665.0 / scale), pipeline(2, 1310.0 / scale)],
        "storage": {
            "caption_tokens": 15.0, "t5_bytes": 122_880.0, "t5_bytes_at_15_tokens": 122_880.0,
            "t5_int8_bytes_at_15_tokens": 63_360.0, "t5_int8_error": 0.006,
            "latent_bytes": 16_384.0 * scale,
            "clip_bytes": 3072.0, "feature_bytes": 143_000.0,
        },
        "agreements": [
            {"encoder": "t5", "path": "packed", "device": device, "rows": 64, "error": 0.012,
             "tolerance": 0.02, "used": True},
            {"encoder": "vae", "path": "fused", "device": device, "rows": 64, "error": 0.03,
             "tolerance": 0.02, "used": False, "note": "out of tolerance"},
        ],
    }  # fmt: skip
    return BenchResult.model_validate(value | changes)


def recipe(
    models: Mapping[Part, str], folder: Path = Path("."), *, apart: bool = False,
    sizes: list[list[int]] = SIZES, t5: dict[str, Any] | None = None,
    vae: dict[str, Any] | None = None, barrier: bool = True,
) -> Recipe:  # fmt: skip
    """CLIP, T5 and VAE over a folder: in one pass, or CLIP apart with a threshold behind it."""
    clip = {"kind": "clip_score", "model": models["clip"]}
    others = [
        {"kind": "t5", "model": models["t5"], **(t5 or {})},
        {"kind": "vae", "model": models["vae"], **(vae or {})},
    ]
    judge = {"kind": "threshold", "column": "clip_score", "at_least": 0.1}
    first = {
        "layer": "images",
        "stages": [
            {"kind": "captions"}, {"kind": "read_file", "root": str(folder)}, {"kind": "inspect"},
            {"kind": "buckets", "sizes": sizes, "upscale": "allow"},
        ],
    }  # fmt: skip
    together = [{"layer": "features/all", "stages": [clip, *others]}]
    split = [
        {"layer": "features/clip", "stages": [clip], **({"barrier": judge} if barrier else {})},
        {"layer": "features/latents", "stages": others},
    ]
    value = {
        "name": "forecast", "source": {"kind": "folder", "path": str(folder)},
        "passes": [first, *(split if apart else together)],
    }  # fmt: skip
    return recipe_from(value, origin="test")
