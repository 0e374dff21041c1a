"""CLIP through open_clip: how well a caption fits a picture.

A directory holds `open_clip_config.json`, safetensors weights and, where the config names one, the
tokenizer. On a CPU open_clip's own model runs in float32; on a GPU the fastest way that agrees
with it on rows of the run (curate.models.clip_paths).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.errors import ModelError
from curate.models import digest, read_config, resolve
from curate.models.agreement import TOLERANCE, Agreement
from curate.models.clip_paths import Paths, Sample, fast_paths, own_paths, unit
from curate.models.clip_pixels import preprocess_of
from curate.models.device import pick
from curate.models.launch import lane
from curate.models.loading import loading
from curate.models.text import shortened

if TYPE_CHECKING:
    import torch

Pictures = NDArray[np.uint8] | Sequence[Image.Image] | Sequence[NDArray[np.uint8]]


class Clip:
    """A loaded CLIP model; `dim` is the width of its embeddings, `digest` hashes its files.

    `agreements` say which ways of computing were tried and taken. What returns tensors on the
    device only enqueues work: call it inside `lane(clip.device).turn()`.
    """

    def __init__(
        self, paths: Paths, tokenizer: Any, context: int, path: Path, device: torch.device
    ) -> None:
        self._paths, self._tokenizer, self._context = paths, tokenizer, context
        self.device = device
        self.agreements: tuple[Agreement, ...] = paths.agreements
        self.digest = digest(path)
        self.dim = dim_of(path)

    @classmethod
    def load(
        cls, ref: str, *, device: str = "cpu", sample: Sample | None = None,
        tolerance: float = TOLERANCE,
    ) -> Clip:  # fmt: skip
        """Load `builtin:NAME`, a directory or a hub reference; see `curate.models.resolve`.

        On a GPU every fast way is held against float32 on the sample, and taken if its relative
        error is within `tolerance`. Raises ModelError if the weights do not fit the config.
        """
        import open_clip

        path, target = resolve(ref, "clip"), pick(device)
        name = f"local-dir:{path.resolve()}"
        with loading(ref, path, "open_clip"):
            model, own = open_clip.create_model_from_pretrained(name, precision="fp32")
            tokenizer = open_clip.get_tokenizer(name)
        model = model.eval().requires_grad_(False)
        pixels, context = preprocess_of(model, own), int(tokenizer.context_length)
        if target.type == "cpu":
            paths = own_paths(model, pixels, target, tolerance)
        else:
            paths = fast_paths(
                model, pixels, lambda texts: _tokens(tokenizer, texts, context), target,
                sample or Sample(), tolerance,
            )  # fmt: skip
        return cls(paths, tokenizer, context, path, target)

    def prepare(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 pictures [n, h, w, 3] on the device as `vectors` takes them, one size for all."""
        return self._paths.prepare(pixels)

    def vectors(self, prepared: torch.Tensor) -> torch.Tensor:
        """Prepared pictures to float32 unit vectors [n, dim] on the device."""
        if not len(prepared):
            return self.none()
        return unit(self._paths.image(prepared))

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 pictures [n, h, w, 3] on the device to float32 unit vectors [n, dim] there."""
        return self.vectors(self.prepare(pixels)) if len(pixels) else self.none()

    def tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """Captions to token ids, int64 [n, context] on the CPU; longer ones are cut."""
        return _tokens(self._tokenizer, texts, self._context)

    def texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """Token ids to float32 unit vectors [n, dim] on the device, in the given order."""
        return unit(self._paths.text(tokens)) if len(tokens) else self.none()

    def encode_images(self, images: Pictures, *, batch_size: int = 64) -> NDArray[np.float32]:
        """uint8 pictures, [n, h, w, 3] or a list of any sizes, to unit vectors [n, dim]."""
        import torch

        def one(batch: Sequence[Any]) -> torch.Tensor:
            pixels = [torch.from_numpy(_array(picture)[None]) for picture in batch]
            send = lane(self.device).send
            return self.vectors(torch.cat([self.prepare(send(one)) for one in pixels]))

        return self._run(one, images, batch_size)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> NDArray[np.float32]:
        """Captions to unit vectors [n, dim]; longer ones are cut at the model's context length."""
        return self._run(lambda batch: self.texts(self.tokens(batch)), texts, batch_size)

    def _run(
        self, encode: Callable[[Sequence[Any]], torch.Tensor], items: Any, batch_size: int
    ) -> NDArray[np.float32]:
        way, pending = lane(self.device), []
        for batch in _batches(items, batch_size):
            with way.turn():
                pending.append(way.fetch(encode(batch)))
        if not pending:
            return np.zeros((0, self.dim), np.float32)
        return np.concatenate([one.wait().numpy() for one in pending])

    def none(self) -> torch.Tensor:
        """The vectors of no pictures or captions, [0, dim]."""
        import torch

        return torch.zeros(0, self.dim, device=self.device)


def dim_of(path: Path) -> int:
    """The embedding width that a model directory's config states; no weights are read."""
    try:
        return int(read_config(path, "open_clip_config.json")["model_cfg"]["embed_dim"])
    except KeyError as error:
        raise ModelError(f"{path}/open_clip_config.json lacks {error}") from error


def _array(picture: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture's own copy of its pixels, [h, w, 3]."""
    return np.array(picture.convert("RGB") if isinstance(picture, Image.Image) else picture)


def _tokens(tokenizer: Any, texts: Sequence[str], context: int) -> torch.Tensor:
    import torch

    if not texts:
        return torch.zeros(0, context, dtype=torch.int64)
    return tokenizer([shortened(text) for text in texts]).to(torch.int64)


def _batches(items: Any, size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
