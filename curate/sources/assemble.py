"""From raw columns of any source to candidate rows: the one place where rows are judged and keyed.

A row that cannot be used keeps its place, names the first column at fault in `defect`, and has a
key of its own, so that nothing a source listed is ever lost from the account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field, field_validator, model_validator

from curate import columns as c
from curate.license import SOURCE_KINDS
from curate.license.evidence import DECLARATION
from curate.sources import keys
from curate.sources.proof import improper, statuses
from curate.sources.read import RawBatch
from curate.sources.text import Text, to_entries, to_json_text, to_numbers, to_text

TEXTS: Final = ("id", "url", "path", "landing_url", "title", "creator", "creator_url")


class ColumnMap(BaseModel, frozen=True, extra="forbid"):
    """Which column of the source holds what; every entry is a column name of the source."""

    id: str | None = None
    url: str | None = None
    path: str | None = None
    landing_url: str | None = None
    title: str | None = None
    creator: str | None = None
    creator_url: str | None = None
    captions: tuple[str, ...] = ()
    width: str | None = None
    height: str | None = None

    @model_validator(mode="after")
    def _reachable(self) -> ColumnMap:
        if self.url is None and self.path is None:
            raise ValueError(
                "`columns` needs `url` or `path`: without one no picture can be reached"
            )
        return self


class EvidenceColumns(BaseModel, frozen=True, extra="forbid"):
    """Columns that say, row by row, where and when a claim was got: for snapshots of an API.

    What a row's column leaves empty is filled with what holds for the whole source.
    """

    claimed_by: str | None = None
    locator: str | None = None
    retrieved_at: str | None = None
    http_status: str | None = None
    final_url: str | None = None
    response_sha256: str | None = None


class ClaimColumn(BaseModel, frozen=True, extra="forbid"):
    """A raw column whose values become one claim a row; sources make their own of these."""

    column: str
    kind: str
    level: int = Field(ge=0, le=5)
    claimed_by: str | None = None
    locator: str | None = None
    evidence: EvidenceColumns = EvidenceColumns()

    def wanted(self) -> list[str]:
        """The raw columns it reads."""
        return [self.column, *(name for name in self.evidence.model_dump().values() if name)]


class CaptionColumn(BaseModel, frozen=True, extra="forbid"):
    """A raw column of captions that come from elsewhere than the layout's others."""

    column: str
    origin: Literal["source", "own", "model"] = "source"
    model: str | None = None
    model_digest: str | None = None
    language: str | None = None


class LicenseColumn(ClaimColumn, frozen=True, extra="forbid"):
    """A column that holds a licence claim for its row.

    `kind` is the source kind its values are parsed as (`url`, `text`, `flickr_id`, …), never
    `declaration`: what a table says is found, and only `declare:` declares. `level` is the rung of
    the evidence ladder and has no default, since only the author of the recipe knows where the
    column comes from: 5 for a value bound to the item by its publisher (its own API or dump), 4
    for a third party's copy of such a value, 2 for a claim about the page, 1 for free text found
    near it.
    """

    @field_validator("kind")
    @classmethod
    def _found(cls, kind: str) -> str:
        if kind == DECLARATION:
            raise ValueError(
                f"a column cannot hold a {DECLARATION!r}: a rights holder declares their own pictures "
                f"with `declare:` of a folder; for a column use the kind of its values, such as `text`"
            )
        known = [name for name in SOURCE_KINDS if name != DECLARATION]
        if kind not in known:
            raise ValueError(f"no source kind {kind!r}; there are {', '.join(known)}")
        return kind


class Layout(BaseModel, frozen=True, extra="forbid"):
    """How raw columns become candidates: the mapping and what holds for every row alike."""

    source: str
    columns: ColumnMap
    licenses: tuple[ClaimColumn, ...] = ()
    caption_origin: Literal["source", "own", "model"] = "source"
    caption_model: str | None = None
    caption_language: str | None = None
    captions: tuple[CaptionColumn, ...] = ()
    retrieved_at: str | None = None
    final_url: str | None = None
    response_sha256: str | None = None

    def caption_columns(self) -> list[CaptionColumn]:
        """Every caption column with its origin: those of the mapping share the layout's."""
        shared = [
            CaptionColumn(
                column=name, origin=self.caption_origin, model=self.caption_model,
                language=self.caption_language,
            )
            for name in self.columns.captions
        ]  # fmt: skip
        return [*shared, *self.captions]

    def wanted(self) -> list[str]:
        """The source columns to read, each once."""
        single = [getattr(self.columns, name) for name in (*TEXTS, "width", "height")]
        captions = [entry.column for entry in self.caption_columns()]
        names = [*single, *captions, *(name for e in self.licenses for name in e.wanted())]
        return list(dict.fromkeys(name for name in names if name is not None))


