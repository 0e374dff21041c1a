"""Crops on a CPU against a full Pillow decode, resized by Pillow; what cannot be read; threads."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from curate.images import crops
from curate.images.crops import LEAST_PSNR_DB, as_tensor, crop_to_bucket, decoded
from curate.images.decode import DAMAGE, Picture, decode
from tests.pictures import broken, file, photo, planted, png_header, psnr

KINDS = planted()
Box = tuple[int, int, int, int]


def reference(body: bytes, box: Box, width: int, height: int) -> np.ndarray:
    """The slow way: everything decoded by `images.decode`, the box resized by Pillow."""
    picture = decode(body, max_pixels=1 << 30)
    assert isinstance(picture, Picture)
    corners = tuple(float(side) for side in box)
    resized = picture.pixels.resize((width, height), Image.Resampling.BICUBIC, box=corners)
    return np.asarray(resized)


def upright(name: str) -> tuple[int, int]:
    return (106, 150) if name in {f"turned {turn}" for turn in range(5, 9)} else (150, 106)


@pytest.mark.parametrize("torchvision", [True, False], ids=["torchvision", "pillow"])
@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_of_file_is_cropped_as_by_pillow(
    name: str, torchvision: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torchvision:
        monkeypatch.setattr(crops, "jpeg_reader", lambda: None)
    wide, high = upright(name)
    boxes = [
        (0, 0, wide, high),
        (9, 5, wide - 14, high - 3),
        (0, 7, wide, high),
        (3, 0, wide, high),
    ]
    for box in boxes:
        for size in ((64, 48), (100, 100), (200, 160), (31, 17)):
            found = crop_to_bucket(KINDS[name], box, *size)
            assert found.shape == (size[1], size[0], 3) and found.dtype == np.uint8
            assert found.flags.c_contiguous
            assert psnr(found, reference(KINDS[name], box, *size)) >= LEAST_PSNR_DB


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize(
    ("source", "size"),
    [((1024, 1024), 256), ((1024, 1024), 512), ((683, 512), 256), ((700, 900), 96)],
)
def test_photos_of_usual_sizes_keep_the_promise(
    source: tuple[int, int], size: int, subsampling: str
) -> None:
    body = file(photo(*source), quality=92, subsampling=subsampling)
    side = min(source)
    left, top = (source[0] - side) // 2, (source[1] - side) // 2
    for inset in (0, 41):
        box = (left + inset, top + inset, left + side - inset, top + side - inset)
        assert psnr(crop_to_bucket(body, box, size, size), reference(body, box, size, size)) >= 65


def test_fine_detail_keeps_the_promise_too() -> None:
    """Noise and writing, where decoding at a half loses more than twenty decibels."""
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    lines = (np.indices((400, 400)).sum(0) % 3 == 0)[..., None].repeat(3, -1) * np.uint8(255)
    for drawn in (noise, lines):
        body = file(Image.fromarray(drawn), quality=95)
        for box in ((0, 0, 400, 400), (11, 17, 385, 391)):
            for size in (50, 100, 133):
                found = crop_to_bucket(body, box, size, size)
                assert psnr(found, reference(body, box, size, size)) >= LEAST_PSNR_DB


def test_without_resizing_the_pixels_are_the_files_own() -> None:
    for body in (file(photo(80, 60), "PNG"), file(photo(80, 60), quality=95, subsampling="4:4:4")):
        with Image.open(BytesIO(body)) as im:
            whole = np.asarray(im.convert("RGB"))
        assert np.array_equal(crop_to_bucket(body, (10, 20, 74, 52), 64, 32), whole[20:52, 10:74])


@pytest.mark.parametrize("name", sorted(broken()))
def test_what_cannot_be_read_raises_what_is_expected_of_damage(name: str) -> None:
    with pytest.raises(DAMAGE):
        crop_to_bucket(broken()[name], (0, 0, 8, 8), 8, 8)


@pytest.mark.parametrize("body", [file(photo(40, 30)), file(photo(40, 30), "PNG")])
@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 41, 5), (0, 0, 5, 31), (9, 3, 3, 9)]
)
def test_a_box_that_is_empty_or_leaves_the_picture_is_refused(body: bytes, box: Box) -> None:
    with pytest.raises(ValueError, match=r"crop box .* in a picture of 40 × 30"):
        crop_to_bucket(body, box, 8, 8)


def test_a_picture_beyond_pillows_limit_is_unreadable_not_a_crash() -> None:
    with pytest.raises(ValueError, match="decompression bomb"):
        crop_to_bucket(png_header(20_000, 20_000), (0, 0, 8, 8), 8, 8)


def test_views_are_read_where_they_lie_without_a_warning() -> None:
    body = file(photo(60, 40))
    padded = b"abc" + body + b"xyz"
    view = memoryview(padded)[3 : 3 + len(body)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = as_tensor(view)
        same = crop_to_bucket(view, (0, 0, 60, 40), 30, 20)
    assert tensor.data_ptr() == np.frombuffer(padded, np.uint8).ctypes.data + 3
    assert bytes(tensor.numpy()) == body
    assert np.array_equal(same, crop_to_bucket(body, (0, 0, 60, 40), 30, 20))


def test_threads_beside_each_other_see_the_same_pixels() -> None:
    bodies = [KINDS[name] for name in sorted(KINDS) if not name.startswith("turned")] * 3
    alone = [crop_to_bucket(body, (0, 0, 150, 106), 64, 48) for body in bodies]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda body: crop_to_bucket(body, (0, 0, 150, 106), 64, 48), bodies)
        )
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_what_torchvision_refuses_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("no")

    body = file(photo(60, 40))
    wanted = decoded(body)
    monkeypatch.setattr(crops, "jpeg_reader", lambda: refuse)
    assert np.array_equal(decoded(body).numpy(), wanted.numpy())
