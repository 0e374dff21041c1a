"""`curate bench` as a whole, on a CPU: phases in processes of their own, one result, wrong options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curate.bench.models import Sizes
from curate.bench.result import BenchResult
from curate.bench.run import _phases, bench
from curate.bench.settings import Settings, settings_for
from curate.errors import EngineError

SMALL = Sizes(
    clip={
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8, "head_width": 32},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1,
        },
    },
    t5={
        "vocab_size": 4000, "d_model": 64, "d_ff": 96, "d_kv": 16, "num_heads": 3, "num_layers": 1,
        "feed_forward_proj": "gated-gelu",
    },
    vae={
        "block_out_channels": [32, 64], "layers_per_block": 1, "latent_channels": 4,
        "norm_num_groups": 16, "sample_size": 64, "scaling_factor": 0.13025,
    },
)  # fmt: skip


def curate(cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv[0] = 'curate'; from curate.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
        timeout=280, env={**os.environ, "XDG_CACHE_HOME": str(cache), "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


def test_the_whole_command_on_a_cpu(tmp_path: Path) -> None:
    out, folder = tmp_path / "bench.json", tmp_path / "work"
    common = ("bench", "--to", folder, "--rows", 24, "--seconds", 0.2, "--out", out)
    done = curate(tmp_path, *common)
    assert done.returncode == 0, done.stdout + done.stderr
    found = BenchResult.model_validate_json(out.read_text())
    assert found.phases == {"bare", "at1", "pipeline"}
    assert found.bare and found.bare.all.per_second > 0 and found.bare.vae.peak_share
    assert found.bare.all_decoded and found.bare.all_decoded.per_second > 0
    assert found.pipeline[0].kept == found.pipeline[0].rows == 24
    assert found.pipeline_to_bare and found.pipeline_to_at1
    assert found.storage and found.storage.t5_int8_error < 0.02
    assert found.storage.t5_bytes_at_15_tokens == 15 * 2 * 128
    assert found.agreements is not None and found.roof and found.roof["matmul_tflops"] > 0
    assert "pipeline ÷ bare loop" in done.stdout and str(folder) not in out.read_text()
    assert not (folder / "run").exists()
    again = curate(tmp_path, *common, "--skip", "bare,at1,pipeline")
    assert again.returncode == 0, again.stdout + again.stderr
    kept = BenchResult.model_validate_json(out.read_text())
    assert kept.bare == found.bare and set(kept.reused) == {"bare", "at1", "pipeline"}
    assert "was not run again" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--skip", "everything"), "the phases are bare, at1, pipeline"),
        (("--captions", "long"), "there are alt, llava"),
        (("--px", "30"), "px"),
        (("--t5", "/nowhere"), "no directory"),
    ],
)
def test_wrong_options_are_named(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = curate(tmp_path, "bench", "--to", tmp_path / "work", *arguments)
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_phase_that_fails_ends_the_bench(tmp_path: Path) -> None:
    settings = settings_for(gpu=False, folder=tmp_path, rows=8, models={"t5": "/nowhere"})
    with pytest.raises(EngineError, match="phase data ended with exit code 2"):
        _phases(["data"], settings, {})


@pytest.mark.slow
def test_random_weights_go_the_same_way(tmp_path: Path) -> None:
    settings = Settings(
        folder=tmp_path, px=32, rows=24, seconds=0.1, sizes=SMALL, pictures=4, inline=True,
        skip=frozenset({"at1"}), device="cpu",
    )  # fmt: skip
    *_, found = bench(settings)
    assert found.phases == {"bare", "pipeline"} and found.at1 is None
    assert all(facts.random for facts in found.models.values())
    assert found.pipeline[0].kept == 24
    assert found.bare and found.bare.all.tflop
    parts = (found.bare.clip_images, found.bare.clip_texts, found.bare.t5, found.bare.vae)
    assert found.bare.all.tflop == pytest.approx(sum(part.tflop or 0 for part in parts))


def test_a_disk_that_is_too_small_is_said_before_anything_is_made(tmp_path: Path) -> None:
    settings = settings_for(gpu=False, folder=tmp_path, rows=10**12)
    with pytest.raises(EngineError, match="fewer --rows"):
        next(bench(settings))
    assert not any(tmp_path.iterdir())


def test_a_result_from_elsewhere_is_kept_with_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_bench import result

    from benchmarks import machine, precompute

    measured = tmp_path / "measured.json"
    measured.write_text(result(px=512, runs=(300.0, 580.0)).model_dump_json())
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["x", "--from", str(measured), "--commit", "abc"])
    precompute.main()
    text = (tmp_path / "precompute_512_2gpus.json").read_text()
    kept = BenchResult.model_validate_json(text)
    assert kept.commit == "abc" and kept.pipeline[1].per_second == 580.0
    assert '"device": "A"' in text
