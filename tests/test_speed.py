"""What a run tells at its end: the ratio to a bare loop, or how to get it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from bench_results import bench_result, model_folders, recipe
from pictures import file, scene
from rich.console import Console

from curate import forecast_command
from curate.bench.machine import device_facts
from curate.bench.result import BenchResult, save_bench
from curate.engine import run_inline
from curate.forecast import ratio
from curate.models import Part
from curate.recipe import Recipe
from curate.store.dataset import Dataset
from curate.store.record import PassRate


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are kept here, not in the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def real(tmp_path: Path) -> dict[Part, str]:
    return model_folders(tmp_path / "models")


def pass_rate(per_second: float | None, **changes: Any) -> PassRate:
    given: dict[str, Any] = {
        "rows": 50_000, "seconds_total": 90.0, "startup_seconds": 20.0,
        "steady_rows_per_second": per_second, "steady_seconds": 60.0, "gpu_busy": 0.96, "gpus": 1.0,
        "workers": 1,
    }  # fmt: skip
    return PassRate(**(given | changes))


def speed(
    value: Recipe, rates: dict[str, PassRate], bench: BenchResult | None, **given: Any
) -> str:
    return "\n".join(ratio.speed_lines(value, rates, bench, given.get("tokens")))


def test_the_ratio_of_one_pass_is_of_the_whole_bare_loop(real: dict[Part, str]) -> None:
    bench, value = bench_result(real), recipe(real)
    text = speed(value, {"features/all": pass_rate(665.0), "images": pass_rate(5000.0)}, bench)
    assert "0.95 of a bare loop's 700" in text
    assert "speed of light    0.95 of the bare loop, from the bench of 2030-01-02" in text
    assert "GPU 96% busy" in text
    assert "images" not in text
    two = speed(value, {"features/all": pass_rate(1310.0, gpus=2.0, workers=2)}, bench)
    assert "on 2 GPUs, 0.94 of" in two


def test_the_ratio_of_passes_adds_their_times(real: dict[Part, str]) -> None:
    bench = bench_result(real)
    value = recipe(real, apart=True)
    rates = {
        "features/clip": pass_rate(2800 * 0.9, rows=100_000),
        "features/latents": pass_rate(800.0, rows=30_000),
    }
    passes = ratio.reached(value, rates)
    light = 100_000 / 2800 + 30_000 * (1 / 4000 + 1 / 1600)
    taken = 100_000 / (2800 * 0.9) + 30_000 / 800
    assert ratio.ratio(bench, passes) == pytest.approx(light / taken)


def test_longer_captions_are_not_held_against_the_run(real: dict[Part, str]) -> None:
    bench = bench_result(real)
    assert ratio.bare_rate(bench, ["clip", "t5", "vae"]) == pytest.approx(700)
    longer = ratio.bare_rate(bench, ["clip", "t5", "vae"], tokens=90.0)
    assert 1 / longer == pytest.approx(1 / 700 + 5 / 4000)
    assert ratio.bare_rate(bench, ["vae"], tokens=90.0) == pytest.approx(1600)


def test_without_a_bench_the_run_says_how_busy_the_gpu_was(real: dict[Part, str]) -> None:
    text = speed(recipe(real), {"features/all": pass_rate(665.0)}, None)
    assert "665 rows/s on 1 GPU, GPU 96% busy" in text
    assert "run `curate bench`" in text
    assert "bare loop's" not in text
    assert speed(recipe(real), {"features/all": pass_rate(None)}, None) == ""


def test_a_run_tells_its_speed(tmp_path: Path) -> None:
    """From pictures to the line, with the built-in models on a CPU."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes(file(scene(number)))
        (folder / f"{number}.txt").write_text(f"picture {number} of some shapes")
    tiny: dict[Part, str] = {"clip": "builtin:tiny", "t5": "builtin:tiny", "vae": "builtin:tiny"}
    value = recipe(tiny, folder, sizes=[[64, 64]]).model_copy(update={"shard_rows": 2})
    outcome = run_inline(value, tmp_path / "out")
    here = device_facts("cpu")
    out = io.StringIO()
    forecast_command.print_speed(outcome, value, Console(file=out, width=200))
    assert "run `curate bench`" in out.getvalue()
    save_bench(bench_result(tiny, px=64, device=here.name, kind="cpu"))
    out = io.StringIO()
    forecast_command.print_speed(outcome, value, Console(file=out, width=200))
    assert "of a bare loop's" in out.getvalue()
    assert "from the bench of 2030-01-02" in out.getvalue()
    passes = ratio.reached(value, outcome.rates)
    tokens = ratio.tokens_of(Dataset.open(tmp_path / "out"), passes)
    assert tokens is not None
    assert 3 < tokens < 40
