"""Every row that is the same picture: by bytes, pixels, address, duplicate cluster or likeness.

Likeness is the measure of the duplicates barrier with the recipe's settings, on whatever was kept
of a row: its print, its stored picture, its thumbnail. The search goes on until nothing new is
found, so nothing that stays is near anything that goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.engine import Layers, barrier_tasks
from curate.images.decode import Refusal, decode
from curate.images.hashes import perceptual
from curate.images.likeness import Near, Prints
from curate.plan import Plan
from curate.provenance.findings import flat
from curate.provenance.lineage import before
from curate.provenance.partition import by_part, read_role
from curate.provenance.rewrite import settle
from curate.recipe import FIRST_LAYER, Pass, Recipe
from curate.shards import read_rows
from curate.sources.removed import REMOVED, Sought, url_sha256
from curate.stage import Barrier, with_marks
from curate.stages.duplicates import Duplicates
from curate.stages.tombstones import prints_of
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.manifest import Shard
from curate.store.tombstones import Tombstone, phash_text, thumbprint_text

MAX_PIXELS: Final = 1 << 28
WIDER_BITS: Final = 8
WIDER_RGB: Final = 3.0
"""How much less alike prints may be for a row's stored picture and thumbnail to be looked at."""
THUMBNAIL_RGB: Final = 1.0
"""What a thumbnail of a very small picture may differ by from the picture itself."""
NAMES: Final = (c.KEY.name, c.URL.name, c.CREATOR.name, c.CREATOR_URL.name, c.DEFECT.name)


@dataclass(frozen=True)
class Measure:
    """The settings of the barrier that decides what near is."""

    near_bits: int
    near_rgb: float

    @classmethod
    def of(cls, recipe: Recipe) -> Measure:
        barriers = (step.barrier for step in recipe.passes)
        found = next((b for b in barriers if isinstance(b, Duplicates)), Duplicates())
        return cls(found.near_bits, found.near_rgb)

    def near(
        self, given: Prints, others: Prints, *, more_bits: int = 0, more_rgb: float = 0
    ) -> Near:
        bits, rgb = self.near_bits + more_bits, self.near_rgb + more_rgb
        return given.near(others, near_bits=bits, near_rgb=rgb)


def print_of(data: bytes | None) -> tuple[int, bytes] | None:
    """phash and thumbprint of a picture's bytes, or None if they are no picture."""
    picture = decode(data, max_pixels=MAX_PIXELS) if data else None
    return None if picture is None or isinstance(picture, Refusal) else perceptual(picture.pixels)


@dataclass
class PartRows:
    """The rows of one part as far as they tell a picture: one entry a candidate, in key order."""

    part: str
    shards: Mapping[str, Shard]
    plan: pa.Table
    ledger: pa.Table
    measured: pa.Table
    thumbnails: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    @cached_property
    def keys(self) -> list[str]:
        return list(self.plan[c.KEY.name].to_pylist())


