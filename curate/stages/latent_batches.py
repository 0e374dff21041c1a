"""The rows of a shard on their way through an autoencoder: enqueued, fetched, judged.

While a batch computes the next is decoded. What is wrong with a row is known when its numbers have
come back; its pixels are kept only then, for a second try in float32.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from curate.models.launch import Batches, Pending, lane
from curate.stages.latent_checks import Limits, Verdict, judge, judge_decoded, measure, psnr
from curate.stages.latent_column import Block, Rows

if TYPE_CHECKING:
    import torch

    from curate.models.vae import Vae

AHEAD: Final = 2
"""Batches of a shard that wait for the device: more would only hold its memory."""
FETCH_BYTES: Final = 256 << 20
"""Results that are held on the device before they come back in one piece."""

Size = tuple[int, ...]
"""Height, width and colours of pictures."""


@dataclass(eq=False)
class Piece:
    """Rows of one bucket that were encoded together.

    `stored` are their float16 numbers on the device until they are fetched, `values` the same on
    the host as bytes [n, row_bytes] once the walk has finished; `found` is what was measured of
    them, `pixels` what they were made of, until they are judged.
    """

    rows: Rows
    shape: tuple[int, int, int]
    stored: torch.Tensor | None
    found: Pending
    pixels: torch.Tensor | None
    values: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0), np.uint8))

    @property
    def row_bytes(self) -> int:
        return 2 * prod(self.shape)


class Encoding:
    """One walk over rows of a shard with one model: `add` enqueues, `finish` waits.

    Then `pieces` have the rows that were encoded, `channels` of each stored, `blocks` the memory of
    their values; `refused` says what is wrong with some of them, and `lost` are the rows that did
    not fit in memory alone.
    """

    def __init__(self, vae: Vae, *, mode: bool, limits: Limits, sampled: frozenset[int]) -> None:
        import torch

        self.pieces: list[Piece] = []
        self.blocks: list[Block] = []
        self.refused: dict[int, Verdict] = {}
        self.lost: set[int] = set()
        self.halved: int | None = None
        self.channels = vae.channels if mode else vae.parameters
        self._vae, self._mode, self._limits, self._sampled = vae, mode, limits, sampled
        self._lane, self._in_float32 = lane(vae.device), vae.dtype == torch.float32
        self._memory: dict[Size, Batches] = {}
        self._waiting: deque[Piece] = deque()
        self._held: list[Piece] = []
        self._fetched: list[tuple[list[Piece], Pending]] = []
        self._samples: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._kept: dict[int, torch.Tensor] = {}

    @property
    def fine(self) -> set[int]:
        """The rows that can be stored."""
        rows = {row for piece in self.pieces for row in piece.rows.tolist()}
        return rows - self.refused.keys() - self.lost

    def add(self, rows: Sequence[int], pixels: torch.Tensor, planned: int) -> None:
        """Enqueue rows with their pixels [n, h, w, 3]; `planned` is the batch of such pictures."""
        place = {row: at for at, row in enumerate(rows)}
        memory = self._memory.setdefault(tuple(pixels.shape[1:]), Batches(planned))

        def work(some: Sequence[int]) -> Piece:
            at = place[some[0]]
            return self._encode(some, pixels[at : at + len(some)])

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
        with self._lane.turn():
            if self._held:
                self._fetch()
            compared = self._decode()
        self._judge(0)
        self._judge_decoded(compared)
        for memory in self._memory.values():
            self.lost.update(memory.lost)
            self.halved = _smaller(self.halved, memory.halved)
        self._place()
        return self

    def again(self, exact: Vae) -> Encoding:
        """A walk of the refused rows with the model in float32, finished."""
        import torch

        other = Encoding(exact, mode=self._mode, limits=self._limits, sampled=self._sampled)
        groups: dict[Size, list[int]] = defaultdict(list)
        for row in sorted(self.refused):
            groups[tuple(self._kept[row].shape[1:])].append(row)
        for size, rows in groups.items():
            with self._lane.turn():
                pixels = torch.cat([self._kept.pop(row) for row in rows])
            other.add(rows, pixels, self._memory[size].planned)
        return other.finish()

    def replace(self, other: Encoding) -> None:
        """Take over, in place, what another walk made of the refused rows.

        A row that it refused too keeps what the other found.
        """
        ours = {row: piece for piece in self.pieces for row in piece.rows.tolist()}
        for piece in other.pieces:
            for row, values in zip(piece.rows.tolist(), piece.values, strict=True):
                ours[row].values[int(np.searchsorted(ours[row].rows, row))] = values
        self.refused = other.refused
        self.lost |= other.lost
        self.halved = _smaller(self.halved, other.halved)

    def _encode(self, rows: Sequence[int], pixels: torch.Tensor) -> Piece:
        import torch

        told = self._vae.moments(pixels)[:, : self.channels]
        stored = told.to(torch.float16, memory_format=torch.contiguous_format)
        found = self._lane.fetch(measure(self._vae, stored))
        for at, row in enumerate(rows):
            if row in self._sampled:
                one = slice(at, at + 1)
                self._samples[row] = (stored[one].clone(), pixels[one].clone())
        channels, height, width = stored.shape[1:]
        shape = (int(channels), int(height), int(width))
        return Piece(np.asarray(rows, np.int64), shape, stored, found, pixels)

    def _fetch(self) -> None:
        """Bring what is held on the device to the host, as one piece of memory."""
        import torch

        parts = [piece.stored.flatten() for piece in self._held if piece.stored is not None]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        self._fetched.append((self._held, self._lane.fetch(whole)))
        for piece in self._held:
            piece.stored = None
        self._held = []

    def _decode(self) -> list[tuple[Sequence[int], Pending]]:
        """Decode the sampled rows, those of one size together, and compare them with their pixels."""
        groups: dict[Size, list[int]] = defaultdict(list)
        for row, (_, pixels) in self._samples.items():
            groups[tuple(pixels.shape[1:])].append(row)
        compared: list[tuple[Sequence[int], Pending]] = []
        for rows in groups.values():
            memory = Batches(len(rows))
            compared += memory.run(rows, self._compare)
            self.lost.update(memory.lost)
        return compared

    def _compare(self, rows: Sequence[int]) -> Pending:
        import torch

        stored, pixels = (torch.cat([self._samples[row][n] for row in rows]) for n in (0, 1))
        return self._lane.fetch(psnr(self._vae, stored, pixels))

    def _judge(self, left: int) -> None:
        """Wait for the oldest batches until `left` are on their way."""
        while len(self._waiting) > left:
            piece = self._waiting.popleft()
            found = judge(piece.found.wait().numpy(), self._limits)
            rows = piece.rows.tolist()
            self.refused |= {rows[at]: verdict for at, verdict in found.items()}
            if piece.pixels is not None and not self._in_float32:
                with self._lane.turn():
                    for at in found:
                        self._kept[rows[at]] = piece.pixels[at : at + 1].clone()
            piece.pixels = None

    def _judge_decoded(self, compared: Sequence[tuple[Sequence[int], Pending]]) -> None:
        for rows, pending in compared:
            for at, verdict in judge_decoded(pending.wait().numpy(), self._limits).items():
                self.refused.setdefault(rows[at], verdict)
                self._kept[rows[at]] = self._samples[rows[at]][1]
        self._samples.clear()

    def _place(self) -> None:
        """Give each piece its values on the host."""
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


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((size for size in (one, other) if size is not None), default=None)
