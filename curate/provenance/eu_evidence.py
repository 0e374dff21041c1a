"""What a dataset's own files show for a summary of training content: hosts, dates, captions, sizes.

Read shard by shard; besides one shard, memory holds one line a host and a caption language.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.provenance.findings import flat
from curate.recipe import FIRST_LAYER
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

_HOST: Final = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/:?#]+)"
_SPILL: Final = 200_000
"""Lines of hosts of single shards that wait to be added up."""
HOSTS: Final = pa.schema([("host", pa.string()), ("bytes", pa.int64()), ("pictures", pa.int64())])


@dataclass
class Evidence:
    """Of the kept rows: `hosts` (HOSTS, most bytes first) of those that were fetched, and the rest.

    `first` and `last` are the days of the first and last fetch as they were observed (ISO 8601).
    """

    pictures: int = 0
    fetched: int = 0
    picture_bytes: int = 0
    hosts: pa.Table = field(default_factory=HOSTS.empty_table)
    first: str | None = None
    last: str | None = None
    captions: Counter[tuple[str, str]] = field(default_factory=Counter)
    caption_models: Counter[str] = field(default_factory=Counter)

    @property
    def languages(self) -> dict[str, int]:
        """Captions by stated language, most first; `not stated` where the source says none."""
        told: Counter[str] = Counter()
        for (language, _), rows in self.captions.items():
            told[language] += rows
        return dict(sorted(told.items(), key=lambda item: (-item[1], item[0])))

    def top_hosts(self, *, small_provider: bool) -> list[dict[str, Any]]:
        """The tenth of all hosts with the most bytes; of a small provider the twentieth, ≤ 1,000."""
        share = ceil(len(self.hosts) * (0.05 if small_provider else 0.10))
        rows: list[dict[str, Any]] = self.hosts.slice(
            0, min(share, 1000) if small_provider else share
        ).to_pylist()
        return rows


def gather(dataset: Dataset) -> Evidence:
    """Read the evidence of a dataset's kept rows."""
    found, waiting, lines = Evidence(), [HOSTS.empty_table()], 0
    images = dataset.layer(FIRST_LAYER)
    entries = [entry for shard in images.shards if (entry := shard.file("data"))]
    have = dataset.schema(entries[0]).names if entries else []
    wanted = [f.name for f in (c.KEY, c.URL, c.ORIGINAL_BYTES, c.CAPTIONS) if f.name in have]
    parts = (shard for shard in images.shards if shard.file("data"))
    for shard, table in zip(parts, dataset.kept(FIRST_LAYER, wanted), strict=True):
        table = _filled(table)
        found.pictures += len(table)
        found.picture_bytes += pc.sum(table[c.ORIGINAL_BYTES.name]).as_py() or 0
        _captions(table, found)
        waiting.append(_hosts(_fetched(dataset, shard, table, found)))
        lines += len(waiting[-1])
        if lines > _SPILL:
            waiting, lines = [_added(waiting)], 0
    whole = _added(waiting)
    order = [("bytes", "descending"), ("host", "ascending")]
    found.hosts = whole.take(pc.sort_indices(whole, sort_keys=order))
    return found


def _filled(table: pa.Table) -> pa.Table:
    """The table with a null column for each that a dataset of others lacks."""
    for f in (c.URL, c.ORIGINAL_BYTES, c.CAPTIONS):
        if f.name not in table.column_names:
            table = table.append_column(f, pa.nulls(len(table), f.type))
    return table


def _captions(table: pa.Table, found: Evidence) -> None:
    captions = pc.list_flatten(flat(table[c.CAPTIONS.name]))
    told = pa.table({name: captions.field(name) for name in ("language", "origin", "model")})
    grouped: Any = told.group_by(["language", "origin", "model"], use_threads=False)
    for row in grouped.aggregate([([], "count_all")]).to_pylist():
        place = (row["language"] or "not stated", row["origin"] or "not stated")
        found.captions[place] += row["count_all"]
        if row["origin"] == "model":
            found.caption_models[row["model"] or "not stated"] += row["count_all"]


def _fetched(dataset: Dataset, shard: Shard, table: pa.Table, found: Evidence) -> pa.Table:
    """The kept rows of a part that were fetched, with where the answer came from."""
    entry = shard.file("observations")
    names = [f.name for f in (c.KEY, c.OBSERVED_AT, c.FINAL_URL, c.HTTP_STATUS)]
    if entry is None or not set(names) <= set(dataset.schema(entry).names):
        return table.slice(0, 0).append_column("from", pa.nulls(0, pa.string()))
    seen = dataset.read(entry, names)
    place = pc.index_in(table[c.KEY.name], value_set=flat(seen[c.KEY.name]))
    times, final, status = (flat(seen[name]).take(place) for name in names[1:])
    there = pc.and_(pc.is_valid(status), pc.is_valid(times))
    rows = table.append_column("from", pc.coalesce(flat(final), flat(table[c.URL.name])))
    rows = rows.filter(there)
    if len(rows):
        ends = pc.min_max(times.filter(there)).as_py()
        found.first = min(filter(None, (found.first, ends["min"])))
        found.last = max(filter(None, (found.last, ends["max"])))
    found.fetched += len(rows)
    return rows


def _hosts(rows: pa.Table) -> pa.Table:
    """Bytes and pictures by host of the rows of one part."""
    named = pc.extract_regex(flat(rows["from"]), pattern=_HOST)
    host = pc.ascii_lower(pc.struct_field(named, "host")) if len(rows) else pa.nulls(0, pa.string())
    sizes = pc.fill_null(flat(rows[c.ORIGINAL_BYTES.name]), 0)
    ones = pa.array([1] * len(rows), pa.int64())
    return _added([pa.table([pc.fill_null(host, "not an address"), sizes, ones], schema=HOSTS)])


def _added(tables: list[pa.Table]) -> pa.Table:
    """One line a host."""
    grouped: Any = pa.concat_tables(tables).group_by("host", use_threads=False)
    summed = grouped.aggregate([("bytes", "sum"), ("pictures", "sum")])
    return pa.table([flat(summed[n]) for n in ("host", "bytes_sum", "pictures_sum")], schema=HOSTS)
