"""Many claims, one decision: corroboration, conflict, rungs, policies and groups."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import RecipeError
from curate.license.evidence import NOTHING, Claim, Decision, resolve
from curate.license.policy import NAMES, group, group_of, openness_rank, policy
from curate.license.tools import CREATIVE_COMMONS, TOOLS, VERSIONLESS

CC = "https://creativecommons.org/licenses"


def url(path: str, level: int = 5) -> Claim:
    return Claim("url", f"{CC}/{path}/", level)


def text(value: str, level: int = 3) -> Claim:
    return Claim("text", value, level)


@pytest.mark.parametrize(
    ("claims", "id_", "basis", "level"),
    [
        ([], None, "none", 0),
        ([text("")], None, "empty", 3),
        ([url("by/4.0")], "CC-BY-4.0", "url", 5),
        ([url("by/4.0"), text("CC BY 4.0")], "CC-BY-4.0", "url", 5),
        # a version or a port less sure: the higher rung stands
        ([url("by/4.0"), text("CC BY 3.0")], "CC-BY-4.0", "url", 5),
        ([url("by/4.0", 3), text("CC BY 3.0", 5)], "CC-BY-3.0", "identifier", 5),
        ([url("by-sa/3.0/de"), text("CC BY-SA 3.0")], "CC-BY-SA-3.0-DE", "url", 5),
        ([url("by/4.0"), text("CC BY")], "CC-BY-4.0", "url", 5),
        ([url("by/4.0"), text("CC BY 3.0", 5)], None, "conflict", 5),
        ([url("by-sa/3.0/de"), text("CC BY-SA 3.0", 5)], "CC-BY-SA-3.0-DE", "url", 5),
        ([url("by-sa/3.0/de"), text("CC BY-SA 3.0 AT", 5)], None, "conflict", 5),
        # other elements
        ([url("by/4.0"), text("CC BY-NC 4.0")], None, "conflict", 3),
        ([url("by/4.0"), text("CC BY-NC 4.0", 0)], None, "conflict", 0),
        ([url("by/4.0"), text("CC BY-NC")], None, "conflict", 3),
        ([url("by/4.0"), text("CC0", 5)], None, "conflict", 5),
        ([text("CC0", 5), text("Public Domain Mark 1.0", 5)], None, "conflict", 5),
        # reserved rights
        ([url("by/4.0", 3), text("All rights reserved", 5)], None, "all_rights_reserved", 5),
        ([url("by/4.0", 3), text("All rights reserved", 3)], None, "all_rights_reserved", 3),
        ([url("by/4.0", 5), text("All rights reserved", 1)], "CC-BY-4.0", "url", 5),
        ([text("All rights reserved")], None, "all_rights_reserved", 3),
        ([text("CC BY", 3), text("All rights reserved", 3)], None, "all_rights_reserved", 3),
        # nothing sure
        ([text("CC BY")], None, "versionless", 3),
        ([text("CC BY"), text("CC BY-SA")], None, "conflict", 3),
        ([text("hello", 1), text("CC BY", 1)], None, "versionless", 1),
        # what the picture itself says is no grant alone
        ([Claim("cc_license_xmp", f"{CC}/by/4.0/", 4)], None, "embedded_only", 4),
        ([url("by/4.0"), Claim("cc_license_xmp", f"{CC}/by/4.0/", 4)], "CC-BY-4.0", "url", 5),
        ([url("by/4.0"), Claim("cc_license_xmp", f"{CC}/by-nc/4.0/", 4)], None, "conflict", 4),
        ([url("by/4.0"), Claim("exif_copyright", "All rights reserved", 4)], "CC-BY-4.0", "url", 5),
        ([url("by/4.0", 3), Claim("exif_copyright", "All rights reserved", 4)], None,
         "all_rights_reserved", 4),
        # a declaration is one, and yields to what was found
        ([Claim("declaration", "CC-BY-4.0", 0)], "CC-BY-4.0", "declared", 0),
        ([Claim("declaration", "CC-BY-4.0", 5)], "CC-BY-4.0", "declared", 0),
        ([Claim("declaration", "CC0-1.0", 0), text("CC BY 4.0")], None, "conflict", 0),
        ([Claim("declaration", "CC0-1.0", 0), text("All rights reserved", 1)], None,
         "all_rights_reserved", 1),
        # source rules
        ([Claim("flickr_id", "4", 5), text("Attribution License", 5)], "CC-BY-2.0", "source_rule", 5),
        ([Claim("flickr_id", "4", 5), Claim("flickr_id", "2", 5)], None, "conflict", 5),
        ([Claim("no such kind", "CC BY 4.0", 5)], None, "unknown_source_kind", 5),
    ],
)  # fmt: skip
def test_one_decision(claims: list[Claim], id_: str | None, basis: str, level: int) -> None:
    for order in itertools.permutations(claims):
        decision = resolve(order)
        assert (decision.id, decision.basis, decision.level) == (id_, basis, level)
        assert (decision.status == "ok") == (id_ is not None)


def test_remarks() -> None:
    assert resolve([url("by/4.0"), text("CC BY 4.0")]).flags == ("corroborated",)
    assert resolve([url("by/4.0"), text("CC BY 3.0")]).flags == ("other_version",)
    assert resolve([url("by/4.0"), text("All rights reserved", 1)]).flags == ("reserved_below",)
    fake = Claim("url", "https://creativecommons.org.evil.com/licenses/by/4.0/", 5)
    assert resolve([url("by/4.0"), replace(fake, level=4)]).flags == ("lookalike_beside",)
    assert resolve([url("by/4.0"), fake]).basis == "conflict", "on one rung nobody overlooks it"
    assert resolve([fake]).id is None


CLAIMS = st.builds(
    Claim,
    kind=st.sampled_from(["url", "text", "flickr_id", "declaration", "exif_copyright", "spdx"]),
    value=st.sampled_from(["CC BY 4.0", "CC-BY-4.0", "CC BY-NC 4.0", "CC BY", "CC0", "4", "0", "",
                           "All rights reserved", f"{CC}/by/4.0/", f"{CC}/by-nc/2.0/", "hello"]),
    level=st.integers(0, 5),
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.lists(CLAIMS, max_size=4), st.randoms(use_true_random=False))
def test_order_never_matters_and_more_claims_never_free(
    claims: list[Claim], random: object
) -> None:
    decision = resolve(claims)
    shuffled = list(claims)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = resolve(shuffled)
    assert (again.id, again.status, again.level) == (decision.id, decision.status, decision.level)
    if decision.id is not None:
        nc = resolve([*claims, text("CC BY-NC-SA 4.0", 5)])
        assert nc.id is None or TOOLS[nc.id].nc, "a stricter claim never leaves the freer one"
        assert any(decision.id == resolve([claim]).id for claim in claims)


# --- policies ------------------------------------------------------------------------------------
def decided(id_: str, level: int = 5) -> Decision:
    return Decision("ok", id_, id_, "url", id_, level)


@pytest.mark.parametrize(
    ("id_", "accepting", "in_group"),
    [
        ("CC0-1.0", 4, "open"), ("CC-PDM-1.0", 4, "open"), ("PD-US-GOV", 4, "open"),
        ("CC-PDDC", 4, "open"), ("CC-BY-4.0", 3, "open"), ("CC-BY-3.0-DE", 3, "open"),
        ("CC-BY-SA-4.0", 2, "sharealike"), ("CC-SA-1.0", 2, "sharealike"),
        ("CC-BY-NC-4.0", 1, "noncommercial"), ("CC-BY-NC-SA-2.0", 1, "noncommercial"),
        ("CC-NC-1.0", 1, "noncommercial"), ("CC-BY-ND-4.0", 0, "noncommercial"),
        ("CC-BY-NC-ND-4.0", 0, "noncommercial"), ("CC-ND-1.0", 0, "noncommercial"),
        ("CC-SAMPLING-PLUS-1.0", 0, "noncommercial"), ("CC-DEVNATIONS-2.0", 0, "noncommercial"),
        ("ODbL-1.0", 0, "sharealike"), ("PDDL-1.0", 0, "open"),
    ],
)  # fmt: skip
def test_the_named_policies(id_: str, accepting: int, in_group: str) -> None:
    accepted = [policy(name).verdict(decided(id_)) is None for name in NAMES]
    assert accepted == [False] * (4 - accepting) + [True] * accepting
    assert group(id_) == group_of(decided(id_)) == in_group


def test_no_policy_accepts_no_derivatives() -> None:
    for tool in CREATIVE_COMMONS:
        if tool.nd:
            assert all(policy(name).verdict(decided(tool.id)) == "policy" for name in NAMES)
            with pytest.raises(RecipeError, match="no derivatives"):
                policy([tool.id])


def test_own_lists_rungs_and_versionless_by_name() -> None:
    own = policy(["ODbL-1.0", "cc-by-nc-4.0"])
    assert own.verdict(decided("ODbL-1.0")) is None
    assert own.verdict(decided("CC-BY-NC-4.0")) is None
    assert own.verdict(decided("CC-BY-4.0")) == "policy"
    assert policy("attribution").verdict(decided("CC-BY-4.0", 2)) == "evidence"
    assert policy("attribution", evidence_at_least="L1").verdict(decided("CC-BY-4.0", 1)) is None
    bare = resolve([text("CC BY")])
    assert policy("attribution").verdict(bare) == "ambiguous"
    assert policy("attribution", versionless=["CC-BY"]).verdict(bare) is None
    assert (
        policy("attribution", versionless=["CC-BY"]).verdict(resolve([text("CC BY-NC")]))
        == "ambiguous"
    )
    assert (
        policy("attribution", versionless=["CC-BY"]).verdict(resolve([text("CC BY", 1)]))
        == "evidence"
    )
    assert group_of(bare) == group("CC-BY") == "open"
    assert policy("attribution").verdict(resolve([Claim("declaration", "CC-BY-4.0")])) is None


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        ([], "none"), ([text("")], "none"), ([text("hello")], "unknown"),
        ([text("All rights reserved")], "reserved"), ([text("not CC BY 4.0")], "reserved"), ([text("CC BY")], "ambiguous"),
        ([text("Public domain")], "ambiguous"), ([text("CC BY 4.0 / CC BY-NC 4.0")], "conflict"),
        ([url("by/4.0"), text("CC BY-NC 4.0")], "conflict"),
        ([text("CC BY 4.0, all rights reserved")], "conflict"),
    ],
)  # fmt: skip
def test_what_a_refusal_is_called(claims: list[Claim], refusal: str) -> None:
    assert policy("noncommercial", evidence_at_least="L0").verdict(resolve(claims)) == refusal
    assert group_of(resolve(claims)) in ("open", "sharealike", "noncommercial")
    assert group_of(NOTHING) == "noncommercial"


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"accept": "free"}, "'free' is unknown"),
        ({"accept": ["CC-BY-9.0"]}, "CC-BY-9.0"),
        ({"accept": []}, "empty"),
        ({"accept": "attribution", "evidence_at_least": "L9"}, "L9"),
        ({"accept": "attribution", "versionless": ["CC-BY-4.0"]}, "CC-BY-4.0"),
        ({"accept": "attribution", "versionless": ["CC-BY-SA"]}, "does not accept CC-BY-SA-4.0"),
    ],
)
def test_mistakes_are_named(settings_: dict[str, object], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        policy(**settings_)  # type: ignore[arg-type]


def test_the_rank_of_openness() -> None:
    order = ["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0",
             "CC-BY-ND-4.0", None]  # fmt: skip
    ranks = [openness_rank(id_) for id_ in order]
    assert ranks == sorted(set(ranks))
    assert [openness_rank(f) for f in VERSIONLESS] == [
        openness_rank(f"{f}-4.0") for f in VERSIONLESS
    ]
