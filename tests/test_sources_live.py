"""Paging through an API, once and politely, into a snapshot that candidates come from alone.

The answers have the shape that the APIs document; they were written for these tests, and no real
API was asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from api_server import Answer, ApiServer, serving
from pydantic import ValidationError
from source_fixtures import ROOT, candidates, expected

from curate.engine import run_inline
from curate.errors import FetchError, MissingInput, RecipeError
from curate.recipe import Recipe, recipe_from
from curate.sources import openverse, wikimedia
from curate.sources.openverse import Openverse
from curate.sources.paging import Snapshot
from curate.sources.wikimedia import Wikimedia
from curate.store.dataset import Dataset

Script = Callable[[dict[str, str], int], Answer]


def objects(kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / kind / "objects.jsonl").read_text().splitlines()]


def answer(value: object, **more: Any) -> Answer:
    return Answer(json.dumps(value).encode(), **more)


def openverse_page(number: int) -> dict[str, Any]:
    """Ten pictures a page; the total shrinks by one before the last page."""
    rows = objects("openverse")
    told = {"result_count": 24 if number < 3 else 23, "page_count": 3, "page_size": 10}
    return told | {"page": number, "results": rows[10 * number - 10 : 10 * number]}


def openverse_api(query: dict[str, str], times: int) -> Answer:
    return answer(openverse_page(int(query["page"])))


def openverse_source(server: ApiServer, path: Path, **more: Any) -> Openverse:
    given = {"query": {"q": "lighthouse"}, "contact": "test@example.org", "min_interval_seconds": 0}
    return Openverse(path=path, endpoint=f"{server.base}/v1/images/", **(given | more))


def wikimedia_api(query: dict[str, str], times: int) -> Answer:
    """Two batches; the first one's details come in two answers, as the API splits large ones."""
    rows = objects("wikimedia")
    bare = [{name: row[name] for name in row if name != "imageinfo"} for row in rows]
    if "gcmcontinue" in query:
        return answer({"batchcomplete": True, "query": {"pages": rows[12:]}})
    if "iistart" in query:
        more = {"gcmcontinue": "file|48|712", "continue": "gcmcontinue||"}
        pages = bare[:7] + rows[7:12]
        return answer({"batchcomplete": True, "continue": more, "query": {"pages": pages}})
    more = {"iistart": "2021-06-01T10:00:00Z", "continue": "||"}
    return answer({"continue": more, "query": {"pages": rows[:7] + bare[7:12]}})


def wikimedia_source(server: ApiServer, path: Path, **more: Any) -> Wikimedia:
    given = {"query": {"category": "Lighthouses"}, "contact": "test@example.org",
             "min_interval_seconds": 0}  # fmt: skip
    return Wikimedia(path=path, endpoint=f"{server.base}/w/api.php", **(given | more))


def test_openverse_is_paged_once_and_each_claim_names_the_page_that_held_it(
    tmp_path: Path,
) -> None:
    with serving(openverse_api) as server:
        source = openverse_source(server, tmp_path / "s")
        inputs = source.inputs()
        rows = candidates(source).to_pylist()
        again = source.inputs()
    assert [one.query["page"] for one in server.asked] == ["1", "2", "3"], "and never again"
    assert server.asked[0].query == {
        "q": "lighthouse",
        "page_size": "20",
        "mature": "false",
        "page": "1",
    }
    assert {one.user_agent.split(" ", 1)[1] for one in server.asked} == {"(+test@example.org)"}
    assert server.most_at_once == 1
    assert inputs == again and [one.name for one in inputs] == ["DONE.json", "pages"]
    assert len(rows) == 24
    claim = rows[11]["claims"][0]
    [page] = [p for p in source.snapshot().pages() if p.number == 2]
    assert (claim["level"], claim["kind"]) == (3, "openverse_pair"), "a mirror's"
    assert claim["claimed_by"].endswith(f"as 127.0.0.1:{server.port} hands it on")
    assert claim["final_url"] == page.final_url == f"{server.base}/v1/images/?{_query(2)}"
    assert claim["response_sha256"] == page.sha256
    assert claim["retrieved_at"] == page.retrieved_at
    assert claim["http_status"] == 200
    assert claim["locator"].startswith("https://api.openverse.org/v1/images/")


def _query(page: int) -> str:
    return f"q=lighthouse&mature=false&page_size=20&page={page}"


