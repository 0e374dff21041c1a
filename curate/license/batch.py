"""Many claims, one line each: JSON Lines in, one token a line out, in the same order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

from curate.license.parse import HARD_LIMIT, license_token

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
    if isinstance(value, (dict, list)):
        value = json.dumps(value)
    return license_token(value, claim["source_kind"])
