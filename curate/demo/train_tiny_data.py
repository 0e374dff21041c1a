"""What the builtin models learn from: scenes drawn ahead by many processes, and two tokenizers.

Pictures meet the accidents of the web before they are seen: other sizes and shapes, JPEG artefacts.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.demo.scenes import Scene, caption, draw, random_scene, swap_colour

PHRASINGS: Final = 3  # captions drawn for each picture, true ones and colour-swapped ones alike
SENTINELS: Final = 16
_CHUNK = 500


@dataclass(frozen=True)
class Pictures:
    """uint8 [n, height, width, 3] with `PHRASINGS` true and colour-swapped captions of each."""

    pixels: NDArray[np.uint8]
    scenes: list[Scene]
    captions: list[list[str]]
    swapped: list[list[str]]


def pictures(
    count: int, *, seed: int, workers: int, size: tuple[int, int] = (64, 64), worn: bool = True
) -> Pictures:
    """`count` random scenes, drawn by `workers` processes; `worn` adds resizing and JPEG artefacts."""
    seeds = np.random.SeedSequence(seed).spawn(math.ceil(count / _CHUNK))
    parts: list[Pictures] = in_processes(partial(_chunk, size=size, worn=worn), seeds, workers)
    return Pictures(
        np.concatenate([part.pixels for part in parts])[:count],
        [scene for part in parts for scene in part.scenes][:count],
        [texts for part in parts for texts in part.captions][:count],
        [texts for part in parts for texts in part.swapped][:count],
    )


def in_processes(work: Callable[[Any], Any], items: Sequence[Any], workers: int) -> list[Any]:
    """`map` over a pool of processes, in order; in this process if there is one worker."""
    if workers <= 1:
        return [work(item) for item in items]
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return pool.map(work, items, chunksize=1)


def wear(image: Image.Image, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """The picture after a journey: perhaps through a JPEG, then squeezed to `size`."""
    if rng.random() < 0.5:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(rng.integers(40, 96)))
        image = Image.open(stream).convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _chunk(seed: np.random.SeedSequence, *, size: tuple[int, int], worn: bool) -> Pictures:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng) for _ in range(_CHUNK)]
    images = [_worn(scene, rng, size) if worn else draw(scene, size) for scene in scenes]
    return Pictures(
        np.stack([np.asarray(image) for image in images]),
        scenes,
        [[caption(scene, rng) for _ in range(PHRASINGS)] for scene in scenes],
        [[caption(swap_colour(scene, rng), rng) for _ in range(PHRASINGS)] for scene in scenes],
    )


def _worn(scene: Scene, rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    if rng.random() < 0.4:
        return wear(draw(scene, size), rng, size)
    side = int(rng.integers(56, 129))
    stretch = 2.0 ** rng.uniform(-0.6, 0.6) if rng.random() < 0.4 else 1.0
    drawn = (round(side * stretch**0.5), round(side / stretch**0.5))
    return wear(draw(scene, drawn), rng, size)


# --- tokenizers -----------------------------------------------------------------------------------
def write_tokenizer(
    folder: Path, captions: Sequence[str], *, closing: str, opening: str | None = None
) -> Any:
    """Write a Unigram tokenizer of the captions' words with byte fallback, and return it loaded.

    `closing` ends every text; with `opening` both get the highest ids (as CLIP's pooling wants)
    and text is lower-cased, without it they come first and sentinels last (as in T5).
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    lead = ["<pad>", "<unk>"] if opening else ["<pad>", closing, "<unk>"]
    tail = [opening, closing] if opening else [f"<extra_id_{i}>" for i in range(SENTINELS)]
    vocabulary = [(name, 0.0) for name in lead] + _pieces(captions) + [(name, 0.0) for name in tail]
    tokenizer = Tokenizer(
        models.Unigram(vocabulary, unk_id=lead.index("<unk>"), byte_fallback=True)
    )
    if opening:
        tokenizer.normalizer = normalizers.Lowercase()
    mark: dict[str, Any] = {"replacement": "▁", "prepend_scheme": "always", "split": True}
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(**mark)]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(**mark)])
    names = [name for name, _ in vocabulary]
    specials = [name for name in (opening, closing) if name]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(([opening] if opening else []) + ["$A", closing]),
        special_tokens=[(name, names.index(name)) for name in specials],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token=closing,
        model_max_length=512, **({"bos_token": opening} if opening else {}),
        additional_special_tokens=[] if opening else tail,
    )  # fmt: skip
    fast.save_pretrained(folder)
    _plain_config(folder / "tokenizer_config.json")
    return fast


def _pieces(captions: Sequence[str]) -> list[tuple[str, float]]:
    """Words by falling frequency, then single characters, then bytes for everything else."""
    words = Counter(word for text in captions for word in text.lower().split())
    total = sum(words.values())
    ranked = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    known = [(f"▁{word}", math.log(count / total)) for word, count in ranked]
    characters = ["▁", *(chr(code) for code in range(33, 127))]
    taken = {word for word, _ in known}
    known += [(character, -14.0) for character in characters if character not in taken]
    return known + [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]


def _plain_config(file: Path) -> None:
    """Keep the class name that every transformers 5 resolves to 'read tokenizer.json as it is'."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    file.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
