"""T5 encoders of every family equal transformers' own, and the ways to compute them fall back."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from t5_models import FAMILIES, PACKED, write

from curate.errors import ModelError
from curate.models import BUILTIN, t5_paths
from curate.models.agreement import Agreement
from curate.models.packed_t5 import fits
from curate.models.t5 import MAX_TOKENS, PROBES, T5
from curate.models.t5_paths import LengthBuckets, equal_lengths, read

CPU = torch.device("cpu")
CAPTIONS = [
    "a red circle above a small blue square", "", "navy", "a green circle on gray background",
    "a red circle above a large blue square", "red " * 300, "A RED circle",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("t5")
    return {family: write(root / family.replace(" ", "-"), family) for family in FAMILIES}


# --- values ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_what_transformers_gives_caption_by_caption(
    checkpoints: dict[str, Path], family: str
) -> None:
    path = checkpoints[family]
    t5, model = T5.load(str(path)), read(str(path), path)
    ids = t5.tokens(CAPTIONS)
    assert [len(i) for i in ids] == [9, 1, 2, 7, 9, MAX_TOKENS, 4]
    with torch.inference_mode():
        wanted = [model(input_ids=torch.tensor([row])).last_hidden_state[0].numpy() for row in ids]
    found = t5.encode(CAPTIONS, batch_size=2)
    states = t5.states(ids).numpy()
    assert states.shape == (sum(map(len, ids)), t5.dim) == (152, 48)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-4)
    np.testing.assert_allclose(states, np.concatenate(wanted), atol=1e-4)
    assert np.std(found[0] - found[4]) > 1e-3, "another caption has other states"


def test_states_come_in_the_given_order_whatever_the_plan(checkpoints: dict[str, Path]) -> None:
    t5 = T5.load(str(checkpoints["t5 v1.1"]))
    ids = t5.tokens(CAPTIONS)
    forth, back = t5.states(ids), t5.states(ids[::-1])
    ends = np.cumsum([len(row) for row in ids])
    turned = [forth[end - len(row) : end] for row, end in zip(ids, ends, strict=True)][::-1]
    torch.testing.assert_close(torch.cat(turned), back)
    torch.testing.assert_close(t5.states(ids, pack_tokens=120, batch_size=1), forth)
    assert t5.states([]).shape == (0, 48)
    assert t5.encode([]) == []
    for wrong in ([[]], [[1] * 121]):
        with pytest.raises(ValueError, match="1 to 120 tokens"):
            t5.states(wrong)


def test_batches_hold_equal_lengths_within_both_bounds() -> None:
    lengths = [3, 1, 3, 3, 5, 1, 3, 40]
    assert list(equal_lengths(lengths, 2)) == [[1, 5], [0, 2], [3, 6], [4], [7]]
    assert list(equal_lengths(lengths, 9, tokens=9)) == [[1, 5], [0, 2, 3], [6], [4], [7]]
    assert list(equal_lengths([], 2)) == []


def test_weights_of_another_precision_are_read_as_float32(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "half", "t5 v1.1")
    file = path / "model.safetensors"
    save_file({n: w.half() for n, w in load_file(file).items()}, file, metadata={"format": "pt"})
    config = json.loads((path / "config.json").read_text()) | {"dtype": "float16"}
    (path / "config.json").write_text(json.dumps(config))
    model = read(str(path), path)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    one, other = (T5.load(str(p)).encode(CAPTIONS)[0] for p in (path, checkpoints["t5 v1.1"]))
    np.testing.assert_allclose(one, other, atol=2e-2)


def test_a_decoder_beside_the_encoder_is_left_where_it_is(
    checkpoints: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "whole", "umt5")
    file = path / "model.safetensors"
    tensors = load_file(file)
    save_file(
        {**tensors, "decoder.final_layer_norm.weight": torch.ones(48)}, file, {"format": "pt"}
    )
    one, other = (T5.load(str(p)).encode(CAPTIONS) for p in (path, checkpoints["umt5"]))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert "UNEXPECTED" not in caplog.text


def test_missing_weights_and_other_kinds_are_refused(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "less", "umt5")
    tensors = load_file(path / "model.safetensors")
    del tensors["encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"]
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"block\.1.*relative_attention_bias"):
        T5.load(str(path))
    config = json.loads((path / "config.json").read_text()) | {"model_type": "bert"}
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"a 'bert' model, expected t5 \(or mt5, umt5, longt5\)"):
        T5.load(str(path))


def test_a_tokenizer_that_gives_no_token_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model", "t5 v1.1")
    words = json.loads((path / "tokenizer.json").read_text()) | {"post_processor": None}
    (path / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(ModelError, match="must add a closing </s>"):
        T5.load(str(path)).tokens(["red", ""])


def test_an_encoder_of_bytes_works_as_one_of_words(tmp_path: Path) -> None:
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    ByT5Tokenizer().save_pretrained(tmp_path)
    T5EncoderModel(
        T5Config(vocab_size=384, d_model=48, d_kv=16, d_ff=64, num_layers=1)
    ).save_pretrained(tmp_path)
    t5 = T5.load(str(tmp_path))
    assert t5.tokens(["Ring"]) == [[*(byte + 3 for byte in b"ring"), 1]]
    assert [len(states) for states in t5.encode(["ring", "", "ü " * 200])] == [5, 1, MAX_TOKENS]


def test_threads_share_one_encoder(checkpoints: dict[str, Path]) -> None:
    t5 = T5.load(str(checkpoints["t5 v1.1"]))
    alone = t5.encode(CAPTIONS)
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        found[number] = [t5.encode(CAPTIONS) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for states in (states for runs in found.values() for states in runs):
        assert all(np.array_equal(a, b) for a, b in zip(states, alone, strict=True))


# --- which way ------------------------------------------------------------------------------------
def ways(path: Path, ids: Sequence[Sequence[int]], *, tolerance: float = 0.02) -> tuple[Any, ...]:
    """What is chosen on a GPU, run on the CPU: bfloat16 and float32 are there too."""
    return t5_paths._on_gpu(str(path), path, ids, CPU, rows=len(ids), tolerance=tolerance)


def no_packing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(t5_paths, "_packed", refuse)


def told(agreements: Sequence[Agreement]) -> list[tuple[str, bool]]:
    return [(one.path, one.used) for one in agreements]


@pytest.mark.parametrize("family", PACKED)
def test_the_packed_encoder_knows_the_families(checkpoints: dict[str, Path], family: str) -> None:
    assert fits(read("model", checkpoints[family])) is None


def test_what_the_packed_encoder_does_not_know_is_named(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    assert "LongT5LayerLocalSelfAttention" in str(fits(read("m", checkpoints["longt5 local"])))
    wide = write(tmp_path / "wide", "t5 v1.1", d_kv=24)
    assert fits(read("m", wide)) == "heads are 24 wide"
    model = read("m", checkpoints["t5 v1.1"])
    model.encoder.block[1].layer[0].SelfAttention.q.bias = torch.nn.Parameter(torch.zeros(32))
    assert fits(model) == "the attention of block 1 is in T5LayerSelfAttention"
    model = read("m", checkpoints["t5 v1.1"])
    model.encoder.block[2].layer[1].DenseReluDense.wi_1 = None
    assert fits(model) == "the feed-forward of block 2 is T5DenseGatedActDense"
    model = read("m", checkpoints["mt5"])
    model.encoder.block[0].layer[0].SelfAttention.has_relative_attention_bias = False
    assert fits(model) == "the first block has no relative attention bias"


@pytest.mark.parametrize("family", FAMILIES)
def test_without_packing_length_buckets_in_bfloat16_are_taken(
    checkpoints: dict[str, Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_packing(monkeypatch, ModelError("there is no Triton"))
    path = checkpoints[family]
    ids = T5.load(str(path)).tokens(CAPTIONS)
    encoder, exact, agreements = ways(path, ids, tolerance=0.05)
    assert told(agreements) == [("packed bf16", False), ("length buckets bf16", True)]
    assert agreements[0].error is None and agreements[0].note == "there is no Triton"
    assert 1e-4 < agreements[1].error < 0.05 and agreements[1].rows == len(CAPTIONS)
    states = encoder.states(ids, pack_tokens=4096, batch_size=8)
    assert states.dtype == torch.bfloat16 and exact.dtype == torch.float32
    assert t5_paths.error_of(states, exact) == pytest.approx(agreements[1].error, rel=0.05)


def test_out_of_tolerance_float32_itself_does_the_work(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_packing(monkeypatch, RuntimeError("no kernel image is available\nfor this device"))
    path = checkpoints["t5 v1.1"]
    ids = T5.load(str(path)).tokens(CAPTIONS)
    encoder, exact, agreements = ways(path, ids, tolerance=1e-6)
    assert told(agreements) == [
        ("packed bf16", False), ("length buckets bf16", False), ("float32", True),
    ]  # fmt: skip
    assert agreements[0].note == "no kernel image is available"
    assert agreements[1].note == "out of tolerance"
    states = encoder.states(ids, pack_tokens=4096, batch_size=64)
    torch.testing.assert_close(states, exact, atol=0, rtol=0)


def test_a_gpu_without_room_for_float32_leaves_the_reference_to_the_cpu(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = checkpoints["t5 v1.1"], []
    states = LengthBuckets.states

    def tight(self: LengthBuckets, ids: Any, **options: Any) -> torch.Tensor:
        calls.append(len(ids))
        if len(calls) == 1:
            raise torch.OutOfMemoryError("planted")
        return states(self, ids, **options)

    monkeypatch.setattr(LengthBuckets, "states", tight)
    ids = T5.load(str(path)).tokens(CAPTIONS)
    model = read(str(path), path)
    exact = t5_paths.reference(model, ids, CPU)
    assert calls == [7, 7]
    torch.testing.assert_close(exact, states(LengthBuckets(model, CPU), ids))


def test_no_room_for_float32_at_all_says_what_to_do(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("planted")

    monkeypatch.setattr(t5_paths, "read", full)
    with pytest.raises(ModelError, match="no room for float32; use device: cpu"):
        t5_paths._in_float32("model", checkpoints["t5 v1.1"], CPU)


@pytest.mark.parametrize(
    "error", [CalledProcessError(1, "cc"), ImportError("libcuda.so.1"), "triton"], ids=str
)
def test_compilers_that_fail_pass_a_way_over(error: Any) -> None:
    if error == "triton":
        errors = pytest.importorskip("triton.errors")
        error = errors.TritonError("ptxas died")
    with pytest.raises(ModelError, match="a kernel does not compile here"), t5_paths._compiling():
        raise error


def test_old_gpus_and_missing_compilers_do_not_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    capability = (7, 5)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(t5_paths, "find_spec", lambda _: "there")
    assert t5_paths._too_old(CPU) == "compute capability 7.5, packing needs 8.0"
    capability = (9, 0)
    assert t5_paths._too_old(CPU) is None
    monkeypatch.setattr(t5_paths, "find_spec", lambda _: None)
    assert t5_paths._too_old(CPU) == "there is no Triton"


def test_captions_that_break_the_model_in_float32_too_do_not_count() -> None:
    exact = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    exact[7] = torch.nan
    fast = exact + 0.01 * torch.randn(40, 8, generator=torch.Generator().manual_seed(1))
    assert 0.005 < t5_paths.error_of(fast, exact) < 0.02
    fast[3, 2] = torch.inf
    assert t5_paths.error_of(fast, exact) == float("inf")


# --- what is told ---------------------------------------------------------------------------------
def test_on_a_cpu_float32_is_told_as_the_way(checkpoints: dict[str, Path]) -> None:
    [one] = T5.load(
        str(checkpoints["mt5"]), sample=["a red circle", " ", "a red circle"]
    ).agreements
    assert (one.encoder, one.path, one.device, one.rows, one.error, one.used) == (
        "t5", "float32", "cpu", 1, 0.0, True,
    )  # fmt: skip
    [one] = T5.load(str(checkpoints["mt5"])).agreements
    assert one.rows == 0, "no rows of a run were given"
    assert len(PROBES) > 3


def test_the_8_bit_form_is_held_against_float32() -> None:
    loaded = T5.load("builtin:tiny", sample=CAPTIONS, store="int8")
    one = loaded.agreements[-1]
    assert (one.encoder, one.path, one.used) == ("t5 int8", "int8-blocks64", True)
    assert one.rows == len([text for text in CAPTIONS if text])
    assert one.error is not None and 0.002 < one.error < 0.014
    with pytest.raises(ModelError, match=r"out of tolerance.*store: bfloat16"):
        T5.load("builtin:tiny", sample=CAPTIONS, store="int8", tolerance=0.001)


def test_tokenizers_that_live_with_the_weights_are_those_of_the_pipeline() -> None:
    t5 = T5.load("builtin:tiny")
    assert t5.tokens(["  A RED Square "]) == t5.tokens(["a red square"])
    assert (BUILTIN / "tiny" / "t5" / "tokenizer.json").is_file()
