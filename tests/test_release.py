"""A release holds what may be handed on together: refused by name, or made apart, in every form."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from provenance_dataset import build, key

from curate.errors import OutputMismatch, RecipeError, ReleaseRefused
from curate.provenance import write_outputs
from curate.provenance.export_card import export_card
from curate.provenance.licenses_page import licenses_text
from curate.provenance.licensing import Licensing, licensing
from curate.provenance.release import view
from curate.store.dataset import Dataset
from curate.train.export import EXPORT, export_files, export_webdataset

Export = Callable[..., int]
BOTH = [export_webdataset, export_files]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kept rows of all three groups: 22 BY, 7 BY-SA and one BY-NC."""
    out = build(tmp_path_factory.mktemp("mixed"), policy="noncommercial")
    write_outputs(out)
    return out


@pytest.mark.parametrize("export", BOTH)
def test_a_mix_is_refused_by_name_with_the_releases_that_may_be(
    mixed: Path, tmp_path: Path, export: Export
) -> None:
    with pytest.raises(ReleaseRefused) as error:
        export(mixed, tmp_path / "all")
    told = str(error.value)
    assert "CC-BY-SA-3.0 (6 rows)" in told and "CC-BY-SA-4.0 (1 row)" in told
    assert "leave out sharealike" in told and "not law" in told
    assert (
        "--group open --group sharealike" in told and "--group open --group noncommercial" in told
    )
    assert not (tmp_path / "all").exists(), "nothing is written before the check"
    counts = [
        export(mixed, tmp_path / g, groups=["open", g]) for g in ("sharealike", "noncommercial")
    ]
    assert counts == [29, 23]


@pytest.mark.parametrize("export", BOTH)
def test_a_policy_leaves_out_what_it_does_not_take(
    mixed: Path, tmp_path: Path, export: Export
) -> None:
    found = {}
    for policy in ("attribution", "sharealike", "noncommercial"):
        found[policy] = export(mixed, tmp_path / policy, policy=policy)
    assert found == {"attribution": 22, "sharealike": 29, "noncommercial": 23}
    assert export(mixed, tmp_path / "listed", policy=["CC-BY-SA-3.0"]) == 6
    assert export(mixed, tmp_path / "one", policy="CC-BY-SA-4.0") == 1
    assert export(mixed, tmp_path / "text", policy="CC-BY-SA-3.0, CC-BY-SA-4.0") == 7
    told = json.loads((tmp_path / "listed" / EXPORT).read_text())
    assert told["policy"] == ["CC-BY-SA-3.0"] and told["licenses"] == {"CC-BY-SA-3.0": 6}
    with pytest.raises(ReleaseRefused, match="no kept row"):
        export(mixed, tmp_path / "none", policy="public-domain")
    with pytest.raises(ReleaseRefused, match="CC-BY-SA"):
        export(mixed, tmp_path / "both", policy=["CC-BY-SA-3.0", "CC-BY-NC-4.0"])
    for wrong in (
        {"groups": ["free"]},
        {"groups": []},
        {"policy": "free"},
        {"policy": ["CC-BY-9.0"]},
    ):
        with pytest.raises(RecipeError):
            export(mixed, tmp_path / "wrong", **wrong)


def test_every_export_ships_what_its_licences_ask(mixed: Path, tmp_path: Path) -> None:
    export_webdataset(mixed, tmp_path / "nc", groups=["open", "noncommercial"])
    page = (tmp_path / "nc" / "LICENSES.md").read_text()
    assert "CC-BY-NC-4.0 (1 row)" in page and "commercial advantage" in page
    assert "CC-BY-SA" not in page and "All rows may be one release" in page
    assert "https://creativecommons.org/licenses/by-nc/4.0/" in page
    names = []
    for path in (tmp_path / "nc").glob("*.tar"):
        assert path.stem.endswith(("-open", "-noncommercial"))
        with tarfile.open(path) as tar:
            names += tar.getnames()
    assert f"{key(2)}.json" in names and f"{key(1)}.json" not in names


