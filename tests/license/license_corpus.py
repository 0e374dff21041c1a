"""Real and adversarial spellings and what each must come to: canonical id, AMBIGUOUS or REJECT.

They lie in corpus/, a file or more for each source kind, one line a spelling: `token | text`, or
`token |j "text"` where the text needs JSON's escapes. Written by hand from published tools, source
dumps, the titles of licences in many languages and the tricks that parsers have fallen for.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

AMBIGUOUS = "AMBIGUOUS"
REJECT = "REJECT"

CORPUS = Path(__file__).parent / "corpus"


@cache
def cases() -> tuple[tuple[str, str, str], ...]:
    """(source kind, input, expected token) for every line."""
    found = []
    for path in sorted(CORPUS.glob("*.txt")):
        kind = re.sub(r"_\d$", "", path.stem)
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line:
                token, form, text = re.split(r" \|(j?) ", line, maxsplit=1)
                found.append((kind, json.loads(text) if form else text, token))
    return tuple(found)
