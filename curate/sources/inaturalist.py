"""iNaturalist's open data: photos joined with their observers, from the monthly metadata dump.

`photos.csv.gz` names a licence and an observer for each photo, `observers.csv.gz` who that is.
Observers are looked up on disk, so that memory holds a batch of photos whatever there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import Field

from curate.errors import MissingInput
from curate.sources.adapter import Adapter
from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns
from curate.sources.base import NAME_PATTERN, existing
from curate.sources.delimited import read_delimited
from curate.sources.lookup import Lookup, lookup
from curate.sources.read import Format, RawBatch
from curate.sources.text import to_text

BUCKET: Final = "https://inaturalist-open-data.s3.amazonaws.com/photos"
SITE: Final = "https://www.inaturalist.org"
_RAW: Final = ("photo_id", "observer_id", "extension", "license", "width", "height")
_ID: Final = re.compile(r"[1-9][0-9]{0,18}")
_EXTENSION: Final = re.compile(r"[A-Za-z0-9]{1,5}")


class Inaturalist(Adapter):
    """Photos of iNaturalist's open data, keyed by `photo_id`; `path` is the dump's folder.

    `size` is the picture that is fetched: original is at most 2048 px, large 1024, medium 500.
    Declared width and height are those of the original. The dump has no captions: name them with
    `captions:`.
    """

    COLUMNS: ClassVar[ColumnMap] = ColumnMap(
        id="photo_id", url="address of photo", landing_url="page of photo",
        creator="name of observer", creator_url="page of observer", width="width",
        height="height",
    )  # fmt: skip
    CLAIMS: ClassVar[tuple[ClaimColumn, ...]] = (
        ClaimColumn(column="license", kind="inat_code", level=5, claimed_by="iNaturalist",
                    evidence=EvidenceColumns(locator="page of photo")),
    )  # fmt: skip
    PUBLISHED: ClassVar[tuple[str, ...]] = (
        "inaturalist-open-data.s3.amazonaws.com",
        "inaturalist-open-data.s3.us-east-1.amazonaws.com",
        "s3.amazonaws.com/inaturalist-open-data/",
    )
    WHY: ClassVar[str] = (
        "iNaturalist's own record of each photo: L5 with `dump`, L4 from a copy that does not say "
        "where it comes from. Its codes mean version 4.0, since the site offers no other."
    )
    WORTH: ClassVar[str] = (
        "Very good: observers choose a licence for each photo, mostly of their own, and the site "
        "shows it beside the photo. Most are non-commercial. The set has no captions, and names a "
        "photographer only where the observer gave one (else the login)."
    )

    kind: Literal["inaturalist"] = "inaturalist"
    name: str = Field(default="inaturalist", pattern=NAME_PATTERN)
    size: Literal["original", "large", "medium", "small"] = "large"

    def tables(self) -> list[tuple[Path, Format]]:
        """Observers and photos, each as .csv.gz or .csv. Raises MissingInput for what is lacking."""
        folder = existing(self.path, what=f"source {self.name}")
        found = []
        for name in ("observers", "photos"):
            files = [folder / f"{name}{end}" for end in (".csv.gz", ".csv")]
            file = next((file for file in files if file.is_file()), None)
            if file is None:
                raise MissingInput(
                    f"source {self.name}: {folder} holds no {name}.csv.gz; `path` is the dump's folder"
                )
            found.append(file)
        return [(file, "csv") for file in found]

    def batches(self, wanted: list[str]) -> Iterator[RawBatch]:
        (observers, _), (photos, _) = self.tables()
        with lookup(values=2) as known:
            names = ("observer_id", "login", "name")
            for batch in read_delimited(observers, names):
                texts = [to_text(batch.columns[name]).values.to_pylist() for name in names]
                known.add(zip(*texts, strict=True))
            for batch in read_delimited(photos, _RAW):
                yield self._joined(batch, known)

    def _joined(self, batch: RawBatch, known: Lookup) -> RawBatch:
        """Addresses and names; a photo of an observer who is not listed has no name."""
        who = to_text(batch.columns["observer_id"]).values.to_pylist()
        found = known.find(who)
        people = [found.get(id or "", (None, None)) for id in who]
        made: Mapping[str, list[object]] = {
            "address of photo": [
                _address(id, extension, self.size)
                for id, extension in zip(
                    batch.columns["photo_id"], batch.columns["extension"], strict=True
                )
            ],
            "page of photo": [_page("photos", id) for id in batch.columns["photo_id"]],
            "name of observer": [name or login for login, name in people],
            "page of observer": [_page("people", id) for id in who],
        }
        return RawBatch(batch.rows, {**batch.columns, **made}, batch.broken)


def _address(id: object, extension: object, size: str) -> str | None:
    if not _ID.fullmatch(str(id)) or not _EXTENSION.fullmatch(str(extension)):
        return None
    return f"{BUCKET}/{id}/{size}.{extension}"


def _page(what: str, id: object) -> str | None:
    return f"{SITE}/{what}/{id}" if _ID.fullmatch(str(id)) else None
