"""Latents that cannot be stored: found, tried again in float32, rejected with what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import autoencoders as ae
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latent_shards import encode, latents, reasons, scenes, table

from curate.errors import RecipeError
from curate.models import vae as vae_module
from curate.models import vae_choice, vae_paths
from curate.models.vae import Vae
from curate.stages.latent_checks import Limits, judge, judge_decoded, measure, psnr
from curate.stages.vae import VaeStage

UNTRAINED = {"least_psnr": None}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def sick(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., torch.Tensor]]:
    """A bfloat16 path on a CPU that `fault` spoils once it is there; then float32 is at hand."""
    spoils: dict[str, Callable[..., torch.Tensor]] = {}

    def paths(model: Any, device: torch.device) -> list[tuple[str, Callable[[], Any]]]:
        well = vae_paths.plain(model)

        def run(pixels: torch.Tensor) -> torch.Tensor:
            told = well(pixels).clone()
            return spoils["fault"](told, pixels) if "fault" in spoils else told

        return [("sick bf16", lambda: run)]

    monkeypatch.setattr(vae_module, "fast_paths", paths)
    monkeypatch.setattr(vae_choice, "fast_paths", paths)
    return spoils


# --- gates on models that are broken in float32 too ------------------------------------------------
def test_weights_that_are_no_numbers_reject_every_row(tmp_path: Path) -> None:
    folder = ae.save(tmp_path / "kl", "kl")
    ae.weights(folder, encoder__conv_in__bias=lambda t: t * torch.nan)
    found = encode(VaeStage(model=str(folder), **UNTRAINED), table([*ae.pictures(3)]))
    assert reasons(found) == ["numeric:latent"] * 3
    assert found["measured_value"].to_pylist() == [2.0 * 4 * 8 * 8] * 3  # numbers that are none
    assert found["latent"].null_count == found["latent_height"].null_count == 3


def test_an_overflow_of_float16_rejects_though_float32_could_hold_it(tmp_path: Path) -> None:
    folder = ae.save(tmp_path / "kl", "kl")
    ae.weights(folder, quant_conv__weight=lambda t: t * 1e6)
    found = encode(VaeStage(model=str(folder), **UNTRAINED), table([*ae.pictures(2)]))
    assert reasons(found) == ["numeric:latent"] * 2


@pytest.mark.parametrize(("factor", "low"), [(0.0, True), (3e3, False)])
def test_latents_of_no_spread_or_far_too_much_are_rejected_with_their_deviation(
    factor: float, low: bool, tmp_path: Path
) -> None:
    folder = ae.save(tmp_path / "kl", "kl")
    ae.weights(
        folder, encoder__conv_out__weight=lambda t: t * factor,
        encoder__conv_out__bias=torch.zeros_like, quant_conv__bias=torch.zeros_like,
    )  # fmt: skip
    found = encode(VaeStage(model=str(folder), **UNTRAINED), table([*ae.pictures(3)]))
    assert reasons(found) == ["numeric:latent_std"] * 3
    values = found["measured_value"].to_pylist()
    assert all(value == 0 if low else value > 20 for value in values)
    vae = Vae.load(str(folder))
    mean = vae.encode(ae.pictures(3))[:, :4].astype(np.float16).astype(np.float32)
    wanted = mean.reshape(3, -1).std(1) * vae.scaling_factor
    assert values == pytest.approx(wanted.tolist(), rel=1e-3)
    wide = VaeStage(model=str(folder), std_range=(0.0, 1e6), **UNTRAINED)
    assert reasons(encode(wide, table([*ae.pictures(3)]))) == [None] * 3


def test_a_log_variance_that_overflows_rejects_moments_but_not_the_mode(tmp_path: Path) -> None:
    folder = ae.save(tmp_path / "kl", "kl")

    def spoil(bias: torch.Tensor) -> torch.Tensor:
        bias[4:] = 1e6
        return bias

    tensors = {"quant_conv__bias": lambda t: torch.zeros_like(t) if len(t) == 4 else spoil(t)}
    ae.weights(folder, **tensors)
    given = table([*ae.pictures(2)])
    moments, mode = (
        VaeStage(model=str(folder), store=store, **UNTRAINED) for store in ("moments", "mode")
    )
    assert reasons(encode(moments, given)) == ["numeric:latent"] * 2
    assert reasons(encode(mode, given)) == [None] * 2


def test_flat_pictures_are_within_the_range_by_default() -> None:
    colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (40, 80, 200)]
    flat = [np.broadcast_to(np.array(colour, np.uint8), (64, 64, 3)) for colour in colours]
    assert reasons(encode(VaeStage(), table(flat))) == [None] * 4


def test_only_the_decoded_rows_can_fall_short_of_the_psnr() -> None:
    given = table(scenes(10))
    found = encode(VaeStage(least_psnr=60.0, check_rows=3), given)
    assert [row for row, reason in enumerate(reasons(found)) if reason] == [1, 5, 8]
    assert set(reasons(found)) == {None, "numeric:psnr"}
    vae = Vae.load("builtin:tiny")
    for row in (1, 5, 8):
        pixels = scenes(10)[row][None]
        decoded = vae.decode(vae.encode(pixels)[:, :4]).astype(np.float64)
        wanted = 10 * np.log10(255**2 / ((decoded - pixels) ** 2).mean())
        assert found["measured_value"][row].as_py() == pytest.approx(wanted, abs=0.5)
    for stage in (VaeStage(), VaeStage(least_psnr=None), VaeStage(least_psnr=60.0, check_rows=0)):
        assert reasons(encode(stage, given)) == [None] * 10


def test_weights_without_training_fail_the_psnr_unless_told_otherwise(tmp_path: Path) -> None:
    folder = str(ae.save(tmp_path / "kl", "kl"))
    given = table([*ae.pictures(8)])
    assert (
        reasons(encode(VaeStage(model=folder, least_psnr=20.0), given)).count("numeric:psnr") == 4
    )
    assert reasons(encode(VaeStage(model=folder, **UNTRAINED), given)) == [None] * 8


# --- rows that bfloat16 spoils and float32 saves ---------------------------------------------------
def test_a_row_that_fails_in_bfloat16_alone_is_stored_in_float32(
    sick: dict[str, Callable[..., torch.Tensor]],
) -> None:
    pictures = scenes(7)
    given = table(pictures)
    stage = VaeStage(batch_size=3)
    vae = stage.load(given)
    marked = torch.from_numpy(pictures[4].copy())

    def fault(told: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        for row, one in enumerate(pixels):
            if torch.equal(one, marked):
                told[row, 0, 0, 0] = torch.nan
        return told

    healthy = encode(stage, given, vae)
    sick["fault"] = fault
    found = encode(stage, given, vae)
    assert reasons(found) == [None] * 7
    assert found["vae_float32"].to_pylist() == [None] * 4 + [True] + [None] * 2
    assert healthy["vae_float32"].null_count == 7
    now, before = latents(found), latents(healthy)
    exact = Vae.load("builtin:tiny").exact().encode(pictures[4][None])[0]
    for row in (0, 1, 2, 3, 5, 6):
        assert np.array_equal(now[row], before[row])
    np.testing.assert_allclose(now[4], exact, rtol=2**-9, atol=1e-3)
    assert not np.array_equal(now[4], before[4])


def test_a_psnr_that_float32_reaches_sends_the_whole_shard_through_it(
    sick: dict[str, Callable[..., torch.Tensor]],
) -> None:
    pictures = [*scenes(5), *scenes(4, size=(96, 64))]
    given = table(pictures)
    stage = VaeStage(batch_size=4, check_rows=2, least_psnr=20.0)  # rows 2 and 6 are decoded
    vae = stage.load(given)
    sick["fault"] = lambda told, pixels: -told  # finite, of usual spread, and another picture
    found = encode(stage, given, vae)
    assert reasons(found) == [None] * 9
    assert found["vae_float32"].to_pylist() == [True] * 9
    plain = Vae.load("builtin:tiny").exact()
    for stored, picture in zip(latents(found), pictures, strict=True):
        np.testing.assert_allclose(stored, plain.encode(picture[None])[0], rtol=2**-9, atol=2e-3)


def test_what_float32_cannot_save_is_rejected_with_what_float32_measured(
    sick: dict[str, Callable[..., torch.Tensor]], tmp_path: Path
) -> None:
    folder = ae.save(tmp_path / "kl", "kl", scaling_factor=0.5)
    stage = VaeStage(model=str(folder), batch_size=2, std_range=(0.05, 20.0), **UNTRAINED)
    pictures = [*ae.pictures(4)]
    given = table(pictures)
    vae = stage.load(given)
    sick["fault"] = lambda told, pixels: told * torch.nan
    assert reasons(encode(stage, given, vae)) == [None] * 4  # all four are saved
    spread = Vae.load(str(folder)).exact().encode(ae.pictures(4))[:, :4].reshape(4, -1).std(1) * 0.5
    low = float(np.sort(spread)[1:3].mean())
    strict = stage.model_copy(update={"std_range": (low, 20.0)})
    found = encode(strict, given, vae)
    wanted = ["numeric:latent_std" if value < low else None for value in spread]
    assert reasons(found) == wanted and wanted.count(None) == 2
    told = [value for value in found["measured_value"].to_pylist() if value is not None]
    assert told == pytest.approx([float(v) for v in spread if v < low], rel=1e-3)
    saved = [None if reason else True for reason in wanted]
    assert found["vae_float32"].to_pylist() == saved


def test_a_bad_sample_that_float32_finds_as_bad_is_rejected_alone(
    sick: dict[str, Callable[..., torch.Tensor]],
) -> None:
    stage = VaeStage(least_psnr=60.0, check_rows=1)
    found = encode(stage, table(scenes(3)))
    assert reasons(found) == [None, "numeric:psnr", None]
    assert found["vae_float32"].null_count == 3


def test_memory_that_runs_out_in_float32_alone_fails_the_row(
    sick: dict[str, Callable[..., torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = table(scenes(3))
    stage = VaeStage()
    vae = stage.load(given)
    moments = Vae.moments

    def full(self: Vae, pixels: torch.Tensor) -> torch.Tensor:
        if self.dtype == torch.float32:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return moments(self, pixels)

    def fault(told: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        told[1:2] = torch.nan
        return told

    sick["fault"] = fault
    monkeypatch.setattr(Vae, "moments", full)
    found = encode(stage, given, vae)
    assert reasons(found) == [None, "out_of_memory", None]
    assert found["vae_batch"].to_pylist() == [1] * 3


def test_a_bucket_of_another_factor_is_the_recipes_mistake_at_load_and_later(
    sick: dict[str, Callable[..., torch.Tensor]],
) -> None:
    odd = table([np.zeros((64, 62, 3), np.uint8)])
    with pytest.raises(RecipeError, match=r"62 × 64.*multiples of 4"):
        VaeStage().load(odd)
    with pytest.raises(RecipeError, match=r"62 × 64.*multiples of 4"):
        encode(VaeStage(), odd, Vae.load("builtin:tiny"))


# --- the parts -------------------------------------------------------------------------------------
@given(st.integers(0, 3000), st.integers(0, 40))
def test_sampled_rows_are_spread_evenly(rows: int, count: int) -> None:
    found = sorted(Limits((0.0, 1.0), count, 10.0).sampled(rows))
    assert len(found) == min(rows, count)
    assert all(0 <= row < rows for row in found)
    gaps = np.diff([-(found[0] + 1), *found]) if found else np.array([])
    assert not len(gaps) or max(np.diff(found), default=0) - min(np.diff(found), default=0) <= 1
    assert Limits((0.0, 1.0), count, None).sampled(rows) == frozenset()


def test_the_first_thing_that_is_wrong_is_told_and_nan_is_wrong() -> None:
    nan = np.nan
    limits = Limits((0.5, 5.0), 4, 10.0)
    found = np.array([[0, 1], [3, nan], [0, 9], [0, 5], [0, 0], [1, 1], [0, 0.5]], np.float32)
    told = judge(found, limits)
    assert {row: verdict.reason for row, verdict in told.items()} == {
        1: "numeric:latent", 2: "numeric:latent_std", 4: "numeric:latent_std", 5: "numeric:latent",
    }  # fmt: skip
    assert (told[1].value, told[2].value) == (3, 9)
    far = judge_decoded(np.array([9.9, 10, np.inf, nan], np.float32), limits)
    assert set(far) == {0, 3} and far[0].reason == "numeric:psnr"
    assert far[0].value == pytest.approx(9.9)


def test_what_is_measured_is_finite_scaled_and_close_to_the_pixels() -> None:
    vae = Vae.load("builtin:tiny")
    pixels = torch.from_numpy(np.stack(scenes(3)))
    stored = vae.moments(pixels).half()
    close = psnr(vae, stored, pixels).numpy()
    assert ((close > 25) & (close < 60)).all()
    assert (psnr(vae, stored, pixels.flip(0))[[0, 2]].numpy() < close[[0, 2]] - 5).all()
    stored[1, 7, 0, 0] = torch.inf
    found = measure(vae, stored).numpy()
    assert found[:, 0].tolist() == [0, 1, 0]
    spread = stored[:, :4].float().flatten(1).std(1, correction=0) * vae.scaling_factor
    assert found[:, 1] == pytest.approx(spread.numpy())
