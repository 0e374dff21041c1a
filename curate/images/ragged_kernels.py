"""The Triton kernel that resizes pictures of any sizes along one axis; imported where a GPU is.

Weights are computed where they are used, so nothing but bytes is read and written. Annotations of
run-time arguments are left out: Triton reads them as its own.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def cubic(x):
    """Keys' cubic with a = -0.5."""
    x = tl.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return tl.where(x < 1.0, near, tl.where(x < 2.0, far, 0.0))


@triton.jit
def resize_axis(
    numbers, spans, out, taps, size, out_picture, out_channel, out_line, out_place,
    smooth: tl.constexpr, lines_a_block: tl.constexpr, places_a_block: tl.constexpr,
):  # fmt: skip
    """`size` places of each line of each picture, from the pixels of that line that they see.

    numbers int64 [pictures, 7]: address of uint8 values, what a channel, a line and a pixel are
    apart there, pixels a line, lines, and the pixel that the address stands for; spans float64
    [pictures, 2]: low and high of the box along the line. `smooth` puts libjpeg's filter of halved
    chroma before the resizing and leaves luma as it is.
    """
    picture = tl.program_id(2).to(tl.int64)
    told = numbers + picture * 7
    source = tl.load(told).to(tl.pointer_type(tl.uint8))
    channel, line_apart, apart = tl.load(told + 1), tl.load(told + 2), tl.load(told + 3)
    length, lines, origin = tl.load(told + 4), tl.load(told + 5), tl.load(told + 6)
    low, high = tl.load(spans + picture * 2), tl.load(spans + picture * 2 + 1)
    line = tl.program_id(1) * lines_a_block + tl.arange(0, lines_a_block)
    place = tl.program_id(0) * places_a_block + tl.arange(0, places_a_block)
    scale = (high - low) / size
    stretch = tl.maximum(scale, 1.0)
    centre = low + (place.to(tl.float64) + 0.5) * scale
    start = tl.maximum((centre - 2.0 * stretch + 0.5).to(tl.int64), 0)
    stop = tl.minimum((centre + 2.0 * stretch + 0.5).to(tl.int64), length)
    shift = 0.5 - centre
    inverse = 1.0 / stretch
    rows = line.to(tl.int64)[:, None] * line_apart
    red = tl.zeros((lines_a_block, places_a_block), tl.float32)
    green = tl.zeros((lines_a_block, places_a_block), tl.float32)
    blue = tl.zeros((lines_a_block, places_a_block), tl.float32)
    sharp = tl.zeros((lines_a_block, places_a_block), tl.float32)
    whole = tl.zeros((places_a_block,), tl.float32)
    whole_sharp = tl.zeros((places_a_block,), tl.float32)
    for tap in range(taps):
        at = start + tap - 1
        weight = cubic(((at.to(tl.float64) + shift) * inverse).to(tl.float32))
        weight = tl.where((at >= start) & (at < stop), weight, 0.0)
        mixed = weight
        if smooth:
            partner = at + 2 * (at & 1) - 1
            partner = tl.where((partner < 0) | (partner >= length), at, partner)
            other = cubic(((partner.to(tl.float64) + shift) * inverse).to(tl.float32))
            other = tl.where((partner >= start) & (partner < stop), other, 0.0)
            mixed = tl.where((at >= 0) & (at < length), 0.75 * weight + 0.25 * other, 0.0)
        used = (mixed != 0.0) | (weight != 0.0)
        there = (line < lines)[:, None] & used[None, :]
        from_ = source + rows + ((at - origin) * apart)[None, :]
        r = tl.load(from_, mask=there, other=0).to(tl.float32)
        g = tl.load(from_ + channel, mask=there, other=0).to(tl.float32)
        b = tl.load(from_ + 2 * channel, mask=there, other=0).to(tl.float32)
        red += r * mixed[None, :]
        green += g * mixed[None, :]
        blue += b * mixed[None, :]
        whole += mixed
        if smooth:
            sharp += (0.299 * r + 0.587 * g + 0.114 * b) * weight[None, :]
            whole_sharp += weight
    each = 1.0 / whole[None, :]
    red, green, blue = red * each, green * each, blue * each
    if smooth:
        more = sharp / whole_sharp[None, :] - (0.299 * red + 0.587 * green + 0.114 * blue)
        red, green, blue = red + more, green + more, blue + more
    to = out + picture * out_picture + line[:, None] * out_line + place[None, :] * out_place
    kept = (line < lines)[:, None] & (place < size)[None, :]
    tl.store(to, as_byte(red), mask=kept)
    tl.store(to + out_channel, as_byte(green), mask=kept)
    tl.store(to + 2 * out_channel, as_byte(blue), mask=kept)


@triton.jit
def as_byte(values):
    """To integers by cutting off, as Pillow does."""
    return tl.minimum(tl.maximum(values + 0.5, 0.0), 255.0).to(tl.uint8)
