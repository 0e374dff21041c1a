"""Which row is meant: by key or its beginning, by either hash, by URL or source id, by a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.errors import MissingInput, RecipeError
from curate.images.compare import aligned_difference
from curate.images.decode import Refusal, decode
from curate.images.hashes import perceptual, pixel_sha256
from curate.sources.keys import canonical_url
from curate.stages.duplicates import Duplicates
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

_HEX: Final = frozenset("0123456789abcdef")
_HASHES: Final = (c.ORIGINAL_SHA256.name, c.STORED_SHA256.name)
_LOOKS: Final = (c.PHASH.name, c.THUMBPRINT.name, c.PIXEL_SHA256.name)
NEAR_BITS: Final = int(Duplicates.model_fields["near_bits"].default)
NEAR_RGB: Final = float(Duplicates.model_fields["near_rgb"].default)
"""How far apart two pictures may be and still be taken for one, as the duplicates barrier has it."""
MOST_NAMED: Final = 8
"""Keys given, each whole, where several rows fit: repeats of a key begin alike."""
LARGEST_PIXELS: Final = 200_000_000


@dataclass(frozen=True, order=True)
class Likeness:
    """How far a row's picture is from one in hand: colour levels of 255 on average, hash bits."""

    levels: float
    bits: int
    part: str
    key: str

    @property
    def near(self) -> bool:
        """Whether the duplicates barrier's own bounds would take the two for one."""
        return self.bits <= NEAR_BITS and self.levels <= NEAR_RGB


def find(dataset: Dataset, wanted: str) -> list[tuple[str, str]]:
    """(part, key) of every row that fits a key or its beginning, a sha256, a URL or a source id."""
    found: list[tuple[str, str]] = []
    if wanted:
        for shards in _parts(dataset):
            found += ((shards["plan"].part, key) for key in _matching(dataset, shards, wanted))
    return found


def find_one(dataset: Dataset, wanted: str) -> tuple[str, str]:
    """(part, key) of the one row that is meant.

    Raises MissingInput if no row fits, RecipeError naming some if several do.
    """
    found = find(dataset, wanted)
    if not found:
        raise MissingInput(
            f"{dataset.root} has no row with key, sha256, URL or source id {wanted!r}"
        )
    if len(found) > 1:
        named = ", ".join(key for _, key in found[:MOST_NAMED])
        more = f" and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
        raise RecipeError(
            f"{wanted!r} fits {len(found):,} rows; name one by its whole key: {named}{more}"
        )
    return found[0]


def find_picture(dataset: Dataset, path: Path) -> tuple[str, list[tuple[str, str]]]:
    """How a picture file was found, and (part, key) of the rows: by bytes, by pixels, by looks.

    Looks take the nearest row within the duplicates barrier's bounds. Raises MissingInput if there
    is none, telling how far the nearest is, or if the file is no picture.
    """
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    exact = [
        (shards["plan"].part, key)
        for shards in _parts(dataset)
        for key in _hashed(dataset, shards["ledger"], digest)
    ]
    if exact:
        return "sha256 of the file's bytes", exact
    picture = decode(body, max_pixels=LARGEST_PIXELS)
    if isinstance(picture, Refusal):
        raise MissingInput(
            f"{path.name}: no row has its sha256, and it is no picture ({picture.reason})"
        )
    same, nearest = _alike(dataset, pixel_sha256(picture.pixels), *perceptual(picture.pixels))
    if same:
        return "its pixels, which are the same", same
    if nearest is None or not nearest.near:
        raise MissingInput(
            f"{path.name}: no row has its bytes, its pixels or its looks{_far(nearest)}"
        )
    how = f"its looks: {nearest.bits} of 64 hash bits and {nearest.levels:.1f} of 255 colour levels apart"
    return how, [(nearest.part, nearest.key)]


def _far(nearest: Likeness | None) -> str:
    if nearest is None:
        return ""
    apart = f"{nearest.bits} of 64 hash bits and {nearest.levels:.1f} of 255 colour levels apart"
    return f" (the nearest, {nearest.key[:16]}, is {apart}: at most {NEAR_BITS} and {NEAR_RGB:g} count)"


