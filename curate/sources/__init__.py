"""Sources: where candidate rows come from; one file a source."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from curate.sources.base import Source
from curate.sources.demo import Demo
from curate.sources.folder import Folder
from curate.sources.table import Table

AnySource = Annotated[Table | Folder | Demo, Field(discriminator="kind")]
"""What `source:` in a recipe may be: an explicit list, told apart by `kind`."""

__all__ = ["AnySource", "Demo", "Folder", "Source", "Table"]
