"""Scenes are reproducible, captions are true, swaps change one thing, pictures differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.demo.scenes import (
    BACKGROUNDS,
    COLOURS,
    PATTERNS,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
    caption,
    draw,
    random_scene,
    swap_colour,
    swap_relation,
)

seeds = st.integers(0, 2**32)


def scenes(count: int, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(count)]


def pixels(scene: Scene, size: int | tuple[int, int] = 64) -> np.ndarray:
    return np.asarray(draw(scene, size)).astype(np.int16)


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_a_scene_and_its_picture_follow_from_the_seed(seed: int) -> None:
    one, two = (random_scene(np.random.default_rng(seed)) for _ in range(2))
    assert one == two
    assert draw(one).tobytes() == draw(two).tobytes()
    assert (len(one.things) == 2) == (one.relation is not None)
    assert len({thing.colour for thing in one.things}) == len(one.things)


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_caption_names_colours_and_shapes_and_nothing_that_is_not_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng)
    words = caption(scene, rng).replace(":", "").split()
    assert {w for w in words if w in COLOURS} == {thing.colour for thing in scene.things}
    assert {w for w in words if w in SHAPES} == {thing.shape for thing in scene.things}
    assert {w for w in words if w in BACKGROUNDS} <= {scene.background}
    assert {w for w in words if w in PATTERNS} <= {scene.pattern}
    sizes = {thing.size for thing in scene.things}
    assert {w for w in words if w in SIZES} <= sizes
    assert "a orange" not in " ".join(words)
    assert "a olive" not in " ".join(words)


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_a_captions_relation_is_true_in_the_order_it_names_things(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng)
    if scene.relation is None:
        with pytest.raises(ValueError, match="no relation"):
            swap_relation(scene)
        return
    text = f" {caption(scene, rng)} ".replace(" over ", " above ").replace(" under ", " below ")
    said = next(name for name in RELATIONS if f" {name} " in text)
    first = min(scene.things, key=lambda thing: text.index(f" {thing.shape}"))
    assert said == (scene.relation if first == scene.things[0] else RELATIONS[scene.relation])
    assert swap_relation(swap_relation(scene)) == scene


def test_a_relation_is_where_the_things_are_drawn() -> None:
    things = (Thing("circle", "white", "small"), Thing("square", "black", "small"))
    for relation, (axis, sign) in {
        "above": (0, -1), "below": (0, 1), "left of": (1, -1), "right of": (1, 1),
    }.items():  # fmt: skip
        grey = pixels(Scene(things, relation, "plain", "gray", 7)).mean(axis=2)
        white, black = (np.argwhere(mask).mean(axis=0) for mask in (grey > 220, grey < 45))
        assert sign * (white[axis] - black[axis]) > 20, relation


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_a_colour_swap_changes_one_colour_and_the_pixels_of_that_thing_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng)
    swapped = swap_colour(scene, rng)
    changed = [(a, b) for a, b in zip(scene.things, swapped.things, strict=True) if a != b]
    assert len(changed) == 1
    before, after = changed[0]
    assert (before.shape, before.size) == (after.shape, after.size)
    assert after.colour not in {thing.colour for thing in scene.things}
    different = (pixels(scene) != pixels(swapped)).any(axis=2).mean()
    assert 0.005 < different < 0.4


def test_a_picture_looks_the_same_at_other_sizes() -> None:
    for scene in scenes(20):
        small = pixels(scene, 64)
        large = np.asarray(draw(scene, 192).reduce(3)).astype(np.int16)
        assert np.abs(small - large).mean() < 4
        assert draw(scene, (96, 64)).size == (96, 64)


def test_different_scenes_are_not_taken_for_duplicates() -> None:
    thumbs = np.stack([np.asarray(draw(s).resize((12, 12))) for s in scenes(400)]).astype(np.int16)
    flat = thumbs.reshape(len(thumbs), -1)
    nearest = min(np.abs(flat[i + 1 :] - flat[i]).mean(axis=1).min() for i in range(len(flat) - 1))
    assert nearest > 3  # the near-duplicate bound, before perceptual hashes are even compared


def test_every_word_of_the_vocabulary_turns_up() -> None:
    drawn = scenes(500)
    assert {t.colour for s in drawn for t in s.things} == set(COLOURS)
    assert {t.shape for s in drawn for t in s.things} == set(SHAPES)
    assert {s.background for s in drawn} == set(BACKGROUNDS)
    assert {s.pattern for s in drawn} == set(PATTERNS)
    assert {s.relation for s in drawn} == {None, *RELATIONS}
