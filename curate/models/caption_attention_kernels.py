"""The Triton kernel of curate.models.packed_t5; imported where there is a GPU only.

Annotations of run-time arguments are left out: Triton reads them as its own.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def attend(
    qkv, bias, first, last, out, tokens, heads: tl.constexpr, width: tl.constexpr,
    reach: tl.constexpr, queries: tl.constexpr, keys: tl.constexpr,
):  # fmt: skip
    """Attention of `queries` tokens of one head, each over the tokens of its own caption.

    qkv [tokens, 3, heads, width], bias float32 [heads, 2 × reach − 1] by key minus query place,
    first and last int32 [tokens]: where the token's caption begins and ends. No scaling, as in T5.
    """
    head = tl.program_id(1)
    query = tl.program_id(0) * queries + tl.arange(0, queries)
    lane = tl.arange(0, width)
    inside = query < tokens
    row: tl.constexpr = 3 * heads * width
    place = query[:, None].to(tl.int64) * row + head * width + lane[None, :]
    asked = tl.load(qkv + place, mask=inside[:, None], other=0.0)
    begin = tl.load(first + query, mask=inside, other=2147483647)
    end = tl.load(last + query, mask=inside, other=0)
    low, high = tl.min(begin, 0), tl.max(end, 0)
    most = tl.full((queries,), -1.0e30, tl.float32)
    weight = tl.zeros((queries,), tl.float32)
    seen = tl.zeros((queries, width), tl.float32)
    for start in range(low, high, keys):
        key = start + tl.arange(0, keys)
        there = key < high
        place = key[:, None].to(tl.int64) * row + (heads + head) * width + lane[None, :]
        known = tl.load(qkv + place, mask=there[:, None], other=0.0)
        score = tl.dot(asked, tl.trans(known))
        own = (key[None, :] >= begin[:, None]) & (key[None, :] < end[:, None])
        apart = key[None, :] - query[:, None] + reach - 1
        score += tl.load(bias + head * (2 * reach - 1) + apart, mask=own, other=0.0)
        score = tl.where(own, score, -1.0e30)
        peak = tl.maximum(most, tl.max(score, 1))
        share = tl.where(own, tl.exp(score - peak[:, None]), 0.0)
        shrink = tl.exp(most - peak)
        weight = weight * shrink + tl.sum(share, 1)
        value = tl.load(qkv + place + heads * width, mask=there[:, None], other=0.0)
        seen = seen * shrink[:, None] + tl.dot(share.to(value.dtype), value)
        most = peak
    seen = seen / tl.where(weight > 0.0, weight, 1.0)[:, None]
    place = query[:, None].to(tl.int64) * heads * width + head * width + lane[None, :]
    tl.store(out + place, seen.to(out.dtype.element_ty), mask=inside[:, None])
