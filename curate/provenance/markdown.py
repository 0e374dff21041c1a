"""Words of strangers in Markdown: shown as they are, never as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def inline(text: str) -> str:
    """Text on one line that Markdown shows as it is: no markup, no table cell breaks."""
    plain = " ".join(text.split())
    return "".join(f"\\{ch}" if ch in "\\`*_[]<>|#!" else ch for ch in plain)


def table(head: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """A table; cells are Markdown already, numbers get thousands separators."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = [f"{cell:,}" if isinstance(cell, int) else cell for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
