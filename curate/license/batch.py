"""Many claims, one line each: JSON Lines in, one token a line out, in the same order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from curate.license.parse import HARD_LIMIT, JSON_KINDS, license_token

_LINE_LIMIT: Final = 8 * HARD_LIMIT


def batch(lines: Iterable[str]) -> Iterator[str]:
    """A token for each line `{"input": …, "source_kind": …}`; a malformed line gives `REJECT`."""
    for line in lines:
        yield _token(line)


def _token(line: str) -> str:
    if len(line) > _LINE_LIMIT:
        return "REJECT"
    try:
        claim = json.loads(line)
    except (ValueError, RecursionError):
        return "REJECT"
    if not isinstance(claim, dict) or not {"input", "source_kind"} <= claim.keys():
        return "REJECT"
    value = claim["input"]
    kind = claim["source_kind"]
    if isinstance(value, (dict, list)):
        if not isinstance(kind, str) or not isinstance(value, JSON_KINDS.get(kind, ())):
            return "REJECT"  # what is no text does not become one by being written down
        value = json.dumps(value)
    return license_token(value, kind)
