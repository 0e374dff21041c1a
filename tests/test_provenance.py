"""What a dataset says of itself: stories, credit lines, card, Croissant; all of it escaped."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from provenance_dataset import NASTY, build, key

from curate.engine import run_inline
from curate.errors import MissingInput, RecipeError
from curate.provenance import write_outputs
from curate.provenance.attribution import SCHEMA, credit_of
from curate.provenance.audit import audit
from curate.provenance.card import write_card
from curate.provenance.croissant import croissant
from curate.provenance.explain import explain
from curate.provenance.licensing import licensing
from curate.recipe import recipe_from
from curate.report import write_report
from curate.store.dataset import Dataset
from curate.store.digest import file_sha256
from curate.store.files import LocalFiles
from curate.store.manifest import record_bytes


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build(tmp_path_factory.mktemp("provenance"))
    write_outputs(path)
    return path


# --- explain ------------------------------------------------------------------------------------
def test_a_kept_row_tells_everything(out: Path) -> None:
    text = str(explain(out, key(0)))
    for said in (
        f"row {key(0)}", "source id: p0", "a picture number 0",
        "L5 url: https://creativecommons.org/licenses/by/4.0/",
        "claimed by photos.example at photos#license, 2024-05-01", "read as CC-BY-4.0",
        "license: CC-BY-4.0", "evidence level: 5", "original format: JPEG", "verdict: kept",
        "images/data/", "ledger/data/",
    ):  # fmt: skip
        assert said in text, said


def test_rejected_rows_say_where_it_ended(out: Path) -> None:
    refused = str(explain(out, key(3)))
    assert "verdict: rejected" in refused and "stage: license" in refused
    small = str(explain(out, key(5)))
    assert "reason: too_small" in small and "measured value: 30" in small
    broken = str(explain(out, key(15)))
    assert "defect: malformed:caption" in broken and "stage: source" in broken


def test_a_duplicate_and_its_survivor_name_each_other(out: Path) -> None:
    rows = Dataset.open(out).ledger(["key", "reason", "related_key"]).to_pylist()
    [twin] = [row for row in rows if (row["reason"] or "").startswith("duplicate")]
    assert twin["related_key"] in str(explain(out, twin["key"]))
    assert twin["key"][:16] in str(explain(out, twin["related_key"]))


def test_a_row_is_found_by_prefix_hash_and_id(out: Path) -> None:
    [row] = [r for r in Dataset.open(out).ledger().to_pylist() if r["key"] == key(1)]
    for name in (
        key(1)[:20],
        key(1)[:20].upper(),
        row["original_sha256"],
        row["stored_sha256"],
        "p1",
    ):
        assert explain(out, name).key == key(1)
    with pytest.raises(MissingInput, match="no row"):
        explain(out, "f" * 64)
    with pytest.raises(MissingInput, match="no row"):
        explain(out, "")
    shared = "0123456789abcdef"
    with pytest.raises(RecipeError, match="by its whole key"):
        next(explain(out, letter) for letter in shared if _count(out, letter) > 1)


def _count(out: Path, letter: str) -> int:
    return sum(
        found.startswith(letter) for found in Dataset.open(out).ledger(["key"])["key"].to_pylist()
    )


def test_control_characters_are_made_visible() -> None:
    from curate.provenance.lines import printable

    assert printable("a\x1b[31mred\nline") == "a\\x1b[31mred\\nline"
    assert printable("x" * 1000).endswith("… (1000 characters)")


# --- attribution --------------------------------------------------------------------------------
def kept(out: Path) -> set[str]:
    rows = Dataset.open(out).ledger(["key", "verdict"]).to_pylist()
    return {row["key"] for row in rows if row["verdict"] == "kept"}


def test_every_kept_row_has_one_credit_in_every_form(out: Path) -> None:
    table = pq.read_table(out / "ATTRIBUTION.parquet")
    assert table.schema.equals(SCHEMA)
    with (out / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    page = "".join(path.read_text() for path in pages(out))
    assert len(table) == len(lines) == page.count("<tr id=") == len(kept(out))
    assert set(table["key"].to_pylist()) == {line["key"] for line in lines} == kept(out)


def pages(out: Path) -> list[Path]:
    """The pages of credits, without the index."""
    return sorted((out / "attribution").glob("page-*.html"))


def credit(out: Path, n: int) -> dict[str, Any]:
    rows = pq.read_table(out / "ATTRIBUTION.parquet").to_pylist()
    found: dict[str, Any] = next(row for row in rows if row["key"] == key(n))
    return found


def test_a_credit_holds_title_author_source_licence_and_changes(out: Path) -> None:
    assert credit(out, 0)["text"] == (
        "“Title 0” by Ann, https://photos.example/0, licensed under Attribution 4.0 International "
        "(https://creativecommons.org/licenses/by/4.0/). Changes: re-encoded."
    )
    assert credit(out, 16)["missing"] == "author, source"
    assert "unknown author" in credit(out, 16)["text"]


def test_changes_are_told_from_the_row() -> None:
    row = {"key": "k", "orientation": 6, "original_mode": "CMYK", "original_width": 200}
    row |= {"original_height": 100, "width": 50, "height": 100, "crop_box": [0, 0, 50, 50]}
    assert credit_of(row).changes == (
        "turned upright; converted from CMYK to RGB; resized from 200 × 100 to 50 × 100; "
        "re-encoded; cropped for training to [0, 0, 50, 50]"
    )
    turned = {"key": "k", "orientation": 6, "original_width": 9, "original_height": 8}
    assert "resized" not in credit_of(turned | {"width": 8, "height": 9}).changes


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_what_strangers_wrote_is_text_and_never_markup(out: Path) -> None:
    [written] = pages(out)
    text = written.read_text()
    page = _Tags()
    page.feed(text)
    assert "script" not in page.tags
    assert "&lt;script&gt;" in text
    assert page.links and all(
        link.startswith("http") or link == "../ATTRIBUTION.html" for link in page.links
    )
    with (out / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as stream:
        rows = {line["key"]: line for line in csv.DictReader(stream)}
    assert rows[key(11)]["creator"].startswith("'=cmd")
    assert credit(out, 11)["creator"].startswith("=cmd")
    assert credit(out, 10)["title"] == NASTY


# --- card and Croissant -------------------------------------------------------------------------
def front_matter(out: Path) -> tuple[dict[str, Any], str]:
    _, head, body = (out / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def test_the_card_gives_mixed_rows_no_blanket_licence(out: Path) -> None:
    head, body = front_matter(out)
    assert head["license"] == "other" and head["license_name"] == "per-picture"
    rows = Dataset.open(out).ledger().to_pylist()
    count = sum(row["verdict"] == "kept" and row["license"] == "CC-BY-SA-3.0" for row in rows)
    assert f"[CC-BY-SA-3.0](https://creativecommons.org/licenses/by-sa/3.0/) | {count} |" in body
    assert "it does not show that the claim is true" in body
    assert "privacy, publicity and trademark" in body
    assert Dataset.open(out).manifest.dataset_digest in body
    assert NASTY not in body


def test_the_card_parses_as_one_of_the_hub(out: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard((out / "README.md").read_text())
    assert card.data.license == "other"
    for config, layer in zip(card.data.configs, ("images", "ledger"), strict=True):
        assert config["config_name"] == layer
        assert config["data_files"][0]["path"] == files_of(out, layer)


def files_of(out: Path, layer: str) -> list[str]:
    """The data files of a layer that the manifest names and that hold rows."""
    shards = Dataset.open(out).layer(layer).shards
    return [entry.path for shard in shards if (entry := shard.file("data")) and entry.rows]


def test_files_that_the_manifest_does_not_name_are_not_in_the_card(
    out: Path, tmp_path: Path
) -> None:
    """However many files there are, none is named by a pattern."""
    dataset = Dataset.open(out)
    [images] = [layer for layer in dataset.manifest.layers if layer.name == "images"]
    many = images.model_copy(update={"shards": images.shards * 100})
    layers = [many if layer is images else layer for layer in dataset.manifest.layers]
    files = LocalFiles(shutil.copytree(out, tmp_path / "out"))
    (files.root / "images" / "data" / "stray.parquet").write_bytes(b"nobody published this")
    whole = Dataset(files, dataset.manifest.model_copy(update={"layers": layers}))
    for text in (
        write_card(whole, licensing(whole), whole.root),
        json.dumps(croissant(whole, licensing(whole))),
    ):
        assert "*.parquet" not in text and "stray" not in text


def test_the_card_says_how_to_read_the_kept_rows(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of the card, run as they stand, give the kept rows."""
    _, body = front_matter(out)
    assert "also those that a later pass rejected" in " ".join(body.split())
    [code] = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    monkeypatch.chdir(out)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    found: dict[str, Any] = {}
    exec(code, found)
    assert set(found["images"]["key"]) == kept(out)
    assert len(found["images"]) < sum(len(table) for table in Dataset.open(out).tables("images"))


