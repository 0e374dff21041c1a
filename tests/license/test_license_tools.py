"""The table of tools against itself, and against the published list where that is at hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from curate.license import tools
from curate.license.tools import CREATIVE_COMMONS, OTHERS, PORT_NAMES, TOOLS, VERSIONLESS

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "cc_legal_tools.tsv"
SPDX = PUBLISHED.with_name("spdx_cc_ids.tsv")


def test_counts_and_uniqueness() -> None:
    assert len(CREATIVE_COMMONS) == 639
    assert len({t.id for t in CREATIVE_COMMONS}) == len({t.url for t in CREATIVE_COMMONS}) == 639
    assert len({t.title for t in CREATIVE_COMMONS}) == 639
    assert len(TOOLS) == 639 + len(OTHERS)
    kinds = [t.kind for t in CREATIVE_COMMONS]
    assert (kinds.count("licence"), kinds.count("retired")) == (606, 30)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published list is not at hand")
def test_every_fact_is_the_published_one() -> None:
    with PUBLISHED.open(encoding="utf-8") as file:
        published = list(csv.DictReader(file, delimiter="\t"))
    assert len(published) == 639
    for row in published:
        tool = tools.tool(row["proposed_id"])
        assert tool.url == row["canonical_uri"]
        assert tool.identifier == row["cc_identifier"]
        assert tool.title == row["title_en"]
        assert (tool.version, tool.jurisdiction) == (row["version"], row["jurisdiction"])
        flags = [str(int(f)) for f in (tool.by, tool.nc, tool.nd, tool.sa)]
        assert flags == [row["BY"], row["NC"], row["ND"], row["SA"]]
        assert (tool.spdx == tool.id) == (row["in_spdx_list"] == "1")
        assert tool.retired_on == row["deprecated_on"]


@pytest.mark.skipif(not SPDX.exists(), reason="the SPDX list is not at hand")
def test_spdx_forms_are_those_that_spdx_lists() -> None:
    with SPDX.open(encoding="utf-8") as file:
        listed = {row["id"] for row in csv.DictReader(file, delimiter="\t")}
    assert {t.spdx for t in CREATIVE_COMMONS if not t.spdx.startswith("LicenseRef-")} == listed


@pytest.mark.parametrize(
    ("id_", "url", "flags"),
    [
        ("CC-BY-4.0", "licenses/by/4.0/", "by"),
        ("CC-BY-NC-ND-1.0", "licenses/by-nd-nc/1.0/", "by nc nd"),
        ("CC-BY-NC-SA-2.0-UK", "licenses/by-nc-sa/2.0/uk/", "by nc sa"),
        ("CC-NC-SAMPLING-PLUS-1.0-TW", "licenses/nc-sampling+/1.0/tw/", "by nc"),
        ("CC0-1.0", "publicdomain/zero/1.0/", ""),
        ("CC-PDDC", "publicdomain/certification/1.0/us/", ""),
    ],
)
def test_some_tools_by_hand(id_: str, url: str, flags: str) -> None:
    tool = tools.tool(id_)
    assert tool.url == f"https://creativecommons.org/{url}"
    assert tools.by_url(tool.url) is tool
    assert flags.split() == [f for f in ("by", "nc", "nd", "sa") if getattr(tool, f)]
    assert tools.by_unit(tool.unit, tool.version, tool.jurisdiction) is tool
    assert tools.find(id_.lower()) is tool


def test_ports_and_unknown_ids() -> None:
    assert {t.jurisdiction for t in CREATIVE_COMMONS} - {""} == set(PORT_NAMES)
    assert not [t for t in CREATIVE_COMMONS if t.version == "4.0" and t.jurisdiction]
    with pytest.raises(KeyError):
        tools.tool("CC-BY-7.0")
    assert tools.by_unit("by", "2.1") is None


def test_families_without_version_are_no_tools() -> None:
    assert set(VERSIONLESS) == {f"CC-BY{x}" for x in ("", "-SA", "-NC", "-ND", "-NC-SA", "-NC-ND")}
    assert not set(VERSIONLESS) & set(TOOLS)
    assert tools.tool("CC-BY-SA").url == "https://creativecommons.org/licenses/by-sa/"
    assert tools.tool("CC-BY-SA").sa and tools.tool("CC-BY-SA").spdx == "LicenseRef-CC-BY-SA"
