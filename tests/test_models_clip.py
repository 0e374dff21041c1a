"""CLIP's fast towers equal open_clip's, captions are cut where it changes nothing, SigLIP loads."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from clip_models import SIGLIP_PIXELS, SIGLIP_TEXT, built, config, siglip, write
from hypothesis import given
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from curate.errors import ModelError
from curate.models import BUILTIN
from curate.models.agreement import relative_error
from curate.models.clip import Clip
from curate.models.clip_paths import MADE_UP_TEXTS, Own, Paths, Sample, fast_paths, unit
from curate.models.clip_pixels import Preprocess, preprocess_of
from curate.models.fast_clip_image import fast_image, fits
from curate.models.fast_clip_text import FastText, plan_trimmed
from curate.models.fast_clip_text import fits as fits_text
from curate.models.launch import lane

CPU = torch.device("cpu")
SIGLIP_VISION = {"act_kwargs": {"approximate": "tanh"}, "no_ln_pre": True, "pool_type": "avg"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def preprocess(model: Any) -> Preprocess:
    told = open_clip.get_model_preprocess_cfg(model)
    return preprocess_of(model, image_transform_v2(PreprocessCfg(**told), is_train=False))


def noise(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth colours with grain on top: not what resampling leaves as it is."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 6, 6, 3), np.uint8)
    large = [
        Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC) for one in small
    ]
    grain = rng.integers(-20, 21, (count, height, width, 3))
    return torch.from_numpy(np.clip(np.stack(large) + grain, 0, 255).astype(np.uint8))


def ids_of(model: Any, lengths: list[int], *, end: int = 411, seed: int = 0) -> torch.Tensor:
    """Token ids of captions of these lengths: words, the end, then zeros."""
    rng = torch.Generator().manual_seed(seed)
    ids = torch.zeros(len(lengths), model.context_length, dtype=torch.int64)
    for row, length in enumerate(lengths):
        ids[row, : length - 1] = torch.randint(3, 400, (length - 1,), generator=rng)
        ids[row, length - 1] = end
    return ids


# --- the image tower ------------------------------------------------------------------------------
IMAGE_TOWERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "quick gelu": {"quick_gelu": True},
    "tanh gelu": {"vision": {"act_kwargs": {"approximate": "tanh"}}},
    "mean of the tokens": {"vision": {"pool_type": "avg"}},
    "mean before the norm": {"vision": {"pool_type": "avg", "final_ln_after_pool": True}},
    "no norm in front": {"vision": {"no_ln_pre": True}},
    "layer scale": {"vision": {"ls_init_value": 0.3}},
    "patches that leave a rest": {"vision": {"patch_size": 7}},
    "not square": {"vision": {"image_size": [32, 48], "patch_size": 16}},
    "fixed places": {"vision": {"pos_embed_type": "sin_cos_2d"}},
    "one layer": {"vision": {"layers": 1}},
    "wide mlp, other eps": {"vision": {"mlp_ratio": 3.0, "norm_kwargs": {"eps": 1e-3}}},
    "own text tower": {"custom_text": True},
}


@pytest.mark.parametrize("told", IMAGE_TOWERS.values(), ids=IMAGE_TOWERS)
def test_the_fast_image_tower_is_open_clips(told: dict[str, Any]) -> None:
    model = built(config(**told))
    pixels = preprocess(model)
    squares = noise(5, pixels.height, pixels.width)
    with torch.inference_mode():
        exact = model.encode_image(pixels.normalised(squares, torch.float32))
        fast = fast_image(model.visual, pixels, CPU, torch.float32)
        found = fast(squares)
        assert found.dtype == torch.float32
        assert relative_error(found, exact) < 1e-5
        assert relative_error(torch.cat([fast(squares[:2]), fast(squares[2:])]), exact) < 1e-5
        half = fast_image(model.visual, pixels, CPU, torch.bfloat16)(squares)
        assert 1e-5 < relative_error(unit(half), unit(exact)) < 0.02


@pytest.mark.parametrize(
    "options", [{"mlp_rows": 7}, {"attention": "any"}, {"mlp_rows": 1000, "attention": "flash"}]
)
def test_settings_of_speed_change_no_value(options: dict[str, Any]) -> None:
    model = built(config())
    pixels = preprocess(model)
    squares = noise(3, 32, 32)
    with torch.inference_mode():
        plain = fast_image(model.visual, pixels, CPU, torch.float32)(squares)
        other = fast_image(model.visual, pixels, CPU, torch.float32, **options)(squares)
        assert relative_error(other, plain) < 1e-6


TIMM_TOWERS = {
    "siglip": ("test_vit3", 96, {}),
    "class token, any size": ("test_vit", 64, {"timm_pool": "avg", "timm_proj": "linear"}),
    "registers, layer scale": ("test_vit2", 64, {"timm_pool": "", "timm_proj": "mlp"}),
}


@pytest.mark.parametrize(("name", "width", "more"), TIMM_TOWERS.values(), ids=TIMM_TOWERS)
def test_the_fast_form_of_a_timm_tower_is_timms(
    name: str, width: int, more: dict[str, Any]
) -> None:
    told = siglip(name, width)
    told["model_cfg"]["vision_cfg"] |= more
    model = built(told)
    pixels = preprocess(model)
    squares = noise(3, 160, 160)
    with torch.inference_mode():
        exact = model.encode_image(pixels.normalised(squares, torch.float32))
        found = fast_image(model.visual, pixels, CPU, torch.float32)(squares)
        assert relative_error(found, exact) < 1e-5
        half = fast_image(model.visual, pixels, CPU, torch.bfloat16)(squares)
        assert 1e-5 < relative_error(unit(half), unit(exact)) < 0.02
    assert len(model.visual.trunk.blocks) == {"test_vit": 6, "test_vit2": 8, "test_vit3": 9}[name]


def test_other_image_towers_say_what_is_different() -> None:
    cases = {
        "an attention pools the tokens": {"attentional_pool": True, "attn_pooler_heads": 2},
        "a block is CustomResidualAttentionBlock": {"qk_norm": True},
        "the image tower is ModifiedResNet": {"layers": [1, 1, 1, 1], "width": 16},
    }
    for words, vision in cases.items():
        model = built(config(vision=vision))
        assert fits(model.visual) == words
        with pytest.raises(ModelError, match=words):
            fast_image(model.visual, preprocess(model), CPU, torch.float32)
    convolutional = siglip("test_resnet", 96)
    convolutional["model_cfg"]["vision_cfg"] |= {"timm_pool": "avg", "timm_proj": "linear"}
    assert fits(built(convolutional).visual) == "the trunk is ResNet"
    other_norm = siglip("test_vit4", 96)
    other_norm["model_cfg"]["vision_cfg"] |= {"timm_pool": "avg"}
    assert "norm" in (fits(built(other_norm).visual) or "")
    odd = built(config())
    odd.visual.transformer.resblocks[1].mlp.gelu = torch.nn.SiLU()
    assert fits(odd.visual) == "the activation is SiLU"
    odd.visual.transformer.resblocks[1].mlp.gelu = torch.nn.GELU("tanh")
    assert fits(odd.visual) == "the activation changes"


# --- the text tower -------------------------------------------------------------------------------
TEXT_TOWERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "a part of its own": {"custom_text": True},
    "the token of the end": {"text": {"pool_type": "eos", "eos_id": 411}},
    "the first token": {"text": {"pool_type": "first"}},
    "the last place": {"text": {"pool_type": "last"}},
    "every token sees every other": {"text": {"no_causal_mask": True}, "custom_text": True},
    "siglip": {"text": SIGLIP_TEXT, "custom_text": True},
    "no projection": {"text": {"proj_type": "none"}, "embed_dim": 32},
    "quick gelu, layer scale": {"quick_gelu": True, "text": {"ls_init_value": 0.3}},
}
LENGTHS = [5, 24, 2, 9, 9, 13, 3, 24, 7]


@pytest.mark.parametrize("told", TEXT_TOWERS.values(), ids=TEXT_TOWERS)
def test_trimmed_captions_have_the_features_of_whole_ones(told: dict[str, Any]) -> None:
    model = built(config(**told))
    ids = ids_of(model, LENGTHS)
    with torch.inference_mode():
        exact = model.encode_text(ids)
        fast = FastText(model, CPU, torch.float32)
        found = fast(ids)
        assert relative_error(found, exact) < 1e-5
        assert all(relative_error(a, b) < 1e-5 for a, b in zip(found, exact, strict=True))
        assert relative_error(torch.cat([fast(ids[:1]), fast(ids[1:])]), exact) < 1e-5
        half = FastText(model, CPU, torch.bfloat16)(ids)
        assert 1e-5 < relative_error(unit(half), unit(exact)) < 0.02


def test_trimming_leaves_out_what_no_feature_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model = built(config())
    fast = FastText(model, CPU, torch.float32)
    seen: list[tuple[int, int]] = []
    inner = fast._encoded

    def counted(ids: torch.Tensor, longest: int, ends: torch.Tensor) -> torch.Tensor:
        seen.append((len(ids), longest))
        return inner(ids, longest, ends)

    monkeypatch.setattr(fast, "_encoded", counted)
    fast(ids_of(model, [4] * 6))
    assert seen == [(24, 4)]


def test_an_end_that_is_missing_or_repeated_is_read_as_open_clip_reads_it() -> None:
    for text in ({}, {"pool_type": "eos", "eos_id": 411}):
        model = built(config(text=text))
        ids = ids_of(model, [6, 8, 24])
        ids[0, 9] = 411  # a second end
        ids[2] = 7  # none
        with torch.inference_mode():
            found = FastText(model, CPU, torch.float32)(ids)
            assert relative_error(found, model.encode_text(ids)) < 1e-5


def test_other_text_towers_say_what_is_different() -> None:
    embedded = built(config(text={"embed_cls": True}, custom_text=True))
    assert fits_text(embedded) == "the text tower has a class token or a padding mask"
    custom = built(config(text={"scale_fc": True}))
    assert fits_text(custom) == "a block is CustomResidualAttentionBlock"
    with pytest.raises(ModelError, match="CustomResidualAttentionBlock"):
        FastText(custom, CPU, torch.float32)


@given(st.lists(st.integers(1, 77), max_size=300), st.integers(77, 900), st.integers(1, 400))
def test_a_plan_holds_every_caption_once_shortest_first(
    lengths: list[int], limit: int, enough: int
) -> None:
    plan = plan_trimmed(lengths, limit=limit, enough=enough)
    rows = [int(row) for some, _ in plan for row in some]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths)
    for some, longest in plan:
        assert longest == max(lengths[row] for row in some)
        assert longest * len(some) <= limit
        shortest = min(lengths[row] for row in some)
        assert longest * 8 <= shortest * 9 or shortest * (len(some) - 1) < max(enough, 77) * 9


# --- pictures -------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("size", [32, [32, 48], [48, 32]], ids=str)
def test_pictures_reach_the_model_as_open_clip_prepares_them(
    mode: str, interpolation: str, size: Any
) -> None:
    told = {"resize_mode": mode, "interpolation": interpolation, "fill_color": 90}
    pixels = preprocess(built(config(vision={"image_size": size, "patch_size": 16}, pixels=told)))
    for height, width in ((32, 32), (64, 64), (48, 80), (81, 47), (33, 32), (20, 20), (9, 70)):
        given = noise(2, height, width, seed=height)
        squares = pixels.squares(given)
        assert squares.shape == (2, pixels.height, pixels.width, 3)
        assert squares.dtype == torch.uint8
        assert squares.is_contiguous()
        exact = pixels.with_pillow(given)
        found = pixels.normalised(squares, torch.float32)
        assert found.shape == exact.shape
        steps = (found - exact).abs() * torch.tensor(pixels.std).view(3, 1, 1) * 255
        assert steps.max() < 3.5  # Pillow rounds between its two passes, whichever comes first
        assert steps.mean() < 0.3
        assert torch.equal(pixels.squares_with_pillow(given), own_bytes(exact, pixels))


def own_bytes(exact: torch.Tensor, pixels: Preprocess) -> torch.Tensor:
    whole = exact * torch.tensor(pixels.std).view(3, 1, 1) + torch.tensor(pixels.mean).view(3, 1, 1)
    return (whole * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def test_pictures_of_the_models_size_stay_what_they_are() -> None:
    pixels = preprocess(built(config()))
    given = noise(2, 32, 32)
    assert torch.equal(pixels.squares(given), given)
    assert relative_error(pixels.normalised(given, torch.float32), pixels.with_pillow(given)) < 1e-6


def test_a_way_of_resizing_that_is_not_known_is_an_error() -> None:
    model = built(config())
    model.visual.preprocess_cfg["resize_mode"] = "stretch"
    with pytest.raises(ModelError, match="'stretch' is none of shortest, squash, longest"):
        preprocess_of(model, lambda picture: picture)


# --- the choice among the ways --------------------------------------------------------------------
def tokens_for(model: Any) -> Any:
    return lambda texts: ids_of(model, [2 + len(text) % 20 for text in texts])


def choose(model: Any, sample: Sample, tolerance: float = 0.02) -> Paths:
    with torch.compiler.set_stance("force_eager"):
        return fast_paths(model, preprocess(model), tokens_for(model), CPU, sample, tolerance)


def told(paths: Paths) -> list[tuple[str, str, bool]]:
    return [(one.encoder, one.path, one.used) for one in paths.agreements]


ROWS = Sample([noise(3, 40, 52), noise(2, 64, 64)], ["a dog", "two dogs on a beach", " "])


def test_the_fastest_way_that_agrees_is_taken() -> None:
    found = choose(built(config()), ROWS)
    assert told(found) == [
        ("clip pixels", "tensors", True), ("clip image", "fused", True), ("clip text", "trimmed", True),
    ]  # fmt: skip
    assert [one.rows for one in found.agreements] == [5, 5, 2]
    assert all(0 < (one.error or 0) < 0.02 for one in found.agreements)
    made_up = choose(built(config()), Sample())
    assert told(made_up) == told(found)
    assert [one.rows for one in made_up.agreements] == [0, 0, 0]


def test_a_tower_of_another_kind_is_compiled_or_run_as_it_is() -> None:
    model = built(config(vision={"qk_norm": True}, text={"scale_fc": True}))
    found = choose(model, ROWS)
    assert told(found)[1:] == [
        ("clip image", "fused", False), ("clip image", "compiled", True),
        ("clip text", "trimmed", False), ("clip text", "plain bfloat16", True),
    ]  # fmt: skip
    assert found.agreements[1].note == "a block is CustomResidualAttentionBlock"
    assert found.agreements[1].error is None
    resnet = built(config(vision={"layers": [1, 1, 1, 1], "width": 16}))
    images = [one for one in choose(resnet, ROWS).agreements if one.encoder == "clip image"]
    assert [one.path for one in images] == ["fused", "compiled", "plain bfloat16"]
    assert images[1].note == "no blocks to compile in ModifiedResNet"


def test_out_of_tolerance_is_float32_with_open_clips_own_preprocessing() -> None:
    model = built(config())
    found = choose(model, ROWS, tolerance=1e-7)
    assert told(found) == [
        ("clip pixels", "tensors", False), ("clip pixels", "pillow", True),
        ("clip image", "fused", False), ("clip image", "compiled", False),
        ("clip image", "plain bfloat16", False), ("clip image", "float32", True),
        ("clip text", "trimmed", False), ("clip text", "plain bfloat16", False),
        ("clip text", "float32", True),
    ]  # fmt: skip
    given, ids = noise(2, 50, 40), ids_of(model, [3, 9])
    with torch.inference_mode():
        exact = model.encode_image(preprocess(model).with_pillow(given))
        assert relative_error(found.image(found.prepare(given)), exact) < 1e-5
        assert relative_error(found.text(ids), model.encode_text(ids)) < 1e-5


def test_a_way_that_fails_or_is_not_finite_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.compiler.errors import CompilationError

    from curate.models import clip_paths

    def does_not_compile(*given: Any) -> Any:
        def run(squares: torch.Tensor) -> torch.Tensor:
            raise CompilationError("def f(): pass", None, "no such instruction")

        return run

    class Broken(FastText):
        def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
            return super().__call__(tokens) * float("nan")

    monkeypatch.setattr(clip_paths, "fast_image", does_not_compile)
    monkeypatch.setattr(clip_paths, "FastText", Broken)
    found = choose(built(config()), ROWS)
    assert told(found)[1:] == [
        ("clip image", "fused", False), ("clip image", "compiled", True),
        ("clip text", "trimmed", False), ("clip text", "plain bfloat16", True),
    ]  # fmt: skip
    assert found.agreements[1].note.startswith("Triton: ")
    assert found.agreements[3].error == float("inf")


def test_towers_that_return_their_tokens_too_give_the_pooled_feature() -> None:
    model = built(
        config(vision={"output_tokens": True}, text={"output_tokens": True}, custom_text=True)
    )
    own = Own(model, preprocess(model), CPU, torch.float32)
    with torch.inference_mode():
        assert own.images(noise(2, 32, 32)).shape == (2, 24)
        assert own.texts(ids_of(model, [4, 5, 6])).shape == (3, 24)
        found = choose(model, ROWS)
    assert [used for *_, used in told(found)] == [True, True, True]


# --- Clip -----------------------------------------------------------------------------------------
def test_the_device_api_and_the_arrays_give_the_same() -> None:
    clip = Clip.load("builtin:tiny")
    pixels, texts = noise(5, 64, 64), ["a red ring", "", "a blue square on a green ground", "x"]
    with lane(clip.device).turn():
        images, words = clip.images(pixels), clip.texts(clip.tokens(texts))
    assert images.dtype == words.dtype == torch.float32
    assert np.allclose(images.numpy(), clip.encode_images(list(pixels.numpy())), atol=1e-6)
    assert np.allclose(words.numpy(), clip.encode_texts(texts), atol=1e-6)
    assert np.allclose(words.numpy(), clip.encode_texts(texts, batch_size=1), atol=1e-5)
    assert clip.tokens([]).shape == (0, 40)
    with lane(clip.device).turn():
        assert clip.texts(clip.tokens([])).shape == (0, clip.dim)
        assert clip.images(pixels[:0]).shape == (0, clip.dim)
        assert clip.vectors(clip.prepare(pixels)[:1]).shape == (1, clip.dim)
    assert [(one.path, one.used, one.error) for one in clip.agreements] == [
        ("float32", True, 0.0)
    ] * 2


def test_pictures_of_any_kind_and_size_go_in() -> None:
    clip = Clip.load("builtin:tiny")
    grey = Image.fromarray(noise(1, 50, 70)[0].numpy()).convert("L")
    pair = clip.encode_images([grey, grey.convert("RGB")])
    assert np.array_equal(pair[0], pair[1])


@pytest.mark.parametrize("kind", ["timm", "own towers"])
def test_siglip_models_load_and_score(kind: str, tmp_path: Path) -> None:
    told = siglip()
    if kind == "own towers":
        told = config(
            vision=SIGLIP_VISION, text=SIGLIP_TEXT, pixels=SIGLIP_PIXELS, custom_text=True
        )
    folder = write(tmp_path / "siglip", told)
    clip = Clip.load(str(folder))
    name = f"local-dir:{folder}"
    model, transform = open_clip.create_model_from_pretrained(name)
    texts = ["a red ring", "two dogs, one of them asleep", ""]
    pictures = [Image.fromarray(one.numpy()) for one in noise(3, 100, 140)]
    with torch.inference_mode():
        ids = open_clip.get_tokenizer(name)(texts)
        exact_texts = model.encode_text(ids, normalize=True)
        exact = model.encode_image(torch.stack([transform(p) for p in pictures]), normalize=True)
    assert np.allclose(clip.encode_texts(texts), exact_texts.numpy(), atol=1e-5)
    assert np.allclose(clip.encode_images(pictures), exact.numpy(), atol=1e-5)
    assert clip.dim == told["model_cfg"]["embed_dim"]
    with torch.inference_mode():
        fast = FastText(model, CPU, torch.float32)(ids)
        assert relative_error(unit(fast), exact_texts) < 1e-5


def test_a_text_tower_of_transformers_is_run_as_it_is(tmp_path: Path) -> None:
    from transformers import RobertaConfig

    small = RobertaConfig(
        vocab_size=412, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    small.save_pretrained(tmp_path / "roberta")
    told = config(text={"hf_model_name": str(tmp_path / "roberta"), "hf_proj_type": "mlp"})
    clip = Clip.load(str(write(tmp_path / "clip", told)))
    vectors = clip.encode_texts(["a red ring", "a much longer caption about nothing"])
    assert vectors.shape == (2, 24)
    model = open_clip.create_model(f"local-dir:{tmp_path / 'clip'}").eval()
    found = choose(model, Sample((), ["a dog", "a cat asleep"]))
    assert told_text(found) == [("trimmed", False), ("plain bfloat16", True)]


def told_text(paths: Paths) -> list[tuple[str, bool]]:
    return [(path, used) for encoder, path, used in told(paths) if encoder == "clip text"]


def test_made_up_rows_have_captions_of_several_lengths() -> None:
    tokenizer = open_clip.get_tokenizer(f"local-dir:{BUILTIN / 'tiny' / 'clip'}")
    assert len({int(row.argmax()) for row in tokenizer(list(MADE_UP_TEXTS))}) > 1


# --- the kernels, by Triton's interpreter ---------------------------------------------------------
KERNELS = """
import torch
import torch.nn.functional as F
import triton.runtime.interpreter as interpreter
from curate.models import fast_clip_kernels as kernels

