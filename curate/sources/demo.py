"""Candidates of the embedded demo corpus: the metadata table that `curate demo` draws from a seed.

It goes through the same machinery as any table; only the mapping is fixed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import pyarrow as pa
from pydantic import Field

from curate.errors import MissingInput
from curate.sources.assemble import ColumnMap, LicenseColumn
from curate.sources.base import InputFile, Source
from curate.sources.table import Table

METADATA: Final = "metadata.parquet"
COLUMNS: Final = ColumnMap(
    id="id", url="url", landing_url="landing_url", title="title", creator="creator",
    creator_url="creator_url", captions=("caption",), width="width", height="height",
)  # fmt: skip
LICENSES: Final = (
    LicenseColumn(column="license_url", kind="url", level=5, claimed_by="the demo corpus"),
    LicenseColumn(column="license_name", kind="text", level=5, claimed_by="the demo corpus"),
)
"""Level 5: the corpus publishes its own pictures, so its table is the publisher's own word."""


class Demo(Source):
    """The rows of `metadata.parquet` in the corpus folder `path`, filled in when the demo runs.

    `pictures` and `seed` decide what the corpus holds.
    """

    WHY: ClassVar[str] = (
        "L5: the corpus publishes its own pictures, so its table is its own record."
    )
    WORTH: ClassVar[str] = (
        "Everything and nothing: the pictures are drawn here, the claims planted."
    )

    LIVE: ClassVar[str] = "Yes: `make demo` draws it and serves it on loopback."

    kind: Literal["demo"] = "demo"
    name: str = Field(default="demo", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    pictures: int = Field(default=2400, ge=1)
    seed: int = Field(default=0, ge=0)
    path: Path | None = None

    def portable(self) -> dict[str, Any]:
        return super().portable() | {"path": None}

    def candidates(self) -> Iterator[pa.Table]:
        """Candidate tables of the corpus. Raises MissingInput if it has not been drawn yet."""
        return self._table().candidates()

    def inputs(self) -> list[InputFile]:
        """The metadata table with its hash."""
        return self._table().inputs()

    def _table(self) -> Table:
        path = self.path / METADATA if self.path is not None else None
        if path is None or not path.is_file():
            raise MissingInput(
                f"the demo corpus is not there ({path or 'no path given'}); `curate demo --to DIR` draws it"
            )
        return Table(name=self.name, path=path, columns=COLUMNS, licenses=LICENSES)
