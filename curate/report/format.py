"""How the report writes numbers, times, links and strings that came from outside."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import urlsplit

TEXT_LIMIT = 240
# control and bidirectional-override characters say nothing to a reader and can disguise a text
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


def thousands(value: float) -> str:
    """12345 → 12,345."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """A share of one with one decimal; never 0 or 100 unless it is exactly that."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f} %" if share not in (0, 1) else f"{share * 100:.0f} %"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: 3.2 s, 4 min 05 s, 2 h 07 min."""
    if seconds is None:
        return "not recorded"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def size(count: float | None) -> str:
    """Bytes with a binary unit."""
    if count is None:
        return "not recorded"
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TiB"


def clean(text: Any, limit: int = TEXT_LIMIT) -> str:
    """A foreign string on one line, without invisible characters, cut to `limit` characters."""
    if text is None:
        return ""
    # bounded before anything else looks at it: a source may hold strings of megabytes
    line = " ".join(_INVISIBLE.sub("", str(text)[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def link(url: Any) -> str | None:
    """The URL if it is a plain http or https address with a host, else None."""
    if (
        not isinstance(url, str)
        or len(url) > 2000
        or _INVISIBLE.search(url)
        or url.split() != [url]
    ):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and host and "@" not in parts.netloc else None


def data_url(picture: bytes) -> str:
    """A JPEG or PNG as a data: address; ValueError for anything else."""
    for signature, media_type in _SIGNATURES.items():
        if picture.startswith(signature):
            return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"
    raise ValueError(f"picture bytes begin with {picture[:8]!r}: neither JPEG nor PNG")


def number(value: float | None) -> str:
    """A measured value in few digits: whole numbers as they are, others with three decimals."""
    if value is None:
        return ""
    return decimals(value, 0 if float(value).is_integer() else 3)


def decimals(value: float, places: int) -> str:
    """A number with a fixed number of decimals, thousands separators and a proper minus sign."""
    return f"{value:,.{places}f}".replace("-", "−")


def moment(stamp: str | None) -> str | None:
    """An ISO 8601 time of day in UTC as a person writes it; other strings stay as they are."""
    return stamp.replace("T", " ").replace("+00:00", " UTC") if stamp else None
