"""X-Robots-Tag as servers really send it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.license.reservations import RESERVING, Unreadable, robots_meta, x_robots_tag

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([], []),
        ([""], []),
        (["noai"], ["noai"]),
        (["NoAI , NoImageAI"], ["noai", "noimageai"]),
        (["noindex", "noai"], ["noindex", "noai"]),
        (["none"], ["none", "noindex", "nofollow"]),
        (["all"], ["all"]),
        # a date has commas and colons of its own
        (["noai, unavailable_after: 25 Jun 2050 15:00:00 PST"], ["noai"]),
        (["unavailable_after: Sat, 25 Jun 2050 15:00:00 GMT, noai"], ["noai"]),
        (["unavailable_after: Wed, 25 Jun 2025 15:00:00 GMT, noai"], ["unavailable_after", "noai"]),
        (["unavailable_after: Wednesday, 25-Jun-25 15:00:00 GMT"], ["unavailable_after"]),
        (["unavailable_after: 2025-06-25T15:00:00+00:00"], ["unavailable_after"]),
        (["unavailable_after: 2027-06-25"], []),
        (["unavailable_after: soon"], ["unavailable_after"]),
        (["unavailable_after"], ["unavailable_after"]),
        # user agents hold until the next one
        (["otherbot: noai, noindex"], []),
        (["curate: noai"], ["noai"]),
        (["Curate/2.0: noai"], ["noai"]),
        (["*: noai"], ["noai"]),
        (["curatex: noai"], []),
        (["otherbot: noindex, curate: noai"], ["noai"]),
        (["curate: noindex, otherbot: noai"], ["noindex"]),
        (["otherbot: unavailable_after: 25 Jun 2010 15:00:00 GMT, noai", "nofollow"], ["nofollow"]),
        (["curate: unavailable_after: 25 Jun 2010 15:00:00 GMT, noai"], ["unavailable_after", "noai"]),
        (["max-image-preview: large, noai"], ["max-image-preview", "noai"]),
        (["max-snippet:-1, noai"], ["max-snippet", "noai"]),
        (["noai: yes"], ["noai"]),
        ([",,noai,,"], ["noai"]),
        # not right, but sent
        (["noai; noimageai"], ["noai", "noimageai"]),
        (["noai noimageai"], ["noai", "noimageai"]),
        (["unavailable_after: 25 Jun 2050 15:00:00 GMT; noai"], ["noai"]),
        (["curate: noai noml, nofollow"], ["noai", "noml", "nofollow"]),
        # many values, many agents, dates of every kind
        (["all", "otherbot: noai", "curate: noml"], ["all", "noml"]),
        (["unavailable_after: Sunday, 06-Nov-94 08:49:37 GMT, noindex"], ["unavailable_after", "noindex"]),
        (["unavailable_after: Thu, 31 Dec 2099 23:59:59 +0000, noai"], ["noai"]),
        (["unavailable_after: 31-Feb-2020"], ["unavailable_after"]),
        (["unavailable_after:"], ["unavailable_after"]),
        (["unavailable_after: 0001-01-01T00:00:00+14:00"], ["unavailable_after"]),
        (["unavailable_after: 9999-12-31T23:59:59-14:00"], []),
        (["otherbot: unavailable_after: 1 Jan 2010"], []),
    ],
)  # fmt: skip
def test_directives_that_hold_for_us(values: list[str], names: list[str]) -> None:
    assert x_robots_tag(values, user_agents=("Curate/0.1 (+https://x)",), at=NOW) == names


def test_without_a_name_only_what_is_meant_for_all_holds() -> None:
    assert x_robots_tag(["curate: noai", "noindex"]) == ["noindex"]
    assert robots_meta("noai, max-image-preview:large") == ["noai", "max-image-preview"]


@pytest.mark.parametrize(
    "value",
    ['"noai"', "noai=1", "noai = 1", "'noai', index", '"noai, index"', 'noai="yes"', 'curate: "noai"',
     "curate: noai=1", '"curate": noai', "“noai”", "@@, noai", "curate, noai", "x" * 9000 + ", noai"],
)  # fmt: skip
def test_quotes_and_equals_signs_hide_no_reservation(value: str) -> None:
    values = [value, "noai"] if len(value) > 9000 else [value]
    assert "noai" in x_robots_tag(values, user_agents=("curate",), at=NOW)


@pytest.mark.parametrize(
    "value",
    ["curate, otherbot: noai", "index, curate", "foo=1", "(noai)", "no ai", "<noai>", "1", "n\xf6ai",
     "index " + "x" * 9000],
)  # fmt: skip
def test_a_malformed_value_is_no_permission(value: str) -> None:
    with pytest.raises(Unreadable, match="malformed"):
        x_robots_tag([value, "index"], user_agents=("curate",), at=NOW)


@pytest.mark.parametrize(
    "value",
    ["no-ai", "nosomething", "max-image-preview=large", "x-y: 1", "otherbot: foo=1", "", " , "],
)
def test_well_formed_names_that_nobody_knows_are_harmless(value: str) -> None:
    names = x_robots_tag([value], user_agents=("curate",), at=NOW)
    assert not RESERVING.intersection(names)


@given(st.lists(st.text(max_size=80), max_size=4))
def test_any_header_is_read(values: list[str]) -> None:
    try:
        names = x_robots_tag(values, user_agents=("curate",))
    except Unreadable:
        return
    assert all(name == name.lower() for name in names)


@given(st.text(alphabet="abc :,-/0123", max_size=40))
def test_a_directive_behind_junk_of_its_own_value_still_holds(junk: str) -> None:
    assert "noai" in x_robots_tag([junk, "noai"])
