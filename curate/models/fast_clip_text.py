"""The text tower of CLIP with its blocks as a Stack, captions cut at the token that is pooled.

Where attention is causal, no token looks at what comes after it, so what follows the pooled token
need not be computed. Captions go in order of length, so that little of a batch is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from curate.errors import ModelError
from curate.models.fast_clip import Stack, parameters, placed
from curate.models.fast_clip_ops import repeatable
from curate.models.fast_clip_parts import fits_open_clip, open_clip_parts
from curate.models.launch import lane

if TYPE_CHECKING:
    import torch

BATCH_TOKENS: Final = 16384
ENOUGH_TOKENS: Final = 4096
"""A batch of so many tokens ends where a caption is an eighth longer than its shortest."""


def plan_trimmed(
    lengths: Sequence[int], *, limit: int = BATCH_TOKENS, enough: int = ENOUGH_TOKENS
) -> list[tuple[NDArray[np.int64], int]]:
    """Rows of each batch, shortest captions first, and the tokens that each of its rows takes.

    Follows from the lengths alone. No batch has more than `limit` tokens, padding included, but
    for a single longer caption.
    """
    sizes = np.asarray(lengths, np.int64)
    order = np.argsort(sizes, kind="stable")
    batches: list[tuple[NDArray[np.int64], int]] = []
    start = 0
    while start < len(order):
        shortest, end = int(sizes[order[start]]), start + 1
        while end < len(order):
            longest = int(sizes[order[end]])
            full = (end + 1 - start) * longest > limit
            uneven = (end - start) * shortest >= enough and longest * 8 > shortest * 9
            if full or uneven:
                break
            end += 1
        batches.append((order[start:end], int(sizes[order[end - 1]])))
        start = end
    return batches


def fits(model: Any) -> str | None:
    """None if the text tower of an open_clip model is known here, else what is different."""
    tower = _tower(model)
    for name in ("token_embedding", "positional_embedding", "transformer", "ln_final"):
        if not hasattr(tower, name):
            return f"the text tower is {type(tower).__name__}"
    if getattr(tower, "cls_emb", None) is not None or getattr(tower, "use_pad_mask", False):
        return "the text tower has a class token or a padding mask"
    if _pooling(model) not in ("first", "last", "argmax", "eos"):
        return f"tokens are pooled by {_pooling(model)!r}"
    return fits_open_clip(tower.transformer)


class FastText:
    """Token ids on the CPU, int [n, context], to features, float32 [n, dim], in the given order.

    Raises ModelError that says what is different in a tower unknown here. The model is held in
    float32; `options` are the Stack's.
    """

    def __init__(
        self, model: Any, device: torch.device, dtype: torch.dtype, **options: Any
    ) -> None:
        different = fits(model)
        if different is not None:
            raise ModelError(different)
        tower = _tower(model)
        self._device = device
        self._pool, self._end = _pooling(model), _end_token(model)
        self._causal = tower.attn_mask is not None
        self._stack = Stack(open_clip_parts(tower.transformer), device, dtype, **options)
        words, places = placed((tower.token_embedding.weight, tower.positional_embedding), device)
        self._words, self._places = words.to(dtype), places.to(dtype)
        self._after = placed(parameters(tower.ln_final), device)
        self._eps = float(tower.ln_final.eps)
        self._out = _projection(tower.text_projection, device)

    @repeatable
    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        import torch

        pooled = self._pooled(tokens)
        lengths = pooled + 1 if self._causal else torch.full_like(pooled, tokens.shape[1])
        batches = plan_trimmed(lengths.tolist())
        ids, ends, back = self._sent(tokens, pooled, batches)
        parts, at, row = [], 0, 0
        for rows, longest in batches:
            count = len(rows)
            some = ids[at : at + count * longest]
            parts.append(self._encoded(some, longest, ends[row : row + count]))
            at, row = at + count * longest, row + count
        return torch.cat(parts)[back]

    def _encoded(self, ids: torch.Tensor, longest: int, ends: torch.Tensor) -> torch.Tensor:
        """One batch: ids [captions × longest], `ends` the row of each caption's pooled token."""
        import torch.nn.functional as F

        x = F.embedding(ids, self._words)
        x.view(-1, longest, x.shape[1]).add_(self._places[:longest])
        x = self._stack(x, longest, causal=self._causal)[ends].float() + self._stack.left
        weight, offset = self._after
        x = F.layer_norm(x, x.shape[-1:], weight, offset, self._eps)
        return x if self._out is None else F.linear(x, *self._out)

    def _pooled(self, tokens: torch.Tensor) -> torch.Tensor:
        """The place of the token that each caption's feature is read from."""
        import torch

        if self._pool == "argmax":
            return tokens.argmax(-1)
        if self._pool == "eos":
            return (tokens == self._end).int().argmax(-1)
        last = tokens.shape[1] - 1 if self._pool == "last" else 0
        return torch.full((len(tokens),), last)

    def _sent(
        self, tokens: torch.Tensor, pooled: torch.Tensor,
        batches: Sequence[tuple[NDArray[np.int64], int]],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        """On the device: the ids of all batches one after another, the pooled rows, the way back."""
        import torch

        ids, ends = [], []
        for rows, longest in batches:
            chosen = torch.from_numpy(rows)
            ids.append(tokens[chosen, :longest].reshape(-1))
            ends.append(torch.arange(len(rows)) * longest + pooled[chosen])
        back = np.argsort(np.concatenate([rows for rows, _ in batches]), kind="stable")
        send = lane(self._device).send
        return (
            send(torch.cat(ids).to(torch.int64)),
            send(torch.cat(ends)),
            send(torch.from_numpy(back)),
        )


def _tower(model: Any) -> Any:
    """Where an open_clip model has its text tower: a part of its own, or itself."""
    return getattr(model, "text", model)


def _pooling(model: Any) -> str:
    tower = _tower(model)
    return str(getattr(tower, "pool_type", None) or getattr(tower, "text_pool_type", None))


def _end_token(model: Any) -> int | None:
    tower = _tower(model)
    return getattr(tower, "eos_id", getattr(tower, "text_eos_id", None))


def _projection(
    module: Any, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None] | None:
    """The last product, float32, as `F.linear` takes it; None where there is none."""
    import torch

    if module is None:
        return None
    if isinstance(module, torch.nn.Linear):
        weight = placed((module.weight,), device)[0]
        return weight, None if module.bias is None else placed((module.bias,), device)[0]
    return placed((module,), device)[0].t().contiguous(), None
