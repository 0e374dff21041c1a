"""Forecasts of storage, batches, hours and cost, and the ratio that a run tells at its end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from bench_results import bench_result, model_folders, pipeline, recipe
from rich.console import Console

from curate import forecast_command
from curate.bench.result import save_bench
from curate.cluster import Cluster
from curate.errors import EngineError, MissingInput, RecipeError
from curate.forecast.batches import batches
from curate.forecast.bench import nearest_bench, read_bench, same_size, unlike
from curate.forecast.hours import hours
from curate.forecast.rows import Assumed, rows_of
from curate.forecast.storage import storage
from curate.models import Part
from curate.recipe import Recipe
from curate.stages.buckets import Buckets


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results are kept here, not in the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def real(tmp_path: Path) -> dict[Part, str]:
    return model_folders(tmp_path / "models")


def told(value: Recipe, *, cluster: Cluster | None = None, **given: Any) -> str:
    """What `curate plan` prints."""
    out = io.StringIO()
    settings = {
        "rows": 1_000_000, "tokens": 15.0, "keep": 1.0, "price": None, "storage_price": None,
        "bench": None,
    }  # fmt: skip
    forecast_command.plan(
        value, **(settings | given), cluster=cluster or Cluster(),
        console=Console(file=out, width=200),
    )  # fmt: skip
    return out.getvalue()


# --- storage and batches --------------------------------------------------------------------------
def bytes_a_row(value: Recipe, layer: str = "features/all", **assumed: Any) -> float:
    rows = 1000
    return dict(storage(value, Assumed(rows=rows, **assumed)))[layer] / rows


def test_storage_follows_from_the_form_that_each_stage_stores(real: dict[Part, str]) -> None:
    plain = bytes_a_row(recipe(real))
    clip, latent = 4 * 768 + 8, 2 * 8 * 32 * 32
    assert plain == pytest.approx(15 * 4096 * 2 + latent + clip + 40)
    int8 = bytes_a_row(recipe(real, t5={"store": "int8"}))
    assert plain - int8 == pytest.approx(15 * (2 * 4096 - (4096 + 2 * 64)))
    assert 15 * (4096 + 2 * 64) <= 65_000
    mode = bytes_a_row(recipe(real, vae={"store": "mode"}))
    assert plain - mode == pytest.approx(latent / 2)
    assert bytes_a_row(recipe(real), tokens=30) - plain == pytest.approx(15 * 4096 * 2)
    larger = bytes_a_row(recipe(real, sizes=[[256, 256], [512, 512]]))
    assert larger - plain == pytest.approx(3 * latent)


def test_storage_of_an_autoencoder_without_a_posterior(
    real: dict[Part, str], tmp_path: Path
) -> None:
    import json

    folder = tmp_path / "dc"
    folder.mkdir()
    config = {"_class_name": "AutoencoderDC", "latent_channels": 32,
              "encoder_block_out_channels": [8] * 6}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"not read")
    both = [bytes_a_row(recipe(models)) for models in (real, {**real, "vae": str(folder)})]
    assert both[0] - both[1] == pytest.approx(2 * 8 * 32 * 32 - 2 * 32 * 8 * 8)


def test_rows_that_a_threshold_drops_reach_no_later_pass(real: dict[Part, str]) -> None:
    assumed = Assumed(rows=1000, keep=0.3)
    rows = rows_of(recipe(real, apart=True), assumed)
    assert rows == {"images": 1000, "features/clip": 1000, "features/latents": pytest.approx(300)}
    assert set(rows_of(recipe(real, apart=True, barrier=False), assumed).values()) == {1000.0}
    apart = dict(storage(recipe(real, apart=True), assumed))
    assert apart["features/latents"] == pytest.approx(
        0.3 * dict(storage(recipe(real, apart=True), Assumed(rows=1000)))["features/latents"]
    )


def test_batches_are_those_of_the_stages(real: dict[Part, str]) -> None:
    sizes = [[256, 256], [208, 304], [512, 512]]
    value = recipe(real, sizes=sizes, t5={"pack_tokens": 4096}, vae={"batch_size": 64})
    found = dict(batches(value, Assumed(tokens=15)))
    assert found["features/all: vae"] == (
        "64 pictures a batch of 208 × 304 … 256 × 256 (2 buckets), 16 pictures a batch of 512 × 512"
    )
    assert set(found) == {f"features/all: {kind}" for kind in ("clip_score", "t5", "vae")}
    # 1,024 × 15 tokens in packs of at most 4,096: as few as hold them, equally full
    assert "at most 4,096 tokens: 4 of 3,840" in found["features/all: t5"]


def test_buckets_of_a_base_count_like_listed_ones(real: dict[Part, str]) -> None:
    value = recipe(real)
    stages = [
        Buckets(base=512) if stage.kind == "buckets" else stage for stage in value.passes[0].stages
    ]
    first = value.passes[0].model_copy(update={"stages": stages})
    value = value.model_copy(update={"passes": [first, *value.passes[1:]]})
    assert bytes_a_row(value) == bytes_a_row(recipe(real, sizes=[[512, 512]]))
    told = dict(batches(value, Assumed()))["features/all: vae"]
    assert "512 × 512" in told
    assert "buckets)" in told


# --- hours ----------------------------------------------------------------------------------------
def test_hours_are_the_sum_of_times(real: dict[Part, str]) -> None:
    bench = bench_result(real, pipeline=[])
    each = 1 / 2800 + 1 / 4000 + 1 / 1600
    overhead = 1 / 700 / each
    found = hours(recipe(real), Assumed(rows=1_000_000), bench, devices=1)
    assert found.overhead == pytest.approx(overhead)
    assert found.device_hours == pytest.approx(1_000_000 / 700 / 3600)
    assert found.wall_hours == found.device_hours
    assert not found.measured_pipeline
    apart = hours(recipe(real, apart=True), Assumed(rows=1_000_000, keep=0.3), bench, devices=1)
    took = 1_000_000 / 2800 + 300_000 * (1 / 4000 + 1 / 1600)
    assert apart.device_hours == pytest.approx(took * overhead / 3600)
    assert apart.device_hours < 0.6 * found.device_hours


def test_the_pipeline_counts_with_as_many_workers_as_there_are(real: dict[Part, str]) -> None:
    bench = bench_result(real)
    one = hours(recipe(real), Assumed(rows=1_000_000), bench, devices=1)
    assert one.wall_hours == pytest.approx((1_000_000 / 665 + 36) / 3600)
    assert one.device_hours == one.wall_hours
    four = hours(recipe(real), Assumed(rows=1_000_000), bench, devices=4)
    assert four.wall_hours == pytest.approx((1_000_000 / (4 * 655) + 36) / 3600)
    assert four.device_hours == pytest.approx(4 * four.wall_hours)
    few = bench_result(real, pipeline=[pipeline(2, 1310.0)])
    assert hours(recipe(real), Assumed(), few, devices=1).overhead == pytest.approx(
        1 / 655 / (1 / 2800 + 1 / 4000 + 1 / 1600)
    )


def test_t5_goes_with_tokens_and_the_vae_with_pixels(real: dict[Part, str]) -> None:
    bench = bench_result(real)
    value = recipe(real, sizes=[[512, 512]])
    [step] = hours(value, Assumed(tokens=30), bench, devices=1).passes
    assert step.rates == {"clip_score": 2800.0, "t5": 2000.0, "vae": 400.0}


def test_a_bench_without_a_bare_loop_is_refused(real: dict[Part, str]) -> None:
    with pytest.raises(RecipeError, match="no bare loop"):
        hours(recipe(real), Assumed(), bench_result(real, bare=None), devices=1)


# --- which bench ----------------------------------------------------------------------------------
def test_the_nearest_and_newest_bench_of_the_device_is_taken(real: dict[Part, str]) -> None:
    for given in (
        {"px": 512}, {"px": 256, "device": "Other GPU"}, {"px": 256, "date": "2030-01-03T00:00:00+00:00"},
        {"px": 256, "date": "2030-01-04T00:00:00+00:00", "bare": None},
    ):  # fmt: skip
        save_bench(bench_result(real, **given))
    wide = recipe(real, sizes=[[208, 304], [256, 256]])
    found = nearest_bench(wide, "Made-up GPU")
    assert found is not None
    assert (found.px, found.date, found.device.name) == (
        256,
        "2030-01-03T00:00:00+00:00",
        "Made-up GPU",
    )
    assert same_size(found, wide)
    large = nearest_bench(recipe(real, sizes=[[640, 640]]), "Made-up GPU")
    assert large is not None
    assert large.px == 512
    assert not same_size(large, recipe(real, sizes=[[640, 640]]))
    assert nearest_bench(wide, "No such GPU") is None
    assert nearest_bench(wide, None, kind="cpu") is None


def test_a_bench_of_other_models_is_not_taken(real: dict[Part, str]) -> None:
    save_bench(bench_result(real))
    tiny: dict[Part, str] = dict.fromkeys(real, "builtin:tiny")
    assert nearest_bench(recipe(tiny), None) is None
    assert nearest_bench(recipe({**real, "vae": "builtin:tiny"}), None) is None


def test_defaults_and_tokenizers_make_no_other_model(real: dict[Part, str]) -> None:
    bench = bench_result(real)
    same = bench.models["clip"].sizes.replace(
        '"layers":12', '"layers":12,"heads":12,"hf_tokenizer_name":"here"'
    )
    assert same != bench.models["clip"].sizes
    assert unlike(bench, {"clip": same}) == []
    assert unlike(bench, {"clip": same.replace('"layers":24', '"layers":12')}) == ["clip"]
    timm = bench.models["clip"].sizes.replace('"layers":24', '"timm_model_name":"vit"')
    assert unlike(bench, {"clip": timm}) == ["clip"]


def test_a_file_that_is_no_bench_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"nothing\.json"):
        read_bench(tmp_path / "nothing.json")
    (tmp_path / "other.json").write_text('{"benchmark": "removal"}')
    with pytest.raises(RecipeError, match=r"other\.json is no result"):
        read_bench(tmp_path / "other.json")


# --- what plan prints -----------------------------------------------------------------------------
def test_without_a_bench_plan_says_how_to_get_one(real: dict[Part, str]) -> None:
    text = told(recipe(real), storage_price=0.02, price=3.0)
    assert "no bench yet: run `curate bench`" in text
    assert "GB" in text
    assert "USD a month at 0.02 USD a GB" in text
    assert "-hours," not in text
    assert "USD a GPU-hour" not in text


def test_plan_tells_hours_and_cost(real: dict[Part, str], tmp_path: Path) -> None:
    place = tmp_path / "bench.json"
    place.write_text(bench_result(real).model_dump_json())
    elsewhere = Cluster(address="ray://there:10001", gpu_workers=2)
    text = told(recipe(real), bench=place, price=3.0, cluster=elsewhere, rows=10_000_000)
    wall = (10_000_000 / 1310 + 36) / 3600
    assert f"{2 * wall:.3g} GPU-hours, {wall:.3g} hours on 2 GPUs" in text
    assert f"{2 * wall * 3:,.2f} USD at 3 USD a GPU-hour" in text
    assert "on Made-up GPU, 256 px, captions of 15 tokens" in text
    assert "other dimensions" not in text
    assert "the bench's of" not in text


def test_plan_says_what_its_hours_rest_on(real: dict[Part, str], tmp_path: Path) -> None:
    place = tmp_path / "bench.json"
    place.write_text(bench_result(real, pipeline=[]).model_dump_json())
    models = {**real, "vae": "builtin:tiny"}
    text = told(recipe(models, sizes=[[512, 512]]), bench=place, keep=0.3)
    assert "a vae model of other dimensions" in text
    assert "buckets of 262,144 pixels, the bench's of 65,536" in text
    assert "--keep saves nothing here" in text
    assert "not in the bench" in text
    assert "--keep saves nothing" not in told(recipe(real, apart=True), bench=place, keep=0.3)


def test_plan_takes_the_kept_bench_of_this_device(real: dict[Part, str]) -> None:
    from curate.bench.machine import device_facts

    here = device_facts("auto")
    save_bench(bench_result(real, device="Other GPU"))
    assert "no bench yet" in told(recipe(real))
    save_bench(bench_result(real, device=here.name, kind=here.kind))
    assert f"on {here.name}" in told(recipe(real))


def test_plan_refuses_what_cannot_be_scheduled(
    real: dict[Part, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_command, "gpus_here", lambda: 2)
    assert "2 with 1 CPU, 1 GPU each" in told(recipe(real), cluster=Cluster(gpu_workers=2))
    with pytest.raises(EngineError, match="features/all wants 3 workers"):
        told(recipe(real), cluster=Cluster(gpu_workers=3))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, 2.0), ({"gpu_workers": 3}, 3.0), ({"gpu_workers": 3, "gpus_per_worker": 0.5}, 1.5),
        ({"gpu_workers": 3, "gpus_per_worker": 0}, 1.0), ({"address": "ray://there:10001"}, 1.0),
        ({"address": "ray://there:10001", "gpu_workers": 16}, 16.0),
    ],
)  # fmt: skip
def test_gpus_are_those_of_the_cluster_file(
    real: dict[Part, str], monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], found: float
) -> None:
    monkeypatch.setattr(forecast_command, "gpus_here", lambda: 2)
    assert forecast_command.devices(Cluster(**given), recipe(real), "cuda") == found
    assert forecast_command.devices(Cluster(workers=5, **given), recipe(real), "cpu") == 5.0


@pytest.mark.parametrize("keep", [0.0, 1.5])
def test_a_keep_that_is_no_share_is_refused(real: dict[Part, str], keep: float) -> None:
    with pytest.raises(RecipeError, match="--keep"):
        told(recipe(real), keep=keep)


def test_a_recipe_without_encoders_has_no_hours(real: dict[Part, str]) -> None:
    value = recipe(real)
    only = value.model_copy(update={"passes": value.passes[:1]})
    text = told(only)
    assert "batches" not in text
    assert "bench" not in text


def test_the_command_line_passes_every_option_on() -> None:
    from typer.testing import CliRunner

    from curate.cli import app

    bench = Path(__file__).parent / "fixtures" / "bench_cpu.json"
    options = ["--rows", "5000", "--bench", str(bench), "--price", "0.5", "--storage-price", "0.02",
               "--tokens", "29", "--keep", "0.5"]  # fmt: skip
    done = CliRunner().invoke(app, ["plan", "demo", *options])
    assert done.exit_code == 0, done.output
    text = done.output.replace("\n", " ")
    assert "storage for 5,000 rows" in text
    assert "USD a month at 0.02" in text
    assert "captions of 29" in text
    assert "2,500 rows, t5" in text
    assert "at 0.5 USD a worker-hour" in text
