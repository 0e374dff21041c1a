"""On a GPU the encoders compute in bfloat16 and agree with the CPU's float32 within 2 %."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from curate.demo.scenes import caption, draw, random_scene
from curate.models.clip import Clip
from curate.models.t5 import T5
from curate.models.vae import Vae

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def scenes() -> tuple[NDArray[np.uint8], list[str]]:
    rng = np.random.default_rng(8)
    drawn = [random_scene(rng) for _ in range(64)]
    return np.stack([np.asarray(draw(s)) for s in drawn]), [caption(s, rng) for s in drawn]


def error(found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """Root mean square of the difference over that of the exact values."""
    assert found.dtype == exact.dtype == np.float32
    return float(np.sqrt(((found - exact) ** 2).mean() / (exact**2).mean()))


def test_clip_agrees(scenes: tuple[NDArray[np.uint8], list[str]]) -> None:
    pixels, texts = scenes
    gpu, cpu = (Clip.load("builtin:tiny", device=device) for device in ("cuda", "cpu"))
    assert error(gpu.encode_images(pixels), cpu.encode_images(pixels)) < TOLERANCE
    assert error(gpu.encode_texts(texts), cpu.encode_texts(texts)) < TOLERANCE


def test_t5_agrees(scenes: tuple[NDArray[np.uint8], list[str]]) -> None:
    gpu, cpu = (T5.load("builtin:tiny", device=device) for device in ("cuda", "cpu"))
    pairs = zip(gpu.encode(scenes[1]), cpu.encode(scenes[1]), strict=True)
    assert max(error(one, other) for one, other in pairs) < TOLERANCE


def test_the_vae_agrees(scenes: tuple[NDArray[np.uint8], list[str]]) -> None:
    gpu, cpu = (Vae.load("builtin:tiny", device=device) for device in ("cuda", "cpu"))
    exact = cpu.encode(scenes[0])[:, :4]
    assert error(gpu.encode(scenes[0])[:, :4], exact) < TOLERANCE
    there, here = (vae.decode(exact).astype(np.float32) for vae in (gpu, cpu))
    assert error(there, here) < TOLERANCE
