"""AT1's way re-enacted and the measured ceilings, on a CPU with the built-in models."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import file, scene

from curate.bench import at1, roof
from curate.errors import EngineError, ModelError
from curate.models.device import pick
from curate.models.t5 import T5

TINY = {"clip": "builtin:tiny", "t5": "builtin:tiny", "vae": "builtin:tiny"}
PICTURES = [file(scene(n, (96, 80))) for n in range(3)]
CAPTIONS = ["a red circle", "two blue squares on a green ground", "a star"]


@pytest.fixture(scope="module")
def rates() -> at1.At1Rates:
    return at1.measure(TINY, PICTURES, CAPTIONS, 32, 0.2, "cpu")


def test_rates_are_those_of_stages_run_one_after_the_other(rates: at1.At1Rates) -> None:
    each = (rates.t5_per_second, rates.vae_per_second, rates.clip_per_second)
    assert min(each) > 0
    assert rates.both_per_second == pytest.approx(1 / (1 / each[0] + 1 / each[1]))
    assert rates.all_per_second == pytest.approx(1 / sum(1 / rate for rate in each))
    assert rates.both_per_second < min(each[:2])
    assert rates.all_per_second < rates.both_per_second


def test_bytes_are_of_padded_captions_and_float32_posteriors(rates: at1.At1Rates) -> None:
    moments = 2 * 4 * (32 // 4) ** 2 * 4
    assert moments <= rates.bytes_per_picture <= moments + 256
    tokens = [len(ids) for ids in T5.load("builtin:tiny").tokens(CAPTIONS)]
    ragged = 128 * 2 * float(np.mean(tokens))
    assert ragged < rates.bytes_per_caption < 120 * 128 * 4


def test_rates_travel_as_json_and_as_numbers(rates: at1.At1Rates) -> None:
    assert at1.At1Rates.model_validate_json(rates.model_dump_json()) == rates
    figures = rates.figures()
    assert figures["both_per_second"] == rates.both_per_second
    assert all(isinstance(value, float) for value in figures.values())


def test_t5_goes_one_caption_at_a_time_padded_through_one_lock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shapes: set[tuple[Any, ...]] = set()
    inside, most, threads = 0, 0, set()
    real = at1._t5_encoder

    def watched(*given: Any) -> Any:
        encode = real(*given)

        def one(number: int) -> Any:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            threads.add(threading.get_ident())
            states, mask = encode(number)
            shapes.add((tuple(states.shape), str(states.dtype), tuple(mask.shape)))
            inside -= 1
            return states, mask

        return one

    monkeypatch.setattr(at1, "_t5_encoder", watched)
    path = at1.resolve("builtin:tiny", "t5")
    at1._t5_rate(path, CAPTIONS, 0.2, pick("cpu"), tmp_path)
    assert shapes == {((1, 120, 128), "torch.bfloat16", (1, 120))}
    assert most == 1
    assert len(threads) > 2
    assert not list(tmp_path.iterdir())


def test_an_autoencoder_without_a_posterior_is_measured_too(tmp_path: Path) -> None:
    import torch
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1),
    ).save_pretrained(tmp_path)  # fmt: skip
    encode = at1._vae_encoder(tmp_path, pick("cpu"))
    stored = encode(torch.zeros(3, 16, 16))
    assert stored.shape == (4, 8, 8)
    assert stored.dtype == np.float32


@pytest.mark.parametrize("missing", ["clip", "pictures", "captions"])
def test_what_is_missing_is_named(missing: str) -> None:
    models = {part: ref for part, ref in TINY.items() if part != missing}
    pictures = [] if missing == "pictures" else PICTURES
    captions = [] if missing == "captions" else CAPTIONS
    with pytest.raises(EngineError, match="0 " if missing != "clip" else r"\['t5', 'vae'\]"):
        at1.measure(models, pictures, captions, 32, 0.1, "cpu")


def test_weights_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        at1.measure(TINY | {"vae": str(tmp_path)}, PICTURES, CAPTIONS, 32, 0.1, "cpu")


def test_the_roof_of_a_cpu() -> None:
    found = roof.measure("cpu")
    assert (found.device, found.dtype) == ("cpu", "float32")
    assert found.to_device_gbps is None
    assert found.conv_tflops == max(found.convs.values())
    figures = found.figures()
    assert min(figures.values()) > 0
    assert set(figures) == {
        "matmul_tflops", "conv_tflops", "copy_tbps", "sha256_gbps", "parquet_gbps",
    }  # fmt: skip
    assert 1e-4 < found.matmul_tflops < 100
    assert 0.01 < found.sha256_gbps < 100


def test_a_median_is_of_one_call() -> None:
    import time

    took = roof.median_seconds(lambda: time.sleep(0.01), pick("cpu"), 0.1)
    assert 0.0099 < took < 0.05
