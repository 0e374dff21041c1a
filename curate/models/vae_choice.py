"""Which path an autoencoder's encoder takes on a GPU: the fastest that agrees with float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from curate.models.agreement import Agreement, first_that_agrees, relative_error
from curate.models.device import name_of
from curate.models.launch import lane
from curate.models.vae_paths import fast_paths, float32

if TYPE_CHECKING:
    import torch

    from curate.models.vae_paths import Encode

SAMPLE: Final = 64
"""Pictures on which the paths are held against float32."""
PIXELS: Final = 8 * 512 * 512
"""Pixels of these that go together."""


def choose(
    model: Any, groups: Sequence[torch.Tensor], *, channels: int, device: torch.device, tolerance: float
) -> tuple[Encode | None, list[Agreement]]:  # fmt: skip
    """The path to take, None for float32 itself, and what each was found to be.

    `model` comes in float32 and is left in bfloat16, channels_last. The error is that of the first
    `channels` of the parameters, the mean or the latent; a log variance's is told in the note.
    """
    import torch

    wanted = run(float32(model, device), groups, device)
    # the base class's: that of diffusers warns of parts to be kept in float32 even where there are none
    torch.nn.Module.to(model, dtype=torch.bfloat16, memory_format=torch.channels_last)
    spreads: list[str] = []

    def measure(encode: Encode) -> float:
        found = run(encode, groups, device)
        mean = _error(found, wanted, slice(None, channels))
        spread = _error(found, wanted, slice(channels, None))
        spreads.append(f"log variance {spread:.4f}" if wanted[0].shape[1] > channels else "")
        return mean if np.isfinite(spread) else spread

    rows, where = sum(map(len, groups)), name_of(device)
    found = first_that_agrees(
        fast_paths(model, device), measure, encoder="vae", device=where, rows=rows, tolerance=tolerance
    )  # fmt: skip
    encode, told = found
    noted = iter(spreads)
    told = [one if one.error is None else _noted(one, next(noted)) for one in told]
    if encode is None:
        told.append(
            told[-1].model_copy(update={
                "path": "float32", "error": 0.0, "used": True, "note": "no faster path agrees",
            })
        )  # fmt: skip
    return encode, told


def run(
    work: Callable[[torch.Tensor], torch.Tensor], batches: Sequence[torch.Tensor],
    device: torch.device,
) -> list[torch.Tensor]:  # fmt: skip
    """What `work` makes of batches from anywhere on a device, as float32 on the CPU."""
    own, waiting = lane(device), []
    for batch in batches:
        given = own.send(batch) if batch.device.type == "cpu" else batch
        with own.turn():
            waiting.append(own.fetch(work(own.keep(given)).float().contiguous()))
    return [one.wait() for one in waiting]


def groups_of(sample: Iterable[Any]) -> list[torch.Tensor]:
    """The first pictures [h, w, 3] or batches [n, h, w, 3] of a sample, uint8, as batches by size."""
    import torch

    found: dict[tuple[int, ...], list[torch.Tensor]] = {}
    left = SAMPLE
    for one in sample:
        if not left:
            break
        told = (
            torch.from_numpy(np.require(one, None, ("C", "W")))
            if isinstance(one, np.ndarray)
            else one
        )
        batch = (told if told.dim() == 4 else told[None])[:left]
        left -= len(batch)
        if len(batch):
            found.setdefault(tuple(batch.shape[1:]), []).append(batch)
    return [
        part
        for (height, width, _), parts in found.items()
        for part in torch.cat(parts).split(max(1, PIXELS // (height * width)))
    ]


def made_up(factor: int) -> list[torch.Tensor]:
    """Pictures to try paths on where no rows of the run are given: slopes under noise."""
    import torch

    side = factor * max(1, 256 // factor)
    noise = torch.randint(-32, 33, (4, side, side, 3), generator=torch.Generator().manual_seed(0))
    slope = torch.linspace(32, 223, side).round().int()[:, None, None]
    return [(noise + slope).clamp(0, 255).to(torch.uint8)]


def _error(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor], part: slice) -> float:
    """Relative error of some channels over all batches; 0 where there are none."""
    import torch

    one, other = (torch.cat([told[:, part].flatten() for told in all_]) for all_ in (found, wanted))
    return relative_error(one, other)


def _noted(told: Agreement, note: str) -> Agreement:
    notes = [text for text in (told.note, note) if text]
    return told.model_copy(update={"note": ", ".join(notes)})
