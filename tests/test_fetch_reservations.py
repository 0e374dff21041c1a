"""Reservations inside the gateway: every hop is judged before it is asked, on a loopback server."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from loopback import HOST, ORIGIN_FILES, PICTURE, Server, serve

from curate.fetch import origins
from curate.fetch.outcome import FetchSettings, Outcome
from curate.fetch.web import Web
from curate.license.reservations import SIGNALS, x_robots_tag

ROBOTS, TDMREP = ORIGIN_FILES
OTHER = "cdn.example"
CLOSED = b"User-agent: *\nDisallow: /closed/\n"
RESERVED = json.dumps([{"location": "/reserved/", "tdm-reservation": 1}]).encode()


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.asked.clear()
    running.files.clear()
    return running


async def no_names(host: str, port: int) -> Sequence[str]:
    raise OSError(f"{host}: no such name here")


def settings(server: Server, **changes: Any) -> FetchSettings:
    given: dict[str, Any] = {
        "user_agent": "curate/0 (+https://curate.example)",
        "robots_names": ("curate", "img2dataset"), "honour_reservations": tuple(SIGNALS),
        "allow_private_hosts": frozenset({HOST, OTHER}), "retries": 0, "timeout_seconds": 5.0,
        "connect_to": {HOST: server.here, OTHER: server.here}, "max_backoff_seconds": 0.05,
    }  # fmt: skip
    return FetchSettings(**(given | changes))


def fetch_rows(
    server: Server, rows: Sequence[tuple[str, str | None]], **changes: Any
) -> list[Outcome]:
    chosen = settings(server, **changes)

    async def main() -> list[Outcome]:
        def judge(values: list[str]) -> Sequence[str]:
            return x_robots_tag(values, user_agents=chosen.robots_names)

        web = Web(chosen, judge=judge, lookup=no_names)
        try:
            return list(await asyncio.gather(*(web.fetch(url, page) for url, page in rows)))
        finally:
            await web.close()

    return asyncio.run(main())


def fetch(server: Server, path: str, *, page: str | None = None, **changes: Any) -> Outcome:
    url = f"http://{HOST}{path}" if path.startswith("/") else path
    return fetch_rows(server, [(url, page)], **changes)[0]


def told(outcome: Outcome) -> tuple[str | None, str | None, bool, str | None]:
    return outcome.verdict, outcome.reason, outcome.retryable, outcome.text


def looks(outcome: Outcome) -> list[dict[str, Any]]:
    return json.loads(outcome.reservations or "[]")


# --- robots.txt and tdmrep.json ------------------------------------------------------------------
def test_a_disallowed_address_is_never_asked(server: Server) -> None:
    server.files[ROBOTS] = ("200 OK", CLOSED, {})
    got = fetch(server, "/closed/1.jpg", retries=2)
    line = "User-agent: * / Disallow: /closed/"
    assert told(got) == ("rejected", "reservation:robots_txt", False, line)
    assert (got.body, got.status, got.attempts) == (None, None, 1)
    assert not server.asked["/closed/1.jpg"]
    assert fetch(server, "/open/1.jpg").body == PICTURE + b"/open/1.jpg"


def test_a_reserved_location_is_never_asked(server: Server) -> None:
    server.files[TDMREP] = ("200 OK", RESERVED, {})
    got = fetch(server, "/reserved/1.jpg")
    rule = "location /reserved/, tdm-reservation 1"
    assert told(got) == ("rejected", "reservation:tdmrep", False, rule)
    assert not server.asked["/reserved/1.jpg"]
    assert fetch(server, "/open/1.jpg").body is not None


@pytest.mark.parametrize("agent", ["curate", "img2dataset"])
def test_a_group_of_our_own_holds_for_us(server: Server, agent: str) -> None:
    body = f"User-agent: {agent}\nDisallow: /a\nUser-agent: *\nDisallow:\n".encode()
    server.files[ROBOTS] = ("200 OK", body, {})
    assert fetch(server, "/a").reason == "reservation:robots_txt"


def test_a_redirect_is_judged_where_it_leads(server: Server) -> None:
    server.files[ROBOTS] = ("200 OK", CLOSED, {})
    server.files[TDMREP] = ("200 OK", RESERVED, {})
    assert fetch(server, "/redirect-?to=/closed/1").reason == "reservation:robots_txt"
    assert fetch(server, "/redirect-?to=/reserved/1").reason == "reservation:tdmrep"
    assert not server.asked["/closed/1"] and not server.asked["/reserved/1"]


def test_another_host_has_files_of_its_own(server: Server) -> None:
    got = fetch(server, f"/redirect-?to=http://{OTHER}/x")
    places = [look["url"] for look in looks(got)]
    assert places == [
        f"http://{HOST}{ROBOTS}", f"http://{HOST}{TDMREP}", f"http://{HOST}/redirect-?to=http://{OTHER}/x",
        f"http://{OTHER}{ROBOTS}", f"http://{OTHER}{TDMREP}", f"http://{OTHER}/x",
    ]  # fmt: skip
    assert server.asked[ROBOTS] == server.asked[TDMREP] == 2


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
@pytest.mark.parametrize("file", ORIGIN_FILES)
def test_no_file_means_no_reservation(server: Server, file: str, status: str) -> None:
    server.files[file] = (status, b"<html>not here</html>", {})
    assert fetch(server, "/a").body is not None


UNKNOWN = {ROBOTS: "reservation_unknown:robots_txt", TDMREP: "reservation_unknown:tdmrep"}


@pytest.mark.parametrize(
    ("status", "retryable"),
    [("500 Oops", True), ("502 Bad Gateway", True), ("503 Later", True), ("429 Later", True),
     ("400 Bad", False), ("401 Who", False), ("403 No", False), ("451 Law", False),
     ("204 Empty", False), ("304 Same", False), ("302 Found", False)],
)  # fmt: skip
@pytest.mark.parametrize("file", ORIGIN_FILES)
def test_an_error_is_not_taken_for_consent(
    server: Server, file: str, status: str, retryable: bool
) -> None:
    server.files[file] = (status, b"", {})
    got = fetch(server, "/a")
    text = f"http://{HOST}{file}: http:{status[:3]}"
    assert told(got) == ("failed", UNKNOWN[file], retryable, text)
    assert not server.asked["/a"]


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"\x89PNG\0\0", b"no such file"])
@pytest.mark.parametrize("file", ORIGIN_FILES)
def test_a_malformed_file_is_not_taken_for_consent(server: Server, file: str, body: bytes) -> None:
    server.files[file] = ("200 OK", body, {})
    assert told(fetch(server, "/a"))[:3] == ("failed", UNKNOWN[file], True)
    assert not server.asked["/a"]


@pytest.mark.parametrize(
    ("to", "why"), [("/silent", "timeout"), ("/cut", "connection"), ("/not-http", "connection"),
                    ("/loop", "http:too_many_redirects"), ("http://[", "http:bad_redirect"),
                    ("http://10.0.0.1/", "blocked:address"), ("ftp://x/", "blocked:scheme")],
)  # fmt: skip
@pytest.mark.parametrize("file", ORIGIN_FILES)
def test_no_answer_is_not_taken_for_consent(server: Server, file: str, to: str, why: str) -> None:
    server.files[file] = ("302 Found", b"", {"Location": to})
    got = fetch(server, "/a", timeout_seconds=0.5)
    assert got.verdict == "failed" and got.body is None
    assert got.reason == (why if why.startswith("blocked") else UNKNOWN[file])
    assert why in f"{got.reason} {got.text}"
    assert not server.asked["/a"]


def test_redirects_of_a_file_are_followed_five_times(server: Server) -> None:
    for left in range(1, 7):
        to = f"http://{OTHER}/hop-{left - 1}" if left > 1 else "/robots-at-last"
        server.files[f"/hop-{left}"] = ("301 Moved", b"", {"Location": to})
    server.files["/robots-at-last"] = ("200 OK", CLOSED, {})
    for hops, reason in ((4, "reservation:robots_txt"), (5, UNKNOWN[ROBOTS])):
        server.files[ROBOTS] = ("301 Moved", b"", {"Location": f"/hop-{hops}"})
        assert fetch(server, "/closed/1").reason == reason


def test_a_file_too_large_is_not_read_on(server: Server) -> None:
    server.files[ROBOTS] = ("302 Found", b"", {"Location": "/endless"})
    assert fetch(server, "/a").reason == UNKNOWN[ROBOTS]
    server.files[ROBOTS] = ("200 OK", CLOSED + b"#" * (600 * 1024), {})
    assert fetch(server, "/closed/1").reason == "reservation:robots_txt"
    del server.files[ROBOTS]
    server.files[TDMREP] = ("200 OK", b" " * (1 << 20) + b"[]", {})
    assert fetch(server, "/a").reason == UNKNOWN[TDMREP]


def test_an_error_is_asked_again_within_the_bound_and_then_once_for_all_rows(
    server: Server,
) -> None:
    server.files[ROBOTS] = ("500 Oops", b"", {})
    rows = [(f"http://{HOST}/a/{i}", None) for i in range(20)]
    got = fetch_rows(server, rows, retries=2)
    assert {(o.reason, o.attempts) for o in got} == {(UNKNOWN[ROBOTS], 1)}
    assert server.asked[ROBOTS] == 3


def test_an_origin_is_asked_once_however_many_rows(server: Server) -> None:
    rows = [(f"http://{HOST}/a/{i}", None) for i in range(200)]
    got = fetch_rows(server, rows)
    assert all(outcome.body is not None for outcome in got)
    assert server.asked[ROBOTS] == server.asked[TDMREP] == 1


def test_an_answer_grows_old(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(server)

    async def main() -> list[int]:
        web = Web(chosen, judge=lambda values: [], lookup=no_names)
        asked = []
        try:
            for seconds in (60.0, -1.0, 60.0):
                monkeypatch.setattr(origins, "KEPT_SECONDS", seconds)
                for _ in range(2):
                    await web.fetch(f"http://{HOST}/a")
                    asked.append(server.asked[ROBOTS])
                web._origins._entries.clear()
                web._origins._answered.clear()
        finally:
            await web.close()
        return asked

    assert asyncio.run(main()) == [1, 1, 2, 3, 4, 4]


@pytest.mark.parametrize("closed", [False, True])
def test_a_known_origin_is_one_look_up_for_each_further_picture(
    server: Server, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    if closed:
        server.files[ROBOTS] = ("200 OK", CLOSED, {})

    async def main() -> list[Outcome]:
        web = Web(settings(server), judge=lambda values: [], lookup=no_names)
        try:
            first = await web.fetch(f"http://{HOST}/a")
            monkeypatch.delattr(origins.Origins, "_answers")
            return [first, *[await web.fetch(f"http://{HOST}/{n}") for n in ("b", "closed/1")]]
        finally:
            await web.close()

    first, second, last = asyncio.run(main())
    assert [look["answer"] for look in looks(first)] == [look["answer"] for look in looks(second)]
    assert looks(first)[:2] == looks(second)[:2]
    assert (last.reason == "reservation:robots_txt") is closed


def test_a_host_that_may_not_be_met_says_so_itself(server: Server) -> None:
    assert told(fetch(server, "http://127.0.0.1:1/a"))[:3] == ("failed", "blocked:address", False)
    assert told(fetch(server, "http://nowhere.example/a"))[:3] == ("failed", "connection:dns", True)


def test_a_recipe_may_say_which_answers_mean_no_file(server: Server) -> None:
    server.files[ROBOTS] = server.files[TDMREP] = ("403 No", b"<Error>AccessDenied</Error>", {})
    assert fetch(server, "/a").reason == UNKNOWN[ROBOTS]
    assert fetch(server, "/a", no_file_statuses=frozenset({403, 404})).body is not None


def test_what_is_not_honoured_is_not_even_asked(server: Server) -> None:
    server.files[ROBOTS] = ("200 OK", CLOSED, {})
    server.files[TDMREP] = ("200 OK", RESERVED, {})
    honoured = tuple(set(SIGNALS) - {"robots_txt"})
    assert fetch(server, "/closed/1", honour_reservations=honoured).body is not None
    assert (server.asked[ROBOTS], server.asked[TDMREP]) == (0, 1)
    honoured = tuple(set(SIGNALS) - {"tdm_reservation"})
    assert fetch(server, "/reserved/1", honour_reservations=honoured).body is not None
    assert (server.asked[ROBOTS], server.asked[TDMREP]) == (1, 1)


# --- response fields -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", (None, None)), ("1", ("rejected", "reservation:tdm-reservation")),
     ("yes", ("failed", "reservation_unknown:tdm-reservation"))],
)  # fmt: skip
def test_the_tdm_field_is_judged_before_the_body(
    server: Server, value: str, expected: tuple[str | None, str | None]
) -> None:
    server.files["/t"] = ("200 OK", PICTURE, {"tdm-reservation": value, "tdm-policy": "https://p/"})
    got = fetch(server, "/t", retries=2)
    assert (got.verdict, got.reason) == expected
    assert server.asked["/t"] == 1
    honoured = tuple(set(SIGNALS) - {"tdm_reservation"})
    assert fetch(server, "/t", honour_reservations=honoured).body == PICTURE
    if expected[0] == "rejected":
        assert got.text == "tdm-reservation: 1, tdm-policy https://p/"


@pytest.mark.parametrize("value", ["curate, otherbot: noai", "(noai)"])
def test_a_malformed_robots_field_is_asked_again_and_never_taken(
    server: Server, value: str
) -> None:
    server.files["/t"] = ("200 OK", PICTURE, {"X-Robots-Tag": value})
    got = fetch(server, "/t")
    assert (got.verdict, got.reason) == ("failed", "reservation_unknown:x-robots-tag")
    assert got.retryable and got.body is None
    assert fetch(server, "/t", honour_reservations=("tdm_reservation",)).body == PICTURE


def test_a_tdm_field_on_the_way_counts(server: Server) -> None:
    server.files["/t"] = ("302 Found", b"", {"Location": "/after", "tdm-reservation": "1"})
    assert fetch(server, "/t").reason == "reservation:tdm-reservation"
    assert not server.asked["/after"]


# --- evidence ------------------------------------------------------------------------------------
def test_what_was_looked_at_is_kept_for_taken_pictures_too(server: Server) -> None:
    server.files[ROBOTS] = ("200 OK", CLOSED, {})
    got = fetch(server, "/robots-allows")
    robots, tdmrep, fields = looks(got)
    assert robots["at"].endswith("+00:00")
    assert robots | {"at": None} == {
        "url": f"http://{HOST}{ROBOTS}", "answer": "not reserved", "status": 200,
        "sha256": hashlib.sha256(CLOSED).hexdigest(), "at": None,
    }  # fmt: skip
    assert (tdmrep["answer"], tdmrep["status"]) == ("no file", 404)
    assert (fields["answer"], fields["status"]) == ("nofollow, otherbot: noai", 200)
    assert got.body is not None


def test_what_was_looked_at_is_kept_for_the_others_too(server: Server) -> None:
    server.files[ROBOTS] = ("200 OK", CLOSED, {})
    assert looks(fetch(server, "/closed/1"))[-1]["answer"] == "User-agent: * / Disallow: /closed/"
    server.files[ROBOTS] = ("403 No", b"", {})
    assert looks(fetch(server, "/a"))[-1]["answer"] == f"http://{HOST}{ROBOTS}: http:403"


# --- landing pages -------------------------------------------------------------------------------
PAGE = f"http://{HOST}/photos/1"
HTML = {"Content-Type": "text/html; charset=utf-8"}


def with_page(server: Server, head: str, status: str = "200 OK", **headers: str) -> Outcome:
    body = f"<!doctype html><head>{head}</head>".encode()
    server.files["/photos/1"] = (status, body, HTML | headers)
    return fetch(server, "/a", page=PAGE, landing_pages="look")


def test_a_landing_page_is_not_asked_where_the_recipe_skips_it(server: Server) -> None:
    server.files["/photos/1"] = ("200 OK", b"<meta name=robots content=noai>", HTML)
    assert fetch(server, "/a", page=PAGE, landing_pages="skip").body is not None
    assert not server.asked["/photos/1"]


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ('<meta name="robots" content="noai, noimageai">', "noai, noimageai"),
        ('<meta name="curate" content="noml">', "noml"),
        ('<meta name="tdm-reservation" content="1">', "tdm-reservation: 1"),
    ],
)
def test_a_page_that_reserves_keeps_us_from_its_picture(
    server: Server, head: str, text: str
) -> None:
    assert told(with_page(server, head)) == ("rejected", "reservation:landing_page", False, text)
    assert not server.asked["/a"]


def test_fields_of_a_page_count_and_its_own_words_supersede_them(server: Server) -> None:
    assert with_page(server, "", X_Robots_Tag="noai").reason == "reservation:landing_page"
    field = {"tdm-reservation": "1"}
    assert with_page(server, "", **field).reason == "reservation:landing_page"
    assert with_page(server, '<meta name="tdm-reservation" content="0">', **field).body is not None


@pytest.mark.parametrize("head", ["", '<meta name="robots" content="index">'])
def test_a_page_without_reservation_lets_the_picture_come(server: Server, head: str) -> None:
    got = with_page(server, head)
    assert got.body is not None
    assert [look["answer"] for look in looks(got) if look["url"] == PAGE] == ["not reserved"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [("404 Not Found", None), ("410 Gone", None), ("500 Oops", "reservation_unknown:landing_page"),
     ("403 No", "reservation_unknown:landing_page")],
)  # fmt: skip
def test_a_page_that_cannot_be_read(server: Server, status: str, reason: str | None) -> None:
    assert with_page(server, "", status=status).reason == reason


def test_a_page_is_asked_once_however_often_its_picture_is(server: Server) -> None:
    server.files["/photos/1"] = ("200 OK", b"<p>a picture</p>", HTML)
    got = fetch(server, "/flaky?page", page=PAGE, landing_pages="look", retries=1)
    assert (got.attempts, server.asked["/photos/1"]) == (2, 1)
    assert [look["url"] for look in looks(got)].count(PAGE) == 1


def test_a_page_that_is_closed_to_us_is_not_asked_and_says_nothing_of_the_picture(
    server: Server,
) -> None:
    server.files[ROBOTS] = ("200 OK", b"User-agent: *\nDisallow: /photos/\n", {})
    got = with_page(server, '<meta name="robots" content="noai">')
    assert got.body is not None and not server.asked["/photos/1"]
    (told,) = [look["answer"] for look in looks(got) if look["url"] == PAGE]
    assert told == "not asked, closed to us: User-agent: * / Disallow: /photos/"


def test_a_page_whose_origin_reserves_mining_keeps_us_from_its_picture(server: Server) -> None:
    reserved = [{"location": "/photos/*", "tdm-reservation": 1}]
    server.files[TDMREP] = ("200 OK", json.dumps(reserved).encode(), {})
    assert with_page(server, "").reason == "reservation:landing_page"
    assert not server.asked["/photos/1"] and not server.asked["/a"]


@pytest.mark.parametrize("page", [f"http://{HOST}/a", f"http://{HOST}:80/a#picture"])
def test_a_picture_that_is_its_own_landing_page_is_asked_once(server: Server, page: str) -> None:
    got = fetch(server, "/a", page=page, landing_pages="look")
    assert got.body is not None and server.asked["/a"] == 1
    assert looks(got)[0]["answer"] == "the landing page is the picture's own address"


def test_rows_without_a_page_pass_and_say_so(server: Server) -> None:
    got = fetch(server, "/a", landing_pages="look")
    assert got.body is not None
    assert looks(got)[0]["answer"] == "no landing page is known"


def test_a_page_that_is_no_html_is_judged_by_its_fields(server: Server) -> None:
    server.files["/photos/1"] = ("200 OK", PICTURE, {"Content-Type": "image/jpeg"})
    assert fetch(server, "/a", page=PAGE, landing_pages="look").body is not None
    server.files["/photos/1"] = ("200 OK", PICTURE, HTML)
    assert fetch(server, "/a", page=PAGE, landing_pages="look").verdict == "failed"
