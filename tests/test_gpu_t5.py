"""T5 on a GPU: packed states agree with float32, nothing waits in a turn, memory runs out gently."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from t5_models import FAMILIES, PACKED, write

from curate import columns as c
from curate.models import t5_paths
from curate.models.agreement import relative_error
from curate.models.blocks8 import dequantise, quantise, restored
from curate.models.launch import lane
from curate.models.t5 import T5
from curate.stages.t5 import T5Stage
from curate.store.numbers import INT8, decoded

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
WORDS = [
    "a",
    "red",
    "green",
    "blue",
    "circle",
    "square",
    "on",
    "navy",
    "gray",
    "background",
    "small",
    "large",
    "above",
    "below",
]
SIZE = {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 6, "num_heads": 8}


def captions(count: int, seed: int = 0) -> list[str]:
    """Captions of 1 to 130 words, most of them short."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(1 + rng.geometric(0.08, count), 130)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("t5") / "v11", "t5 v1.1", **SIZE)


@pytest.fixture(scope="module")
def gpu(model: Path) -> T5:
    return T5.load(str(model), device="cuda", sample=captions(64))


@pytest.fixture(scope="module")
def cpu(model: Path) -> T5:
    return T5.load(str(model))


@pytest.fixture
def strict() -> Iterator[None]:
    """A wait for the device is an error."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def table(texts: list[str | None]) -> pa.Table:
    rows = [{"key": str(n), "captions": [{"text": text}]} for n, text in enumerate(texts)]
    return pa.Table.from_pylist(rows, schema=pa.schema([c.KEY, c.CAPTIONS]))


def apart(one: pa.Table, other: pa.Table, dtype: str, dim: int) -> float:
    """Relative error over all embeddings of two tables."""
    both = []
    for done in (one, other):
        stored = [blob for row in done["t5_embeddings"].to_pylist() if row for blob in row]
        both.append(torch.from_numpy(decoded(b"".join(stored), dtype, dim)))
    return relative_error(*both)


# --- values ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_agrees_with_the_cpu(family: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model", family)
    texts = captions(96)
    gpu, cpu = T5.load(str(path), device="cuda", sample=texts[:64]), T5.load(str(path))
    used = next(one for one in gpu.agreements if one.used)
    assert (used.path == "packed bf16") == (family in PACKED), used.sentence()
    assert used.error is not None and used.error <= 0.02 and used.rows == 64
    one, other = (torch.from_numpy(np.concatenate(t5.encode(texts))) for t5 in (gpu, cpu))
    assert relative_error(one, other) <= 0.02


def test_states_are_bfloat16_on_the_device_in_the_given_order(gpu: T5, cpu: T5) -> None:
    ids = gpu.tokens(captions(700, 3))
    with lane(gpu.device).turn():
        whole = lane(gpu.device).fetch(gpu.states(ids, pack_tokens=2048))
    exact = cpu.states(ids)
    found = whole.wait()
    assert found.dtype == torch.bfloat16 and found.shape == exact.shape and found.is_pinned()
    assert relative_error(found, exact) <= 0.02
    with lane(gpu.device).turn():
        again = lane(gpu.device).fetch(gpu.states(ids, pack_tokens=2048))
    assert torch.equal(found, again.wait()), "the same plan gives the same bits"
    assert gpu.states([]).device.type == "cuda"


def test_packs_of_every_size_are_right(gpu: T5, cpu: T5) -> None:
    texts = captions(80, 5)
    exact = cpu.encode(texts)
    for count in (1, 2, 3, 7, 16, 33, 64, 80):
        for one, other in zip(gpu.encode(texts[:count]), exact, strict=False):
            assert np.linalg.norm(one - other) <= 0.03 * np.linalg.norm(other)


def test_nothing_waits_inside_a_turn(gpu: T5, strict: None) -> None:
    ids, here = gpu.tokens(captions(300, 7)), lane(gpu.device)
    with here.turn():
        pending = here.fetch(quantise(gpu.states(ids, pack_tokens=1024)))
    assert pending.wait().shape == (sum(map(len, ids)), 512 + 16)


def test_a_stage_waits_only_for_its_results(gpu: T5, strict: None) -> None:
    done = T5Stage(pack_tokens=1024).encode(table([*captions(300, 9), None]), gpu)
    assert done["reason"].to_pylist() == [None] * 300 + ["caption"]


def test_kernels_were_compiled_at_the_start(gpu: T5) -> None:
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    for tokens in (5, 16, 17, 30, 64, 99, 120):
        gpu.states([[1] * tokens, [2] * min(120, tokens + 3)])
    torch.cuda.synchronize()
    assert counters["stats"]["unique_graphs"] == before


# --- fall-backs -----------------------------------------------------------------------------------
def test_without_triton_length_buckets_do_the_work(
    model: Path, cpu: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(t5_paths, "find_spec", lambda _: None)
    t5 = T5.load(str(model), device="cuda", sample=captions(64))
    assert [(one.path, one.used) for one in t5.agreements] == [
        ("packed bf16", False), ("length buckets bf16", True),
    ]  # fmt: skip
    texts = captions(96, 4)
    one, other = (torch.from_numpy(np.concatenate(x.encode(texts))) for x in (t5, cpu))
    assert relative_error(one, other) <= 0.02


def test_out_of_tolerance_float32_does_the_work(model: Path, cpu: T5) -> None:
    t5 = T5.load(str(model), device="cuda", sample=captions(64), tolerance=1e-5)
    assert [(one.path, one.used) for one in t5.agreements] == [
        ("packed bf16", False), ("length buckets bf16", False), ("float32", True),
    ]  # fmt: skip
    assert all(one.note == "out of tolerance" for one in t5.agreements[:2])
    texts = captions(64, 6)
    one, other = (torch.from_numpy(np.concatenate(x.encode(texts))) for x in (t5, cpu))
    assert relative_error(one, other) <= 1e-4
    done = T5Stage().encode(table([*texts]), t5)
    assert apart(done, T5Stage().encode(table([*texts]), cpu), "bfloat16", 512) <= 0.004


def test_a_gpu_without_room_for_float32_measures_on_the_cpu(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = t5_paths.LengthBuckets.states

    def tight(self: Any, ids: Any, **options: Any) -> torch.Tensor:
        if self._device.type == "cuda":
            raise torch.OutOfMemoryError("planted")
        return states(self, ids, **options)

    monkeypatch.setattr(t5_paths.LengthBuckets, "states", tight)
    t5 = T5.load(str(model), device="cuda", sample=captions(32))
    assert [(one.path, one.used) for one in t5.agreements] == [("packed bf16", True)]


def test_joined_matrices_are_not_held_twice(model: Path) -> None:
    T5.load(str(model), device="cuda", sample=captions(8))  # what is held once for all
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    t5 = T5.load(str(model), device="cuda", sample=captions(8))
    held = torch.cuda.memory_allocated() - before
    weights = sum(p.numel() for p in t5_paths.read(str(model), model).parameters())
    assert held <= 1.3 * 2 * weights + (4 << 20)
    assert t5.device.type == "cuda"


# --- memory ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("store", ["bfloat16", "int8"])
def test_memory_that_runs_out_halves_packs_and_moves_what_is_done_to_the_host(
    gpu: T5, monkeypatch: pytest.MonkeyPatch, store: Any
) -> None:
    rows = table([*captions(400, 11)])
    whole = T5Stage(store=store).encode(rows, gpu)
    states, calls = T5.states, []

    def tight(self: T5, ids: Any, **options: Any) -> torch.Tensor:
        calls.append(sum(map(len, ids)))
        if len(calls) > 1 and calls[-1] > 900:  # the second pack: one is on the device already
            raise torch.OutOfMemoryError("planted")
        return states(self, ids, **options)

    monkeypatch.setattr(T5, "states", tight)
    done = T5Stage(store=store, pack_tokens=2048).encode(rows, gpu)
    [batch] = set(done["t5_batch"].to_pylist())
    assert 400 < batch < 1300 and done["reason"].null_count == 400
    assert apart(done, whole, INT8 if store == "int8" else "bfloat16", 512) <= 0.02


def test_real_want_of_memory_is_survived(gpu: T5) -> None:
    rows = table([*captions(1500, 13)])
    whole = T5Stage().encode(rows, gpu)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(gpu.device).total_memory
    share = (torch.cuda.memory_reserved() + (40 << 20)) / total
    torch.cuda.set_per_process_memory_fraction(share, gpu.device)
    try:
        done = T5Stage().encode(rows, gpu)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu.device)
    assert done["t5_batch"][0].as_py() is not None and done["reason"].null_count == 1500
    assert apart(done, whole, "bfloat16", 512) <= 0.02


# --- the stage ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("store", "dtype"), [("bfloat16", "bfloat16"), ("int8", INT8)])
def test_features_of_gpu_and_cpu_agree(gpu: T5, cpu: T5, store: Any, dtype: str) -> None:
    rows = table([*captions(256, 15), *captions(30, 15), None, " "])
    stage = T5Stage(store=store)
    one, other = (stage.encode(rows, model) for model in (gpu, cpu))
    one.validate(full=True)
    assert one["t5_tokens"].equals(other["t5_tokens"]) and one["reason"].equals(other["reason"])
    assert apart(one, other, dtype, 512) <= 0.02
    assert stage.encode(rows, gpu).equals(one), "the same bits each time"


def test_values_come_in_pinned_memory_without_another_copy(
    gpu: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.models.caption_shelf import Shelf

    fetched: list[torch.Tensor] = []
    fetch = Shelf.fetch

    def seen(self: Shelf) -> Any:
        pending = fetch(self)
        fetched.append(pending[0].host)
        return pending

    monkeypatch.setattr(Shelf, "fetch", seen)
    done = T5Stage().encode(table([*captions(50)]), gpu)
    [chunk] = done["t5_embeddings"].chunks
    assert fetched[0].is_pinned()
    assert chunk.values.buffers()[2].address == fetched[0].data_ptr()


def test_a_number_that_is_not_finite_is_found_on_the_device(
    gpu: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = T5.states

    def broken(self: T5, ids: Any, **options: Any) -> torch.Tensor:
        found = states(self, ids, **options)
        found[len(ids[0]) - 1, 300] = torch.inf  # of the longest caption, which a pack begins with
        return found

    monkeypatch.setattr(T5, "states", broken)
    for store in ("bfloat16", "int8"):
        done = T5Stage(store=store).encode(table(["red", "a large blue circle", "navy"]), gpu)
        assert done["reason"].to_pylist() == [None, "numeric:t5", None]


def test_threads_take_turns_and_get_their_own_rows(gpu: T5) -> None:
    shards = [table([*captions(200, 20 + n)]) for n in range(4)]
    stage = T5Stage(pack_tokens=1024)
    alone = [stage.encode(shard, gpu) for shard in shards]
    found: dict[int, list[pa.Table]] = {}

    def work(number: int) -> None:
        found[number] = [stage.encode(shards[number], gpu) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, tables in found.items():
        assert len(tables) == 5 and all(done.equals(alone[number]) for done in tables)


# --- 8 bits ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", [64, 100, 4096])
def test_the_8_bit_form_is_the_same_on_gpu_and_cpu(dim: int) -> None:
    states = torch.randn(5000, dim, generator=torch.Generator().manual_seed(0)).bfloat16()
    states[0], states[1, 3], states[2] = 0, 1e30, 1e-39
    here, there = quantise(states), quantise(states.cuda()).cpu()
    one, other = dequantise(here.numpy(), dim), dequantise(there.numpy(), dim)
    assert (here != there).float().mean() < 1e-4, "but for ties of division"
    np.testing.assert_allclose(one, other, rtol=0.01, atol=0.01)
    back = restored(there.cuda(), dim).cpu().numpy()
    np.testing.assert_array_equal(back[3:], other[3:])
    broken = states.float().cuda()
    broken[7, 5] = torch.nan
    assert not np.isfinite(dequantise(quantise(broken).cpu().numpy(), dim)[7, 5])


def test_the_8_bit_form_is_held_against_float32(model: Path) -> None:
    t5 = T5.load(str(model), device="cuda", sample=captions(64), store="int8")
    last = t5.agreements[-1]
    assert (last.encoder, last.used) == ("t5 int8", True)
    assert last.error is not None and last.error <= 0.02