class Search:
    """Finds what a removal takes; holds narrow columns of one part at a time."""

    def __init__(self, dataset: Dataset, recipe: Recipe, plan: Plan) -> None:
        self.dataset, self.recipe, self.plan = dataset, recipe, plan
        self.measure = Measure.of(recipe)
        self.parts = by_part(dataset)
        self._thumbnails: dict[str, dict[str, tuple[int, bytes]]] = {}

    def rows(self, requests: Sequence[Tombstone]) -> list[Tombstone]:
        """A tombstone, without a place in a log, for each row to remove; key order a round."""
        found: dict[str, Tombstone] = {}
        while True:
            new = list(self._round(requests, found))
            if not new:
                new = list(self._unsettled(requests, found))
            if not new:
                return list(found.values())
            found |= {str(entry.key): entry for entry in new}

    def _round(
        self, requests: Sequence[Tombstone], found: Mapping[str, Tombstone]
    ) -> Iterator[Tombstone]:
        sought = Sought.of([*requests, *found.values()])
        for part in self.parts:
            rows = self._read(part)
            hits = _hits(rows, sought, found)
            for key, told in self._near(rows, sought, [*found, *hits]).items():
                hits.setdefault(key, told)
            yield from self._tombstones(rows, hits, requests[0])

    def _read(self, part: str) -> PartRows:
        shards = self.parts[part]
        plan = read_role(self.dataset, shards["plan"], "data", NAMES)
        facts = [c.ORIGINAL_SHA256.name, c.STORED_SHA256.name, c.RELATED_KEY.name]
        ledger = read_role(self.dataset, shards["ledger"], "data", facts)
        names = [c.KEY.name, c.PIXEL_SHA256.name, c.PHASH.name, c.THUMBPRINT.name]
        measured = read_role(self.dataset, shards[FIRST_LAYER], "data", names)
        alive = pc.fill_null(pc.not_equal(plan[c.DEFECT.name], REMOVED), True)
        rows = PartRows(part, shards, plan.filter(alive), ledger.filter(alive), measured)
        rows.thumbnails = self._thumbnail_prints(rows)
        return rows

    def _thumbnail_prints(self, rows: PartRows) -> dict[str, tuple[int, bytes]]:
        """Prints of rows rejected in the first pass, of which only a thumbnail was kept."""
        if rows.part not in self._thumbnails:
            names = [c.KEY.name, c.THUMBNAIL.name]
            marks = read_role(self.dataset, rows.shards[FIRST_LAYER], "marks", names)
            pairs: Iterable[tuple[str, bytes | None]] = ()
            if c.THUMBNAIL.name in marks.column_names:
                pairs = zip(*(marks[name].to_pylist() for name in names), strict=True)
            prints = {key: print_of(data) for key, data in pairs if data}
            self._thumbnails[rows.part] = {key: p for key, p in prints.items() if p is not None}
        return self._thumbnails[rows.part]

    def _near(self, rows: PartRows, sought: Sought, known: Iterable[str]) -> dict[str, str]:
        """Key → how near, of the rows that are near a tombstone and not known yet."""
        given = sought.prints
        if not len(given):
            return {}
        prints = dict(rows.thumbnails)
        if c.THUMBPRINT.name in rows.measured.column_names:
            at, measured = prints_of(rows.measured)
            keys = rows.measured[c.KEY.name].take(pa.array(at)).to_pylist()
            print_rows = zip(measured.phash.tolist(), measured.thumbprints, strict=True)
            wide = (
                self.measure.near(given, measured, more_bits=WIDER_BITS, more_rgb=WIDER_RGB).which
                >= 0
            )
            prints |= {
                key: (phash, thumbprint.tobytes())
                for key, (phash, thumbprint), alike in zip(keys, print_rows, wide, strict=True)
                if alike
            }
        for key in known:
            prints.pop(key, None)
        alive = set(rows.keys)
        return self._nearest(rows, given, {k: p for k, p in prints.items() if k in alive})

    def _nearest(
        self, rows: PartRows, given: Prints, prints: Mapping[str, tuple[int, bytes]]
    ) -> dict[str, str]:
        forms = {key: [print_] for key, print_ in prints.items()}
        looked = [key for key in prints if key not in rows.thumbnails]
        for key, stored in self._stored(rows, looked):
            forms[key] += [p for data in stored if (p := print_of(data)) is not None]
        told = {}
        for key, of in forms.items():
            lossy = THUMBNAIL_RGB if key in rows.thumbnails else 0.0
            near = self.measure.near(given, Prints.of(of), more_rgb=lossy)
            best = int(np.argmin(near.difference))
            if near.which[best] >= 0:
                told[key] = f"near: {near.bits[best]} bits, {near.difference[best]:.2f} levels"
        return told

    def _stored(
        self, rows: PartRows, keys: Sequence[str]
    ) -> Iterator[tuple[str, list[bytes | None]]]:
        """Stored picture and thumbnail of some rows of the first layer's data."""
        if not keys:
            return
        names = [c.KEY.name, c.IMAGE.name, c.THUMBNAIL.name]
        table = read_role(self.dataset, rows.shards[FIRST_LAYER], "data", names)
        wanted = table.filter(pc.is_in(table[c.KEY.name], value_set=pa.array(list(keys))))
        for row in wanted.to_pylist():
            yield (
                row[c.KEY.name],
                [(row.get(c.IMAGE.name) or {}).get("bytes"), row.get(c.THUMBNAIL.name)],
            )

    def _tombstones(
        self, rows: PartRows, hits: Mapping[str, str], request: Tombstone
    ) -> Iterator[Tombstone]:
        place = {key: at for at, key in enumerate(rows.keys)}
        measured = {row[c.KEY.name]: row for row in _rows_of(rows.measured, list(hits))}
        for key in sorted(hits):
            url = rows.plan[c.URL.name][place[key]].as_py()
            own = measured.get(key, {})
            print_ = (own.get(c.PHASH.name), own.get(c.THUMBPRINT.name))
            if None in print_:
                print_ = rows.thumbnails.get(key, (None, None))
            phash, thumbprint = print_
            yield Tombstone(
                time=request.time, selector=request.selector, reason=request.reason,
                found_by=hits[key], key=key,
                original_sha256=rows.ledger[c.ORIGINAL_SHA256.name][place[key]].as_py(),
                stored_sha256=rows.ledger[c.STORED_SHA256.name][place[key]].as_py(),
                pixel_sha256=own.get(c.PIXEL_SHA256.name),
                url_sha256=None if url is None else url_sha256(url),
                phash=None if phash is None else phash_text(phash),
                thumbprint=None if thumbprint is None else thumbprint_text(thumbprint),
            )  # fmt: skip

    def _unsettled(
        self, requests: Sequence[Tombstone], found: Mapping[str, Tombstone]
    ) -> Iterator[Tombstone]:
        """Rows whose verdict at a barrier would change without those found: they go with them."""
        gone = pa.array(sorted(found), pa.string())
        layers: Layers = {name: {} for name in (x.name for x in self.dataset.manifest.layers)}
        for part, shards in self.parts.items():
            for name, shard in shards.items():
                layers[name][part] = shard  # type: ignore[assignment]
        changed: set[str] = set()
        for step in self.recipe.passes if len(gone) else ():
            if step.barrier is not None and step.verdict_layer in layers:
                changed |= self._changed(step, step.barrier, step.verdict_layer, layers, gone)
        for part in self.parts if changed else ():
            rows = self._read(part)
            mine = dict.fromkeys(changed & set(rows.keys), "its verdict hung on a row that goes")
            yield from self._tombstones(rows, mine, requests[0])

    def _changed(
        self, step: Pass, barrier: Barrier, name: str, layers: Layers, gone: pa.Array
    ) -> set[str]:
        columns = list(dict.fromkeys([c.KEY.name, *barrier.consumes.names]))
        tasks = barrier_tasks(self.recipe, step, dict(before(layers, name)))  # type: ignore[arg-type]
        files = self.dataset.files

        def stay(table: pa.Table) -> pa.Table:
            return table.filter(pc.invert(pc.is_in(table[c.KEY.name], value_set=gone)))

        whole = json_digest([task.input_digest for task in tasks])
        index = self.recipe.passes.index(step)
        kept = settle(files, self.plan, self.recipe, index, before(layers, name), whole)
        tables = (stay(read_rows(files, task, columns)) for task in tasks)
        derived = with_marks(barrier.decide(tables, remembered=kept.remembered))
        shards = (layers[name][part] for part in self.parts)
        marks = (read_role(self.dataset, shard, "marks", None) for shard in shards)  # type: ignore[arg-type]
        stored = stay(pa.concat_tables(marks, promote_options="default"))
        return {key for key, *_ in _verdicts(stored) ^ _verdicts(derived)}


