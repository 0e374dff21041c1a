"""The ways to compute CLIP's features on a GPU, fastest first, and the choice among them.

Each is held against open_clip's own model in float32, fed by open_clip's own preprocessing, on
rows of the run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from curate.errors import ModelError
from curate.models.agreement import Agreement, first_that_agrees, relative_error
from curate.models.clip_pixels import Preprocess
from curate.models.device import name_of
from curate.models.fast_clip_image import fast_image
from curate.models.fast_clip_ops import repeatable
from curate.models.fast_clip_text import FastText
from curate.models.launch import lane

if TYPE_CHECKING:
    import torch

Encode = Callable[["torch.Tensor"], "torch.Tensor"]
Tokens = Callable[[Sequence[str]], "torch.Tensor"]
TEXTS: Final = 256
"""Captions that open_clip's own text tower gets at a time."""


class Sample(NamedTuple):
    """Rows of the run: uint8 pictures [n, h, w, 3] of one or more sizes, and captions."""

    pixels: Sequence[torch.Tensor] = ()
    texts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Paths:
    """What was chosen. `prepare`: pictures of any size to what `image` takes; `text`: token ids.

    `image` and `text` give features that are not yet of unit length.
    """

    prepare: Encode
    image: Encode
    text: Encode
    agreements: tuple[Agreement, ...]


