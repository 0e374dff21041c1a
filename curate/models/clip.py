"""CLIP through open_clip: how well a caption fits a picture.

A directory holds `open_clip_config.json`, safetensors weights and, where the config names one, the
tokenizer. Batches follow the order of the rows, so the same rows give the same bits on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.errors import ModelError
from curate.models import digest, read_config, resolve
from curate.models.device import dtype_of, pick
from curate.models.loading import loading
from curate.models.text import shortened

if TYPE_CHECKING:
    import torch

Pictures = NDArray[np.uint8] | Sequence[Image.Image] | Sequence[NDArray[np.uint8]]


class Clip:
    """A loaded CLIP model; `dim` is the width of its embeddings, `digest` hashes its files."""

    def __init__(
        self, model: Any, preprocess: Any, tokenizer: Any, path: Path, device: torch.device
    ) -> None:
        self._model, self._preprocess, self._tokenizer = model, preprocess, tokenizer
        self._device, self._dtype = device, dtype_of(device)
        self.digest = digest(path)
        self.dim = dim_of(path)

    @classmethod
    def load(cls, ref: str, *, device: str = "cpu") -> Clip:
        """Load `builtin:NAME`, a directory or a hub reference; see `curate.models.resolve`.

        Raises ModelError if the weights do not fit the config.
        """
        import open_clip

        path, target = resolve(ref, "clip"), pick(device)
        precision = "pure_bf16" if target.type == "cuda" else "fp32"
        name = f"local-dir:{path.resolve()}"
        with loading(ref, path, "open_clip"):
            model, preprocess = open_clip.create_model_from_pretrained(
                name, precision=precision, device=target
            )
            tokenizer = open_clip.get_tokenizer(name)
        return cls(model.eval().requires_grad_(False), preprocess, tokenizer, path, target)

    def encode_images(self, images: Pictures, *, batch_size: int = 64) -> NDArray[np.float32]:
        """uint8 pictures, [n, h, w, 3] or a list of any sizes, to unit vectors [n, dim]."""
        import torch

        def one(batch: Sequence[Any]) -> torch.Tensor:
            pixels = torch.stack([self._preprocess(_picture(image)) for image in batch])
            return self._model.encode_image(pixels.to(self._device, self._dtype), normalize=True)

        return self._run(one, images, batch_size)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> NDArray[np.float32]:
        """Captions to unit vectors [n, dim]; longer ones are cut at the model's context length."""

        def one(batch: Sequence[str]) -> torch.Tensor:
            ids = self._tokenizer([shortened(text) for text in batch])
            return self._model.encode_text(ids.to(self._device), normalize=True)

        return self._run(one, texts, batch_size)

    def _run(self, encode: Any, items: Any, batch_size: int) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            parts = [encode(batch).float().cpu().numpy() for batch in _batches(items, batch_size)]
        if not parts:
            return np.zeros((0, self.dim), np.float32)
        rows: NDArray[np.float32] = np.concatenate(parts)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def dim_of(path: Path) -> int:
    """The embedding width that a model directory's config states; no weights are read."""
    try:
        return int(read_config(path, "open_clip_config.json")["model_cfg"]["embed_dim"])
    except KeyError as error:
        raise ModelError(f"{path}/open_clip_config.json lacks {error}") from error


def _picture(image: Image.Image | NDArray[np.uint8]) -> Image.Image:
    return image if isinstance(image, Image.Image) else Image.fromarray(image)


def _batches(items: Any, size: int) -> Iterator[Iterable[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
