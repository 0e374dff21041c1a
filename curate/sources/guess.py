"""A first recipe for data nobody has described yet: what `curate init PATH` writes.

Columns are guessed from names and values; each guess carries its reason into the recipe as a
comment, beside the columns that could have been meant instead.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from curate.errors import MissingInput, RecipeError
from curate.sources.base import existing
from curate.sources.folder import PICTURES
from curate.sources.known import CARRYING, by_columns, by_files, by_name, kinds
from curate.sources.read import SUFFIXES, Format, column_names, table_files
from curate.sources.sniff import Column, license_kind, picture_column, sample, score

ROLES: Final = (
    "url", "path", "id", "landing_url", "creator_url", "width", "height", "caption", "title",
    "creator",
)  # fmt: skip
ORDER: Final = (
    "id", "url", "path", "landing_url", "title", "creator", "creator_url", "caption", "width",
    "height",
)  # fmt: skip
_SIZES: Final = frozenset({"path", "width", "height"})
"""Roles that a set with its pictures in it fills by itself."""


@dataclass(frozen=True)
class Pick:
    """One column and why it was chosen; `others` are columns that could have been meant."""

    column: str
    why: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class LicensePick:
    """A column that seems to hold licence claims, and the source kind to parse it as."""

    column: str
    kind: str
    why: str
    recognised: bool


@dataclass(frozen=True)
class Guess:
    """What was found at a path: a known source, a folder of pictures, or a table and its columns.

    `kind` is that of the source: `table` and `folder` for what is somebody's own.
    """

    path: Path
    kind: str
    name: str
    format: Format | None = None
    columns: Mapping[str, Pick] = field(default_factory=dict)
    licenses: tuple[LicensePick, ...] = ()
    unused: tuple[str, ...] = ()


def guess(path: str | Path) -> Guess:
    """Look at a CSV, Parquet or JSON Lines file, a folder of them, or a folder of pictures.

    Raises MissingInput if there is nothing, RecipeError if no column can hold the pictures.
    """
    path = existing(Path(path), what="curate init")
    name = (
        re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem or path.resolve().name).strip("-.") or "source"
    )
    known = by_files(path) if path.is_dir() else by_name(path)
    if known is not None:
        return Guess(path, known, name)
    if path.is_dir() and _holds(path, PICTURES):
        return Guess(path, "folder", name)
    if path.is_dir() and not _holds(path, frozenset(SUFFIXES)):
        raise MissingInput(
            f"{path} holds neither pictures nor a .csv, .tsv, .parquet or .jsonl file"
        )
    file, format = table_files(path, None)[0]
    known = by_columns(column_names(file, format))
    if known is not None:
        return Guess(path, known, name, format)
    held = picture_column(file, format)
    columns = sample(file, format, without=held)
    licenses = _licenses(columns)
    taken = {pick.column for pick in licenses}
    if held is not None:
        kept = [column for column in columns if column.name not in taken]
        picks = {role: pick for role, pick in _picks(kept).items() if role not in _SIZES}
        picks["image"] = Pick(held, "it holds the pictures themselves")
        return Guess(path, "huggingface", name, format, picks, licenses)
    picks = _picks([column for column in columns if column.name not in taken])
    if "url" not in picks and "path" not in picks:
        names = ", ".join(repr(column.name) for column in columns)
        raise RecipeError(
            f"{file}: no column looks like the address or path of a picture; it has {names}. "
            f"Write a recipe with `columns: {{url: …}}` by hand if one of them is"
        )
    taken |= {pick.column for pick in picks.values()}
    unused = tuple(column.name for column in columns if column.name not in taken)
    return Guess(path, "table", name, format, picks, licenses, unused)


def _holds(folder: Path, suffixes: frozenset[str]) -> bool:
    return any(file.suffix.lower() in suffixes for file in folder.rglob("*"))


def _licenses(columns: list[Column]) -> tuple[LicensePick, ...]:
    found = [(column, *license_kind(column)) for column in columns]
    picks = (LicensePick(column.name, kind, why, fits) for column, kind, why, fits in found if kind)
    return tuple(sorted(picks, key=lambda pick: not pick.recognised))


def _picks(columns: list[Column]) -> dict[str, Pick]:
    """The best column for each role, the most telling roles first; no column serves two."""
    picks: dict[str, Pick] = {}
    free = list(columns)
    for role in ROLES:
        if role == "path" and "url" in picks:
            continue
        ranked = sorted(
            ((*score(column, role), column.name) for column in free), key=lambda s: -s[0]
        )
        ranked = [entry for entry in ranked if entry[0] > 0]
        if ranked:
            (_, why, name), *others = ranked
            picks[role] = Pick(name, why, tuple(other for *_, other in others[:3]))
            free = [column for column in free if column.name != name]
    return picks


def write_recipe(found: Guess) -> str:
    """The recipe as commented YAML; it loads as it stands."""
    if found.kind not in ("folder", "table"):
        return _HEAD.format(path=_plain(str(found.path)), name=_quoted(found.name)) + _known(found)
    source = _folder(found) if found.kind == "folder" else _table(found)
    fetch = "read_file" if found.kind == "folder" or "url" not in found.columns else "download"
    return (
        _HEAD.format(path=_plain(str(found.path)), name=_quoted(found.name))
        + source
        + _passes(found, fetch)
    )


def _known(found: Guess) -> str:
    """The source and passes of a source that was recognised, with what its claim is worth."""
    class_ = kinds()[found.kind]
    loses: int = getattr(class_, "COPY_LOSES", 0)
    worth = [f"  # {line}" for line in textwrap.wrap(class_.WORTH, 94)]
    lines = ["source:", f"  kind: {found.kind}  # recognised by its names", *worth,
             f"  path: {_quoted(str(found.path))}"]  # fmt: skip
    if "image" in found.columns:
        lines += _held(found)
    elif found.kind in CARRYING:
        lines += ["  # Say which column holds the licence; without one no row has a claim:",
                  "  # licenses: [{column: license_url, kind: url, level: 2}]  # 4: a copy of the publisher's"]  # fmt: skip
    elif "dump" in class_.model_fields and loses:
        lines += ["  # Are these the publisher's own files? Say so, or they count as a copy:",
                  "  # dump: {url: https://…, date: 2025-01-31, sha256: …}"]  # fmt: skip
    fetch = "read_file" if found.kind in CARRYING else "download"
    return "\n".join(lines) + "\n" + _passes(found, fetch)


def _held(found: Guess) -> list[str]:
    """What a set that holds its pictures says beside them: which columns, and which claims."""
    image = found.columns["image"]
    lines = [f"  image: {_quoted(image.column)}  # {_plain(image.why)}", "  columns:"]
    lines += _column_lines(found)
    if "caption" not in found.columns:
        lines.append("    captions: []  # no column looks like a caption")
    return [*lines, *_license_lines(found)]


def _folder(found: Guess) -> str:
    return f"""\
