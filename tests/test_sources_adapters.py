"""Every source has a recipe, a fixture and a note; every row of every fixture goes where it should."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from source_fixtures import (
    KINDS,
    PD12M,
    PIPELINES,
    ROOT,
    WITH_FIXTURE,
    candidates,
    dumped,
    expected,
    judged,
    recipe_of,
    told,
)

from curate.errors import RecipeError
from curate.recipe import load_recipe
from curate.sources import Fondant, Laion, Pd12m, Table
from curate.sources.adapter import Dump, dump_sha256
from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns, Layout, assemble
from curate.sources.commoncatalog import decoded
from curate.sources.fondant import BODY, EDGE
from curate.sources.read import RawBatch
from curate.sources.text import to_python
from curate.sources_docs import PAGE, page

WITHOUT_FIXTURE = {"demo", "folder"}
"""Their rows are pictures: drawn by the demo, or the files themselves (test_sources.py)."""
TWO_LINES = (
    "passes.0.stages.0.evidence_at_least=L2",
    "passes.0.stages.0.versionless=[CC-BY, CC-BY-SA]",
)


@pytest.mark.parametrize("kind", WITH_FIXTURE)
def test_the_rows_of_a_fixture_end_where_its_list_says(kind: str) -> None:
    wanted = [(line.verdict, line.rung) for line in expected(kind)]
    assert told(judged(recipe_of(kind))) == wanted


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_source_has_a_recipe_a_fixture_and_a_note(kind: str) -> None:
    recipe = load_recipe(PIPELINES / f"{kind}.yaml")
    assert recipe.source.kind == kind
    assert recipe.license_stage is not None
    assert recipe.license_stage.evidence_at_least == "L3", "recipes ship with the defaults"
    assert not recipe.license_stage.versionless
    assert len(KINDS[kind].WORTH) > 40
    assert len(KINDS[kind].WHY) > 20
    if kind not in WITHOUT_FIXTURE:
        lines = expected(kind)
        assert len(lines) >= 20
        assert all(line.why for line in lines)


def test_the_page_about_sources_is_what_they_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m curate.sources_docs`"


def test_a_table_of_the_page_shows_rungs_and_raw_columns() -> None:
    text = page()
    assert "| [`pd12m`](#pd12m) | L4 | L3 | no |" in text
    assert "| [`fondant`](#fondant) | L2, L1 | L2, L1 | no |" in text
    assert "`license_type` + `license_location`, read as `fondant_license_type`, L1" in text


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads_and_its_columns_fit(path: Path) -> None:
    assert load_recipe(path).check_columns()


def test_fondant_keeps_nothing_with_the_defaults_and_keeps_rows_by_name() -> None:
    assert not any(verdict.startswith("kept") for verdict, _ in told(judged(recipe_of("fondant"))))
    kept = judged(recipe_of("fondant", *TWO_LINES)).to_pylist()
    accepted = {row["url"].rsplit("/", 1)[1]: row["license"] for row in kept if not row["reason"]}
    assert accepted == {
        "1.jpg": "CC-BY",
        "11.jpg": "CC-BY",
        "26.jpg": "CC-BY",
        "29.jpg": "CC-BY",
        "8.jpg": "CC0-1.0",
        "9.jpg": "CC-PDM-1.0",
    }
    one_line = told(judged(recipe_of("fondant", TWO_LINES[1])))
    assert not any(verdict.startswith("kept") for verdict, _ in one_line)


def test_a_fondant_link_in_a_footer_stands_a_rung_lower_and_names_its_page() -> None:
    rows = candidates(recipe_of("fondant").source).to_pylist()
    [content], [footer] = rows[0]["claims"], rows[11]["claims"]
    assert (content["level"], footer["level"]) == (2, 1)
    assert content["locator"] == "https://blog.example/post/1"


def copy_of(kind: str, to: Path) -> Path:
    shutil.copytree(ROOT / kind, to)
    return to


def test_a_recorded_dump_counts_as_the_publishers_record(tmp_path: Path) -> None:
    source = Pd12m(path=copy_of("pd12m", tmp_path / "a"))
    [copied] = candidates(source).to_pylist()[1]["claims"]
    [own] = candidates(dumped(source)).to_pylist()[1]["claims"]
    assert (copied["level"], own["level"]) == (3, 4)
    assert (copied["retrieved_at"], copied["final_url"], copied["response_sha256"]) == (None,) * 3
    assert own["retrieved_at"] == "2025-03-01"
    assert own["final_url"] == PD12M
    assert own["response_sha256"] == dump_sha256(source.inputs())
    assert own["claimed_by"] == "Wikimedia Commons"
    assert dumped(source).identity() != source.identity()
    moved = dumped(Pd12m(path=copy_of("pd12m", tmp_path / "b")))
    assert moved.identity() == dumped(source).identity()


def test_a_table_can_record_its_dump_and_rows_their_own_evidence(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("url,license,got\nhttps://x.org/1,by,2025-01-01\nhttps://x.org/2,by,\n")
    given = {"url": "https://publisher.example/a.csv", "date": "2025-03-01"}
    value = {
        "kind": "table", "name": "t", "path": path, "columns": {"url": "url"},
        "licenses": [{"column": "license", "kind": "inat_code", "level": 5,
                      "evidence": {"retrieved_at": "got"}}],
        "dump": given | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
    }  # fmt: skip
    rows = candidates(Table.model_validate(value)).to_pylist()
    assert [row["claims"][0]["retrieved_at"] for row in rows] == ["2025-01-01", "2025-03-01"]
    assert {row["claims"][0]["final_url"] for row in rows} == {given["url"]}
    value["dump"] = given | {"sha256": "1" * 64}
    with pytest.raises(RecipeError, match="1" * 64):
        candidates(Table.model_validate(value))


def test_files_that_are_not_the_dump_are_refused_and_both_digests_named(tmp_path: Path) -> None:
    source = Pd12m(path=copy_of("pd12m", tmp_path / "a"))
    wrong = "0" * 64
    with pytest.raises(RecipeError, match=wrong) as refused:
        candidates(dumped(source, sha256=wrong))
    assert dump_sha256(source.inputs()) in str(refused.value)
    good = dumped(source)
    candidates(good)
    with (tmp_path / "a" / "rows.jsonl").open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(RecipeError, match="but what lies at"):
        candidates(good)


def test_the_digest_of_several_files_is_that_of_what_sha256sum_prints(tmp_path: Path) -> None:
    folder = copy_of("laion", tmp_path / "a")
    (folder / "more.jsonl").write_text((folder / "rows.jsonl").read_text())
    printed = subprocess.run(
        ["sha256sum", "more.jsonl", "rows.jsonl"], cwd=folder, capture_output=True, check=True
    ).stdout
    assert dump_sha256(Laion(path=folder).inputs()) == hashlib.sha256(printed).hexdigest()


def test_a_claim_about_a_page_gains_nothing_from_a_dump(tmp_path: Path) -> None:
    source = Fondant(path=copy_of("fondant", tmp_path / "a"))
    for one in (source, dumped(source)):
        levels = [e["level"] for row in candidates(one).to_pylist() for e in row["claims"]]
        assert max(levels) == 2


@pytest.mark.parametrize("given", [{"sha256": "abc"}, {"date": "yesterday"}, {"url": "a file"}])
def test_a_dump_says_what_is_wrong_with_it(given: dict[str, str]) -> None:
    good = {"url": "https://publisher.example/d", "date": "2025-03-01", "sha256": "a" * 64}
    with pytest.raises(ValidationError, match=next(iter(given))):
        Dump(**(good | given))


TYPES = {
    "fondant": dict.fromkeys(
        ("image_url", "alt_text", "webpage_url", "license_type", "license_location", "surt_url"),
        pa.string(),
    ),
    "laion": {"SAMPLE_ID": pa.float64(), "URL": pa.string(), "TEXT": pa.string(),
              "HEIGHT": pa.int32(), "WIDTH": pa.int32(), "LICENSE": pa.string()},
    "coyo": {"id": pa.int64(), "url": pa.string(), "text": pa.string(), "width": pa.int32(),
             "height": pa.int32()},
    "commoncatalog": {"photoid": pa.int64(), "uid": pa.string(), "unickname": pa.string(),
                      "title": pa.string(), "licensename": pa.string(), "licenseurl": pa.string(),
                      "downloadurl": pa.string(), "pageurl": pa.string(),
                      "blip2_caption": pa.string(), "original_width": pa.int64(),
                      "original_height": pa.int64()},
    "pd12m": {"id": pa.string(), "url": pa.string(), "caption": pa.string(), "width": pa.int64(),
              "height": pa.int64(), "license": pa.string(), "source": pa.string()},
}  # fmt: skip


def fitting(line: str, types: dict[str, pa.DataType]) -> dict[str, Any] | None:
    """The row of a line if each of its values is one of its column's type."""
    try:
        row = {name: json.loads(line)[name] for name in types}
        typed = {name: pa.array([row[name]], kind)[0].as_py() for name, kind in types.items()}
    except (ValueError, TypeError, pa.ArrowException):
        return None
    return row if typed == row else None


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_parquet_in_the_sources_own_types_gives_the_same_rows(kind: str, tmp_path: Path) -> None:
    lines = (ROOT / kind / "rows.jsonl").read_text().splitlines()
    rows = [row for line in lines if (row := fitting(line, TYPES[kind])) is not None]
    assert len(rows) > 12
    text, typed = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    text.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(TYPES[kind].items()))), typed)
    source = KINDS[kind]
    one, other = (candidates(source.model_validate({"path": path})) for path in (text, typed))
    assert one.to_pylist() == other.to_pylist()


