"""Read each row's picture from a folder: the bytes and their sha256.

A path names a file, or a picture inside one (`curate.sources.address`): of an archive, of a Parquet
file. The folder is a location and not part of what the data is: it stays out of the fingerprint.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from curate import columns as c
from curate.errors import MissingInput
from curate.stage import Stage, Transform, mark
from curate.stages.members import read_all


class ReadFile(Stage, frozen=True, extra="forbid"):
    """PATH, relative to `root` → BODY with its hash and size, or a verdict."""

    kind: Literal["read_file"] = "read_file"
    root: str
    """The folder that the source's paths start from."""
    max_bytes: int = Field(default=256 * 1024 * 1024, ge=1)

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.PATH])
    produces: ClassVar[pa.Schema] = pa.schema(
        [c.BODY, c.ORIGINAL_SHA256, c.ORIGINAL_BYTES, c.OBSERVED_AT]
    )

    def identity(self) -> dict[str, Any]:
        """Everything but the location."""
        return self.model_dump(mode="json", exclude={"root"}) | {"version": self.version}

    def portable(self) -> dict[str, Any]:
        return super().portable() | {"root": Path(self.root).name}

    def open(self) -> Transform:
        """Check the folder. Raises MissingInput if it is none."""
        root = Path(self.root)
        if not root.is_dir():
            raise MissingInput(f"read_file: root {self.root!r} is not a directory; check the path")
        root = root.resolve()
        return lambda table: self._read_all(table, root)

    def _read_all(self, table: pa.Table, root: Path) -> pa.Table:
        found = read_all(root, table[c.PATH.name].to_pylist(), self.max_bytes)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        bodies = [one.body for one in found]
        made: dict[pa.Field, list[Any]] = {
            c.BODY: bodies,
            c.ORIGINAL_SHA256: [
                None if b is None else hashlib.sha256(b).hexdigest() for b in bodies
            ],
            c.ORIGINAL_BYTES: [None if b is None else len(b) for b in bodies],
            c.OBSERVED_AT: [now] * len(bodies),
        }
        for column, values in made.items():
            table = table.append_column(column, pa.chunked_array([pa.array(values, column.type)]))
        reasons, texts = [one.reason for one in found], [one.text for one in found]
        for verdict, mine in (("failed", True), ("rejected", False)):
            chosen = [r if r and r.startswith("missing_file") == mine else None for r in reasons]
            table = mark(table, chosen, verdict=verdict, stage="read_file", text=texts)
        return table
