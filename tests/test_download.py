"""The stages `download` (with the real img2dataset behind the gateway) and `read_file`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from loopback import HOST, PICTURE, Server, serve
from pydantic import ValidationError

from curate import columns as c
from curate.errors import FetchError, MissingInput
from curate.license.reservations import SIGNALS
from curate.provenance.licensing import exceptions
from curate.stage import Transform, apply
from curate.stages.download import Download
from curate.stages.embedded import Embedded
from curate.stages.read_file import ReadFile


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def stage() -> Download:
    return Download(
        contact="https://curate.example/contact", allow_private_hosts=(HOST,), retries=1,
        timeout_seconds=0.8, threads=16, requests_per_second_per_host=None, max_bytes=100_000,
    )  # fmt: skip


@pytest.fixture(scope="module")
def transform(stage: Download, server: Server) -> Iterator[Transform]:
    os.environ["CURATE_CONNECT_TO"] = json.dumps({HOST: server.here})
    try:
        opened = stage.open()
    finally:
        del os.environ["CURATE_CONNECT_TO"]
    yield opened
    opened.close()  # type: ignore[attr-defined]


def candidates(urls: list[str | None], landing_pages: list[str] | None = None) -> pa.Table:
    keys = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(len(urls))]
    pages = landing_pages or pa.nulls(len(urls), pa.string())
    return pa.table([keys, urls, pages], schema=pa.schema([c.KEY, c.URL, c.LANDING_URL]))


WHAT_HAPPENS: list[tuple[str | None, str | None, str | None, bool | None]] = [
    (f"http://{HOST}/first", None, None, None),
    (f"http://{HOST}/status-404", "failed", "http:404", False),
    (f"http://{HOST}/status-500", "failed", "http:500", True),
    (f"http://{HOST}/silent", "failed", "timeout", True),
    (f"http://{HOST}/cut", "failed", "connection", True),
    (f"http://{HOST}/noai?noai,%20nofollow", "rejected", "reservation:x-robots-tag", False),
    (f"http://{HOST}/endless", "rejected", "too_large:bytes", False),
    ("http://127.0.0.1:1/", "failed", "blocked:address", False),
    (f"http://{HOST}/redirect-?to=http://169.254.169.254/", "failed", "blocked:address", False),
    ("file:///etc/passwd", "failed", "blocked:scheme", False),
    (None, "rejected", "malformed:url", False),
    ("not a url", "rejected", "malformed:url", False),
    ("http://" + "x" * 9000, "rejected", "malformed:url", False),
    (f"http://{HOST}/first", None, None, None),
    (f"http://{HOST}/flaky", None, None, None),
]


def test_every_row_gets_a_body_or_a_reason(stage: Download, transform: Transform) -> None:
    table = candidates([url for url, *_ in WHAT_HAPPENS])
    done = apply(stage, table, transform)
    marks = zip(*(done[n].to_pylist() for n in ("verdict", "reason", "retryable")), strict=True)
    assert list(marks) == [tuple(rest) for _, *rest in WHAT_HAPPENS]
    assert done["key"].equals(table["key"])
    assert [b is not None for b in done["body"].to_pylist()] == [
        v is None for _, v, *_ in WHAT_HAPPENS
    ]
    first, again = done["body"][0].as_py(), done["body"][13].as_py()
    assert first == again == PICTURE + b"/first"
    assert done["original_sha256"][0].as_py() == hashlib.sha256(first).hexdigest()
    assert done["original_bytes"].to_pylist()[:2] == [len(first), None]


def test_what_was_observed_stands_beside_the_data(stage: Download, transform: Transform) -> None:
    done = apply(
        stage, candidates([f"http://{HOST}/x", f"http://{HOST}/status-404", None]), transform
    )
    assert done["http_status"].to_pylist() == [200, 404, None]
    assert done["final_url"].to_pylist() == [f"http://{HOST}/x", f"http://{HOST}/status-404", None]
    assert done["fetch_attempts"].to_pylist() == [1, 1, None]
    assert all(seconds > 0 for seconds in done["fetch_seconds"].to_pylist()[:2])
    assert ["Content-Length", "10"] in json.loads(done["response_headers"][1].as_py())
    for field in (c.OBSERVED_AT, c.HTTP_STATUS, c.FINAL_URL, c.RESPONSE_HEADERS):
        assert c.role_of(done.schema.field(field.name)) == "observation"


def test_the_reserving_header_is_kept(stage: Download, transform: Transform) -> None:
    done = apply(stage, candidates([f"http://{HOST}/noai?noimageai"]), transform)
    assert done["measured_text"].to_pylist() == ["noimageai"]


def test_two_runs_agree_on_all_that_is_not_observation(
    stage: Download, transform: Transform
) -> None:
    table = candidates([url for url, *_ in WHAT_HAPPENS if url is None or "flaky" not in url])
    one, two = (apply(stage, table, transform) for _ in range(2))
    facts = [f.name for f in one.schema if c.role_of(f) != "observation"]
    assert one.select(facts).equals(two.select(facts))


def test_rows_marked_before_are_not_fetched(
    stage: Download, transform: Transform, server: Server
) -> None:
    table = candidates([f"http://{HOST}/unwanted", f"http://{HOST}/wanted"])
    for field in c.MARKS:
        values = {"verdict": ["rejected", None], "reason": ["license", None]}.get(field.name)
        table = table.append_column(field, pa.array(values or [None, None], field.type))
    done = apply(stage, table, transform)
    assert done["body"].to_pylist() == [None, PICTURE + b"/wanted"]
    assert not server.asked["/unwanted"]


def test_rows_of_one_picture_are_judged_by_their_own_landing_pages(
    stage: Download, transform: Transform, server: Server
) -> None:
    html = {"Content-Type": "text/html"}
    server.files["/page/free"] = ("200 OK", b"<p>take it</p>", html)
    server.files["/page/not"] = ("200 OK", b"<meta name=robots content=noimageai>", html)
    pages = [f"http://{HOST}/page/{name}" for name in ("free", "not", "free")]
    done = apply(stage, candidates([f"http://{HOST}/shared"] * 3, pages), transform)
    reasons = [None, "reservation:landing_page", None]
    assert done["reason"].to_pylist() == reasons
    assert done["measured_text"][1].as_py() == "noimageai"
    assert server.asked["/shared"] == server.asked["/page/free"] == 1
    told = [json.loads(looks) for looks in done["reservations"].to_pylist()]
    assert [looks[2]["answer"] for looks in told] == ["not reserved", "noimageai", "not reserved"]


def test_every_request_says_who_asks(stage: Download, transform: Transform, server: Server) -> None:
    apply(stage, candidates([f"http://{HOST}/who"]), transform)
    agent = next(r.headers["user-agent"] for r in server.requests if r.path == "/who")
    assert agent.startswith("curate/") and agent.endswith("(+https://curate.example/contact)")


def test_the_fingerprint_covers_what_changes_the_result_only() -> None:
    base = Download(contact="me@curate.example")
    for same in ({"threads": 4}, {"requests_per_second_per_host": 1.0}, {"contact": "you@there"}):
        assert base.model_copy(update=same).identity() == base.identity()
    for other in ({"max_bytes": 1}, {"retries": 0}, {"allow_private_hosts": ("h",)}):
        assert base.model_copy(update=other).identity() != base.identity()


@pytest.mark.parametrize("contact", ["", "a\r\nX-Evil: 1", "ü@example.org"])
def test_a_contact_must_fit_a_header(contact: str) -> None:
    with pytest.raises(ValidationError, match="contact"):
        Download(contact=contact)


def test_a_misspelt_reservation_is_an_error_not_a_hole() -> None:
    with pytest.raises(ValidationError, match="noia"):
        Download(contact="me@curate.example", honour_reservations=("noia",))
    chosen = Download(contact="me@curate.example", honour_reservations=("NoAI", "noai"))
    assert chosen.honour_reservations == ("noai",)


def test_every_signal_has_a_name_a_meaning_and_is_on() -> None:
    assert Download(contact="me@curate.example").honour_reservations == tuple(sorted(SIGNALS))
    assert {"robots_txt", "tdm_reservation", "noai", "unavailable_after"} <= set(SIGNALS)
    assert all(SIGNALS.values())


def test_what_is_left_out_is_in_the_fingerprint_and_in_the_outputs() -> None:
    def recipe(**changes: Any) -> dict[str, Any]:
        stages = [Download(contact="me@curate.example", **changes), Embedded()]
        return {"passes": [{"stages": [stage.model_dump(mode="json") for stage in stages]}]}

    assert exceptions(recipe()) == ()
    fewer = tuple(set(SIGNALS) - {"robots_txt", "noml"})
    assert exceptions(recipe(honour_reservations=fewer)) == (
        "honour_reservations: without noml, robots_txt",
    )
    assert "403" in exceptions(recipe(no_file_statuses=(403, 404)))[0]
    assert exceptions(recipe(landing_pages="skip")) == (
        "landing_pages: skip (pages were not asked what they reserve)",
    )
    base = Download(contact="me@curate.example").identity()
    for changes in ({"honour_reservations": fewer}, {"no_file_statuses": (403,)},
                    {"landing_pages": "skip"}):  # fmt: skip
        assert Download(contact="me@curate.example", **changes).identity() != base


@pytest.mark.parametrize("status", [200, 302, 408, 425, 429, 500, 503])
def test_an_error_cannot_be_declared_the_absence_of_a_file(status: int) -> None:
    with pytest.raises(ValidationError, match="no file"):
        Download(contact="me@curate.example", no_file_statuses=(404, status))


@pytest.mark.parametrize("value", ["{", "[]", '{"a": 1}', '{"a": "elsewhere:80"}'])
def test_a_bad_host_map_says_so(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_CONNECT_TO", value)
    with pytest.raises(FetchError, match=r"(?i)connect_to"):
        Download(contact="me@curate.example").open()


# --- read_file ----------------------------------------------------------------------------------
def test_files_are_read_from_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "a.png").write_bytes(PICTURE)
    (root / "big.png").write_bytes(bytes(20_000))
    (tmp_path / "outside.png").write_bytes(b"secret")
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "inner.png").symlink_to(root / "deep" / "a.png")
    (root / "round.png").symlink_to(root / "round.png")
    os.mkfifo(root / "pipe.png")
    expected: list[tuple[str | None, str | None, str | None]] = [
        ("deep/a.png", None, None),
        ("inner.png", None, None),
        ("none.png", "failed", "missing_file"),
        ("deep/a.png/b", "failed", "missing_file"),
        ("deep", "failed", "missing_file:not_a_file"),
        ("pipe.png", "failed", "missing_file:not_a_file"),
        ("x" * 300, "failed", "missing_file:unreadable"),
        ("round.png", "failed", "missing_file"),
        ("big.png", "rejected", "too_large:bytes"),
        ("../outside.png", "rejected", "malformed:path"),
        ("deep/../../outside.png", "rejected", "malformed:path"),
        (str(tmp_path / "outside.png"), "rejected", "malformed:path"),
        ("link.png", "rejected", "malformed:path"),
        ("a\x00b", "rejected", "malformed:path"),
        ("", "rejected", "malformed:path"),
        (None, "rejected", "malformed:path"),
    ]
    keys = [f"{i:064d}" for i in range(len(expected))]
    table = pa.table([keys, [p for p, *_ in expected]], schema=pa.schema([c.KEY, c.PATH]))
    done = apply(ReadFile(root=str(root), max_bytes=15_000), table)
    marks = zip(done["verdict"].to_pylist(), done["reason"].to_pylist(), strict=True)
    assert list(marks) == [tuple(rest) for _, *rest in expected]
    assert done["body"].to_pylist()[:3] == [PICTURE, PICTURE, None]
    assert done["original_sha256"][0].as_py() == hashlib.sha256(PICTURE).hexdigest()
    assert done["original_bytes"].to_pylist()[:3] == [len(PICTURE), len(PICTURE), None]


def test_the_root_is_a_location_and_must_be_there(tmp_path: Path) -> None:
    assert ReadFile(root="a").identity() == ReadFile(root="b").identity()
    with pytest.raises(MissingInput, match="not a directory"):
        ReadFile(root=str(tmp_path / "nowhere")).open()
