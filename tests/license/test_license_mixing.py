"""Which licences may be handed on together under which policy: this project's rule, written as tests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import RecipeError
from curate.license.policy import (
    NAMES,
    RELEASES,
    clashes,
    copyleft,
    group,
    named_rows,
    policy,
    releases,
    takes,
)
from curate.license.tools import TOOLS

FREE = ["CC0-1.0", "CC-PDM-1.0", "CC-PDDC", "PD-US-GOV"]
BY, BYSA, BYNC = ["CC-BY-4.0", "CC-BY-2.1-JP"], ["CC-BY-SA-4.0", "CC-BY-SA-1.0-NL"], ["CC-BY-NC-2.0", "CC-BY-NC-SA-4.0"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("public-domain", FREE, [*BY, *BYSA, *BYNC]),
        ("attribution", [*FREE, *BY], [*BYSA, *BYNC]),
        ("sharealike", [*FREE, *BY, *BYSA], BYNC),
        ("noncommercial", [*FREE, *BY, *BYNC], BYSA),
    ],
)
def test_what_one_release_may_hold(name: str, taken: list[str], refused: list[str]) -> None:
    assert clashes(dict.fromkeys(taken, 1), name) == ()
    for id_ in refused:
        [clash] = clashes({**dict.fromkeys(taken, 1), id_: 7}, name)
        assert clash.licenses == {id_: 7} and clash.groups == (group(id_),)
        assert f"{id_} (7 rows)" in str(clash) and name in str(clash)


def test_no_derivatives_are_in_no_release() -> None:
    for name in NAMES:
        assert clashes({"CC-BY-ND-4.0": 1}, name)
    with pytest.raises(RecipeError, match="no derivatives"):
        takes(["CC-BY-ND-4.0"], "CC-BY-ND-4.0")


def test_share_alike_is_never_beside_non_commercial() -> None:
    rows = {"CC0-1.0": 5, "CC-BY-SA-3.0": 3, "CC-BY-NC-4.0": 2}
    [clash] = clashes(rows, None)
    assert clash.licenses == {"CC-BY-SA-3.0": 3} and "add a restriction" in clash.why
    [listed] = clashes(rows, list(rows))
    assert listed == clash
    assert releases(rows) == (("open", "sharealike"), ("open", "noncommercial"))
    assert releases({"CC0-1.0": 1, "CC-BY-SA-3.0": 3}) == (("open", "sharealike"),)


@pytest.mark.parametrize(
    ("ids", "apart"),
    [
        (["CC-BY-SA-1.0", "CC-BY-SA-2.0-DE", "CC-BY-SA-3.0-IGO", "CC-BY-SA-4.0"], []),
        (["CC-BY-SA-4.0", "LAL-1.3"], []),
        (["CC-BY-SA-4.0", "LAL-1.2"], ["LAL-1.2"]),
        (["GFDL-1.2-only", "GFDL-1.3-or-later"], []),
        (["CC-BY-SA-3.0", "GFDL-1.3-or-later", "ODbL-1.0"], ["GFDL-1.3-or-later", "ODbL-1.0"]),
        (["CC-BY-SA-4.0", "OGL-UK-3.0", "PDDL-1.0"], []),
    ],
)
def test_two_share_alike_families_are_releases_of_their_own(
    ids: Sequence[str], apart: list[str]
) -> None:
    rows = {id_: 10 - place for place, id_ in enumerate(ids)}
    assert sorted(id_ for clash in clashes(rows, ids) for id_ in clash.licenses) == sorted(apart)


def test_a_family_without_a_version_is_judged_as_its_newest() -> None:
    assert takes("attribution", "CC-BY") and not takes("public-domain", "CC-BY")
    assert takes("sharealike", "CC-BY-SA") and not takes("noncommercial", "CC-BY-SA")
    assert copyleft("CC-BY-SA") == copyleft("CC-BY-SA-2.0-UK") == "CC-BY-SA"
    assert copyleft("CC-BY-NC-4.0") is None and copyleft("nonsense") is None


def test_what_is_no_known_licence_is_in_no_release() -> None:
    for accept in (*NAMES, ["CC0-1.0"]):
        [clash] = clashes({"CC0-1.0": 1, "none": 2}, accept)
        assert clash.licenses == {"none": 2}
    with pytest.raises(RecipeError, match="unknown"):
        clashes({"CC0-1.0": 1}, "free")
    assert (
        named_rows({"CC0-1.0": 1, "CC-BY-4.0": 1200}) == "CC0-1.0 (1 row), CC-BY-4.0 (1,200 rows)"
    )


@given(st.dictionaries(st.sampled_from(sorted(TOOLS)), st.integers(1, 9), max_size=12))
def test_what_no_clash_names_is_a_release(rows: dict[str, int]) -> None:
    for name in NAMES:
        out = {id_ for clash in clashes(rows, name) for id_ in clash.licenses}
        left = {id_: n for id_, n in rows.items() if id_ not in out}
        assert clashes(left, name) == ()
        assert {group(id_) for id_ in left} <= set(RELEASES[name])
        assert left.keys() <= policy(name).ids
