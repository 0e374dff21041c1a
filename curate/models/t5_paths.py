"""The ways to compute a T5 encoder's states, and which of them is right on captions of the run.

In float32 transformers' own model is the measure. On a GPU the packed encoder and transformers'
model in bfloat16 are held against it in turn; the first within the tolerance does the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from curate.errors import ModelError
from curate.models import read_config
from curate.models.agreement import Agreement, first_that_agrees, relative_error
from curate.models.blocks8 import INT8, quantise, restored
from curate.models.caption_packs import MAX_TOKENS, PACK_TOKENS, in_order
from curate.models.device import name_of
from curate.models.launch import lane
from curate.models.loading import loading, refuse_random

if TYPE_CHECKING:
    import torch

CLASSES: Final = {
    "t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel",
    "longt5": "LongT5EncoderModel",
}  # fmt: skip
"""The transformers class of each family of encoders, by `model_type`."""
OLDEST: Final = (8, 0)
"""Compute capability from which GPUs multiply bfloat16, as the packed encoder does."""
BATCH_SIZE: Final = 64
Ids = Sequence[Sequence[int]]
Store = Literal["bfloat16", "int8"]


class Encoder(Protocol):
    """What computes the states of captions, on one device."""

    def states(self, ids: Ids, *, pack_tokens: int, batch_size: int) -> torch.Tensor:
        """States [sum of tokens, dim] in the given order, enqueued."""
        ...


class LengthBuckets:
    """transformers' own model over captions of equal length: nothing to pad, any device and dtype."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model, device

    def states(
        self, ids: Ids, *, pack_tokens: int = PACK_TOKENS, batch_size: int = BATCH_SIZE
    ) -> torch.Tensor:
        """States [sum of tokens, dim] in the given order; `batch_size` captions at most at a time."""
        import torch

        lengths = [len(caption) for caption in ids]
        parts, order = [], []
        for rows in equal_lengths(lengths, batch_size, pack_tokens):
            told = lane(self._device).send(torch.tensor([ids[row] for row in rows]))
            parts.append(self._model(input_ids=told).last_hidden_state.flatten(0, 1))
            order += rows
        return in_order(parts, order, lengths)


def equal_lengths(
    lengths: Sequence[int], batch_size: int, tokens: int = PACK_TOKENS
) -> Iterator[list[int]]:
    """Rows of each batch: equal lengths together, shortest first, in row order within a length."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    start = 0
    while start < len(order):
        length = lengths[order[start]]
        end = min(start + min(batch_size, max(1, tokens // length)), len(order))
        while lengths[order[end - 1]] != length:
            end -= 1
        yield order[start:end]
        start = end


def class_of(ref: str, path: Path) -> str:
    """The transformers class of a model directory; raises ModelError if it is no T5 encoder's."""
    kind = read_config(path, "config.json").get("model_type")
    if kind not in CLASSES:
        raise ModelError(
            f"model {ref!r}: {path}/config.json is of a {kind!r} model, expected t5 (or "
            f"{', '.join(name for name in CLASSES if name != 't5')})"
        )
    return CLASSES[kind]


