"""Loaders' mistakes as this project's errors: damaged files, and weights that would be made up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate.errors import ModelError


@contextmanager
def loading(ref: str, path: Path, library: str) -> Iterator[None]:
    """Turn what `library` raises over a damaged or unfitting directory into a ModelError."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(f"model {ref!r}: {library} cannot load {path}: {error}") from error


def refuse_random(report: Mapping[str, Any], ref: str, path: Path) -> None:
    """Raise ModelError if a loader had to make up weights that the checkpoint does not hold."""
    wrong = [str(k) for name in ("missing_keys", "mismatched_keys") for k in report.get(name, ())]
    if wrong:
        some = ", ".join(sorted(wrong)[:3]) + (", …" if len(wrong) > 3 else "")
        raise ModelError(
            f"model {ref!r}: the weights in {path} lack or mis-size {len(wrong)} tensors: {some}"
        )