def assemble(batch: RawBatch, layout: Layout) -> pa.Table:
    """Candidates (schema CANDIDATE), one a raw row and in the same order; never raises for a row."""
    faults: dict[str, Mapping[int, bytes]] = {"row": batch.broken}
    texts = {name: _read(batch, getattr(layout.columns, name)) for name in TEXTS}
    faults |= {name: text.bad for name, text in texts.items()}
    captions, faults["caption"] = _captions(batch, layout)
    claims, faults["license"], faults["evidence"] = _claims(batch, layout)
    sizes = {
        name: _read(batch, getattr(layout.columns, name), numbers=True)
        for name in ("width", "height")
    }
    faults |= {name: number.bad for name, number in sizes.items()}
    values = {name: text.values for name, text in texts.items()}
    faults["url"] = _wrong_urls(values["url"], faults["url"])
    faults["path"] = _wrong_paths(values["path"], faults["path"])
    key = _keys(batch.rows, layout.source, values, faults)
    defect = _defects(batch.rows, values, faults, batch.unfit)
    return pa.table(
        [key, pa.repeat(pa.scalar(layout.source), batch.rows), *values.values(), captions, claims,
         sizes["width"].values, sizes["height"].values, defect],
        schema=c.CANDIDATE,
    )  # fmt: skip


def _read(batch: RawBatch, name: str | None, *, numbers: bool = False) -> Text:
    if name is None:
        return Text(pa.nulls(batch.rows, pa.int32() if numbers else pa.string()), {})
    return to_numbers(batch.columns[name]) if numbers else to_text(batch.columns[name])


def _wrong_urls(urls: pa.Array, bad: Mapping[int, bytes]) -> dict[int, bytes]:
    """The bad rows and those whose URL is no http or https address."""
    good = pc.match_substring_regex(urls, r"(?i)^\s*https?://[^\s/]")
    return _with_wrong(urls, good, bad)


