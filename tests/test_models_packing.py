"""The packing plan of captions, and the GPU kernels run by Triton's interpreter on the CPU."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curate.models.caption_packs import Packs, in_order, plan_packs, ragged
from curate.models.caption_shelf import Shelf
from curate.models.launch import Lane, Pending, lane

INTERPRETED = """
import triton.runtime.interpreter as interpreter

patch = interpreter._patch_lang_tensor
def patched(tensor, scope):  # this interpreter takes int() of arrays [1], which numpy 2.4 refuses
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))
interpreter._patch_lang_tensor = patched
"""
KERNELS = """
import numpy as np, torch
from curate.models import group_norm
from curate.models.caption_attention_kernels import attend

rng = torch.Generator().manual_seed(0)
def draw(*shape):
    return torch.randn(*shape, generator=rng)

values, residual = (draw(2, 64, 12, 10).to(memory_format=torch.channels_last) for _ in "ab")
bias, beside = draw(64), draw(64)
norm = torch.nn.GroupNorm(16, 64)
norm.weight.data, norm.bias.data = draw(64), draw(64)
summed, sums = group_norm.add_and_sum(values, bias=bias, residual=residual, residual_bias=beside)
want = values + bias[:, None, None] + residual + beside[:, None, None]
torch.testing.assert_close(summed, want)
torch.testing.assert_close(
    group_norm.normalise(summed, sums, norm), torch.nn.functional.silu(norm(want)), rtol=1e-4, atol=1e-4)
same, sums = group_norm.add_and_sum(values, bias=bias, keep=False)
assert same is values
torch.testing.assert_close(
    group_norm.normalise(same, sums, norm, bias=bias, silu=False),
    norm(values + bias[:, None, None]), rtol=1e-4, atol=1e-4)

