"""T5 text encoders through transformers: what a caption says, one vector a token.

Preprocessing equals that of PixArtAlphaPipeline (lower case, stripped, cut at 120 tokens), since
stored embeddings must be those that sampling computes. Nothing is padded: on a GPU captions are
packed (curate.models.packed_t5), elsewhere they go in batches of equal length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.models import digest, read_config, resolve, tokenizer_dir
from curate.models.device import dtype_of, pick
from curate.models.loading import loading, refuse_random
from curate.models.text import shortened

if TYPE_CHECKING:
    import torch

    from curate.models.packed_t5 import PackedT5

MAX_TOKENS: Final = 120


class T5:
    """A loaded T5 encoder; `dim` is the width of a token's vector, `digest` hashes its files."""

    def __init__(self, model: Any, tokenizer: Any, path: Path, device: torch.device) -> None:
        self._model, self._tokenizer, self._device = model, tokenizer, device
        self.digest = digest(path)
        self.dim = dim_of(path)
        self._packed = _packed(model, device)

    @classmethod
    def load(cls, ref: str, *, device: str = "cpu") -> T5:
        """Load `builtin:NAME`, a directory or a hub reference; see `curate.models.resolve`.

        Raises ModelError if weights are missing or the tokenizer does not load.
        """
        from transformers import AutoTokenizer, T5EncoderModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        path, target = resolve(ref, "t5"), pick(device)
        kind = read_config(path, "config.json").get("model_type")
        if kind not in ("t5", "mt5"):
            raise ModelError(
                f"model {ref!r}: {path}/config.json is of a {kind!r} model, expected t5"
            )
        with loading(ref, path, "transformers"):
            model, report = T5EncoderModel.from_pretrained(
                path, dtype=dtype_of(target), local_files_only=True, use_safetensors=True,
                output_loading_info=True,
            )  # fmt: skip
            tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir(path), local_files_only=True)
        refuse_random(report, ref, path)
        return cls(model.to(target).eval().requires_grad_(False), tokenizer, path, target)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption at its true length, the closing </s> included."""
        cleaned = [shortened(text).lower().strip() for text in texts]
        if not cleaned:
            return []
        ids: list[list[int]] = self._tokenizer(cleaned, truncation=True, max_length=MAX_TOKENS)[
            "input_ids"
        ]
        return ids

    def encode(self, texts: Sequence[str], *, batch_size: int = 64) -> list[NDArray[np.float32]]:
        """Captions to float32 arrays [tokens, dim], each at its true length, in the given order."""
        import torch

        ids = self.tokens(texts)
        encoded: list[NDArray[np.float32]] = [np.empty((0, self.dim), np.float32)] * len(ids)
        if self._packed is not None:
            return self._encode_packed(ids)
        with torch.inference_mode():
            for rows in _plan([len(row) for row in ids], batch_size):
                batch = torch.tensor([ids[row] for row in rows], device=self._device)
                states = self._model(input_ids=batch).last_hidden_state.float().cpu().numpy()
                for row, state in zip(rows, states, strict=True):
                    encoded[row] = state.copy()
        return encoded

    def _encode_packed(self, ids: list[list[int]]) -> list[NDArray[np.float32]]:
        """The same on a GPU, all captions of a pack at once; the packing follows from `ids` alone."""
        import torch

        encoded: list[NDArray[np.float32]] = [np.empty((0, self.dim), np.float32)] * len(ids)
        with torch.inference_mode():
            for rows, states in self._packed.encode(ids) if self._packed else ():
                values = states.float().cpu().numpy()
                ends = np.cumsum([len(ids[row]) for row in rows])
                for row, end in zip(rows, ends, strict=True):
                    encoded[row] = values[end - len(ids[row]) : end].copy()
        return encoded


def _packed(model: Any, device: torch.device) -> PackedT5 | None:
    """The packed encoder where device and model allow it, else None."""
    from curate.models.group_norm import available
    from curate.models.packed_t5 import PackedT5, fits

    if device.type != "cuda" or not available() or fits(model) is not None:
        return None
    return PackedT5(model, longest=MAX_TOKENS)


def dim_of(path: Path) -> int:
    """The vector width that a model directory's config states; no weights are read."""
    config = read_config(path, "config.json")
    if "d_model" not in config:
        raise ModelError(f"{path}/config.json lacks d_model, so it is not a T5 encoder's")
    return int(config["d_model"])


def _plan(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Rows of each batch: equal lengths together, shortest first, in row order within a length."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    start = 0
    while start < len(order):
        end = start
        while (
            end < min(start + batch_size, len(order))
            and lengths[order[end]] == lengths[order[start]]
        ):
            end += 1
        yield order[start:end]
        start = end
