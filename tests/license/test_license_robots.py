"""robots.txt by RFC 9309: groups, the longest match, our token and nobody else's."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.license.paths import PathPattern, path_of
from curate.license.reservations import Unreadable
from curate.license.robots import LIMIT_BYTES, parse_robots

NAMES = ("curate", "img2dataset")
ORIGIN = "https://pictures.example"


def line(text: str | bytes, path: str = "/a/1.jpg", names: tuple[str, ...] = NAMES) -> str | None:
    body = text.encode() if isinstance(text, str) else text
    return parse_robots(body, names=names).forbidding(f"{ORIGIN}{path}")


EVERYBODY = "User-agent: *\n"


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("", "/a", None),
        ("# only words\n\n", "/a", None),
        (f"{EVERYBODY}Disallow: /", "/a", "User-agent: * / Disallow: /"),
        (f"{EVERYBODY}Disallow:", "/a", None),
        (f"{EVERYBODY}Disallow: /b", "/a", None),
        (f"{EVERYBODY}Disallow: /a # why", "/a1", "User-agent: * / Disallow: /a"),
        # the longest match holds, and of equal ones the one that allows
        (f"{EVERYBODY}Disallow: /a/\nAllow: /a/b/", "/a/b/c", None),
        (f"{EVERYBODY}Allow: /a/\nDisallow: /a/b/", "/a/b/c", "User-agent: * / Disallow: /a/b/"),
        (f"{EVERYBODY}Disallow: /a\nAllow: /a", "/a", None),
        # special characters
        (f"{EVERYBODY}Disallow: /*.jpg$", "/x/y.jpg", "User-agent: * / Disallow: /*.jpg$"),
        (f"{EVERYBODY}Disallow: /*.jpg$", "/x/y.jpg?large", None),
        (f"{EVERYBODY}Disallow: /*?size=", "/x?size=9", "User-agent: * / Disallow: /*?size="),
        # one spelling of paths
        (f"{EVERYBODY}Disallow: /caf%c3%a9", "/caf%C3%A9/1", "User-agent: * / Disallow: /caf%c3%a9"),
        (f"{EVERYBODY}Disallow: /café", "/caf%C3%A9/1", "User-agent: * / Disallow: /café"),
        (f"{EVERYBODY}Disallow: /%61", "/a", "User-agent: * / Disallow: /%61"),
        (f"{EVERYBODY}Disallow: /A", "/a", None),
        # groups
        ("User-agent: other\nDisallow: /", "/a", None),
        ("User-agent: curate\nDisallow: /", "/a", "User-agent: curate / Disallow: /"),
        ("User-agent: CuRaTe\nDisallow: /", "/a", "User-agent: curate / Disallow: /"),
        ("User-agent: curate/2.0 (x)\nDisallow: /", "/a", "User-agent: curate / Disallow: /"),
        ("User-agent: x\nUser-agent: curate\nDisallow: /", "/a", "User-agent: curate / Disallow: /"),
        (f"User-agent: curate\nAllow: /\n{EVERYBODY}Disallow: /", "/a", None),
        ("User-agent: curate\nDisallow: /a\n\nUser-agent: x\nDisallow: /\n\nUser-agent: curate\n"
         "Disallow: /b", "/b", "User-agent: curate / Disallow: /b"),
        # names that resemble ours are not ours
        (f"User-agent: cur\nAllow: /\n{EVERYBODY}Disallow: /", "/a", "User-agent: * / Disallow: /"),
        (f"User-agent: curator\nAllow: /\n{EVERYBODY}Disallow: /", "/a",
         "User-agent: * / Disallow: /"),
        ("User-agent: curate-bot\nDisallow: /", "/a", None),
        # our second name counts only where it is named
        ("User-agent: img2dataset\nDisallow: /", "/a", "User-agent: img2dataset / Disallow: /"),
        (f"User-agent: img2dataset\nAllow: /\n{EVERYBODY}Disallow: /", "/a",
         "User-agent: * / Disallow: /"),
        (f"User-agent: curate\nAllow: /\nUser-agent: img2dataset\nDisallow: /\n{EVERYBODY}Allow: /",
         "/a", "User-agent: img2dataset / Disallow: /"),
        (f"{EVERYBODY}Diasllow: /a\nDisalow /b", "/a", "User-agent: * / Diasllow: /a"),
        (f"{EVERYBODY}Diasllow: /a\nDisalow /b", "/b", "User-agent: * / Disalow /b"),
        # as files really are
        (f"\ufeff{EVERYBODY}Disallow: /", "/a", "User-agent: * / Disallow: /"),
        ("User-agent: *\rDisallow: /a\rDisallow: /b\r", "/b", "User-agent: * / Disallow: /b"),
        ("User-agent: *\r\n\r\nDisallow: /b\r\n", "/b", "User-agent: * / Disallow: /b"),
        ("user-agent:*\ndisallow:/", "/a", "User-agent: * / disallow:/"),
        ("Disallow: /\nUser-agent: other\nAllow: /", "/a", None),
        ("User-agent: *\nSitemap: https://x/s.xml\nUser-agent: other\nDisallow: /", "/a",
         "User-agent: * / Disallow: /"),
        ("User-agent: *\nnonsense\nDisallow: /\n<p>", "/a", "User-agent: * / Disallow: /"),
        (f"{EVERYBODY}Disallow: /", "/robots.txt", None),
    ],
)  # fmt: skip
def test_the_line_that_keeps_us_away(text: str, path: str, expected: str | None) -> None:
    assert line(text, path) == expected


def test_words_that_are_not_utf8_do_no_harm() -> None:
    assert line(b"# caf\xe9\nUser-agent: *\nDisallow: /a") == "User-agent: * / Disallow: /a"


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><title>Not here</title>",
        b"  \n<html>User-agent: *\nAllow: /</html>",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "User-agent: *\nDisallow: /".encode("utf-16"),
        b"Not found",
        b'{"error": "no such file"}',
        bytes(range(1, 256)),
        b"\0" * (LIMIT_BYTES + 1),
        b"#" * (LIMIT_BYTES + 1),
    ],
)
def test_what_is_no_robots_txt_is_not_taken_for_consent(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_robots(body, names=NAMES)


def test_five_hundred_kibibytes_are_read() -> None:
    rule = b"Disallow: /private\n"
    before = b"User-agent: *\n" + b"#" * (LIMIT_BYTES - 100) + b"\n"
    assert line(before + rule, "/private") == "User-agent: * / Disallow: /private"
    beyond = before + b"#" * 80 + b"\n" + rule
    assert line(beyond, "/private") is None
    cut = (
        b"User-agent: *\nAllow: /p\n"
        + b"#" * (LIMIT_BYTES - 34)
        + b"\n"
        + b"Disallow: /private/a\n"
    )
    assert line(cut, "/private") is None  # half a rule is no rule


def test_a_large_file_is_read_in_time() -> None:
    started = time.monotonic()
    robots = parse_robots(b"User-agent: *\n" + b"Disallow: /*a*b*c\n" * 28_000, names=NAMES)
    robots.forbidding(f"{ORIGIN}/{'ab' * 1000}")
    assert time.monotonic() - started < 3


def test_without_a_name_of_ours_all_means_us() -> None:
    assert line(f"{EVERYBODY}Disallow: /", names=()) == "User-agent: * / Disallow: /"


@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_any_file_is_read_or_refused(body: bytes) -> None:
    try:
        parse_robots(body, names=NAMES).forbidding(f"{ORIGIN}/a?b=%C3%A9")
    except Unreadable as error:
        assert str(error)


PIECES = st.lists(st.sampled_from(["/", "a", "b", "%41", "é", "*", "?", "."]), max_size=8)


@given(PIECES.map("".join), PIECES.map("".join))
def test_a_rule_shown_is_one_that_matches(pattern: str, path: str) -> None:
    """What protego finds and what is shown agree: the two read patterns alike."""
    url = f"{ORIGIN}/{path.replace('*', '')}"
    shown = line(f"{EVERYBODY}Disallow: /{pattern}", url.removeprefix(ORIGIN))
    covered = PathPattern.of(f"/{pattern}").matches(path_of(url))
    assert (shown is not None) == covered
    if shown is not None:
        assert shown.startswith("User-agent: * / Disallow: /")
