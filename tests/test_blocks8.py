"""The 8-bit form: its error, its layout, its extremes, and that all its readers agree."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curate import columns as c
from curate.models.blocks8 import BLOCK, INT8, blocks, dequantise, quantise, restored, vector_bytes
from curate.provenance.values import check_values
from curate.store.numbers import decoded, narrowed, scale_bits, widened
from curate.store.tolerance import distances

DIMS = [1, 63, 64, 65, 128, 200, 4096]


def gaussian(tokens: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(tokens, dim, generator=torch.Generator().manual_seed(seed))


def error(states: torch.Tensor) -> float:
    back = dequantise(quantise(states).numpy(), states.shape[1])
    return float(np.linalg.norm(back - states.float().numpy()) / states.float().norm())


# --- error and size -------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dim", [64, 100, 512, 4096])
def test_gaussian_rows_are_within_seven_thousandths(dim: int, kind: torch.dtype) -> None:
    assert error(gaussian(200, dim).to(kind)) <= 0.007


@pytest.mark.parametrize(("channels", "times"), [(4, 10), (40, 10), (400, 5), (4000, 8)])
def test_outlier_channels_stay_within_fourteen_thousandths(channels: int, times: float) -> None:
    states = gaussian(200, 4096)
    states[:, torch.randperm(4096, generator=torch.Generator().manual_seed(1))[:channels]] *= times
    assert error(states) <= 0.014


def test_one_scale_for_the_worst_block_leaves_the_others_alone() -> None:
    states = gaussian(100, 4096)
    states[:, 7] = 1e4
    back = dequantise(quantise(states).numpy(), 4096)
    rest = np.delete(back, np.s_[:BLOCK], 1) - np.delete(states.numpy(), np.s_[:BLOCK], 1)
    assert np.linalg.norm(rest) / np.linalg.norm(states.numpy()[:, BLOCK:]) <= 0.007


def test_a_caption_of_fifteen_tokens_is_half_of_bfloat16() -> None:
    stored = quantise(gaussian(15, 4096))
    assert (stored.dtype, stored.shape) == (torch.uint8, (15, 4096 + 2 * 64))
    assert stored.numel() <= 65_000 < 2 * 15 * 4096


# --- layout ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", DIMS)
def test_values_stand_first_then_their_scales(dim: int) -> None:
    states = gaussian(5, dim)
    stored = quantise(states).numpy()
    assert stored.shape == (5, vector_bytes(INT8, dim)) == (5, dim + 2 * blocks(dim))
    values = stored[:, :dim].view(np.int8).astype(np.float32)
    scales = widened(np.ascontiguousarray(stored[:, dim:]).view("<u2"))
    by_hand = values * np.repeat(scales, BLOCK, axis=1)[:, :dim]
    assert np.array_equal(dequantise(stored, dim), by_hand)
    assert np.array_equal(dequantise(stored.tobytes(), dim), by_hand)
    assert np.array_equal(decoded(memoryview(stored.tobytes()), INT8, dim), by_hand)
    assert np.array_equal(restored(torch.from_numpy(stored), dim).numpy(), by_hand)
    assert np.array_equal(restored(torch.from_numpy(stored[:1]), dim).numpy(), by_hand[:1])
    assert np.abs(values).max() == 127, "the largest value of a block takes the whole range"
    assert np.array_equal(
        scale_bits(stored, dim), np.ascontiguousarray(stored[:, dim:]).view("<u2")
    )


def test_many_vectors_are_the_same_as_each_alone() -> None:
    states = gaussian(4096 + 7, 65)
    whole = quantise(states)
    for row in (0, 4095, 4096, 4102):
        assert torch.equal(whole[row : row + 1], quantise(states[row : row + 1]))
    assert quantise(states[:0]).shape == (0, vector_bytes(INT8, 65))
    assert dequantise(b"", 65).shape == (0, 65)


def test_strided_states_are_read_as_they_are() -> None:
    states = gaussian(130, 64).t()
    assert torch.equal(quantise(states), quantise(states.contiguous()))


def test_bytes_that_are_no_vectors_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"67 bytes are not whole vectors of 64 values \(66 bytes\)"
    ):
        dequantise(bytes(67), 64)


SUBNORMAL = 1e-40
"""Below it float32 has too few bits left for a step of a 127th."""


# --- extremes -------------------------------------------------------------------------------------
def rows(dim: int) -> st.SearchStrategy[NDArray[np.float32]]:
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return st.lists(numbers, min_size=dim, max_size=dim).map(lambda v: np.array([v], np.float32))


@given(rows(70))
@settings(max_examples=200)
def test_nothing_clips_and_no_value_is_further_than_half_a_step(
    values: NDArray[np.float32],
) -> None:
    stored = quantise(torch.from_numpy(values)).numpy()
    steps = widened(scale_bits(stored, 70)).astype(np.float64)
    back, exact = dequantise(stored, 70).astype(np.float64), values.astype(np.float64)
    half = 0.5001 * np.repeat(steps, BLOCK, axis=1)[:, :70]
    assert (np.abs(back - exact) <= half + SUBNORMAL).all()
    largest = np.array([np.abs(exact[0, :64]).max(), np.abs(exact[0, 64:]).max()])
    normal = largest > 1e-35
    assert (steps[0] >= 0.9999999 * largest / 127 - SUBNORMAL).all()
    assert (steps[0][normal] <= 1.0079 * largest[normal] / 127).all()


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-45, -1e-40, 1e-38, 1e-6, 1.0, 3e4, 1e30, -3.4e38])
def test_extreme_numbers_come_back(value: float) -> None:
    states = torch.full((2, 64), value)
    back = dequantise(quantise(states).numpy(), 64)
    assert np.isfinite(back).all()
    assert back == pytest.approx(states.numpy(), rel=0.008, abs=1e-40)


@pytest.mark.parametrize("value", [torch.nan, -torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_does_not_become_finite(value: float) -> None:
    states = gaussian(3, 130)
    states[1, 70] = value
    stored = quantise(states).numpy()
    finite = np.isfinite(widened(scale_bits(stored, 130)))
    assert finite.tolist() == [[True] * 3, [True, False, True], [True] * 3]
    assert not np.isfinite(dequantise(stored, 130)[1, 70])
    assert np.isfinite(dequantise(stored, 130)[[0, 2]]).all()


def test_nan_of_any_bits_stays_what_it_is() -> None:
    bits = torch.tensor([[0x7FFFFFFF, 0x7FC00000, -1, 0x7F800001]], dtype=torch.int32)
    stored = quantise(bits.view(torch.float32).expand(4, 4).contiguous().t()).numpy()
    assert not np.isfinite(widened(scale_bits(stored, 4))).any()


# --- bfloat16 -------------------------------------------------------------------------------------
@given(rows(16))
def test_bfloat16_rounds_as_torch_does(values: NDArray[np.float32]) -> None:
    ours = narrowed(values)
    theirs = torch.from_numpy(values).bfloat16()
    assert np.array_equal(ours.view(np.int16), theirs.view(torch.int16).numpy())
    assert np.array_equal(widened(ours), theirs.float().numpy())
    assert np.array_equal(decoded(ours.tobytes(), "bfloat16", 16), theirs.float().numpy())
    assert np.array_equal(decoded(values.tobytes(), "float32", 16), values)


# --- who else reads it ----------------------------------------------------------------------------
def shard(states: list[list[torch.Tensor]], **notes: str) -> pa.Table:
    stored = [[quantise(one).numpy().tobytes() for one in row] for row in states]
    told = {"curate.dtype": INT8, "curate.dim": "100"} | {
        f"curate.{k}": v for k, v in notes.items()
    }
    field = c.T5_EMBEDDINGS.with_metadata({**c.T5_EMBEDDINGS.metadata, **told})
    counts = [[len(one) for one in row] for row in states]
    return pa.table(
        [[f"{n}" for n in range(len(states))], pa.array(stored, field.type),
         pa.array(counts, c.T5_TOKENS.type)],
        schema=pa.schema([c.KEY, field, c.T5_TOKENS]),
    )  # fmt: skip


def test_recomputed_shards_are_compared_by_their_numbers() -> None:
    states = [[gaussian(3, 100, 1), gaussian(1, 100, 2)], [gaussian(2, 100, 3)]]
    near = [[one * 1.01 for one in row] for row in states]
    far = [states[0], [gaussian(2, 100, 4)]]
    first = shard(states)
    assert distances(first, shard(states)) == {"t5_embeddings": 0.0}
    assert distances(first, shard(near))["t5_embeddings"] == pytest.approx(0.01, abs=0.003)
    assert distances(first, shard(far))["t5_embeddings"] > 0.5
    assert distances(first, shard([states[0], [states[1][0][:1]]]))["t5_embeddings"] == np.inf


def test_the_audit_looks_into_the_8_bit_form() -> None:
    good = [[gaussian(3, 100, 1)], [gaussian(2, 100, 3)]]
    assert list(check_values("here", shard(good))) == []
    broken = [good[0], [good[1][0] * torch.nan]]
    [said] = check_values("here", shard(broken))
    assert "row 1" in said and "not finite" in said
    short = shard(good)
    told = pa.array([[4], [2]], c.T5_TOKENS.type)
    [said] = check_values("here", short.set_column(2, c.T5_TOKENS, told))
    assert f"a caption of 4 tokens has {3 * 104} bytes" in said
