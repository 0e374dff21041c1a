"""The answers to users' questions link to places that exist and name commands and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from curate.license.policy import GROUPS, NAMES
from curate.license.tools import VERSIONLESS
from curate.provenance.attribution_pages import PAGE_ROWS
from curate.provenance.eu_summary import MARKDOWN
from curate.provenance.licenses_page import LICENSES
from curate.stages.license import LicenseStage

DOCS = Path(__file__).parent.parent / "docs"
FAQ = (DOCS / "licence-faq.md").read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_leads_somewhere() -> None:
    headings = {anchor(line[3:]) for line in FAQ.splitlines() if line.startswith("## ")}
    links = re.findall(r"\]\(([^)]+)\)", FAQ)
    own = [link[1:] for link in links if link.startswith("#")]
    assert sorted(own) == sorted(headings), "every question is in the list, and nothing else"
    for link in links:
        if not link.startswith(("#", "http")):
            assert (DOCS / link.partition("#")[0]).is_file(), link


@pytest.mark.parametrize(
    "name", [*NAMES, *GROUPS, LICENSES, MARKDOWN, "not legal advice", "not law"]
)
def test_names_are_those_of_the_code(name: str) -> None:
    assert name in FAQ


def test_figures_and_the_example_are_those_of_the_code() -> None:
    assert f"pages of {PAGE_ROWS} credits" in FAQ
    stage = LicenseStage(policy="attribution", versionless=("CC-BY",), evidence_at_least="L1")
    assert "versionless: [CC-BY]" in FAQ and stage.versionless[0] in VERSIONLESS
    assert "default L3" in FAQ and LicenseStage.model_fields["evidence_at_least"].default == "L3"
