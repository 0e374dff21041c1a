"""The credit of one picture: title, author, source, licence, and what we changed.

What a licence asks for differs by version (curate.license.duties). A credit repeats what the
source claimed; it does not vouch for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import pyarrow as pa

from curate import columns as c
from curate.license.duties import NONE, duties, verb
from curate.license.evidence import DECLARATION, DECLARED_BASIS
from curate.license.tools import Tool
from curate.provenance.accepted import Accepted, accepted
from curate.provenance.licensing import NOT_AUDITED, known_tool
from curate.provenance.lines import visible
from curate.provenance.notices import Named, named_in

READ: Final = [f.name for f in (c.KEY, c.URL, c.LANDING_URL, c.TITLE, c.CREATOR, c.CREATOR_URL, c.CLAIMS,
                                c.LICENSE, c.LICENSE_EXPRESSION, c.LICENSE_BASIS, c.EVIDENCE_LEVEL,
                                c.ORIGINAL_MODE, c.ORIGINAL_WIDTH, c.ORIGINAL_HEIGHT, c.ORIENTATION, c.WIDTH, c.HEIGHT,
                                c.CROP_BOX, c.EMBEDDED_EXIF, c.EMBEDDED_XMP, c.EMBEDDED_IPTC,
                                c.EMBEDDED_RESERVATIONS)]  # fmt: skip
"""Columns of images/data that a credit is made from; those a dataset lacks count as null."""
UNKNOWN_AUTHOR: Final = "unknown author"
WITHHELD: Final = "attribution withheld at the licensor's request"


@dataclass(frozen=True, kw_only=True)
class Credit:
    """The credit of one picture.

    `asked` is what its licence asks to be given where it was supplied, `missing` what it asks for
    and nobody stated. `accepted_by` names the recipe's lines without which the defaults would have
    refused the row, `exception` says it in words; both are null where there are none. A withheld
    credit has no title, author, notice or address of the picture.
    """

    key: str
    title: str | None
    creator: str | None
    creator_url: str | None
    parties: str | None
    source_url: str | None
    copyright_notice: str | None
    license: str | None
    license_title: str | None
    license_url: str | None
    license_expression: str | None
    evidence_level: int | None
    declared_by: str | None
    accepted_by: str | None
    exception: str | None
    asked: str | None
    changes: str
    missing: str | None
    withheld: bool
    text: str


_TYPES: Final = {"evidence_level": pa.int8(), "withheld": pa.bool_()}
SCHEMA: Final = pa.schema([(f.name, _TYPES.get(f.name, pa.string())) for f in fields(Credit)])


def credit_of(
    row: Mapping[str, Any], *, withheld: bool = False, unhonoured: Sequence[Accepted] = ()
) -> Credit:
    """The credit of one row of images/data (missing columns count as null).

    `unhonoured` is what its fetch observed and the recipe did not honour.
    """
    taken = (*accepted(row), *unhonoured)
    tool = known_tool(row.get("license"))
    asked = duties(tool) if tool else NONE
    declared = _declaration(row)
    given: dict[str, Any] = _withheld() if withheld else _given(row, named_in(row))
    stated = {"author": given["creator"], "source": given["source_url"], "title": given["title"]}
    missing = [] if withheld else [part for part in asked.stated if not stated[part]]
    by = None if withheld or not declared else declared["claimed_by"]
    credit = given | {
        "key": row["key"], "license": row.get("license"),
        "license_title": tool.title if tool else None, "license_url": tool.url if tool else None,
        "license_expression": row.get("license_expression"),
        "evidence_level": row.get("evidence_level"),
        "declared_by": f"{by} ({declared['value']})" if declared and by else None,
        "accepted_by": "; ".join(each.setting for each in taken) or None,
        "exception": ". ".join(each.words for each in taken) or None,
        "asked": ", ".join(asked.parts) or None, "changes": "; ".join(_changes(row)),
        "missing": ", ".join(missing) or None, "withheld": withheld,
    }  # fmt: skip
    return Credit(**credit, text=_text(credit, tool))


def _withheld() -> dict[str, Any]:
    names = ("title", "creator", "creator_url", "parties", "source_url", "copyright_notice")
    return dict.fromkeys(names)


def _given(row: Mapping[str, Any], named: Named) -> dict[str, Any]:
    """What was supplied with the picture: by its source, and where that is silent, in the file."""
    creator = row.get("creator") or named.creator
    parties = [party for party in named.parties if party != creator]
    return {
        "title": row.get("title"), "creator": creator, "creator_url": row.get("creator_url"),
        "parties": "; ".join(parties) or None,
        "source_url": row.get("landing_url") or row.get("url"),
        "copyright_notice": named.notice,
    }  # fmt: skip


def _declaration(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The declaration that a row rests on: by its basis, or any if no licence stage ran."""
    if not str(row.get("license_basis") or DECLARED_BASIS).startswith(DECLARED_BASIS):
        return None
    claims: list[dict[str, Any]] = row.get("claims") or []
    return next((claim for claim in claims if claim["kind"] == DECLARATION), None)


def _changes(row: Mapping[str, Any]) -> Iterator[str]:
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


def _text(credit: Mapping[str, Any], tool: Tool | None) -> str:
    """“Title” by Author, source, licensed under licence (address). Exceptions. Notice. Changes. One line."""
    terms = credit["license_title"] or credit["license"] or NOT_AUDITED
    if tool is not None:
        terms = f"{verb(tool)} {terms} ({tool.url})"
    if credit["declared_by"]:
        terms += f", declared by {credit['declared_by']}"
    told = f"{_work(credit)}, {terms}."
    if credit["exception"]:
        told += f" {credit['exception']}."
    if credit["copyright_notice"]:
        told += f" Notice: “{credit['copyright_notice']}”."
    return visible(" ".join(f"{told} Changes: {credit['changes']}.".split()))


def _work(credit: Mapping[str, Any]) -> str:
    if credit["withheld"]:
        return f"A picture, {WITHHELD}"
    title = f"“{credit['title']}”" if credit["title"] else "Untitled picture"
    parties = f", credit to {credit['parties']}" if credit["parties"] else ""
    source = f", {credit['source_url']}" if credit["source_url"] else ""
    return f"{title} by {credit['creator'] or UNKNOWN_AUTHOR}{parties}{source}"
