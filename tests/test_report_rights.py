"""The report's account of rights: what is accepted by name, reserved, contradicted and removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from provenance_dataset import CC, Forger, key, picture, rows

from curate.engine import run_inline
from curate.provenance import write_outputs
from curate.provenance.takedown import Selectors, remove
from curate.recipe import recipe_from
from curate.report import write_report
from curate.report.rights import rights
from curate.store.dataset import Dataset

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PLUS = "http://ns.useplus.org/ldf"
SAID = {
    0: f'plus:DataMining="{PLUS}/vocab/DMI-PROHIBITED"', 10: f'cc:license="{CC}/by-nc/4.0/"',
    11: f'cc:license="{CC}/by/4.0/"', 12: 'dc:rights="No AI training"',
}  # fmt: skip
"""By number of the row: what its file says in XMP."""


def build(base: Path, honour: list[str] | None = None) -> Path:
    folder = base / "pictures"
    folder.mkdir(parents=True)
    lines = rows(folder)[:20]
    for n, said in SAID.items():
        packet = (
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description '
            f'xmlns:plus="{PLUS}/xmp/1.0/" xmlns:cc="http://creativecommons.org/ns#" '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/" {said}/></rdf:RDF></x:xmpmeta>'
        )
        picture(n).save(folder / f"{n}.jpg", xmp=packet.encode(), quality=95)
    lines[17]["license"] = f"{CC}/by/"
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = {"id": "id", "path": "file", "captions": ["caption"]}
    claim = {"column": "license", "kind": "url", "level": 2}
    embedded: dict[str, Any] = {"kind": "embedded"}
    stages = [{"kind": "license", "policy": "sharealike", "evidence_at_least": "L2",
               "versionless": ["CC-BY"]},
              {"kind": "captions"}, {"kind": "read_file", "root": str(folder)}, {"kind": "inspect"},
              embedded if honour is None else embedded | {"honour": honour}]  # fmt: skip
    source = {"kind": "table", "name": "photos", "path": str(folder / "rows.jsonl"),
              "columns": columns, "licenses": [claim]}  # fmt: skip
    value = {"name": "photos", "source": source, "passes": [{"layer": "images", "stages": stages}]}
    run_inline(recipe_from(value, origin="test"), base / "out")
    return base / "out"


@pytest.fixture(scope="module")
def honouring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("honouring"))


def section(out: Path) -> str:
    """The report's provenance section as it stands."""
    page = write_report(out).read_text(encoding="utf-8")
    return page.partition('<section id="provenance"')[2].partition("</section>")[0]


def test_reservations_by_kind_and_contradictions_are_counted(honouring: Path) -> None:
    told = rights(Dataset.open(honouring))
    assert told.reserved == (("reservation:mining_terms", 1), ("reservation:plus_data_mining", 1))
    assert told.contradicted == 1
    assert dict(told.said)["name the licence that was claimed for them"] == 1
    text = section(honouring)
    assert "reservation:plus_data_mining" in text and "reservation:mining_terms" in text
    assert "<dt>Rows a reservation kept out</dt><dd>2, by kind below</dd>" in text
    assert "<dt>Rows whose picture contradicts its licence</dt><dd>1, rejected</dd>" in text


def test_kept_rows_are_counted_by_the_line_they_rest_on(tmp_path: Path) -> None:
    out = build(tmp_path, honour=["mining_terms"])
    told = rights(Dataset.open(out))
    taken = dict(told.accepted)
    assert taken["versionless: CC-BY"] == 1
    assert taken["embedded: honour: without plus_data_mining"] == 1
    assert taken["evidence_at_least: L2"] == Dataset.open(out).manifest.counts.kept
    text = section(out)
    assert "evidence_at_least: L2" in text and "embedded: honour: without plus_data_mining" in text
    assert told.reserved == (("reservation:mining_terms", 1),)


def test_removals_are_told_by_receipt(honouring: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(honouring, tmp_path / "out"))
    assert rights(Dataset.open(out)).removals == () and "<dd>none</dd>" in section(out)

    def pages(root: Path) -> None:
        write_outputs(root)
        write_report(root)

    receipt = remove(
        out, selectors=Selectors(keys=(key(14),)), reason="Ann asked", write_pages=pages
    )
    [told] = rights(Dataset.open(out)).removals
    assert (told.version, told.rows, told.digest) == (2, receipt.rows, receipt.tombstones)
    assert receipt.rows == 1
    page = (out / "report.html").read_text()
    assert told.receipt in page and told.digest in page
    assert "Ann asked" not in page
    assert "1 row of this version's candidates, by removal below" in page.replace("&#39;", "'")
    assert page == write_report(out).read_text(), "the same without and with the receipt"
    (out / "TOMBSTONES.jsonl").unlink()
    assert rights(Dataset.open(out)).removals == () and rights(Dataset.open(out)).removed == 1
    assert "<dd>1 row of this version" in section(out)


def test_a_dataset_of_others_tells_no_more_than_it_has(honouring: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(honouring, tmp_path / "out"))
    forger = Forger(out)
    parts = [shard.part for shard in Dataset.open(out).layer("images").shards if shard.file("data")]
    for part in parts:
        forger.rewrite("images", part, "data", lambda t: t.drop_columns(["embedded_agrees"]))
    forger.publish()
    assert rights(Dataset.open(out)).said == ()
    assert "not read by this recipe" in section(out)
