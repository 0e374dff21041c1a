"""YFCC100M: a hundred million Flickr pictures under Creative Commons, as Yahoo released them.

The dump is tab-separated without a header: 25 columns in the copy with line numbers and hashes,
23 in the first release. Texts are written as in a query string.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final, Literal
from urllib.parse import unquote_plus

from pydantic import Field

from curate.errors import MissingInput
from curate.sources.adapter import Adapter
from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN, existing
from curate.sources.commoncatalog import people
from curate.sources.delimited import read_delimited
from curate.sources.plain import plain_text
from curate.sources.read import Format, RawBatch
from curate.sources.text import Raw, to_text

_FIRST: Final = (
    "photoid", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title",
    "description", "usertags", "machinetags", "longitude", "latitude", "accuracy", "pageurl",
    "downloadurl", "licensename", "licenseurl", "serverid", "farmid", "secret", "secretoriginal",
    "ext", "marker",
)  # fmt: skip
_LATER: Final = ("line", _FIRST[0], "hash", *_FIRST[1:])
NAMES: Final = {len(_LATER): _LATER, len(_FIRST): _FIRST}
_PAGE: Final = EvidenceColumns(locator="pageurl")
_FLICKR: Final = "Flickr, as YFCC100M records it"
_PLAIN: Final = {
    "title in plain text": "title", "description in plain text": "description",
    "unickname in plain text": "unickname",
}  # fmt: skip
_PERSON: Final = "address of uid"
_VIDEO: Final = "1"


class Yfcc100m(Adapter):
    """Rows of `yfcc100m_dataset` (plain, .bz2 or .gz), keyed by Flickr's `photoid`.

    Rows with `marker` 1 are videos: they are in the account and are not fetched.
    """

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        id="photoid", url="downloadurl", landing_url="pageurl", title="title in plain text",
        creator="unickname in plain text", creator_url=_PERSON,
        captions=("description in plain text", "title in plain text"),
    )  # fmt: skip
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column="licensename", kind="yfcc100m_licensename", level=5,
                    claimed_by=_FLICKR, evidence=_PAGE),
        ClaimColumn(column="licenseurl", kind="url", level=5, claimed_by=_FLICKR, evidence=_PAGE),
    )  # fmt: skip
    DERIVED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **{name: (raw,) for name, raw in _PLAIN.items()},
        _PERSON: ("uid",),
    }
    PUBLISHED: ClassVar[tuple[str, ...]] = (
        "multimedia-commons.s3.amazonaws.com",
        "multimedia-commons.s3.us-west-2.amazonaws.com",
        "multimedia-commons.s3-us-west-2.amazonaws.com",
        "s3.amazonaws.com/multimedia-commons/",
        "s3-us-west-2.amazonaws.com/multimedia-commons/",
    )
    WHY: ClassVar[str] = (
        "Flickr's record of each picture, released by the company that owned Flickr: L5 with `dump`, "
        "L4 from anybody's copy."
    )
    WORTH: ClassVar[str] = (
        "Good for what photographers chose on Flickr by 2014: name and address of the licence must "
        "agree, and name, title and page are there for the credit. Flickr users upload what is not "
        "theirs too, and a third of the pictures are gone by now."
    )

    kind: Literal["yfcc100m"] = "yfcc100m"
    name: str = Field(default="yfcc100m", pattern=NAME_PATTERN)

    def tables(self) -> list[tuple[Path, Format]]:
        """The file, or those of a folder that are named like the dump."""
        path = existing(self.path, what=f"source {self.name}")
        files = [path] if path.is_file() else sorted(path.glob("yfcc100m_dataset*"))
        if not files:
            raise MissingInput(f"source {self.name}: {path} holds no file yfcc100m_dataset*")
        return [(file, "csv") for file in files]

    def batches(self, wanted: list[str]) -> Iterator[RawBatch]:
        raw = dict.fromkeys(n for name in wanted for n in self.DERIVED.get(name, (name,)))
        for file, _ in self.tables():
            for batch in read_delimited(
                file, [*raw, "marker"], names=NAMES, quoting=csv.QUOTE_NONE
            ):
                yield self.derive(batch)

    def derive(self, batch: RawBatch) -> RawBatch:
        """Texts decoded and without HTML, the creator's page, and which rows are videos."""
        made = {name: _plain(batch.columns[raw]) for name, raw in _PLAIN.items()}
        made[_PERSON] = people([unquote_plus(str(uid)) for uid in batch.columns["uid"]])
        unfit = {
            n: "not_an_image:video" for n, m in enumerate(batch.columns["marker"]) if m == _VIDEO
        }
        return RawBatch(batch.rows, {**batch.columns, **made}, batch.broken, unfit)


def _plain(raw: Raw) -> list[object]:
    """Texts decoded and without HTML; one that is no text that fits stays, to be judged."""
    fits = to_text(raw)
    return [
        value if row in fits.bad else plain_text(unquote_plus(str(value)))
        for row, value in enumerate(raw)
    ]
