"""Figures reach the page and the plot from the JSON of `curate bench`, and from nowhere else."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from bench_results import bench_result, model_folders, pipeline

from benchmarks import figures, roofline
from benchmarks.goals import GOALS, goals, measured
from benchmarks.traffic import clip_bytes, t5_bytes, traffic, vae_bytes
from curate.bench.result import BenchResult
from curate.models import Part

CPU = Path(__file__).parent / "fixtures" / "bench_cpu.json"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[Part, str]:
    return model_folders(tmp_path_factory.mktemp("sizes") / "models")


@pytest.fixture
def results(tmp_path: Path, real: dict[Part, str]) -> dict[str, BenchResult]:
    """Read from a folder that holds other files too."""
    for px in (256, 512):
        text = bench_result(real, px=px).model_dump_json()
        (tmp_path / f"precompute_{px}.json").write_text(text)
    shutil.copy(CPU, tmp_path / "on_a_cpu.json")
    (tmp_path / "removal.json").write_text(json.dumps({"benchmark": "removal", "rows": 6400}))
    (tmp_path / "broken.json").write_text("{")
    return figures.load_results(tmp_path)


# --- the page -------------------------------------------------------------------------------------
def test_the_page_holds_what_the_results_say() -> None:
    page = figures.PAGE.read_text()
    wanted = figures.filled(page, figures.load_results(figures.RESULTS))
    assert page == wanted, "run `python -m benchmarks.figures`"
    assert "<!-- figures: precompute_256" in page


def test_the_plot_holds_what_the_results_say() -> None:
    plot = roofline.draw(figures.load_results(figures.RESULTS))
    if plot is None:
        assert not roofline.PLOT.exists()
    else:
        assert roofline.PLOT.read_text() == plot, "run `python -m benchmarks.figures`"


def test_results_of_a_bench_are_told_from_others(results: dict[str, BenchResult]) -> None:
    assert set(results) == {"precompute_256", "precompute_512", "on_a_cpu"}


def test_blocks_are_made_anew_and_the_rest_stays(results: dict[str, BenchResult]) -> None:
    page = (
        "before\n<!-- figures: precompute_256 rates -->\n| old | 1 |\n<!-- /figures -->\nbetween\n"
        "<!-- figures: not_yet -->\n<!-- /figures -->\nafter 42\n"
    )
    filled = figures.filled(page, results)
    assert "| old" not in filled
    assert "| T5 | 4,000 | 0.14 | 560 | 80.0% | 60 |" in filled
    assert "no `benchmarks/results/not_yet.json`" in filled
    assert filled.startswith("before\n")
    assert filled.endswith("after 42\n")
    assert figures.filled(filled, results) == filled
    with pytest.raises(KeyError):
        figures.filled("<!-- figures: precompute_256 nothing -->\n<!-- /figures -->", results)


def test_a_result_of_a_cpu_fills_every_view(results: dict[str, BenchResult]) -> None:
    lines = "\n".join(figures.block("on_a_cpu", None, results))
    result = results["on_a_cpu"]
    assert result.bare is not None
    assert f"| T5 | {figures.number(result.bare.t5.per_second)} |" in lines
    for word in ("bare loop", "of the bare loop", "AT1's way", "stored", "ceiling", "float32"):
        assert word in lines
    assert figures.agreements(bench_result_without(result)) == []
    assert figures.block("x", "at1", {"x": bench_result_without(result)}) == ["Not in this run."]


def bench_result_without(result: BenchResult) -> BenchResult:
    return result.model_copy(
        update={"bare": None, "at1": None, "pipeline": (), "agreements": (), "storage": None}
    )


def test_scaling_is_told_of_runs_with_more_workers(results: dict[str, BenchResult]) -> None:
    text = "\n".join(figures.block("scaling", None, results))
    assert "| `precompute_256` | 256 px | 2 | 1.97 |" in text
    assert "on_a_cpu" not in text
    assert "Not run yet" in figures.scaling({"on_a_cpu": results["on_a_cpu"]})[0]


# --- goals ----------------------------------------------------------------------------------------
def test_goals_are_held_against_the_newest_run_on_a_gpu(
    results: dict[str, BenchResult], real: dict[Part, str]
) -> None:
    table = "\n".join(goals(results))
    assert (
        "| all three, 256 px, bare loop, rows/s | ≥ 690 | 950 | 700 | yes | `precompute_256` |"
        in table
    )
    assert "| VAE alone, 256 px, pictures/s | ≥ 1,630 | 1,900 | 1,600 | no |" in table
    assert "| four GPUs, times one | ≥ 3.8 |  | not run |" in table
    assert "| T5 at 15 tokens, 8 bits, MB a caption | ≤ 0.065 |  | 0.0634 | yes |" in table
    newer = bench_result(real, date="2030-02-01T00:00:00+00:00", pipeline=[pipeline(1, 600.0)])
    later = measured(GOALS[1], {**results, "later": newer})
    assert later == ("later", 600.0)
    assert measured(GOALS[1], {"on_a_cpu": results["on_a_cpu"]}) is None
    llava = bench_result(real).model_copy(
        update={"data": newer.data.model_copy(update={"captions": "llava"})}
    )
    assert measured(GOALS[0], {"llava": llava}) is None


def test_without_results_nothing_is_claimed() -> None:
    text = "\n".join(goals({}))
    assert text.count("not run") == len(GOALS)
    assert "yes" not in text


# --- traffic and plot -----------------------------------------------------------------------------
def test_traffic_of_known_models() -> None:
    """SDXL's VAE moved 0.89 GB at 256 px and 3.65 GB at 512 px in another count of fused norms."""
    vae = {"_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512],
           "layers_per_block": 2}  # fmt: skip
    assert vae_bytes(vae, 256) == pytest.approx(0.89e9, rel=0.03)
    assert vae_bytes(vae, 512) == pytest.approx(3.65e9, rel=0.03)
    t5 = {"d_model": 4096, "d_ff": 10240, "num_heads": 64, "d_kv": 64, "num_layers": 24}
    assert t5_bytes(t5, 30) == pytest.approx(2 * t5_bytes(t5, 15))
    # a pack of 16,384 tokens reads 24 layers' weights once, 2 bytes each
    weights = 24 * 2 * (4 * 4096 * 4096 + 3 * 4096 * 10240)
    one_block = 24 * 2 * 16384 * 18 * 4096
    assert t5_bytes(t5, 16384) > weights + one_block
    clip = {"width": 1024, "layers": 24, "image_size": 224, "patch_size": 14}
    assert clip_bytes(clip) > 24 * 257 * 1024 * 2 * 20


