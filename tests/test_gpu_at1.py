"""AT1's way and the ceilings on a GPU: `make test-gpu` runs them where there is one."""

from __future__ import annotations

import pytest
import torch
from pictures import file, scene

from curate.bench import at1, roof
from curate.models.device import pick

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TINY = {"clip": "builtin:tiny", "t5": "builtin:tiny", "vae": "builtin:tiny"}


def test_at1s_way_runs_and_lets_its_memory_go() -> None:
    before = torch.cuda.memory_allocated()
    benchmark = torch.backends.cudnn.benchmark
    pictures = [file(scene(n, (96, 80))) for n in range(3)]
    rates = at1.measure(TINY, pictures, ["a red circle", "a star"], 64, 1.0, "cuda")
    assert min(rates.t5_per_second, rates.vae_per_second, rates.clip_per_second) > 1
    assert rates.both_per_second < min(rates.t5_per_second, rates.vae_per_second)
    assert torch.cuda.memory_allocated() <= before + (1 << 20)
    assert torch.backends.cudnn.benchmark == benchmark


def test_the_vae_is_the_same_as_on_a_cpu() -> None:
    path = at1.resolve("builtin:tiny", "vae")
    pixels = torch.rand(3, 64, 64) * 2 - 1
    here, there = (at1._vae_encoder(path, pick(device))(pixels) for device in ("cpu", "cuda"))
    assert here.shape == there.shape
    assert float(abs(here - there).max()) < 0.02 * float(abs(here).max())


def test_the_ceilings_are_plausible() -> None:
    found = roof.measure("cuda")
    name = torch.cuda.get_device_name()
    assert (found.device, found.dtype, found.matmul_side) == (name, "bfloat16", 8192)
    assert 10 < found.matmul_tflops < 10_000
    assert 5 < found.conv_tflops < 10_000
    assert len(found.convs) == 3
    assert 0.1 < found.copy_tbps < 50
    assert found.to_device_gbps is not None
    assert found.from_device_gbps is not None
    assert min(found.to_device_gbps, found.from_device_gbps) > 1


def test_a_median_of_events_is_the_time_of_one_call() -> None:
    side = 4096
    left = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    took = roof.median_seconds(lambda: left @ left, pick("cuda"), 0.2)
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    for _ in range(50):
        left @ left
    ended.record()
    torch.cuda.synchronize()
    assert took == pytest.approx(begun.elapsed_time(ended) / 50 / 1e3, rel=0.3)
