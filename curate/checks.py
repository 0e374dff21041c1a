"""Keeps what workers found when they held their fast paths against float32 on rows of the run.

`<layer>/checks/<digest>.json` holds one worker's list; workers that found the same share a file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from curate.errors import StoreError
from curate.models.agreement import Agreement
from curate.store.digest import canonical_json, json_digest
from curate.store.files import LocalFiles

FOLDER = "checks"
NAME_LENGTH = 16


def finite(agreement: Agreement) -> Agreement:
    """The agreement as JSON can hold it: an error that is not finite is none, and the note says so."""
    if agreement.error is None or math.isfinite(agreement.error):
        return agreement
    note = f"not finite; {agreement.note}" if agreement.note else "not finite"
    return agreement.model_copy(update={"error": None, "note": note})


def write_check(files: LocalFiles, layer: str, agreements: Sequence[Agreement]) -> None:
    """Keep what one worker found, unless a worker that found the same has kept it."""
    told = [finite(agreement).model_dump(mode="json") for agreement in agreements]
    name = f"{layer}/{FOLDER}/{json_digest(told)[:NAME_LENGTH]}.json"
    files.put_if_absent(name, canonical_json(told) + b"\n")


def read_checks(files: LocalFiles, layers: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Each different finding by layer; layers without any are left out."""
    found = {layer: _findings(files, layer) for layer in layers}
    return {
        layer: [told.model_dump(mode="json") for told in own] for layer, own in found.items() if own
    }


def _findings(files: LocalFiles, layer: str) -> list[Agreement]:
    """What all workers of a layer found, each once; a list stays in its worker's order."""
    found: dict[Agreement, None] = {}
    for name in files.list(f"{layer}/{FOLDER}", ".json"):
        try:
            found |= dict.fromkeys(map(Agreement.model_validate, json.loads(files.read(name))))
        except (TypeError, ValueError) as error:
            raise StoreError(f"{name} is not a list of checks: {error}; remove it") from error
    return list(found)
