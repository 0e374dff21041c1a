"""What the device and its host do at best, measured: the ceilings that rates are held against.

Medians of timed repeats on random data (zeros draw less power, and so run faster).
"""

from __future__ import annotations

import hashlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from curate import columns as c
from curate.models.device import dtype_of, pick
from curate.store.commit import encode

if TYPE_CHECKING:
    import torch

WARM_UP: Final = 3
REPEATS: Final = (5, 300)


class Roof(BaseModel, frozen=True, extra="forbid"):
    """Measured ceilings of one device; TFLOP/s, TB/s and GB/s are decimal.

    `matmul_tflops` and `convs` are in `dtype`; `conv_tflops` is the fastest of `convs`, 3 × 3
    convolutions in channels-last layout at the sizes of a VAE. `copy_tbps` counts bytes read and
    written. The host's figures are of one core; transfers are null where there is no device.
    """

    device: str
    dtype: str
    matmul_tflops: float
    matmul_side: int
    conv_tflops: float
    convs: dict[str, float]
    copy_tbps: float
    to_device_gbps: float | None
    from_device_gbps: float | None
    sha256_gbps: float
    parquet_gbps: float

    def figures(self) -> dict[str, float]:
        """The numbers alone, by name."""
        return {name: value for name, value in self if isinstance(value, float)}


@dataclass(frozen=True)
class _Sizes:
    """How much is computed a repeat: enough to fill the device."""

    side: int
    convs: tuple[tuple[int, int, int], ...]  # pictures, channels, side
    copied: int
    sent: int
    host: int
    seconds: float


_GPU: Final = _Sizes(
    side=8192, convs=((32, 128, 512), (32, 256, 256), (32, 512, 128)),
    copied=1 << 30, sent=1 << 29, host=1 << 27, seconds=1.5,
)  # fmt: skip
_CPU: Final = _Sizes(
    side=512, convs=((2, 32, 32),), copied=1 << 25, sent=0, host=1 << 24, seconds=0.1
)


def measure(device: str) -> Roof:
    """Measure the ceilings of `auto`, `cpu` or a CUDA device; takes about ten seconds on a GPU."""
    import torch

    target = pick(device)
    sizes = _GPU if target.type == "cuda" else _CPU
    with torch.inference_mode():
        convs = _convs(target, sizes)
        to_device, from_device = _transfers(target, sizes)
        return Roof(
            device=torch.cuda.get_device_name(target) if target.type == "cuda" else "cpu",
            dtype=str(dtype_of(target)).removeprefix("torch."),
            matmul_tflops=_matmul(target, sizes),
            matmul_side=sizes.side,
            conv_tflops=max(convs.values()),
            convs=convs,
            copy_tbps=_copy(target, sizes),
            to_device_gbps=to_device,
            from_device_gbps=from_device,
            sha256_gbps=_sha256(sizes),
            parquet_gbps=_parquet(sizes),
        )


def median_seconds(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Median time of one call over about `seconds`; on a GPU by events, calls back to back."""
    import torch

    for _ in range(WARM_UP):
        work()
    if device.type != "cuda":
        return statistics.median(_timed(work) for _ in range(_repeats(_timed(work), seconds)))
    torch.cuda.synchronize(device)
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    repeats = _repeats(time.perf_counter() - begun, seconds)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize(device)
    pairs = itertools.pairwise(events)
    return statistics.median(before.elapsed_time(after) for before, after in pairs) / 1e3


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _repeats(once: float, seconds: float) -> int:
    few, many = REPEATS
    return min(many, max(few, round(seconds / max(once, 1e-9))))


def _matmul(device: torch.device, sizes: _Sizes) -> float:
    import torch

    side = sizes.side
    left, right = (torch.randn(side, side, device=device, dtype=dtype_of(device)) for _ in range(2))
    out = torch.empty_like(left)
    took = median_seconds(lambda: torch.mm(left, right, out=out), device, sizes.seconds)
    return 2 * side**3 / took / 1e12


def _convs(device: torch.device, sizes: _Sizes) -> dict[str, float]:
    """TFLOP/s of a 3 × 3 convolution by shape."""
    import torch

    found: dict[str, float] = {}
    with _fastest_convolution():
        for pictures, channels, side in sizes.convs:
            shape = (pictures, channels, side, side)
            values, weight = (
                torch.randn(size, device=device, dtype=dtype_of(device)).contiguous(
                    memory_format=torch.channels_last
                )
                for size in (shape, (channels, channels, 3, 3))
            )
            work = partial(torch.nn.functional.conv2d, values, weight, None, 1, 1)
            took = median_seconds(work, device, sizes.seconds)
            operations = 2 * 9 * channels**2 * side**2 * pictures
            found[f"{pictures}x{channels}x{side}x{side}"] = operations / took / 1e12
    return found


@contextmanager
def _fastest_convolution() -> Iterator[None]:
    import torch

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _random_bytes(count: int, device: torch.device) -> torch.Tensor:
    import torch

    return torch.randint(0, 256, (count,), dtype=torch.uint8, device=device)


def _copy(device: torch.device, sizes: _Sizes) -> float:
    import torch

    source = _random_bytes(sizes.copied, device)
    target = torch.empty_like(source)
    took = median_seconds(lambda: target.copy_(source), device, sizes.seconds)
    return 2 * sizes.copied / took / 1e12


def _transfers(device: torch.device, sizes: _Sizes) -> tuple[float | None, float | None]:
    """GB/s from pinned memory to the device and back, one direction at a time."""
    import torch

    if device.type != "cuda":
        return None, None
    there = _random_bytes(sizes.sent, device)
    here = torch.empty(sizes.sent, dtype=torch.uint8, pin_memory=True)
    here.copy_(there)
    up = median_seconds(lambda: there.copy_(here, non_blocking=True), device, sizes.seconds)
    down = median_seconds(lambda: here.copy_(there, non_blocking=True), device, sizes.seconds)
    return sizes.sent / up / 1e9, sizes.sent / down / 1e9


def _sha256(sizes: _Sizes) -> float:
    body = np.random.default_rng(0).bytes(sizes.host)
    took = statistics.median(_timed(lambda: hashlib.sha256(body).digest()) for _ in range(5))
    return sizes.host / took / 1e9


def _parquet(sizes: _Sizes) -> float:
    """GB/s of the store's writer over latents of 8 KiB, as bytes in memory."""
    each = 8192
    rows = sizes.host // each
    values = pa.py_buffer(np.random.default_rng(1).bytes(rows * each))
    ends = pa.py_buffer(np.arange(0, rows * each + 1, each, dtype=np.int32))
    column = pa.Array.from_buffers(pa.binary(), rows, [None, ends, values])
    keys = pa.array([f"{row:064x}" for row in range(rows)])
    table = pa.table([keys, column], schema=pa.schema([c.KEY, c.LATENT]))
    took = statistics.median(_timed(lambda: encode(table)) for _ in range(5))
    return rows * each / took / 1e9
