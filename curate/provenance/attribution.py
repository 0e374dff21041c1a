"""Credit lines of every kept picture: ATTRIBUTION.csv for tables, .parquet for programs, pages to read.

Everything is written shard by shard, so memory holds one shard's credits and one page of them.
"""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate.provenance.accepted import METADATA, Unhonoured, recipe_exceptions
from curate.provenance.attribution_pages import HTML, Pages
from curate.provenance.attribution_requests import withheld
from curate.provenance.credit import READ, SCHEMA, Credit, credit_of
from curate.provenance.licensing import NOT_AUDITED, Licensing
from curate.store.dataset import Dataset

CSV, PARQUET = "ATTRIBUTION.csv", "ATTRIBUTION.parquet"
__all__ = [
    "CSV",
    "HTML",
    "PARQUET",
    "SCHEMA",
    "Credit",
    "credit_of",
    "credits",
    "write_attribution",
]
FORMULA_STARTS: Final = frozenset("=+-@＝＋－＠\t\r\n")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me", "Cn", "Co"})
"""Categories of characters that a reader does not see: controls, formats, blanks, marks alone."""
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Fillers and the empty Braille cell, which are letters or symbols to Unicode."""


def write_attribution(dataset: Dataset, told: Licensing, root: Path) -> Counter[str]:
    """Write table, Parquet and pages into `root`; returns kept rows by licence.

    Pages that an earlier version left beyond the last are removed.
    """
    counts: Counter[str] = Counter()
    lines = json.dumps(list(recipe_exceptions(dataset)), ensure_ascii=False)
    schema = SCHEMA.with_metadata({METADATA: lines.encode()})
    with ExitStack() as stack:
        table = stack.enter_context(appearing(root / CSV))
        parquet = stack.enter_context(appearing(root / PARQUET))
        pages = stack.enter_context(Pages(root, _note(dataset), told.warnings))
        with (
            table.open("w", encoding="utf-8", newline="") as rows,
            pq.ParquetWriter(parquet, schema, compression="zstd") as writer,
        ):
            out = csv.writer(rows)
            out.writerow(SCHEMA.names)
            for shard in credits(dataset):
                values = [vars(credit) for credit in shard]
                out.writerows([_cell(value) for value in row.values()] for row in values)
                writer.write_table(pa.Table.from_pylist(values, schema=schema))
                pages.add(shard)
                counts.update(credit.license or NOT_AUDITED for credit in shard)
    return counts


def credits(dataset: Dataset) -> Iterator[list[Credit]]:
    """The credits of the kept rows, one list a shard, in key order; requests are honoured."""
    images = dataset.layer("images")
    parts = [shard for shard in images.shards if shard.file("data")]
    first = next((entry for shard in parts if (entry := shard.file("data"))), None)
    have = dataset.schema(first).names if first else []
    hidden, unhonoured = withheld(dataset), Unhonoured(dataset)
    tables = dataset.kept("images", [name for name in READ if name in have])
    for shard, table in zip(parts, tables, strict=True):
        seen = unhonoured.of(shard)
        yield [
            credit_of(row, withheld=row["key"] in hidden, unhonoured=seen.get(row["key"], ()))
            for row in table.to_pylist()
        ]


def _cell(value: object) -> object:
    """A CSV cell that no spreadsheet runs as a formula; the Parquet file has the value as it is."""
    if not isinstance(value, str):
        return value
    starts = {value[:1], next((ch for ch in value if not _unseen(ch)), "")}
    return f"'{value}" if starts & FORMULA_STARTS else value


def _unseen(ch: str) -> bool:
    """Whether a character shows nothing of itself, so that a formula may stand behind it."""
    return unicodedata.category(ch) in _UNSEEN or ch in _BLANK_LETTERS


def _note(dataset: Dataset) -> list[str]:
    manifest = dataset.manifest
    return [
        f"{manifest.counts.kept:,} pictures of {manifest.recipe_name}, dataset "
        f"{manifest.dataset_digest[:16]}.",
        "Credits repeat what the sources claimed; that a claim was made does not make it true. Nobody "
        "named here endorses this dataset or what is made with it.",
    ]


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` only when the block ends without an error."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temp
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)