def test_yfcc_texts_are_decoded_and_plain_ones_left_alone() -> None:
    values = ["By+the+sea+%26+sand", "C++ & more", None, 5, "plain", "%E6%9D%8E"]
    assert decoded(values) == ["By the sea & sand", "C++ & more", None, 5, "plain", "李"]
    broken = pa.array([b"a+b", b"\xff"], pa.binary()).cast(pa.large_binary())
    bad = pa.Array.from_buffers(pa.large_string(), 2, broken.buffers())
    assert to_python(bad) == ["a+b", b"\xff"]
    assert decoded(bad) == ["a b", b"\xff"]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("All rights reserved", "license:reserved"),
        ("No known copyright restrictions", "license:conflict"),
        ("United States Government Work", "license:conflict"),
        ("Attribution Licence", "license:conflict"),
        ("", None),
        ("Attribution License", None),
    ],
)
def test_a_flickr_name_and_its_address_must_agree(
    name: str, verdict: str | None, tmp_path: Path
) -> None:
    row = {"photoid": 1, "uid": "1@N0", "unickname": "a", "title": "t", "licensename": name,
           "downloadurl": "https://x.org/1.jpg", "pageurl": "https://x.org/1",
           "licenseurl": "http://creativecommons.org/licenses/by/2.0/"}  # fmt: skip
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    recipe = recipe_of("commoncatalog", f"source.path={tmp_path / 'rows.jsonl'}")
    [found] = judged(recipe).to_pylist()
    assert found["reason"] == verdict