lengths, heads, width, reach = [70, 3, 1, 40], 2, 16, 80
ends = np.cumsum(lengths)
tokens = int(ends[-1])
qkv, table = draw(tokens, 3, heads, width), draw(heads, 2 * reach - 1)
first = torch.tensor(np.repeat(ends - lengths, lengths), dtype=torch.int32)
last = torch.tensor(np.repeat(ends, lengths), dtype=torch.int32)
out = torch.full((tokens, heads, width), float("nan"))
attend[(-(-tokens // 32), heads)](qkv, table, first, last, out, tokens, heads=heads, width=width,
                                  reach=reach, queries=32, keys=32)
for end, length in zip(ends, lengths):
    q, k, v = qkv[end - length:end].permute(1, 2, 0, 3)
    place = torch.arange(length)
    score = q @ k.transpose(1, 2) + table[:, place[None, :] - place[:, None] + reach - 1]
    torch.testing.assert_close(out[end - length:end].permute(1, 0, 2), score.softmax(-1) @ v, rtol=1e-4, atol=1e-4)
print("agree")
"""


@given(st.lists(st.integers(1, 120), max_size=400), st.integers(120, 600))
def test_a_plan_holds_every_caption_once_and_no_pack_too_many(
    lengths: list[int], limit: int
) -> None:
    packs = plan_packs(lengths, limit)
    assert sorted(row for pack in packs for row in pack) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in pack) <= limit for pack in packs)
    assert len(packs) <= 2 * -(-sum(lengths) // limit) + 1
    assert plan_packs(lengths, limit) == packs


def test_packs_are_about_equally_full() -> None:
    lengths = [3 + 7 * n % 100 for n in range(1000)]
    sizes = [sum(lengths[row] for row in pack) for pack in plan_packs(lengths, 8192)]
    assert max(sizes) - min(sizes) < 250
    assert len(sizes) == -(-sum(lengths) // 8192)


def test_a_caption_longer_than_a_pack_is_an_error() -> None:
    with pytest.raises(ValueError, match="a caption of 121 tokens, a pack holds 120"):
        plan_packs([3, 121], 120)


PACKED = """
import tempfile, torch
from pathlib import Path
from t5_models import PACKED, write
from curate.models.packed_t5 import PackedT5, fits
from curate.models.t5_paths import LengthBuckets, read

torch.compile = lambda work: work  # what is compiled is plain torch: its values are looked at here
cpu = torch.device("cpu")
draw = torch.Generator().manual_seed(0)
ids = [torch.randint(0, 17, (n,), generator=draw).tolist() for n in (3, 70, 1, 12, 3, 40)]
for family in PACKED:
    path = write(Path(tempfile.mkdtemp()), family)
    model = read("model", path)
    own = LengthBuckets(model, cpu)
    wanted = own.states(ids)
    packed = PackedT5(model, longest=80)
    packed.warm()
    for limit in (1000, 100):
        torch.testing.assert_close(
            packed.states(ids, pack_tokens=limit), wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(packed.states(ids[::-1]), wanted)
    torch.testing.assert_close(own.states(ids), wanted, rtol=1e-5, atol=1e-5)  # still the same model
    held = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    joined = {part.untyped_storage().data_ptr() for layer in packed._layers for part in (layer.qkv, layer.inner)}
    assert joined <= held, "joined matrices are not held twice"
    try:
        packed.states([[1] * 81])
    except ValueError as error:
        assert "81 tokens, 80 at most" in str(error)
    else:
        raise SystemExit("too long a caption was taken")
print("agree")
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton")
@pytest.mark.parametrize("program", [KERNELS, PACKED], ids=["kernels", "packed T5 of each family"])
def test_the_kernels_compute_what_torch_computes(program: str) -> None:
    here = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED + program], capture_output=True, text=True, timeout=240,
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": here},
    )  # fmt: skip
    assert done.stdout.strip() == "agree", done.stderr[-2000:]


# --- the order ------------------------------------------------------------------------------------
def test_runs_of_numbers_follow_each_other() -> None:
    assert ragged(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert ragged(np.array([], np.int64), np.array([], np.int64)).tolist() == []


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(9, 40))
def test_packed_states_come_back_in_the_given_order(lengths: list[int], limit: int) -> None:
    ends = np.cumsum(lengths)
    whole = torch.arange(int(ends[-1]))[:, None] * torch.ones(1, 3)
    captions = [whole[end - n : end] for end, n in zip(ends, lengths, strict=True)]
    packs = plan_packs(lengths, limit)
    parts = [torch.cat([captions[row] for row in pack]) for pack in packs]
    found = in_order(parts, [row for pack in packs for row in pack], lengths)
    assert torch.equal(found, whole)


# --- memory that runs out -------------------------------------------------------------------------
class Device:
    """Takes packs of some tokens at most, and remembers them."""

    def __init__(self, lengths: list[int], room: int, *, first: int | None = None) -> None:
        self.lengths, self.room, self.first = lengths, room, first
        self.taken: list[list[int]] = []
        self.relieved = 0

    def work(self, rows: list[int]) -> None:
        room = self.first if self.first is not None and not self.relieved else self.room
        if sum(self.lengths[row] for row in rows) > room:
            raise torch.OutOfMemoryError("planted")
        self.taken.append(rows)

    def relieve(self) -> None:
        self.relieved += 1


@given(
    st.lists(st.integers(1, 120), max_size=60), st.integers(1, 400), st.integers(120, 3000)
)  # fmt: skip
def test_halving_ends_with_every_caption_taken_once_or_lost(
    lengths: list[int], room: int, planned: int
) -> None:
    device, packs = Device(lengths, room), Packs(planned)
    packs.run(lengths, device.work, device.relieve)
    assert sorted(row for rows in device.taken for row in rows) + sorted(packs.lost) == sorted(
        range(len(lengths)), key=lambda row: (lengths[row] > room, row)
    )
    assert sorted(packs.lost) == [row for row, length in enumerate(lengths) if length > room]
    if sum(lengths) <= min(room, planned):
        assert packs.halved is None and len(device.taken) <= 1


def test_the_limit_that_memory_allowed_is_told() -> None:
    lengths = [10] * 64
    device, packs = Device(lengths, 100), Packs(640)
    packs.run(lengths, device.work, device.relieve)
    assert (packs.halved, device.relieved, packs.lost) == (80, 3, [])  # 640, 320, 160, 80
    assert {sum(lengths[row] for row in rows) for rows in device.taken} == {80}


def test_a_caption_alone_is_tried_again_once_memory_was_freed() -> None:
    device, packs = Device([90], 100, first=50), Packs(640)
    packs.run([90], device.work, device.relieve)
    assert (device.taken, packs.lost, packs.halved) == ([[0]], [], None)


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    def broken(_: list[int]) -> None:
        raise RuntimeError("not memory")

    with pytest.raises(RuntimeError, match="not memory"):
        Packs(100).run([1, 2], broken)


# --- rows in order --------------------------------------------------------------------------------
class Card(Lane):
    """A lane that says it is a GPU's and copies to the host as one does."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.device = torch.device("cuda")
        self.fetched = 0

    def fetch(self, tensor: torch.Tensor) -> Pending:
        self.fetched += 1
        return Pending(tensor.clone())


def shelved(here: Lane, *, spill_after: int | None = None) -> tuple[torch.Tensor, list[int]]:
    """Three captions of 2, 1 and 3 tokens, the first and last standing twice, through two packs."""
    lengths, places = np.array([2, 1, 3]), np.array([2, 0, 1, 0, 2])
    states = [
        torch.full((n, 4), float(10 * i)) + torch.arange(n)[:, None] for i, n in enumerate(lengths)
    ]
    states[1][0, 2] = torch.nan
    shelf = Shelf(here, lengths, places, lambda told: told.to(torch.bfloat16))
    for number, rows in enumerate([[2, 1], [0]]):
        if number == spill_after:
            shelf.spill()
        shelf.put(rows, torch.cat([states[row] for row in rows]))
    values, broken = shelf.fetch()
    return values.wait(), broken.wait().tolist()


@pytest.mark.parametrize("spill_after", [None, 0, 1])
def test_a_shelf_holds_captions_in_row_order_and_counts_what_is_not_finite(
    spill_after: int | None,
) -> None:
    for here in (lane(torch.device("cpu")), Card()):
        values, broken = shelved(here, spill_after=spill_after)
        assert values.dtype == torch.bfloat16
        assert values[:, 0].tolist() == [20, 21, 22, 0, 1, 10, 0, 1, 20, 21, 22]
        assert broken == [0, 1, 0]
        assert torch.isnan(values[5]).tolist() == [False, False, True, False]


def test_a_shelf_of_nothing_is_empty() -> None:
    none = np.array([], np.int64)
    values, broken = Shelf(lane(torch.device("cpu")), none, none, torch.clone).fetch()
    assert values.wait().numel() == 0 and broken.wait().tolist() == []
