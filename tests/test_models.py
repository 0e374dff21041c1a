"""References resolve or say what to do; incomplete directories are errors, never random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from curate.errors import CurateError, EngineError, MissingInput, ModelError, RecipeError
from curate.models import BUILTIN, Part, digest, resolve
from curate.models.clip import Clip
from curate.models.device import pick
from curate.models.t5 import T5
from curate.models.vae import Vae

TINY = BUILTIN / "tiny"
LOAD: dict[Part, Callable[[str], object]] = {"clip": Clip.load, "t5": T5.load, "vae": Vae.load}
PARTS: list[Part] = ["clip", "t5", "vae"]
CAPTIONS = [
    "a red circle above a small blue square",
    "Über 猫",
    "",
    "a green ring on a navy background",
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def copy(part: str, to: Path) -> Path:
    return Path(shutil.copytree(TINY / part, to / part))


def weights(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


@pytest.mark.parametrize("part", PARTS)
def test_builtin_is_a_directory_like_any_other(part: Part, tmp_path: Path) -> None:
    folder = copy(part, tmp_path)
    assert resolve("builtin:tiny", part) == TINY / part
    assert resolve(str(folder), part) == folder
    assert digest(folder) == digest(TINY / part)


@pytest.mark.parametrize("part", PARTS)
def test_the_digest_covers_weights_and_configs(part: Part, tmp_path: Path) -> None:
    folder = copy(part, tmp_path)
    before = digest(folder)
    (folder / "README.md").write_text("not a part of the model")
    assert digest(folder) == before
    data = bytearray(weights(folder).read_bytes())
    data[-1] ^= 1
    weights(folder).write_bytes(data)
    assert digest(folder) != before
    shutil.rmtree(folder)
    config = next(copy(part, tmp_path).glob("*config.json"))
    config.write_text(config.read_text() + " ")
    assert digest(folder) != before


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda f: weights(f).unlink(), ModelError, "no *.safetensors weights"),
        (
            lambda f: weights(f).rename(f / "pytorch_model.bin"),
            ModelError,
            "convert them to safetensors",
        ),
        (lambda f: [c.unlink() for c in f.glob("*config.json")], ModelError, "is missing"),
        (lambda f: shutil.rmtree(f), MissingInput, "no directory"),
        (lambda f: weights(f).write_bytes(b"\x08" + bytes(40)), ModelError, "cannot load"),
        (lambda f: [c.write_text("{") for c in f.glob("*config.json")], ModelError, str(TINY.name)),
    ],
    ids=["no weights", "pickle", "no config", "no folder", "damaged", "bad json"],
)
def test_what_is_not_a_whole_model_is_an_error_that_names_the_path(
    part: Part,
    damage: Callable[[Path], object],
    error: type[CurateError],
    words: str,
    tmp_path: Path,
) -> None:
    folder = copy(part, tmp_path)
    damage(folder)
    with pytest.raises(error) as caught:
        LOAD[part](str(folder))
    assert str(folder) in str(caught.value)
    if words != TINY.name:
        assert words in str(caught.value)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_tensor_is_never_made_up(part: Part, tmp_path: Path) -> None:
    file = weights(copy(part, tmp_path))
    tensors = load_file(file)
    name = next(n for n in sorted(tensors) if tensors[n].ndim > 1 and "shared" not in n)
    del tensors[name]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        LOAD[part](str(file.parent))


def test_a_directory_of_another_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="expected t5"):
        T5.load(str(TINY / "vae"))
    with pytest.raises(ModelError, match="expected AutoencoderKL"):
        Vae.load(str(TINY / "t5"))
    with pytest.raises(ModelError, match=r"open_clip_config\.json is missing"):
        Clip.load(str(TINY / "t5"))


@pytest.mark.parametrize(
    "ref", ["hub:org/name", "hub:org/name@main", "hub:name@" + "a" * 40, "hub:"]
)
def test_a_hub_reference_must_be_pinned(ref: str) -> None:
    with pytest.raises(RecipeError, match="full commit hash"):
        resolve(ref, "clip")


def test_a_hub_model_is_read_from_the_cache_and_never_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    ref = f"hub:org/name@{'a' * 40}"
    with pytest.raises(MissingInput, match=r"hf download org/name --revision a{40}"):
        resolve(ref, "vae")
    cached = tmp_path / "models--org--name" / "snapshots" / ("a" * 40)
    shutil.copytree(TINY / "vae", cached / "vae")
    assert resolve(f"{ref}/vae", "vae") == cached / "vae"
    with pytest.raises(RecipeError, match="inside the repository"):
        resolve(f"{ref}/../../x", "vae")


def test_unknown_builtins_are_answered_with_the_known() -> None:
    for name in ("huge", "../builtin/tiny", ""):
        with pytest.raises(MissingInput, match="builtin:tiny"):
            resolve(f"builtin:{name}", "clip")


def test_a_pipeline_directory_stands_for_its_parts(tmp_path: Path) -> None:
    shutil.copytree(TINY / "vae", tmp_path / "vae")
    shutil.copytree(TINY / "t5", tmp_path / "text_encoder")
    (tmp_path / "tokenizer").mkdir()
    for file in (tmp_path / "text_encoder").glob("tokenizer*"):
        file.rename(tmp_path / "tokenizer" / file.name)
    (tmp_path / "model_index.json").write_text("{}")
    assert resolve(str(tmp_path), "vae") == tmp_path / "vae"
    apart, whole = T5.load(str(tmp_path)), T5.load("builtin:tiny")
    assert np.array_equal(apart.encode(CAPTIONS)[0], whole.encode(CAPTIONS)[0])
    before = digest(tmp_path / "text_encoder")
    config = tmp_path / "tokenizer" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": 9}))
    assert digest(tmp_path / "text_encoder") != before


def test_cuda_is_not_replaced_in_silence() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert pick("auto").type == "cpu"
    with pytest.raises(EngineError, match="finds no CUDA device"):
        pick("cuda")


# --- what the loaded models return ----------------------------------------------------------------
def test_clip_gives_unit_vectors_for_pictures_of_any_size() -> None:
    clip = Clip.load("builtin:tiny")
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((64, 64), (64, 96), (20, 300))]
    vectors = clip.encode_images(images)
    texts = clip.encode_texts(CAPTIONS)
    assert vectors.shape == (3, clip.dim)
    assert vectors.dtype == texts.dtype == np.float32
    for rows in (vectors, texts):
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.array_equal(vectors, clip.encode_images(images))
    assert np.allclose(vectors, clip.encode_images(images, batch_size=1), atol=1e-5)
    assert clip.encode_images([]).shape == (0, clip.dim)
    assert clip.encode_texts(["ab " * 1_000_000]).shape == (1, clip.dim)


def test_t5_equals_what_the_pipeline_computes_and_needs_no_padding() -> None:
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline
    from transformers import AutoTokenizer, T5EncoderModel

    tokenizer = AutoTokenizer.from_pretrained(TINY / "t5")
    encoder = T5EncoderModel.from_pretrained(TINY / "t5")
    pipe = PixArtAlphaPipeline(
        tokenizer=tokenizer, text_encoder=encoder, vae=None, transformer=None,
        scheduler=DPMSolverMultistepScheduler(),
    )  # fmt: skip
    t5 = T5.load("builtin:tiny")
    prompts = [*CAPTIONS, "  A RED Square ", "word " * 500]
    states = t5.encode(prompts)
    assert [len(ids) for ids in t5.tokens(prompts)] == [len(state) for state in states]
    assert [len(states[i]) for i in (2, 5)] == [1, 120]
    for prompt, state in zip(prompts, states, strict=True):
        with torch.inference_mode():
            told, mask, _, _ = pipe.encode_prompt(
                prompt, do_classifier_free_guidance=False, clean_caption=False
            )
        assert int(mask.sum()) == len(state)
        assert np.abs(told[0, : len(state)].numpy() - state).max() < 1e-4


def test_every_prompt_has_tokens_of_its_own() -> None:
    t5 = T5.load("builtin:tiny")
    tokenizer = t5._tokenizer
    for text in ("über", "猫 and 🦊", "a\u0000b", "xyzzy-42!"):
        assert tokenizer.unk_token_id not in tokenizer(text)["input_ids"]
        assert (
            tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True).strip() == text
        )


def test_the_vae_returns_moments_and_decodes_them() -> None:
    vae = Vae.load("builtin:tiny")
    assert (vae.factor, vae.channels, vae.shift_factor) == (4, 4, 0.0)
    pixels = np.full((3, 64, 96, 3), 128, np.uint8)
    moments = vae.encode(pixels, batch_size=2)
    assert moments.shape == (3, 8, 16, 24)
    assert moments.dtype == np.float32
    assert vae.decode(moments[:, :4]).shape == pixels.shape
    assert np.allclose(moments, vae.encode(pixels, batch_size=3), atol=1e-4)
    with pytest.raises(ValueError, match="multiples of 4"):
        vae.encode(np.zeros((1, 62, 64, 3), np.uint8))