def _verdicts(marks: pa.Table) -> set[tuple[str, ...]]:
    """Key, reason, survivor and what was measured, of each marked row."""
    names = (c.KEY.name, c.REASON.name, c.RELATED_KEY.name, c.MEASURED_TEXT.name)
    return set(zip(*(marks[name].to_pylist() for name in names), strict=True))


def _rows_of(table: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    wanted = pc.is_in(table[c.KEY.name], value_set=pa.array(keys, pa.string()))
    rows: list[dict[str, Any]] = table.filter(wanted).to_pylist()
    return rows


def _hits(rows: PartRows, sought: Sought, found: Mapping[str, Tombstone]) -> dict[str, str]:
    """Key → how it was found, of the rows named outright or by equal hashes, and not found yet."""
    keys = pa.array(rows.keys, pa.string())
    told: dict[str, str] = {}

    def add(where: pa.Array | pa.ChunkedArray, of: pa.Array, text: str) -> None:
        for key in of.filter(pc.fill_null(where, False)).to_pylist():
            if key not in found:
                told.setdefault(key, text)

    def among(column: pa.ChunkedArray, values: Iterable[str]) -> pa.ChunkedArray:
        return pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))

    add(sought.candidates(rows.plan), keys, "asked for, or the same address")
    for name in (c.ORIGINAL_SHA256.name, c.STORED_SHA256.name):
        add(among(rows.ledger[name], sought.files), keys, f"same {name}")
    if c.PIXEL_SHA256.name in rows.measured.column_names:
        own = flat(rows.measured[c.KEY.name])
        same = among(rows.measured[c.PIXEL_SHA256.name], sought.pixels)
        add(same, own, f"same {c.PIXEL_SHA256.name}")
    related = rows.ledger[c.RELATED_KEY.name]
    add(among(related, found), keys, "duplicate cluster")
    survivors = frozenset(
        flat(related)
        .filter(pc.is_in(keys, value_set=pa.array(sorted(found), pa.string())))
        .drop_null()
        .to_pylist()
    )
    add(among(pa.chunked_array([keys]), survivors), keys, "duplicate cluster")
    return told
