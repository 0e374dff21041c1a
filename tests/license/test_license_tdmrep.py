"""TDMRep: rules of tdmrep.json, response fields and meta elements."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.license.page_signals import page_signals
from curate.license.reservations import Unreadable
from curate.license.tdmrep import MOST_RULES, parse_tdmrep, tdm_field

ORIGIN = "https://pictures.example"


def rule(location: Any, value: Any = 1, **more: Any) -> dict[str, Any]:
    return {"location": location, "tdm-reservation": value} | more


def reserved(rules: Any, path: str = "/a/1.jpg") -> bool | None:
    body = rules if isinstance(rules, bytes) else json.dumps(rules).encode()
    told = parse_tdmrep(body, host="pictures.example").declaration(f"{ORIGIN}{path}")
    return None if told is None else told.reserved


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ([], "/a", None),
        ([rule("/")], "/a", True),
        ([rule("/", 0)], "/a", False),
        ([rule("/b/")], "/a", None),
        ([rule("/a")], "/ab", True),
        ([rule("/a$")], "/ab", None),
        ([rule("/a$")], "/a", True),
        ([rule("/*.jpg$")], "/x/y.jpg", True),
        ([rule("/images/*.jpg")], "/images/a.jpg", True),
        ([rule("/images/*.jpg")], "/images/a.png", None),
        ([rule("/A")], "/a", None),  # case counts
        ([rule("/caf%c3%a9")], "/caf%C3%A9/1", True),
        ([rule("/café")], "/caf%C3%A9/1", True),
        ([rule("/%61")], "/a", True),
        ([rule("/foo-%24")], "/foo-%24", True),
        ([rule("/a?x=1")], "/a?x=1", True),
        ([rule("a/")], "/a/1", True),  # without its slash
        ([rule("*.jpg")], "/a/1.jpg", True),
        ([rule(f"{ORIGIN}/a/")], "/a/1", True),
        ([rule("https://other.example/")], "/a/1", None),
        # the first match is the most specific one
        ([rule("/a/", 0), rule("/", 1)], "/a/1", False),
        ([rule("/a/", 1), rule("/", 0)], "/a/1", True),
        # badly ordered: the two readings of "most specific" differ, the one that reserves holds
        ([rule("/", 0), rule("/a/", 1)], "/a/1", True),
        ([rule("/", 1), rule("/a/", 0)], "/a/1", True),
        # values as they are written
        ([rule("/", "1")], "/a", True),
        ([rule("/", "0")], "/a", False),
        ([rule("/", True)], "/a", True),
        ([rule("/", False)], "/a", False),
        ([rule("/", 1.0)], "/a", True),
        ([rule("/b", "whatever")], "/a", None),
    ],
)
def test_what_a_file_says_of_an_address(rules: Any, path: str, expected: bool | None) -> None:
    assert reserved(rules, path) == expected


def test_a_byte_order_mark_does_no_harm() -> None:
    assert reserved(b'\xef\xbb\xbf[{"location": "/", "tdm-reservation": 1}]') is True


def test_the_policy_and_the_rule_are_kept_as_found() -> None:
    rules = [rule("/a/", **{"tdm-policy": "https://x.example/p.json"})]
    told = parse_tdmrep(json.dumps(rules).encode(), host="x").declaration(f"{ORIGIN}/a/1")
    assert told is not None
    assert (told.policy, told.text) == (
        "https://x.example/p.json",
        "location /a/, tdm-reservation 1, tdm-policy https://x.example/p.json",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"{", b"null", b'"/"', b'{"location": "/", "tdm-reservation": 1}',
        b"[1]", b"[{}]", b'[{"tdm-reservation": 1}]', b'[{"location": 3, "tdm-reservation": 1}]',
        b'[{"location": "", "tdm-reservation": 1}]', b"\xff\xfe[]", b"[" * 100_000,
        b'[{"location": "http://[", "tdm-reservation": 1}]', b"\x89PNG",
        json.dumps([rule("/x")] * (MOST_RULES + 1)).encode(),
    ],
)  # fmt: skip
def test_a_malformed_file_is_not_taken_for_consent(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_tdmrep(body, host="pictures.example")


@pytest.mark.parametrize("value", [2, -1, "yes", None, [], {}, 0.5, "true"])
def test_a_value_that_says_neither_is_unreadable_where_it_holds(value: Any) -> None:
    with pytest.raises(Unreadable, match="neither 0 nor 1"):
        reserved([rule("/a", value)], "/a")
    assert reserved([rule("/b", value)], "/a") is None


def test_many_rules_and_long_patterns_are_matched_in_time() -> None:
    started = time.monotonic()
    rules = [rule("/" + "*a" * 200)] * 2000
    assert reserved(rules, "/" + "a" * 150) is None
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], None), (["0"], False), (["1"], True), ([" 1 "], True), (["0", "1"], True),
     (["0, 1"], True), (["0", "0"], False), (["1", "x"], True)],
)  # fmt: skip
def test_response_fields(values: list[str], expected: bool | None) -> None:
    told = tdm_field(values, ["https://x.example/p"])
    assert (None if told is None else told.reserved) == expected


@pytest.mark.parametrize("value", ["", "2", "yes", "0 1", "0, x", "１"])
def test_a_field_that_says_neither_is_unreadable(value: str) -> None:
    with pytest.raises(Unreadable):
        tdm_field([value])


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_file_is_read_or_refused(body: bytes) -> None:
    try:
        reserved(body)
    except Unreadable as error:
        assert str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["location", "tdm-reservation", "x"]), inner, max_size=3)
    ),
)


@given(st.lists(JSON, max_size=4))
def test_any_array_is_read_or_refused(found: list[Any]) -> None:
    try:
        reserved(found)
    except Unreadable as error:
        assert str(error)


# --- pages ------------------------------------------------------------------------------------------
def page(head: str) -> bytes:
    return f"<!doctype html><html><head>{head}</head><body><p>A picture</body></html>".encode()


@pytest.mark.parametrize(
    ("head", "directives"),
    [
        ("", ()),
        ('<meta name="robots" content="noai, noimageai">', ("noai", "noimageai")),
        ("<META NAME=robots CONTENT=noai>", ("noai",)),
        ("<meta content='NOAI' name='Robots' />", ("noai",)),
        ('<meta name="robots" content="index"><meta name="robots" content="noai">',
         ("index", "noai")),
        ('<meta name="curate" content="noml">', ("noml",)),
        ('<meta name="otherbot" content="noai">', ()),
        ('<meta property="robots" content="noai">', ("noai",)),
        ('<meta name="robots" content="no&#97;i">', ("noai",)),
        ('<!-- <meta name="robots" content="noai"> -->', ()),
        ('<script>"<meta name=robots content=noai>"</script>', ()),
        ("<template><meta name=robots content=noai></template>", ()),
        ("<title><meta name=robots content=noai></title>", ()),
        ("<script></script><meta name=robots content=noai>", ("noai",)),
        ('<meta name="x" content="it\'s"><meta name="robots" content="noai">', ("noai",)),
        ("<meta data-x=it's><meta name=robots content=noai>", ("noai",)),
        ('<meta name="robots" content="unavailable_after: 2020-01-01">', ("unavailable_after",)),
    ],
)  # fmt: skip
def test_robots_meta_elements(head: str, directives: tuple[str, ...]) -> None:
    assert page_signals(page(head), names=["Curate"]).directives == directives


def test_tdm_meta_elements() -> None:
    found = page_signals(page('<meta name="tdm-reservation" content="1">')).tdm
    assert found is not None and found.reserved
    free = page_signals(page('<meta content="0" name="TDM-Reservation">')).tdm
    assert free is not None and not free.reserved
    with pytest.raises(Unreadable):
        page_signals(page('<meta name="tdm-reservation" content="maybe">'))


def test_a_page_in_another_encoding_is_read() -> None:
    head = page('<title>café</title><meta name="robots" content="noai">').decode()
    assert page_signals(head.encode("latin-1"), charset="latin-1").directives == ("noai",)
    assert page_signals(head.encode(), charset="no such thing").directives == ("noai",)


@pytest.mark.parametrize(
    "body", [b"", b"just words", b"\0\0\0", b"<meta x>" * 1001, "<p>".encode("utf-16")]
)
def test_what_is_no_page_is_not_taken_for_consent(body: bytes) -> None:
    with pytest.raises(Unreadable):
        page_signals(body)


@pytest.mark.parametrize(
    "piece", ["<", "<meta ", "<meta a='", "<!--", "<![if ", "</", "<script>", "<meta x='\">", "&#"]
)
def test_a_hostile_page_is_read_in_time(piece: str) -> None:
    started = time.monotonic()
    try:
        page_signals((piece * (600_000 // len(piece))).encode())
    except Unreadable as error:
        assert str(error)
    assert time.monotonic() - started < 2


@given(st.text(alphabet="<>/!-=\"' metaroboscipt", max_size=120).map(str.encode))
def test_any_page_is_read_or_refused(body: bytes) -> None:
    try:
        page_signals(body)
    except Unreadable as error:
        assert str(error)
