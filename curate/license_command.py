"""`curate license`: kept apart from the other commands so that it starts without Arrow."""

from __future__ import annotations

import sys
from pathlib import Path

from curate.errors import MissingInput, RecipeError


def run(text: str | None, *, source: str, batch: str | None, kinds: bool) -> None:
    """Print one token for a text, or one a line for a batch of JSON Lines.

    Raises RecipeError for an unknown source kind or if neither a text nor a batch is given.
    """
    from curate import license as licenses

    if kinds:
        print("\n".join(licenses.SOURCE_KINDS))
    elif batch is not None and text is not None:
        raise RecipeError("give a text or --batch FILE, not both")
    elif batch is not None:
        if batch != "-" and not Path(batch).is_file():
            raise MissingInput(f"{batch} does not exist")
        stream = sys.stdin if batch == "-" else open(batch, encoding="utf-8", errors="replace")  # noqa: SIM115
        with stream as lines:
            for token in licenses.batch(lines):
                sys.stdout.write(token + "\n")
    elif text is None:
        raise RecipeError("give a text, or --batch FILE; --kinds lists the kinds of source")
    elif source not in licenses.SOURCE_KINDS:
        raise RecipeError(
            f"no source kind {source!r}; there are {', '.join(licenses.SOURCE_KINDS)}"
        )
    else:
        print(licenses.license_token(text, source))
