"""Sources that are recognised by their column or file names, for `curate init`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, get_args

from curate.sources import AnySource, Source
from curate.sources.adapter import Adapter
from curate.sources.assemble import Layout
from curate.sources.flickr import SIZES

SIGNS: Final[Mapping[str, frozenset[str]]] = {
    "fondant": frozenset({"image_url", "alt_text", "webpage_url", "license_type"}),
    "commoncatalog": frozenset({"photoid", "downloadurl", "licensename", "blip2_caption"}),
    "pd12m": frozenset({"id", "url", "caption", "mime_type", "hash", "license"}),
    "coyo": frozenset({"id", "url", "text", "image_phash", "clip_similarity_vitb32"}),
    "laion": frozenset({"URL", "TEXT", "similarity"}),
    "openverse": frozenset({"foreign_landing_url", "license", "license_version", "provider"}),
    "wikimedia": frozenset({"pageid", "title", "imageinfo"}),
    "flickr": frozenset({"id", "owner", "license"}),
}
"""Columns that tell a source from a table of somebody's own, the most telling sets first."""
ONE_OF: Final[Mapping[str, frozenset[str]]] = {
    "flickr": frozenset({"secret", *(f"url_{size}" for size in SIZES)}),
}
"""Further columns, of which one must be there: how Flickr's objects say where the picture lies."""
FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "inaturalist": ("photos.csv*", "observers.csv*"),
    "yfcc100m": ("yfcc100m_dataset*",),
    "img2dataset": ("*_stats.json",),
}
"""Files, as patterns, that a folder of a source holds, each at least once."""


CARRYING: Final = frozenset({"img2dataset", "huggingface"})
"""Kinds whose files hold the pictures, so that they are read and nothing is fetched."""


def kinds() -> dict[str, type[Source]]:
    """Every source by its kind, in the order of `AnySource`."""
    classes = get_args(get_args(AnySource)[0])
    return {class_.model_fields["kind"].default: class_ for class_ in classes}


def by_columns(names: Iterable[str]) -> str | None:
    """The kind of source whose table has these columns, or None."""
    have, known = set(names), kinds()
    for kind, signs in SIGNS.items():
        one_of = ONE_OF.get(kind, have)
        if kind in known and signs <= have and one_of & have and not required(known[kind]) - have:
            return kind
    return None


def by_files(folder: Path) -> str | None:
    """The kind of source whose folder holds these files, or None."""
    for kind, patterns in FILES.items():
        if kind in kinds() and all(any(folder.glob(pattern)) for pattern in patterns):
            return kind
    return None


def by_name(file: Path) -> str | None:
    """The kind of source that a file is alone, by its name, or None."""
    for kind, patterns in FILES.items():
        if len(patterns) == 1 and kind not in CARRYING and fnmatchcase(file.name, patterns[0]):
            return kind
    return None


def required(class_: type[Source]) -> set[str]:
    """The raw columns that a file must have to be read as this source."""
    if not issubclass(class_, Adapter):
        return set()
    layout = Layout(
        source="-", columns=class_.COLUMNS, licenses=class_.CLAIMS, captions=class_.CAPTIONS
    )
    raw = {name for wanted in layout.wanted() for name in class_.DERIVED.get(wanted, (wanted,))}
    return raw - class_.MAY_LACK
