"""Autoencoders of three kinds: what their configs say, what they give, which path they take."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import autoencoders as ae
import numpy as np
import pytest
import torch

from curate.errors import ModelError
from curate.models import vae as vae_module
from curate.models import vae_choice, vae_paths
from curate.models.agreement import relative_error
from curate.models.fused_vae import fits
from curate.models.vae import Vae, facts_of
from curate.models.vae_choice import groups_of, made_up

KINDS = ["kl", "dc", "tiny"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("autoencoders")
    return {kind: ae.save(root / kind, kind) for kind in KINDS}


# --- the config -----------------------------------------------------------------------------------
def test_the_config_says_what_the_latents_are(folders: dict[str, Path], tmp_path: Path) -> None:
    assert facts_of(folders["kl"]) == {
        "class_name": "AutoencoderKL", "channels": 4, "factor": 4, "scaling_factor": 0.18215,
        "shift_factor": 0.0, "deterministic": False,
    }  # fmt: skip
    dc, tiny = facts_of(folders["dc"]), facts_of(folders["tiny"])
    assert (dc["channels"], dc["factor"], dc["scaling_factor"]) == (8, 4, 0.41407)
    assert (tiny["channels"], tiny["factor"], tiny["scaling_factor"]) == (4, 4, 1.0)
    assert dc["deterministic"] and tiny["deterministic"]
    flux = ae.save(tmp_path / "a", "kl", scaling_factor=0.3611, shift_factor=0.1159)
    assert facts_of(flux)["shift_factor"] == 0.1159
    ae.config(flux, latents_mean=[1.5, 0.0, -2.0, 3.0], latents_std=[2.0, 2.0, 2.0, 2.0])
    assert facts_of(flux)["latents_mean"] == "[1.5, 0.0, -2.0, 3.0]"


def test_what_a_config_leaves_out_is_what_diffusers_takes(tmp_path: Path) -> None:
    import diffusers

    for kind in KINDS:
        (tmp_path / "config.json").write_text(json.dumps({"_class_name": ae.SETTINGS[kind][0]}))
        model = getattr(diffusers, ae.SETTINGS[kind][0])
        if kind == "dc":  # its defaults are hundreds of megabytes: its own ratio, without weights
            with torch.device("meta"):
                assert facts_of(tmp_path)["factor"] == model().spatial_compression_ratio == 32
            continue
        made, facts = model(), facts_of(tmp_path)
        assert facts["channels"] == made.config.latent_channels
        assert facts["scaling_factor"] == made.config.scaling_factor
        latent = vae_paths.encoder_of(made)(torch.zeros(1, 3, 32, 32))
        assert latent.shape[-1] * facts["factor"] == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder_layers_per_block": (0, 1, 1), "decoder_layers_per_block": (0, 1, 1)},
        {"encoder_layers_per_block": (0, 1, 1), "decoder_layers_per_block": (0, 1, 1),
         "downsample_block_type": "Conv", "upsample_block_type": "interpolate"},
    ],
)  # fmt: skip
def test_a_dc_that_goes_down_at_once_has_the_factor_of_its_latents(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    vae = Vae.load(str(ae.save(tmp_path / "dc", "dc", **changes)))
    assert vae.encode(ae.pictures(1)).shape == (1, 8, 32 // vae.factor, 32 // vae.factor)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"_class_name": "VQModel"}, "expected AutoencoderKL, AutoencoderDC or AutoencoderTiny"),
        ({"scaling_factor": None}, "a number of its latents is none"),
        ({"scaling_factor": 0.0}, "must be positive"),
        ({"scaling_factor": "much"}, "a number of its latents is none"),
        ({"latent_channels": 0}, "must be positive"),
        ({"in_channels": 1}, "pictures have 3"),
    ],
)
def test_configs_that_cannot_be_are_errors(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = ae.config(ae.save(tmp_path / "kl", "kl"), **changes)
    with pytest.raises(ModelError, match=words):
        Vae.load(str(folder))


# --- what they give -------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_is_what_diffusers_says(kind: str, folders: dict[str, Path]) -> None:
    import diffusers

    pixels = ae.pictures(3, width=48)
    model = getattr(diffusers, ae.SETTINGS[kind][0]).from_pretrained(folders[kind])
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        told = model.encode(scaled)
        wanted = {
            "kl": lambda: told.latent_dist.parameters, "dc": lambda: told.latent,
            "tiny": lambda: told.latents,
        }[kind]()  # fmt: skip
        mode = told.latent_dist.mode() if kind == "kl" else wanted
        decoded = model.decode(mode).sample
    vae = Vae.load(str(folders[kind]))
    found = vae.encode(pixels, batch_size=2)
    assert found.shape == (3, vae.parameters, 8, 12)
    assert vae.parameters == (2 if kind == "kl" else 1) * vae.channels
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)
    seen = vae.decode(found[:, : vae.channels], batch_size=2)
    want = decoded.add(1).mul(127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(seen.astype(int) - want).max() <= 1
    assert vae.encode(pixels[:0]).shape == (0, vae.parameters, 8, 12)
    assert vae.agreements == () and vae.exact() is vae  # on a CPU there is float32 alone


def test_the_attention_of_older_checkpoints_loads_under_its_old_names(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    folder = ae.save(tmp_path / "old", "kl")
    tensors = {}
    for name, tensor in load_file(folder / ae.WEIGHTS).items():
        for new, before in old.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")
        tensors[name] = tensor
    assert sum("proj_attn" in name for name in tensors) == 4
    save_file(tensors, folder / ae.WEIGHTS, metadata={"format": "pt"})
    pixels = ae.pictures(1)
    wanted = Vae.load(str(folders["kl"])).encode(pixels)
    assert np.array_equal(Vae.load(str(folder)).encode(pixels), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_weights_of_any_kind_are_never_made_up(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = ae.save(tmp_path / kind, kind)
    tensors = load_file(folder / ae.WEIGHTS)
    name = next(name for name in sorted(tensors) if tensors[name].ndim == 4)
    del tensors[name]
    save_file(tensors, folder / ae.WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        Vae.load(str(folder))


# --- the choice of a path -------------------------------------------------------------------------
Paths = Callable[..., list[tuple[str, Callable[[], Any]]]]


def on_a_cpu(monkeypatch: pytest.MonkeyPatch, paths: Paths) -> None:
    """Offer fast paths where there are none."""
    monkeypatch.setattr(vae_module, "fast_paths", paths)
    monkeypatch.setattr(vae_choice, "fast_paths", paths)


def plain_bf16(model: Any, device: torch.device) -> list[tuple[str, Callable[[], Any]]]:
    return [("plain bf16", lambda: vae_paths.plain(model))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_path_that_agrees_is_taken_and_float32_stays_at_hand(
    kind: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def paths(model: Any, device: torch.device) -> list[tuple[str, Callable[[], Any]]]:
        fused = ("fused bf16", lambda: vae_paths.fused(model))
        off = ("wrong", lambda: lambda pixels: vae_paths.plain(model)(pixels) * 1.1)
        return [fused, off, *plain_bf16(model, device)]

    exact = Vae.load(str(folders[kind]))
    on_a_cpu(monkeypatch, paths)
    sample = [*ae.pictures(3), *ae.pictures(2, width=48)]
    vae = Vae.load(str(folders[kind]), sample=sample)
    fused, off, plain = vae.agreements
    assert (fused.error, fused.used) == (None, False)
    assert ("no Triton" in fused.note) == (kind == "kl")
    assert off.error == pytest.approx(0.1, rel=0.2)
    assert (off.used, plain.used, plain.path) == (False, True, "plain bf16")
    assert 0 < (plain.error or 0) < 0.02 and plain.rows == 5
    assert ("log variance 0.0" in plain.note) == (kind == "kl")
    assert vae.dtype == torch.bfloat16
    pixels = ae.pictures(2, seed=5)
    found, wanted = vae.encode(pixels), exact.encode(pixels)
    assert 0 < relative_error(torch.from_numpy(found), torch.from_numpy(wanted)) < 0.02
    assert np.array_equal(vae.exact().encode(pixels), wanted)
    assert vae.exact() is vae.exact() is vae.exact().exact()


def test_where_no_path_agrees_float32_is_the_way(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = ae.pictures(3)
    wanted = Vae.load(str(folders["kl"])).encode(pixels)
    on_a_cpu(monkeypatch, plain_bf16)
    vae = Vae.load(str(folders["kl"]), sample=pixels, tolerance=1e-6)
    assert [(told.path, told.used) for told in vae.agreements] == [
        ("plain bf16", False), ("float32", True),
    ]  # fmt: skip
    assert vae.agreements[0].note.startswith("out of tolerance, log variance")
    assert vae.dtype == torch.float32
    assert np.array_equal(vae.encode(pixels), wanted)


def test_an_overflow_of_the_log_variance_alone_is_no_agreement(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def paths(model: Any, device: torch.device) -> list[tuple[str, Callable[[], Any]]]:
        def run(pixels: torch.Tensor) -> torch.Tensor:
            told = vae_paths.plain(model)(pixels).clone()
            told[0, -1, 0, 0] = torch.inf
            return told

        return [("half", lambda: run)]

    on_a_cpu(monkeypatch, paths)
    vae = Vae.load(str(folders["kl"]), sample=ae.pictures(2))
    assert [told.path for told in vae.agreements if told.used] == ["float32"]


def test_without_rows_of_the_run_nothing_is_told_of_them(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu(monkeypatch, plain_bf16)
    for sample in (None, [], np.empty((0, 32, 32, 3), np.uint8)):
        vae = Vae.load(str(folders["kl"]), sample=sample)
        assert (vae.agreements, vae.dtype) == ((), torch.bfloat16)


def test_a_sample_is_grouped_by_size_and_ends_after_64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vae_choice, "PIXELS", 16 * 32 * 32)
    wide = torch.from_numpy(ae.pictures(10, width=64))
    groups = groups_of([*ae.pictures(3), wide, ae.pictures(70, seed=3)])
    assert [tuple(group.shape) for group in groups] == [
        (16, 32, 32, 3), (16, 32, 32, 3), (16, 32, 32, 3), (6, 32, 32, 3),
        (8, 32, 64, 3), (2, 32, 64, 3),
    ]  # fmt: skip
    assert torch.equal(groups[0][:3], torch.from_numpy(ae.pictures(3)))
    (drawn,) = made_up(64)
    assert drawn.shape == (4, 256, 256, 3) and drawn.dtype == torch.uint8


# --- the fused encoder ----------------------------------------------------------------------------
def test_models_that_the_kernels_do_not_know_are_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    import diffusers

    def made(kind: str, **changes: Any) -> Any:
        name, settings = ae.SETTINGS[kind]
        return getattr(diffusers, name)(**(settings | changes))

    assert fits(made("kl")) is None
    assert fits(made("kl", use_quant_conv=False, mid_block_add_attention=False)) is None
    assert "AutoencoderDC" in (fits(made("dc")) or "")
    assert "AutoencoderTiny" in (fits(made("tiny")) or "")
    assert "GELU" in (fits(made("kl", act_fn="gelu")) or "")
    assert "48 channels" in (fits(made("kl", block_out_channels=(48, 64, 64))) or "")
    attending = ("AttnDownEncoderBlock2D",) * 3
    assert "AttnDown" in (fits(made("kl", down_block_types=attending)) or "")


FUSED = """
import sys
from pathlib import Path
import torch
import triton.runtime.interpreter as interpreter
from curate.models.fused_vae import FusedEncoder, between_one, fits
from curate.models.vae_kinds import encoder_of
sys.path.insert(0, "tests")
import autoencoders as ae
from diffusers import AutoencoderKL

