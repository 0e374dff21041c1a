"""Who a picture's own file names: its creator, parties to be credited, and a copyright notice.

Licences ask to keep what was supplied with the work, and EXIF, IPTC and XMP are where a file
supplies it. A notice among the source's claims comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from curate import columns as c
from curate.license.embedded import read_embedded

LONGEST: Final = 300
_NOTICES: Final = frozenset({"exif_copyright", "dc_rights"})
"""Kinds of claims whose value may be a copyright notice."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a file names; each text on one line and at most LONGEST characters."""

    creator: str | None = None
    parties: tuple[str, ...] = ()
    notice: str | None = None


NOBODY: Final = Named()


def named_in(row: Mapping[str, Any]) -> Named:
    """What the embedded blocks and the claims of one row of images/data name."""
    exif, iptc = row.get(c.EMBEDDED_EXIF.name), row.get(c.EMBEDDED_IPTC.name)
    packets = row.get(c.EMBEDDED_XMP.name)
    stated = [claim["value"] for claim in row.get("claims") or [] if claim["kind"] in _NOTICES]
    if not (exif or packets or iptc or stated):
        return NOBODY
    own = read_embedded(exif=exif, xmp=packets, iptc=iptc)
    stated += [claim.value for claim in own.claims if claim.kind in _NOTICES]
    return Named(
        creator=_first([own.attribution_name, own.creator]),
        parties=tuple(dict.fromkeys(_lines([own.attribution_name, own.credit]))),
        notice=_first(text for text in stated if _is_notice(text)),
    )


def _is_notice(text: str | None) -> bool:
    """Whether a rights text gives notice of copyright; a bare licence or sentence of terms does not."""
    lowered = (text or "").lower()
    return "©" in lowered or "(c)" in lowered or "copyright" in lowered


def _first(texts: Iterable[str | None]) -> str | None:
    return next(_lines(texts), None)


def _lines(texts: Iterable[str | None]) -> Iterator[str]:
    """Each text that says anything, on one line and cut where it is too long to be a name."""
    for text in texts:
        line = " ".join((text or "").split())
        if line:
            yield line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
