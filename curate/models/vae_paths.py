"""The ways an autoencoder's encoder runs, from the bytes of pictures on its device.

On a GPU: fused norms, torch.compile, plain bfloat16, in this order, and float32 as the measure of
all of them. On a CPU there is float32 alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from curate.errors import ModelError
from curate.models.vae_kinds import encoder_of

if TYPE_CHECKING:
    import torch

    Encode = Callable[[torch.Tensor], torch.Tensor]
    """uint8 [n, h, w, 3] on the device to [n, parameters, h / factor, w / factor]."""


def float32(model: Any, device: torch.device) -> Encode:
    """The measure: float32 throughout, TensorFloat-32 off."""
    import torch

    encode = encoder_of(model)

    def run(pixels: torch.Tensor) -> torch.Tensor:
        scaled = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        with without_tf32(device):
            return encode(scaled.contiguous(memory_format=torch.contiguous_format))

    return run


def fast_paths(model: Any, device: torch.device) -> list[tuple[str, Callable[[], Encode]]]:
    """Names and builders, fastest first; `model` is in bfloat16 when a builder is called."""
    if device.type != "cuda":
        return []
    return [
        ("fused bf16", partial(fused, model)),
        ("compiled bf16", partial(compiled, model)),
        ("plain bf16", partial(plain, model)),
    ]


def fused(model: Any) -> Encode:
    """AutoencoderKL with its norms fused. Raises ModelError if that is not what this model is."""
    from curate.models.fused_vae import FusedEncoder, fits
    from curate.models.group_norm import available

    different = fits(model)
    if different is not None:
        raise ModelError(different)
    if not available():
        raise ModelError("there is no Triton")
    encoder = FusedEncoder(model)

    def run(pixels: torch.Tensor) -> torch.Tensor:
        from triton.errors import TritonError

        try:
            return encoder(pixels)
        except TritonError as error:
            raise ModelError(f"a kernel does not compile: {error}") from error

    return run


def compiled(model: Any) -> Encode:
    """torch.compile over bytes and encoder; batches of any length share one compilation."""
    import torch

    whole = torch.compile(plain(model))

    def run(pixels: torch.Tensor) -> torch.Tensor:
        torch._dynamo.maybe_mark_dynamic(pixels, 0)
        told: torch.Tensor = whole(pixels)
        return told

    return run


def plain(model: Any) -> Encode:
    """The model as it is, in channels_last."""
    import torch

    encode, dtype = encoder_of(model), next(model.parameters()).dtype

    def run(pixels: torch.Tensor) -> torch.Tensor:
        scaled = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        return encode(scaled.to(dtype).contiguous(memory_format=torch.channels_last))

    return run


@contextmanager
def without_tf32(device: torch.device) -> Iterator[None]:
    """Products in full float32 for what is enqueued meanwhile; nothing to do on a CPU."""
    import torch

    if device.type != "cuda":
        yield
        return
    flags = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [flag.allow_tf32 for flag in flags]
    for flag in flags:
        flag.allow_tf32 = False
    try:
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            flag.allow_tf32 = value
