"""Contact sheets: a few pictures of the kept rows and of each reason, with credit and licence.

Rows are taken in key order. Keys are hashes, so the first few are a fair sample that anybody can
draw again. Rows turned away for licence, reservation or removal are counted, never shown.
"""

from __future__ import annotations

import heapq
import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.provenance.attribution_requests import withheld as uncredited
from curate.report.reading import Places, ledger, lookup
from curate.report.verdicts import ReasonCount, Verdicts
from curate.store.commit import FileRole
from curate.store.dataset import Dataset

KEPT_CARDS = 36
CARDS_A_REASON = 12
REASON_SHEETS = 24
THUMBNAIL_PIXELS = 192
THUMBNAIL_BYTES = 48_000
WITHHELD = frozenset({"license", "reservation", "removed"})
_KEPT = ("kept", None)
_CANDIDATE = [
    c.CAPTIONS, c.CREATOR, c.CREATOR_URL, c.LANDING_URL, c.TITLE, c.URL, c.SOURCE, c.SOURCE_ID,
]  # fmt: skip
_NAMING = [f.name for f in (c.TITLE, c.CREATOR, c.CREATOR_URL, c.LANDING_URL, c.URL)]
_LEDGER = [
    c.VERDICT, c.REASON, c.MEASURED_VALUE, c.MEASURED_TEXT, c.LICENSE, c.EVIDENCE_LEVEL,
]  # fmt: skip

Place = tuple[str | None, str | None]


@dataclass(frozen=True)
class Card:
    """One picture with what must stand beside it; `picture` is None where none is stored."""

    key: str
    picture: bytes | None
    caption: str | None
    caption_origin: str | None
    title: str | None
    creator: str | None
    creator_url: str | None
    landing_url: str | None
    source: str | None
    license: str | None
    evidence_level: int | None
    verdict: str | None
    reason: str | None
    measured_value: float | None
    measured_text: str | None


@dataclass(frozen=True)
class Sheet:
    """The rows of one reason (or the kept ones) and the cards drawn for them."""

    counted: ReasonCount
    cards: tuple[Card, ...]

    @property
    def pictures(self) -> int:
        return sum(card.picture is not None for card in self.cards)


@dataclass(frozen=True)
class Sheets:
    """All contact sheets; `withheld` are the reasons whose pictures are never shown."""

    kept: Sheet
    others: tuple[Sheet, ...]
    withheld: tuple[ReasonCount, ...]
    folded: tuple[ReasonCount, ...]


def contact_sheets(dataset: Dataset, verdicts: Verdicts) -> Sheets:
    """Draw the sheets: kept rows first, then one sheet a reason, most frequent first."""
    withheld = tuple(counted for counted in verdicts.reasons if counted.kind in WITHHELD)
    open_ = [counted for counted in verdicts.reasons if counted.kind not in WITHHELD]
    shown, folded = open_[:REASON_SHEETS], open_[REASON_SHEETS:]
    limits: dict[Place, int] = {_KEPT: KEPT_CARDS}
    limits |= {(counted.verdict, counted.reason): CARDS_A_REASON for counted in shown}
    chosen = first_keys(dataset, limits)
    cards = make_cards(dataset, {key: part for keys in chosen.values() for key, part in keys})

    def sheet(counted: ReasonCount, place: Place) -> Sheet:
        return Sheet(counted, tuple(cards[key] for key, _ in chosen[place] if key in cards))

    kept = sheet(ReasonCount("kept", "kept", verdicts.totals["kept"]), _KEPT)
    others = tuple(sheet(counted, (counted.verdict, counted.reason)) for counted in shown)
    return Sheets(kept, others, withheld, tuple(folded))


