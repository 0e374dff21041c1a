"""How far a fast path lies from float32 on rows of the run itself, and whether it was taken.

Random weights lack the outliers of real ones and made-up pictures those of real pictures, so each
worker measures on the data it is about to encode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel

from curate.errors import ModelError

if TYPE_CHECKING:
    import torch

Path_ = TypeVar("Path_")
TOLERANCE: Final = 0.02
"""Largest relative error ‖fast − exact‖ / ‖exact‖ that a fast path may have."""


class Agreement(BaseModel, frozen=True, extra="forbid"):
    """One path of one encoder beside float32: `error` is null where the path could not run."""

    encoder: str  # clip image, clip text, t5, t5 int8, vae …
    path: str  # what computed it: packed, fused, compiled, plain bfloat16, float32
    device: str
    rows: int
    error: float | None
    tolerance: float
    used: bool
    note: str = ""  # why it could not run, or is not used

    def sentence(self) -> str:
        """One line for a person."""
        found = "not measured" if self.error is None else f"relative error {self.error:.4f}"
        verdict = "used" if self.used else "not used"
        told = (
            f"{self.encoder}: {self.path} on {self.device}, {found} on {self.rows} rows of the run"
        )
        told += f" (tolerance {self.tolerance:g}), {verdict}"
        return f"{told}: {self.note}" if self.note else told


def relative_error(fast: torch.Tensor, exact: torch.Tensor) -> float:
    """‖fast − exact‖ / ‖exact‖ in float64; infinite where `fast` is not finite."""
    import torch

    if fast.is_cuda or exact.is_cuda:  # they may have been made on another stream than this one
        torch.cuda.synchronize()
    one, other = fast.detach().double().cpu(), exact.detach().double().cpu()
    if not bool(torch.isfinite(one).all()):
        return float("inf")
    norm = float(other.norm())
    apart = float((one - other).norm())
    return apart / norm if norm else apart


def first_that_agrees(
    paths: Sequence[tuple[str, Callable[[], Path_]]], measure: Callable[[Any], float], *,
    encoder: str, device: str, rows: int, tolerance: float = TOLERANCE,
) -> tuple[Path_ | None, list[Agreement]]:  # fmt: skip
    """The first of some paths, fastest first, that stays within the tolerance, and what was found.

    A path is built when its turn comes; what cannot be built or run here (ModelError,
    RuntimeError: a kernel that does not compile, memory) is noted and passed over. None if no path
    agrees: then float32 itself is the way.
    """
    told: list[Agreement] = []
    for name, build in paths:
        error, note, built = None, "", None
        try:
            built = build()
            error = measure(built)
        except (ModelError, RuntimeError) as problem:
            note = str(problem).strip().split("\n")[0][:200]
        used = error is not None and error <= tolerance
        if error is not None and not used:
            note = "out of tolerance"
        told.append(
            Agreement(
                encoder=encoder, path=name, device=device, rows=rows, error=error,
                tolerance=tolerance, used=used, note=note,
            )
        )  # fmt: skip
        if used:
            return built, told
    return None, told
