"""Which rung a claim may stand on: the publisher's own places, honest dates, answers that came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from source_fixtures import PD12M, PIPELINES, ROOT, candidates, dumped

from curate.errors import RecipeError
from curate.recipe import load_recipe
from curate.sources import (
    CommonCatalog,
    Flickr,
    Inaturalist,
    Openverse,
    Pd12m,
    Wikimedia,
    Yfcc100m,
)
from curate.sources.adapter import Adapter
from curate.sources.assemble import ClaimColumn, ColumnMap, EvidenceColumns, Layout, assemble
from curate.sources.read import RawBatch


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/datasets/Spawning/PD12M",
        "https://localhost/datasets/Spawning/PD12M",
        "http://huggingface.co/datasets/Spawning/PD12M",
        "https://huggingface.co:8443/datasets/Spawning/PD12M",
        "https://huggingface.co@evil.example/datasets/Spawning/PD12M",
        "https://huggingface.co.evil.example/datasets/Spawning/PD12M",
        "https://huggingface.co/datasets/evil/PD12M",
        "https://huggingface.co/datasets/Spawning/../evil/PD12M",
        "https://huggingface.co/datasets/Spawning/%2e%2e/evil/PD12M",
        "https://huggingface.co/datasets/SpawningOfEvil/PD12M",
        "https://evil.example/#huggingface.co/datasets/Spawning/",
    ],
)
def test_a_dump_from_anybody_else_keeps_its_evidence_and_stays_a_copy(
    url: str, tmp_path: Path
) -> None:
    source = CommonCatalog(path=ROOT / "commoncatalog")
    claims = candidates(dumped(source, url=url)).to_pylist()[0]["claims"]
    assert {claim["level"] for claim in claims} == {3}
    assert {claim["final_url"] for claim in claims} == {url}
    assert all(claim["claimed_by"].endswith("hands it on") for claim in claims)
    pd12m = Pd12m(path=ROOT / "pd12m")
    assert candidates(dumped(pd12m, url=url)).to_pylist()[1]["claims"][0]["level"] == 3


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (CommonCatalog, "https://huggingface.co/datasets/common-canvas/commoncatalog-cc-by"),
        (Inaturalist, "https://inaturalist-open-data.s3.amazonaws.com/metadata/a.tar.gz"),
        (Inaturalist, "https://s3.amazonaws.com/inaturalist-open-data/metadata/a.tar.gz"),
        (Yfcc100m, "https://multimedia-commons.s3-us-west-2.amazonaws.com/tools/a"),
        (Flickr, "https://api.flickr.com/services/rest/"),
        (Wikimedia, "https://dumps.wikimedia.org/other/a"),
        (Openverse, "https://api.openverse.org/v1/images/"),
    ],
)
def test_every_publisher_has_a_place_of_its_own(source: type[Adapter], url: str) -> None:
    kind = source.model_fields["kind"].default
    copied = source(path=ROOT / kind)
    top = max(claim.level for claim in source.CLAIMS)
    for given, level in ((url, top), (url.replace("https://", "https://a."), top - 1)):
        claims = dumped(copied, url=given).layout().licenses
        assert {claim.level for claim in claims} == {level}, given


def test_a_date_that_is_still_to_come_or_no_date_is_a_mistake(tmp_path: Path) -> None:
    for day in ("2999-01-01", "31.1.2025", "2025-13-01", ""):
        more = ["source.path=x.parquet"]
        dump = f"source.dump={{url: '{PD12M}', date: '{day}', sha256: '{'a' * 64}'}}"
        with pytest.raises(RecipeError, match="date"):
            load_recipe(PIPELINES / "pd12m.yaml", overrides=[*more, dump])
    with pytest.raises(RecipeError, match="still to come"):
        load_recipe(PIPELINES / "table.yaml", overrides=["source.retrieved_at=2999-01-01"])


def test_only_the_publishers_own_host_gives_the_publishers_rung(tmp_path: Path) -> None:
    asks = {"path": tmp_path, "query": {"q": "x"}, "contact": "a@example.org"}
    for endpoint, level in (
        (None, 4),
        ("https://api.openverse.org/v1/images/", 4),
        ("http://api.openverse.org/v1/images/", 3),
        ("https://api.openverse.org.evil.example/v1/images/", 3),
        ("https://127.0.0.1/v1/images/", 3),
    ):
        [claim] = Openverse(endpoint=endpoint, **asks).layout().licenses
        assert claim.level == level, endpoint
        assert ("hands it on" in (claim.claimed_by or "")) == (level == 3)
    asks |= {"query": {"category": "x"}}
    assert Wikimedia(**asks).layout().licenses[0].level == 5
    assert Wikimedia(endpoint="https://wiki.example/api", **asks).layout().licenses[0].level == 4


CC = "https://creativecommons.org/licenses/by/4.0/"
NO_EVIDENCE = {
    "http_status": [404, 500, 301, "200 OK", 9999, 0, -200, "abc", "2e2"],
    "retrieved_at": ["yesterday", "2999-01-01", "31.12.2024", 5, "2024-13-01T00:00:00Z", ["2024"]],
    "response_sha256": ["nothex", "a" * 63, "a" * 65, "g" * 64, {"a": 1}],
    "final_url": ["javascript:1", "u", "https://", "ftp://a.example/", "data:,", "https://a b/"],
}
EVIDENCE = {
    "http_status": [200, "200", 206.0, None, ""],
    "retrieved_at": ["2024-01-01", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00.123+02:00", None],
    "response_sha256": ["a" * 64, "AB" * 32, None],
    "final_url": ["https://a.example", "http://a.example:8080/?q=1#x", "HTTPS://a.example/", None],
}


def one_claim(name: str, values: list[Any]) -> list[dict[str, Any]]:
    layout = Layout(
        source="t", columns=ColumnMap(id="id", url="url"),
        licenses=(
            ClaimColumn(column="license", kind="url", level=5,
                        evidence=EvidenceColumns.model_validate({name: "told"})),
            ClaimColumn(column="other", kind="url", level=2),
        ),
    )  # fmt: skip
    count = len(values)
    columns: dict[str, Any] = {"id": list(map(str, range(count))), "told": values}
    columns |= {"url": ["https://x.org/1"] * count, "license": [CC] * count, "other": [CC] * count}
    return assemble(RawBatch(count, columns), layout).to_pylist()


@pytest.mark.parametrize("name", NO_EVIDENCE)
def test_a_claim_without_an_answer_that_held_it_is_none(name: str) -> None:
    for row, value in zip(one_claim(name, NO_EVIDENCE[name]), NO_EVIDENCE[name], strict=True):
        assert row["defect"] == "malformed:evidence", value
        assert [claim["level"] for claim in row["claims"]] == [0, 2], value
    statuses = [row["claims"][0]["http_status"] for row in one_claim("http_status", [404, 9999])]
    assert statuses == [404, None], "what was answered stays to be read"


@pytest.mark.parametrize("name", EVIDENCE)
def test_evidence_that_fits_is_kept_as_it_is(name: str) -> None:
    rows = one_claim(name, EVIDENCE[name])
    assert [row["defect"] for row in rows] == [None] * len(rows)
    assert {row["claims"][0]["level"] for row in rows} == {5}


def test_evidence_of_a_claim_that_nobody_makes_harms_no_other() -> None:
    layout = Layout(
        source="t", columns=ColumnMap(url="url"),
        licenses=(
            ClaimColumn(column="a", kind="url", level=5,
                        evidence=EvidenceColumns(http_status="status")),
            ClaimColumn(column="b", kind="url", level=4),
        ),
    )  # fmt: skip
    columns: dict[str, Any] = {"url": ["https://x.org/1"], "a": [None], "b": [CC], "status": [404]}
    [row] = assemble(RawBatch(1, columns), layout).to_pylist()
    assert row["defect"] is None and [claim["level"] for claim in row["claims"]] == [4]
