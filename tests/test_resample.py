"""Resizing as two matrix products against Pillow's own, up and down, with boxes and fractions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.images import resample as module
from curate.images.ragged import resample_each, span, weights_of
from curate.images.resample import Box, Filter, resample, rounded
from tests.pictures import photo, psnr

PILLOW: dict[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR,
}  # fmt: skip


def tensor(*pictures: Image.Image) -> torch.Tensor:
    """[n, 3, H, W], a view of pixels that lie one after the other."""
    return torch.stack([torch.from_numpy(np.array(p)) for p in pictures]).permute(0, 3, 1, 2)


def ours(
    picture: Image.Image, width: int, height: int, box: Box | None, filter: Filter
) -> np.ndarray:
    values = resample(tensor(picture), width=width, height=height, box=box, filter=filter)
    return rounded(values)[0].numpy()


@pytest.mark.parametrize("filter", ["bicubic", "bilinear"])
@pytest.mark.parametrize(
    ("source", "target", "box"),
    [
        ((640, 480), (256, 192), None),
        ((640, 480), (256, 256), (80, 0, 560, 480)),
        ((640, 480), (224, 224), (80.25, 3.5, 553.125, 477.75)),
        ((481, 641), (96, 160), (0, 0, 384.6, 641)),
        ((200, 300), (256, 384), None),  # larger
        ((1024, 768), (33, 7), (1000, 0, 1024, 768)),
        ((64, 64), (64, 32), None),  # one axis as it is
        ((64, 64), (32, 64), (0, 0, 64, 64)),
        ((9, 5), (3, 2), None),
        ((1, 1), (16, 16), None),
    ],
)
def test_the_pixels_are_pillows(
    source: tuple[int, int], target: tuple[int, int], box: Box | None, filter: Filter
) -> None:
    picture = photo(*source)
    theirs = np.asarray(picture.resize(target, PILLOW[filter], box=box))
    found = ours(picture, *target, box, filter)
    assert found.shape == theirs.shape
    assert psnr(found, theirs) >= 60
    assert np.abs(found.astype(int) - theirs).max() <= 1


def test_a_picture_flattened_a_lot_stays_close_to_whichever_pass_pillow_does_first() -> None:
    """Pillow 13 goes down first where that reduces more, older ones across; both round between."""
    picture, box = photo(200, 300), (10.5, 20.5, 190.5, 280.5)
    theirs = np.asarray(picture.resize((512, 64), Image.Resampling.BICUBIC, box=box))
    assert psnr(ours(picture, 512, 64, box, "bicubic"), theirs) >= 52


def test_a_box_of_the_wanted_size_is_cut_out_untouched() -> None:
    picture = photo(90, 70)
    found = ours(picture, 40, 30, (11, 7, 51, 37), "bicubic")
    assert np.array_equal(found, np.asarray(picture)[7:37, 11:51])


def test_hard_edges_do_not_ring_beyond_pillows() -> None:
    """Pillow clips between its passes; without that, saturated corners differ visibly."""
    board = np.kron(np.indices((16, 16)).sum(0) % 2, np.ones((7, 7)))[..., None].repeat(3, -1)
    picture = Image.fromarray((board * 255).astype("u1"))
    theirs = np.asarray(picture.resize((40, 40), Image.Resampling.BICUBIC))
    assert psnr(ours(picture, 40, 40, None, "bicubic"), theirs) >= 50


def test_pictures_of_a_batch_are_resized_each_for_itself() -> None:
    pictures = [photo(120, 80, seed) for seed in range(4)]
    together = rounded(resample(tensor(*pictures), width=48, height=32))
    alone = [ours(picture, 48, 32, None, "bicubic") for picture in pictures]
    assert np.abs(together.numpy().astype(int) - np.stack(alone)).max() <= 1
    assert together.shape == (4, 32, 48, 3) and together.dtype == torch.uint8
    assert together.is_contiguous()


def test_planes_floats_and_no_picture_at_all_are_taken() -> None:
    picture = photo(120, 80)
    view = tensor(picture)
    wanted = resample(view, width=50, height=40)
    assert wanted.dtype == torch.float32 and wanted.shape == (1, 3, 40, 50)
    assert torch.allclose(resample(view.contiguous(), width=50, height=40), wanted, atol=1e-3)
    assert torch.allclose(resample(view.float(), width=50, height=40), wanted, atol=1e-3)
    assert resample(view[:0], width=50, height=40).shape == (0, 3, 40, 50)


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 5),
        (-1, 0, 5, 5),
        (0, 0, 11, 5),
        (0, 0, 5, 9),
        (4, 3, 3, 4),
        (0, 0, float("nan"), 5),
    ],
)
def test_a_box_that_is_empty_or_leaves_the_picture_is_refused(box: Box) -> None:
    with pytest.raises(ValueError, match="box"):
        resample(torch.zeros(1, 3, 8, 10), width=4, height=4, box=box)
    with pytest.raises(ValueError, match="10 × 8 to 0 × 4"):
        resample(torch.zeros(1, 3, 8, 10), width=0, height=4)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), length=st.integers(1, 300), size=st.integers(1, 300))
def test_the_weights_of_every_output_sum_to_one_and_stay_in_the_picture(
    data: st.DataObject, length: int, size: int
) -> None:
    low = data.draw(st.floats(0, length - 0.5))
    high = data.draw(st.floats(low + 0.25, length)) if low + 0.25 < length else float(length)
    bands = module._bands(length, low, high, size, "bicubic", torch.device("cpu"), False)
    assert 0 <= bands.first < bands.end <= length
    for part in bands.parts:
        assert 0 <= part.first < part.end <= bands.end - bands.first
        assert torch.allclose(part.weights.sum(0), torch.tensor(1.0), atol=1e-5)
    flat = resample(
        torch.full((1, 3, 2, length), 77.0), width=size, height=2, box=(low, 0, high, 2)
    )
    assert torch.allclose(flat, torch.tensor(77.0), atol=1e-3)


def test_weights_are_made_once_for_a_size_and_the_cache_is_bounded() -> None:
    module._bands.cache_clear()
    for _ in range(3):
        resample(torch.zeros(1, 3, 40, 40), width=20, height=10)
    assert module._bands.cache_info().misses == 2
    for width in range(1, 200):
        resample(torch.zeros(1, 3, 40, 40), width=width, height=40)
    assert module._bands.cache_info().currsize <= 64


def test_rounding_cuts_off_what_lies_outside_and_rounds_halves_up() -> None:
    values = (
        torch.tensor([-3.0, 0.49, 0.5, 254.5, 255.4, 300.0]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    )
    assert rounded(values)[0, 0, :, 0].tolist() == [0, 0, 1, 255, 255, 255]


def halves(pixels: torch.Tensor, width: int, height: int, box: Box) -> torch.Tensor:
    """The arithmetic of a GPU, computed here: one part an axis, weights and values in float16."""
    rows, columns = pixels.shape[-2:]
    where = torch.device("cpu"), True
    across = module._bands(columns, box[0], box[2], width, "bicubic", *where)
    down = module._bands(rows, box[1], box[3], height, "bicubic", *where)
    seen = pixels[..., down.first : down.end, across.first : across.end]
    return module._combined(seen, across, down)


@pytest.mark.parametrize("target", [(256, 256), (518, 256), (256, 511)])
def test_half_precision_stays_close_to_pillow(target: tuple[int, int]) -> None:
    picture, box = photo(683, 512), (81.0, 0.0, 599.0, 511.0)
    theirs = np.asarray(picture.resize(target, Image.Resampling.BICUBIC, box=box))
    found = halves(tensor(picture), *target, box)
    assert found.dtype == torch.float32
    assert psnr(rounded(found)[0].numpy(), theirs) >= 57


def test_half_precision_keeps_what_little_is_left_of_fine_grain() -> None:
    """Noise made eight times smaller is nearly grey: float16 steps of 1/8 there would be seen."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    theirs = np.stack([Image.fromarray(one).resize((32, 32)) for one in noise])
    found = halves(torch.from_numpy(noise).permute(0, 3, 1, 2), 32, 32, (0.0, 0.0, 256.0, 256.0))
    apart = rounded(found).numpy().astype(int) - theirs
    assert np.abs(apart).max() <= 1
    assert np.mean(apart != 0) < 0.02
    assert np.linalg.norm(apart) < 0.015 * np.linalg.norm(theirs - 127.5)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), width=st.integers(1, 70), height=st.integers(1, 70))
