"""On a GPU: CLIP's kernels and towers at real shapes beside float32, and turns that never wait."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from clip_models import SIGLIP_PIXELS, built, config, siglip, write
from test_clip_stage import row, table
from test_models_clip import ids_of, noise, preprocess

from curate.models.agreement import relative_error
from curate.models.clip import Clip
from curate.models.clip_paths import Own, Sample, unit
from curate.models.fast_clip_image import fast_image
from curate.models.fast_clip_ops import activate_, attend, attend_first, norm, repeatable
from curate.models.fast_clip_text import FastText
from curate.models.launch import lane
from curate.stage import apply
from curate.stages.clip_score import ClipScore

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
CUDA = torch.device("cuda")
HALF = torch.bfloat16


@contextmanager
def without_waiting() -> Iterator[None]:
    """Fail where the CPU waits for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator(CUDA).manual_seed(seed)
    return torch.randn(*shape, device=CUDA, generator=rng)


# --- kernels --------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [768, 1024, 1152, 1280])
@pytest.mark.parametrize("period", [1, 257])
def test_the_norm_is_torchs(width: int, period: int) -> None:
    values, table_ = draw(257 * 3, width).to(HALF), draw(period, width, seed=1)
    affine = (draw(width, seed=2), draw(width, seed=3))
    for last in (None, affine):
        found = norm(values, table_, 1e-5, affine=last)
        summed = values.float() + table_.repeat(257 * 3 // period, 1)
        exact = F.layer_norm(summed, (width,), *(last or (None, None)), 1e-5)
        assert found.dtype == HALF
        assert relative_error(found, exact) < 0.004


@pytest.mark.parametrize("count", [1, 4095, 4096 * 257])
def test_activations_are_torchs(count: int) -> None:
    values = (draw(count) * 3).to(HALF)
    forms = {
        "erf": F.gelu(values.float()), "tanh": F.gelu(values.float(), approximate="tanh"),
        "quick": values.float() * torch.sigmoid(1.702 * values.float()),
    }  # fmt: skip
    for form, exact in forms.items():
        assert relative_error(activate_(values.clone(), form), exact) < 0.004  # type: ignore[arg-type]


@pytest.mark.parametrize("tokens", [1, 50, 197, 256, 257, 577])
@pytest.mark.parametrize(
    ("heads", "width"), [(16, 64), (12, 64), (4, 32), (8, 128), (16, 80), (16, 72)]
)
def test_attention_is_torchs_in_every_way(tokens: int, heads: int, width: int) -> None:
    qkv = draw(5 * tokens, 3 * heads * width).to(HALF)
    query, key, value = qkv.float().view(5, tokens, 3, heads, width).permute(2, 0, 3, 1, 4)
    seen = F.scaled_dot_product_attention(query, key, value)
    exact = seen.transpose(1, 2).reshape(5 * tokens, -1)
    for way in ("kernel", "any", "flash", "efficient"):
        found = attend(qkv, tokens, heads, way=way)  # type: ignore[arg-type]
        assert relative_error(found, exact) < 0.01
    first = attend_first(
        qkv.view(5, tokens, -1)[:, 0, : heads * width].contiguous(),
        qkv.view(5, tokens, -1)[:, :, heads * width :].contiguous(), heads,
    )  # fmt: skip
    assert relative_error(first, exact.view(5, tokens, -1)[:, 0]) < 0.01


# --- towers at real widths, few layers ------------------------------------------------------------
TOWERS: dict[str, dict[str, Any]] = {
    "L/14": {"vision": {"image_size": 224, "patch_size": 14, "width": 1024, "head_width": 64}},
    "L/14 quick": {
        "vision": {"image_size": 224, "patch_size": 14, "width": 1024, "head_width": 64},
        "quick_gelu": True,
    },
    "L/14 336": {"vision": {"image_size": 336, "patch_size": 14, "width": 1024, "head_width": 64}},
    "B/32": {"vision": {"image_size": 224, "patch_size": 32, "width": 768, "head_width": 64}},
    "B/16": {"vision": {"image_size": 224, "patch_size": 16, "width": 768, "head_width": 64}},
    "H/14": {"vision": {"image_size": 224, "patch_size": 14, "width": 1280, "head_width": 80}},
    "tanh": {
        "vision": {
            "image_size": 224, "patch_size": 14, "width": 1024, "head_width": 64,
            "act_kwargs": {"approximate": "tanh"}, "pool_type": "avg",
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("told", TOWERS.values(), ids=TOWERS)
def test_the_fast_image_tower_agrees(told: dict[str, Any]) -> None:
    model = built(config(embed_dim=256, **told))
    for parameter in model.visual.parameters():
        parameter.mul_(0.3)  # or attention of such widths looks at one token only
    pixels = preprocess(model)
    squares = noise(9, pixels.height, pixels.width).to(CUDA)
    exact = Own(model, pixels, CUDA, torch.float32)
    with lane(CUDA).turn():
        want = unit(exact.images(squares))
        for options in ({}, {"attention": "flash"}, {"mlp_rows": 1024}):
            fast = fast_image(model.visual, pixels, CUDA, HALF, **options)
            found = unit(fast(squares))
            assert relative_error(found, want) < 0.02
            for _ in range(4):
                again = unit(fast(squares))
                apart = int((again != found).any(dim=1).sum()), float((again - found).abs().max())
                assert apart == (0, 0.0), options
            assert (
                relative_error(torch.cat([unit(fast(squares[:1])), unit(fast(squares[1:]))]), want)
                < 0.02
            )


@pytest.mark.parametrize(("heads", "width"), [(16, 64), (16, 72), (16, 80)])
@pytest.mark.parametrize("part", ["norm", "attention", "first", "causal", "products", "gelu"])
def test_each_part_of_a_tower_repeats_to_the_bit(part: str, heads: int, width: int) -> None:
    wide, tokens = heads * width, 257
    rows = 9 * tokens
    x, table_ = draw(rows, wide).to(HALF), draw(1, wide, seed=1)
    qkv, inner = draw(rows, 3 * wide, seed=2).to(HALF), draw(rows, 4 * wide, seed=3).to(HALF)
    weight, bias = draw(wide, 4 * wide, seed=4).to(HALF), draw(4 * wide, seed=5).to(HALF)
    alone = qkv.view(9, tokens, -1)[:, 0, :wide].contiguous()
    both = qkv.view(9, tokens, -1)[..., wide:].contiguous()
    work = {
        "norm": lambda: norm(x, table_, 1e-5),
        "attention": lambda: attend(qkv, tokens, heads),
        "first": lambda: attend_first(alone, both, heads),
        "causal": lambda: attend(qkv, tokens, heads, causal=True),
        "products": lambda: x.clone().addmm_(inner, weight.t()),
        "gelu": lambda: torch._addmm_activation(bias, x, weight, use_gelu=True),
    }[part]
    with lane(CUDA).turn():
        wanted = repeatable(work)()
        differ = [int((repeatable(work)() != wanted).sum()) for _ in range(20)]
    assert differ == [0] * 20


@pytest.mark.parametrize("quick", [False, True])
def test_trimmed_captions_agree(quick: bool) -> None:
    model = built(
        config(
            text={"context_length": 77, "width": 768, "heads": 12}, embed_dim=256, quick_gelu=quick
        )
    )
    for parameter in model.transformer.parameters():
        parameter.mul_(0.3)
    rng = np.random.default_rng(0)
    ids = ids_of(model, rng.integers(2, 78, 700).tolist())
    fast = FastText(model, CUDA, HALF)
    exact = Own(model, preprocess(model), CUDA, torch.float32)
    with lane(CUDA).turn():
        found, want = unit(fast(ids)), unit(exact.texts(ids))
    assert relative_error(found, want) < 0.02
    assert float((found - want).norm(dim=1).max()) < 0.05  # each caption in its place


# --- whole models ---------------------------------------------------------------------------------
def test_the_small_model_agrees_with_the_cpu() -> None:
    pixels = [noise(5, 64, 64), noise(4, 96, 64)]
    texts = ["a red ring", "", "a blue square above a green circle", "x"]
    sample = Sample([one.to(CUDA) for one in pixels], texts)
    gpu, cpu = Clip.load("builtin:tiny", device="cuda", sample=sample), Clip.load("builtin:tiny")
    used = [(one.encoder, one.path) for one in gpu.agreements if one.used]
    assert used == [("clip pixels", "tensors"), ("clip image", "fused"), ("clip text", "trimmed")]
    assert [one.rows for one in gpu.agreements] == [9, 9, 3]
    pictures = [one.numpy() for batch in pixels for one in batch]
    for found, exact in (
        (gpu.encode_images(pictures), cpu.encode_images(pictures)),
        (gpu.encode_texts(texts), cpu.encode_texts(texts)),
    ):
        assert found.dtype == np.float32
        assert relative_error(torch.from_numpy(found), torch.from_numpy(exact)) < 0.02


def test_without_a_sample_and_without_rows() -> None:
    clip = Clip.load("builtin:tiny", device="cuda")
    assert [one.rows for one in clip.agreements] == [0, 0, 0]
    assert clip.encode_images([]).shape == clip.encode_texts([]).shape == (0, clip.dim)
    with lane(CUDA).turn():
        assert clip.images(noise(1, 70, 50).to(CUDA)).shape == (1, clip.dim)


def test_compiled_and_plain_bfloat16_where_the_fast_way_does_not_fit(tmp_path: Path) -> None:
    told = config(vision={"qk_norm": True}, text={"scale_fc": True})
    clip = Clip.load(str(write(tmp_path / "custom", told)), device="cuda")
    used = [one.path for one in clip.agreements if one.used]
    assert used == ["tensors", "compiled", "plain bfloat16"]
    exact = Clip.load(str(tmp_path / "custom"))
    for count in (1, 7, 64, 65):  # compiled for one size, then for any
        pictures = noise(count, 32, 32).numpy()
        found = clip.encode_images(pictures, batch_size=count)
        want = exact.encode_images(pictures)
        assert relative_error(torch.from_numpy(found), torch.from_numpy(want)) < 0.02


def test_float32_where_nothing_agrees() -> None:
    clip = Clip.load("builtin:tiny", device="cuda", tolerance=1e-7)
    assert [one.path for one in clip.agreements if one.used] == ["pillow", "float32", "float32"]
    pictures = noise(3, 80, 60).numpy()
    exact = Clip.load("builtin:tiny").encode_images(pictures)
    assert (
        relative_error(torch.from_numpy(clip.encode_images(pictures)), torch.from_numpy(exact))
        < 2e-3
    )


def test_preprocessing_keeps_what_little_is_left_of_fine_grain() -> None:
    """Noise made eight times smaller, as SigLIP squashes it: nearly grey, and its grain counts."""
    pixels = preprocess(built(config(pixels=SIGLIP_PIXELS)))
    for size in ((256, 256), (192, 320), (100, 140)):
        squares = noise(8, *size).to(CUDA)
        found, exact = pixels.squares(squares), pixels.squares_with_pillow(squares)
        apart = (found.float() - exact.float()).cpu()
        assert float(apart.abs().max()) <= 2 and float((apart != 0).float().mean()) < 0.05
        assert float(apart.norm()) < 0.015 * float((exact.float() - 127.5).norm())


@pytest.mark.parametrize("kind", ["timm", "own towers"])
def test_siglip_agrees(kind: str, tmp_path: Path) -> None:
    from clip_models import SIGLIP_TEXT

    told = siglip()
    if kind == "own towers":
        vision = {"act_kwargs": {"approximate": "tanh"}, "no_ln_pre": True, "pool_type": "avg"}
        told = config(vision=vision, text=SIGLIP_TEXT, pixels=SIGLIP_PIXELS, custom_text=True)
    folder = str(write(tmp_path / "siglip", told))
    gpu, cpu = Clip.load(folder, device="cuda"), Clip.load(folder)
    assert [one.path for one in gpu.agreements if one.used] == ["tensors", "fused", "trimmed"]
    pictures, texts = noise(5, 100, 140).numpy(), ["a red ring", "two dogs"]
    for found, exact in (
        (gpu.encode_images(pictures), cpu.encode_images(pictures)),
        (gpu.encode_texts(texts), cpu.encode_texts(texts)),
    ):
        assert relative_error(torch.from_numpy(found), torch.from_numpy(exact)) < 0.02


def test_a_turn_only_enqueues() -> None:
    clip = Clip.load("builtin:tiny", device="cuda")
    pixels = [noise(6, *size).to(CUDA) for size in ((64, 64), (96, 64), (80, 120))]
    ids = clip.tokens(["a red ring", "a blue square above a green circle", "x"] * 50)

    def work() -> list[Any]:
        way = lane(CUDA)
        with way.turn():
            return [way.fetch(clip.images(one)) for one in pixels] + [way.fetch(clip.texts(ids))]

    before = [one.wait().clone() for one in work()]
    with without_waiting():
        pending = work()
    for one, other in zip(pending, before, strict=True):
        assert torch.equal(one.wait(), other)


# --- the stage ------------------------------------------------------------------------------------
def test_the_stage_agrees_with_the_cpus_and_with_itself() -> None:
    plain = table([row(number) for number in range(1, 40)])
    transform = ClipScore(device="cuda", batch_size=8).open()
    found = apply(ClipScore(device="cuda", batch_size=8), plain, transform)
    exact = apply(ClipScore(device="cpu", batch_size=8), plain)
    assert found["reason"].equals(exact["reason"])
    for name in ("clip_image", "clip_text"):
        pair = [_vectors(one[name]) for one in (found, exact)]
        assert relative_error(*pair) < 0.02
    with ThreadPoolExecutor(3) as pool:
        again = list(pool.map(transform, [plain] * 6))
    for one in again:
        assert one["clip_image"].equals(found["clip_image"])
        assert one["clip_scores"].equals(found["clip_scores"])


def test_real_memory_that_runs_out_halves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = table([row(number) for number in range(1, 40)])
    stage = ClipScore(device="cuda", batch_size=32)
    transform = stage.open()
    whole = apply(stage, plain, transform)
    vectors = Clip.vectors

    def hungry(self: Clip, prepared: torch.Tensor) -> torch.Tensor:
        if len(prepared) > 8:
            torch.empty(1 << 46, dtype=torch.uint8, device=CUDA)
        return vectors(self, prepared)

    monkeypatch.setattr(Clip, "vectors", hungry)
    found = apply(stage, plain, transform)
    assert set(found["clip_batch"].to_pylist()) == {8}
    assert relative_error(_vectors(found["clip_image"]), _vectors(whole["clip_image"])) < 0.02


def _vectors(column: pa.ChunkedArray) -> torch.Tensor:
    told = column.combine_chunks()
    blobs = (told if told.type == pa.binary() else told.flatten()).drop_null()
    return torch.from_numpy(np.stack([np.frombuffer(one.as_py(), "<f2") for one in blobs])).float()
