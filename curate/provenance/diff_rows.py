"""What a kept row says of itself in two datasets: captions, names, addresses, claims, decision.

Verdicts alone do not show such a change. Features are not looked at: models make them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.provenance.findings import flat
from curate.recipe import FIRST_LAYER
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

OWN: Final = tuple(
    f.name
    for f in (c.CAPTIONS, c.TITLE, c.CREATOR, c.CREATOR_URL, c.URL, c.LANDING_URL, c.PATH, c.SOURCE,
              c.SOURCE_ID, c.CLAIMS, c.LICENSE_EXPRESSION, c.LICENSE_BASIS, c.LICENSE_MATCHED,
              c.LICENSE_GROUP, c.DECLARED_WIDTH, c.DECLARED_HEIGHT, c.EMBEDDED_CLAIMS,
              c.EMBEDDED_RESERVATIONS, c.EMBEDDED_AGREES)
)  # fmt: skip
"""Columns of images/data that a row has from its source, its licence and its picture's file."""
_RETRIEVAL: Final = ("retrieved_at", "http_status", "final_url", "response_sha256")
RETRIEVED: Final = "claims, only when and from what response they were taken"


def parts_of(dataset: Dataset, bits: str) -> list[Shard]:
    """Shards of images whose keys lie in a range."""
    shards = dataset.layer(FIRST_LAYER).shards
    return [s for s in shards if s.part.rpartition("-")[0].removeprefix("all").startswith(bits)]


def own_changes(
    one: tuple[Dataset, list[Shard]], two: tuple[Dataset, list[Shard]], keys: Collection[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(key, names of the columns that differ) of rows that both keep; memory: one range of each.

    A column that one of the two lacks is not compared.
    """
    wanted = pa.array(keys, pa.string())
    left, right = _own(*one, wanted), _own(*two, wanted)
    names = [name for name in OWN if {name} <= {*left.column_names} & {*right.column_names}]
    both = wanted.filter(
        pc.and_(*(pc.is_in(wanted, value_set=flat(t["key"])) for t in (left, right)))
    )
    left, right = (t.take(pc.index_in(both, value_set=flat(t["key"]))) for t in (left, right))
    found: dict[int, list[str]] = {}
    for name in names:
        before, after = flat(left[name]), flat(right[name])
        for row in differing(before, after):
            told = name
            if name == c.CLAIMS.name and _but_retrieval(before[row]) == _but_retrieval(after[row]):
                told = RETRIEVED
            found.setdefault(row, []).append(told)
    for row in sorted(found):
        yield both[row].as_py(), tuple(found[row])


def differing(left: pa.Array, right: pa.Array) -> Iterator[int]:
    """Places at which two arrays of one length differ, nested ones too, by halving what differs."""
    waiting = [(0, len(left))]
    while waiting:
        start, rows = waiting.pop()
        if left.slice(start, rows).equals(right.slice(start, rows)):
            continue
        if rows == 1:
            yield start
            continue
        half = rows // 2
        waiting += [(start + half, rows - half), (start, half)]


def _own(dataset: Dataset, shards: list[Shard], keys: pa.Array) -> pa.Table:
    """The compared columns of some rows."""
    tables = []
    for entry in (entry for shard in shards if (entry := shard.file("data"))):
        have = dataset.schema(entry).names
        table = dataset.read(entry, [c.KEY.name, *(name for name in OWN if name in have)])
        tables.append(table.filter(pc.is_in(table[c.KEY.name], value_set=keys)))
    empty = pa.schema([c.KEY]).empty_table()
    return pa.concat_tables(tables, promote_options="default") if tables else empty


def _but_retrieval(claims: pa.Scalar) -> list[dict[str, object]]:
    rows: list[Mapping[str, object]] = claims.as_py() or []
    return [{k: v for k, v in row.items() if k not in _RETRIEVAL} for row in rows]