def test_a_laion_cut_without_sizes_or_licences_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"URL": ["https://x.org/1.jpg"], "TEXT": ["a cat"]}), path)
    [row] = candidates(Laion(path=path)).to_pylist()
    assert (row["defect"], row["claims"], row["declared_width"]) == (None, [], None)
    pq.write_table(pa.table({"TEXT": ["a cat"]}), path)
    with pytest.raises(RecipeError, match="no column 'URL'"):
        candidates(Laion(path=path))


CELL = st.one_of(
    st.none(), st.text(max_size=8), st.integers(), st.floats(), st.booleans(),
    st.sampled_from(["i1", "https://x.org/1", "\ud800", "a\0b", "64", "by", "zero", "footer",
                     "https://creativecommons.org/licenses/by/2.0/", "Attribution License"]),
    st.lists(st.one_of(st.text(max_size=3), st.integers(), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@pytest.mark.parametrize("kind", sorted(TYPES))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_rows_in_a_sources_columns_are_conserved(
    kind: str, data: st.DataObject, tmp_path: Path
) -> None:
    row = st.fixed_dictionaries(dict.fromkeys(TYPES[kind], CELL))
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = judged(recipe_of(kind, f"source.path={path}"))
    assert len(table) == len(set(table["key"].to_pylist())) == len(rows)
    for found in table.to_pylist():
        assert found["reason"] or found["license"]


def test_derived_columns_are_not_asked_of_the_file() -> None:
    layout = Fondant(path=Path("anywhere")).layout()
    assert {BODY, EDGE} <= set(layout.wanted())


def test_each_row_can_carry_its_own_evidence() -> None:
    told_by = EvidenceColumns(
        claimed_by="who", locator="api", retrieved_at="when", http_status="status",
        final_url="end", response_sha256="digest",
    )  # fmt: skip
    layout = Layout(
        source="api", columns=ColumnMap(id="id", url="url"), retrieved_at="2020-01-01",
        final_url="https://everywhere.example/", licenses=(
            ClaimColumn(column="license", kind="url", level=5, claimed_by="all", evidence=told_by),
        ),
    )  # fmt: skip
    columns: dict[str, Any] = {
        "id": ["1", "2", "3", "4"],
        "url": [f"https://x.org/{n}" for n in range(4)],
        "license": ["https://creativecommons.org/licenses/by/4.0/"] * 4,
        "who": ["Ann", None, None, None],
        "api": ["https://api.example/1", None, None, None],
        "when": ["2025-01-01T00:00:00Z", None, None, None],
        "status": [200, None, None, "many"],
        "end": ["https://api.example/1?full", None, None, None],
        "digest": ["ab" * 32, None, None, None],
    }
    rows = assemble(RawBatch(4, columns), layout).to_pylist()
    names = ("claimed_by", "locator", "retrieved_at", "http_status", "final_url", "response_sha256")
    first, second, third, _ = ([row["claims"][0][name] for name in names] for row in rows)
    assert first == [
        "Ann", "https://api.example/1", "2025-01-01T00:00:00Z", 200, "https://api.example/1?full",
        "ab" * 32,
    ]  # fmt: skip
    everywhere = ["all", "api#license", "2020-01-01", None, "https://everywhere.example/", None]
    assert second == third == everywhere
    assert [row["defect"] for row in rows] == [None, None, None, "malformed:evidence"]
