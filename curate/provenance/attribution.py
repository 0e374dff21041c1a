"""Credit lines: title, author, source and licence of every kept picture, and what we changed.

Written as CSV and HTML for people and Parquet for machines. A line repeats what the source
claimed; it does not vouch for it.
"""

from __future__ import annotations

import csv
import html
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate import columns as c
from curate.license.evidence import DECLARATION, DECLARED_BASIS
from curate.provenance.licensing import NOT_AUDITED, Licensing, known_tool
from curate.store.dataset import Dataset

CSV, HTML, PARQUET = "ATTRIBUTION.csv", "ATTRIBUTION.html", "ATTRIBUTION.parquet"
READ: Final = [f.name for f in (c.KEY, c.URL, c.LANDING_URL, c.TITLE, c.CREATOR, c.CREATOR_URL, c.CLAIMS,
                                c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_BASIS, c.EVIDENCE_LEVEL,
                                c.ORIGINAL_MODE, c.ORIGINAL_WIDTH, c.ORIGINAL_HEIGHT, c.ORIENTATION, c.WIDTH, c.HEIGHT,
                                c.CROP_BOX)]  # fmt: skip
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
UNKNOWN_AUTHOR: Final = "unknown author"


@dataclass(frozen=True, kw_only=True)
class Credit:
    """The credit of one picture; `missing` names what its licence asks for and nobody stated."""

    key: str
    title: str | None
    creator: str | None
    creator_url: str | None
    source_url: str | None
    license: str | None
    license_title: str | None
    license_url: str | None
    license_expression: str | None
    evidence_level: int | None
    declared_by: str | None
    changes: str
    missing: str | None
    text: str


SCHEMA: Final = pa.schema(
    [
        pa.field(f.name, pa.int8() if f.name == "evidence_level" else pa.string())
        for f in fields(Credit)
    ]
)


def write_attribution(dataset: Dataset, told: Licensing, root: Path) -> Counter[str]:
    """Write the three files into `root`; returns kept rows by licence. Holds one shard at a time."""
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        table = stack.enter_context(_appearing(root / CSV))
        page = stack.enter_context(_appearing(root / HTML))
        parquet = stack.enter_context(_appearing(root / PARQUET))
        with (
            table.open("w", encoding="utf-8", newline="") as rows,
            page.open("w", encoding="utf-8") as markup,
            pq.ParquetWriter(parquet, SCHEMA, compression="zstd") as writer,
        ):
            out = csv.writer(rows)
            out.writerow(SCHEMA.names)
            markup.write(_PAGE_HEAD.format(note=html.escape(_note(dataset, told))))
            for shard in credits(dataset):
                out.writerows([_cell(value) for value in vars(credit).values()] for credit in shard)
                markup.writelines(map(_line, shard))
                writer.write_table(
                    pa.Table.from_pylist([vars(credit) for credit in shard], schema=SCHEMA)
                )
                counts.update(credit.license or NOT_AUDITED for credit in shard)
            markup.write(_PAGE_END)
    return counts


def credits(dataset: Dataset) -> Iterator[list[Credit]]:
    """The credits of the kept rows, one list a shard, in key order."""
    images = dataset.layer("images")
    first = next((entry for shard in images.shards if (entry := shard.file("data"))), None)
    have = dataset.schema(first).names if first else []
    for table in dataset.kept("images", [name for name in READ if name in have]):
        yield [credit_of(row) for row in table.to_pylist()]


def credit_of(row: dict[str, Any]) -> Credit:
    """The credit of one row of images/data (missing columns count as null)."""
    tool = known_tool(row.get("license"))
    declared = _declaration(row)
    source = row.get("landing_url") or row.get("url")
    parts = {"author": row.get("creator"), "source": source, "title": row.get("title")}
    owed = ["author", "source"] if tool is not None and tool.by else []
    credit = {
        "key": row["key"], "title": row.get("title"), "creator": row.get("creator"),
        "creator_url": row.get("creator_url"), "source_url": source, "license": row.get("license"),
        "license_title": tool.title if tool else None, "license_url": tool.url if tool else None,
        "license_expression": row.get("license_expression"),
        "evidence_level": row.get("evidence_level"),
        "declared_by": f"{declared['claimed_by']} ({declared['value']})" if declared else None,
        "changes": "; ".join(_changes(row)),
        "missing": ", ".join(name for name in owed if not parts[name]) or None,
    }  # fmt: skip
    return Credit(**credit, text=_text(credit))