def first_keys(dataset: Dataset, limits: dict[Place, int]) -> dict[Place, list[tuple[str, str]]]:
    """For each (verdict, reason) the first keys in key order, each with its part.

    Kept rows count as reason None.
    """
    chosen: dict[Place, list[tuple[str, str]]] = {place: [] for place in limits}
    for part, table in ledger(dataset, [c.KEY.name, c.VERDICT.name, c.REASON.name]):
        for place, limit in limits.items():
            keys = _keys_of(table, place)[:limit].to_pylist()  # a part is in key order
            found = ((key, part) for key in keys)
            chosen[place] = heapq.nsmallest(limit, [*chosen[place], *found])
    return chosen


def _keys_of(table: pa.Table, place: Place) -> pa.ChunkedArray:
    verdict, reason = place
    hit = pc.equal(table[c.VERDICT.name], verdict)
    if place != _KEPT:
        hit = pc.and_(hit, pc.equal(table[c.REASON.name], reason))
    return table[c.KEY.name].filter(hit)


def make_cards(dataset: Dataset, places: Places) -> dict[str, Card]:
    """Cards by key. A key whose reason is withheld gets no card, whatever is stored for it."""
    verdicts = lookup(dataset, "ledger", places, [field.name for field in _LEDGER])
    allowed = {key: places[key] for key, row in verdicts.items() if not is_withheld(row["reason"])}
    pictures = _pictures(dataset, allowed)
    facts = lookup(dataset, "plan", allowed, [field.name for field in _CANDIDATE])
    for key in uncredited(dataset) & facts.keys():  # its licensor asked for no credit
        facts[key] |= dict.fromkeys(_NAMING)
    return {
        key: _card(key, pictures.get(key), facts.get(key, {}) | verdicts[key]) for key in allowed
    }


def is_withheld(reason: str | None) -> bool:
    """Whether pictures of this reason may not be shown."""
    return reason is not None and reason.partition(":")[0] in WITHHELD


def _pictures(dataset: Dataset, places: Places) -> dict[str, bytes]:
    """Thumbnails from `images`: of rows that lived through the pass, then of those it marked."""
    found: dict[str, bytes] = {}
    roles: tuple[FileRole, ...] = ("data", "marks")
    for role in roles:
        for key, row in lookup(dataset, "images", places, [c.THUMBNAIL.name], role).items():
            small = thumbnail(row[c.THUMBNAIL.name])
            if small is not None:
                found[key] = small
    rest = {key: part for key, part in places.items() if key not in found}
    for key, row in lookup(dataset, "images", rest, [c.IMAGE.name]).items():
        small = thumbnail((row[c.IMAGE.name] or {}).get("bytes"))
        if small is not None:
            found[key] = small
    return found


def thumbnail(data: bytes | None) -> bytes | None:
    """The bytes if they are a small JPEG, else a small JPEG made of them, None if they are none."""
    if not data:
        return None
    if data[:3] == b"\xff\xd8\xff" and len(data) <= THUMBNAIL_BYTES:
        return data
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
            small = image.convert("RGB")
            small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    return jpeg(small)


def jpeg(image: Any, *, quality: int = 88) -> bytes:
    """A PIL RGB picture as JPEG bytes without metadata."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _card(key: str, picture: bytes | None, row: dict[str, Any]) -> Card:
    captions = row.get(c.CAPTIONS.name) or [{}]
    return Card(
        key=key,
        picture=picture,
        caption=captions[0].get("text"),
        caption_origin=captions[0].get("origin"),
        title=row.get(c.TITLE.name),
        creator=row.get(c.CREATOR.name),
        creator_url=row.get(c.CREATOR_URL.name),
        landing_url=row.get(c.LANDING_URL.name) or row.get(c.URL.name),
        source=row.get(c.SOURCE.name),
        license=row.get(c.LICENSE.name),
        evidence_level=row.get(c.EVIDENCE_LEVEL.name),
        verdict=row.get(c.VERDICT.name),
        reason=row.get(c.REASON.name),
        measured_value=row.get(c.MEASURED_VALUE.name),
        measured_text=row.get(c.MEASURED_TEXT.name),
    )
