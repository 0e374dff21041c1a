"""`curate bench`: what it counts, draws, writes and keeps; the whole command on a CPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate.bench import captions as words
from curate.bench.bare import steady
from curate.bench.data import BenchSet, DataSpec, make_data
from curate.bench.flops import clip_image_flops, clip_text_flops, t5_flops, vae_flops
from curate.bench.models import REAL, Sizes, is_complete, write_models
from curate.bench.photographs import ASPECTS, photograph, shape_of
from curate.bench.pipeline import by_commit_times
from curate.bench.result import (
    BareRates,
    BenchData,
    BenchResult,
    Device,
    ModelFacts,
    PipelineRun,
    Rate,
    cache_path,
    known_benches,
    last_bench,
    save_bench,
    sizes_of,
)
from curate.bench.settings import expected_rows, settings_for
from curate.errors import ModelError
from curate.models import Part, resolve
from curate.models.launch import Pending

SMALL = Sizes(
    clip={
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2,
        },
    },
    t5={
        "vocab_size": 1000, "d_model": 64, "d_ff": 96, "d_kv": 16, "num_heads": 3, "num_layers": 2,
        "feed_forward_proj": "gated-gelu",
    },
    vae={
        "block_out_channels": [32, 64, 64], "layers_per_block": 2, "latent_channels": 4,
        "norm_num_groups": 16, "sample_size": 64, "scaling_factor": 0.13025,
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[Part, Path]:
    """Directories of small random models."""
    folder = tmp_path_factory.mktemp("models")
    written = write_models(folder, SMALL, ("clip", "t5", "vae"), device="cpu")
    return {part: path for part, path, _ in written}


# --- arithmetic -----------------------------------------------------------------------------------
def counted(work: Callable[[], object]) -> int:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        work()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("feed", ["gated-gelu", "relu"])
def test_t5_arithmetic_is_what_torch_counts(feed: str, tmp_path: Path) -> None:
    import torch
    from transformers import T5Config, T5EncoderModel

    config = T5Config(**(SMALL.t5 | {"feed_forward_proj": feed}))
    T5EncoderModel(config).save_pretrained(tmp_path)
    model = T5EncoderModel.from_pretrained(tmp_path)
    ids = torch.ones(3, 17, dtype=torch.long)
    assert counted(lambda: model(input_ids=ids)) == t5_flops(tmp_path, [17, 17, 17])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"layers_per_block": 1, "block_out_channels": [16, 32]},
        {"mid_block_add_attention": False},
    ],
    ids=["three blocks", "two blocks", "no attention"],
)
def test_vae_arithmetic_is_what_torch_counts(more: dict[str, Any], tmp_path: Path) -> None:
    import torch
    from diffusers import AutoencoderKL

    sizes = SMALL.vae | more
    blocks = len(sizes["block_out_channels"])
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks, **sizes,
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    pixels = torch.zeros(1, 3, 64, 96)
    assert counted(lambda: model.encode(pixels)) == vae_flops(tmp_path, 96, 64)


def test_clip_arithmetic_is_what_torch_counts(small: dict[Part, Path]) -> None:
    import open_clip
    import torch

    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{small['clip']}")
    pixels, ids = torch.zeros(2, 3, 64, 64), torch.ones(3, 77, dtype=torch.long)
    image, text = clip_image_flops(small["clip"]), clip_text_flops(small["clip"], [77] * 3)
    assert counted(lambda: model.encode_image(pixels)) == 2 * (image or 0)
    assert counted(lambda: model.encode_text(ids)) == text


def test_the_real_sizes_have_the_arithmetic_that_others_count(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": REAL.clip}))
    (tmp_path / "config.json").write_text(json.dumps(REAL.vae | {"_class_name": "AutoencoderKL"}))
    assert vae_flops(tmp_path, 256, 256) == pytest.approx(272.72e9, rel=1e-4)
    assert vae_flops(tmp_path, 512, 512) == pytest.approx(1116.66e9, rel=1e-4)
    assert clip_image_flops(tmp_path) == pytest.approx(162.03e9, rel=1e-4)
    assert clip_text_flops(tmp_path, [77]) == pytest.approx(13.30e9, rel=1e-4)


def test_other_towers_and_autoencoders_are_not_guessed(tmp_path: Path) -> None:
    clip = {
        "embed_dim": 8,
        "vision_cfg": {"timm_model_name": "x"},
        "text_cfg": {"hf_model_name": "y"},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": clip}))
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderDC"}))
    assert clip_image_flops(tmp_path) is clip_text_flops(tmp_path, [5]) is None
    assert vae_flops(tmp_path, 64, 64) is None


# --- captions and photographs ---------------------------------------------------------------------
def test_captions_have_the_lengths_of_alt_texts() -> None:
    counts = words.token_counts("alt", 50_000, 1)
    assert counts.mean() == pytest.approx(15.0, abs=0.3)
    assert (counts.min(), counts.max()) == (3, 120)
    assert words.token_counts("llava", 50_000, 1).mean() == pytest.approx(90, abs=2)


def test_a_drawn_length_is_what_the_encoders_count(small: dict[Part, Path]) -> None:
    from curate.models.clip import Clip
    from curate.models.t5 import T5

    counts = words.token_counts("alt", 300, 2)
    texts = words.captions(words.random_model_words(1000), counts, 3)
    assert [len(ids) for ids in T5.load(str(small["t5"])).tokens(texts)] == counts.tolist()
    clip = (np.asarray(Clip.load(str(small["clip"])).tokens(texts)) != 0).sum(1)
    assert clip.tolist() == np.minimum(counts + 1, 77).tolist()
    assert len(set(texts)) == 300


def test_a_tokenizer_of_the_users_own_gives_whole_words() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve("builtin:tiny", "t5"))
    found = words.own_words(tokenizer, "builtin:tiny")
    texts = words.captions(found, np.full(20, 9), 1)
    assert {len(ids) for ids in tokenizer(texts)["input_ids"]} == {9}


def test_captions_that_cannot_all_differ_are_refused() -> None:
    with pytest.raises(ModelError, match="fewer rows"):
        words.captions(["one", "two"], np.full(9, 4), 1)


def test_photographs_are_large_as_asked_and_compress_as_photographs_do() -> None:
    from PIL import Image

    from curate.images.encode import encode

    for number, (across, down) in enumerate(ASPECTS):
        width, height = shape_of(number, pixels=1 << 20, least_side=256)
        assert width * height == pytest.approx(1 << 20, rel=0.02)
        assert width / height == pytest.approx(across / down, rel=0.02)
        assert min(shape_of(number, pixels=1 << 20, least_side=1024)) >= 1024
    picture = photograph(512, 384, 7)
    assert picture.shape == (384, 512, 3)
    assert np.array_equal(picture, photograph(512, 384, 7))
    assert not np.array_equal(picture, photograph(512, 384, 8))
    bits = 8 * len(encode(Image.fromarray(picture), quality=90, subsampling="4:2:0"))
    assert 1.0 < bits / picture[..., 0].size < 3.5


# --- models ---------------------------------------------------------------------------------------
def test_models_are_written_once_and_only_whole_ones_count(tmp_path: Path) -> None:
    first = {
        p: path for p, path, made in write_models(tmp_path, SMALL, ["vae"], device="cpu") if made
    }
    again = [made for *_, made in write_models(tmp_path, SMALL, ["vae"], device="cpu")]
    assert list(first) == ["vae"] and again == [False]
    (first["vae"] / "bench.json").unlink()
    assert not is_complete(first["vae"], "vae")
    assert [made for *_, made in write_models(tmp_path, SMALL, ["vae"], device="cpu")] == [True]


def test_random_t5_weights_are_as_transformers_initialises_them(small: dict[Part, Path]) -> None:
    import torch
    from safetensors import safe_open

    with safe_open(small["t5"] / "model.safetensors", "pt") as weights:
        query = weights.get_tensor("encoder.block.0.layer.0.SelfAttention.q.weight")
        wide = weights.get_tensor("encoder.block.1.layer.1.DenseReluDense.wi_0.weight")
    assert query.dtype == torch.bfloat16
    assert float(query.float().std()) == pytest.approx((64 * 16) ** -0.5, rel=0.1)
    assert float(wide.float().std()) == pytest.approx(64**-0.5, rel=0.1)


# --- the data set ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> BenchSet:
    spec = DataSpec(px=32, rows=60, pictures=5, t5="builtin:tiny", processes=2)
    return make_data(tmp_path_factory.mktemp("bench"), spec, lambda _: None)


def test_the_data_set_is_what_a_run_commits(data: BenchSet, tmp_path: Path) -> None:
    from curate.engine import run_inline
    from curate.store.dataset import Dataset

    def content(root: Path) -> list[str]:
        told = json.loads((root / "MANIFEST.json").read_text())
        layer = next(layer for layer in told["layers"] if layer["name"] == "images")
        return [
            f["content_digest"] for s in layer["shards"] for f in s["files"] if f["role"] == "data"
        ]

    data.copy_to(tmp_path / "copy")
    assert run_inline(data.recipe, tmp_path / "copy").computed == 0
    run_inline(data.recipe, tmp_path / "anew")
    assert content(tmp_path / "copy") == content(tmp_path / "anew")
    counts = Dataset.open(tmp_path / "copy").manifest.counts
    assert (counts.kept, counts.candidates) == (60, 60)
    assert data.facts.shards == len(content(tmp_path / "anew")) > 1


def test_the_data_set_is_found_again(data: BenchSet) -> None:
    said: list[str] = []
    before = (data.root / "images" / "commits").stat().st_mtime_ns
    again = make_data(data.root.parents[1], data.spec, said.append)
    assert again.facts == data.facts and not said
    assert (data.root / "images" / "commits").stat().st_mtime_ns == before


def test_pictures_repeat_and_captions_do_not(data: BenchSet) -> None:
    rows = data.rows()
    assert len(set(rows["caption"].to_pylist())) == 60
    assert len(set(rows["file"].to_pylist())) == len(data.bodies()) == 5
    assert data.facts.caption_tokens == pytest.approx(np.mean(rows["tokens"].to_pylist()))


@pytest.mark.parametrize(
    ("px", "rows"), [(256, 5000), (256, 62_192), (256, 124_384), (512, 24_496), (1024, 7_148)]
)
def test_shards_come_out_about_equal(px: int, rows: int) -> None:
    bound, wanted = DataSpec(px=px, rows=rows).shard_rows, 1024 * 256 / px
    parts = 2 ** round(np.log2(rows / (bound - 4 * np.sqrt(bound))))
    assert 0.7 * wanted < rows / parts < bound < 1.7 * wanted


# --- results --------------------------------------------------------------------------------------
def result(
    *, device: str = "A", px: int = 256, digest: str = "d", bare: float | None = 700.0,
    runs: tuple[float, ...] = (), at1: float | None = None,
) -> BenchResult:  # fmt: skip
    rate = Rate(per_second=bare or 1.0, seconds=60, samples=1)
    names = ("clip_images", "clip_texts", "clip", "t5", "vae", "all")
    return BenchResult(
        date="2026-11-27T00:00:00+00:00", commit="c", versions={}, px=px,
        device=Device(kind="cuda", name=device, count=1, cores=1, host_memory_gib=1),
        models={"t5": ModelFacts(ref="x", digest=digest, sizes="{}")},
        data=BenchData(rows=1, shards=1, pictures=1, picture_pixels=1, picture_bytes=1, jpeg="",
                       captions="alt", caption_tokens=15),
        bare=BareRates(**dict.fromkeys(names, rate), warmup_seconds=1) if bare else None,
        at1={"both_per_second": at1} if at1 else None,
        pipeline=tuple(
            PipelineRun(workers=n, gpus=n, rows=1, per_second=speed, seconds=60, by_commit_times=speed,
                        startup_seconds=1, first_commit_seconds=1, total_seconds=1, shards=1, kept=1)
            for n, speed in enumerate(runs, 1)
        ),
    )  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_path()


def test_ratios_are_of_one_worker() -> None:
    found = result(bare=700.0, runs=(665.0, 1290.0), at1=16.0)
    assert found.pipeline_to_bare == pytest.approx(0.95)
    assert found.pipeline_to_at1 == pytest.approx(41.56, abs=0.01)
    assert found.scaling == {"2": pytest.approx(1.94, abs=0.01)}
    told = json.loads(found.model_dump_json())
    assert told["pipeline_to_bare"] == pytest.approx(0.95)
    assert BenchResult.model_validate(told) == found
    assert result().pipeline_to_bare is result().pipeline_to_at1 is None


def test_the_last_bench_is_found_by_what_it_measured(cache: Path) -> None:
    assert last_bench() is None
    for one in (result(), result(device="B"), result(px=512, digest="e")):
        save_bench(one)
    assert (found := last_bench()) and found.px == 512
    assert (found := last_bench("A", 256)) and found.device.name == "A"
    assert last_bench("B", 512) is None
    assert (found := last_bench(models={"t5": "e"})) and found.px == 512
    assert last_bench(models={"t5": "{}"}) and not last_bench(models={"t5": "f"})
    assert last_bench(models={"vae": "e"}) is None
    assert last_bench(having="pipeline") is None


def test_a_newer_bench_takes_the_place_of_an_older_one_unless_it_holds_less(cache: Path) -> None:
    save_bench(result(bare=600.0))
    save_bench(result(bare=700.0, runs=(600.0,)))
    assert [one.bare.all.per_second for one in known_benches() if one.bare] == [700.0]
    save_bench(result(bare=710.0))
    assert len(known_benches()) == 2
    assert (found := last_bench(having="pipeline")) and found.bare
    assert found.bare.all.per_second == 700.0


def test_a_damaged_cache_is_passed_over(cache: Path) -> None:
    save_bench(result())
    told = json.loads(cache.read_text())
    cache.write_text(json.dumps([{"odd": 1}, told[0] | {"format": "curate-bench/0"}, *told]))
    assert len(known_benches()) == 1
    cache.write_text("{")
    assert known_benches() == []
    save_bench(result())
    assert len(known_benches()) == 1


def test_models_of_equal_dimensions_have_equal_sizes(small: dict[Part, Path]) -> None:
    assert sizes_of(small["t5"], "t5") == json.dumps(
        {n: SMALL.t5[n] for n in ("d_ff", "d_kv", "d_model", "num_heads", "num_layers")},
        separators=(",", ":"),
    )  # fmt: skip
    assert sizes_of(small["vae"], "vae") != sizes_of(resolve("builtin:tiny", "vae"), "vae")


# --- rates ----------------------------------------------------------------------------------------
def test_the_rate_by_commit_times_leaves_begin_and_end_out() -> None:
    slow = [(float(t), 100) for t in (0, 9, 10, 20)]
    steady_part = [(20.0 + t, 100) for t in range(1, 30)]
    drained = [(60.0, 100)]
    rate, seconds = by_commit_times([*slow, *steady_part, *drained], 1) or (0, 0)
    assert rate == pytest.approx(100 * (2 + 29) / (49 - 9)) and seconds == pytest.approx(40)
    assert by_commit_times([(0.0, 5), (2.0, 6)], 1) == (3.0, 2.0)
    assert by_commit_times([(0.0, 5)], 1) is None


def test_a_steady_loop_waits_for_all_that_it_began() -> None:
    import torch

    waited: list[int] = []

    class Result(Pending):
        def wait(self) -> torch.Tensor:
            waited.append(1)
            return self.host

    begun: list[int] = []

    def step(number: int) -> list[Pending]:
        begun.append(number)
        return [Result(torch.zeros(1))]

    units, seconds = steady(step, 0.01)
    assert units == len(begun) - 2 and len(waited) == len(begun) and seconds >= 0.01


def test_rows_follow_from_size_time_and_gpus() -> None:
    assert expected_rows(256, 60, 1) == 900 * 60 + 8 * 1024
    assert expected_rows(256, 60, 2) == 2 * expected_rows(256, 60, 1)
    assert expected_rows(256, 60, 1, "llava") < 0.6 * expected_rows(256, 60, 1)
    assert (
        expected_rows(1024, 60, 1) < expected_rows(768, 60, 1) < expected_rows(512, 60, 1) < 25_000
    )
    assert settings_for(gpu=True, gpus=2).workers == (1, 2)
    assert settings_for(gpu=False).models == dict.fromkeys(("clip", "t5", "vae"), "builtin:tiny")
    assert settings_for(gpu=True).models == {}
