"""Which captions an encoder takes together, and their states in the order they were given in.

Nothing here pads: a pack is some captions one after another, bounded by their tokens. The plan
follows from the lengths alone, so the same captions give the same bits again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

PACK_TOKENS: Final = 16384
"""Most tokens of a pack: enough to fill the GPU's matrix units, 1.3 GB of values on the way."""
MAX_TOKENS: Final = 120
"""Where captions are cut, as PixArtAlphaPipeline cuts its prompts."""
Indices = NDArray[np.int64]


def plan_packs(lengths: Sequence[int], limit: int = PACK_TOKENS) -> list[list[int]]:
    """Which captions share a pack, by row; follows from the lengths alone.

    As few packs as hold all tokens, about equally full, longest captions first, so that
    neighbours attend over like distances. Raises ValueError for a caption beyond the limit.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    if order and lengths[order[0]] > limit:
        raise ValueError(f"a caption of {lengths[order[0]]} tokens, a pack holds {limit}")
    left = sum(lengths)
    packs: list[list[int]] = []
    start = 0
    while start < len(order):
        fair = -(-left // -(-left // limit))
        end, used = start, 0
        while end < len(order) and used < fair and used + lengths[order[end]] <= limit:
            used += lengths[order[end]]
            end += 1
        packs.append(order[start:end])
        left, start = left - used, end
    return packs


@dataclass
class Packs:
    """Packs whose limit halves when a device runs out of memory.

    `limit` is the one in force, `planned` the first one, both in tokens; `lost` are captions that
    do not fit alone.
    """

    planned: int
    limit: int = 0
    lost: list[int] = field(default_factory=list)
    relieved: bool = False

    def __post_init__(self) -> None:
        self.limit = self.limit or self.planned

    @property
    def halved(self) -> int | None:
        """The tokens that memory allowed where they are not the planned ones, else None."""
        return self.limit if self.limit < self.planned else None

    def run(
        self, lengths: Sequence[int], work: Callable[[list[int]], None],
        relieve: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`work` on each pack's captions, by row; `relieve` frees memory before another try."""
        left = list(range(len(lengths)))
        while left:
            longest = max(lengths[row] for row in left)
            packs = plan_packs([lengths[row] for row in left], max(self.limit, longest))
            done = self._some([[left[place] for place in pack] for pack in packs], lengths, work)
            if len(done) < len(left):  # outside of the handler, whose traceback holds tensors
                relieve()
                self.relieved = True
            left = [row for row in left if row not in done]

    def _some(
        self, packs: Sequence[list[int]], lengths: Sequence[int],
        work: Callable[[list[int]], None],
    ) -> set[int]:  # fmt: skip
        """The captions that are done, or lost, when a pack fails or all are through."""
        import torch

        done: set[int] = set()
        for rows in packs:
            try:
                work(rows)
            except torch.OutOfMemoryError:
                if len(rows) > 1:
                    tokens = sum(lengths[row] for row in rows)
                    self.limit = max(1, min(self.limit, tokens) // 2)
                elif self.relieved:
                    self.lost += rows
                    done.update(rows)
                return done
            done.update(rows)
        return done


def ragged(starts: Indices, lengths: Indices) -> Indices:
    """The numbers start … start + length − 1 of each pair, one run after another."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total)


def in_order(
    parts: Sequence[torch.Tensor], rows: Sequence[int], lengths: Sequence[int]
) -> torch.Tensor:
    """States of captions that were computed in the order `rows`, as rows 0, 1, 2 … without a wait.

    `lengths` are tokens by row, `parts` [tokens, dim] on one device.
    """
    import torch

    from curate.models.launch import lane

    whole = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    if list(rows) == list(range(len(rows))):
        return whole
    tokens = np.asarray(lengths, np.int64)
    starts = np.empty(len(rows), np.int64)
    starts[list(rows)] = np.cumsum(tokens[list(rows)]) - tokens[list(rows)]
    index = torch.from_numpy(ragged(starts, tokens))
    return whole.index_select(0, lane(whole.device).send(index))
