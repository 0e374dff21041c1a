"""Writes docs/cli.md from the help texts, so that the page and the program cannot disagree.

`python -m curate.cli_docs`; a test compares the page with what `--help` prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMANDS = (
    "init", "plan", "run", "status", "audit", "explain", "report", "precompute", "train", "sample",
    "license", "bench", "demo", "export",
)  # fmt: skip
PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
WIDTH = 92


def help_text(*arguments: str) -> str:
    """What `curate … --help` prints on a terminal of 92 columns."""
    code = "import sys; sys.argv[0] = 'curate'; from curate.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments, "--help"]
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def page() -> str:
    """The whole page as Markdown."""
    parts = [
        "# The command line",
        "Exit codes: 0 done, 1 audit failed, 2 bad recipe or arguments, 130 interrupted.",
        f"```text\n{help_text()}\n```",
    ]
    for command in COMMANDS:
        parts += [f"## curate {command}", f"```text\n{help_text(command)}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