def test_pictures_of_any_sizes_together_are_as_each_alone(
    data: st.DataObject, width: int, height: int
) -> None:
    pictures, boxes = [], []
    for seed in range(data.draw(st.integers(1, 4))):
        columns, rows = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
        left, top = data.draw(st.integers(0, columns - 1)), data.draw(st.integers(0, rows - 1))
        right = data.draw(st.integers(left + 1, columns))
        bottom = data.draw(st.integers(top + 1, rows))
        noise = np.random.default_rng(seed).integers(0, 256, (3, rows, columns), np.uint8)
        pictures.append(torch.from_numpy(noise))
        boxes.append((left, top, right, bottom))
    together = resample_each(pictures, boxes, width=width, height=height)
    assert together.shape == (len(pictures), 3, height, width)
    for found, picture, box in zip(together, pictures, boxes, strict=True):
        alone = resample(picture[None], width=width, height=height, box=box)[0]
        if box[3] - box[1] == height:  # no second pass, before which `resample` would round
            alone = alone.round().clamp(0, 255)
        assert float((found - alone).abs().max()) < 1.6  # a tie between the passes, rounded apart
        assert float((found - alone).abs().mean()) < 0.01


def test_one_channel_stands_for_three_and_a_box_must_lie_in_its_picture() -> None:
    grey = torch.arange(48, dtype=torch.uint8).reshape(1, 6, 8)
    found = resample_each([grey], [(1, 1, 7, 5)], width=3, height=2)
    wanted = resample_each([grey.expand(3, 6, 8)], [(1, 1, 7, 5)], width=3, height=2)
    assert torch.equal(found, wanted)
    for box in ((0, 0, 9, 6), (0, 0, 8, 7), (3, 0, 3, 6), (-1, 0, 5, 5)):
        with pytest.raises(ValueError, match="box side"):
            resample_each([grey], [box], width=3, height=2)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), length=st.integers(1, 200), size=st.integers(1, 200))
