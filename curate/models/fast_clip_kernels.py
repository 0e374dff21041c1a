"""The Triton kernels of curate.models.fast_clip_ops; imported where there is a GPU only.

Annotations of run-time arguments are left out: Triton reads them as its own.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def norm(
    values, table, weight, offset, out, rows, eps, period: tl.constexpr, width: tl.constexpr,
    wide: tl.constexpr, block: tl.constexpr, affine: tl.constexpr,
):  # fmt: skip
    """LayerNorm of `block` rows of values [rows, width] plus a row of table [period, width].

    Row r gets table row r mod period. Sums in float32; weight and offset only if `affine`.
    """
    row = tl.program_id(0) * block + tl.arange(0, block)
    lane = tl.arange(0, wide)
    own = (row < rows)[:, None] & (lane < width)[None, :]
    place = row.to(tl.int64)[:, None] * width + lane[None, :]
    value = tl.load(values + place, mask=own, other=0.0).to(tl.float32)
    if period == 1:
        value += tl.load(table + lane, mask=lane < width, other=0.0)[None, :]
    else:
        beside = (row % period)[:, None] * width + lane[None, :]
        value += tl.load(table + beside, mask=own, other=0.0)
    mean = tl.sum(value, 1) / width
    apart = tl.where(own, value - mean[:, None], 0.0)
    spread = tl.sqrt(tl.sum(apart * apart, 1) / width + eps)
    scaled = apart / spread[:, None]
    if affine:
        factor = tl.load(weight + lane, mask=lane < width, other=0.0)
        shift = tl.load(offset + lane, mask=lane < width, other=0.0)
        scaled = scaled * factor[None, :] + shift[None, :]
    tl.store(out + place, scaled.to(out.dtype.element_ty), mask=own)


@triton.jit
def activate(values, count, form: tl.constexpr, block: tl.constexpr):
    """GELU in place: by the error function, its tanh form, or x σ(1.702 x) (`quick`)."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < count
    value = tl.load(values + place, mask=inside, other=0.0).to(tl.float32)
    if form == "erf":
        made = 0.5 * value * (1.0 + tl.erf(value * 0.7071067811865476))
    elif form == "tanh":  # (1 + tanh z) / 2 = σ(2 z)
        inner = 1.5957691216057308 * (value + 0.044715 * value * value * value)
        made = value / (1.0 + tl.exp(-inner))
    else:
        made = value / (1.0 + tl.exp(-1.702 * value))
    tl.store(values + place, made.to(values.dtype.element_ty), mask=inside)


@triton.jit
def attend(
    qkv, out, factor, tokens: tl.constexpr, heads: tl.constexpr, width: tl.constexpr,
    queries: tl.constexpr, keys: tl.constexpr,
):  # fmt: skip
    """Attention of `queries` tokens of one head of one picture over all its tokens.

    qkv [pictures, tokens, 3, heads, width], out [pictures, tokens, heads, width]; `factor` is the
    scale times log₂ e. The first token, which a vision transformer adds to a grid of 2ⁿ patches,
    starts the sums off by itself, so that the rest fills whole tiles.
    """
    head, picture = tl.program_id(1), tl.program_id(2).to(tl.int64)
    row: tl.constexpr = 3 * heads * width
    lane = tl.arange(0, width)
    query = tl.program_id(0) * queries + tl.arange(0, queries)
    base = qkv + picture * tokens * row + head * width
    asked = tl.load(
        base + query[:, None] * row + lane[None, :], mask=(query < tokens)[:, None], other=0.0
    )
    first = tl.load(base + heads * width + lane).to(tl.float32)
    most = tl.sum(asked.to(tl.float32) * first[None, :], 1) * factor
    weight = tl.full((queries,), 1.0, tl.float32)
    seen = tl.zeros((queries, width), tl.float32)
    seen += tl.load(base + 2 * heads * width + lane).to(tl.float32)[None, :]
    for start in range(1, tokens, keys):
        key = start + tl.arange(0, keys)
        place = base + key[:, None] * row + heads * width + lane[None, :]
        if (tokens - 1) % keys == 0:
            known = tl.load(place)
            value = tl.load(place + heads * width)
            score = tl.dot(asked, tl.trans(known)) * factor
        else:
            there = key < tokens
            known = tl.load(place, mask=there[:, None], other=0.0)
            value = tl.load(place + heads * width, mask=there[:, None], other=0.0)
            score = tl.dot(asked, tl.trans(known)) * factor
            score = tl.where(there[None, :], score, -1.0e30)
        peak = tl.maximum(most, tl.max(score, 1))
        share = tl.exp2(score - peak[:, None])
        shrink = tl.exp2(most - peak)
        weight = weight * shrink + tl.sum(share, 1)
        seen = tl.dot(share.to(value.dtype), value, seen * shrink[:, None])
        most = peak
    seen = seen / weight[:, None]
    place = picture * tokens * heads * width + query[:, None] * heads * width + head * width
    tl.store(
        out + place + lane[None, :], seen.to(out.dtype.element_ty), mask=(query < tokens)[:, None]
    )
