"""What the columns of an unknown table seem to hold, from their names and a sample of values.

Only a first draft for a person to check: every guess says why it was made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa

from curate.errors import RecipeError
from curate.license import parse
from curate.sources.read import Format, column_names, read_rows, schema_of
from curate.sources.text import to_entries

SAMPLE_ROWS: Final = 500
_ADDRESS: Final = re.compile(r"^\s*https?://", re.I)
_PICTURE: Final = re.compile(r"\.(jpe?g|png|webp|avif|gif|bmp|tiff?)([?#].*)?\s*$", re.I)
_LICENSE_WORD: Final = re.compile(r"licen[cs]e|rights|usage_?terms", re.I)
_PERSON_WORD: Final = re.compile(r"creator|author|artist|user|owner|photographer", re.I)
_PAGE_WORD: Final = re.compile(r"landing|page|html|source|descr", re.I)
_SMALL_WORD: Final = re.compile(r"thumb|preview|small|icon|avatar", re.I)

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "image_id", "photo_id", "photoid", "item_id", "identifier", "uid", "uuid", "key"),
    "url": ("url", "image_url", "img_url", "photo_url", "file_url", "download_url", "contenturl",
            "jpg_url", "uri", "image"),
    "path": ("path", "file_name", "filename", "filepath", "file", "image_path"),
    "landing_url": ("landing_url", "foreign_landing_url", "page_url", "source_url",
                    "descriptionurl", "html_url", "photo_page_url", "webpage"),
    "title": ("title", "name", "object_name", "headline"),
    "creator": ("creator", "author", "artist", "photographer", "user_name", "username",
                "owner_name", "user", "credit", "by"),
    "creator_url": ("creator_url", "author_url", "artist_url", "user_url", "owner_url",
                    "creator_page"),
    "width": ("width", "image_width", "original_width", "w"),
    "height": ("height", "image_height", "original_height", "h"),
    "caption": ("caption", "text", "captions", "alt_text", "alt", "description", "prompt",
                "top_caption"),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of the sample: how many values there are and how many look like what."""

    name: str
    values: int
    addresses: int
    pictures: int
    license_urls: int
    license_texts: int
    numbers: int
    distinct: int
    mean_words: float

    def share(self, count: int) -> float:
        return count / self.values if self.values else 0.0

    def named(self, role: str) -> bool:
        return self.name.strip().lower() in NAMES[role]


def picture_column(path: Path, format: Format) -> str | None:
    """The column of a Parquet file that holds pictures: bytes, or a struct of bytes and a path."""
    if format != "parquet":
        return None
    held = [field.name for field in schema_of(path) if _holds_bytes(field.type)]
    named = [name for name in held if name in ("image", "img", "jpg", "picture", "photo")]
    return next(iter([*named, *held]), None)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def sample(path: Path, format: Format, *, without: str | None = None) -> list[Column]:
    """The columns of a table but one, judged from its first SAMPLE_ROWS rows."""
    names = [name for name in column_names(path, format) if name != without]
    if not names:
        raise RecipeError(f"{path} has no columns: it is empty")
    names = [name for name in dict.fromkeys(names) if _is_text(name)]
    found: dict[str, list[str]] = {name: [] for name in names}
    for batch in islice(read_rows(path, format, names), 1):
        for name in names:
            _, texts = to_entries(batch.columns[name][:SAMPLE_ROWS])
            found[name] = [value for value in texts.values.to_pylist() if value is not None]
    return [_column(name, values) for name, values in found.items()]


def _is_text(name: str) -> bool:
    """Whether a recipe can name the column: names that are not UTF-8 cannot be written down."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _column(name: str, values: Sequence[str]) -> Column:
    return Column(
        name=name,
        values=len(values),
        addresses=sum(bool(_ADDRESS.match(value)) for value in values),
        pictures=sum(bool(_PICTURE.search(value)) for value in values),
        license_urls=_licenses(values, "url"),
        license_texts=_licenses(values, "text"),
        numbers=sum(value.strip().replace(".0", "").isdecimal() for value in values),
        distinct=len(set(values)),
        mean_words=sum(len(value.split()) for value in values) / max(1, len(values)),
    )


def _licenses(values: Sequence[str], kind: str) -> int:
    """How many values parse as a licence, certain or ambiguous; long text is no licence field."""
    fits = {
        value: len(value) < 200 and parse(value, kind).status != "reject" for value in set(values)
    }
    return sum(fits[value] for value in values)


def score(column: Column, role: str) -> tuple[float, str]:
    """How well a column fits a role (0: not at all) and why; licences have their own rule."""
    named = column.named(role)
    why = f"it is named {column.name!r}" if named else ""
    addresses = column.share(column.addresses) > 0.5
    if role == "url":
        return _url_score(column, named)
    if role in ("landing_url", "creator_url"):
        hint = (_PAGE_WORD if role == "landing_url" else _PERSON_WORD).search(column.name)
        fits = addresses and not column.share(column.pictures) > 0.5 and (named or bool(hint))
        return (2.0 + named if fits else 0.0), why or f"addresses under the name {column.name!r}"
    if role in ("width", "height"):
        return (2.0 if named and column.share(column.numbers) > 0.5 else 0.0), f"{why}, numbers"
    if role == "path":
        pictures = column.share(column.pictures)
        return (pictures * (1 + named) if not addresses else 0.0), _counted(
            column, column.pictures, "end like picture files"
        )
    if role == "caption":
        wordy = column.mean_words >= 4 and not _LICENSE_WORD.search(column.name)
        fits = not addresses and (named or wordy) and column.values > 0
        return (
            column.mean_words**0.5 * (1 + 3 * named) if fits else 0.0
        ), why or f"{column.mean_words:.0f} words on average"
    if role == "id":
        unique = column.distinct == column.values > 0
        fits = unique and not addresses and (named or column.name.lower().endswith("_id"))
        return (1.0 + named if fits else 0.0), f"all {column.values} sampled values differ"
    return (1.0 if named and not addresses else 0.0), why


def _url_score(column: Column, named: bool) -> tuple[float, str]:
    if column.share(column.addresses) <= 0.5 or column.share(column.license_urls) > 0.2:
        return 0.0, ""
    points = 1.0 + 2 * named + 2 * column.share(column.pictures)
    for word in (_LICENSE_WORD, _PERSON_WORD, _PAGE_WORD, _SMALL_WORD):
        points -= 1.5 * bool(word.search(column.name))
    why = _counted(column, column.addresses, f"are addresses, {column.pictures} end like pictures")
    return max(points, 0.0), why


def license_kind(column: Column) -> tuple[str | None, str, bool]:
    """The source kind to parse a column's licence claims as (or None), why, and whether it fits.

    It fits if values of the sample do parse; a column that is only named like a licence does not.
    """
    for kind, count in (("url", column.license_urls), ("text", column.license_texts)):
        if column.share(count) > 0.2:
            return kind, _counted(column, count, f"are licences, read as {kind}"), True
    addresses = column.share(column.addresses) > 0.5
    if _LICENSE_WORD.search(column.name) and column.values and not addresses:
        return "text", f"it is named {column.name!r}, but no licence was recognised in it", False
    return None, "", False


def _counted(column: Column, count: int, what: str) -> str:
    return f"{count} of {column.values} sampled values {what}"
