"""T5 text encoders through transformers: what a caption says, one vector a token.

Preprocessing equals that of PixArtAlphaPipeline (lower case, stripped, cut at 120 tokens), since
stored embeddings must be those that sampling computes. Nothing is padded: on a GPU captions are
packed (curate.models.packed_t5), elsewhere they go in batches of equal length.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.models import digest, read_config, resolve, tokenizer_dir
from curate.models.agreement import TOLERANCE, Agreement
from curate.models.caption_packs import MAX_TOKENS, PACK_TOKENS, plan_packs
from curate.models.device import dtype_of, pick
from curate.models.launch import lane
from curate.models.loading import loading
from curate.models.t5_paths import (
    BATCH_SIZE,
    Encoder,
    Ids,
    Store,
    choose,
    class_of,
)
from curate.models.text import shortened

if TYPE_CHECKING:
    import torch

PROBES: Final = (
    "a red circle above a small blue square", "Portrait of a woman with a pearl earring, 1665",
    "a dog", "Aerial view of terraced rice fields at sunrise, with a village in the distance and "
    "mist between the hills", "IMG_2041.JPG", "old town street in the rain, people with umbrellas",
)  # fmt: skip
"""What paths are held against float32 on where no rows of a run are at hand."""


class T5:
    """A loaded T5 encoder; `dim` is the width of a token's vector, `digest` hashes its files.

    `agreements` say how far the path in use, and those that were passed over, lie from float32.
    """

    def __init__(
        self, encoder: Encoder, tokenizer: Any, path: Path, device: torch.device,
        agreements: Sequence[Agreement] = (),
    ) -> None:  # fmt: skip
        self._encoder, self._tokenizer = encoder, tokenizer
        self._tokenizing = threading.Lock()
        self.device, self.agreements = device, tuple(agreements)
        self.digest = digest(path)
        self.dim = dim_of(path)

    @classmethod
    def load(
        cls, ref: str, *, device: str = "cpu", sample: Sequence[str] = (),
        tolerance: float = TOLERANCE, store: Store = "bfloat16",
    ) -> T5:  # fmt: skip
        """Load `builtin:NAME`, a directory or a hub reference; see `curate.models.resolve`.

        On a GPU the fastest path is taken that stays within `tolerance` of float32 on the captions
        of `sample`. With `store` int8 the 8-bit form of the states is held against float32 too.
        Raises ModelError if weights are missing, the tokenizer does not load, or the 8-bit form is
        out of tolerance.
        """
        from transformers import AutoTokenizer

        path, target = resolve(ref, "t5"), pick(device)
        class_of(ref, path)
        with loading(ref, path, "transformers"):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir(path), local_files_only=True)
        given = list(dict.fromkeys(text for text in sample if text.strip()))
        encoder, agreements = choose(
            ref, path, _ids(tokenizer, given or PROBES), target, rows=len(given),
            tolerance=tolerance, store=store,
        )  # fmt: skip
        return cls(encoder, tokenizer, path, target, agreements)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each caption at its true length, the closing </s> included."""
        with self._tokenizing:  # tokenizers set their truncation at each call
            return _ids(self._tokenizer, texts)

    def states(
        self, ids: Ids, *, pack_tokens: int = PACK_TOKENS, batch_size: int = BATCH_SIZE
    ) -> torch.Tensor:
        """States [sum of tokens, dim] on the device in the given order, of captions' token ids.

        bfloat16 on a GPU (float32 where no faster path agrees with it), float32 on a CPU. Inside a
        turn of the device's lane nothing waits. Packs hold `pack_tokens` at most; where captions
        are not packed, `batch_size` of equal length go together. Raises ValueError for a caption
        without tokens, beyond MAX_TOKENS or beyond the pack.
        """
        import torch

        if not len(ids):
            return torch.empty((0, self.dim), dtype=dtype_of(self.device), device=self.device)
        if not all(0 < len(caption) <= MAX_TOKENS for caption in ids):
            raise ValueError(f"each caption needs 1 to {MAX_TOKENS} tokens")
        with torch.inference_mode():
            return self._encoder.states(ids, pack_tokens=pack_tokens, batch_size=batch_size)

    def encode(
        self, texts: Sequence[str], *, batch_size: int = BATCH_SIZE
    ) -> list[NDArray[np.float32]]:
        """Captions to float32 arrays [tokens, dim], each at its true length, in the given order."""
        ids, here = self.tokens(texts), lane(self.device)
        encoded: list[NDArray[np.float32]] = [np.empty((0, self.dim), np.float32)] * len(ids)
        for rows in plan_packs([len(row) for row in ids]):
            with here.turn():
                states = self.states([ids[row] for row in rows], batch_size=batch_size)
                pending = here.fetch(states.float())
            values = pending.wait().numpy()
            ends = np.cumsum([len(ids[row]) for row in rows])
            for row, end in zip(rows, ends, strict=True):
                encoded[row] = values[end - len(ids[row]) : end].copy()
        return encoded


def dim_of(path: Path) -> int:
    """The vector width that a model directory's config states; no weights are read."""
    config = read_config(path, "config.json")
    if "d_model" not in config:
        raise ModelError(f"{path}/config.json lacks d_model, so it is not a T5 encoder's")
    return int(config["d_model"])


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    cleaned = [shortened(text).lower().strip() for text in texts]
    if not cleaned:
        return []
    ids: list[list[int]] = tokenizer(cleaned, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    if not all(ids):
        raise ModelError(
            "the tokenizer gives the empty caption no token: it must add a closing </s>"
        )
    return ids