patch = interpreter._patch_lang_tensor
def patched(tensor, scope):  # this interpreter takes int() of arrays [1], which numpy 2.4 refuses
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))
interpreter._patch_lang_tensor = patched

rng = torch.Generator().manual_seed(0)
def draw(*shape):
    return torch.randn(*shape, generator=rng)

for rows, width, period in ((10, 48, 1), (10, 64, 5), (7, 64, 1)):
    values, table, weight, offset = draw(rows, width), draw(period, width), draw(width), draw(width)
    for affine in (True, False):
        out = torch.full_like(values, float("nan"))
        kernels.norm[(-(-rows // 4),)](
            values, table, weight, offset, out, rows, 1e-5, period=period, width=width, wide=64,
            block=4, affine=affine)
        summed = values + table.repeat(-(-rows // period), 1)[:rows]
        last = (weight, offset) if affine else (None, None)
        want = F.layer_norm(summed, (width,), *last, 1e-5)
        torch.testing.assert_close(out, want, rtol=1e-5, atol=1e-5)

forms = {"erf": F.gelu, "tanh": lambda x: F.gelu(x, approximate="tanh"),
         "quick": lambda x: x * torch.sigmoid(1.702 * x)}
for form, want in forms.items():
    values = draw(300) * 4
    expected = want(values)
    kernels.activate[(3,)](values, 300, form=form, block=128)
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-5)

for tokens in (1, 2, 17, 33, 50):
    qkv = draw(2, tokens, 3, 3, 16)
    out = torch.full((2, tokens, 3, 16), float("nan"))
    kernels.attend[(-(-tokens // 16), 3, 2)](
        qkv, out, 16**-0.5 * 1.4426950408889634, tokens=tokens, heads=3, width=16, queries=16, keys=16)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    want = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(out.transpose(1, 2), want, rtol=1e-4, atol=1e-4)
print("agree")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton")
def test_the_kernels_compute_what_torch_computes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KERNELS], env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.stdout.strip() == "agree", done.stderr[-2000:]