def _declaration(row: dict[str, Any]) -> dict[str, Any] | None:
    """The declaration that a row rests on: by its basis, or any if no licence stage ran."""
    if not str(row.get("license_basis") or DECLARED_BASIS).startswith(DECLARED_BASIS):
        return None
    claims: list[dict[str, Any]] = row.get("claims") or []
    return next((claim for claim in claims if claim["kind"] == DECLARATION), None)


def _changes(row: dict[str, Any]) -> Iterator[str]:
    """What was done to the picture, from what its row says of before and after."""
    if row.get("orientation") not in (None, 1):
        yield "turned upright"
    if row.get("original_mode") not in (None, "RGB"):
        yield f"converted from {row['original_mode']} to RGB"
    before = (row.get("original_width"), row.get("original_height"))
    after = (row.get("width"), row.get("height"))
    if None not in before and sorted(map(int, before)) != sorted(map(int, after)):  # type: ignore[arg-type]
        yield f"resized from {before[0]} × {before[1]} to {after[0]} × {after[1]}"
    yield "re-encoded"
    box = row.get("crop_box")
    if box and after != (box[2] - box[0], box[3] - box[1]):
        yield f"cropped for training to {box}"


def _text(credit: dict[str, Any]) -> str:
    """“Title” by Author, source, licence with its address; changes."""
    title = f"“{credit['title']}”" if credit["title"] else "Untitled picture"
    author = credit["creator"] or UNKNOWN_AUTHOR
    terms = credit["license_title"] or credit["license"] or NOT_AUDITED
    if credit["license_url"]:
        terms += f" ({credit['license_url']})"
    if credit["declared_by"]:
        terms += f", declared by {credit['declared_by']}"
    source = f", {credit['source_url']}" if credit["source_url"] else ""
    return f"{title} by {author}{source}, {terms}. Changes: {credit['changes']}."


def _cell(value: object) -> object:
    """A CSV cell that no spreadsheet runs as a formula; the Parquet file has the value as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _line(credit: Credit) -> str:
    title = html.escape(credit.title or "Untitled picture")
    author = _link(credit.creator_url, credit.creator or UNKNOWN_AUTHOR)
    terms = _link(credit.license_url, credit.license_title or credit.license or NOT_AUDITED)
    declared = f"declared by {html.escape(credit.declared_by)}" if credit.declared_by else ""
    cells = [_link(credit.source_url, title, escaped=True), author, " ".join([terms, declared]).strip(),
             html.escape(credit.changes), html.escape(credit.missing or "")]  # fmt: skip
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr id="{html.escape(credit.key)}">{row}</tr>\n'


def _link(url: str | None, text: str, *, escaped: bool = False) -> str:
    """A link if the address is of the web, else the text alone: `javascript:` is no address."""
    shown = text if escaped else html.escape(text)
    if url is None or not url.lower().startswith(("http://", "https://")):
        return shown
    return f'<a rel="noopener nofollow" href="{html.escape(url)}">{shown}</a>'


def _note(dataset: Dataset, licenses: Licensing) -> str:
    manifest = dataset.manifest
    told = " ".join(licenses.warnings)
    return (
        f"{manifest.counts.kept:,} pictures of {manifest.recipe_name}, dataset {manifest.dataset_digest[:16]}."
        f" Credits repeat what the sources claimed; that a claim was made does not make it true. {told}"
    )


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` only when the block ends without an error."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temp
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


_PAGE_HEAD: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Attribution</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>Attribution</h1>
<p>{note}</p>
<table>
<thead><tr><th>Picture</th><th>Author</th><th>Licence</th><th>Changes</th><th>Not stated</th></tr></thead>
<tbody>
"""
_PAGE_END: Final = "</tbody>\n</table>\n</body>\n</html>\n"
