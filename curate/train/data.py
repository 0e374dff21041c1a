"""The reader: committed feature shards in, batches for training out, without Ray or copies.

It goes through the manifest alone, hashes every file before it first trusts it, skips rows that
the ledger does not keep, and picks up at any sample from a state of a few bytes. Arrays are numpy,
so other trainers can use it; bfloat16 comes as its bits in uint16, the 8-bit form as its bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.errors import MissingInput, RecipeError
from curate.store.dataset import Dataset
from curate.store.numbers import INT8
from curate.train.order import Indices, Order, Window, uniform
from curate.train.shards import Bytes, Row, Shards

NUMPY_DTYPES: Final[dict[str, Any]] = {
    "bfloat16": np.uint16, "float16": np.float16, "float32": np.float32, INT8: np.uint8,
}  # fmt: skip
_CAPTION, _DROP = 3, 4  # salts of the draws that belong to a position


@dataclass(frozen=True)
class State:
    """Where the reader stands: the next position, and positions read but not yet handed out.

    `pending` is empty unless latents of several shapes wait for their batches to fill.
    """

    position: int = 0
    pending: tuple[int, ...] = ()


@dataclass(frozen=True)
class Batch:
    """`moments` [n, 2 × channels, h, w], or [n, channels, h, w] where the shards hold modes;
    `text` [tokens, dim], the captions one after another (`store.numbers.dequantise` reads the 8-bit
    form, whose vectors are bytes); `lengths` int64 [n] tokens a caption; `positions` int64 [n];
    `state` goes on after this batch.
    """

    moments: npt.NDArray[Any]
    text: npt.NDArray[Any]
    lengths: Indices
    positions: Indices
    state: State


@dataclass(frozen=True, slots=True)
class _Sample:
    position: int
    row: Row


class Reader:
    """Batches of one rank; all ranks together see every kept row once an epoch.

    `batch_size` samples make one step over all `world` ranks; rank r gets the r-th equal share.
    `unconditional` is the embedding of the empty caption, [tokens, dim] in the form of the shards'
    own (`Batch.text`), which replaces a caption with probability `caption_dropout`. Given `Shards`, files that they have verified are not hashed
    again.
    Raises StoreError for a file that does not verify or a kept row without features, MissingInput
    if the dataset lacks latents or text embeddings.
    """

    def __init__(
        self, dataset: Dataset | Shards, *, batch_size: int, seed: int = 0, window_rows: int = 2048,
        caption_dropout: float = 0.0, unconditional: npt.NDArray[Any] | None = None,
        rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        if batch_size % world:
            raise RecipeError(f"batch_size {batch_size} does not divide over {world} ranks")
        if caption_dropout and unconditional is None:
            raise RecipeError("caption_dropout needs the embedding of the empty caption")
        shards = dataset if isinstance(dataset, Shards) else Shards(dataset)
        self.features = shards.features
        self.parts = [part for part in shards.parts() if part.kept_rows]
        self.order = Order(tuple(part.kept_rows for part in self.parts), seed, window_rows)
        if not self.order.rows:
            raise MissingInput(f"{shards.dataset.root} keeps no row: there is nothing to train on")
        self._batch_size, self._share, self._rank = batch_size, batch_size // world, rank
        self._dropout = caption_dropout
        self._empty = None if unconditional is None else np.ascontiguousarray(unconditional)

    def batches(self, state: State = State()) -> Iterator[Batch]:
        """Batches from a state onwards, without end; each is full and of one latent shape."""
        waiting: dict[tuple[int, int], list[_Sample]] = {}
        for sample in self._pending(state):
            waiting.setdefault(sample.row.shape, []).append(sample)
        for window in self.order.windows(state.position):
            skip = max(state.position - window.first, 0)
            for sample in self._samples(window, np.arange(skip, len(window.shuffle))):
                group = waiting.setdefault(sample.row.shape, [])
                group.append(sample)
                if len(group) == self._batch_size:
                    del waiting[sample.row.shape]
                    held = (s.position for rest in waiting.values() for s in rest)
                    after = State(sample.position + 1, tuple(sorted(held)))
                    yield self._batch(group[self._rank * self._share :][: self._share], after)
            waiting = {shape: [_owned(s) for s in group] for shape, group in waiting.items()}

    def side(self) -> int:
        """The usual side of a latent: what a model of this data is built for."""
        return self.parts[0].side()

    def consumed(self, state: State) -> list[dict[str, Any]]:
        """Rows handed out up to a state: per shard, ranges [first, last] of row offsets in its file."""
        seen = self.order.seen(state.position, state.pending)
        return [
            part.account(rows) for part, rows in zip(self.parts, seen, strict=True) if len(rows)
        ]

    def _pending(self, state: State) -> Iterator[_Sample]:
        for position in state.pending:
            window = self.order.window_at(position)
            yield from map(_owned, self._samples(window, np.array([position - window.first])))

    def _samples(self, window: Window, offsets: Indices) -> Iterator[_Sample]:
        """The samples at some offsets of a window, in order."""
        rows = [row for s in window.spans for row in self.parts[s.part].load(s.start, s.stop)]
        for offset in offsets.tolist():
            yield _Sample(window.first + offset, rows[int(window.shuffle[offset])])

    def _batch(self, samples: Sequence[_Sample], state: State) -> Batch:
        positions = np.array([s.position for s in samples], np.int64)
        size = (self.features.latent_planes, *samples[0].row.shape)
        kind = NUMPY_DTYPES[self.features.latent_dtype]
        latents = np.stack([s.row.latent for s in samples]).view(kind)
        kind = NUMPY_DTYPES[self.features.text_dtype]
        width = self.features.token_bytes // np.dtype(kind).itemsize
        text = [caption.view(kind) for caption in self._texts(samples, positions)]
        lengths = np.array([t.size // width for t in text], np.int64)
        packed = np.concatenate(text).reshape(-1, width)
        return Batch(latents.reshape(-1, *size), packed, lengths, positions, state)

    def _texts(self, samples: Sequence[_Sample], positions: Indices) -> list[Bytes]:
        """One caption a sample, or the empty one: drawn from seed and position alone."""
        pick = uniform(self.order.seed, _CAPTION, positions)
        chosen = [
            s.row.captions[int(u * len(s.row.captions))] for s, u in zip(samples, pick, strict=True)
        ]
        if self._empty is None:
            return chosen
        empty = self._empty.reshape(-1).view(np.uint8)
        drop = uniform(self.order.seed, _DROP, positions) < self._dropout
        return [empty if d else caption for d, caption in zip(drop, chosen, strict=True)]


class Prefetch:
    """An endless iterator read ahead by one thread."""

    def __init__(self, batches: Iterator[Batch], depth: int) -> None:
        self._batches = batches
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="curate-reader")
        self._ahead: deque[Future[Batch]] = deque(self._submit() for _ in range(depth))

    def _submit(self) -> Future[Batch]:
        return self._worker.submit(next, self._batches)

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def next(self) -> Batch:
        """The next batch; an error of the reading thread is raised here."""
        batch = self._ahead.popleft().result()
        self._ahead.append(self._submit())
        return batch


def _owned(sample: _Sample) -> _Sample:
    return _Sample(sample.position, sample.row.owned())