def test_croissant_is_valid_and_reads_rows(out: Path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(jsonld=str(out / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    sets = {
        each.name: {field.name for field in each.fields} for each in dataset.metadata.record_sets
    }
    assert {"license", "evidence_level", "image"} <= sets["pictures"]
    assert not {"creator", "title", "url", "landing_url"} & sets["pictures"]
    assert {"license", "license_url", "creator", "text"} <= sets["credits"]
    told = json.loads((out / "croissant.json").read_text())
    files = [entry for entry in told["distribution"] if entry["@type"] == "cr:FileObject"]
    layers = [Dataset.open(out).layer(name) for name in ("images", "ledger")]
    shards = [shard.file("data") for layer in layers for shard in layer.shards]
    hashes = {entry.sha256 for entry in shards if entry}
    hashes.add(file_sha256(out / "ATTRIBUTION.parquet"))
    assert {file["sha256"] for file in files} == hashes
    sets = [entry for entry in told["distribution"] if entry["@type"] == "cr:FileSet"]
    named = [name for entry in sets for name in entry["includes"]]
    assert named == [file["contentUrl"] for file in files if file["@id"] != "ATTRIBUTION.parquet"]
    verdicts = [row["verdicts/verdict"] for row in dataset.records("verdicts")]
    assert verdicts.count(b"kept") == len(kept(out))
    assert len(told["license"]) == 3
    first = next(iter(dataset.records("pictures")))
    assert first["pictures/license"].startswith(b"CC-BY")
    addresses = {
        row["licenses/id"].encode(): row["licenses/url"] for row in dataset.records("licenses")
    }
    rows = list(dataset.records("credits"))
    assert {row["credits/key"].decode() for row in rows} == kept(out)
    for row in rows:
        assert row["credits/license_url"].decode() == addresses[row["credits/license"]]


# --- without an audit ---------------------------------------------------------------------------
@pytest.fixture(scope="module")
def unaudited(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("folder")
    shutil.copytree(out.parent / "pictures", base / "pictures")
    (base / "pictures" / "0.txt").write_text("a caption")
    declare = {"license": "CC-BY-4.0", "by": "Ada", "statement": "I took these pictures"}
    source = {"kind": "folder", "path": str(base / "pictures"), "declare": declare}
    stages = [{"kind": "captions"}, {"kind": "read_file", "root": str(base / "pictures")}]
    passes = [{"layer": "images", "stages": [*stages, {"kind": "inspect"}]}]
    value = {"name": "folder", "source": source, "passes": passes}
    run_inline(recipe_from(value, origin="test"), base / "out")
    write_outputs(base / "out")
    return base / "out"


def test_without_a_licence_stage_every_output_says_so(unaudited: Path) -> None:
    for name in ("README.md", "ATTRIBUTION.html", "croissant.json"):
        assert "licence: not audited" in (unaudited / name).read_text().lower(), name
    [row] = pq.read_table(unaudited / "ATTRIBUTION.parquet").to_pylist()
    assert row["license"] is None and "licence: not audited" in row["text"]
    assert row["declared_by"] == "Ada (CC-BY-4.0)"
    assert front_matter(unaudited)[0]["license_name"] == "not-audited"
    story = str(explain(unaudited, row["key"]))
    assert "not audited" in story
    assert "kept as a declaration, not as found evidence" in story


def test_a_declaration_is_told_from_the_rows_and_not_from_the_recipe(
    unaudited: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(unaudited, tmp_path / "out"))
    record = json.loads((out / "record.json").read_text())
    record["recipe"]["source"]["declare"] = None
    (out / "record.json").write_bytes(record_bytes(record))
    write_outputs(out)
    write_report(out)
    for name in ("README.md", "ATTRIBUTION.html", "croissant.json"):
        text = (out / name).read_text().replace("\\", "")
        assert "1 of 1 pictures rest on a declaration" in text, name
        assert "CC-BY-4.0 by Ada (declared in the recipe: I took these pictures)" in text, name
    page = (out / "report.html").read_text()
    assert "1 kept picture rests on the rights holder" in page and "CC-BY-4.0 by Ada" in page


def test_an_unaudited_dataset_passes_its_own_audit_and_says_what_it_is(unaudited: Path) -> None:
    result = audit(unaudited, hashes=True)
    assert result.problems == []
    assert any("licence: not audited" in note for note in result.notes)


def test_the_demo_dataset_is_told(demo_dataset: Path) -> None:
    ledger = Dataset.open(demo_dataset).ledger().to_pylist()
    row = next(row for row in ledger if row["verdict"] == "kept")
    text = str(explain(demo_dataset, row["key"]))
    for said in ("http status: 200", "clip score:", "latent height:", "t5 tokens:"):
        assert said in text, said