def test_smoothed_weights_sum_to_one_and_stay_in_the_picture(
    data: st.DataObject, length: int, size: int
) -> None:
    low = data.draw(st.integers(0, length - 1))
    high = data.draw(st.integers(low + 1, length))
    seen = span(length, low, high, size)
    assert 0 <= seen.first <= low < high <= seen.end <= length
    weights = weights_of([seen], size, torch.zeros(1), smooth=True)[0]
    assert torch.allclose(weights.sum(1), torch.tensor(1.0), atol=1e-5)
    assert float(weights[:, seen.pixels :].abs().sum()) == 0.0


@pytest.mark.gpu
@pytest.mark.parametrize("layout", ["planes", "pixels"])
@pytest.mark.parametrize(
    ("source", "target", "box"),
    [
        ((1024, 1024), (256, 256), None),
        ((683, 511), (256, 192), (0.5, 1.5, 680.25, 509.0)),
        ((300, 201), (512, 384), None),
        ((640, 480), (640, 240), None),
        ((640, 480), (320, 480), None),
        ((640, 480), (64, 48), (10, 20, 74, 68)),
    ],
)
def test_a_gpu_gives_the_pixels_of_the_cpu(
    source: tuple[int, int], target: tuple[int, int], box: Box | None, layout: str
) -> None:
    picture = photo(*source)
    there = tensor(picture).cuda()
    there = there.contiguous() if layout == "planes" else there
    values = resample(there, width=target[0], height=target[1], box=box)
    assert values.dtype == torch.float32 and values.shape == (1, 3, target[1], target[0])
    theirs = np.asarray(picture.resize(target, Image.Resampling.BICUBIC, box=box))
    assert psnr(rounded(values)[0].cpu().numpy(), theirs) >= 55
