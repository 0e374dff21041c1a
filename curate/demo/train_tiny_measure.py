"""What the builtin models must be able to do, measured on scenes of seeds they never saw.

Everything goes through the public loaders, so a figure is a figure of what the pipeline uses.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.demo.scenes import (
    COLOURS,
    SHAPES,
    Scene,
    caption,
    draw,
    random_scene,
    swap_colour,
    swap_relation,
)
from curate.models.clip import Clip
from curate.models.t5 import T5
from curate.models.vae import Vae

GATES: Final[Mapping[str, float]] = {
    "clip_auc_random_caption": 0.99,
    "clip_auc_colour_swap": 0.98,
    "clip_recall_at_2_percent_lost": 0.99,
    "clip_recall_at_2_percent_lost_worn": 0.99,
    "t5_probe_colours": 0.95,
    "t5_probe_shapes": 0.95,
    "vae_psnr": 30.0,
    "vae_psnr_64x96": 30.0,
}
"""The least value of each figure; a model below one of them is not shipped."""

Floats = NDArray[np.float32]
LOST: Final = 0.02


def measure(folder: str, *, count: int = 4000, seed: int = 987_654_321) -> dict[str, float]:
    """All figures of the models in `folder` (with `clip`, `t5`, `vae` in it) over `count` scenes."""
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng) for _ in range(count)]
    figures = measure_clip(Clip.load(f"{folder}/clip"), scenes, rng)
    figures |= measure_t5(T5.load(f"{folder}/t5"), scenes, rng)
    return figures | measure_vae(Vae.load(f"{folder}/vae"), scenes[: count // 8])


def below(figures: Mapping[str, float]) -> list[str]:
    """The gates that the figures do not reach, each as a sentence."""
    return [f"{name} is {figures[name]:.4f}, below {least}" for name, least in GATES.items()
            if name in figures and not figures[name] >= least]  # fmt: skip


# --- CLIP -----------------------------------------------------------------------------------------
def measure_clip(clip: Clip, scenes: Sequence[Scene], rng: np.random.Generator) -> dict[str, float]:
    """Separation of true captions from another picture's, a swapped colour, a swapped relation."""
    clean = [draw(scene) for scene in scenes]
    text = clip.encode_texts([caption(scene, rng) for scene in scenes])
    colour = clip.encode_texts([caption(swap_colour(scene, rng), rng) for scene in scenes])
    image, worn = (
        clip.encode_images(clean),
        clip.encode_images([_worn(picture, rng) for picture in clean]),
    )
    shift = 1 + int(rng.integers(len(scenes) - 1))
    good, random_ = _rows(image, text), _rows(image, np.roll(text, shift, axis=0))
    pairs = [i for i, scene in enumerate(scenes) if scene.relation]
    turned = clip.encode_texts([caption(swap_relation(scenes[i]), rng) for i in pairs])
    swapped = _rows(image, colour)
    return {
        "clip_auc_random_caption": auc(good, random_),
        "clip_auc_colour_swap": auc(good, swapped),
        "clip_auc_relation_swap": auc(good[pairs], _rows(image[pairs], turned)),
        "clip_recall_at_2_percent_lost": recall(good, random_),
        "clip_recall_at_2_percent_lost_worn": recall(
            _rows(worn, text), _rows(worn, np.roll(text, shift, axis=0))
        ),
        "clip_colour_swap_recall_at_2_percent_lost": recall(good, swapped),
        "clip_threshold_at_2_percent_lost": float(np.quantile(good, LOST)),
    }


def auc(good: Floats, bad: Floats) -> float:
    """Probability that a good score is above a bad one, ties counted half."""
    both = np.concatenate([good, bad])
    order = np.argsort(both, kind="stable")
    _, inverse, counts = np.unique(both[order], return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    ranks = np.empty(len(both))
    ranks[order] = mean_rank[inverse]
    return float(
        (ranks[: len(good)].sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad))
    )


def recall(good: Floats, bad: Floats) -> float:
    """Share of bad pairs under the threshold that loses 2 % of the good ones."""
    return float((bad < np.quantile(good, LOST)).mean())


