"""Outputs travel and local folders do not: of a model's place they say its name only."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

PUBLIC: Final = ("builtin:", "hub:")


def model_name(ref: str) -> str:
    """A model reference as others may read it: of a local directory, the last name of its path."""
    if ref.startswith(PUBLIC):
        return ref
    return PurePath(ref).name or "a local directory"
