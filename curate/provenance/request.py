"""What a removal is asked to take, as lines of the tombstone log: hashes, not names."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import pyarrow.compute as pc

from curate import columns as c
from curate.errors import MissingInput, RecipeError
from curate.images.decode import Refusal, decode
from curate.images.hashes import perceptual, pixel_sha256
from curate.provenance.same_picture import MAX_PIXELS
from curate.sources.removed import creator_sha256, url_sha256
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.tombstones import Selector, Tombstone, phash_text, thumbprint_text

REASON_CHARACTERS: Final = 200
LEAST_PREFIX: Final = 8
HEX64: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Selectors:
    """What to remove: keys (whole, or a beginning that only one row has), sha256 of picture files,
    URLs, creators (name or address), pictures to be near to."""

    keys: Sequence[str] = ()
    sha256: Sequence[str] = ()
    urls: Sequence[str] = ()
    creators: Sequence[str] = ()
    near: Sequence[str | Path] = ()


def checked_reason(reason: str, selectors: Selectors) -> str:
    """The reason as it is kept for ever: short, and naming nobody."""
    text = " ".join(reason.split())
    named = [str(name) for name in (*selectors.urls, *selectors.creators)]
    if not text or len(text) > REASON_CHARACTERS:
        raise RecipeError(f"--reason: write 1 to {REASON_CHARACTERS} characters, not {len(text)}")
    if "://" in text or "@" in text or any(n.casefold() in text.casefold() for n in named if n):
        raise RecipeError("--reason is kept for ever: write no names and no addresses into it")
    return text


def requests(files: LocalFiles, selectors: Selectors, reason: str) -> list[Tombstone]:
    """One line a selector. Raises RecipeError naming a selector that is none."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")

    def line(selector: Selector, **told: str | None) -> Tombstone:
        return Tombstone(time=now, selector=selector, reason=reason, found_by="request", **told)

    found = [line("key", key=_whole_key(files, key)) for key in selectors.keys]
    for digest in selectors.sha256:
        if not HEX64.fullmatch(digest.lower()):
            raise RecipeError(f"--sha256 {digest!r} is not 64 hexadecimal digits")
        found.append(line("sha256", original_sha256=digest.lower()))
    found += [line("url", url_sha256=url_sha256(url)) for url in selectors.urls]
    found += [line("creator", creator_sha256=creator_sha256(name)) for name in selectors.creators]
    found += [line("near", **_looks(Path(picture))) for picture in selectors.near]
    if not found:
        raise RecipeError("name what to remove: --key, --sha256, --url, --creator or --near")
    return found


def _whole_key(files: LocalFiles, key: str) -> str:
    key = key.lower()
    if HEX64.fullmatch(key):
        return key
    if len(key) < LEAST_PREFIX or not HEX64.fullmatch(key.ljust(64, "0")):
        raise RecipeError(f"--key {key!r}: give the 64 digits, or at least {LEAST_PREFIX} of them")
    matching = list(_beginning(Dataset.open(files.root), key))
    if len(matching) != 1:
        raise RecipeError(f"--key {key!r} begins {len(matching)} keys: give more digits")
    return matching[0]


def _beginning(dataset: Dataset, prefix: str) -> Iterator[str]:
    for table in dataset.tables("plan", [c.KEY.name]):
        keys = table[c.KEY.name]
        yield from keys.filter(pc.starts_with(keys, prefix)).to_pylist()


def _looks(picture: Path) -> dict[str, str | None]:
    """The hashes of a picture file."""
    if not picture.is_file():
        raise MissingInput(f"--near {picture} does not exist")
    data = picture.read_bytes()
    decoded = decode(data, max_pixels=MAX_PIXELS)
    if isinstance(decoded, Refusal):
        raise RecipeError(f"--near {picture} is no picture: {decoded.text}")
    phash, thumbprint = perceptual(decoded.pixels)
    return {
        "original_sha256": sha256(data).hexdigest(), "pixel_sha256": pixel_sha256(decoded.pixels),
        "phash": phash_text(phash), "thumbprint": thumbprint_text(thumbprint),
    }  # fmt: skip