class Own:
    """An open_clip model as it is, on a device and in a dtype."""

    def __init__(
        self, model: Any, pixels: Preprocess, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._model, self._pixels = model.to(device, dtype), pixels
        self._device, self._dtype = device, dtype

    def compiled(self) -> Own:
        """The same with the blocks of its image tower compiled, on the first call."""
        visual = self._model.visual
        blocks = getattr(getattr(visual, "transformer", None), "resblocks", None)
        blocks = blocks or getattr(getattr(visual, "trunk", None), "blocks", None)
        if not blocks:
            raise ModelError(f"no blocks to compile in {type(visual).__name__}")
        for block in blocks:
            block.compile()
        return self

    def images(self, squares: torch.Tensor) -> torch.Tensor:
        """Features of pictures as bytes [n, height, width, 3]."""
        return self.normalised(self._pixels.normalised(squares, self._dtype))

    @repeatable
    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of the model's own input [n, 3, height, width], from any device."""
        values = pixels.to(self._device, self._dtype)
        found = self._model.encode_image(values, normalize=False)
        return found[0] if isinstance(found, tuple) else found

    @repeatable
    def texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Features of token ids, a few hundred captions at a time."""
        import torch

        ids = lane(self._device).send(tokens)
        found = [self._model.encode_text(some, normalize=False) for some in ids.split(TEXTS)]
        return torch.cat([one[0] if isinstance(one, tuple) else one for one in found])


def unit(features: torch.Tensor) -> torch.Tensor:
    """float32 rows of length one."""
    import torch.nn.functional as F

    return F.normalize(features.float(), dim=-1)


def own_paths(model: Any, pixels: Preprocess, device: torch.device, tolerance: float) -> Paths:
    """open_clip's own model in float32 with its own preprocessing: what a CPU runs."""
    import torch

    own = Own(model, pixels, device, torch.float32)
    told = [_itself(name, device, 0, tolerance) for name in ("clip image", "clip text")]
    return Paths(pixels.with_pillow, own.normalised, own.texts, tuple(told))


def fast_paths(
    model: Any, pixels: Preprocess, tokens: Tokens, device: torch.device, sample: Sample,
    tolerance: float,
) -> Paths:  # fmt: skip
    """The fastest way of each part that agrees with float32 on the sample.

    `model` is open_clip's, float32 on the CPU; `tokens` tokenizes captions. Without rows to look
    at, made-up ones are taken, and the agreements say that none were the run's.
    """
    import torch

    choice = _Choice(model, pixels, device, tolerance)
    with lane(device).turn():
        prepare, told = choice.pixels(sample.pixels)
        image, more = choice.images(sample.pixels, prepare)
        told += more
    given = [text for text in sample.texts if text.strip()]
    ids = tokens(given or MADE_UP_TEXTS)
    with lane(device).turn():
        text, more = choice.texts(ids, len(given))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return Paths(prepare, image, text, (*told, *more))


MADE_UP_TEXTS: Final = ("a photo of a dog on a beach", "a diagram", "two red cups beside a lamp")


class _Choice:
    """The ways of one model, each built on a copy of it."""

    def __init__(
        self, model: Any, pixels: Preprocess, device: torch.device, tolerance: float
    ) -> None:
        self._model, self._pixels = model, pixels
        self._device, self._tolerance = device, tolerance

    def pixels(self, sample: Sequence[torch.Tensor]) -> tuple[Encode, list[Agreement]]:
        """How pictures come to the model's size: on the device, or by Pillow."""
        import torch

        pictures = sample or self._made_up()
        exact = [self._pixels.with_pillow(one) for one in pictures]

        def measure(squares: Encode) -> float:
            normalised = [
                self._pixels.normalised(squares(one), torch.float32).cpu() for one in pictures
            ]
            return relative_error(_flat(normalised), _flat(exact))

        tensors: list[tuple[str, Callable[[], Encode]]] = [
            ("tensors", lambda: self._pixels.squares)
        ]
        chosen, told = first_that_agrees(
            tensors, measure, encoder="clip pixels",
            device=name_of(self._device), rows=_rows(sample), tolerance=self._tolerance,
        )  # fmt: skip
        if chosen is not None:
            return chosen, told
        told.append(_itself("clip pixels", self._device, _rows(sample), self._tolerance, "pillow"))
        return self._pixels.squares_with_pillow, told

    def images(
        self, sample: Sequence[torch.Tensor], prepare: Encode
    ) -> tuple[Encode, list[Agreement]]:
        import torch

        pictures = sample or self._made_up()
        reference = self._own(torch.float32)
        exact = torch.cat(
            [unit(reference.normalised(self._pixels.with_pillow(one))) for one in pictures]
        )
        del reference
        return self._first(
            "clip image",
            [
                ("fused", lambda: self._fused()),
                ("compiled", lambda: self._own(torch.bfloat16).compiled().images),
                ("plain bfloat16", lambda: self._own(torch.bfloat16).images),
            ],
            lambda path: torch.cat([unit(path(prepare(one))) for one in pictures]),
            exact, _rows(sample), lambda: self._own(torch.float32).images,
        )  # fmt: skip

    def texts(self, ids: torch.Tensor, rows: int) -> tuple[Encode, list[Agreement]]:
        import torch

        exact = unit(self._own(torch.float32).texts(ids))
        return self._first(
            "clip text",
            [
                ("trimmed", lambda: FastText(self._model, self._device, torch.bfloat16)),
                ("plain bfloat16", lambda: self._own(torch.bfloat16).texts),
            ],
            lambda path: unit(path(ids)), exact, rows, lambda: self._own(torch.float32).texts,
        )  # fmt: skip

    def _first(
        self, encoder: str, paths: Sequence[tuple[str, Callable[[], Encode]]],
        run: Encode, exact: torch.Tensor, rows: int, itself: Callable[[], Encode],
    ) -> tuple[Encode, list[Agreement]]:  # fmt: skip
        def measure(path: Encode) -> float:
            with _kernels_that_fail():
                return relative_error(run(path), exact)

        chosen, told = first_that_agrees(
            paths, measure, encoder=encoder, device=name_of(self._device), rows=rows,
            tolerance=self._tolerance,
        )  # fmt: skip
        if chosen is not None:
            return chosen, told
        told.append(_itself(encoder, self._device, rows, self._tolerance))
        return itself(), told

    def _fused(self) -> Encode:
        import torch

        return fast_image(self._model.visual, self._pixels, self._device, torch.bfloat16)

    def _own(self, dtype: torch.dtype) -> Own:
        import torch

        with torch.inference_mode(False):  # else a compiler takes its weights for values on the way
            return Own(copy.deepcopy(self._model), self._pixels, self._device, dtype)

    def _made_up(self) -> Sequence[torch.Tensor]:
        """Noise of two sizes: enough to see that a way runs and computes the same function."""
        import torch

        rng = torch.Generator().manual_seed(0)
        sizes = ((256, 256), (192, 320))
        return [
            torch.randint(0, 256, (4, *size, 3), dtype=torch.uint8, generator=rng).to(self._device)
            for size in sizes
        ]


@contextmanager
def _kernels_that_fail() -> Iterator[None]:
    """Triton's own errors as ModelErrors: a path that does not compile here is passed over."""
    try:
        from triton.errors import TritonError
    except ImportError:
        yield
        return
    try:
        yield
    except TritonError as error:
        raise ModelError(f"Triton: {str(error).strip()}") from error


def _itself(
    encoder: str, device: torch.device, rows: int, tolerance: float, path: str = "float32"
) -> Agreement:
    return Agreement(
        encoder=encoder, path=path, device=name_of(device), rows=rows, error=0.0, tolerance=tolerance,
        used=True, note="what the others are held against",
    )  # fmt: skip


def _rows(sample: Sequence[torch.Tensor]) -> int:
    return sum(len(one) for one in sample)


def _flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat([one.reshape(-1) for one in tensors])
