"""Captions before they meet a tokenizer."""

from __future__ import annotations

from typing import Final

MAX_CHARACTERS: Final = 4000
"""No tokenizer gets more: encoders read 120 tokens at most, and some take quadratic time."""


def shortened(text: str) -> str:
    """The text itself, or of a very long one the first characters with white space folded."""
    return text if len(text) <= MAX_CHARACTERS else " ".join(text.split())[:MAX_CHARACTERS]
