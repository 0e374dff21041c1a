"""What the command line's modules share: argument types, the console, the way to fail."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 118

Out = Annotated[Path, typer.Argument(metavar="OUT", help="A dataset directory.")]
To = Annotated[Path, typer.Option("--to", help="Where the result goes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def fail(text: str, code: int) -> NoReturn:
    """End the command with a line on standard error."""
    print(text, file=sys.stderr)
    raise SystemExit(code)


def console() -> Console:
    """The terminal, or lines of a fixed width where there is none."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=PLAIN_WIDTH)
