"""The stages that score and encode: values, rejections, plans, identity, and the contract."""

from __future__ import annotations

import io
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from curate import columns as c
from curate.demo.scenes import caption, draw, random_scene
from curate.errors import RecipeError
from curate.images.crops import crop_to_bucket
from curate.models import BUILTIN, digest
from curate.models.clip import Clip
from curate.models.t5 import T5
from curate.models.vae import Vae
from curate.stage import apply
from curate.stages.clip_score import ClipScore
from curate.stages.encoders import Encoder
from curate.stages.t5 import T5Stage
from curate.stages.vae import VaeStage

STAGES: list[type[Encoder]] = [ClipScore, T5Stage, VaeStage]
SCHEMA = pa.schema([c.KEY, c.CAPTIONS, c.IMAGE, c.CROP_BOX, c.BUCKET_WIDTH, c.BUCKET_HEIGHT])


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92)
    return stream.getvalue()


def row(key: str, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(int(key))
    scene = random_scene(rng)
    size = (64, 64) if int(key) % 3 else (96, 64)
    told = {
        "key": key, "captions": [{"text": caption(scene, rng)} for _ in range(2)],
        "image": {"bytes": jpeg(draw(scene, (size[0] + 8, size[1]))), "path": None},
        "crop_box": [4, 0, 4 + size[0], size[1]], "bucket_width": size[0], "bucket_height": size[1],
    }  # fmt: skip
    return told | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def plain() -> pa.Table:
    return table([row(str(i)) for i in range(10)])


@pytest.fixture(scope="module")
def done(plain: pa.Table) -> dict[str, pa.Table]:
    return {stage.__name__: apply(stage(batch_size=4), plain) for stage in STAGES}


def verdicts(found: pa.Table) -> list[str | None]:
    reasons: list[str | None] = found["reason"].to_pylist()
    return reasons


# --- the values -----------------------------------------------------------------------------------
def test_clip_scores_are_the_cosines_of_the_stored_embeddings(done: dict[str, pa.Table]) -> None:
    for found in done["ClipScore"].to_pylist():
        image = np.frombuffer(found["clip_image"], "<f2").astype(np.float32)
        texts = [np.frombuffer(text, "<f2").astype(np.float32) for text in found["clip_text"]]
        assert np.linalg.norm(image) == pytest.approx(1, abs=2e-3)
        assert [float(image @ text) for text in texts] == pytest.approx(
            found["clip_scores"], abs=2e-3
        )
        assert found["clip_score"] == max(found["clip_scores"])
        assert found["clip_score"] > 0.07  # a true caption, above the threshold of the model card


def test_t5_bytes_are_what_the_encoder_says_at_true_length(done: dict[str, pa.Table]) -> None:
    t5 = T5.load("builtin:tiny")
    for found in done["T5Stage"].to_pylist():
        texts = [told["text"] for told in found["captions"]]
        for state, stored, count in zip(
            t5.encode(texts), found["t5_embeddings"], found["t5_tokens"], strict=True
        ):
            bits = torch.frombuffer(bytearray(stored), dtype=torch.bfloat16).float().numpy()
            assert bits.size == count * t5.dim == state.size
            assert np.allclose(bits.reshape(state.shape), state, rtol=2**-8, atol=1e-5)


def test_latents_decode_to_the_cropped_picture(done: dict[str, pa.Table]) -> None:
    vae = Vae.load("builtin:tiny")
    for found in done["VaeStage"].to_pylist():
        shape = (8, found["latent_height"], found["latent_width"])
        assert shape[1:] == (found["bucket_height"] // 4, found["bucket_width"] // 4)
        moments = np.frombuffer(found["latent"], "<f2").reshape(shape).astype(np.float32)
        decoded = vae.decode(moments[None, :4])[0].astype(np.float32)
        seen = crop_to_bucket(
            found["image"]["bytes"],
            found["crop_box"],
            found["bucket_width"],
            found["bucket_height"],
        )
        assert 10 * np.log10(255**2 / ((decoded - seen) ** 2).mean()) > 26


def test_bfloat16_rounds_to_nearest_even() -> None:
    values = torch.tensor([[1.0, -2.5, 3.14159, 1 + 2**-8, 1 + 3 * 2**-8]])
    bits = T5Stage()._stored(values).view(torch.int16).numpy().astype(np.uint32) << 16
    assert bits.view(np.float32).tolist() == [[1.0, -2.5, 3.140625, 1.0, 1.015625]]


# --- what is not wanted ---------------------------------------------------------------------------
@pytest.mark.parametrize("stage", [ClipScore, VaeStage])
def test_pictures_that_cannot_be_read_are_rejected(stage: type[Encoder]) -> None:
    whole = row("1")
    cut = whole["image"]["bytes"][:200]
    broken: list[dict[str, Any]] = [
        {"image": None}, {"image": {"bytes": None, "path": None}}, {"image": {"bytes": b"", "path": None}},
        {"image": {"bytes": b"<html>", "path": None}}, {"image": {"bytes": cut, "path": None}},
        {"crop_box": None}, {"bucket_width": None}, {"bucket_height": 0}, {"crop_box": [9, 9, 9, 9]},
        {"crop_box": [0, 0, 64, 500]}, {"crop_box": [-1, 0, 63, 64]},
    ]  # fmt: skip
    rows = [whole, *[row(str(i), **changes) for i, changes in enumerate(broken, 20)]]
    found = apply(stage(), table(rows))
    assert verdicts(found) == [None, *["corrupt"] * len(broken)]
    for field in stage.produces:
        if c.role_of(field) != "observation":
            assert found[field.name].null_count in (0, len(broken))


def test_rows_without_a_caption_are_rejected_and_single_gaps_are_kept_in_place() -> None:
    rows = [
        row("1", captions=None), row("2", captions=[]), row("3", captions=[{"text": None}]),
        row("4", captions=[{"text": " \n"}]), row("5", captions=[None]),
        row("6", captions=[{"text": None}, {"text": "a red ring"}]),
    ]  # fmt: skip
    scored, encoded = apply(ClipScore(), table(rows)), apply(T5Stage(), table(rows))
    assert verdicts(scored) == verdicts(encoded) == ["caption"] * 5 + [None]
    last = scored.to_pylist()[-1]
    assert last["clip_scores"] == [None, pytest.approx(last["clip_score"])]
    assert [text is None for text in last["clip_text"]] == [True, False]
    assert encoded["t5_tokens"].to_pylist() == [None] * 5 + [[1, 4]]  # the empty caption, then ours


def test_a_feature_that_is_not_finite_rejects_its_row(
    plain: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments_of, states_of, vectors_of = Vae.moments, T5.states, Clip.vectors

    def too_large(self: Vae, pixels: torch.Tensor) -> torch.Tensor:
        moments = moments_of(self, pixels)
        moments[0, 0, 0, 0] = 1e6  # finite, but not in float16
        return moments

    def broken_texts(self: T5, ids: list[list[int]], **options: Any) -> Any:
        states, [bad] = states_of(self, ids, **options), self.tokens(["a bad one"])
        ends = np.cumsum([len(tokens) for tokens in ids])
        for tokens, end in zip(ids, ends, strict=True):
            if tokens == bad:
                states[end - 1, 3] = np.nan  # one number of one token
        return states

    def broken_images(self: Clip, prepared: torch.Tensor) -> torch.Tensor:
        return vectors_of(self, prepared) * np.nan

    monkeypatch.setattr(Vae, "moments", too_large)
    monkeypatch.setattr(T5, "states", broken_texts)
    monkeypatch.setattr(Clip, "vectors", broken_images)
    found = apply(VaeStage(batch_size=32), plain)
    assert verdicts(found).count("numeric:latent") == 2  # the first of each bucket
    assert found["latent"].null_count == 2
    rows = table([row("1"), row("2", captions=[{"text": "a bad one"}])])
    assert verdicts(apply(T5Stage(), rows)) == [None, "numeric:t5"]
    assert verdicts(apply(ClipScore(), rows)) == ["numeric:clip"] * 2


def test_a_bucket_that_the_vae_cannot_divide_is_the_recipes_mistake() -> None:
    odd = row("1", bucket_width=62, crop_box=[0, 0, 62, 64])
    with pytest.raises(RecipeError, match=r"62 × 64.*multiples of 4"):
        apply(VaeStage(), table([odd]))


def test_repeated_captions_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    states = T5.states

    def counted(self: T5, ids: list[list[int]], **options: Any) -> Any:
        seen.append(len(ids))
        return states(self, ids, **options)

    monkeypatch.setattr(T5, "states", counted)
    same = [{"text": "a red ring"}, {"text": " A red RING "}]
    found = apply(T5Stage(), table([row(str(i), captions=same) for i in range(5)]))
    assert seen == [1]
    assert len({blob for told in found["t5_embeddings"].to_pylist() for blob in told}) == 1


# --- the contract ---------------------------------------------------------------------------------
@pytest.mark.parametrize("stage", STAGES)
def test_empty_and_rejected_tables_pass_through(stage: type[Encoder], plain: pa.Table) -> None:
    empty = apply(stage(), plain.slice(0, 0))
    assert len(empty) == 0
    assert set(stage.produces.names) <= set(empty.column_names)
    nulls = table([dict.fromkeys(SCHEMA.names) | {"key": str(i)} for i in range(3)])
    assert None not in verdicts(apply(stage(), nulls))


@pytest.mark.parametrize("stage", STAGES)
def test_the_same_rows_give_the_same_bytes_and_a_split_the_same_values(
    stage: type[Encoder], plain: pa.Table, done: dict[str, pa.Table]
) -> None:
    whole = done[stage.__name__]
    assert apply(stage(batch_size=4), plain).equals(whole)
    parts = [apply(stage(batch_size=4), plain.slice(i, 5)) for i in (0, 5)]
    split = pa.concat_tables(parts)
    assert verdicts(split) == verdicts(whole)
    dtype = torch.bfloat16 if stage is T5Stage else torch.float16
    for name in ("clip_image", "latent", "t5_embeddings"):
        if name in stage.produces.names:
            for one, other in zip(split[name].to_pylist(), whole[name].to_pylist(), strict=True):
                pair = [x if isinstance(x, bytes) else b"".join(x) for x in (one, other)]
                left, right = (torch.frombuffer(bytearray(x), dtype=dtype).float() for x in pair)
                assert torch.allclose(left, right, rtol=2**-7, atol=2e-3)


@pytest.mark.parametrize("stage", STAGES)
def test_identity_covers_the_model_and_the_codecs_but_not_the_device(
    stage: type[Encoder], tmp_path: Path
) -> None:
    told = stage(device="cpu").identity()
    assert told == stage(device="cuda").identity()
    assert told["model_digest"] == digest(BUILTIN / "tiny" / stage.part)
    assert told["codecs"]["torch"] == ".".join(torch.__version__.split(".")[:2])
    assert told != stage(batch_size=7).identity()
    copy = shutil.copytree(BUILTIN / "tiny" / stage.part, tmp_path / stage.part)
    config = next(copy.glob("*config.json"))
    config.write_text(config.read_text() + "\n")
    assert stage(model=str(copy)).identity()["model_digest"] != told["model_digest"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_survives_json_and_pickle(stage: type[Encoder]) -> None:
    one = stage(batch_size=5, device="cpu")
    assert stage.model_validate_json(one.model_dump_json()) == one
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(ValueError, match="batch_sise"):
        stage.model_validate({"batch_sise": 3})


def test_readers_are_told_what_the_bytes_are(done: dict[str, pa.Table]) -> None:
    latent = VaeStage().field_metadata()["latent"]
    vae = Vae.load("builtin:tiny")
    assert latent["model"] == vae.digest
    assert (latent["dtype"], latent["channels"], latent["factor"]) == ("float16", "4", "4")
    assert (latent["posterior"], latent["class_name"]) == ("moments", "AutoencoderKL")
    assert float(latent["scaling_factor"]) == vae.scaling_factor
    text = T5Stage().field_metadata()["t5_embeddings"]
    assert (text["dtype"], text["dim"]) == ("bfloat16", str(T5.load("builtin:tiny").dim))
    for stage in STAGES:
        assert set(stage().field_metadata()) <= set(stage.produces.names)


def test_a_worker_computes_with_one_thread(plain: pa.Table) -> None:
    torch.set_num_threads(2)
    T5Stage(device="cpu").open()(plain)
    assert torch.get_num_threads() == 1
