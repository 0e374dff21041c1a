"""What every output must say, and what none may: exceptions, declarations, local places."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from provenance_dataset import build
from pydantic import ValidationError

from curate.engine import run_inline
from curate.errors import RecipeError
from curate.license.evidence import LADDER
from curate.models import BUILTIN
from curate.provenance import write_outputs
from curate.provenance.audit import audit
from curate.provenance.explain import explain
from curate.provenance.licensing import (
    EMBEDDED_HONOURED,
    HONOURED,
    NOT_READ,
    PAGES_SKIPPED,
    exceptions,
)  # fmt: skip
from curate.recipe import recipe_from
from curate.report import write_report
from curate.sources.assemble import LicenseColumn
from curate.store.dataset import Dataset
from curate.store.manifest import record_bytes


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build(tmp_path_factory.mktemp("outputs"))
    write_outputs(path)
    return path


# --- what a recipe accepts by name --------------------------------------------------------------
@pytest.fixture(scope="module")
def lenient(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows licensed `CC BY` without a version, in free text, and rows of a declaring folder."""
    base = tmp_path_factory.mktemp("lenient")
    pictures = out.parent / "pictures"
    lines = [
        {"id": f"p{n}", "file": f"{n}.jpg", "caption": f"picture {n}", "license": "CC BY"}
        for n in range(4)
    ]
    (base / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = {"id": "id", "path": "file", "captions": ["caption"]}
    claim = {"column": "license", "kind": "text", "level": 1}
    source = {"kind": "table", "name": "loose", "path": str(base / "rows.jsonl")}
    license_stage = {"kind": "license", "policy": "attribution", "versionless": ["CC-BY"]}
    stages = [
        license_stage | {"evidence_at_least": "L1"},
        {"kind": "captions"},
        {"kind": "read_file", "root": str(pictures)},
        {"kind": "inspect"},
        {"kind": "embedded"},
    ]
    value = {
        "name": "loose",
        "source": source | {"columns": columns, "licenses": [claim]},
        "passes": [{"layer": "images", "stages": stages}],
    }
    run_inline(recipe_from(value, origin="test"), base / "out")
    write_outputs(base / "out")
    write_report(base / "out")
    return base / "out"


@pytest.mark.parametrize("name", ["README.md", "ATTRIBUTION.html", "croissant.json", "report.html"])
def test_every_output_says_what_was_accepted_by_name(lenient: Path, name: str) -> None:
    text = (lenient / name).read_text().replace("\\", "")
    assert "evidence_at_least: L1" in text and "versionless: CC-BY" in text
    assert "https://creativecommons.org/licenses/by/" in text


def test_the_audit_says_what_was_accepted_by_name(lenient: Path) -> None:
    result = audit(lenient)
    assert result.ok
    assert any("versionless: CC-BY" in note for note in result.notes)
    assert "evidence_at_least: L1" in result.to_text()


LOOKING = {"kind": "download", "landing_pages": "look"}


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"kind": "license", "policy": "attribution"}, ()),
        ({"kind": "license", "evidence_at_least": "L5", "versionless": []}, ()),
        ({"kind": "license", "evidence_at_least": "L2"}, ("evidence_at_least: L2",)),
        ({"kind": "license", "versionless": ["CC-BY"]}, ("versionless: CC-BY",)),
        ({**LOOKING, "honour_reservations": list(HONOURED)}, (NOT_READ,)),
        ({**LOOKING, "honour_reservations": list(HONOURED[1:])},
         (f"honour_reservations: without {HONOURED[0]}", NOT_READ)),
        ({**LOOKING, "honour_reservations": []},
         (f"honour_reservations: without {', '.join(HONOURED)}", NOT_READ)),
        ({**LOOKING, "landing_pages": "skip"}, (PAGES_SKIPPED, NOT_READ)),
        ({"kind": "download"}, (PAGES_SKIPPED, NOT_READ)),  # recorded before there was a choice
        ({"kind": "embedded", "honour": []},
         (f"embedded: honour: without {', '.join(EMBEDDED_HONOURED)}",)),
    ],
)  # fmt: skip
def test_exceptions_are_what_the_defaults_refuse(
    stage: dict[str, Any], told: tuple[str, ...]
) -> None:
    assert exceptions({"passes": [{"layer": "images", "stages": [stage]}]}) == told


