"""The credit line of one picture: of a file in hand, a sha256, a key or an address.

The file may be the original, a picture of the dataset or of an export, or a copy that was saved
again: then the nearest by looks is named with how far it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from curate import columns as c
from curate.errors import MissingInput
from curate.provenance.accepted import Unhonoured
from curate.provenance.attribution_requests import withheld
from curate.provenance.credit import READ, Credit, credit_of
from curate.provenance.find import find, find_picture
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

MOST: Final = 20
"""Credits shown at most; the beginning of a key may fit many rows."""


def attribute(path: str | Path, what: str | Path) -> list[str]:
    """The credit line of a picture, and below it what its licence asks for and nobody stated.

    `what` is a picture file, a sha256 (of the original or the stored bytes), a key or its
    beginning, a URL or a source id. Several rows that fit give several credits. Raises MissingInput
    if nothing fits, or if what fits was not kept, saying why.
    """
    dataset = Dataset.open(path)
    file = Path(what)
    if _is_file(file):
        how, found = find_picture(dataset, file)
    else:
        how, found = "what was asked for", find(dataset, str(what).strip())
    if not found:
        raise MissingInput(
            f"{dataset.root} has no row with key, sha256, URL or source id {str(what)!r}, "
            f"and there is no such file"
        )
    told, notes = _credits(dataset, found[:MOST])
    if not told:
        raise MissingInput(f"no credit: {'; '.join(notes)}")
    lines = [line for credit in told for line in _lines(credit)]
    if _is_file(file):
        lines.append(f"  found by {how}")
    lines += [f"  {note}" for note in notes]
    if len(found) > MOST:
        lines.append(f"  … and {len(found) - MOST:,} more rows: name one by its whole key")
    return lines


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a NUL: it is an address
        return False


def _lines(credit: Credit) -> list[str]:
    lines = [credit.text, f"  key {credit.key}"]
    if credit.accepted_by:
        lines.append(
            f"  the defaults would refuse it; the recipe's lines that do not: {credit.accepted_by}"
        )
    if credit.missing:
        lines.append(f"  the licence asks for it and nobody stated it: {credit.missing}")
    return lines


def _credits(dataset: Dataset, found: list[tuple[str, str]]) -> tuple[list[Credit], list[str]]:
    """Credits of the rows that are kept, and a note for each that is not.

    A duplicate's picture stands in the dataset under the row that was kept in its place.
    """
    told: dict[str, Credit] = {}
    notes = []
    hidden = withheld(dataset)
    for part, key in found:
        verdict, reason, related = verdict_of(dataset, part, key)
        if verdict == "kept":
            told[key] = credit_row(dataset, part, key, hidden)
            continue
        notes.append(f"row {key} is {verdict}: {reason}")
        if related is not None:
            for other, survivor in find(dataset, related):
                if verdict_of(dataset, other, survivor)[0] == "kept":
                    told[survivor] = credit_row(dataset, other, survivor, hidden)
                    notes.append(f"kept in its place: {survivor}")
    return list(told.values()), notes


def verdict_of(dataset: Dataset, part: str, key: str) -> tuple[str, str | None, str | None]:
    """(verdict, reason, related key) of a row, from the ledger."""
    names = [f.name for f in (c.KEY, c.VERDICT, c.REASON, c.RELATED_KEY)]
    row = _row(dataset, _shard(dataset, "ledger", part), key, names)
    return row["verdict"], row["reason"], row["related_key"]


def credit_row(dataset: Dataset, part: str, key: str, hidden: frozenset[str]) -> Credit:
    """The credit of one kept row."""
    shard = _shard(dataset, "images", part)
    entry = shard.file("data")
    have = dataset.schema(entry).names if entry else []
    row = _row(dataset, shard, key, [name for name in READ if name in have])
    seen = Unhonoured(dataset).of(shard, [key])
    return credit_of(row, withheld=key in hidden, unhonoured=seen.get(key, ()))


def _shard(dataset: Dataset, layer: str, part: str) -> Shard:
    return next(shard for shard in dataset.layer(layer).shards if shard.part == part)


def _row(dataset: Dataset, shard: Shard, key: str, names: list[str]) -> dict[str, Any]:
    entry = shard.file("data")
    table = dataset.read(entry, names) if entry else None
    rows = table.filter(pc.equal(table[c.KEY.name], key)).to_pylist() if table is not None else []
    if not rows:
        raise MissingInput(f"{shard.part}: row {key} is not there")
    return dict(rows[0])
