"""The builtin models reach their gates on unseen scenes, fit their budget and match their card."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from curate.demo import train_tiny
from curate.demo.scenes import Scene, Thing, caption, random_scene
from curate.demo.train_tiny_data import pictures, write_tokenizer
from curate.demo.train_tiny_measure import (
    GATES,
    auc,
    below,
    measure_clip,
    measure_t5,
    measure_vae,
    psnr,
    recall,
)
from curate.demo.train_tiny_t5 import corrupt, gist
from curate.models import BUILTIN, digest
from curate.models.clip import Clip
from curate.models.t5 import T5
from curate.models.vae import Vae

TINY = BUILTIN / "tiny"
MEBIBYTE = 1 << 20


def scenes(count: int, seed: int) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(count)]


def test_clip_separates_captions_on_scenes_it_never_saw() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(31)
    figures = measure_clip(Clip.load("builtin:tiny"), scenes(500, 31), rng)
    assert below(figures) == []
    assert figures["clip_colour_swap_recall_at_2_percent_lost"] >= 0.98
    assert 0.35 < figures["clip_auc_relation_swap"] < 0.65  # the blind spot that the card admits


def test_t5_tells_colours_and_shapes() -> None:
    figures = measure_t5(T5.load("builtin:tiny"), scenes(1600, 32), np.random.default_rng(32))
    assert below(figures) == []


def test_the_vae_keeps_what_it_sees() -> None:
    torch.set_num_threads(1)
    vae = Vae.load("builtin:tiny")
    assert below(measure_vae(vae, scenes(40, 33))) == []
    pixels = pictures(40, seed=5, workers=1, worn=False).pixels
    latents = vae.encode(pixels)[:, : vae.channels] * vae.scaling_factor
    assert 0.8 < latents.std() < 1.25


def test_every_gate_is_measured_and_a_missed_one_is_named() -> None:
    figures = dict.fromkeys(GATES, 0.1)
    assert len(below(figures)) == len(GATES)
    assert below({"vae_psnr": float("nan")}) == ["vae_psnr is nan, below 30.0"]
    assert below({"vae_psnr": 31.0}) == []


def test_the_figures_are_what_they_say() -> None:
    good, bad = np.array([3, 2, 1], np.float32), np.array([0, 1, 2.5], np.float32)
    assert auc(good, bad) == pytest.approx(6.5 / 9)
    assert auc(good, good) == 0.5
    assert (
        recall(np.arange(1, 101, dtype=np.float32), np.array([0, 2.5, 50, 99], np.float32)) == 0.5
    )
    flat = np.zeros((1, 4, 4, 3), np.uint8)
    assert psnr(flat, flat + 1)[0] == pytest.approx(48.13, abs=0.01)


def test_the_models_fit_their_budget_and_are_the_ones_of_the_card() -> None:
    files = [path for path in TINY.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 8 * MEBIBYTE
    weights = [p for p in files if p.suffix not in {".json", ".md"}]
    assert len(weights) == 3
    assert {path.suffix for path in weights} == {".safetensors"}
    card = (TINY / "MODEL_CARD.md").read_text()
    told = re.findall(r"\| (clip|t5|vae) \|.*`([0-9a-f]{64})`", card)
    assert dict(told) == {part: digest(TINY / part) for part in ("clip", "t5", "vae")}
    assert "CC0" in card
    assert "Scores do not transfer to real pictures" in card
    for name, least in GATES.items():
        value = re.search(rf"\| {name} \| ([\d.]+) \| {least} \|", card)
        assert value is not None, name
        assert float(value[1]) >= least


# --- the training script --------------------------------------------------------------------------
def test_pictures_do_not_depend_on_the_number_of_processes() -> None:
    one, two = (pictures(600, seed=3, workers=n) for n in (1, 2))
    assert one.pixels.shape == (600, 64, 64, 3)
    assert np.array_equal(one.pixels, two.pixels)
    assert (one.scenes, one.captions, one.swapped) == (two.scenes, two.captions, two.swapped)


def test_spans_are_masked_and_nothing_is_lost() -> None:
    rng = np.random.default_rng(0)
    ids = np.zeros((50, 40), np.int64)
    for row in ids:
        length = int(rng.integers(5, 25))
        row[:length], row[length] = rng.integers(10, 90, length), 1
    source, target = corrupt(ids, 100, rng)
    for before, given, wanted in zip(ids, source, target, strict=True):
        spans: dict[int, list[int]] = {}
        for token in wanted[: int((wanted != 0).sum()) - 1].tolist():
            if token >= 100:
                current = spans.setdefault(token, [])
            else:
                current.append(token)
        assert spans
        filled = [t for token in given.tolist() for t in spans.get(token, [token])]
        assert [t for t in filled if t] == [t for t in before.tolist() if t]


def test_a_gist_is_the_same_whichever_way_a_scene_is_told() -> None:
    red, blue = Thing("circle", "red", "small"), Thing("square", "blue", "large")
    told = {
        gist(Scene((red, blue), "above", "plain", "gray", 1)),
        gist(Scene((blue, red), "below", "dotted", "navy", 2)),
    }
    assert told == {"red circle above blue square"}
    assert gist(Scene((red,), None, "plain", "gray", 1)) == "red circle"


def test_the_tokenizer_knows_its_words_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    captions = [caption(scene, rng) for scene in scenes(300, 1)]
    tokenizer = write_tokenizer(tmp_path, captions, opening="<start>", closing="<end>")
    ids = tokenizer("A RED circle")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["<start>", "▁a", "▁red", "▁circle", "<end>"]
    assert ids[-1] == len(tokenizer) - 1  # the highest id, where CLIP pools


@pytest.mark.slow
def test_the_script_trains_measures_and_refuses_what_is_not_good(tmp_path: Path) -> None:
    arguments = ["--seconds", "3", "--count", "500", "--measure", "120", "--workers", "1"]
    assert train_tiny.main(["--to", str(tmp_path), *arguments]) == 1  # three seconds are too few
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert all(digest(tmp_path / part) in card for part in ("clip", "t5", "vae"))
