"""The packing plan of captions, and the GPU kernels run by Triton's interpreter on the CPU."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.models.packed_t5 import plan_packs

KERNELS = """
import numpy as np, torch
import triton.runtime.interpreter as interpreter
from curate.models import group_norm
from curate.models.caption_attention_kernels import attend

patch = interpreter._patch_lang_tensor
def patched(tensor, scope):  # this interpreter takes int() of arrays [1], which numpy 2.4 refuses
    patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))
interpreter._patch_lang_tensor = patched

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


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="there is no Triton")
def test_the_kernels_compute_what_torch_computes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KERNELS], env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.stdout.strip() == "agree", done.stderr[-2000:]