patch = interpreter._patch_lang_tensor
def patched(tensor, scope):  # this interpreter takes int() of arrays [1], which numpy 2.4 refuses
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))
interpreter._patch_lang_tensor = patched

every = torch.arange(256, dtype=torch.uint8).repeat(3 * 24)[: 2 * 32 * 48 * 3].reshape(2, 32, 48, 3)
wanted = every.permute(0, 3, 1, 2).float() / 127.5 - 1
for dtype in (torch.float32, torch.bfloat16):
    told = between_one(every[1:], dtype)
    assert told.is_contiguous(memory_format=torch.channels_last)
    unit = torch.finfo(dtype).eps  # the interpreter cuts bfloat16 off where a GPU rounds
    torch.testing.assert_close(told, wanted[1:].to(dtype), rtol=unit, atol=unit)
torch.manual_seed(0)
for changes in ({}, {"use_quant_conv": False, "latent_channels": 16, "block_out_channels": (32, 32, 64)}):
    model = AutoencoderKL(**(ae.SETTINGS["kl"][1] | changes)).eval().requires_grad_(False)
    for name, value in model.named_parameters():
        value.add_(0.1 * torch.randn_like(value))  # norms and biases too
    assert fits(model) is None
    pixels = torch.from_numpy(ae.pictures(2, width=48, height=32))
    told = FusedEncoder(model)(pixels)
    exact = encoder_of(model)(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
    torch.testing.assert_close(told, exact, rtol=1e-3, atol=1e-3)
print("agree")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton")
def test_the_fused_encoder_computes_what_diffusers_computes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FUSED], env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True, text=True, timeout=280,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.stdout.strip() == "agree", done.stderr[-2000:]


# --- where it goes on -----------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["kl", "tiny"])
def test_a_checkpoint_names_the_class_of_its_autoencoder(kind: str, tmp_path: Path) -> None:
    from curate.train.checkpoint import _write_pipeline
    from curate.train.settings import TrainSettings

    ae.save(tmp_path / "vae", kind)
    (tmp_path / "text_encoder").mkdir()
    (tmp_path / "text_encoder" / "config.json").write_text('{"model_type": "t5"}')
    _write_pipeline(tmp_path, TrainSettings(steps=1))
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["vae"] == ["diffusers", ae.SETTINGS[kind][0]]
