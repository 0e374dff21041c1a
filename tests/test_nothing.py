"""A run that keeps nothing says why, and the lines it names do what it says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from source_fixtures import judged, recipe_of

from curate import commands
from curate.cluster import Cluster
from curate.license.advice import advice, refusals, ways
from curate.license.evidence import Claim, resolve
from curate.license.policy import policy
from curate.provenance.nothing import why_nothing
from curate.recipe import Recipe
from curate.store.dataset import Dataset


def run(recipe: Recipe, to: Path) -> Dataset:
    quiet = Console(quiet=True)
    commands.build(recipe, to, cluster=Cluster(workers=1), inline=True, limit=None, console=quiet)
    return Dataset.open(to)


def test_fondant_says_why_and_which_two_lines_would_change_it(tmp_path: Path) -> None:
    recipe = recipe_of("fondant")
    told = why_nothing(run(recipe, tmp_path / "out"), recipe)
    assert told[0] == "Nothing was kept of 30 rows; 22 fell to their licence:"
    assert (
        "  4 × license:ambiguous: CC-BY without a version, at L2 (a statement about its page)"
        in told
    )
    start = told.index("Two lines of the recipe's `license` stage would accept 6 of these rows:")
    lines = told[start + 1 : start + 3]
    assert [line.strip() for line in lines] == ["evidence_at_least: L2", "versionless: [CC-BY]"]
    settings = yaml.safe_load("\n".join(line.strip() for line in lines))
    named = [f"passes.0.stages.0.{name}={value}" for name, value in settings.items()]
    table = judged(recipe_of("fondant", *[line.replace("'", "") for line in named]))
    assert table["reason"].null_count == 6
    assert type(recipe.source).WORTH in told[-1]


def test_coyo_says_that_nothing_would_change_it(tmp_path: Path) -> None:
    recipe = recipe_of("coyo")
    told = why_nothing(run(recipe, tmp_path / "out"), recipe)
    assert any("license:none: no licence is claimed" in line for line in told)
    assert "No floor of evidence and no version taken by name would change that." in told


def test_a_run_that_keeps_rows_says_nothing(demo_dataset: Path) -> None:
    assert why_nothing(Dataset.open(demo_dataset), commands.recipe_of(demo_dataset)) == []


def test_laion_needs_one_line() -> None:
    claim = Claim("laion_license", "https://creativecommons.org/licenses/by/4.0/", 2)
    [way] = ways({resolve([claim]): 5}, policy("sharealike"))
    assert (way.rows, way.yaml()) == (5, ["evidence_at_least: L2"])


def test_families_outside_the_policy_are_never_proposed() -> None:
    decisions = {resolve([Claim("fondant_license_type", kind, 4)]): 1
                 for kind in ("by-nc", "by-nd", "by-nc-nd")}  # fmt: skip
    assert ways(decisions, policy("sharealike")) == []
    [way] = ways(decisions, policy("noncommercial"))
    assert way.versionless == ("CC-BY-NC",)


CLAIMS = st.builds(
    Claim,
    kind=st.sampled_from(["fondant_license_type", "laion_license", "text"]),
    value=st.sampled_from(
        ["by", "by-sa", "by-nc", "zero", "?", "", "CC BY 4.0", "all rights reserved",
         "https://creativecommons.org/licenses/by-sa/4.0/"]
    ),
    level=st.integers(0, 5),
)  # fmt: skip


@given(
    rows=st.lists(st.lists(CLAIMS, max_size=3), max_size=12),
    accept=st.sampled_from(["public-domain", "attribution", "sharealike", "noncommercial"]),
    floor=st.sampled_from(["L1", "L3", "L5"]),
)
def test_each_way_accepts_what_it_says(rows: list[list[Claim]], accept: str, floor: str) -> None:
    decisions = Counter(resolve(claims) for claims in rows)
    terms = policy(accept, evidence_at_least=floor)
    list(advice(decisions, terms))
    refused = sum(n for decision, n in decisions.items() if terms.verdict(decision))
    assert sum(int(line.split(" ×")[0]) for line in refusals(decisions, terms)) == refused
    for way in ways(decisions, terms):
        wider = policy(
            accept, evidence_at_least=way.evidence_at_least or floor,
            versionless=way.versionless or terms.versionless,
        )  # fmt: skip
        accepted = sum(n for decision, n in decisions.items() if wider.verdict(decision) is None)
        assert accepted == way.rows + sum(decisions.values()) - refused
        assert way.yaml()
