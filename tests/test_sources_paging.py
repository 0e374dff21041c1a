"""What an API may not do to a snapshot: send it elsewhere, or round in a circle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from api_server import Answer, serving
from source_fixtures import candidates
from test_sources_live import answer, objects, openverse_api, openverse_source, wikimedia_source

from curate.errors import FetchError


def test_a_page_of_another_host_than_the_one_asked_is_refused(tmp_path: Path) -> None:
    with serving(openverse_api) as mirror:
        moved = Answer(b"", status=302, headers={"Location": f"{mirror.base}/v1/images/?page=1"})
        with (
            serving(lambda query, times: moved) as server,
            pytest.raises(FetchError, match="page 1 did not come: it came from another host"),
        ):
            openverse_source(server, tmp_path / "s").inputs()
    assert not list((tmp_path / "s").glob("page-*.json"))


def test_an_api_that_goes_in_a_circle_is_left_and_the_snapshot_says_so(tmp_path: Path) -> None:
    def circling(query: dict[str, str], times: int) -> Answer:
        more = {"gcmcontinue": "same", "continue": "gcmcontinue||"}
        pages = objects("wikimedia")[:2]
        return answer({"batchcomplete": True, "continue": more, "query": {"pages": pages}})

    with serving(circling) as server:
        source = wikimedia_source(server, tmp_path / "s")
        rows = candidates(source).to_pylist()
    assert len(server.asked) == 2, "the first page, and the one that it names"
    done = json.loads((tmp_path / "s" / "DONE.json").read_text())
    assert (done["pages"], "given already" in done["ended"]) == (2, True)
    assert {row["source_id"] for row in rows} == {"700", "701"}