source:
  kind: folder
  name: {_quoted(found.name)}  # goes into every key: renaming it makes new keys
  path: {_quoted(str(found.path))}
  # Captions come from metadata.jsonl, metadata.csv or a .txt beside each picture.
  # A folder says nothing about licences. If the pictures are yours, you may declare it; it is kept
  # as your declaration, never as found evidence:
  # declare: {{license: CC-BY-4.0, by: Your Name, statement: I took these pictures myself}}
"""


def _table(found: Guess) -> str:
    lines = [
        "source:",
        "  kind: table",
        f"  name: {_quoted(found.name)}  # goes into every key: renaming it makes new keys",
        f"  path: {_quoted(str(found.path))}",
        "  # retrieved_at: 2025-01-31  # when you got the table, if you know: it is evidence",
        "  columns:",
    ]
    lines += _column_lines(found)
    if found.unused:
        lines.append(f"  # not used: {', '.join(map(_quoted, found.unused))}")
    return "\n".join([*lines, *_license_lines(found)]) + "\n"


def _column_lines(found: Guess) -> list[str]:
    """One line a role, with the reason and the columns that could have been meant."""
    lines: list[str] = []
    for role in ORDER:
        pick = found.columns.get(role)
        if pick is None:
            continue
        value = (
            f"captions: [{_quoted(pick.column)}]"
            if role == "caption"
            else f"{role}: {_quoted(pick.column)}"
        )
        lines.append(f"    {value}  # {_plain(pick.why)}")
        if pick.others:
            lines.append(f"    # or: {', '.join(map(_quoted, pick.others))}")
    return lines


def _license_lines(found: Guess) -> list[str]:
    if not found.licenses:
        return [
            "  # No column looks like a licence. Without a claim every row is rejected (`license`);",
            "  # a licence of the whole collection does not fill in for its pictures.",
            "  licenses: []",
        ]
    lines = ["  licenses:"]
    recognised = any(pick.recognised for pick in found.licenses)
    for pick in found.licenses:
        off = "# " if recognised and not pick.recognised else ""
        lines += [
            f"    {off}- column: {_quoted(pick.column)}  # {_plain(pick.why)}",
            f"    {off}  kind: {pick.kind}  # how its values are read",
            f"    {off}  level: 2  # what is said about the page, until you know better; see below",
        ]
    lines += [
        "    # level 5: this table is the publisher's own; 4: a copy of it; 3: markup about the picture;",
        "    # 1: free text found nearby. The default policy asks for 3: raise it only if you know.",
    ]
    return lines


def _passes(found: Guess, fetch: str) -> str:
    """The passes of the recipe: what judges, fetches and measures a picture, in that order."""
    root = found.path if found.path.is_dir() else found.path.parent
    how = _READ.format(root=_quoted(str(root))) if fetch == "read_file" else _DOWNLOAD
    judge = "" if found.kind == "folder" else _LICENSE + (_OPT_OUT if fetch == "download" else "")
    barrier = _NO_BARRIER if found.kind == "folder" else _BARRIER
    return _PASSES.format(judge=judge, fetch=how, barrier=barrier)


def _quoted(text: str) -> str:
    """A YAML scalar on one line: as it is where that is safe, else in double quotes."""
    if re.fullmatch(r"[A-Za-z_/][\w./-]*", text, re.ASCII) and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump(text, default_style='"', width=10**9, allow_unicode=True).strip()


def _plain(text: str) -> str:
    return " ".join(text.split())


_HEAD: Final = """\
# A first draft by `curate init {path}`. Check every guess, then
#   curate plan RECIPE              what will happen, without touching data
#   curate run RECIPE --to OUT      run it; the same command resumes it
name: {name}
"""
_LICENSE: Final = """\
      - kind: license
        policy: sharealike  # or public-domain, attribution, noncommercial
