"""Which device and number format the encoders compute in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.errors import EngineError

if TYPE_CHECKING:
    import torch


def pick(device: str) -> torch.device:
    """`auto` is the first CUDA device if there is one, else the CPU; anything else is taken as said.

    Raises EngineError if a CUDA device is named and there is none.
    """
    import torch

    found = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if found else "cpu")
    if device.startswith("cuda") and not found:
        raise EngineError(
            f"device {device!r} was asked for, but torch finds no CUDA device; use auto or cpu"
        )
    return torch.device(device)


def dtype_of(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU, float32 on a CPU, where it is deterministic for a given batch."""
    import torch

    return torch.bfloat16 if device.type == "cuda" else torch.float32


def name_of(device: torch.device) -> str:
    """What agreements and records call a device: the GPU's product name, or `cpu`."""
    import torch

    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else device.type
