"""Stored states of a shard's captions in row order, filled pack by pack on the device.

Captions come in the order of the packing plan, each once; rows may hold the same one several times.
What comes out is one block of memory, ready to be the values of an Arrow column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from curate.models.caption_packs import Indices, ragged
from curate.models.launch import Lane, Pending

if TYPE_CHECKING:
    import torch


class Shelf:
    """`lengths` are tokens by caption, `places` which caption stands where, `form` what is stored.

    `form` turns states [tokens, dim] into [tokens, width]. `put`, `spill` and `fetch` belong inside
    a turn of the lane.
    """

    def __init__(
        self, here: Lane, lengths: Indices, places: Indices, form: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:  # fmt: skip
        sizes = lengths[places]
        ends = np.cumsum(sizes)
        self._lane, self._form, self._lengths = here, form, lengths
        self._tokens = int(ends[-1]) if len(ends) else 0
        self._starts = ends - sizes
        self._by_caption = np.argsort(places, kind="stable").astype(np.int64)
        self._copies = np.bincount(places, minlength=len(lengths))
        self._first = np.cumsum(self._copies) - self._copies
        self._values: torch.Tensor | None = None
        self._on_host = here.device.type == "cpu"
        self._broken: torch.Tensor | None = None

    def put(self, captions: list[int], states: torch.Tensor) -> None:
        """Take the states of some captions, one caption after another."""
        import torch

        rows = np.asarray(captions, np.int64)
        owner, source, target = self._indices(rows)
        told = self._lane.send(torch.from_numpy(np.concatenate([owner, source, target])))
        owners, sources, targets = told.split([len(owner), len(source), len(target)])
        self._look(states, owners)
        stored = self._form(states)
        if self._on_host and stored.device.type != "cpu":
            stored = self._lane.fetch(stored).wait()
            sources, targets = torch.from_numpy(source), torch.from_numpy(target)
        if self._values is None:
            self._values = stored.new_empty((self._tokens, stored.shape[1]))
        self._values.index_copy_(0, targets, stored.index_select(0, sources))

    def spill(self) -> None:
        """Free the device: what is there moves to the host, and what comes goes there at once."""
        import torch

        if self._lane.device.type != "cuda":
            return
        if self._values is not None and not self._on_host:
            self._values = self._lane.fetch(self._values).wait()
        self._on_host = True
        torch.cuda.empty_cache()

    def fetch(self) -> tuple[Pending, Pending]:
        """All values [tokens, width], and int32 [captions]: how many tokens are not finite."""
        import torch

        if self._values is None or self._broken is None:  # every caption was lost, or there is none
            return Pending(torch.empty((0, 1))), Pending(torch.zeros(len(self._lengths)))
        on_host = self._values.device.type == "cpu"
        values = Pending(self._values) if on_host else self._lane.fetch(self._values)
        return values, self._lane.fetch(self._broken)

    def _indices(self, rows: Indices) -> tuple[Indices, Indices, Indices]:
        """The caption of each token that comes, and for each that is stored: from where, to where."""
        sizes, copies = self._lengths[rows], self._copies[rows]
        starts = np.cumsum(sizes) - sizes
        places = self._by_caption[ragged(self._first[rows], copies)]
        lengths = np.repeat(sizes, copies)
        source = ragged(np.repeat(starts, copies), lengths)
        return np.repeat(rows, sizes), source, ragged(self._starts[places], lengths)

    def _look(self, states: torch.Tensor, owners: torch.Tensor) -> None:
        """Count the tokens of each caption that are not finite, or not in bfloat16."""
        import torch

        if self._broken is None:
            self._broken = torch.zeros(len(self._lengths), dtype=torch.int32, device=states.device)
        rounded = states.to(torch.bfloat16)
        bad = ~(
            torch.isfinite(rounded.amin(1)) & torch.isfinite(rounded.amax(1))
        )  # NaN is passed on
        self._broken.index_add_(0, owners, bad.to(torch.int32))