def _wrong_paths(paths: pa.Array, bad: Mapping[int, bytes]) -> dict[int, bytes]:
    """The bad rows and those whose path is absolute or leaves the source's folder."""
    good = pc.invert(pc.match_substring_regex(paths, r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)"))
    return _with_wrong(paths, good, bad)


def _with_wrong(values: pa.Array, good: pa.Array, bad: Mapping[int, bytes]) -> dict[int, bytes]:
    wrong = {
        row: _digest(values[row].as_py()) for row in pc.indices_nonzero(pc.invert(good)).to_pylist()
    }
    return {**bad, **wrong}


def _keys(
    rows: int,
    source: str,
    values: Mapping[str, pa.Array],
    faults: Mapping[str, Mapping[int, bytes]],
) -> pa.Array:
    """Keys from id, else canonical URL, else path, else from what little the row holds."""
    ids = values["id"]
    out: list[str] = []
    start = hashlib.sha256(f"{source}\0".encode())
    fallback = zip(values["url"].to_pylist(), values["path"].to_pylist(), strict=True)
    for row, (id, (url, path)) in enumerate(zip(ids.to_pylist(), fallback, strict=True)):
        name = id if id is not None else keys.canonical_url(url) if url is not None else path
        if name is None or row in faults["id"]:
            out.append(keys.defect_key(source, _content(row, values, faults)))
            continue
        digest = start.copy()
        digest.update(name.encode())
        out.append(digest.hexdigest())
    return pa.array(out, pa.string()) if rows else pa.array([], pa.string())


def _content(
    row: int, values: Mapping[str, pa.Array], faults: Mapping[str, Mapping[int, bytes]]
) -> bytes:
    """A digest of a row without usable id: of its texts and of the digests of what did not fit."""
    digest = hashlib.sha256()
    for name, array in values.items():
        digest.update(f"{name}={array[row].as_py()!r}\0".encode())
    for name, bad in faults.items():
        if row in bad:
            digest.update(name.encode() + bad[row])
    return digest.digest()


def _defects(
    rows: int,
    values: Mapping[str, pa.Array],
    faults: Mapping[str, Mapping[int, bytes]],
    unfit: Mapping[int, str],
) -> pa.Array:
    """`malformed:<column>` of the first column at fault; a row without any address is at fault.

    A row that is merely no picture says so, where nothing else is wrong with it.
    """
    nowhere = pc.and_(pc.is_null(values["url"]), pc.is_null(values["path"]))
    nothing = pc.and_(nowhere, pc.is_null(values["id"]))
    names: list[str | None] = [unfit.get(row) for row in range(rows)]
    for row in pc.indices_nonzero(nowhere).to_pylist():
        names[row] = "malformed:url"
    for row in pc.indices_nonzero(nothing).to_pylist():
        names[row] = "malformed:id"
    for name, bad in reversed(list(faults.items())):
        for row in bad:
            names[row] = f"malformed:{name}"
    return pa.array(names, pa.string())


def _captions(batch: RawBatch, layout: Layout) -> tuple[pa.Array, dict[int, bytes]]:
    """The captions of each row, in the order of the columns and of the lists in them."""
    entries = layout.caption_columns()
    found = [to_entries(batch.columns[entry.column]) for entry in entries]
    bad = {row: digest for _, text in found for row, digest in text.bad.items()}
    rows = np.concatenate([rows for rows, _ in found] or [np.empty(0, np.int64)])
    pieces = [
        _caption_column(text.values, entry) for (_, text), entry in zip(found, entries, strict=True)
    ]
    captions = pa.chunked_array(pieces, c.CAPTION).combine_chunks()
    said = np.asarray(captions.field("text").is_valid(), bool)
    return _listed(*_sorted_by_row(captions, rows, said), batch.rows), bad


def _caption_column(values: pa.Array, entry: CaptionColumn) -> pa.StructArray:
    constant = (entry.origin, entry.model, entry.model_digest, entry.language)
    parts = [values, *(pa.repeat(pa.scalar(value, pa.string()), len(values)) for value in constant)]
    return pa.StructArray.from_arrays(parts, fields=list(c.CAPTION))


def _claims(batch: RawBatch, layout: Layout) -> tuple[pa.Array, dict[int, bytes], dict[int, bytes]]:
    """The licence claims of each row, one for each licence column that says something.

    Beside them the rows whose claim, and the rows whose evidence of a claim, does not fit. A claim
    without an answer that held it stands on rung 0.
    """
    bad: dict[int, bytes] = {}
    unproven: dict[int, bytes] = {}
    pieces = []
    for entry in layout.licenses:
        text = to_json_text(batch.columns[entry.column])
        columns = entry.evidence.model_dump().items()
        evidence = {name: _read(batch, column) for name, column in columns if column is not None}
        wanting = _wanting(text.values, evidence)
        bad |= text.bad
        unproven |= wanting
        values = {name: told.values for name, told in evidence.items()}
        if wanting:
            levels = [0 if row in wanting else entry.level for row in range(batch.rows)]
            values["level"] = pa.array(levels, pa.int8())
        pieces.append(_claim_column(text.values, values, entry, layout))
    claims = pa.chunked_array(pieces, c.CLAIM).combine_chunks()
    rows = np.tile(np.arange(batch.rows), len(pieces))
    said = np.asarray(claims.field("value").is_valid(), bool)
    return _listed(*_sorted_by_row(claims, rows, said), batch.rows), bad, unproven


def _claim_column(
    values: pa.Array, evidence: Mapping[str, pa.Array], entry: ClaimColumn, layout: Layout
) -> pa.StructArray:
    same = {
        "kind": entry.kind,
        "level": entry.level,
        "claimed_by": entry.claimed_by or layout.source,
        "locator": entry.locator or f"{layout.source}#{entry.column}",
        "retrieved_at": layout.retrieved_at,
        "final_url": layout.final_url,
        "response_sha256": layout.response_sha256,
    }
    parts = []
    for field in c.CLAIM:
        everywhere = pa.scalar(same.get(field.name), field.type)
        if field.name == "value":
            parts.append(values)
        elif field.name not in evidence:
            parts.append(pa.repeat(everywhere, len(values)))
        else:
            own = evidence[field.name]
            own = statuses(own, field.type) if field.name == "http_status" else own
            parts.append(own if everywhere.as_py() is None else pc.fill_null(own, everywhere))
    return pa.StructArray.from_arrays(parts, fields=list(c.CLAIM))


def _wanting(claims: pa.Array, evidence: Mapping[str, Text]) -> dict[int, bytes]:
    """The rows with a claim whose evidence has a value that cannot be any."""
    wrong: dict[int, bytes] = {}
    for name, told in evidence.items():
        wrong |= dict(told.bad) | improper(name, told.values)
    return {row: digest for row, digest in wrong.items() if claims[row].is_valid}


def _sorted_by_row(
    values: pa.Array, rows: np.ndarray, said: np.ndarray
) -> tuple[pa.Array, np.ndarray]:
    """The values that are there, ordered by row, with the row of each."""
    order = np.flatnonzero(said)
    order = order[np.argsort(rows[order], kind="stable")]
    return values.take(pa.array(order, pa.int64())), rows[order]


def _listed(values: pa.Array, rows: np.ndarray, total: int) -> pa.ListArray:
    """A list a row, from values in row order."""
    ends = np.cumsum(np.bincount(rows, minlength=total)) if total else np.empty(0, np.int64)
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
