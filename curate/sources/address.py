"""Addresses of pictures that lie inside a file: the file's path, `#`, and where in it.

`00000.tar#offset=1536&bytes=20480`, `part-0.parquet#row_group=3&row=17&column=image`. An address
may also say which sha256 the bytes must have. Sources write them, the stage `read_file` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

_PARTS: Final = re.compile(
    r"(?:(?:offset|bytes|row_group|row)=[0-9]{1,18}|(?:column|member)=[^#&]+|sha256=[0-9a-f]{64})"
)
_KINDS: Final = (
    frozenset({"offset", "bytes"}), frozenset({"row_group", "row", "column"}),
    frozenset({"member"}), frozenset[str](),
)  # fmt: skip
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Address:
    """Where a picture's bytes lie: a whole file, a span of one, or a value of a Parquet file.

    `member` names a picture that an archive should hold and does not.
    """

    file: str
    span: tuple[int, int] | None = None
    value: tuple[int, int, str] | None = None
    member: str | None = None
    sha256: str | None = None


def span_address(file: str, offset: int, size: int, sha256: str | None = None) -> str:
    """The address of `size` bytes at `offset` of a file."""
    return f"{file}#offset={offset}&bytes={size}{_expecting(sha256)}"


def value_address(
    file: str, row_group: int, row: int, column: str, sha256: str | None = None
) -> str:
    """The address of one value of a Parquet file; `row` counts within its row group."""
    where = f"row_group={row_group}&row={row}&column={quote(column, safe='')}"
    return f"{file}#{where}{_expecting(sha256)}"


def member_address(file: str, member: str) -> str:
    """The address of a member that an archive should hold and does not."""
    return f"{file}#member={quote(member, safe='', errors='replace')}"


def file_address(file: str, sha256: str | None = None) -> str:
    """The address of a whole file."""
    return f"{file}#{_expecting(sha256)[1:]}" if _expecting(sha256) else file


def _expecting(sha256: str | None) -> str:
    known = sha256 is not None and _SHA256.fullmatch(sha256)
    return f"&sha256={sha256}" if known else ""


def parse_address(text: str) -> Address:
    """What an address says; a path that only holds a `#` is a whole file of that name."""
    file, sign, where = text.rpartition("#")
    told = _told(where) if sign else None
    if not file or told is None:
        return Address(text)
    sha256 = told.pop("sha256", None)
    if "offset" in told:
        return Address(file, span=(int(told["offset"]), int(told["bytes"])), sha256=sha256)
    if "row" in told:
        value = (int(told["row_group"]), int(told["row"]), unquote(told["column"]))
        return Address(file, value=value, sha256=sha256)
    member = unquote(told["member"]) if "member" in told else None
    return Address(file, member=member, sha256=sha256)


def _told(where: str) -> dict[str, str] | None:
    parts = where.split("&")
    if not all(_PARTS.fullmatch(part) for part in parts):
        return None
    told = dict(part.split("=", 1) for part in parts)
    return told if len(told) == len(parts) and _is_kind(told) else None


def _is_kind(told: Mapping[str, str]) -> bool:
    return bool(told) and frozenset(told) - {"sha256"} in _KINDS
