"""On a GPU: each path beside float32, all kinds, the gates, and turns that wait for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import autoencoders as ae
import numpy as np
import pyarrow as pa
import pytest
import torch
from latent_shards import MIXED, encode, latents, reasons, scenes, table
from numpy.typing import NDArray

from curate.models import vae as vae_module
from curate.models import vae_choice, vae_paths
from curate.models.agreement import relative_error
from curate.models.launch import Lane
from curate.models.vae import Vae
from curate.stages.vae import VaeStage

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
REAL = {  # the encoder of SD and SDXL
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "norm_num_groups": 32,
}  # fmt: skip
BF16 = ["fused bf16", "compiled bf16", "plain bf16"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ae.save(tmp_path_factory.mktemp("real") / "kl", "kl", **REAL)


def apart(found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    return relative_error(torch.from_numpy(found), torch.from_numpy(exact))


# --- paths ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(64, 64), (96, 64), (72, 136), (256, 192)])
def test_the_fused_encoder_of_real_shape_agrees_at_every_size(
    real: Path, size: tuple[int, int]
) -> None:
    sample = ae.pictures(5, width=size[0], height=size[1])
    vae = Vae.load(str(real), device="cuda", sample=sample)
    (told,) = vae.agreements
    assert (told.path, told.used, told.rows) == ("fused bf16", True, 5)
    assert told.error is not None and 0 < told.error < 0.02
    other = ae.pictures(3, width=size[0], height=size[1], seed=7)
    exact = Vae.load(str(real)).encode(other)
    assert apart(vae.encode(other)[:, :4], exact[:, :4]) < 0.02
    assert np.array_equal(vae.encode(other), vae.encode(other))
    assert apart(vae.encode(other, batch_size=1)[:, :4], exact[:, :4]) < 0.02


@pytest.mark.parametrize("kind", ["kl", "dc", "tiny"])
@pytest.mark.parametrize("path", BF16)
def test_every_path_of_every_kind_agrees_or_says_why_not(
    kind: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = vae_paths.fast_paths

    def one(model: Any, device: torch.device) -> Any:
        return [told for told in paths(model, device) if told[0] == path]

    monkeypatch.setattr(vae_module, "fast_paths", one)
    monkeypatch.setattr(vae_choice, "fast_paths", one)
    folder = str(ae.save(tmp_path / kind, kind))
    sample = [*ae.pictures(5), *ae.pictures(4, width=64)]
    vae = Vae.load(folder, device="cuda", sample=sample)
    first = vae.agreements[0]
    if path == "fused bf16" and kind != "kl":
        assert (first.error, first.used) == (None, False) and "other parts" in first.note
        assert vae.dtype == torch.float32
    else:
        assert first.used, first.sentence()
        assert vae.dtype == torch.bfloat16
    exact = Vae.load(folder)
    for count, width in ((1, 32), (3, 32), (5, 64), (2, 96)):  # lengths and sizes not compiled for
        pixels = ae.pictures(count, width=width, seed=count)
        wanted = exact.encode(pixels)
        assert apart(vae.encode(pixels)[:, : vae.channels], wanted[:, : vae.channels]) < 0.02
        mode = wanted[:, : vae.channels]
        there, here = (one.decode(mode).astype(np.float32) for one in (vae, exact))
        assert apart(there, here) < 0.02


def test_float32_is_exact_and_leaves_the_flags_as_they_were(real: Path) -> None:
    flags = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [flag.allow_tf32 for flag in flags]
    vae = Vae.load(str(real), device="cuda", sample=ae.pictures(2))
    pixels = ae.pictures(2, width=64, seed=3)
    wanted = Vae.load(str(real)).encode(pixels)
    assert vae.exact().dtype == torch.float32 and vae.exact().device.type == "cuda"
    assert apart(vae.exact().encode(pixels), wanted) < 1e-4
    assert [flag.allow_tf32 for flag in flags] == before


def test_an_impossible_tolerance_ends_in_float32(real: Path) -> None:
    vae = Vae.load(str(real), device="cuda", sample=ae.pictures(2), tolerance=1e-7)
    assert [told.path for told in vae.agreements] == [*BF16, "float32"]
    assert [told.used for told in vae.agreements] == [False, False, False, True]
    assert vae.exact() is vae


# --- the stage ------------------------------------------------------------------------------------
def test_gpu_and_cpu_store_the_same_within_the_tolerance() -> None:
    given = table(MIXED)
    here, there = (encode(VaeStage(batch_size=3, device=d), given) for d in ("cpu", "cuda"))
    assert reasons(here) == reasons(there)
    for one, other in zip(latents(here), latents(there), strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert apart(other[:4], one[:4]) < 0.02
    assert there["vae_batch"].null_count == there["vae_float32"].null_count == len(given)


def test_a_turn_only_enqueues(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a turn nothing synchronises; the column lies in pinned memory that was fetched to."""
    given = table([*scenes(30)])
    stage = VaeStage(batch_size=8, device="cuda")
    vae = stage.load(given)
    stage.encode(given, vae)  # kernels are compiled, libraries loaded
    turn, fetch, fetched = Lane.turn, Lane.fetch, []

    @contextmanager
    def strict(self: Lane) -> Iterator[None]:
        with turn(self):
            torch.cuda.set_sync_debug_mode("error")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")

    def watched(self: Lane, tensor: torch.Tensor) -> Any:
        pending = fetch(self, tensor)
        fetched.append(pending.host)
        return pending

    monkeypatch.setattr(Lane, "turn", strict)
    monkeypatch.setattr(Lane, "fetch", watched)
    column = stage.encode(given, vae)["latent"]
    places = {host.data_ptr(): host for host in fetched}
    assert column.num_chunks == 1
    assert places[column.chunk(0).buffers()[2].address].is_pinned()


