"""Fixtures of sources: rows in the source's own columns, and what the licence stage makes of each.

`fixtures/sources/<kind>/` holds the source's files and `expected.txt`, a line a row in the order
the source gives them: `kept:<licence>` or a reason, the rung (`-` if never judged), and why the row
is there. `overrides.txt`, where there is one, points the recipe's source at files (`{here}`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from curate import columns as c
from curate.recipe import Recipe, load_recipe
from curate.sources import AnySource, Source
from curate.sources.adapter import Adapter, Dump, dump_sha256
from curate.sources.keys import settle_repeats
from curate.stage import apply, mark, with_marks
from curate.stages.license import LicenseStage

ROOT = Path(__file__).parent / "fixtures" / "sources"
PIPELINES = Path(__file__).parent.parent / "pipelines"
KINDS: dict[str, type[Source]] = {
    class_.model_fields["kind"].default: class_ for class_ in get_args(get_args(AnySource)[0])
}
PD12M = "https://huggingface.co/datasets/Spawning/PD12M"
WITH_FIXTURE = sorted(folder.name for folder in ROOT.iterdir() if folder.is_dir())


@dataclass(frozen=True)
class Expected:
    """One line of `expected.txt`."""

    verdict: str
    rung: str
    why: str


def expected(kind: str) -> list[Expected]:
    lines = (ROOT / kind / "expected.txt").read_text().splitlines()
    return [Expected(*line.split(maxsplit=2)) for line in lines]


def recipe_of(kind: str, *more: str) -> Recipe:
    """The shipped recipe of a source, pointed at its fixture."""
    here = ROOT / kind
    listed = here / "overrides.txt"
    lines = listed.read_text().splitlines() if listed.is_file() else ["source.path={here}"]
    overrides = [line.replace("{here}", str(here)) for line in lines if line.strip()]
    return load_recipe(PIPELINES / f"{kind}.yaml", overrides=[*overrides, *more])


def candidates(source: Source) -> pa.Table:
    tables = list(source.candidates())
    for table in tables:
        assert table.schema.equals(c.CANDIDATE)
        table.validate(full=True)
    return settle_repeats(pa.concat_tables(tables))


def judged(recipe: Recipe) -> pa.Table:
    """The candidates with the marks and licences that the plan and the licence stage give them."""
    table = with_marks(candidates(recipe.source))
    table = mark(table, table[c.DEFECT.name].to_pylist(), stage="source")
    return apply(recipe.license_stage or LicenseStage(policy="sharealike"), table)


def told(table: pa.Table) -> list[tuple[str, str]]:
    """(verdict, rung) of each row, as `expected.txt` writes them."""
    return [
        (
            row["reason"] or f"kept:{row['license']}",
            "-" if row["evidence_level"] is None else f"L{row['evidence_level']}",
        )
        for row in table.to_pylist()
    ]


def dumped(source: Adapter, **more: Any) -> Adapter:
    """The source with its files recorded as a dump of the publisher of PD12M, or as `more` says."""
    digest = dump_sha256(source.inputs())
    given = {"url": PD12M, "date": "2025-03-01", "sha256": digest}
    return source.model_copy(update={"dump": Dump(**(given | more))})