"""
_OPT_OUT: Final = """\
      - kind: opt_out
"""
_DOWNLOAD: Final = """\
      - kind: download
        contact: you@example.org  # your address: it is sent with every request
        landing_pages: skip  # look: also ask each row's page what it reserves, one more request a page
"""
_READ: Final = """\
      - kind: read_file
        root: {root}  # where the paths start from
"""
_BARRIER: Final = """\
    barrier:
      kind: duplicates  # the survivor is the best-licensed, then the largest
"""
_NO_BARRIER: Final = """\
    # Duplicates are chosen by licence first, so that barrier needs the licence stage:
    # put `- kind: license` before captions if you declare, and then
    # barrier:
    #   kind: duplicates
"""
_PASSES: Final = """\
shard_rows: 1024
passes:
  - layer: images
    stages:
{judge}\
      - kind: captions
{fetch}\
      - kind: inspect
        max_side: 1024  # larger pictures are stored smaller
      - kind: embedded  # what a picture itself says of its licence, and reserves
      - kind: resolution
        min_side: 256
      - kind: aspect
        max_ratio: 2.0
      - kind: buckets
        sizes: [[256, 256], [320, 192], [192, 320]]
{barrier}\
  # Scores and features need models: a local directory or hub:org/name@revision. `builtin:tiny` is
  # for trying things out; its scores mean nothing on real pictures.
  # - layer: features/clip
  #   stages:
  #     - kind: clip_score
  #       model: builtin:tiny
  #   barrier:
  #     kind: threshold
  #     column: clip_score
  #     quantile: 0.1  # reject the worst tenth; or at_least: 0.28
  # - layer: features/latents
  #   stages:
  #     - kind: t5
  #       model: builtin:tiny
  #     - kind: vae
  #       model: builtin:tiny
"""
