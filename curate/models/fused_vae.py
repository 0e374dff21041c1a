"""The encoder of diffusers' AutoencoderKL with its norms fused: same weights, same arithmetic.

Convolutions run in channels_last without their bias; bias, residual, GroupNorm and SiLU take two
passes over memory (curate.models.group_norm). Down-sampling needs no padded copy: a zero row and
column in front of the weights shift the window instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from curate.models.group_norm import Sums, add_and_sum, normalise

if TYPE_CHECKING:
    import torch

SCORES: Final = 1 << 29
"""Attention scores held at a time: 1 GB in bfloat16."""
BYTES: Final = 4096
"""Bytes of pictures that a program turns into values."""


def fits(model: Any) -> str | None:
    """None if the parts are those of an AutoencoderKL known here, else what is different."""
    if type(model).__name__ != "AutoencoderKL":
        return f"{type(model).__name__} has other parts than AutoencoderKL"
    encoder = model.encoder
    norms = [part for part in encoder.modules() if type(part).__name__ == "GroupNorm"]
    odd = [norm.num_channels for norm in norms if norm.num_channels & (norm.num_channels - 1)]
    if odd:
        return f"{odd[0]} channels are no power of two"
    for block in encoder.down_blocks:
        if type(block).__name__ != "DownEncoderBlock2D":
            return f"a block is {type(block).__name__}"
        for part in block.resnets:
            if part.time_emb_proj is not None or part.output_scale_factor != 1.0:
                return "a residual block takes time or is scaled"
            if type(part.nonlinearity).__name__ != "SiLU":
                return f"a residual block has {type(part.nonlinearity).__name__}"
        for part in block.downsamplers or ():
            if part.padding != 0 or tuple(part.conv.kernel_size) != (3, 3):
                return "a down-sampling is padded in another way"
    for part in encoder.mid_block.attentions:
        if part is not None and (part.heads != 1 or part.rescale_output_factor != 1.0):
            return f"an attention has {part.heads} heads"
    return None


class FusedEncoder:
    """Moments of an AutoencoderKL on its device: `encoder(pixels)`.

    Takes uint8 [n, h, w, 3] as it is decoded, gives [n, 2 × channels, h / factor, w / factor] in
    the model's dtype.
    """

    def __init__(self, model: Any) -> None:
        import torch
        import torch.nn.functional as F

        self._model = model
        self._down: dict[int, torch.Tensor] = {}
        model.encoder.to(memory_format=torch.channels_last)
        for block in model.encoder.down_blocks:
            for part in block.downsamplers or ():
                shifted = F.pad(part.conv.weight, (1, 0, 1, 0))
                self._down[id(part)] = shifted.contiguous(memory_format=torch.channels_last)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch.nn.functional as F

        encoder = self._model.encoder
        scaled = between_one(pixels, encoder.conv_in.weight.dtype)
        values, sums = add_and_sum(_convolved(encoder.conv_in, scaled), bias=encoder.conv_in.bias)
        for block in encoder.down_blocks:
            for part in block.resnets:
                values, sums = _residual(part, values, sums)
            for part in block.downsamplers or ():
                values = F.conv2d(values, self._down[id(part)], None, 2, 1)
                values, sums = add_and_sum(values, bias=part.conv.bias)
        values, sums = self._middle(values, sums)
        values = encoder.conv_out(normalise(values, sums, encoder.conv_norm_out))
        return values if self._model.quant_conv is None else self._model.quant_conv(values)

    def _middle(self, values: torch.Tensor, sums: Sums) -> tuple[torch.Tensor, Sums]:
        block = self._model.encoder.mid_block
        values, sums = _residual(block.resnets[0], values, sums)
        for attention, part in zip(block.attentions, block.resnets[1:], strict=True):
            if attention is not None:
                values, sums = _attend(attention, values, sums)
            values, sums = _residual(part, values, sums)
        return values, sums


def between_one(pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """uint8 [n, h, w, 3] to [n, 3, h, w] between −1 and 1, in channels_last: the bytes stay in order."""
    import torch
    import triton

    from curate.models import group_norm_kernels as kernels

    count, height, width, channels = pixels.shape
    scaled = torch.empty(
        (count, channels, height, width), dtype=dtype, device=pixels.device,
        memory_format=torch.channels_last,
    )  # fmt: skip
    values = pixels.numel()
    kernels.between_one[(triton.cdiv(values, BYTES),)](
        pixels.contiguous(), scaled, values, block=BYTES, num_warps=4
    )
    return scaled


def _residual(part: Any, values: torch.Tensor, sums: Sums) -> tuple[torch.Tensor, Sums]:
    """A residual block on values whose sums are known; returns its output and that one's sums."""
    inner = _convolved(part.conv1, normalise(values, sums, part.norm1))
    _, inner_sums = add_and_sum(inner, bias=part.conv1.bias, keep=False)
    inner = normalise(inner, inner_sums, part.norm2, bias=part.conv1.bias)
    inner = _convolved(part.conv2, inner)
    if part.conv_shortcut is None:
        return add_and_sum(inner, bias=part.conv2.bias, residual=values)
    beside = _convolved(part.conv_shortcut, values)
    return add_and_sum(
        inner, bias=part.conv2.bias, residual=beside, residual_bias=part.conv_shortcut.bias
    )


def _convolved(conv: Any, values: torch.Tensor) -> torch.Tensor:
    """A convolution without its bias, which the pass after it adds."""
    import torch.nn.functional as F

    return F.conv2d(values, conv.weight, None, conv.stride, conv.padding)


def _attend(attention: Any, values: torch.Tensor, sums: Sums) -> tuple[torch.Tensor, Sums]:
    """Attention over all pixels, one head, added to its input."""
    count, channels, height, width = values.shape
    normed = normalise(values, sums, attention.group_norm, silu=False)
    tokens = normed.permute(0, 2, 3, 1).reshape(count, height * width, channels)
    query, key, value = (part(tokens) for part in (attention.to_q, attention.to_k, attention.to_v))
    seen = attention.to_out[0](_over_all(query, key, value))
    seen = seen.reshape(count, height, width, channels).permute(0, 3, 1, 2)
    return add_and_sum(seen, residual=values)


def _over_all(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """softmax(q kᵀ / √c) v as matrix products, a few pictures at a time.

    Heads as wide as 512 have no fast fused kernel: this takes a quarter of its time.
    """
    import torch

    count, tokens, channels = query.shape
    at_once = max(1, SCORES // (tokens * tokens))
    parts = []
    for start in range(0, count, at_once):
        some = slice(start, start + at_once)
        scores = torch.bmm(query[some] * channels**-0.5, key[some].transpose(1, 2))
        parts.append(torch.bmm(scores.softmax(-1), value[some]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)