def test_towers_without_a_count_are_left_out() -> None:
    timm = json.dumps({"model_cfg": {"vision_cfg": {"timm_model_name": "vit", "image_size": 384}}})
    assert traffic("clip", timm, px=256, tokens=15) is None
    assert traffic("vae", json.dumps({"_class_name": "AutoencoderDC"}), px=256, tokens=15) is None


def test_the_plot_shows_each_encoder_under_the_roof(results: dict[str, BenchResult]) -> None:
    svg = roofline.draw(results)
    assert svg is not None
    root = ET.fromstring(svg)
    texts = [node.text or "" for node in root.iter(f"{SVG}text")]
    for name in ("T5", "VAE, 256 px", "VAE, 512 px", "CLIP, pictures"):
        assert name in texts
    assert any("560 TFLOP/s, 80%" in text for text in texts)
    assert any("Made-up GPU" in text for text in texts)
    dots = [(float(d.attrib["cx"]), float(d.attrib["cy"])) for d in root.iter(f"{SVG}circle")]
    inside = [(x, y) for x, y in dots if x <= roofline.RIGHT]
    assert len(inside) == 4
    assert all(x >= roofline.LEFT and roofline.TOP <= y <= roofline.BOTTOM for x, y in inside)
    level = min(float(line.attrib["y1"]) for line in root.iter(f"{SVG}line")
                if line.attrib["stroke"] == "#222222")  # fmt: skip
    assert all(y > level for _, y in inside)
    assert "roofline.svg" in roofline.caption(results)[0]


def test_the_plot_can_be_of_a_cpu_and_needs_a_bench(results: dict[str, BenchResult]) -> None:
    only = {"on_a_cpu": results["on_a_cpu"]}
    svg = roofline.draw(only)
    assert svg is not None
    assert only["on_a_cpu"].device.name in svg
    assert roofline.draw({}) is None
    assert "Not run yet" in roofline.caption({})[0]
