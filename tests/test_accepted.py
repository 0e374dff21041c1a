"""Rows that the defaults would refuse say so wherever they go: tables, pages, credits, exports."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import HOST, serve
from provenance_dataset import CC, jpeg, picture

from curate.engine import run_inline
from curate.provenance import write_outputs
from curate.provenance.accepted import METADATA, _at_fetch, _Leniency, accepted
from curate.provenance.attribute import attribute
from curate.provenance.attribution import _cell
from curate.provenance.credit import credit_of
from curate.provenance.explain import explain
from curate.provenance.pages import check_pages, seal
from curate.recipe import recipe_from
from curate.sources.keys import row_key
from curate.sources.known import kinds
from curate.store.dataset import Dataset
from curate.train.export import export_files, export_webdataset

PROHIBITED = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" '
    'plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"/></rdf:RDF></x:xmpmeta>'
)
ROWS = {
    "plain": ("by/4.0/", None), "versionless": (None, "CC BY"), "weak": (None, "CC BY 4.0"),
    "reserving": ("by/4.0/", None), "tagged": ("by/4.0/", None),
}  # fmt: skip
TOLD = {
    "versionless": ("evidence_at_least: L1", "CC BY, version not stated at the source; taken so by this dataset's recipe"),
    "weak": ("evidence_at_least: L1", "L1, a footer or free text, below L3; taken so by this dataset's recipe"),
    "reserving": ("embedded: honour: without plus_data_mining", "The picture's file reserves its use (plus_data_mining), which this dataset's recipe does not honour"),
    "tagged": ("honour_reservations: without noindex", "reserved where it was fetched (noindex), which this dataset's recipe does not honour"),
}  # fmt: skip
"""By id: what each says beside its credit, as a line of the recipe and in words."""


def key(name: str) -> str:
    return row_key("loose", name)


def recipe(base: Path) -> dict[str, Any]:
    columns = {"id": "id", "url": "url", "captions": ["caption"], "title": "id"}
    claims = [{"column": "url_claim", "kind": "url", "level": 5},
              {"column": "footer", "kind": "text", "level": 1}]  # fmt: skip
    source = {"kind": "table", "name": "loose", "path": str(base / "rows.jsonl")}
    stages = [
        {"kind": "license", "policy": "attribution", "versionless": ["CC-BY"],
         "evidence_at_least": "L1"},
        {"kind": "opt_out"}, {"kind": "captions"},
        {"kind": "download", "contact": "me@curate.example", "allow_private_hosts": [HOST],
         "honour_reservations": ["noai", "robots_txt", "tdm_reservation"], "retries": 0,
         "landing_pages": "skip", "no_file_statuses": [403, 404, 410]},
        {"kind": "inspect"}, {"kind": "embedded", "honour": []},
    ]  # fmt: skip
    return {
        "name": "loose",
        "source": source | {"columns": columns, "licenses": claims},
        "passes": [{"layer": "images", "stages": stages}],
    }


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("accepted")
    lines = [
        {"id": name, "url": f"http://{HOST}/{name}", "caption": name, "footer": text,
         "url_claim": tool and f"{CC}/{tool}"}
        for name, (tool, text) in ROWS.items()
    ]  # fmt: skip
    (base / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with serve() as server, pytest.MonkeyPatch.context() as env:
        env.setenv("CURATE_CONNECT_TO", json.dumps({HOST: server.here}))
        for n, name in enumerate(ROWS):
            fields = {"X-Robots-Tag": "noindex"} if name == "tagged" else {}
            image = picture(n)
            if name == "reserving":
                image.save(base / "it.jpg", xmp=PROHIBITED.encode(), quality=95)
            body = (base / "it.jpg").read_bytes() if name == "reserving" else jpeg(image)
            server.files[f"/{name}"] = ("200 OK", body, fields)
        run_inline(recipe_from(recipe(base), origin="test"), base / "out")
    write_outputs(base / "out")
    seal(Dataset.open(base / "out"))
    return base / "out"


# --- the tables and pages -------------------------------------------------------------------------
def test_tables_name_the_line_that_each_row_needs(out: Path) -> None:
    rows = {row["key"]: row for row in pq.read_table(out / "ATTRIBUTION.parquet").to_pylist()}
    assert len(rows) == len(ROWS)
    with (out / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as table:
        cells = {row["key"]: row for row in csv.DictReader(table)}
    for name in ROWS:
        row, cell = rows[key(name)], cells[key(name)]
        assert (row["accepted_by"] or "", row["exception"] or "") == (
            cell["accepted_by"],
            cell["exception"],
        )
        if name not in TOLD:
            assert row["accepted_by"] is row["exception"] is None
            assert "recipe" not in row["text"]
            continue
        line, words = TOLD[name]
        assert line in row["accepted_by"] and words in row["exception"]
        assert words in row["text"] and words in cell["text"]
    assert rows[key("versionless")]["accepted_by"] == "versionless: CC-BY; evidence_at_least: L1"


def test_a_table_of_credits_carries_the_lines_of_its_recipe(out: Path) -> None:
    lines = json.loads(pq.read_schema(out / "ATTRIBUTION.parquet").metadata[METADATA])
    assert "evidence_at_least: L1" in lines and "versionless: CC-BY" in lines
    assert any(line.startswith("honour_reservations: without ") for line in lines)


def test_every_page_says_it_at_its_head_and_beside_its_row(out: Path) -> None:
    text = (out / "attribution" / "page-0001.html").read_text().replace("&#x27;", "'")
    head, _, table = text.partition("<table")
    assert "The recipe accepts what the default refuses: versionless: CC-BY." in head
    assert "evidence_at_least: L1" in head
    assert all(words in table for _, words in TOLD.values())
    assert list(check_pages(Dataset.open(out), hashes=True)) == []


def test_metadata_taken_off_a_table_is_found_though_it_is_sealed_again(
    out: Path, tmp_path: Path
) -> None:
    import shutil

    copy = Path(shutil.copytree(out, tmp_path / "copy"))
    path = copy / "ATTRIBUTION.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    seal(Dataset.open(copy))
    [problem] = check_pages(Dataset.open(copy), hashes=True)
    assert "ATTRIBUTION.parquet does not say" in problem


# --- one credit, one story ------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(TOLD))
def test_the_credit_of_one_picture_and_its_story_say_it(out: Path, name: str) -> None:
    line, words = TOLD[name]
    told = attribute(out, key(name))
    assert words in told[0] and any(line in more for more in told[1:])
    story = str(explain(out, key(name)))
    assert words in story and line in story.partition("\ncredit")[2]
    assert "refuse" not in "\n".join(attribute(out, key("plain")))


# --- exports --------------------------------------------------------------------------------------
def check_metadata(rows: dict[str, dict[str, Any]]) -> None:
    for name in ROWS:
        row = rows[key(name)]
        line, words = TOLD.get(name, ("", ""))
        assert line in (row["accepted_by"] or "") and words in (row["exception"] or "")
        assert words in row["credit"] and bool(row["exception"]) == (name in TOLD)


def check_account(folder: Path) -> None:
    told = json.loads((folder / "EXPORT.json").read_text())
    assert "versionless: CC-BY" in told["exceptions"]
    assert told["accepted_by"]["versionless: CC-BY; evidence_at_least: L1"] == 1
    assert sum(told["accepted_by"].values()) == len(TOLD)


def test_files_and_tars_take_it_along(out: Path, tmp_path: Path) -> None:
    export_files(out, tmp_path / "files")
    lines = (tmp_path / "files" / "metadata.jsonl").read_text().splitlines()
    check_metadata({row["key"]: row for row in map(json.loads, lines)})
    check_account(tmp_path / "files")
    export_webdataset(out, tmp_path / "tars")
    found = {}
    for path in (tmp_path / "tars").glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    body = tar.extractfile(member)
                    assert body is not None
                    row = json.load(body)
                    found[row["key"]] = row
    check_metadata(found)
    check_account(tmp_path / "tars")


def test_an_export_of_default_rows_names_no_exception(demo_dataset: Path, tmp_path: Path) -> None:
    export_files(demo_dataset, tmp_path / "files", groups=["open"])
    rows = map(json.loads, (tmp_path / "files" / "metadata.jsonl").read_text().splitlines())
    assert all(row["accepted_by"] is row["exception"] is None for row in rows)


# --- single rows ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("row", "settings"),
    [
        ({"license": "CC-BY-4.0", "evidence_level": 3}, []),
        ({"license": "CC-BY-4.0", "evidence_level": 2}, ["evidence_at_least: L2"]),
        ({"license": "CC-BY-4.0", "evidence_level": 0, "license_basis": "declared"}, []),
        ({"license": "CC-BY-SA", "evidence_level": 5}, ["versionless: CC-BY-SA"]),
        ({"license": None, "evidence_level": None}, []),
        ({"license": "CC0-1.0", "evidence_level": 5, "embedded_reservations": []}, []),
        ({"license": "CC0-1.0", "evidence_level": 5,
          "embedded_reservations": [{"signal": "xmp_unread"}, {"signal": "mining_terms"}]},
         ["embedded: honour: without mining_terms, xmp_unread"]),
    ],
)  # fmt: skip
def test_what_a_row_rests_on_follows_from_the_row(row: dict[str, Any], settings: list[str]) -> None:
    assert [each.setting for each in accepted(row)] == settings
    told = credit_of({"key": "k" * 64} | row)
    assert told.accepted_by == ("; ".join(settings) or None)
    assert all(each.words in told.text for each in accepted(row))


def test_a_withheld_credit_still_tells_its_exceptions() -> None:
    told = credit_of({"key": "k" * 64, "license": "CC-BY", "evidence_level": 5}, withheld=True)
    assert "version not stated" in told.text and told.accepted_by == "versionless: CC-BY"


FETCHED = {"http_status": 200, "observed_at": "2031-01-01T00:00:00+00:00"}


@pytest.mark.parametrize(
    ("signals", "statuses", "seen", "settings"),
    [
        ("noindex", (), {"response_headers": [["X-Robots-Tag", "noindex"]]},
         ["honour_reservations: without noindex"]),
        ("noindex", (), {"response_headers": [["X-Robots-Tag", "otherbot: noindex"]]}, []),
        ("noindex", (), {"reservations": [{"answer": "noindex", "sha256": None}]},
         ["honour_reservations: without noindex"]),
        ("unavailable_after", (),
         {"response_headers": [["X-Robots-Tag", "unavailable_after: 1 Jan 2032 00:00:00 GMT"]]}, []),
        ("robots_txt", (), {}, ["honour_reservations: without robots_txt"]),
        ("tdm_reservation", (), {"response_headers": [["tdm-reservation", "1"]]},
         ["honour_reservations: without tdm_reservation"]),
        ("", (403,), {"reservations": [{"answer": "no file", "status": 403}]},
         ["no_file_statuses: also 403"]),
        ("", (403,), {"reservations": [{"answer": "no file", "status": 404}]}, []),
        ("robots_txt", (), {"http_status": None}, []),
        ("noindex", (), {"reservations": [{"answer": "no field reserves", "sha256": None}]}, []),
        ("noindex", (), {"reservations": "no list", "response_headers": {"a": 1}}, []),
    ],
)  # fmt: skip
def test_what_a_fetch_saw_and_did_not_honour(
    signals: str, statuses: tuple[int, ...], seen: dict[str, Any], settings: list[str]
) -> None:
    lenient = _Leniency(frozenset(signals.split()), frozenset(statuses), ("curate",))
    texts = {k: v if k == "http_status" else json.dumps(v) for k, v in seen.items()}
    assert [told.setting for told in _at_fetch(FETCHED | texts, lenient)] == settings


# --- cells ----------------------------------------------------------------------------------------
UNSEEN = "\u200b\u200d\u2060\ufeff\u00ad\u200e\u202e\u2066\u180e\u3164\u115f\u2800\ufe0f\u00a0\u3000\u2028\x00\x0b"


@given(st.text(alphabet=UNSEEN, max_size=6), st.sampled_from("=+-@＝＋－＠"))
def test_nothing_invisible_hides_a_formula_from_the_guard(before: str, start: str) -> None:
    assert str(_cell(f"{before}{start}1+1")).startswith("'")
    assert _cell(f"{before}a=1") == f"{before}a=1"


# --- the card -------------------------------------------------------------------------------------
def test_card_and_licences_page_say_what_the_claims_are_worth_and_what_was_accepted(
    out: Path,
) -> None:
    card, page = (
        (out / name).read_text().replace("\\", "") for name in ("README.md", "LICENSES.md")
    )
    assert kinds()["table"].WORTH in card
    for text in (card, page):
        assert "evidence_at_least: L1" in text and "versionless: CC-BY" in text
    assert "no version was stated" in page