def _rows(image: Floats, text: Floats) -> Floats:
    scores: Floats = (image * text).sum(axis=1)
    return scores


def _worn(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cropped by up to 8 % a side, resized to 80 … 160 pixels, through a JPEG of quality 50 … 90."""
    left, top, right, bottom = (float(share) for share in rng.uniform(0, 0.08, 4))
    width, height = image.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    side = int(rng.integers(80, 161))
    stream = io.BytesIO()
    resized = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    resized.save(stream, "JPEG", quality=int(rng.integers(50, 91)))
    return Image.open(stream).convert("RGB")


# --- T5 -------------------------------------------------------------------------------------------
def measure_t5(t5: T5, scenes: Sequence[Scene], rng: np.random.Generator) -> dict[str, float]:
    """Linear probes: which colours and shapes a caption names, and which colour a shape has.

    The first two read the mean over the tokens (all must be right), the third the vector at the
    shape's own word, so it asks whether words know their neighbours.
    """
    texts = [caption(scene, rng) for scene in scenes]
    states = t5.encode(texts)
    mean = np.stack([state.mean(axis=0) for state in states])
    named = {
        "colours": lambda s: {t.colour for t in s.things},
        "shapes": lambda s: {t.shape for t in s.things},
    }
    figures = {}
    for name, options in (("colours", tuple(COLOURS)), ("shapes", SHAPES)):
        wanted = np.array(
            [[option in named[name](scene) for option in options] for scene in scenes]
        )
        figures[f"t5_probe_{name}"] = _probe(
            mean, wanted, lambda p, w: ((p > 0.5) == w).all(axis=1)
        )
    at_word, colour = _at_shape_words(texts, states, scenes, t5)
    figures["t5_probe_colour_at_shape_word"] = _probe(
        at_word, colour, lambda p, w: p.argmax(axis=1) == w.argmax(axis=1)
    )
    return figures


def _at_shape_words(
    texts: Sequence[str], states: Sequence[Floats], scenes: Sequence[Scene], t5: T5
) -> tuple[Floats, NDArray[np.bool_]]:
    """Vectors at the tokens of shape words, and one-hot the colours of those shapes."""
    shapes = {tuple(t5.tokens([shape])[0][:-1]): shape for shape in SHAPES}
    vectors, colours = [], []
    for ids, state, scene in zip(t5.tokens(texts), states, scenes, strict=True):
        of = {thing.shape: thing.colour for thing in scene.things}
        for position, token in enumerate(ids):
            shape = shapes.get((token,))
            if shape in of:
                vectors.append(state[position])
                colours.append([name == of[shape] for name in COLOURS])
    return np.stack(vectors), np.array(colours)


def _probe(
    features: Floats, wanted: NDArray[np.bool_],
    right: Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[np.bool_]],
) -> float:  # fmt: skip
    """Accuracy on the second half of a ridge regression fitted on the first half."""
    half = len(features) // 2
    x = np.concatenate([features.astype(np.float64), np.ones((len(features), 1))], axis=1)
    square = x[:half].T @ x[:half] + 1e-3 * np.eye(x.shape[1])
    weights = np.linalg.solve(square, x[:half].T @ wanted[:half].astype(np.float64))
    return float(right(x[half:] @ weights, wanted[half:]).mean())


# --- VAE ------------------------------------------------------------------------------------------
def measure_vae(vae: Vae, scenes: Sequence[Scene]) -> dict[str, float]:
    """Mean PSNR of decoded posterior means in dB, at 64 × 64 and in a 64 × 96 bucket."""
    figures = {}
    for name, size in (("vae_psnr", (64, 64)), ("vae_psnr_64x96", (64, 96))):
        pixels = np.stack([np.asarray(draw(scene, size)) for scene in scenes])
        figures[name] = float(
            psnr(pixels, vae.decode(vae.encode(pixels)[:, : vae.channels])).mean()
        )
    return figures


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each picture in dB, uint8 [n, h, w, 3] each."""
    error = ((one.astype(np.float64) - other) ** 2).mean(axis=(1, 2, 3))
    return 10 * np.log10(255.0**2 / np.maximum(error, 1e-9))
