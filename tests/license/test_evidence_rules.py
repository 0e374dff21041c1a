"""The rules of evidence as properties: they hold for every set of claims in every order."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import columns as c
from curate.license.advice import refusals
from curate.license.evidence import EMBEDDED, LADDER, Claim, Decision, compare, read, resolve
from curate.license.policy import policy
from curate.license.tools import TOOLS, Tool
from curate.stage import apply
from curate.stages.license import LicenseStage

CC: Final = "https://creativecommons.org/licenses"
GRANTS: Final = (f"{CC}/by/4.0/", f"{CC}/by/3.0/", f"{CC}/by/3.0/de/", f"{CC}/by-sa/4.0/",
                 f"{CC}/by-nc/4.0/", f"{CC}/by-nc-sa/3.0/", f"{CC}/by-nd/4.0/",
                 "https://creativecommons.org/publicdomain/zero/1.0/")  # fmt: skip
WORDS: Final = ("CC BY 4.0", "CC BY", "CC BY-NC", "CC0", "GFDL or CC BY-SA 3.0", "CC BY-SA 3.0 or CC BY 3.0",
                "All rights reserved", "not CC BY 4.0", "CC BY 4.0, all rights reserved",
                "CC BY 4.0 / CC BY-NC 4.0", "CC BY 4.0, non-commercial use only", "hello", "",
                "Personal use only", "Rights managed", "public domain")  # fmt: skip
FOUND: Final = st.one_of(
    st.builds(Claim, st.just("url"), st.sampled_from(GRANTS), st.integers(0, 5)),
    st.builds(Claim, st.just("text"), st.sampled_from(WORDS), st.integers(0, 5)),
    st.builds(
        Claim,
        st.just("flickr_id"),
        st.sampled_from(["0", "1", "2", "4", "7", "99"]),
        st.integers(0, 5),
    ),
    st.builds(Claim, st.just("declaration"), st.sampled_from(["CC-BY-4.0", "CC0-1.0"])),
)
OWN: Final = st.builds(
    Claim, st.sampled_from(sorted(EMBEDDED)), st.sampled_from(GRANTS + WORDS), st.integers(0, 5)
)
SEVERAL: Final = st.lists(st.one_of(FOUND, OWN), max_size=5)
GRANTED: Final = st.builds(
    lambda first, rest: [first, *rest],
    st.builds(Claim, st.just("url"), st.sampled_from(GRANTS), st.integers(0, 5)),
    st.lists(st.one_of(FOUND, OWN), max_size=2),
)


def asks(tool: Tool) -> set[str]:
    """What a tool asks or forbids beyond any other."""
    return {name for name in ("by", "nc", "nd", "sa") if getattr(tool, name)}


def chosen(decision: Decision) -> Tool:
    assert decision.id is not None
    return TOOLS[decision.id]


@settings(max_examples=200, deadline=None)
@given(SEVERAL, st.randoms(use_true_random=False))
def test_the_order_of_claims_never_matters(claims: list[Claim], random: object) -> None:
    other = list(claims)
    random.shuffle(other)  # type: ignore[attr-defined]
    assert resolve(other) == resolve(claims), "not one field of it"


@settings(max_examples=200, deadline=None)
@given(GRANTED, st.sampled_from(GRANTS), st.integers(0, 5))
def test_other_elements_at_any_rung_quarantine(claims: list[Claim], value: str, rung: int) -> None:
    before, extra = resolve(claims), Claim("url", value, rung)
    named = read(extra).id
    assert named is not None
    if before.id is None or " OR " in (before.expression or ""):
        return
    if asks(TOOLS[named]) == asks(chosen(before)):
        return
    after = resolve([*claims, extra])
    assert after.id is None and after.basis in (
        "conflict", "contradiction", "all_rights_reserved", "negated",
    )  # fmt: skip
    assert policy("noncommercial", evidence_at_least="L0").verdict(after) is not None


@settings(max_examples=200, deadline=None)
@given(SEVERAL, FOUND)
def test_one_more_claim_never_frees(claims: list[Claim], extra: Claim) -> None:
    """Never the freer one: what a further claim leaves standing asks no less than before."""
    before, after = resolve(claims), resolve([*claims, extra])
    if before.id is not None and after.id is not None:
        assert asks(chosen(after)) >= asks(chosen(before))


@settings(max_examples=200, deadline=None)
@given(GRANTED, st.integers(0, 5), st.sampled_from(["text", "dc_rights", "exif_copyright"]))
def test_all_rights_reserved_beats_an_equal_or_lower_grant(
    claims: list[Claim], rung: int, kind: str
) -> None:
    before = resolve(claims)
    if before.id is None:
        return
    after = resolve([*claims, Claim(kind, "All rights reserved", rung)])
    if rung >= before.level:
        assert (after.status, after.id) == ("reject", None)
        assert after.basis in ("all_rights_reserved", "negated")
    else:
        assert after.id == before.id and "reserved_below" in after.flags


@settings(max_examples=200, deadline=None)
@given(st.lists(OWN, min_size=1, max_size=5))
def test_a_picture_grants_itself_nothing(own: list[Claim]) -> None:
    alone = resolve(own)
    assert alone.id is None
    for versionless in ((), ("CC-BY",)):
        terms = policy("noncommercial", evidence_at_least="L0", versionless=versionless)
        assert terms.verdict(alone) is not None, "not even a family that is accepted by name"


@settings(max_examples=200, deadline=None)
@given(st.lists(FOUND, max_size=4), st.lists(OWN, max_size=4))
def test_comparing_is_resolving_with_both(found: list[Claim], own: list[Claim]) -> None:
    """A contradiction is what would have kept the grant from standing, had it been known before."""
    granted, both = resolve(found), resolve([*found, *own])
    verdict = compare(found, own)
    assert (verdict.against is not None) == (verdict.agreement == "contradicts")
    if granted.id is None:
        return
    assert (both.id is None) == (verdict.agreement == "contradicts")
    if both.id is not None:
        assert both.id == granted.id
        assert ("reserved_below" in both.flags) >= (verdict.agreement == "reserved_below")
    if verdict.against is not None:
        assert verdict.against in own and verdict.granted in found


@pytest.mark.parametrize(
    ("found", "own", "agreement"),
    [
        ([], [("cc_license_xmp", GRANTS[0], 4)], "silent"),
        ([("url", GRANTS[0], 5)], [], "silent"),
        ([("url", GRANTS[0], 5)], [("exif_copyright", "© 2019 Jane Doe", 1)], "silent"),
        ([("url", GRANTS[0], 5)], [("xmp_webstatement", "https://jane.example/", 1)], "silent"),
        ([("url", GRANTS[0], 5)], [("dc_rights", "CC BY 4.0", 4)], "corroborates"),
        ([("url", GRANTS[0], 5)], [("dc_rights", "CC BY 3.0", 4)], "other_version"),
        ([("url", GRANTS[0], 5)], [("dc_rights", "CC BY 3.0", 5)], "contradicts"),
        ([("url", GRANTS[0], 5)], [("dc_rights", "CC BY 4.0", 4), ("dc_rights", "CC BY-NC", 1)],
         "contradicts"),
        ([("text", "CC BY", 5)], [("dc_rights", "CC BY 4.0", 4)], "other_version"),
        ([("text", "CC BY", 5)], [("dc_rights", "CC BY-NC 4.0", 4)], "contradicts"),
        ([("text", "CC BY", 3)], [("dc_rights", "All rights reserved", 4)], "contradicts"),
    ],
)  # fmt: skip
def test_how_a_picture_stands(
    found: list[tuple[str, str, int]], own: list[tuple[str, str, int]], agreement: str
) -> None:
    assert compare([Claim(*x) for x in found], [Claim(*x) for x in own]).agreement == agreement


@pytest.mark.parametrize(
    ("claims", "id_", "basis"),
    [
        # a family is not part of another's name
        ([("CC BY-SA 4.0", 5), ("CC BY", 3)], None, "conflict"),
        ([("CC BY 4.0", 5), ("CC BY-SA", 3)], None, "conflict"),
        # one arm of an explicit choice says no more than the choice, if it asks no more
        ([("GFDL or CC BY-SA 3.0", 5), ("GFDL 1.2", 3)], "CC-BY-SA-3.0", "choice"),
        ([("GFDL or CC BY-SA 3.0", 5), ("GFDL", 3)], "CC-BY-SA-3.0", "choice"),
        ([("CC BY-SA 3.0 or CC BY 3.0", 5), ("CC BY-SA 3.0", 3)], None, "conflict"),
        # other licences have versions too
        ([("GFDL 1.2", 5), ("GFDL 1.3", 3)], "GFDL-1.2", "identifier"),
        ([("GFDL 1.2", 5), ("GFDL 1.3", 5)], None, "conflict"),
        ([("GFDL 1.2", 5), ("GFDL", 3)], "GFDL-1.2", "identifier"),
        # limits and second licences count at any rung, reserved rights by theirs
        ([("CC BY 4.0", 5), ("CC BY 4.0, non-commercial use only", 1)], None, "contradiction"),
        ([("CC BY 4.0", 5), ("CC BY 4.0 / CC BY-NC 4.0", 1)], None, "conflict"),
        ([("CC BY 4.0", 5), ("CC BY 4.0, all rights reserved", 1)], "CC-BY-4.0", "identifier"),
        ([("CC BY 4.0", 5), ("CC BY 4.0, all rights reserved", 5)], None, "contradiction"),
    ],
)  # fmt: skip
def test_close_calls(claims: list[tuple[str, int]], id_: str | None, basis: str) -> None:
    decision = resolve(Claim("text", value, rung) for value, rung in claims)
    doubt = {"conflict", "contradiction"}  # which of the two is the parser's to say
    assert decision.id == id_ and (decision.basis == basis or {decision.basis, basis} == doubt)


def test_a_conflict_keeps_both_texts() -> None:
    decision = resolve([Claim("url", GRANTS[0], 5), Claim("text", "CC BY-NC 4.0", 2)])
    assert (decision.raw, decision.beside) == ("CC BY-NC 4.0", GRANTS[0])
    assert resolve([Claim("url", GRANTS[0], 5)]).beside is None
    claims = [("url", GRANTS[0], 5), ("text", "CC BY-NC 4.0", 2)]
    rows = [[{"kind": kind, "value": value, "level": level} for kind, value, level in claims]]
    table = pa.table([["0" * 64], rows], schema=pa.schema([c.KEY, c.CLAIMS]))
    done = apply(LicenseStage(policy="noncommercial"), table)
    assert done["measured_text"].to_pylist() == [f"'CC BY-NC 4.0' against '{GRANTS[0]}'"]


def test_every_rung_is_named_and_a_claim_carries_its_response() -> None:
    assert sorted(LADDER) == list(range(6))
    claim = Claim("url", GRANTS[0], 5, "flickr.com", "$.license", "2026-01-01T00:00:00Z", 200,
                  "https://api.example/1", "0" * 64)  # fmt: skip
    assert (claim.http_status, claim.final_url, claim.response_sha256) == (
        200, "https://api.example/1", "0" * 64,
    )  # fmt: skip


CC0: Final = "https://creativecommons.org/publicdomain/zero/1.0/"
NOT_OPEN: Final = [
    ("met_isPublicDomain", "False"), ("smithsonian_access", "Usage conditions apply"),
    ("flickr_id", "7"), ("flickr_name", "All Rights Reserved"),
    ("yfcc100m_licensename", "All rights reserved"),
    ("yfcc100m_licensename", "No known copyright restrictions"),
    ("yfcc100m_licensename", "United States Government Work"),
    ("cleveland_share_license_status", "Copyrighted"), ("inat_code", "C"),
    ("wikimedia", '{"NonFree":"true","LicenseShortName":"Fair use"}'),
    ("url", "http://rightsstatements.org/vocab/InC/1.0/"),
    ("url", "https://rightsstatements.org/vocab/NoC-NC/1.0/"),
    ("text", "Rights managed"), ("text", "© Jane, no reproduction without permission"),
]  # fmt: skip
"""Values by which a source says that it grants nothing."""


@pytest.mark.parametrize(("kind", "value"), NOT_OPEN)
def test_a_source_that_is_not_open_beats_an_equal_or_lower_grant(kind: str, value: str) -> None:
    def beside(rung: int) -> Decision:
        return resolve([Claim("url", CC0, 4), Claim(kind, value, rung)])

    for rung in (4, 5):
        refusal = policy("noncommercial").verdict(beside(rung))
        assert refusal in ("conflict", "reserved"), f"L{rung}"
        declared = resolve([Claim("declaration", "CC0-1.0"), Claim(kind, value, rung)])
        assert declared.id is None
    below = beside(3)
    assert (below.id, below.flags) == ("CC0-1.0", ("reserved_below",))


@pytest.mark.parametrize(
    "kind", ["yfcc100m_licensename", "flickr_id", "openverse_pair", "inat_code"]
)
def test_what_is_not_on_a_sources_own_list_contradicts_its_address(kind: str) -> None:
    def beside(rung: int, value: str = "Creative Commons?") -> Decision:
        return resolve([Claim("url", CC0, 4), Claim(kind, value, rung)])

    assert [policy("noncommercial").verdict(beside(rung)) for rung in (4, 5)] == ["conflict"] * 2
    assert (beside(3).id, beside(3).flags) == ("CC0-1.0", ("unread_beside",))
    assert (beside(5, " ").id, beside(5, " ").flags) == ("CC0-1.0", ())


@pytest.mark.parametrize(
    ("value", "rung", "id_", "flags"),
    [
        ("call us", 4, "CC0-1.0", ("unread_beside",)),
        ("call us", 3, "CC0-1.0", ("unread_beside",)),
        ("call us", 5, None, ()),
        ("Copyright 2019 Getty Images", 5, None, ()),
        ("public domain", 5, "CC0-1.0", ("unread_beside",)),
        ("", 5, "CC0-1.0", ()),
    ],
)
def test_words_that_nobody_can_read_count_above_the_grant(
    value: str, rung: int, id_: str | None, flags: tuple[str, ...]
) -> None:
    decision = resolve([Claim("url", CC0, 4), Claim("text", value, rung)])
    assert (decision.id, decision.flags) == (id_, flags)


TERMS: Final = ("Non-commercial use only", "For editorial use only, not for commercial use",
                "no derivatives allowed", "Personal use only", "Nur für nichtkommerzielle Zwecke",
                "May not be cropped")  # fmt: skip


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("rung", range(6))
@pytest.mark.parametrize("kind", ["text", "dc_rights"])
def test_terms_of_limits_quarantine_on_any_rung(terms: str, rung: int, kind: str) -> None:
    for grant in (Claim("url", GRANTS[0], 5), Claim("text", "CC BY", 5)):
        decision = resolve([grant, Claim(kind, terms, rung)])
        terms_of = policy("noncommercial", versionless=["CC-BY"])
        assert terms_of.verdict(decision) == "conflict"
        assert compare([grant], [Claim("dc_rights", terms, rung)]).agreement == "contradicts"


@pytest.mark.parametrize(
    "words",
    ["commercial and non-commercial use", "free for personal and commercial use",
     "No derivatives were made", "© 2019 Jane Doe", "Photo: Jane Doe / Example"],
)  # fmt: skip
def test_words_that_limit_nothing_are_silent(words: str) -> None:
    grant = Claim("url", GRANTS[0], 5)
    assert resolve([grant, Claim("text", words, 3)]).id == "CC-BY-4.0"
    assert compare([grant], [Claim("exif_copyright", words, 1)]).agreement == "silent"


def test_limits_that_the_licence_sets_itself_are_none() -> None:
    claims = [Claim("url", GRANTS[4], 5), Claim("text", "Non-commercial use only", 4)]
    assert resolve(claims).id == "CC-BY-NC-4.0"
    claims[1] = Claim("text", "Personal use only", 4)
    assert resolve(claims).basis == "contradiction"


def test_a_family_taken_by_name_yields_to_the_same_words() -> None:
    terms = policy("noncommercial", versionless=["CC-BY"])
    family = Claim("text", "CC BY", 3)
    assert terms.verdict(resolve([family])) is None
    for kind, value in NOT_OPEN:
        assert terms.verdict(resolve([family, Claim(kind, value, 3)])) in ("conflict", "reserved")


def test_advice_about_a_low_rung_names_the_family() -> None:
    decision = resolve([Claim("text", "CC BY", 1)])
    [line] = refusals({decision: 7}, policy("noncommercial", versionless=["CC-BY"]))
    assert line.startswith("7 × license:evidence: CC-BY without a version stands at L1 ")