def test_the_same_rows_come_from_the_api_and_from_a_file_of_its_objects(tmp_path: Path) -> None:
    with serving(openverse_api) as server:
        live = candidates(openverse_source(server, tmp_path / "a")).sort_by("key")
    with serving(wikimedia_api) as server:
        pages = candidates(wikimedia_source(server, tmp_path / "b")).to_pylist()
    copied = candidates(Openverse(path=ROOT / "openverse")).sort_by("key")
    assert live.drop_columns("claims").equals(copied.drop_columns("claims"))
    assert _values(live) == _values(copied), "a picture on two pages has its claim from both"
    files = candidates(Wikimedia(path=ROOT / "wikimedia")).to_pylist()
    assert sorted(row["key"] for row in pages) == sorted(row["key"] for row in files)
    levels = {claim["level"] for row in pages for claim in row["claims"]}
    assert levels == {4}, "the page is kept, and it is a mirror's"
    assert {claim["level"] for row in files for claim in row["claims"]} == {4}, "a copy"


def _values(table: pa.Table) -> list[set[str]]:
    return [{claim["value"] for claim in row} for row in table["claims"].to_pylist()]


def test_wikimedia_follows_continue_and_shows_each_file_once(tmp_path: Path) -> None:
    with serving(wikimedia_api) as server:
        rows = candidates(wikimedia_source(server, tmp_path / "s")).to_pylist()
    assert sorted(row["source_id"] for row in rows) == [str(700 + n) for n in range(25)]
    assert rows[-1]["source_id"] == "723", "named without details until its batch was complete"
    wanted = [line.verdict for line in expected("wikimedia")]
    assert {row["source_id"]: row["defect"] for row in rows} == {
        str(700 + n): verdict if verdict.startswith(("not_an", "malformed")) else None
        for n, verdict in enumerate(wanted)
    }
    assert [one.query.get("maxlag") for one in server.asked] == ["5"] * 3
    assert server.asked[0].query["gcmtitle"] == "Category:Lighthouses"
    assert server.asked[2].query["gcmcontinue"] == "file|48|712"
    assert server.asked[2].query["generator"] == "categorymembers"


def test_texts_of_commons_lose_their_html_and_keep_what_they_say(tmp_path: Path) -> None:
    rows = candidates(Wikimedia(path=ROOT / "wikimedia")).to_pylist()
    bridge, harbour = rows[0], rows[1]
    assert bridge["creator"] == "Maker 0"
    assert bridge["creator_url"] == "https://commons.wikimedia.org/wiki/User:Maker_0"
    assert [c["text"] for c in bridge["captions"]] == [
        "A picture called Stone bridge & nothing else"
    ]
    assert [c["text"] for c in harbour["captions"]] == [
        "Boats in a harbour",
        "Boote in einem Hafen",
    ]
    assert rows[18]["creator"] == "Example Museum, photographed by Maker 18"
    noted = [json.loads(rows[n]["claims"][0]["value"])["Restrictions"] for n in (13, 14)]
    assert noted == ["trademarked", "personality"]
    assert json.loads(rows[11]["claims"][0]["value"])["Copyrighted"] == "False"
    assert rows[23]["defect"] == "malformed:url" and rows[23]["claims"] == []


class Killed(BaseException):
    """Stands for a process that ends between two pages."""


def test_a_killed_paging_goes_on_at_the_next_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Snapshot.keep

    def dies(self: Snapshot, page: Any) -> None:
        keep(self, page)
        if page.number == 2:
            raise Killed

    with serving(openverse_api) as server:
        source = openverse_source(server, tmp_path / "s")
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Snapshot, "keep", dies)
            source.inputs()
        with pytest.raises(MissingInput, match="no closed snapshot"):
            list(Snapshot(tmp_path / "s", {}).pages())
        kept = (tmp_path / "s" / "page-000002.json").read_bytes()
        assert len(candidates(source)) == 24
    assert [one.query["page"] for one in server.asked] == ["1", "2", "3"]
    assert (tmp_path / "s" / "page-000002.json").read_bytes() == kept
    done = json.loads((tmp_path / "s" / "DONE.json").read_text())
    assert done == {"pages": 3, "ended": "the last page", "totals": [24, 23]}


def once(trouble: Answer, page: str = "2") -> Script:
    """The API, with one bad answer the first time that a page is asked for."""

    def script(query: dict[str, str], times: int) -> Answer:
        first = query["page"] == page and times == 1
        return trouble if first else openverse_api(query, times)

    return script


