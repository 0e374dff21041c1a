"""Sources: where candidate rows come from; one file a source."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from curate.sources.base import Source
from curate.sources.commoncatalog import CommonCatalog
from curate.sources.coyo import Coyo
from curate.sources.demo import Demo
from curate.sources.flickr import Flickr
from curate.sources.folder import Folder
from curate.sources.fondant import Fondant
from curate.sources.huggingface import Huggingface
from curate.sources.img2dataset import Img2dataset
from curate.sources.inaturalist import Inaturalist
from curate.sources.laion import Laion
from curate.sources.openverse import Openverse
from curate.sources.pd12m import Pd12m
from curate.sources.table import Table
from curate.sources.wikimedia import Wikimedia
from curate.sources.yfcc100m import Yfcc100m

AnySource = Annotated[
    Table | Folder | Demo | Fondant | Laion | Coyo | CommonCatalog | Pd12m
    | Openverse | Wikimedia | Flickr | Yfcc100m | Inaturalist
    | Img2dataset | Huggingface,
    Field(discriminator="kind"),
]  # fmt: skip
"""What `source:` in a recipe may be: an explicit list, told apart by `kind`."""

__all__ = [
    "AnySource", "CommonCatalog", "Coyo", "Demo", "Flickr", "Folder", "Fondant", "Huggingface",
    "Img2dataset", "Inaturalist",
    "Laion", "Openverse", "Pd12m", "Source", "Table", "Wikimedia", "Yfcc100m",
]  # fmt: skip
