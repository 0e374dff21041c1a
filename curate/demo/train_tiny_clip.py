"""The builtin CLIP: a small open_clip model, trained on scenes with colour-swapped captions beside.

Softmax and sigmoid contrastive losses are summed: the first ranks, the second makes one threshold
mean the same for every picture. Relations are not trained for, as in CLIP at large.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from curate.demo.scenes import Scene
from curate.demo.train_tiny_data import PHRASINGS, Pictures, pictures, write_tokenizer

CONTEXT: Final = 40
LABEL: Final = "image–text contrastive (softmax + sigmoid, one colour-swapped caption a picture)"


def train(
    folder: Path, *, device: str, seconds: float, seed: int, count: int, workers: int
) -> dict[str, Any]:
    """Train for `seconds` and write an open_clip directory; returns what the model card tells."""
    import open_clip
    import torch

    torch.manual_seed(seed)
    data = pictures(count, seed=seed, workers=workers)
    words = [text for texts in data.captions for text in texts]
    tokenizer = write_tokenizer(folder, words, opening="<start>", closing="<end>")
    _write_config(folder, vocabulary=len(tokenizer))
    model = open_clip.create_model(f"local-dir:{folder.resolve()}", load_weights=False).to(device)
    steps = _optimise(
        model, _tensors(data, tokenizer, device), device=device, seconds=seconds, seed=seed
    )
    _save(model, folder)
    parameters = sum(value.numel() for value in model.parameters())
    return {"objective": LABEL, "steps": steps, "parameters": parameters, "pictures": count}


def _write_config(folder: Path, *, vocabulary: int) -> None:
    model = {
        "embed_dim": 128,
        "init_logit_bias": -5.0,
        "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 128, "layers": 4, "head_width": 32},
        "text_cfg": {
            "context_length": CONTEXT, "vocab_size": vocabulary, "width": 128, "heads": 4, "layers": 3,
            "hf_tokenizer_name": "tokenizer in this directory",
        },
    }  # fmt: skip
    preprocess = {
        "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
        "interpolation": "bicubic", "resize_mode": "squash",
    }  # fmt: skip
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    text = json.dumps(config, indent=1) + "\n"
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")


def _save(model: Any, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    weights = {
        name: value.detach().cpu().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})


def _tensors(data: Pictures, tokenizer: Any, device: str) -> dict[str, Any]:
    """Everything a step needs, on the device: pixels, token ids, and what makes captions alike."""
    import torch

    def ids(texts: Sequence[Sequence[str]]) -> torch.Tensor:
        flat = [text for row in texts for text in row]
        padded = tokenizer(flat, padding="max_length", truncation=True, max_length=CONTEXT)[
            "input_ids"
        ]
        return torch.tensor(
            np.asarray(padded, np.int32).reshape(len(texts), PHRASINGS, CONTEXT)
        ).to(device)

    backgrounds = {name: i for i, name in enumerate(sorted({s.background for s in data.scenes}))}
    things: dict[frozenset[tuple[str, str]], int] = {}
    return {
        "pixels": torch.from_numpy(data.pixels).to(device),
        "captions": ids(data.captions),
        "swapped": ids(data.swapped),
        "things": torch.tensor(
            [things.setdefault(_content(s), len(things)) for s in data.scenes]
        ).to(device),
        "background": torch.tensor([backgrounds[s.background] for s in data.scenes]).to(device),
        "vague": torch.tensor([[" background" not in t for t in row] for row in data.captions]).to(
            device
        ),
    }


def _content(scene: Scene) -> frozenset[tuple[str, str]]:
    return frozenset((thing.shape, thing.colour) for thing in scene.things)


def _optimise(model: Any, data: dict[str, Any], *, device: str, seconds: float, seed: int) -> int:
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    generator = torch.Generator(device).manual_seed(seed)
    batch = 1024 if device.startswith("cuda") else 256
    model.train()
    steps, began = 0, time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        rate = 1e-3 * min(1.0, (steps + 1) / 200) * (1 + np.cos(np.pi * share)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(
            device.split(":")[0], torch.bfloat16, enabled=device.startswith("cuda")
        ):
            loss = _loss(model, data, batch, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 500 == 0:
            print(f"clip: step {steps}, loss {loss.item():.4f}", flush=True)
    return steps


def _loss(model: Any, data: dict[str, Any], batch: int, generator: Any) -> Any:
    import torch
    import torch.nn.functional as F

    device = data["pixels"].device
    rows = torch.randint(len(data["pixels"]), (batch,), device=device, generator=generator)
    phrase = torch.randint(PHRASINGS, (batch,), device=device, generator=generator)
    image = F.normalize(
        model.encode_image(_augment(data["pixels"][rows], generator)), dim=-1
    ).float()
    texts = torch.cat([data["captions"][rows, phrase], data["swapped"][rows, phrase]])
    text = F.normalize(model.encode_text(texts), dim=-1).float()
    cosine = image @ text.T  # [batch, 2 × batch]: true captions, then swapped ones
    logits = cosine * model.logit_scale.exp().clamp(max=100)
    things, background = data["things"][rows], data["background"][rows]
    fits = background[:, None] == background[None, :]
    alike = (things[:, None] == things[None, :]) & (fits | data["vague"][rows, phrase][None, :])
    alike.fill_diagonal_(False)
    unsure = torch.cat(
        [alike, torch.zeros_like(alike)], 1
    )  # true of another picture too: not judged
    logits = logits.masked_fill(unsure, -1e4)
    target = torch.arange(batch, device=device)
    ranked = F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :batch].T, target)
    sign = torch.full_like(logits, -1.0)
    sign[target, target] = 1.0
    judged = -F.logsigmoid(sign * (logits + model.logit_bias)).masked_fill(unsure, 0.0)
    weight = torch.ones_like(logits)
    weight[target, target + batch] = 8.0  # the one negative that is nearly right
    return 0.5 * ranked + (judged * weight).sum() / batch


def _augment(pixels: Any, generator: Any) -> Any:
    """uint8 [n, h, w, 3] to normalised float [n, 3, h, w], cropped, shifted and lit differently by up to 8 %."""
    import torch
    import torch.nn.functional as F

    images = pixels.permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.25)
    n, device = len(images), images.device
    light = 2 * torch.rand(n, 2, 1, 1, device=device, generator=generator) - 1
    images = images * (1 + 0.08 * light[:, :1]) + 0.15 * light[:, 1:]
    scale = 1 - 0.16 * torch.rand(n, 2, device=device, generator=generator)
    shift = (2 * torch.rand(n, 2, device=device, generator=generator) - 1) * (1 - scale)
    kept = torch.rand(n, 1, device=device, generator=generator) < 0.4
    scale, shift = torch.where(kept, 1.0, scale), torch.where(kept, 0.0, shift)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
