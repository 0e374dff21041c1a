"""The summary of training content: the template's sections, and nothing that the files do not show."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.provenance.eu_evidence import HOSTS, Evidence, gather
from curate.provenance.eu_reservations import FIELDS, FILES, PAGES, ROBOTS, WELL_KNOWN, honoured
from curate.provenance.eu_summary import NOT_SHOWN, PROVIDER, write_eu_summary
from curate.provenance.export_card import export_card
from curate.provenance.licensing import NOT_READ, PAGES_SKIPPED, licensing
from curate.stages.download import Download
from curate.stages.embedded import Embedded
from curate.store.dataset import Dataset
from curate.store.manifest import record_bytes


@pytest.fixture(scope="module")
def card(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("card")
    export_card(demo_dataset, to)
    return to


def told(card: Path) -> Any:
    return json.loads((card / "EU-SUMMARY.json").read_text())


def test_the_sections_are_those_of_the_template(card: Path) -> None:
    value = told(card)
    assert [name for name in value if name[:1].isdigit()] == [
        "1 General information", "2 List of data sources", "3 Data processing aspects",
    ]  # fmt: skip
    sources = value["2 List of data sources"]
    assert [name.split()[0] for name in sources] == ["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]
    assert [name.split()[0] for name in value["3 Data processing aspects"]] == ["3.1", "3.2", "3.3"]
    text = (card / "EU-SUMMARY.md").read_text()
    for name in (*sources, *value["1 General information"]):
        assert f"### {name}" in text
    assert value["1 General information"]["1.1 Provider identification"] == PROVIDER
    assert sources["2.4 User data"] == NOT_SHOWN


def test_figures_are_those_of_the_dataset(card: Path, demo_dataset: Path) -> None:
    manifest, value = Dataset.open(demo_dataset).manifest, told(card)
    image = value["1 General information"]["1.3 Modalities, size and other characteristics"][
        "image"
    ]
    assert image["size"] == "Less than 1 million images"
    assert image["pictures"] == manifest.counts.kept
    crawl = value["2 List of data sources"]["2.3 Data crawled and scraped from online sources"]
    assert crawl["pictures"] == manifest.counts.kept and crawl["crawler name"] == "curate"
    assert (
        crawl["period"]["from"]
        == crawl["period"]["first fetch"][5:7] + "/" + crawl["period"]["first fetch"][:4]
    )
    assert crawl["period"]["first fetch"] <= crawl["period"]["last fetch"]
    kept_out = value["3 Data processing aspects"]["3.1 Respect of reservation of rights"]
    reserved = {r: n for r, n in manifest.counts.rejected.items() if r.startswith("reservation")}
    assert reserved and reserved.items() <= kept_out["rows kept out, by reservation"].items()
    looked = kept_out["looked at and honoured"]
    assert {ROBOTS, WELL_KNOWN, FIELDS, PAGES, FILES} == set(looked)
    assert list(looked[ROBOTS]) == ["robots_txt"]
    assert list(looked[WELL_KNOWN]) == ["tdm_reservation"]
    assert looked[FIELDS] == looked[PAGES] and {"noai", "tdm_reservation"} <= set(looked[PAGES])
    assert looked[FILES]["tdm_reservation"] != looked[PAGES]["tdm_reservation"]
    assert kept_out["ignored by the recipe"] == "nothing"
    assert manifest.dataset_digest in value["covers"]
    with (card / "EU-SUMMARY-hosts.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["pictures"]) for row in rows] == [manifest.counts.kept]
    assert [row["host"] for row in rows] == ["pictures.example"]


@pytest.mark.parametrize(
    ("download", "places"),
    [
        ({}, {ROBOTS, WELL_KNOWN, FIELDS, PAGES}),
        ({"landing_pages": "skip"}, {ROBOTS, WELL_KNOWN, FIELDS}),
        ({"honour_reservations": ("noai",)}, {FIELDS, PAGES}),
        ({"honour_reservations": ("robots_txt",)}, {ROBOTS}),
        ({"honour_reservations": ()}, set()),
    ],
)
def test_only_places_that_a_recipe_looks_at_are_told(
    download: dict[str, Any], places: set[str]
) -> None:
    stage = Download(contact="me@curate.example", **download).model_dump(mode="json")
    told = honoured({"passes": [{"stages": [stage]}]})
    assert set(told) == places
    if not download.get("landing_pages"):
        assert not any("meta" in str(signals) for place, signals in told.items() if place != PAGES)
    stage.pop("landing_pages")  # as a record of before has it
    assert PAGES not in honoured({"passes": [{"stages": [stage]}]})
    assert set(honoured({"passes": [{"stages": [Embedded().model_dump(mode="json")]}]})) == {FILES}


def test_what_a_recipe_does_not_look_at_is_told_as_ignored(demo_copy: Path, tmp_path: Path) -> None:
    record = json.loads((demo_copy / "record.json").read_text())
    step = record["recipe"]["passes"][0]
    step["stages"] = [stage for stage in step["stages"] if stage["kind"] != "embedded"]
    next(s for s in step["stages"] if s["kind"] == "download")["landing_pages"] = "skip"
    (demo_copy / "record.json").write_bytes(record_bytes(record))
    dataset = Dataset.open(demo_copy)
    value = write_eu_summary(dataset, licensing(dataset), tmp_path)
    said = value["3 Data processing aspects"]["3.1 Respect of reservation of rights"]
    assert said["ignored by the recipe"] == [PAGES_SKIPPED, NOT_READ]
    assert {PAGES, FILES}.isdisjoint(said["looked at and honoured"])
    crawl = value["2 List of data sources"]["2.3 Data crawled and scraped from online sources"]
    assert not any("landing page" in line for line in crawl["behaviour"])
    text = (tmp_path / "EU-SUMMARY.md").read_text().replace("\\", "")
    assert PAGES_SKIPPED in text and "meta element" not in text


def test_the_same_is_said_twice(card: Path) -> None:
    """Every number and text of the JSON stands in the Markdown."""
    text = (card / "EU-SUMMARY.md").read_text().replace("\\", "")

    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in leaves(inner)]
        return (
            [leaf for inner in value for leaf in leaves(inner)]
            if isinstance(value, list)
            else [value]
        )

    for leaf in leaves({k: v for k, v in told(card).items() if k != "format"}):
        assert (f"{leaf:,}" if isinstance(leaf, int) else " ".join(str(leaf).split())) in text


@pytest.mark.parametrize(
    ("hosts", "tenth", "twentieth"),
    [(0, 0, 0), (1, 1, 1), (10, 1, 1), (11, 2, 1), (100, 10, 5), (30_000, 3000, 1000)],
)
def test_how_many_hosts_are_named(hosts: int, tenth: int, twentieth: int) -> None:
    rows = [{"host": f"h{n}.example", "bytes": hosts - n, "pictures": 1} for n in range(hosts)]
    seen = Evidence(hosts=pa.Table.from_pylist(rows, schema=HOSTS))
    assert len(seen.top_hosts(small_provider=False)) == tenth
    small = seen.top_hosts(small_provider=True)
    assert len(small) == twentieth and small == rows[:twentieth]


def test_hosts_are_added_up_over_shards_by_bytes(demo_dataset: Path) -> None:
    dataset = Dataset.open(demo_dataset)
    seen = gather(dataset)
    sizes = [t["original_bytes"].to_pylist() for t in dataset.kept("images", ["original_bytes"])]
    assert seen.hosts["bytes"].to_pylist() == [sum(map(sum, sizes))]
    assert len(dataset.layer("images").shards) > 1
    assert sum(seen.languages.values()) == seen.pictures