def _parts(dataset: Dataset) -> Iterator[Mapping[str, Shard]]:
    ledgers = {shard.part: shard for shard in dataset.layer("ledger").shards}
    for plan in dataset.layer("plan").shards:
        yield {"plan": plan, "ledger": ledgers[plan.part]}


def _matching(dataset: Dataset, shards: Mapping[str, Shard], wanted: str) -> list[str]:
    """Keys of one part that fit: by beginning, by either hash, by URL, by source id."""
    keys: list[str] = []
    ledger, plan = shards["ledger"].file("data"), shards["plan"].file("data")
    lowered = wanted.lower()
    if ledger and set(lowered) <= _HEX:
        table = dataset.read(ledger, [c.KEY.name])
        keys += table.filter(pc.starts_with(table[c.KEY.name], lowered))[c.KEY.name].to_pylist()
        keys += _hashed(dataset, shards["ledger"], lowered)
    if plan:
        table = dataset.read(plan, [c.KEY.name, c.URL.name, c.LANDING_URL.name, c.SOURCE_ID.name])
        addresses = pa.array(list({wanted, canonical_url(wanted)}))
        fits = [pc.is_in(table[n.name], value_set=addresses) for n in (c.URL, c.LANDING_URL)]
        fits.append(pc.fill_null(pc.equal(table[c.SOURCE_ID.name], wanted), False))
        keys += table.filter(pc.or_(pc.or_(fits[0], fits[1]), fits[2]))[c.KEY.name].to_pylist()
    return list(dict.fromkeys(keys))


def _hashed(dataset: Dataset, ledger: Shard, digest: str) -> list[str]:
    """Keys of a part whose original or stored bytes have this sha256."""
    entry = ledger.file("data")
    if entry is None or len(digest) != 64:
        return []
    table = dataset.read(entry, [c.KEY.name, *_HASHES])
    fits = [pc.fill_null(pc.equal(table[name], digest), False) for name in _HASHES]
    found: list[str] = table.filter(pc.or_(*fits))[c.KEY.name].to_pylist()
    return found


def _alike(
    dataset: Dataset, pixels: str, phash: int, print_: bytes
) -> tuple[list[tuple[str, str]], Likeness | None]:
    """Rows with the same pixels, and the nearest row by looks; one shard's hashes at a time."""
    same: list[tuple[str, str]] = []
    nearest: Likeness | None = None
    for shard in dataset.layer("images").shards:
        entry = shard.file("data")
        if entry is None or not entry.rows:
            continue
        table = dataset.read(entry, [c.KEY.name, *_LOOKS])
        fits = pc.fill_null(pc.equal(table[c.PIXEL_SHA256.name], pixels), False)
        same += ((shard.part, key) for key in table.filter(fits)[c.KEY.name].to_pylist())
        here = _nearest(table, shard.part, phash, print_)
        nearest = min(
            (n for n in (nearest, here) if n), key=lambda n: (not n.near, n), default=None
        )
    return same, nearest


def _nearest(table: pa.Table, part: str, phash: int, print_: bytes) -> Likeness | None:
    """The most alike row: among those whose hash is near if any is, else by hash."""
    measured = pc.and_(pc.is_valid(table[c.PHASH.name]), pc.is_valid(table[c.THUMBPRINT.name]))
    table = table.filter(measured)
    if not len(table):
        return None
    hashes = np.asarray(table[c.PHASH.name].to_numpy(), np.uint64)
    bits = np.bitwise_count(hashes ^ np.uint64(phash)).astype(int)
    rows = np.flatnonzero(bits <= max(NEAR_BITS, int(bits.min())))
    prints = table[c.THUMBPRINT.name].take(pa.array(rows)).to_pylist()
    theirs = np.frombuffer(b"".join(prints), np.uint8).reshape(len(rows), -1)
    own = np.broadcast_to(np.frombuffer(print_, np.uint8), theirs.shape)
    levels = aligned_difference(theirs, own)
    at = int(levels.argmin())
    row = int(rows[at])
    return Likeness(float(levels[at]), int(bits[row]), part, table[c.KEY.name][row].as_py())
