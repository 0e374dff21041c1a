"""`curate bench` where there is a GPU: small random models through its phases, made on the device.

AT1's way, which tests/test_gpu_at1.py runs on the GPU, is skipped: phases take ten seconds to begin.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from curate.bench.bare import Bare, Encoders
from curate.bench.models import Sizes
from curate.bench.pipeline import feature_stages
from curate.bench.result import BenchResult
from curate.bench.run import bench
from curate.bench.settings import Settings
from curate.models.device import pick

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ROWS = 1500
SMALL = Sizes(
    clip={
        "embed_dim": 128,
        "vision_cfg": {"image_size": 112, "layers": 2, "width": 256, "patch_size": 14},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 2,
        },
    },
    t5={
        "vocab_size": 8000, "d_model": 256, "d_ff": 640, "d_kv": 64, "num_heads": 4,
        "num_layers": 2, "feed_forward_proj": "gated-gelu",
    },
    vae={
        "block_out_channels": [64, 128], "layers_per_block": 1, "latent_channels": 4,
        "norm_num_groups": 32, "sample_size": 64, "scaling_factor": 0.13025,
    },
)  # fmt: skip


def settings(folder: Path, **changes: object) -> Settings:
    given = {"folder": folder, "px": 128, "rows": ROWS, "seconds": 2.0, "sizes": SMALL}
    return Settings.model_validate(given | {"pictures": 24, "skip": {"at1"}} | changes)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> BenchResult:
    *_, result = bench(settings(tmp_path_factory.mktemp("bench")))
    return result


def test_the_phases_run(found: BenchResult) -> None:
    assert found.phases == {"bare", "pipeline"}
    assert found.device.kind == "cuda" and found.device.memory_gib and found.device.driver
    assert all(facts.random for facts in found.models.values())
    assert found.pipeline[0].kept == found.pipeline[0].rows == ROWS
    assert found.pipeline[0].gpus == 1.0 and found.pipeline[0].gpu_busy


def test_every_fast_path_was_held_against_float32(found: BenchResult) -> None:
    used = {told.encoder.split()[0]: told for told in found.agreements if told.used}
    assert {"clip", "t5", "vae"} <= set(used)
    assert all(told.error is not None and told.error <= 0.02 for told in used.values())


def test_rates_are_below_the_ceiling(found: BenchResult) -> None:
    assert found.bare and found.roof
    for name in ("clip_images", "clip", "t5", "vae", "all"):
        rate = getattr(found.bare, name)
        assert 0 < rate.peak_share < 1 and rate.seconds >= 0.1
    assert found.bare.all.per_second < min(found.bare.t5.per_second, found.bare.vae.per_second)
    assert found.bare.all_decoded and found.bare.all_decoded.per_second > 0
    assert found.bare.peak_memory_gib


def test_the_bare_loop_gives_what_the_stages_store(tmp_path: Path) -> None:
    """The same rows, through the loop's own way of sending and fetching."""
    from curate.bench.data import make_data
    from curate.bench.models import write_models

    wanted = settings(tmp_path, rows=200)
    parts = write_models(tmp_path / "models", SMALL, ("clip", "t5", "vae"), device="cuda")
    refs = {part: str(path) for part, path, _ in parts}
    data = make_data(tmp_path, wanted.spec, print)
    recipe = data.with_features(feature_stages(refs, made=frozenset(("vae",))))
    encoders = Encoders.load(recipe.passes[1].stages, data.shard(0))
    bare = Bare(data, encoders, pick("auto"), peak_tflops=1.0)
    unit = bare.units[0]
    assert unit.pixels.is_pinned() and unit.pixels.shape[1:] == (128, 128, 3)
    held = bare._enqueue(bare._all, unit, bare._sent(unit))
    results = [pending.wait() for pending in held]
    assert all(result.is_pinned() and bool(torch.isfinite(result).all()) for result in results)
    again = [p.wait() for p in bare._enqueue(bare._all, unit, bare._sent(unit))]
    assert all(torch.equal(one, other) for one, other in zip(results, again, strict=True))
    assert sum(len(r) for r in results) == 3 * len(unit) + int(unit.tokens.sum())
