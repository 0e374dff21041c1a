"""The lines of a row's story: claims, reservations and observations, each on one printable line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from curate import columns as c

LONGEST_VALUE: Final = 400
JOINERS: Final = "\u200c\u200d"
_OBSERVED: Final = tuple(
    f.name
    for f in (c.OBSERVED_AT, c.HTTP_STATUS, c.FINAL_URL, c.FETCH_ATTEMPTS, c.FETCH_SECONDS,
              c.RESPONSE_HEADERS)
)  # fmt: skip


def fields(row: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """`name: value` of the columns that hold something."""
    for name in names:
        if row.get(name) is not None:
            yield f"{name.replace('_', ' ')}: {printable(row[name])}"


def captions(row: Mapping[str, Any]) -> Iterator[str]:
    """Each caption with its origin, model and language."""
    for caption in row.get("captions") or []:
        notes = [caption["origin"], caption["model"], caption["language"]]
        yield f"{printable(caption['text'])}  ({', '.join(printable(n) for n in notes if n)})"


def claims(found: Iterable[Mapping[str, Any]] | None) -> Iterator[str]:
    """Each claim with who made it and where, the response that held it, and how its words are read."""
    from curate.license import parse

    for claim in found or []:
        when = f", {claim['retrieved_at']}" if claim.get("retrieved_at") else ""
        yield f"L{claim['level']} {claim['kind']}: {printable(claim['value'])}"
        yield (
            f"   claimed by {printable(claim['claimed_by'])} at {printable(claim['locator'])}{when}"
        )
        held = [f"{name.replace('_', ' ')} {printable(claim[name])}"
                for name in ("http_status", "final_url", "response_sha256")
                if claim.get(name) is not None]  # fmt: skip
        if held:
            yield f"   in a response or dump: {', '.join(held)}"
        if claim["kind"] == "declaration":
            yield "   kept as a declaration, not as found evidence"
            continue
        parsed = parse(claim["value"], claim["kind"])
        yield f"   read as {parsed.token} ({parsed.reason})"


def embedded(row: Mapping[str, Any]) -> Iterator[str]:
    """What the picture's own file says: claims, reservations, and whether it agrees with the source."""
    yield from claims(row.get("embedded_claims"))
    for found in row.get("embedded_reservations") or []:
        yield f"reservation {printable(found['signal'])}: {printable(found['value'])}"
        signed = f", signature {found['signature']}" if found["signature"] else ""
        codes = f" ({', '.join(found['codes'])})" if found["codes"] else ""
        yield f"   at {printable(found['locator'])}{signed}{codes}"
    yield from fields(row, ["embedded_agrees"])


def observed(row: Mapping[str, Any]) -> Iterator[str]:
    """When and how it was fetched, and what else was observed of the moment."""
    yield from fields(row, _OBSERVED)
    told = {*_OBSERVED, c.KEY.name, c.RESERVATIONS.name}
    yield from fields(row, [name for name in row if name not in told])


def reservations(row: Mapping[str, Any]) -> Iterator[str]:
    """Every place that was asked for a reservation, in order: robots.txt, tdmrep.json, pages."""
    try:
        looks = json.loads(row.get(c.RESERVATIONS.name) or "[]")
    except ValueError:
        looks = []
    for look in looks if isinstance(looks, list) else []:
        if isinstance(look, Mapping):
            rest = [f"{n} {printable(v)}" for n, v in look.items() if n not in ("url", "answer") and v is not None]  # fmt: skip
            yield f"{printable(look.get('url'))}: {printable(look.get('answer'))}  ({', '.join(rest)})"


def printable(value: Any) -> str:
    """Any value as one short line of printable characters."""
    text = value if isinstance(value, str) else repr(value)
    shown = visible(text[:LONGEST_VALUE])
    return shown + (f"… ({len(text)} characters)" if len(text) > LONGEST_VALUE else "")


def visible(text: str) -> str:
    """The text with control and format characters shown as escapes: none reaches a terminal.

    The joiners stay: names in Persian and other scripts are written with them.
    """
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() or ch in JOINERS else ascii(ch)[1:-1] for ch in text)
