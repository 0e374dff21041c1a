"""What pictures are compared by: stable under copies, apart for other pictures."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import scene
from PIL import Image, ImageOps

from curate.images import neighbours
from curate.images.compare import LANDMARK_UNIT, aligned_difference, landmarks
from curate.images.hashes import perceptual, pixel_sha256
from curate.images.neighbours import REACH, Found, Neighbours


def prints(pictures: list[Image.Image]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    found = [perceptual(picture) for picture in pictures]
    hashes = np.array([h for h, _ in found], np.uint64)
    return hashes, np.stack([np.frombuffer(p, np.uint8) for _, p in found])


def cropped(im: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = im.size
    return im.crop((round(left * width), round(top * height),
                    round((1 - right) * width), round((1 - bottom) * height)))  # fmt: skip


def test_the_pixel_hash_is_of_the_rgb_bytes() -> None:
    im = Image.new("RGB", (2, 1), (1, 2, 3))
    assert pixel_sha256(im) == sha256(bytes([1, 2, 3, 1, 2, 3])).hexdigest()


def test_the_print_is_the_mean_of_each_box() -> None:
    grid = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    large = Image.fromarray(np.kron(grid, np.ones((40, 40, 1), np.uint8)))
    _, found = perceptual(large)
    error = np.abs(np.frombuffer(found, np.uint8).reshape(12, 12, 3).astype(int) - grid)
    assert error.mean() < 6  # the triangle filter reaches a little over each edge
    flat = perceptual(Image.new("RGB", (50, 70), (10, 20, 30)))[1]
    assert flat == bytes([10, 20, 30] * 144)


def test_the_values_are_the_same_on_every_machine() -> None:
    x, y = np.meshgrid(np.arange(200), np.arange(150))
    im = Image.fromarray(np.dstack([x, y, (x * y) % 251]).astype(np.uint8))
    value, thumbprint = perceptual(im)
    assert f"{value:016x}" == "8001093f0f5f3f3f"
    assert sha256(thumbprint).hexdigest()[:16] == "d7277519266d9f6f"


def test_size_and_compression_hardly_change_the_hash() -> None:
    for seed in range(10):
        im = scene(seed, 96)
        (first, second), _ = prints([im, im.resize((60, 60))])
        assert int(first ^ second).bit_count() <= 6


def test_a_mirrored_or_turned_picture_has_another_hash() -> None:
    for seed in range(10):
        im = scene(seed)
        hashes, _ = prints([im, ImageOps.mirror(im), im.rotate(90)])
        assert all(int(hashes[0] ^ other).bit_count() > 20 for other in hashes[1:])


CROPS = [(0.04, 0, 0, 0), (0, 0.04, 0, 0), (0.02, 0.02, 0.02, 0.02), (0, 0, 0.04, 0.04)]


@pytest.mark.parametrize("crop", CROPS)
def test_a_light_crop_is_explained_and_another_picture_is_not(crop: tuple[float, ...]) -> None:
    pictures = [scene(seed, 96) for seed in range(20)]
    _, whole = prints(pictures)
    _, less = prints([cropped(im, *crop) for im in pictures])
    raw = np.abs(whole.astype(int) - less).mean(axis=1)
    explained = aligned_difference(whole, less)
    assert explained.max() <= 3.0
    assert explained.mean() < raw.mean() / 2
    assert aligned_difference(whole, np.roll(whole, 1, axis=0)).min() > 3.0


def test_the_difference_is_symmetric_and_zero_for_the_same() -> None:
    _, some = prints([scene(seed) for seed in range(8)])
    other = np.roll(some, 3, axis=0)
    assert np.array_equal(aligned_difference(some, other), aligned_difference(other, some))
    assert aligned_difference(some, some).max() == 0.0


def test_a_crop_moves_landmarks_less_than_the_search_reaches() -> None:
    pictures = [scene(seed, 96) for seed in range(40)]
    _, whole = prints(pictures)
    for crop in CROPS:
        _, less = prints([cropped(im, *crop) for im in pictures])
        moved = np.abs(landmarks(whole).astype(np.int64) - landmarks(less)) / LANDMARK_UNIT
        assert (moved <= REACH + 3.0).all()


def _by_all_pairs(
    hashes: NDArray[np.uint64], table: NDArray[np.uint8], *, bits: int, rgb: float
) -> list[int]:
    """The definition, word for word: the first earlier picture that is near and repeats none."""
    leaders: list[int] = []
    for row in range(len(table)):
        mine = np.repeat(table[row : row + 1], row, axis=0)
        near = (np.bitwise_count(hashes[:row] ^ hashes[row]) <= bits) & (
            aligned_difference(table[:row], mine) <= rgb if row else np.zeros(0, bool)
        )
        first = [at for at in np.flatnonzero(near).tolist() if leaders[at] < 0]
        leaders.append(first[0] if first else -1)
    return leaders


def found(hashes: NDArray[np.uint64], table: NDArray[np.uint8], *, bits: int, rgb: float) -> Found:
    rows = np.arange(len(table), dtype=np.int64)
    return Neighbours(hashes, table, rows, near_bits=bits, near_rgb=rgb).repeats(rows)


@pytest.mark.parametrize(
    ("bits", "rgb", "leaf", "chunk"),
    [(20, 3.0, 2048, 16384), (20, 3.0, 16, 64), (20, 3.0, 2, 8), (24, 8.0, 16, 64), (0, 0.0, 9, 9)],
)
def test_the_search_finds_what_comparing_all_pairs_finds(
    monkeypatch: pytest.MonkeyPatch, bits: int, rgb: float, leaf: int, chunk: int
) -> None:
    monkeypatch.setattr(neighbours, "LEAF_ROWS", leaf)
    monkeypatch.setattr(neighbours, "CHUNK_ROWS", chunk)
    monkeypatch.setattr(neighbours, "CHUNK_PAIRS", 7)
    rng = np.random.default_rng(4)
    pictures = [scene(seed) for seed in range(60)]
    for step in range(140):  # copies of copies, so that clusters touch
        im = pictures[int(rng.integers(len(pictures)))]
        pictures.append(cropped(im, 0.04 * (step % 2), 0.02, 0.0, 0.02).resize((64, 64)))
    hashes, table = prints([pictures[i] for i in rng.permutation(len(pictures))])
    wanted = _by_all_pairs(hashes, table, bits=bits, rgb=rgb)
    assert found(hashes, table, bits=bits, rgb=rgb).leader.tolist() == wanted
    if rgb:
        assert sum(leader >= 0 for leader in wanted) > 50


def test_a_crowd_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many pictures alike to the landmarks cost a bounded search and still find close copies."""
    monkeypatch.setattr(neighbours, "CROWD", 32)
    monkeypatch.setattr(neighbours, "LEAF_ROWS", 64)
    looked = 0
    near = Neighbours._near

    def counting(self: Neighbours, left: neighbours.Rows, right: neighbours.Rows):  # type: ignore[no-untyped-def]
        nonlocal looked
        looked += len(left)
        return near(self, left, right)

    monkeypatch.setattr(Neighbours, "_near", counting)
    rng = np.random.default_rng(5)
    size = 4000
    table = rng.integers(100, 110, (size, 432), dtype=np.uint8)
    hashes = rng.integers(0, 2**63, size).astype(np.uint64)
    table[size - 100 :], hashes[size - 100 :] = table[:100], hashes[:100]
    leader = found(hashes, table, bits=20, rgb=3.0).leader
    assert looked <= size * 16 * 32 * 8  # corners × crowd × levels of halving
    assert looked < size * size / 3
    assert np.count_nonzero(leader[size - 100 :] >= 0) >= 95
