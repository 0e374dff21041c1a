"""Decoding for a device: what goes where, refusals, chroma, lineage; on a GPU against the CPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.images import gpu_decode
from curate.images.crops import as_tensor, crop_to_bucket, decoded
from curate.images.decode import DAMAGE
from curate.images.gpu_decode import (
    LEAST_PSNR_DB,
    IntBox,
    Job,
    chunks,
    decode_crops,
    decoder,
    gathered,
    resized,
)
from curate.images.jpeg import Plain, plain
from tests.pictures import broken, file, photo, planted, psnr

CPU = torch.device("cpu")
KINDS = planted()
BOX = (6, 4, 96, 94)
SIZE = (48, 48)


def told(body: bytes) -> Plain:
    found = plain(body)
    assert found is not None
    return found


# --- on a CPU --------------------------------------------------------------------------------------
@pytest.mark.parametrize("threads", [1, 3])
def test_crops_come_in_order_and_what_cannot_be_read_is_left_out(threads: int) -> None:
    bodies = [KINDS["4:4:4"], *broken().values(), KINDS["alpha"], KINDS["4:2:0"]]
    boxes: list[IntBox] = [BOX] * len(bodies)
    bodies.append(KINDS["webp"])
    boxes.append((0, 0, 151, 106))  # leaves the picture
    crops, readable = decode_crops(bodies, boxes, SIZE, CPU, threads=threads)
    assert readable == [0, len(bodies) - 3, len(bodies) - 2]
    assert crops.shape == (3, 48, 48, 3) and crops.dtype == torch.uint8 and crops.is_contiguous()
    for crop, row in zip(crops, readable, strict=True):
        assert np.array_equal(crop.numpy(), crop_to_bucket(bodies[row], BOX, *SIZE))


def test_nothing_and_nothing_readable_give_no_crops_of_the_size() -> None:
    for bodies in ([], [b"", b"<html>"]):
        crops, readable = decode_crops(bodies, [BOX] * len(bodies), (40, 30), CPU)
        assert crops.shape == (0, 30, 40, 3) and crops.dtype == torch.uint8 and readable == []


def test_the_decoder_is_named_with_versions_but_without_the_machine() -> None:
    assert decoder(CPU).startswith("libjpeg via torchvision ")
    assert "pillow 1" in decoder(CPU) and "torch 2." in decoder(CPU)


def test_places_side_by_side_are_a_view_and_others_are_put_together() -> None:
    one, two = torch.arange(40).reshape(10, 4), torch.arange(100, 140).reshape(10, 4)
    view = gathered([(one, 3), (one, 4), (one, 5)], CPU)
    assert view.data_ptr() == one[3].data_ptr() and torch.equal(view, one[3:6])
    mixed = gathered([(one, 3), (two, 4), (one, 2)], CPU)
    assert torch.equal(mixed, torch.stack([one[3], two[4], one[2]]))


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=30), st.integers(1, 4000)
)
def test_chunks_hold_every_picture_once_and_no_more_pixels_than_fit(
    sizes: list[tuple[int, int]], most: int
) -> None:
    jobs = [Job(at, b"", (0, 0, 1, 1), Plain(w, h, False, 1, 1)) for at, (w, h) in enumerate(sizes)]
    found = list(chunks(jobs, most))
    assert [job for chunk in found for job in chunk] == jobs
    assert all(len(chunk) == 1 or sum(job.pixels for job in chunk) <= most for chunk in found)


def test_broken_files_are_unreadable_on_the_cpus_own_path() -> None:
    for body in broken().values():
        with pytest.raises(DAMAGE):
            crop_to_bucket(body, BOX, *SIZE)


# --- a GPU's path, played on a CPU -----------------------------------------------------------------
def smoothing(full: int, shared: int) -> np.ndarray:
    """libjpeg's chroma filter as a matrix: 3/4 of the own value, 1/4 of the nearer neighbour."""
    if shared == 1:
        return np.eye(full)
    few = -(-full // 2)
    matrix = np.zeros((full, few))
    for at in range(full):
        own = at // 2
        other = min(max(own + (1 if at % 2 else -1), 0), few - 1)
        if at == full - 1 and at % 2:
            other = own
        matrix[at, own] += 0.75
        matrix[at, other] += 0.25
    return matrix


def repeated(body: bytes) -> torch.Tensor:
    """A plain JPEG as nvJPEG decodes it, [3, H, W]: chroma repeated, where libjpeg smooths it."""
    head = told(body)
    with Image.open(BytesIO(body)) as im:
        im.draft("YCbCr", im.size)
        if im.mode == "L":
            return torch.from_numpy(np.array(im.convert("RGB"))).permute(2, 0, 1)
        light, *colours = (np.asarray(band, np.float64) for band in im.split())
    across, down = smoothing(head.width, head.across), smoothing(head.height, head.down)
    blue, red = (
        (np.linalg.pinv(down) @ colour @ np.linalg.pinv(across).T)
        .round()
        .repeat(head.down, 0)
        .repeat(head.across, 1)[: head.height, : head.width]
        .clip(0, 255)
        - 128
        for colour in colours
    )
    rgb = [light + 1.402 * red, light - 0.344136 * blue - 0.714136 * red, light + 1.772 * blue]
    return torch.from_numpy(np.stack(rgb).round().clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize(
    ("source", "box", "size"),
    [
        ((150, 106), (0, 0, 106, 106), (106, 106)),  # as it is
        ((150, 106), (7, 5, 107, 105), (80, 80)),
        ((151, 107), (0, 0, 151, 107), (48, 34)),  # odd sides
        ((151, 107), (21, 1, 151, 101), (260, 200)),  # larger
    ],
)
def test_repeated_chroma_is_smoothed_as_libjpeg_does(
    source: tuple[int, int], box: IntBox, size: tuple[int, int], subsampling: str
) -> None:
    body = file(photo(*source), quality=95, subsampling=subsampling)
    job = Job(0, body, box, told(body))
    [(rows, crops)] = resized([job], [repeated(body)], size)
    wanted = crop_to_bucket(body, box, *size)
    assert rows == [0] and crops.shape == (1, size[1], size[0], 3)
    found = psnr(crops[0].numpy(), wanted)
    assert found >= 50
    if subsampling != "4:4:4" and size == (106, 106):
        untreated = Job(0, body, box, Plain(*source, False, 1, 1))
        [(_, plainly)] = resized([untreated], [repeated(body)], size)
        assert found > psnr(plainly[0].numpy(), wanted) + 3


def test_coloured_edges_gain_ten_decibels() -> None:
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[...] = (90, 100, 110)
    stripes[:, 30:70] = (170, 90, 80)
    stripes[40:60] = (80, 110, 160)
    body = file(Image.fromarray(stripes), quality=95, subsampling="4:2:0")
    box, size = (0, 0, 96, 96), (96, 96)
    wanted = crop_to_bucket(body, box, *size)
    quality = []
    for head in (told(body), Plain(96, 96, False, 1, 1)):
        [(_, crops)] = resized([Job(0, body, box, head)], [repeated(body)], size)
        quality.append(psnr(crops[0].numpy(), wanted))
    assert quality[0] >= 48 and quality[0] > quality[1] + 8


def test_pictures_of_many_sizes_are_resized_together_and_each_as_alone() -> None:
    sides = [(150, 106), (151, 107), (300, 200), (310, 205), (150, 106), (64, 64), (33, 90)]
    bodies = [
        file(photo(*side, seed), quality=95, subsampling=("4:4:4", "4:2:0")[seed % 2])
        for seed, side in enumerate(sides)
    ] + [KINDS["grey"]]
    boxes: list[IntBox] = [(1, 2, side[0], side[1] - 1) for side in [*sides, (150, 106)]]
    jobs = [Job(at, *job, told(job[0])) for at, job in enumerate(zip(bodies, boxes, strict=True))]
    parts = resized(jobs, [repeated(body) for body in bodies], (40, 32))
    assert len(parts) < len(jobs)
    found = {row: crop for rows, crops in parts for row, crop in zip(rows, crops, strict=True)}
    assert sorted(found) == list(range(len(jobs)))
    for at, job in enumerate(jobs):
        assert psnr(found[at].numpy(), crop_to_bucket(job.body, job.box, 40, 32)) >= 48


class Played:
    """nvJPEG played by the CPU: it refuses batches that hold what it is told to refuse."""

    def __init__(self, refused: Sequence[bytes] = (), most: int = 1 << 30) -> None:
        self.refused, self.most = set(refused), most
        self.calls: list[int] = []

    def __call__(self, jobs: Sequence[Job], device: torch.device) -> list[torch.Tensor]:
        self.calls.append(len(jobs))
        if sum(job.pixels for job in jobs) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if any(bytes(job.body) in self.refused for job in jobs):
            raise RuntimeError("Error while decoding JPEG images: Failed to decode batch: 2")
        return [repeated(bytes(job.body)) for job in jobs]


def played(
    monkeypatch: pytest.MonkeyPatch, nvjpeg: Played, bodies: Sequence[bytes], boxes: Sequence[IntBox],
    most: int = 1 << 30,
) -> tuple[torch.Tensor, list[int]]:  # fmt: skip
    monkeypatch.setattr(gpu_decode, "_nvjpeg_pixels", nvjpeg)
    monkeypatch.setattr(gpu_decode, "nvjpeg", lambda device: True)
    monkeypatch.setattr(gpu_decode, "_most_pixels", lambda device: most)
    return gpu_decode._on_gpu(bodies, boxes, SIZE, CPU, 1)


def mixture() -> tuple[list[bytes], list[IntBox], list[int]]:
    """Every kind of file, broken ones among them; boxes; the rows that can be read."""
    good, bad = sorted(KINDS), sorted(broken())
    bodies: list[bytes] = []
    readable = []
    for at, name in enumerate(good):
        readable.append(len(bodies))
        bodies.append(KINDS[name])
        if at < len(bad):
            bodies.append(broken()[bad[at]])
    boxes: list[IntBox] = [BOX] * len(bodies)
    bodies += [KINDS["4:4:4"], KINDS["alpha"]]
    boxes += [(0, 0, 107, 107), (0, 0, 10, 107)]  # these leave the picture
    return bodies, boxes, readable


def agree(crops: torch.Tensor, rows: list[int], bodies: Sequence[bytes], least: float) -> None:
    for crop, row in zip(crops.cpu(), rows, strict=True):
        assert psnr(crop.numpy(), crop_to_bucket(bodies[row], BOX, *SIZE)) >= least


def test_plain_jpegs_go_to_the_gpu_and_all_else_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies, boxes, readable = mixture()
    nvjpeg = Played()
    crops, rows = played(monkeypatch, nvjpeg, bodies, boxes)
    assert rows == readable and crops.shape == (len(rows), 48, 48, 3)
    agree(crops, rows, bodies, 48)
    plains = sum(plain(body) is not None for body in bodies[:-2])
    assert nvjpeg.calls == [plains] == [10]


@pytest.mark.parametrize("bad", [[0], [5], [9], [0, 9], list(range(10))])
def test_what_the_gpu_refuses_is_found_by_halves_and_decoded_on_the_cpu(
    bad: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [file(photo(150, 106, seed), quality=95, subsampling="4:4:4") for seed in range(10)]
    nvjpeg = Played([bodies[at] for at in bad])
    crops, rows = played(monkeypatch, nvjpeg, bodies, [BOX] * 10)
    assert rows == list(range(10))
    agree(crops, rows, bodies, 48)
    assert len(nvjpeg.calls) <= 20
    for at in bad:  # these are the CPU's own pixels
        assert np.array_equal(crops[at].numpy(), crop_to_bucket(bodies[at], BOX, *SIZE))


def test_little_memory_makes_smaller_batches_and_none_leaves_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bodies = [file(photo(150, 106, seed), quality=95, subsampling="4:4:4") for seed in range(6)]
    for most, sizes in ((150 * 106 * 2, {6, 3, 2, 1}), (1, {6, 3, 2, 1})):
        nvjpeg = Played(most=most)
        crops, rows = played(monkeypatch, nvjpeg, bodies, [BOX] * 6)
        assert rows == list(range(6)) and set(nvjpeg.calls) <= sizes
        agree(crops, rows, bodies, 48)
    nvjpeg = Played()
    played(monkeypatch, nvjpeg, bodies, [BOX] * 6, most=150 * 106 * 4)
    assert nvjpeg.calls == [4, 2]


# --- on a GPU --------------------------------------------------------------------------------------
GPU = torch.device("cuda", 0)
gpu = pytest.mark.gpu


@gpu
def test_this_gpu_decodes_jpegs_and_the_decoder_says_so() -> None:
    assert decoder(GPU).startswith("nvjpeg via torchvision ")


@gpu
def test_a_gpu_agrees_with_the_cpu_on_every_kind_of_file() -> None:
    bodies, boxes, readable = mixture()
    crops, rows = decode_crops(bodies, boxes, SIZE, GPU)
    assert rows == readable
    assert crops.device == GPU and crops.shape == (len(rows), 48, 48, 3)
    agree(crops, rows, bodies, LEAST_PSNR_DB)


@gpu
@pytest.mark.parametrize("name", sorted(n for n in KINDS if plain(KINDS[n]) is not None))
@pytest.mark.parametrize("size", [(90, 90), (48, 48), (200, 200)])
def test_a_gpu_agrees_on_plain_jpegs_at_every_scale(name: str, size: tuple[int, int]) -> None:
    crops, rows = decode_crops([KINDS[name]], [BOX], size, GPU)
    assert rows == [0]
    wanted = crop_to_bucket(KINDS[name], BOX, *size)
    assert psnr(crops[0].cpu().numpy(), wanted) >= LEAST_PSNR_DB


@gpu
def test_a_gpu_decodes_the_plain_ones_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing plain falls back in silence: the CPU's way is shut."""
    names = [n for n in sorted(KINDS) if plain(KINDS[n]) is not None]
    monkeypatch.setattr(gpu_decode, "crop_to_bucket", lambda *_: pytest.fail("on the CPU"))
    _, rows = decode_crops([KINDS[n] for n in names], [BOX] * len(names), SIZE, GPU)
    assert len(rows) == len(names)


@gpu
def test_nvjpeg_repeats_chroma_as_the_smoothing_expects() -> None:
    """Where a later nvJPEG interpolates by itself, this fails and the smoothing must go."""
    from torchvision.io import ImageReadMode, decode_jpeg

    for name in ("4:2:0", "4:2:2", "4:4:4"):
        body = KINDS[name]
        [found] = decode_jpeg([as_tensor(body)], mode=ImageReadMode.RGB, device=GPU)
        there = found.cpu().permute(1, 2, 0).numpy()
        near = psnr(there, repeated(body).permute(1, 2, 0).numpy())
        smooth = psnr(there, decoded(body).permute(1, 2, 0).numpy())
        assert near >= 45, (name, near, smooth)


@gpu
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_photos_of_usual_sizes_agree_and_repeat_to_the_bit(subsampling: str) -> None:
    sides = [(1024, 1024), (1024, 683), (683, 1024), (1280, 853), (2048, 1365), (512, 512)] * 3
    bodies = [
        file(photo(*side, seed), quality=92, subsampling=subsampling, progressive=seed % 4 == 3)
        for seed, side in enumerate(sides)
    ]
    boxes: list[IntBox] = []
    for wide, high in sides:
        side = min(wide, high)
        left, top = (wide - side) // 2, (high - side) // 2
        boxes.append((left, top, left + side, top + side))
    first, rows = decode_crops(bodies, boxes, (256, 256), GPU)
    again, _ = decode_crops(bodies, boxes, (256, 256), GPU)
    assert rows == list(range(len(bodies))) and torch.equal(first, again)
    for crop, body, box in zip(first.cpu(), bodies, boxes, strict=True):
        assert psnr(crop.numpy(), crop_to_bucket(body, box, 256, 256)) >= 48


@gpu
def test_threads_decode_beside_each_other_without_mixing_pictures() -> None:
    bodies = [file(photo(400, 300, seed), quality=92) for seed in range(24)]
    boxes: list[IntBox] = [(0, 0, 300, 300)] * 24
    wanted, _ = decode_crops(bodies, boxes, (128, 128), GPU)

    def work(_: int) -> bool:
        found, rows = decode_crops(bodies, boxes, (128, 128), GPU)
        return rows == list(range(24)) and torch.equal(found, wanted)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(16)))


@gpu
def test_without_nvjpeg_the_cpu_decodes_and_the_log_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import torchvision.io

    def missing(*_: object, **__: object) -> None:
        raise RuntimeError("decode_jpegs_cuda: torchvision not compiled with nvJPEG support")

    monkeypatch.setattr(torchvision.io, "decode_jpeg", missing)
    gpu_decode._probe.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                crops, rows = decode_crops([KINDS["4:4:4"]], [BOX], SIZE, GPU)
    finally:
        monkeypatch.undo()
        gpu_decode._probe.cache_clear()
    assert rows == [0] and crops.device == GPU
    assert [r.message.count("not compiled with nvJPEG") for r in caplog.records] == [1]
    assert np.array_equal(crops[0].cpu().numpy(), crop_to_bucket(KINDS["4:4:4"], BOX, *SIZE))


@gpu
def test_garbage_behind_a_plain_header_neither_raises_nor_spoils_its_neighbours() -> None:
    good = file(photo(150, 106), quality=95, subsampling="4:4:4")
    scan = good.index(b"\xff\xda") + 14
    bad = [
        good[:scan] + b"\xff\xd9",
        good[:scan] + bytes(500) + b"\xff\xd9",
        good[: scan + 900] + b"\xff\xd9",
    ]
    bodies = [good, bad[0], good, bad[1], good, bad[2], good]
    crops, rows = decode_crops(bodies, [BOX] * 7, SIZE, GPU)
    wanted = crop_to_bucket(good, BOX, *SIZE)
    assert {0, 2, 4, 6} <= set(rows)
    for at in (0, 2, 4, 6):
        assert psnr(crops[rows.index(at)].cpu().numpy(), wanted) >= LEAST_PSNR_DB