GOOD = json.dumps(openverse_page(2)).encode()
TROUBLE = {
    "500": Answer(b"oops", status=500),
    "429": Answer(b"slow down", status=429, headers={"Retry-After": "1"}),
    "503 without a time": Answer(b"", status=503),
    "cut off on the wire": Answer(GOOD, cut=len(GOOD) // 2),
    "half a body": Answer(GOOD[: len(GOOD) // 2], headers={"Retry-After": "0"}),
    "no object": Answer(b"[]", headers={"Retry-After": "0"}),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_busy_or_broken_server_is_asked_again(tmp_path: Path, trouble: str) -> None:
    with serving(once(TROUBLE[trouble])) as server:
        started = time.monotonic()
        rows = candidates(openverse_source(server, tmp_path / "s"))
        seconds = time.monotonic() - started
    assert [one.query["page"] for one in server.asked] == ["1", "2", "2", "3"]
    assert len(rows) == 24
    if trouble == "429":
        assert seconds >= 1.0, "Retry-After is waited for"


def test_maxlag_is_waited_out_and_other_errors_are_told(tmp_path: Path) -> None:
    lag = {"error": {"code": "maxlag", "info": "Waiting for a database server: 7 seconds lagged"}}

    def lagging(query: dict[str, str], times: int) -> Answer:
        if times == 1 and "gcmcontinue" in query:
            return answer(lag, headers={"Retry-After": "1"})
        return wikimedia_api(query, times)

    with serving(lagging) as server:
        assert len(candidates(wikimedia_source(server, tmp_path / "a"))) == 25
    assert len(server.asked) == 4
    bad = {"error": {"code": "invalidcategory", "info": "The category name is not valid"}}
    with (
        serving(lambda query, times: answer(bad)) as server,
        pytest.raises(FetchError, match="invalidcategory: The category name is not valid"),
    ):
        wikimedia_source(server, tmp_path / "b").inputs()
    assert len(server.asked) == 1


def test_an_api_that_refuses_is_an_error_that_names_page_and_status(tmp_path: Path) -> None:
    def refuses(query: dict[str, str], times: int) -> Answer:
        told = {"detail": "Authentication credentials were not provided."}
        return answer(told, status=401) if query["page"] == "3" else openverse_api(query, times)

    with serving(refuses) as server:
        with pytest.raises(
            FetchError, match=r"page 3 did not come: http:401 .*run the same recipe"
        ):
            openverse_source(server, tmp_path / "s").inputs()
        assert len(list((tmp_path / "s").glob("page-*.json"))) == 2
        assert not (tmp_path / "s" / "DONE.json").exists()


def test_the_interval_lies_between_two_requests_and_the_limit_is_kept(tmp_path: Path) -> None:
    with serving(openverse_api) as server:
        started = time.monotonic()
        source = openverse_source(server, tmp_path / "s", min_interval_seconds=0.3, pages=2)
        assert len(candidates(source)) == 20
        assert time.monotonic() - started >= 0.3
    assert len(server.asked) == 2
    done = json.loads((tmp_path / "s" / "DONE.json").read_text())
    assert done["ended"] == "the recipe's limit of pages"
    assert Openverse.INTERVAL_SECONDS >= 3 and Wikimedia.INTERVAL_SECONDS >= 1


def test_a_snapshot_belongs_to_one_query_and_notices_damage(tmp_path: Path) -> None:
    with serving(openverse_api) as server:
        source = openverse_source(server, tmp_path / "s")
        source.inputs()
        other = source.model_copy(update={"pages": 7})
        with pytest.raises(RecipeError, match="holds the pages of another query"):
            other.inputs()
    assert len(candidates(source)) == 24, "the server is gone and nobody misses it"
    before = source.inputs()
    path = tmp_path / "s" / "page-000002.json"
    path.write_text(path.read_text().replace("Maker 11", "Maker XX"))
    assert source.inputs() != before
    with pytest.raises(MissingInput, match=r"page-000002\.json is damaged"):
        candidates(source)


def test_a_query_that_gave_no_page_may_be_corrected(tmp_path: Path) -> None:
    def picky(query: dict[str, str], times: int) -> Answer:
        if query["q"] == "lighthouse":
            return openverse_api(query, times)
        return answer({"error": "InputError", "detail": "no"}, status=400)

    with serving(picky) as server:
        with pytest.raises(FetchError, match="page 1 did not come: http:400"):
            openverse_source(server, tmp_path / "s", query={"q": "lighthoose"}).inputs()
        assert len(candidates(openverse_source(server, tmp_path / "s"))) == 24


def test_a_run_keeps_the_evidence_and_its_repetition_asks_nothing(tmp_path: Path) -> None:
    with serving(wikimedia_api) as server:
        recipe = live_recipe(server, tmp_path / "s")
        run_inline(recipe, tmp_path / "one")
    asked = len(server.asked)
    run_inline(recipe, tmp_path / "one")
    run_inline(recipe, tmp_path / "two")
    one, two = Dataset.open(tmp_path / "one"), Dataset.open(tmp_path / "two")
    assert one.manifest.dataset_digest == two.manifest.dataset_digest
    assert len(server.asked) == asked == 3
    rows = [row for table in one.kept("images") for row in table.to_pylist()]
    wanted = [line.verdict for line in expected("wikimedia")]
    assert len(rows) == sum(verdict.startswith("kept") for verdict in wanted)
    pages = {page.sha256: page for page in Snapshot(tmp_path / "s", {}).pages()}
    for row in rows:
        [claim] = row["claims"]
        page = pages[claim["response_sha256"]]
        assert (claim["final_url"], claim["http_status"]) == (page.final_url, 200)
        assert row["evidence_level"] == 4
        assert wikimedia.claim_from_response(page.body, row["source_id"]) == claim["value"]


def live_recipe(server: ApiServer, path: Path) -> Recipe:
    source = {"kind": "wikimedia", "path": str(path), "query": {"category": "Lighthouses"},
              "contact": "test@example.org", "min_interval_seconds": 0,
              "endpoint": f"{server.base}/w/api.php"}  # fmt: skip
    stages = [{"kind": "license", "policy": "sharealike"}, {"kind": "captions"}]
    passes = [{"layer": "images", "stages": stages}]
    value = {"name": "live", "source": source, "shard_rows": 64, "passes": passes}
    return recipe_from(value, origin="test")


def test_where_the_snapshot_lies_and_who_asks_is_no_part_of_what_the_data_is(
    tmp_path: Path,
) -> None:
    one = Openverse(path=tmp_path / "a", query={"q": "x"}, contact="a@example.org")
    two = Openverse(path=tmp_path / "b", query={"q": "x"}, contact="b@example.org",
                    min_interval_seconds=9)  # fmt: skip
    assert one.identity() == two.identity()
    assert one.identity() != one.model_copy(update={"pages": 3}).identity()
    asks = Openverse(path=tmp_path / "a", query={"q": "y"}, contact="a@example.org")
    assert one.identity() != asks.identity()


def test_a_query_needs_a_contact_and_something_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="`query` needs `contact`"):
        Openverse(path=tmp_path, query={"q": "lighthouse"})
    with pytest.raises(ValidationError, match="ask for something"):
        Openverse(path=tmp_path, query={"license": ["cc0"]}, contact="a@example.org")
    for query in ({}, {"category": "A", "search": "b"}):
        with pytest.raises(ValidationError, match="`category` or for a `search`"):
            Wikimedia(path=tmp_path, query=query, contact="a@example.org")


def test_without_a_query_nothing_is_asked(tmp_path: Path) -> None:
    with serving(openverse_api) as server:
        source = Openverse(path=ROOT / "openverse", endpoint=f"{server.base}/v1/images/")
        source.inputs()
        candidates(source)
    assert server.asked == []


def test_a_claim_is_found_again_in_an_answer() -> None:
    rows = candidates(Openverse(path=ROOT / "openverse")).to_pylist()
    page = json.dumps(openverse_page(1)).encode()
    detail = json.dumps(objects("openverse")[2]).encode()
    for body in (page, detail):
        found = openverse.claim_from_response(body, rows[2]["source_id"])
        assert found == rows[2]["claims"][0]["value"]
    assert openverse.claim_from_response(page, "nobody") is None
    assert openverse.claim_from_response(page, rows[13]["source_id"]) is None
    files = candidates(Wikimedia(path=ROOT / "wikimedia")).to_pylist()
    listed = {"query": {"pages": objects("wikimedia")}}
    by_id = {"query": {"pages": {str(row["pageid"]): row for row in objects("wikimedia")}}}
    for body in (listed, by_id):
        value = wikimedia.claim_from_response(json.dumps(body).encode(), "706")
        assert value == files[6]["claims"][0]["value"]
    for broken in (b"", b"{", b"[]", b"null", b'{"query": 3}', b'{"query": {"pages": [1]}}'):
        assert wikimedia.claim_from_response(broken, "706") is None
        assert openverse.claim_from_response(broken, "706") is None
