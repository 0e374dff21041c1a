"""The builtin T5 encoder: trained as a whole T5, of which the encoder is kept.

Two tasks in turn: filling masked spans, as T5 was, and telling a caption's gist in fixed words and
order, which asks the encoder who has which colour and who is above whom.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from curate.demo.scenes import Scene, caption, random_scene
from curate.demo.train_tiny_data import in_processes, write_tokenizer

LABEL: Final = "span corruption and restating each caption in a fixed form, half and half"
_LENGTH: Final = 40
_CHUNK: Final = 2000
_IGNORED: Final = -100


def train(
    folder: Path, *, device: str, seconds: float, seed: int, count: int, workers: int
) -> dict[str, Any]:
    """Train for `seconds` and write a transformers directory; returns what the model card tells."""
    import torch
    from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

    torch.manual_seed(seed)
    seeds = np.random.SeedSequence(seed).spawn(-(-count // _CHUNK))
    pairs = [pair for part in in_processes(_sentences, seeds, workers) for pair in part][:count]
    tokenizer = write_tokenizer(folder, [text for text, _ in pairs], closing="</s>")
    config = T5Config(
        vocab_size=len(tokenizer), d_model=128, d_kv=32, d_ff=256, num_layers=3, num_decoder_layers=2,
        num_heads=4, feed_forward_proj="gated-gelu", dropout_rate=0.05, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config).to(device)
    texts, gists = (_ids(tokenizer, [pair[i] for pair in pairs]) for i in (0, 1))
    steps = _optimise(model, texts, gists, tokenizer, device=device, seconds=seconds, seed=seed)
    encoder = T5EncoderModel(config)
    encoder.encoder.load_state_dict(model.encoder.state_dict())
    encoder.shared.load_state_dict(model.shared.state_dict())
    encoder.to("cpu", torch.float16).save_pretrained(folder)
    _compute_in_float32(folder / "config.json")
    parameters = sum(value.numel() for value in encoder.parameters())
    return {"objective": LABEL, "steps": steps, "parameters": parameters, "captions": count}


def _compute_in_float32(file: Path) -> None:
    """Say that half precision is how weights are stored, not how a pipeline should compute."""
    config = json.loads(file.read_text(encoding="utf-8")) | {"dtype": "float32"}
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def gist(scene: Scene) -> str:
    """The scene in one fixed form: the upper or left thing first."""
    names = [f"{thing.colour} {thing.shape}" for thing in scene.things]
    if scene.relation is None:
        return names[0]
    if scene.relation in ("below", "right of"):
        names.reverse()
    side = "above" if scene.relation in ("above", "below") else "left of"
    return f"{names[0]} {side} {names[1]}"


def _sentences(seed: np.random.SeedSequence) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng) for _ in range(_CHUNK)]
    return [(caption(scene, rng), gist(scene)) for scene in scenes]


def _ids(tokenizer: Any, texts: list[str]) -> NDArray[np.int64]:
    """[n, _LENGTH] token ids, padded with 0."""
    padded = tokenizer(texts, padding="max_length", truncation=True, max_length=_LENGTH)[
        "input_ids"
    ]
    return np.asarray(padded, np.int64)


def corrupt(
    ids: NDArray[np.int64], first: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Mask about a fifth of each row's tokens in short spans; `first` is the id of `<extra_id_0>`.

    Returns inputs and targets, [n, _LENGTH], padded with 0.
    """
    source, target = np.zeros_like(ids), np.zeros_like(ids)
    for row, tokens in enumerate(ids):
        length = int((tokens != 0).sum()) - 1  # the closing token stays
        masked = np.zeros(length, bool)
        for start in rng.integers(0, length, max(1, length // 9)):
            masked[start : start + int(rng.integers(1, 4))] = True
        given, wanted, spans = [], [], 0
        for position in range(length):
            if masked[position] and (position == 0 or not masked[position - 1]):
                given.append(first + spans)
                wanted.append(first + spans)
                spans += 1
            (wanted if masked[position] else given).append(int(tokens[position]))
        source[row, : len(given) + 1] = [*given, 1]
        target[row, : len(wanted) + 1] = [*wanted, 1][:_LENGTH]
    return source, target


def _optimise(
    model: Any, texts: NDArray[np.int64], gists: NDArray[np.int64], tokenizer: Any, *, device: str,
    seconds: float, seed: int,
) -> int:  # fmt: skip
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    rng = np.random.default_rng(seed)
    first = tokenizer.convert_tokens_to_ids("<extra_id_0>")
    batch = 256 if device.startswith("cuda") else 64
    model.train()
    steps, began = 0, time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        rate = 1.5e-3 * min(1.0, (steps + 1) / 200) * (1 + np.cos(np.pi * share)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows = rng.integers(0, len(texts), batch)
        given, wanted = (
            (texts[rows], gists[rows]) if steps % 2 else corrupt(texts[rows], first, rng)
        )
        source, target = (torch.from_numpy(ids).to(device) for ids in (given, wanted))
        labels = target.masked_fill(target == 0, _IGNORED)
        loss = model(input_ids=source, attention_mask=(source != 0).long(), labels=labels).loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
        if steps % 500 < 2:
            print(f"t5: step {steps}, loss {loss.item():.4f}", flush=True)
    return steps
