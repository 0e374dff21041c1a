"""Crops resized by kernels of our own: the interpreter runs them on a CPU, a GPU where there is one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from test_models_packing import INTERPRETED

from curate.images.ragged import resample_each
from curate.images.ragged_gpu import by_kernels, resample_bytes
from curate.images.resample import rounded

CASES = (((24, 16), (1, 1)), ((9, 40), (2, 2)), ((16, 12), (2, 1)), ((12, 16), (1, 2)))
"""Width and height of the crops, and pixels that share a chroma value across and down."""
HERE = os.path.dirname(__file__)


def pictures(seed: int) -> tuple[list[torch.Tensor], list[tuple[int, int, int, int]]]:
    """Some smooth pictures of odd sizes, one of them grey, and boxes within them."""
    rng = np.random.default_rng(seed)
    found, boxes = [], []
    for number in range(2):
        rows, columns = (int(side) for side in rng.integers(20, 50, 2))
        coarse = rng.integers(0, 256, (1, 3 if number else 1, rows // 8 + 2, columns // 8 + 2))
        smooth = torch.nn.functional.interpolate(
            torch.from_numpy(coarse.astype(np.float32)), size=(rows, columns), mode="bilinear"
        )
        found.append(smooth[0].to(torch.uint8))
        left, top, right, bottom = (int(side) for side in rng.integers(0, 6, 4))
        boxes.append((left, top, columns - right, rows - bottom))
    return found, boxes


def compare(device: str) -> None:
    """Every size and sampling: nowhere further apart than one grey level, and that seldom."""
    for seed, ((width, height), chroma) in enumerate(CASES):
        crops, boxes = pictures(seed)
        there = [crop.to(device) for crop in crops]
        found = by_kernels(there, boxes, width=width, height=height, chroma=chroma).cpu()
        wanted = rounded(resample_each(crops, boxes, width=width, height=height, chroma=chroma))
        assert found.shape == wanted.shape == (len(crops), height, width, 3)
        apart = (found.int() - wanted.int()).abs()
        assert int(apart.max()) <= 1
        assert float(apart.float().mean()) < 0.02


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton")
def test_the_kernels_give_what_the_products_give() -> None:
    program = f"{INTERPRETED}\nimport test_ragged_gpu\ntest_ragged_gpu.compare('cpu')\n"
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": f"{HERE}:{HERE}/.."}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_cpu_takes_the_products() -> None:
    crops, boxes = pictures(7)
    found = resample_bytes(crops, boxes, width=40, height=30, chroma=(2, 2))
    wanted = rounded(resample_each(crops, boxes, width=40, height=30, chroma=(2, 2)))
    assert torch.equal(found, wanted)
    assert found.is_contiguous()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_gives_what_the_cpu_gives_and_repeats_it_to_the_bit() -> None:
    compare("cuda")
    crops, boxes = pictures(3)
    there = [crop.cuda() for crop in crops]
    one, two = (by_kernels(there, boxes, width=64, height=64, chroma=(2, 2)) for _ in "ab")
    assert torch.equal(one, two)