def test_ignored_reservations_are_told_in_every_output(lenient: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(lenient, tmp_path / "out"))
    record = json.loads((out / "record.json").read_text())
    download = {"kind": "download", "contact": "me@example.org", "honour_reservations": ["noai"]}
    record["recipe"]["passes"][0]["stages"].append(download)
    (out / "record.json").write_bytes(record_bytes(record))
    write_outputs(out)
    write_report(out)
    for name in ("README.md", "ATTRIBUTION.html", "croissant.json", "report.html"):
        text = (out / name).read_text().replace("\\", "")
        assert "honour_reservations: without noimageai, noimageindex" in text, name
        assert PAGES_SKIPPED.partition(" (")[0] in text, name


def test_rows_that_rest_on_a_declaration_need_no_rung_and_are_told(
    out: Path, tmp_path: Path
) -> None:
    shutil.copy(out.parent / "pictures" / "0.jpg", tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_text("a caption")
    declare = {"license": "CC-BY-4.0", "by": "Ada", "statement": "I took these pictures"}
    source = {"kind": "folder", "path": str(tmp_path), "declare": declare}
    stages = [
        {"kind": "license", "policy": "attribution"},
        {"kind": "captions"},
        {"kind": "read_file", "root": str(tmp_path)},
        {"kind": "inspect"},
        {"kind": "embedded"},
    ]
    value = {"name": "own", "source": source, "passes": [{"layer": "images", "stages": stages}]}
    run_inline(recipe_from(value, origin="test"), tmp_path / "out")
    write_outputs(tmp_path / "out")
    write_report(tmp_path / "out")
    body = (tmp_path / "out" / "README.md").read_text()
    assert "1 of 1 pictures rest on a declaration" in body
    assert f"L0: {LADDER[0]} | 1 |" in body
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1 kept picture rests on the rights holder" in page
    assert "on evidence below" not in page


def test_one_ladder_is_told_everywhere(out: Path) -> None:
    body = (out / "README.md").read_text()
    assert f"L5: {LADDER[5]}" in body
    page = html.unescape(write_report(out, out.parent / "report.html").read_text())
    assert all(f"L{level} {words}" in page for level, words in LADDER.items())


# --- what no output tells -----------------------------------------------------------------------
def telling(out: Path, place: Path) -> set[str]:
    """Text files of a dataset, with all its pages written, that name a local place."""
    write_outputs(out)
    write_report(out)
    texts = [path for path in out.rglob("*") if path.suffix in (".json", ".html", ".md", ".csv")]
    assert {"README.md", "report.html", "ATTRIBUTION.csv", "PLAN.json"} < {p.name for p in texts}
    return {str(p.relative_to(out)) for p in texts if str(place) in p.read_text()}


def test_no_text_names_the_folder_of_the_pictures(tmp_path: Path) -> None:
    assert telling(build(tmp_path), tmp_path) == set()


def test_no_page_names_the_folder_of_a_model(tmp_path: Path) -> None:
    """Training finds encoders by their path, so plan, manifest and record keep it; pages do not."""
    models = tmp_path / "my-models"
    shutil.copytree(BUILTIN / "tiny", models)
    out = build(tmp_path, models=str(models))
    assert telling(out, tmp_path) <= {"plan/PLAN.json", "MANIFEST.json", "record.json"}
    assert "features/clip`, clip_score: clip, digest" in (out / "README.md").read_text()
    rows = Dataset.open(out).ledger(["key", "verdict"]).to_pylist()
    kept = [row["key"] for row in rows if row["verdict"] == "kept"]
    page = (out / "report.html").read_text()
    assert "none is decoded" not in page and "model: vae" in page
    text = str(explain(out, kept[0]))
    assert str(tmp_path) not in text and "clip_score: clip, digest" in text


# --- what no table may say ----------------------------------------------------------------------
def test_no_column_of_a_table_declares(tmp_path: Path) -> None:
    """A declaration needs no evidence, so a table may not pass its claims off as one."""
    with pytest.raises(ValidationError, match="declare:"):
        LicenseColumn(column="license", kind="declaration", level=0)
    with pytest.raises(ValidationError, match="no source kind") as error:
        LicenseColumn(column="license", kind="hearsay", level=0)
    assert "declaration" not in str(error.value)
    stages = [{"kind": "license", "policy": "attribution"}, {"kind": "captions"}]
    column = {"column": "license", "kind": "declaration", "level": 5}
    source = {"kind": "table", "name": "t", "path": "t.csv", "columns": {"path": "file"}}
    value = {
        "name": "t",
        "source": source | {"licenses": [column]},
        "passes": [{"layer": "images", "stages": stages}],
    }
    with pytest.raises(RecipeError, match="declare:"):
        recipe_from(value, origin="test")