def test_threads_that_share_a_gpu_store_what_one_alone_would() -> None:
    tables = [table([*scenes(20, seed=seed)]) for seed in range(6)]
    stage = VaeStage(batch_size=8, device="cuda")
    vae = stage.load(tables[0])
    alone = [encode(stage, given, vae) for given in tables]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(partial(_encode, stage, vae), tables))
    for one, other in zip(alone, together, strict=True):
        assert one.equals(other)


def _encode(stage: VaeStage, vae: Vae, given: pa.Table) -> pa.Table:
    return encode(stage, given, vae)


def test_rows_that_fail_are_tried_again_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = scenes(9)
    given = table([*pictures])
    stage = VaeStage(batch_size=4, device="cuda", least_psnr=None)
    vae = stage.load(given)
    healthy = vae._encode

    def sick(pixels: torch.Tensor) -> torch.Tensor:
        told = healthy(pixels).clone()
        told[-1, 0, 0, 0] = torch.nan
        return told

    monkeypatch.setattr(vae, "_encode", sick)
    found = encode(stage, given, vae)
    assert reasons(found) == [None] * 9
    saved = [row for row, again in enumerate(found["vae_float32"].to_pylist()) if again]
    assert saved == [3, 7, 8]  # the last of each batch
    exact = Vae.load("builtin:tiny")
    for row in saved:
        stored = latents(found)[row]
        assert stored is not None
        assert apart(stored, exact.encode(pictures[row][None])[0]) < 1e-3


def test_memory_that_runs_out_halves_the_batch(real: Path) -> None:
    pictures = [*ae.pictures(24, width=512, height=512)]
    given = table([*pictures])
    stage = VaeStage(model=str(real), batch_size=96, device="cuda", least_psnr=None)
    vae = stage.load(table(pictures[:4]))
    whole = encode(stage, given, vae)
    assert whole["vae_batch"].null_count == 24
    torch.cuda.empty_cache()
    held, total = torch.cuda.memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((held + (3 << 30)) / total)
    try:
        found = encode(stage, given, vae)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    (size,) = set(found["vae_batch"].to_pylist())
    assert size in (1, 2, 3, 6, 12)
    assert reasons(found) == [None] * 24
    for one, other in zip(latents(found), latents(whole), strict=True):
        assert one is not None and other is not None
        assert apart(one[:4], other[:4]) < 0.02
