"""The rows of a shard on their way through an autoencoder: enqueued, fetched, judged.

While a batch computes the next is decoded. What is wrong with a row is known when its numbers have
come back; its pixels are kept only then, for a second try in float32.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from curate.models.launch import Batches, Pending, lane
from curate.stages.latent_checks import Limits, Verdict, judge, measure
from curate.stages.latent_column import Block, Rows

if TYPE_CHECKING:
    import torch

    from curate.models.vae import Vae

AHEAD: Final = 2
"""Batches of a shard that wait for the device: more would only hold its memory."""
FETCH_BYTES: Final = 256 << 20
"""Results that are held on the device before they come back in one piece."""


@dataclass(eq=False)
class Piece:
    """Rows of one bucket that were encoded together.

    `values` are their float16 numbers as bytes [n, size] on the host, once the walk has finished.
    `refused` says what is wrong with some rows; `pixels` are those of all rows until these are
    judged, then of the refused alone.
    """

    rows: Rows
    planned: int
    shape: tuple[int, int, int]
    stored: torch.Tensor | None
    found: Pending
    pixels: torch.Tensor | None
    refused: dict[int, Verdict] = field(default_factory=dict)
    values: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0), np.uint8))

    @property
    def row_bytes(self) -> int:
        return 2 * prod(self.shape)


class Encoding:
    """One walk over rows of a shard with one model: `add` enqueues, `finish` waits.

    Then `pieces` have the rows that were encoded, `channels` of each stored, `blocks` the memory of
    their values; `lost` are the rows that did not fit in memory alone.
    """

    def __init__(self, vae: Vae, *, mode: bool, limits: Limits, sampled: frozenset[int]) -> None:
        self.pieces: list[Piece] = []
        self.blocks: list[Block] = []
        self._tried: list[Encoding] = []
        self._vae, self._limits, self._sampled = vae, limits, sampled
        self.channels = vae.channels if mode else vae.parameters
        self._lane = lane(vae.device)
        self._memory: dict[tuple[int, ...], Batches] = {}
        self._waiting: deque[Piece] = deque()
        self._held: list[Piece] = []
        self._fetched: list[tuple[list[Piece], Pending]] = []

    @property
    def lost(self) -> list[int]:
        own = [row for memory in self._memory.values() for row in memory.lost]
        return own + [row for other in self._tried for row in other.lost]

    @property
    def halved(self) -> int | None:
        """The smallest batch that memory allowed, None where all were as planned."""
        found = [memory.halved for memory in self._memory.values()]
        found += [other.halved for other in self._tried]
        return min((size for size in found if size is not None), default=None)

    @property
    def refused(self) -> dict[int, Verdict]:
        return {row: verdict for piece in self.pieces for row, verdict in piece.refused.items()}

    @property
    def fine(self) -> set[int]:
        """The rows that can be stored."""
        rows = {row for piece in self.pieces for row in piece.rows.tolist()}
        return rows - self.refused.keys()

    def add(self, rows: Sequence[int], pixels: torch.Tensor, planned: int) -> None:
        """Enqueue rows with their pixels [n, h, w, 3]; `planned` is the batch of such pictures."""
        place = {row: at for at, row in enumerate(rows)}
        memory = self._memory.setdefault(tuple(pixels.shape[1:]), Batches(planned))

        def work(some: Sequence[int]) -> Piece:
            at = place[some[0]]
            return self._encode(some, pixels[at : at + len(some)], planned)

        with self._lane.turn():
            self._lane.keep(pixels)
            made = [piece for _, piece in memory.run(rows, work)]
            self._held += made
            if sum(len(piece.rows) * piece.row_bytes for piece in self._held) >= FETCH_BYTES:
                self._fetch()
        self.pieces += made
        self._waiting += made
        self._judge(AHEAD)

    def finish(self) -> Encoding:
        """Wait for everything, and judge it."""
        if self._held:
            with self._lane.turn():
                self._fetch()
        self._judge(0)
        for pieces, pending in self._fetched:
            values, start = pending.wait().numpy().view(np.uint8), 0
            for piece in pieces:
                end = start + len(piece.rows) * piece.row_bytes
                piece.values = values[start:end].reshape(len(piece.rows), piece.row_bytes)
                start = end
            rows = np.concatenate([piece.rows for piece in pieces])
            sizes = [np.full(len(piece.rows), piece.row_bytes) for piece in pieces]
            self.blocks.append(Block(rows, np.concatenate(sizes), values))
        self._fetched.clear()
        return self

    def again(self, exact: Vae) -> Encoding:
        """A walk of the refused rows with another model, finished."""
        other = Encoding(
            exact, mode=self.channels == exact.channels, limits=self._limits, sampled=self._sampled
        )
        for piece in self.pieces:
            if piece.pixels is not None:
                other.add(list(piece.refused), piece.pixels, piece.planned)
        return other.finish()

    def replace(self, other: Encoding) -> None:
        """Take over, in place, what another walk made of the refused rows.

        A row that it refused too keeps what the other found.
        """
        ours = {row: piece for piece in self.pieces for row in piece.refused}
        for piece in other.pieces:
            for row, values in zip(piece.rows.tolist(), piece.values, strict=True):
                own = ours[row]
                if row in piece.refused:
                    own.refused[row] = piece.refused[row]
                else:
                    own.values[int(np.searchsorted(own.rows, row))] = values
                    del own.refused[row]
        self._tried.append(other)

    def _encode(self, rows: Sequence[int], pixels: torch.Tensor, planned: int) -> Piece:
        import torch

        told = self._vae.moments(pixels)[:, : self.channels]
        stored = told.to(torch.float16, memory_format=torch.contiguous_format)
        decoded = [at for at, row in enumerate(rows) if row in self._sampled]
        found = self._lane.fetch(measure(self._vae, stored, pixels, decoded))
        channels, height, width = stored.shape[1:]
        shape = (int(channels), int(height), int(width))
        return Piece(np.asarray(rows, np.int64), planned, shape, stored, found, pixels)

    def _fetch(self) -> None:
        """Bring what is held on the device to the host, as one piece of memory."""
        import torch

        parts = [piece.stored.flatten() for piece in self._held if piece.stored is not None]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        self._fetched.append((self._held, self._lane.fetch(whole)))
        for piece in self._held:
            piece.stored = None
        self._held = []

    def _judge(self, left: int) -> None:
        """Wait for the oldest batches until `left` are on their way."""
        while len(self._waiting) > left:
            piece = self._waiting.popleft()
            verdicts = judge(piece.found.wait().numpy(), self._limits)
            wrong = [at for at, verdict in enumerate(verdicts) if verdict is not None]
            rows = piece.rows.tolist()
            piece.refused = {rows[at]: told for at in wrong if (told := verdicts[at]) is not None}
            piece.pixels = piece.pixels[wrong] if wrong and piece.pixels is not None else None
