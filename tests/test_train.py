"""Training: the loop learns, stops and goes on bit for bit; a checkpoint knows its data and opens."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from train_dataset import Models, write_dataset, write_models

from curate.errors import MissingInput, ModelError, OutputMismatch, StoreError
from curate.store.dataset import Dataset
from curate.train import checkpoint as ck
from curate.train.loop import fit, train
from curate.train.metrics import StepReport
from curate.train.sample import sample
from curate.train.settings import SampleSettings, TrainSettings
from curate.train.step import learning_rate

ENCODERS = (
    "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"
)  # fmt: skip
QUICK = TrainSettings(
    steps=6, batch_size=16, window_rows=32, learning_rate=2e-3, warmup_steps=2, log_every_steps=1,
    threads=1, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def data(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("train") / "out", models)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("trained")
    told = SampleSettings(prompts=("A red circle ", "a blue square on navy"), steps=4, columns=2)
    result = train(data, QUICK.model_copy(update={"samples": told}), to)
    assert result.samples == to / "samples.png"
    return to


def tensors(run: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    names = (ck.WEIGHTS, ck.AVERAGE, ck.OPTIMIZER)
    return {f"{n}:{k}": v for n in names for k, v in load_file(run / "checkpoint" / n).items()}


# --- the loop -------------------------------------------------------------------------------------
def test_the_loss_falls_and_every_step_is_reported(data: Path, tmp_path: Path) -> None:
    reports: list[StepReport] = []
    settings = QUICK.model_copy(update={"steps": 40, "batch_size": 31})
    result = train(data, settings, tmp_path, reports.append)
    assert [r.step for r in reports] == list(range(1, 41))
    losses = [r.loss for r in reports]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:5])
    assert result.losses == tuple((r.step, r.loss) for r in reports)
    assert result.device == "cpu, 1 thread(s)"
    assert result.steps == 40 and result.samples_seen == 40 * 31 and result.samples_per_second > 0
    assert 0 <= result.waiting < 1 and reports[-1].done == 1 and reports[-1].eta_seconds == 0
    lines = [json.loads(line) for line in result.metrics.read_text().splitlines()]
    assert [line["loss"] for line in lines] == losses


def test_a_resumed_run_ends_with_the_same_bits(data: Path, tmp_path: Path) -> None:
    shapes = QUICK.model_copy(update={"log_every_steps": 4})
    whole = train(data, shapes.model_copy(update={"steps": 9}), tmp_path / "whole")
    for steps in (3, 7, 9):
        cut = train(data, shapes.model_copy(update={"steps": steps}), tmp_path / "cut")
    assert cut.resumed_from_step == 7 and cut.steps == 9
    one, two = tensors(tmp_path / "whole"), tensors(tmp_path / "cut")
    assert one.keys() == two.keys()
    for name in one:
        assert np.array_equal(one[name], two[name]), name
    regular = [(step, loss) for step, loss in cut.losses if step % 4 == 0]
    assert regular == [(step, loss) for step, loss in whole.losses if step % 4 == 0]
    cards = [ck.read_card(tmp_path / name) for name in ("whole", "cut")]
    assert cards[0].consumed == cards[1].consumed
    assert cards[0].progress.position == cards[1].progress.position == 9 * 16


def test_a_cosine_over_steps_that_was_cut_off_ends_with_the_same_bits(
    data: Path, tmp_path: Path
) -> None:
    told = {"schedule": "cosine", "checkpoint_every_steps": 2}
    settings = QUICK.model_copy(update=told)

    def cut_off(report: StepReport) -> None:
        if report.step == 5:
            raise KeyboardInterrupt

    whole = train(data, settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(data, settings, tmp_path / "cut", cut_off)
    again = train(data, settings, tmp_path / "cut")
    assert again.resumed_from_step == 4 and again.losses == whole.losses
    one, two = tensors(tmp_path / "whole"), tensors(tmp_path / "cut")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_one_clock_decides_for_all_ranks(data: Path, tmp_path: Path) -> None:
    told: list[float] = []
    reports: dict[int, list[StepReport]] = {0: [], 1: []}
    settings = QUICK.model_copy(update={"steps": None, "max_seconds": 0.5, "schedule": "cosine"})

    def lead(done: float) -> float:
        told.append(done)
        return done

    def lag(report: StepReport) -> None:
        reports[1].append(report)
        time.sleep(0.1)  # by its own clock this rank would stop far sooner

    shards, answers = Dataset.open(data), iter(told)
    first = fit(shards, settings, tmp_path / "0", on_step=reports[0].append, world=2, share=lead)
    second = fit(
        shards, settings, tmp_path / "1", on_step=lag, rank=1, world=2, share=lambda _: next(answers)
    )  # fmt: skip
    assert first.steps == second.steps == len(told) - 1 and next(answers, None) is None
    rates = [[report.learning_rate for report in reports[rank]] for rank in (0, 1)]
    expected = [learning_rate(settings, step, done) for step, done in enumerate(told[:-1])]
    assert rates[0] == rates[1] == pytest.approx(expected, rel=1e-12)


def test_a_finished_run_does_nothing_more(data: Path, trained: Path) -> None:
    before = (trained / "checkpoint" / ck.CARD).read_bytes()
    result = train(data, QUICK, trained)
    assert result.resumed_from_step == result.steps == 6
    assert (trained / "checkpoint" / ck.CARD).read_bytes() == before


def test_a_time_budget_ends_the_run(data: Path, tmp_path: Path) -> None:
    settings = TrainSettings(
        max_seconds=1.5, batch_size=8, threads=1, device="cpu", schedule="cosine",
        checkpoint_every_steps=2,
    )  # fmt: skip
    result = train(data, settings, tmp_path)
    assert 1.5 <= result.seconds < 15 and result.steps >= 1
    assert ck.read_card(tmp_path).progress.step == result.steps


def test_warm_up_and_cosine() -> None:
    settings = TrainSettings(steps=100, learning_rate=1.0, warmup_steps=10, schedule="cosine")
    assert learning_rate(settings, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(settings, 50, 0.5) == pytest.approx(0.5)
    assert learning_rate(settings, 100, 1.0) == pytest.approx(0.0)


def test_settings_are_strict_and_end() -> None:
    with pytest.raises(ValidationError, match="steps or max_seconds"):
        TrainSettings()
    with pytest.raises(ValidationError, match="extra"):
        TrainSettings(steps=1, learing_rate=1)  # type: ignore[call-arg]
    cosine = QUICK.model_copy(update={"schedule": "cosine"})
    for budget in ({"steps": 99}, {"max_seconds": 9.0}):
        assert cosine.fingerprint() != cosine.model_copy(update=budget).fingerprint()
    assert cosine.fingerprint() == cosine.model_copy(update={"threads": 2}).fingerprint()
    longer = QUICK.model_copy(update={"steps": 99, "threads": 2})
    assert (
        longer.fingerprint()
        == QUICK.fingerprint()
        != QUICK.model_copy(update={"seed": 1}).fingerprint()
    )


# --- the checkpoint -------------------------------------------------------------------------------
def test_the_card_leads_back_to_the_data(data: Path, trained: Path, models: Models) -> None:
    card, dataset = ck.read_card(trained), Dataset.open(data)
    assert card.dataset.dataset_digest == dataset.manifest.dataset_digest
    assert set(card.dataset.layers) == {"images", "features/latents"}
    assert sum(card.dataset.licenses.values()) == 93 and "CC-BY-4.0" in card.dataset.licenses
    assert card.models == {"t5": models.t5, "vae": models.vae}
    assert card.progress.step == 6 and card.batch_size == 16 and card.versions["torch"]
    assert sum(record["rows"] for record in card.consumed) == 93, "96 samples are a whole epoch"
    shards = {shard.shard_id for shard in dataset.layer("features/latents").shards}
    assert {record["shard_id"] for record in card.consumed} == shards


def test_the_pipeline_opens_it_and_gives_the_same_picture(trained: Path) -> None:
    import torch
    from diffusers import PixArtAlphaPipeline

    pipeline = PixArtAlphaPipeline.from_pretrained(trained / "checkpoint")
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt="A Red circle ", num_inference_steps=6, guidance_scale=3.0, height=16, width=16,
        generator=torch.Generator().manual_seed(4), use_resolution_binning=False,
        clean_caption=False,
    ).images[0]  # fmt: skip
    ours = sample(trained, ["A Red circle "], seed=4, steps=6, guidance=3.0, device="cpu")
    assert ours[0].size == (16, 16)
    assert np.array_equal(np.asarray(ours[0]), np.asarray(theirs))


def test_the_pipeline_holds_the_average(trained: Path) -> None:
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

    model = PixArtTransformer2DModel.from_pretrained(trained / "checkpoint" / "transformer")
    stored = tensors(trained)
    name = "transformer_blocks.0.attn1.to_q.weight"
    held = dict(model.named_parameters())[name].detach().numpy()
    assert np.array_equal(held, stored[f"{ck.AVERAGE}:{name}"])
    assert not np.array_equal(held, stored[f"{ck.WEIGHTS}:{name}"])


def test_the_empty_caption_is_what_the_pipeline_uses(trained: Path) -> None:
    import torch
    from diffusers import PixArtAlphaPipeline
    from safetensors.torch import load_file

    stored = load_file(trained / "checkpoint" / ck.UNCONDITIONAL)["unconditional"]
    pipeline = PixArtAlphaPipeline.from_pretrained(trained / "checkpoint")
    _, _, negative, mask = pipeline.encode_prompt("a", clean_caption=False)
    used = negative[0][mask[0].bool()]
    assert stored.dtype == torch.bfloat16 and stored.shape == used.shape
    assert torch.allclose(stored.float(), used, atol=0.02, rtol=0.01)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EXDEV])
def test_encoders_that_cannot_be_linked_are_copied(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "planted")

    monkeypatch.setattr(ck, "_LINK_FROM_BYTES", 1)
    monkeypatch.setattr(os, "link", refuse)
    write_again(trained, tmp_path / "checkpoint")
    for name in ENCODERS:
        written = tmp_path / "checkpoint" / name
        assert written.read_bytes() == (trained / "checkpoint" / name).read_bytes()
        assert written.stat().st_nlink == 1


def test_encoders_are_written_once(trained: Path, models: Models, tmp_path: Path) -> None:
    to = tmp_path / "checkpoint"
    write_again(trained, to)
    first = [(to / name).stat() for name in ENCODERS]
    write_again(trained, to)
    second = [(to / name).stat() for name in ENCODERS]
    assert [stat.st_ino for stat in first] == [stat.st_ino for stat in second]
    assert sample(to, ["a red circle"], steps=2, device="cpu")
    config, source = (root / "config.json" for root in (to / "text_encoder", models.root / "t5"))
    assert json.loads(config.read_text())["dtype"] == "float32"
    assert json.loads(source.read_text())["dtype"] == "float16", "the source is left as it was"


def test_encoders_of_another_digest_are_written_anew(trained: Path, tmp_path: Path) -> None:
    to = tmp_path / "checkpoint"
    write_again(trained, to)
    card = ck.read_card(to)
    other = {
        name: info.model_copy(update={"digest": "0" * 64}) for name, info in card.models.items()
    }
    (to / ck.CARD).write_text(card.model_copy(update={"models": other}).model_dump_json())
    for name in ENCODERS:  # as long as the right one, and wrong
        (to / name).write_bytes(bytes((to / name).stat().st_size))
    write_again(trained, to)
    for name in ENCODERS:
        assert (to / name).read_bytes() == (trained / "checkpoint" / name).read_bytes()


def write_again(trained: Path, to: Path) -> None:
    """The checkpoint of a run once more, through the same writer."""
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

    held, card = trained / "checkpoint", ck.read_card(trained)
    average, weights, optimizer, empty = (
        ck.read_tensors(held, name, card)
        for name in (ck.AVERAGE, ck.WEIGHTS, ck.OPTIMIZER, ck.UNCONDITIONAL)
    )
    ck.write(
        to, card=card, model=PixArtTransformer2DModel.from_pretrained(held / "transformer"),
        average=average, weights=weights, optimizer=optimizer, unconditional=empty["unconditional"],
    )  # fmt: skip


# --- refusals -------------------------------------------------------------------------------------
def test_a_tampered_shard_is_refused(models: Models, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "out", models)
    victim = next((root / "features/latents/data").iterdir())
    body = bytearray(victim.read_bytes())
    body[-200] ^= 255
    victim.write_bytes(body)
    with pytest.raises(StoreError, match=victim.name):
        train(root, QUICK, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_other_settings_or_data_are_refused(
    data: Path, models: Models, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputMismatch, match=r"learning_rate was 0.002, is 1e-05"):
        train(data, QUICK.model_copy(update={"learning_rate": 1e-5}), trained)
    cosine = QUICK.model_copy(update={"steps": 2, "schedule": "cosine"})
    train(data, cosine, tmp_path / "run")
    with pytest.raises(OutputMismatch, match="steps was 2, is 3"):
        train(data, cosine.model_copy(update={"steps": 3}), tmp_path / "run")
    other = write_dataset(tmp_path / "other", models, rows=(5, 60))
    with pytest.raises(OutputMismatch, match="dataset"):
        train(other, QUICK, trained)


def test_a_damaged_checkpoint_is_refused(data: Path, trained: Path, tmp_path: Path) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    weights = run / "checkpoint" / ck.WEIGHTS
    body = bytearray(weights.read_bytes())
    body[-8] ^= 1
    weights.write_bytes(body)
    with pytest.raises(StoreError, match=r"weights\.safetensors"):
        train(data, QUICK.model_copy(update={"steps": 7}), run)
    with pytest.raises(MissingInput, match="holds no checkpoint"):
        ck.read_card(tmp_path)


def test_encoders_that_did_not_make_the_features_are_refused(
    models: Models, tmp_path: Path
) -> None:
    import shutil

    own = Models(tmp_path / "models")
    shutil.copytree(models.root, own.root)
    root = write_dataset(tmp_path / "out", own)
    config = own.root / "vae" / "config.json"
    config.write_text(config.read_text().replace('"scaling_factor": 0.5', '"scaling_factor": 0.6'))
    with pytest.raises(ModelError, match="features were made with"):
        train(root, QUICK, tmp_path / "run")