def read(ref: str, path: Path, *, dtype: torch.dtype | Literal["auto"] | None = None) -> Any:
    """transformers' encoder on the CPU in float32, or as told; raises ModelError without weights.

    `auto` is what the weights are stored in: then a GPU widens them, and does so faster.
    """
    import torch
    import transformers

    family = getattr(transformers, class_of(ref, path))
    with loading(ref, path, "transformers"), _quiet():
        model, report = family.from_pretrained(
            path, dtype=dtype or torch.float32, local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
    refuse_random(report, ref, path)
    return model.eval().requires_grad_(False)


def choose(
    ref: str, path: Path, ids: Ids, device: torch.device, *, rows: int, tolerance: float, store: Store
) -> tuple[Encoder, tuple[Agreement, ...]]:  # fmt: skip
    """The fastest way that agrees with float32 on the captions `ids` (of `rows` rows of the run).

    And what was found of each way that was tried, and of the 8-bit form if `store` asks for it.
    Raises ModelError if that form is out of tolerance: what is stored cannot depend on who computes.
    """
    encoder: Encoder
    if device.type == "cuda":
        encoder, exact, told = _on_gpu(ref, path, ids, device, rows=rows, tolerance=tolerance)
    else:
        encoder = LengthBuckets(read(ref, path).to(device), device)
        told = (_itself(device, rows, tolerance),)
        exact = computed(encoder, ids, device) if store == "int8" else None
    if store == "int8" and exact is not None:
        stored = _blocks(encoder, ids, exact, device, rows=rows, tolerance=tolerance)
        told = (*told, stored)
    return encoder, told


def _on_gpu(
    ref: str, path: Path, ids: Ids, device: torch.device, *, rows: int, tolerance: float
) -> tuple[Encoder, torch.Tensor, tuple[Agreement, ...]]:
    """The encoder in use, the float32 states of the sample, and what was found."""
    model = read(ref, path, dtype="auto")
    exact = reference(model, ids, device)
    encoder, told = _fastest(model, ids, exact, device, rows=rows, tolerance=tolerance)
    del model  # the encoder in use holds its part
    _release()
    if encoder is None:
        encoder = _in_float32(ref, path, device)
        told.append(_itself(device, rows, tolerance, "no faster path agrees"))
    return encoder, exact, tuple(told)


def reference(model: Any, ids: Ids, device: torch.device) -> torch.Tensor:
    """float32 states of some captions, on the CPU; computed there too if the GPU has no room."""
    import torch

    try:
        return computed(LengthBuckets(model.to(device).float(), device), ids, device)
    except torch.OutOfMemoryError:
        pass
    here = torch.device("cpu")
    model.to(here).float()
    _release()
    return computed(LengthBuckets(model, here), ids, here)


def computed(encoder: Encoder, ids: Ids, device: torch.device) -> torch.Tensor:
    """States of some captions on the CPU, products in full precision where they are in float32."""
    here = lane(device)
    with _full_products(), here.turn():
        pending = here.fetch(encoder.states(ids, pack_tokens=PACK_TOKENS, batch_size=BATCH_SIZE))
    return pending.wait()


def error_of(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Relative error over all states, but those of captions that break the model in float32 too."""
    import torch

    fine = torch.isfinite(exact).all(1)
    return relative_error(found[fine], exact[fine])


def _blocks(
    encoder: Encoder, ids: Ids, exact: torch.Tensor, device: torch.device, *, rows: int,
    tolerance: float,
) -> Agreement:  # fmt: skip
    """How far the 8-bit form of the states lies from float32; raises ModelError if too far."""
    here = lane(device)
    with here.turn():
        states = encoder.states(ids, pack_tokens=PACK_TOKENS, batch_size=BATCH_SIZE)
        pending = here.fetch(quantise(states))
    error = error_of(restored(pending.wait(), exact.shape[1]), exact)
    agreement = Agreement(
        encoder="t5 int8", path=INT8, device=name_of(device), rows=rows, error=error,
        tolerance=tolerance, used=error <= tolerance,
        note="" if error <= tolerance else "out of tolerance",
    )  # fmt: skip
    if not agreement.used:
        raise ModelError(f"{agreement.sentence()}; store the states as bfloat16 (store: bfloat16)")
    return agreement


def _fastest(
    model: Any, ids: Ids, exact: torch.Tensor, device: torch.device, *, rows: int, tolerance: float
) -> tuple[Encoder | None, list[Agreement]]:
    def measure(encoder: Encoder) -> float:
        with _compiling():
            return error_of(computed(encoder, ids, device), exact)

    ways = [
        ("packed bf16", lambda: _packed(model, device)),
        ("length buckets bf16", lambda: LengthBuckets(_reduced(model, device), device)),
    ]
    return first_that_agrees(
        ways, measure, encoder="t5", device=name_of(device), rows=rows, tolerance=tolerance
    )


def _packed(model: Any, device: torch.device) -> Encoder:
    from curate.models.packed_t5 import PackedT5, fits

    reason = _too_old(device) or fits(model)
    if reason:
        raise ModelError(reason)
    encoder = PackedT5(_reduced(model, device), longest=MAX_TOKENS)
    with _compiling(), lane(device).turn():
        encoder.warm()
    return encoder


def _too_old(device: torch.device) -> str | None:
    """Why there can be no packed encoder on a GPU, or None."""
    import torch

    if find_spec("triton") is None:
        return "there is no Triton"
    found = torch.cuda.get_device_capability(device)
    if found >= OLDEST:
        return None
    return "compute capability {}.{}, packing needs {}.{}".format(*found, *OLDEST)


def _reduced(model: Any, device: torch.device) -> Any:
    """The same model in bfloat16 on the device, converted in place."""
    import torch

    return model.to(torch.bfloat16).to(device)


def _in_float32(ref: str, path: Path, device: torch.device) -> Encoder:
    import torch

    try:
        return LengthBuckets(read(ref, path).to(device), device)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"model {ref!r}: no fast path agrees with float32 here, and the GPU has no room for "
            "float32; use device: cpu"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, and without a word about the weights of a decoder."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def _full_products() -> Iterator[None]:
    """With float32 products in float32 (and not in TensorFloat-32) on GPUs."""
    import torch

    products = torch.backends.cuda.matmul
    before, products.allow_tf32 = products.allow_tf32, False
    try:
        yield
    finally:
        products.allow_tf32 = before


@contextmanager
def _compiling() -> Iterator[None]:
    """What compilers of kernels raise (Triton, or the C compiler it calls) as ModelError."""
    try:
        yield
    except _compile_errors() as error:
        raise ModelError(f"a kernel does not compile here: {error}") from error


def _compile_errors() -> tuple[type[Exception], ...]:
    try:
        from triton.errors import TritonError
    except ImportError:
        return (ImportError, SubprocessError)
    return (ImportError, SubprocessError, TritonError)


def _itself(device: torch.device, rows: int, tolerance: float, note: str = "") -> Agreement:
    """float32 as the way that is used."""
    return Agreement(
        encoder="t5", path="float32", device=name_of(device), rows=rows, error=0.0,
        tolerance=tolerance, used=True, note=note or "what the others are held against",
    )  # fmt: skip


def _release() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
