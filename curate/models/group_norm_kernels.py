"""The Triton kernels of curate.models.group_norm and fused_vae; imported where there is a GPU only.

Of the norm's, a program works on `chunk` channels of `tile` pixels of one picture, `rows` pixels at
a time: each thread keeps to its channels, so sums cross threads only once. Annotations of run-time
arguments are left out: Triton reads them as its own.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def add_and_sum(
    values, residual, bias, residual_bias, out, sums, pixels, tiles, channels: tl.constexpr,
    chunk: tl.constexpr, tile: tl.constexpr, rows: tl.constexpr, has_bias: tl.constexpr,
    has_residual: tl.constexpr, has_residual_bias: tl.constexpr, writes: tl.constexpr,
):  # fmt: skip
    """Sum (and write, if told so) one tile of one picture."""
    number, picture = tl.program_id(0), tl.program_id(2).to(tl.int64)
    channel = tl.program_id(1) * chunk + tl.arange(0, chunk)
    total = tl.zeros((rows, chunk), tl.float32)
    squares = tl.zeros((rows, chunk), tl.float32)
    added = tl.zeros((chunk,), tl.float32)
    if has_bias:
        added += tl.load(bias + channel).to(tl.float32)
    if has_residual_bias:
        added += tl.load(residual_bias + channel).to(tl.float32)
    base = picture * pixels * channels
    for step in tl.range(0, tile // rows, num_stages=3):
        pixel = number * tile + step * rows + tl.arange(0, rows)
        place = base + pixel[:, None] * channels + channel[None, :]
        inside = (pixel < pixels)[:, None]
        value = tl.load(values + place, mask=inside, other=0.0).to(tl.float32) + added[None, :]
        if has_residual:
            value += tl.load(residual + place, mask=inside, other=0.0).to(tl.float32)
        if writes:
            rounded = value.to(out.dtype.element_ty)
            tl.store(out + place, rounded, mask=inside)
            value = rounded.to(tl.float32)
        value = tl.where(inside, value, 0.0)
        total += value
        squares += value * value
    place = sums + (picture * tiles + number) * 2 * channels + channel
    tl.store(place, tl.sum(total, 0))
    tl.store(place + channels, tl.sum(squares, 0))


@triton.jit
def fold(
    sums, weight, offset, bias, folded, tiles, count, eps, channels: tl.constexpr,
    size: tl.constexpr, wide: tl.constexpr, rows: tl.constexpr, has_bias: tl.constexpr,
):  # fmt: skip
    """Factor and offset of the channels of one group of one picture."""
    picture, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    lane = tl.arange(0, wide)
    channel = group * size + lane
    own = lane < size
    total = tl.zeros((wide,), tl.float32)
    squares = tl.zeros((wide,), tl.float32)
    for first in range(0, tiles, rows):
        number = first + tl.arange(0, rows)
        place = sums + (picture * tiles + number)[:, None] * 2 * channels + channel[None, :]
        inside = (number < tiles)[:, None] & own[None, :]
        total += tl.sum(tl.load(place, mask=inside, other=0.0), 0)
        squares += tl.sum(tl.load(place + channels, mask=inside, other=0.0), 0)
    mean = tl.sum(total, 0) / count
    variance = tl.maximum(tl.sum(squares, 0) / count - mean * mean, 0.0)
    factor = tl.load(weight + channel, mask=own, other=0.0).to(tl.float32)
    factor = factor / tl.sqrt(variance + eps)
    shift = tl.load(offset + channel, mask=own, other=0.0).to(tl.float32) - mean * factor
    if has_bias:
        shift += tl.load(bias + channel, mask=own, other=0.0).to(tl.float32) * factor
    place = folded + picture * 2 * channels + channel
    tl.store(place, factor, mask=own)
    tl.store(place + channels, shift, mask=own)


@triton.jit
def apply(
    values, folded, out, pixels, channels: tl.constexpr, chunk: tl.constexpr, tile: tl.constexpr,
    rows: tl.constexpr, silu: tl.constexpr,
):  # fmt: skip
    """values × factor + offset, then SiLU."""
    number, picture = tl.program_id(0), tl.program_id(2).to(tl.int64)
    channel = tl.program_id(1) * chunk + tl.arange(0, chunk)
    factor = tl.load(folded + picture * 2 * channels + channel)
    shift = tl.load(folded + picture * 2 * channels + channels + channel)
    base = picture * pixels * channels
    for step in tl.range(0, tile // rows, num_stages=3):
        pixel = number * tile + step * rows + tl.arange(0, rows)
        place = base + pixel[:, None] * channels + channel[None, :]
        inside = (pixel < pixels)[:, None]
        value = tl.load(values + place, mask=inside, other=0.0).to(tl.float32)
        value = value * factor[None, :] + shift[None, :]
        if silu:
            value = value / (1.0 + tl.exp(-value))
        tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def between_one(pixels, out, count, block: tl.constexpr):
    """Bytes to values between -1 and 1, one by one."""
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < count
    value = tl.load(pixels + place, mask=inside, other=0).to(tl.float32)
    tl.store(out + place, (value / 127.5 - 1.0).to(out.dtype.element_ty), mask=inside)
