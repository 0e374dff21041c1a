"""Whose address it is: what came from a publisher's own place, and what from anybody else's.

A recipe may name any address for a dump or an API. Only the exact hosts that an adapter declares
lift its claims to the publisher's rung; everything else is somebody's copy and says whose.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

_AHEAD: Final = timedelta(days=1)
"""What a date may lie ahead of our clock: it is already tomorrow elsewhere."""


def is_published_at(url: str, places: Iterable[str]) -> bool:
    """Whether an address is one of the places: `host`, or `host/folder/` with all that is in it.

    Only https on its own port counts, and the host letter by letter: no subdomains, no user
    names, no paths that leave their folder.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = "@" not in parts.netloc and not set("\\% \t\r\n") & set(parts.netloc + parts.path)
    if parts.scheme != "https" or port not in (None, 443) or not plain:
        return False
    if {".", ".."} & set(parts.path.split("/")):
        return False
    here = f"{parts.hostname}{parts.path}"
    return any(
        here.startswith(place) if "/" in place else parts.hostname == place for place in places
    )


def host_of(url: str) -> str:
    """The host of an address, with its port if it names one; the address itself if it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower() or url
    except ValueError:
        return url


def iso_date(value: object) -> object:
    """A date as ISO 8601 text: YAML reads a bare date as one. Raises ValueError for other text,
    and for a date that has not come yet.
    """
    if isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, str) and is_to_come(value):
        raise ValueError(f"{value} is still to come: write the date on which the files were got")
    return value


def is_to_come(text: str) -> bool:
    """Whether an ISO 8601 date or time lies in the future. Raises ValueError if it is neither."""
    told = datetime.fromisoformat(text)
    told = told if told.tzinfo else told.replace(tzinfo=UTC)
    return told > datetime.now(UTC) + _AHEAD
