"""Where a recipe looks for reservations, and which signals of each place it honours.

Only what its own stages ask is told, place by place: a signal that could also stand where nobody
looked is not called looked at there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from curate.license import plus
from curate.license.reservations import ROBOTS_TXT, SIGNALS, TDM_RESERVATION
from curate.provenance.licensing import pages_skipped

LISTS: Final = "lists of the recipe"
ROBOTS: Final = "robots.txt of each origin"
WELL_KNOWN: Final = "/.well-known/tdmrep.json of each origin"
FIELDS: Final = "response fields of each picture"
PAGES: Final = "landing page of each picture, its response fields and meta elements"
FILES: Final = "each picture's own file"


def honoured(recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By place, each signal that a stage of the recipe looks for there, with what it means."""
    told = {LISTS: _listed(stage_of(recipe, "opt_out") or {})}
    if (download := stage_of(recipe, "download")) is not None:
        told |= _asked(download)
    embedded = stage_of(recipe, "embedded") or {}
    told[FILES] = {name: plus.SIGNALS.get(name, name) for name in embedded.get("honour", ())}
    return {place: signals for place, signals in told.items() if signals}


def stage_of(recipe: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    """The first stage of a kind, as the record keeps it."""
    stages = (stage for step in recipe["passes"] for stage in step["stages"])
    return next((stage for stage in stages if stage["kind"] == kind), None)


def _listed(opt_out: Mapping[str, Any]) -> dict[str, int]:
    names = ("domains", "url_prefixes")
    return {
        f"opted-out {n.replace('_', ' ')}": len(opt_out[n]) for n in names if opt_out.get(n)
    }  # fmt: skip


def _asked(download: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is asked on the way to a picture: its origin's files, its own answer, its page."""
    names = download.get("honour_reservations", ())
    tdm = {name: _meaning(name) for name in names if name == TDM_RESERVATION}
    fields = {name: _meaning(name) for name in names if name != ROBOTS_TXT}
    return {
        ROBOTS: {name: _meaning(name) for name in names if name == ROBOTS_TXT},
        WELL_KNOWN: tdm,
        FIELDS: fields,
        PAGES: {} if pages_skipped(download) else fields,
    }


def _meaning(name: str) -> str:
    """What a signal means, without the places where it may stand."""
    return SIGNALS.get(name, name).partition(" (")[0]
