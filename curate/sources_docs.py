"""Writes docs/sources.md from the sources themselves, so that the page and the code cannot disagree.

`python -m curate.sources_docs`; a test compares the page with what this prints.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Final

from curate.license.evidence import LADDER
from curate.sources import Source
from curate.sources.assemble import ClaimColumn, ColumnMap
from curate.sources.known import kinds

PAGE: Final = Path(__file__).parent.parent / "docs" / "sources.md"
HEAD: Final = """\
# Sources

Where pictures come from, how far each source's word about their licence carries, and why. Written
by `python -m curate.sources_docs` from the sources themselves.

Every source has a recipe to start from (`pipelines/<kind>.yaml`, by name: `curate plan <kind>`).
Its claims stand on a rung of the evidence ladder, and the default policy asks for L3:

{ladder}

**A publisher's own dump counts as its record** if the recipe says which one it is: `dump: {{url,
date, sha256}}`, and if that address is one of the publisher's own (below: "Publisher's own
places"; exact hosts, https). The files are hashed before a row is read and must fit; each claim then
carries the dump's address, date and digest. A dump from anywhere else carries the same and counts as
somebody's copy, **one rung lower**, as do files without a `dump`. The date is ISO 8601 and not to
come. That the files came from that address is the recipe's word: curate did not fetch them. What is itself a third party's finding (a page-level claim of a crawler) has that rung
whoever hands it on. `sha256` is that of the file, or of several files that of the lines which
`sha256sum` prints for them in the order of their names.

**More captions** come from tables of their own, by key, address or file name, for any source:

```yaml
captions:
- path: data/recaptioned.parquet
  by: url                  # key (or the source's id), url, or file
  column: image_url
  captions: [caption]
  origin: model            # source, own or model; a model is named
  model: my-captioner
```

**A source with an API** (`openverse`, `wikimedia`) is paged once if the recipe has a `query`: one
request at a time, an interval between them, `Retry-After` and `maxlag` waited out, your `contact` in
every request. Each answer is kept in `path` with its address, time, status and sha256, a killed
paging goes on at the next page, and `DONE.json` closes the snapshot. Candidates come from the
snapshot alone, so a run is repeatable, and each claim carries the page that held it. Pages of an
`endpoint` that is not the publisher's own host (a mirror) count as its copy, one rung lower, and say
so in `claimed_by`; a page that another host gave in answer is refused. An API that names a page
again that it has given ends the snapshot, and `DONE.json` says so. Without `query` the same objects
are read from files.

**Columns of evidence** (`evidence:` of a table) must be able to be true: a status that is not 2xx, a
time that is not ISO 8601 or still to come, a digest that is not 64 hexadecimal digits, or an address
that is not http or https puts the claim on rung 0 and rejects the row (`malformed:evidence`).

**Hosts that answer 403 where there is no robots.txt.** S3 says 403 instead of 404 for a file that is
not there if its bucket may not be listed. Anything but 404 and 410 fails the rows of that host, and
they can be tried again. If you have looked and know that it is so, say it in the recipe:
`no_file_statuses: [403, 404, 410]` under `download`. Nobody has looked where this was written, at
the buckets of iNaturalist and PD12M neither, so no shipped recipe says it. The commands that people
hand on for iNaturalist's bucket list it without an account, so that 404 is to be expected there.

**A source with its pictures in it** (`img2dataset`, `huggingface`) gives each row the place of its
picture, such as `00000.tar#offset=1536&bytes=20480`, and the stage `read_file` reads it there. It
makes no claims but those of the columns that `licenses` names, with the rung you give them. Each shard
of a run passes once through every Parquet row group that holds one of its rows: a larger
`shard_rows` reads less often.

{table}
"""


def page() -> str:
    """The whole page as Markdown."""
    ladder = "\n".join(f"- **L{rung}**: {words}" for rung, words in LADDER.items())
    rows = ["| kind | rung of a claim | of a copy | run live |", "|---|---|---|---|"]
    rows += [_row(kind, class_) for kind, class_ in kinds().items()]
    parts = [HEAD.format(ladder=ladder, table="\n".join(rows))]
    parts += [_section(kind, class_) for kind, class_ in kinds().items()]
    return "\n".join(parts)


def _row(kind: str, class_: type[Source]) -> str:
    claims = _claims(class_)
    lost = getattr(class_, "COPY_LOSES", 0)
    own = _rungs([claim.level for claim in claims])
    copied = _rungs([max(0, claim.level - lost) for claim in claims])
    live = class_.LIVE.partition(":")[0].lower()
    return f"| [`{kind}`](#{kind}) | {own} | {copied} | {live.replace('not run live', 'no')} |"


def _rungs(levels: list[int]) -> str:
    return ", ".join(f"L{level}" for level in sorted(set(levels), reverse=True)) or "–"


def _claims(class_: type[Source]) -> tuple[ClaimColumn, ...]:
    return getattr(class_, "CLAIMS", ())


def _section(kind: str, class_: type[Source]) -> str:
    what = " ".join((inspect.getdoc(inspect.getmodule(class_)) or "").split("\n\n")[0].split())
    lines = [f"## {kind}", "", what, ""]
    columns = _columns(class_)
    lines += [f"- **Columns:** {columns}"] if columns else []
    lines += [
        f"- **Claim:** `{'` + `'.join(_raw(class_, claim.column))}`, read as `{claim.kind}`, "
        f"L{claim.level}, of {claim.claimed_by or 'the source'}"
        for claim in _claims(class_)
    ]
    places = ", ".join(f"`{place}`" for place in getattr(class_, "PUBLISHED", ()))
    lines += [f"- **Publisher's own places:** {places}"] if places else []
    lines += [
        f"- **Why that rung:** {class_.WHY}",
        f"- **What it is worth:** {class_.WORTH}",
        f"- **Recipe:** [`pipelines/{kind}.yaml`](../pipelines/{kind}.yaml)",
        f"- **Run live:** {class_.LIVE}",
        "",
    ]
    return "\n".join(lines)


def _columns(class_: type[Source]) -> str:
    """The source's own columns beside what they are read as."""
    mapping: ColumnMap | None = getattr(class_, "COLUMNS", None)
    if mapping is None:
        return ""
    held = {role: name for role, name in mapping.model_dump().items() if isinstance(name, str)}
    told = [f"{role} from {_named(class_, name)}" for role, name in held.items()]
    captions = [*mapping.captions, *(entry.column for entry in getattr(class_, "CAPTIONS", ()))]
    told += [f"captions from {_named(class_, name)}" for name in captions]
    return ", ".join(told)


def _named(class_: type[Source], column: str) -> str:
    return " + ".join(f"`{name}`" for name in _raw(class_, column))


def _raw(class_: type[Source], column: str) -> tuple[str, ...]:
    """The raw columns that a column is, or is made from."""
    derived: dict[str, tuple[str, ...]] = getattr(class_, "DERIVED", {})
    return derived.get(column, (column,))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