def test_the_dataset_itself_says_what_may_go_together(mixed: Path) -> None:
    page = (mixed / "LICENSES.md").read_text()
    assert "These rows are not one release" in page
    assert (
        "--group open --group sharealike" in page and "--group open --group noncommercial" in page
    )
    assert "not law" in page and "privacy, publicity and trademark" in page


def test_a_view_holds_the_parts_of_its_groups_and_counts_them(mixed: Path) -> None:
    whole = Dataset.open(mixed)
    seen = view(whole, ["open", "noncommercial"])
    assert seen.manifest.counts.kept == 23 == sum(len(t) for t in seen.kept("images", ["key"]))
    assert licensing(seen).by_license == {"CC-BY-4.0": 22, "CC-BY-NC-4.0": 1}
    assert view(whole, ["open", "sharealike", "noncommercial"]) is whole
    other = view(whole, ["sharealike"]).manifest.counts
    total = seen.manifest.counts.candidates + other.candidates
    assert total == whole.manifest.counts.candidates


def test_a_card_is_of_one_release(mixed: Path, tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    with pytest.raises(ReleaseRefused, match=r"CC-BY-SA-3\.0"):
        export_card(mixed, tmp_path / "all")
    assert not (tmp_path / "all").exists()
    with pytest.raises(OutputMismatch, match="another folder"):
        export_card(mixed, mixed, groups=["open"])
    names = export_card(mixed, tmp_path / "sa", groups=["sharealike"])
    assert {"README.md", "croissant.json", "LICENSES.md", "EU-SUMMARY.md", "EU-SUMMARY.json",
            "EU-SUMMARY-hosts.csv", "ATTRIBUTION.parquet", "attribution/page-0001.html"} <= set(names)  # fmt: skip
    card = DatasetCard((tmp_path / "sa" / "README.md").read_text())
    told = card.data.to_dict()
    assert told["license"] == "other" and told["licenses"] == ["CC-BY-SA-3.0", "CC-BY-SA-4.0"]
    assert told["license_link"] == "LICENSES.md"
    paths = [path for config in told["configs"] for path in config["data_files"][0]["path"]]
    shards = {e.path for s in Dataset.open(mixed).layer("images").shards
              if s.part.endswith("-sharealike") and (e := s.file("data"))}  # fmt: skip
    assert shards and shards <= set(paths)
    said = "holds the parts of the group sharealike only"
    for name in ("README.md", "LICENSES.md", "ATTRIBUTION.html", "croissant.json", "EU-SUMMARY.md"):
        assert said in (tmp_path / "sa" / name).read_text(), name
    croissant = json.loads((tmp_path / "sa" / "croissant.json").read_text())
    assert len(croissant["license"]) == 2
    again = export_card(mixed, tmp_path / "sa", groups=["sharealike"])
    assert again == names


def test_one_licence_alone_is_the_cards_licence(mixed: Path, tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    export_card(mixed, tmp_path / "by", groups=["open"])
    told = DatasetCard((tmp_path / "by" / "README.md").read_text()).data.to_dict()
    assert told["license"] == "cc-by-4.0" and "licenses" not in told


def test_marks_and_works_of_a_government_are_counted_apart_with_their_limits() -> None:
    rows = {"CC0-1.0": 3, "CC-PDM-1.0": 2, "PD-US-GOV": 1}
    page = licenses_text(Licensing(True, rows, {"open": 6}, {5: 6}, ()))
    assert "counted apart from CC0" in page.lower() or "Counted apart from CC0" in page
    assert "CC-PDM-1.0 (2 rows)" in page and "PD-US-GOV (1 row)" in page
    assert "17 U.S.C. § 105" in page and "no licence and no waiver" in page
    assert "## Attribution" not in page and "a credit is a courtesy" in page
