"""Writes the rows of the demo corpus: metadata as a source gives it, files, rules, truth.

The metadata holds what real dumps hold too: nulls, text that is not UTF-8, a string of ten
megabytes, a width that no picture has.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.demo import faults
from curate.demo.corpus import METADATA, TRUTH, Row
from curate.demo.licences import group
from curate.demo.server import BEHAVIOUR, HOST, PICTURES

_TEXTS: Final = (
    "id", "url", "landing_url", "title", "creator", "creator_url", "caption", "license_url",
    "license_name",
)  # fmt: skip
TRUTH_SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("fault", pa.string(), nullable=False),  # a name of faults.FAULTS, or `none`
        pa.field("oddity", pa.string()),  # a name of faults.ODDITIES: good, but easily mistaken
        pa.field("detail", pa.string()),
        pa.field("license", pa.string(), nullable=False),  # canonical id, AMBIGUOUS or REJECT
        pa.field("license_group", pa.string()),  # null where no policy accepts the licence
        pa.field("cluster", pa.int32()),  # rows of one number show the same picture
        pa.field("cluster_kind", pa.string()),  # exact | near
        pa.field("cluster_rank", pa.int16()),  # 0 is the row that should stay
        pa.field("true_caption", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),  # of the upright picture
        pa.field("height", pa.int32(), nullable=False),
        pa.field("expected_png", pa.binary()),  # upright RGB, where it is easily read wrongly
    ]
)
_CREATORS: Final = (
    "Ines Carvalho", "Ola Brandt", "Zoë Håkansson", "Tomás Ortega", "渡辺 さくら", "Amara Okafor",
    "Jean-Luc Petit", "Siobhán Byrne", "Levente Szűcs", "Priya Raman", "Noor El-Amin", "Mikkel Juhl",
    "Anna Kowalczyk", "D. O'Hara", "Студия «Куб»", "Pereira & Filhos",
)  # fmt: skip


def write(rows: Sequence[Row], directory: Path, *, seed: int) -> None:
    """Write metadata.parquet, pictures/, server.json and truth.parquet, replacing older ones."""
    pictures = directory / PICTURES
    if pictures.exists():
        shutil.rmtree(pictures)
    pictures.mkdir(parents=True)
    for row in rows:
        if row.body is not None:
            file = pictures / row.file_name
            file.parent.mkdir(exist_ok=True, parents=True)
            file.write_bytes(row.body)
    rules = {_path(row): row.behaviour for row in rows if row.behaviour is not None}
    pages = {f"/photos/{row.index}": _landing_page(row) for row in rows}
    told = {"host": HOST, "paths": rules, "files": {**faults.ORIGIN_FILES, **pages}}
    text = json.dumps(told, indent=1, sort_keys=True)
    (directory / BEHAVIOUR).write_text(text + "\n")
    _parquet(_metadata(rows, seed), directory / METADATA)
    _parquet(_truth(rows), directory / TRUTH)


def _landing_page(row: Row) -> str:
    """The page around a picture: its licence as the source gives it, marked up as one."""
    url, name = row.wording.url, row.wording.name
    link = f'<a rel="license" href="{escape(url)}">{escape(name or url)}</a>' if url else ""
    return (
        f'<!doctype html><title>Picture {row.index}</title><img src="{_path(row)}">'
        f"<p>{link or escape(name or '')}</p>\n"
    )


def _parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", row_group_size=1024)


def _path(row: Row) -> str:
    return f"/{PICTURES}/{row.file_name}"


# --- metadata ---------------------------------------------------------------------------------------
def _metadata(rows: Sequence[Row], seed: int) -> pa.Table:
    records = [_record(row, np.random.default_rng([seed, 4, row.index])) for row in rows]
    columns = {}
    for name in _TEXTS:  # as bytes first: Arrow does not look into a string column it is given
        values = [_encoded(record[name]) for record in records]
        columns[name] = pa.array(values, pa.binary()).view(pa.string())
    for name in ("width", "height"):
        columns[name] = pa.array([record[name] for record in records], pa.int64())
    return pa.table(columns)


def _encoded(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _record(row: Row, rng: np.random.Generator) -> dict[str, Any]:
    """One row as a source gives it."""
    number = int(rng.integers(len(_CREATORS)))
    thing = row.scene.things[0]
    record: dict[str, Any] = {
        "id": row.source_id, "url": f"http://{HOST}{_path(row)}",
        "landing_url": f"http://{HOST}/photos/{row.index}",
        "title": f"{thing.colour.capitalize()} {thing.shape}, study {int(rng.integers(1, 90))}",
        "creator": _CREATORS[number], "creator_url": f"http://{HOST}/people/{number}",
        "caption": row.caption, "license_url": row.wording.url, "license_name": row.wording.name,
        "width": row.size[0], "height": row.size[1],
    }  # fmt: skip
    if row.wording.means.startswith(("CC0", "CC-PDM")):  # no credit is owed: some rows have none
        for name in ("landing_url", "title", "creator", "creator_url"):
            if rng.random() < 0.15:
                record[name] = None
    if row.fault == "malformed":
        record |= _BROKEN[row.detail](record)
    return record


def _too_long(text: str) -> str:
    return (text + " ") * (faults.TEN_MB // (len(text) + 1) + 1)


_BROKEN: Final[Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]] = {
    "url_null": lambda record: {"url": None},
    "url_garbage": lambda record: {"url": "picture not found in catalogue"},
    "url_empty": lambda record: {"url": ""},
    "caption_null": lambda record: {"caption": None},
    "caption_blank": lambda record: {"caption": "   "},
    "caption_bad_utf8": lambda record: {"caption": faults.BAD_UTF8},
    "creator_bad_utf8": lambda record: {"creator": faults.BAD_UTF8},
    "caption_10_mb": lambda record: {"caption": _too_long(record["caption"])},
    "title_10_mb": lambda record: {"title": _too_long("study")},
    "width_out_of_range": lambda record: {"width": 2**40},
}


# --- truth ------------------------------------------------------------------------------------------
def _truth(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist([_fact(row) for row in rows], schema=TRUTH_SCHEMA)


def _fact(row: Row) -> dict[str, Any]:
    means = row.wording.means
    in_cluster = row.cluster is not None
    return {
        "key": row.key, "id": row.source_id, "fault": row.fault, "oddity": row.oddity,
        "detail": row.detail or None, "license": means, "license_group": group(means),
        "cluster": row.cluster, "cluster_rank": row.cluster_rank,
        "cluster_kind": _cluster_kind(row) if in_cluster else None,
        "true_caption": row.true_caption, "width": row.size[0], "height": row.size[1],
        "expected_png": _png(row),
    }  # fmt: skip


def _cluster_kind(row: Row) -> str:
    return row.detail.partition(":")[0].removeprefix("duplicate_")


def _png(row: Row) -> bytes | None:
    if row.expected is None:
        return None
    out = io.BytesIO()
    row.expected.save(out, "PNG")
    return out.getvalue()
