"""One guarded fetch against a real loopback server with every bad manner."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from loopback import HOST, PICTURE, Server, serve

from curate.fetch.guard import Lookup
from curate.fetch.outcome import FetchSettings, Outcome
from curate.fetch.web import Web
from curate.license.reservations import x_robots_tag


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.asked.clear()
    running.requests.clear()
    running.sent_bytes = running.most_at_once = 0
    return running


async def no_names(host: str, port: int) -> Sequence[str]:
    raise OSError(f"{host}: no such name here")


def settings(server: Server, **changes: Any) -> FetchSettings:
    given: dict[str, Any] = {
        "user_agent": "curate/0 (+https://curate.example)", "robots_names": ("curate",),
        "honour_reservations": ("noai", "noimageai"), "allow_private_hosts": frozenset({HOST}),
        "connect_to": {HOST: server.here}, "retries": 0, "timeout_seconds": 5.0,
        "max_bytes": 1 << 20,
    }  # fmt: skip
    return FetchSettings(**(given | changes))


def fetch_all(
    server: Server, urls: Sequence[str], *, lookup: Lookup = no_names, **changes: Any
) -> list[Outcome]:
    chosen = settings(server, **changes)

    async def main() -> list[Outcome]:
        def judge(values: list[str]) -> Sequence[str]:
            return x_robots_tag(values, user_agents=chosen.robots_names)

        web = Web(chosen, judge=judge, lookup=lookup)
        try:
            return list(await asyncio.gather(*(web.fetch(url) for url in urls)))
        finally:
            await web.close()

    return asyncio.run(main())


def fetch(server: Server, path: str, **changes: Any) -> Outcome:
    url = f"http://{HOST}{path}" if path.startswith("/") else path
    return fetch_all(server, [url], **changes)[0]


def test_a_picture_comes_with_its_evidence(server: Server) -> None:
    got = fetch(server, "/a/1.jpg?x=%2F")
    body = PICTURE + b"/a/1.jpg?x=%2F"
    assert got.body == body
    assert got.sha256 == hashlib.sha256(body).hexdigest()
    assert (got.verdict, got.reason, got.status, got.attempts) == (None, None, 200, 1)
    assert got.size_bytes == len(body)
    assert got.final_url == f"http://{HOST}/a/1.jpg?x=%2F"
    assert ["Content-Length", str(len(body))] in json.loads(got.headers or "")
    assert got.observed_at is not None and got.observed_at.endswith("+00:00")


def test_we_say_who_we_are_and_nothing_else(server: Server) -> None:
    fetch(server, "/a")
    headers = server.requests[0].headers
    assert headers["user-agent"] == "curate/0 (+https://curate.example)"
    assert headers["host"] == HOST
    assert headers["accept-encoding"] == "identity"
    assert set(headers) == {"host", "user-agent", "accept", "accept-encoding"}


def test_cookies_are_not_evidence_and_odd_bytes_do_no_harm(server: Server) -> None:
    got = fetch(server, "/odd-headers")
    headers = dict(json.loads(got.headers or ""))
    assert "Set-Cookie" not in headers
    assert headers["X-Name"] == "caf\\xe9"
    assert headers["ETag"] == '"1"'


@pytest.mark.parametrize(
    ("path", "reason", "retryable"),
    [
        ("/status-404", "http:404", False),
        ("/status-410", "http:410", False),
        ("/status-403", "http:403", False),
        ("/status-500", "http:500", True),
        ("/status-204", "http:204", False),
        ("/status-206", "http:206", False),
        ("/status-304", "http:304", False),
        ("/status-302", "http:302", False),
        ("/loop", "http:too_many_redirects", False),
        ("/redirect-?to=http://[", "http:bad_redirect", False),
        ("/brotli", "http:content_encoding", False),
        ("/cut", "connection", True),
        ("/not-http", "connection", True),
        ("/silent", "timeout", True),
    ],
)
def test_what_a_server_does_is_a_reason(
    server: Server, path: str, reason: str, retryable: bool
) -> None:
    got = fetch(server, path, timeout_seconds=0.5)
    assert (got.verdict, got.reason, got.retryable) == ("failed", reason, retryable)
    assert got.body is None and got.sha256 is None


def test_nobody_listening(server: Server) -> None:
    got = fetch(server, "/a", connect_to={HOST: "127.0.0.1:1"})
    assert (got.reason, got.retryable, got.status) == ("connection", True, None)


def test_a_name_without_address(server: Server) -> None:
    assert fetch(server, "http://nowhere.example/a").reason == "connection:dns"


def test_not_tls(server: Server) -> None:
    got = fetch(server, f"https://{HOST}/a")
    assert (got.verdict, got.reason) == ("failed", "connection:tls")


# --- redirects ----------------------------------------------------------------------------------
def test_a_redirect_is_followed_and_recorded(server: Server) -> None:
    got = fetch(server, "/redirect-?to=/redirect-?to=b.jpg%2523part")
    assert got.body == PICTURE + b"/b.jpg"
    assert got.final_url == f"http://{HOST}/b.jpg"


def test_redirects_are_bounded(server: Server) -> None:
    fetch(server, "/loop", max_redirects=3)
    assert server.asked["/loop"] == 4


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://{here}/canary", "blocked:address"),
        ("http://localhost:{port}/canary", "blocked:address"),
        ("http://inner.example:{port}/canary", "blocked:address"),
        ("http://INNER.example.:{port}/canary", "blocked:address"),
        ("http://127.1:{port}/canary", "blocked:address"),
        ("http://2130706433:{port}/canary", "blocked:address"),
        ("http://[::ffff:127.0.0.1]:{port}/canary", "blocked:address"),
        ("http://169.254.169.254/canary", "blocked:address"),
        ("//{here}/canary", "blocked:address"),
        ("file:///etc/passwd", "blocked:scheme"),
        ("data:image/png;base64,AAAA", "blocked:scheme"),
        ("ftp://pictures.example/canary", "blocked:scheme"),
        ("http://a:b@pictures.example/canary", "blocked:credentials"),
    ],
)
def test_a_redirect_to_where_we_may_not_go(server: Server, target: str, reason: str) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    target = target.format(here=server.here, port=server.port)
    at_once = target if not target.startswith("//") else f"http:{target}"
    for path in (f"/redirect-?to={target}", at_once):
        got = fetch(server, path, lookup=lookup, retries=2)
        assert (got.verdict, got.reason, got.retryable) == ("failed", reason, False)
        assert got.attempts == 1
    assert not server.asked["/canary"]


def test_numbers_in_disguise_are_resolved_and_blocked(server: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from curate.fetch.guard import system_lookup

    with ThreadPoolExecutor(1) as pool:
        for host in ("0x7f.1", "0x7f000001", "localhost"):
            got = fetch(server, f"http://{host}:{server.port}/canary", lookup=system_lookup(pool))
            assert got.reason == "blocked:address"
    assert not server.requests


def test_a_name_that_changes_its_answer_gains_nothing(server: Server) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    allowed = frozenset({"turncoat.example"})
    url = f"http://turncoat.example:{server.port}/a"
    got = fetch(server, url, lookup=rebinding, allow_private_hosts=allowed)
    assert got.status == 200
    assert asked == ["turncoat.example"]


def test_the_last_look_holds_without_the_others(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.fetch.guard.check_literal", lambda host, *, private: None)
    for host in ("127.0.0.1", "[::ffff:127.0.0.1]"):
        got = fetch(server, f"http://{host}:{server.port}/canary")
        assert (got.reason, got.status) == ("blocked:address", None)
    assert not server.requests


# --- asking again -------------------------------------------------------------------------------
def test_an_error_is_asked_again(server: Server) -> None:
    got = fetch(server, "/flaky?1", retries=1)
    assert (got.verdict, got.attempts, got.body) == (None, 2, PICTURE)


def test_no_more_often_than_the_bound(server: Server) -> None:
    got = fetch(server, "/status-500", retries=1)
    assert (got.reason, got.attempts, server.asked["/status-500"]) == ("http:500", 2, 2)
    assert fetch(server, "/status-404", retries=3).attempts == 1


def test_a_busy_server_is_given_the_time_it_asks_for(server: Server) -> None:
    started = time.monotonic()
    got = fetch(server, "/busy", retries=1)
    assert (got.verdict, got.attempts) == (None, 2)
    assert time.monotonic() - started >= 1.0


def test_a_wait_beyond_the_bound_fails_the_row(server: Server) -> None:
    got = fetch(server, "/busy-for-long", retries=3, max_backoff_seconds=0.2)
    assert (got.reason, got.retryable, got.attempts) == ("http:503", True, 1)


# --- deadlines, caps, politeness ----------------------------------------------------------------
def test_silence_ends_in_time(server: Server) -> None:
    started = time.monotonic()
    got = fetch(server, "/silent", retries=1, timeout_seconds=0.3)
    assert (got.reason, got.attempts, got.status) == ("timeout", 2, None)
    assert time.monotonic() - started < 3


def test_first_byte_has_a_deadline_of_its_own(server: Server) -> None:
    started = time.monotonic()
    fetch(
        server, "/silent", timeout_seconds=60.0,
        connect_timeout_seconds=60.0, first_byte_timeout_seconds=0.3,
    )  # fmt: skip
    assert time.monotonic() - started < 3


def test_a_trickle_is_a_timeout(server: Server) -> None:
    started = time.monotonic()
    got = fetch(server, "/trickle", timeout_seconds=60.0, throughput_grace_seconds=0.3)
    assert (got.reason, got.status) == ("timeout", 200)
    assert time.monotonic() - started < 5


def test_an_endless_body_is_cut_off(server: Server) -> None:
    got = fetch(server, "/endless", max_bytes=200_000)
    assert (got.verdict, got.reason) == ("rejected", "too_large:bytes")
    assert server.sent_bytes < 50_000_000


def test_a_declared_size_is_believed_when_it_is_too_large(server: Server) -> None:
    assert fetch(server, "/declared-huge").reason == "too_large:bytes"


def test_an_encoding_nobody_asked_for(server: Server) -> None:
    assert fetch(server, "/gzip").body == PICTURE
    assert fetch(server, "/bomb").reason == "too_large:bytes"


def test_one_host_has_few_connections() -> None:
    with serve() as server:
        urls = [f"http://{HOST}/slow/{i}" for i in range(12)]
        got = fetch_all(server, urls, connections_per_host=3)
        assert all(outcome.status == 200 for outcome in got)
        assert server.most_at_once == 3


def test_one_host_is_asked_at_a_rate(server: Server) -> None:
    urls = [f"http://{HOST}/a/{i}" for i in range(6)]
    started = time.monotonic()
    fetch_all(server, urls, requests_per_second_per_host=20.0)
    assert time.monotonic() - started >= 0.25


# --- reservations -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "value",
    ["noai", "NoAI", "curate: noai", "noindex, noimageai", "unavailable_after: 1 Jan 2030, noai"],
)
def test_a_reserved_picture_is_left_where_it_is(server: Server, value: str) -> None:
    got = fetch(server, f"/noai?{value.replace(' ', '%20')}")
    assert (got.verdict, got.reason) == ("rejected", "reservation:x-robots-tag")
    assert (got.text, got.retryable, got.body) == (value, False, None)


def test_a_reservation_for_others_is_not_ours(server: Server) -> None:
    assert fetch(server, "/robots-allows").body == PICTURE


def test_a_reservation_on_the_way_counts(server: Server) -> None:
    assert fetch(server, "/noai-redirect").reason == "reservation:x-robots-tag"
    assert not server.asked["/after"]


def test_a_recipe_may_decide_not_to_honour(server: Server) -> None:
    got = fetch(server, "/noai", honour_reservations=(), timeout_seconds=0.3)
    assert got.reason == "timeout"  # it waits for the body, which this server never sends
