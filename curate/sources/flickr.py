"""Flickr: photo objects of its API, one a line, as `flickr.photos.search` and `getInfo` give them.

Ask for them with `extras=license,owner_name,description,media,url_o,url_l,url_c`. The API needs a
key of your own, so this adapter reads what you saved and asks nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, get_args
from urllib.parse import quote

from pydantic import Field

from curate.sources.adapter import Adapter
from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN
from curate.sources.commoncatalog import people
from curate.sources.plain import plain_text
from curate.sources.read import RawBatch
from curate.sources.text import to_python

Size = Literal["o", "k", "h", "l", "c", "z", "m"]
SIZES: Final[tuple[Size, ...]] = get_args(Size)
_SIZED: Final = tuple(f"{what}_{s}" for s in SIZES for what in ("url", "width", "height"))
_RAW: Final = ("id", "owner", "ownername", "title", "description", "media", "server", "secret",
               *_SIZED)  # fmt: skip
_MAKES: Final = ("url", "width", "height", "page", "title as text", "description as text",
                 "creator", "address of creator")  # fmt: skip


class Flickr(Adapter):
    """Photo objects, keyed by `id`; `sizes` says which picture is taken, the first that is there.

    Without any `url_*` the address is made of `server`, `id` and `secret`, in the 1024 px size.
    """

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        id="id", url="url", landing_url="page", title="title as text", creator="creator",
        creator_url="address of creator", captions=("description as text", "title as text"),
        width="width", height="height",
    )  # fmt: skip
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column="license", kind="flickr_id", level=5, claimed_by="Flickr",
                    evidence=EvidenceColumns(locator="page")),
    )  # fmt: skip
    MAY_LACK: ClassVar[frozenset[str]] = frozenset(_RAW) - {"id"}
    DERIVED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "url": (*(f"url_{s}" for s in SIZES), "server", "id", "secret", "media"),
        "width": tuple(f"width_{s}" for s in SIZES),
        "height": tuple(f"height_{s}" for s in SIZES),
        "page": ("owner", "id"),
        "title as text": ("title",),
        "description as text": ("description",),
        "creator": ("ownername", "owner"),
        "address of creator": ("owner",),
    }
    PUBLISHED: ClassVar[tuple[str, ...]] = ("api.flickr.com", "www.flickr.com/services/")
    WHY: ClassVar[str] = (
        "Flickr's own record of each picture: L5 where `dump` records the saved answers by address, "
        "date and digest, L4 from a copy that does not say where it comes from."
    )
    WORTH: ClassVar[str] = (
        "Good: the number is what the account chose, and means one tool in one version. `No known "
        "copyright restrictions` (7) is no licence and is rejected. Flickr users upload what is not "
        "theirs too: look at the account where it matters."
    )
    LIVE: ClassVar[str] = (
        "Not run live: the API needs a key. The tests read objects written in its documented shape."
    )

    kind: Literal["flickr"] = "flickr"
    name: str = Field(default="flickr", pattern=NAME_PATTERN)
    sizes: tuple[Size, ...] = SIZES

    def derive(self, batch: RawBatch) -> RawBatch:
        """Columns out of the objects' fields, and which of them are videos."""
        raw = {name: to_python(batch.columns[name]) for name in _RAW}
        made = [
            self._photo(dict(zip(raw, row, strict=True))) for row in zip(*raw.values(), strict=True)
        ]
        columns = {name: [row[name] for row in made] for name in _MAKES}
        columns["address of creator"] = people(columns["address of creator"])
        unfit = {n: "not_an_image:video" for n, kind in enumerate(raw["media"]) if kind == "video"}
        return RawBatch(batch.rows, {**batch.columns, **columns}, batch.broken, unfit)

    def _photo(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        owner = raw["owner"] if isinstance(raw["owner"], dict) else {}
        nsid = owner.get("nsid") if owner else raw["owner"]
        size = next((s for s in self.sizes if raw[f"url_{s}"]), None)
        return {
            "url": raw[f"url_{size}"] if size else _address(raw),
            "width": raw[f"width_{size}"] if size else None,
            "height": raw[f"height_{size}"] if size else None,
            "page": _page(nsid, raw["id"]),
            "title as text": _text(raw["title"]),
            "description as text": _text(raw["description"]),
            "creator": raw["ownername"] or owner.get("realname") or owner.get("username"),
            "address of creator": nsid,
        }


def _text(value: object) -> object:
    """The text of a field that is a string or `{"_content": …}`; what is neither stays."""
    if isinstance(value, dict) and set(value) <= {"_content"}:
        value = value.get("_content")
    return plain_text(value) if isinstance(value, str) else value


def _page(nsid: object, id: object) -> str | None:
    if not isinstance(nsid, str) or not nsid or not isinstance(id, str | int):
        return None
    return f"https://www.flickr.com/photos/{quote(nsid, safe='@')}/{quote(str(id), safe='')}/"


def _address(raw: Mapping[str, Any]) -> str | None:
    parts = [raw["server"], raw["id"], raw["secret"]]
    if not all(isinstance(part, str | int) and str(part).isalnum() for part in parts):
        return None
    return "https://live.staticflickr.com/{}/{}_{}_b.jpg".format(*parts)
