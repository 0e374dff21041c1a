"""The audit: a sound dataset passes; damaged, missing and edited files fail and are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance_dataset import Forger, build, key, refused

from curate.errors import MissingInput
from curate.provenance.audit import audit
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.manifest import Manifest, load_record, record_bytes


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("audit"))


@pytest.fixture
def out(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "out"))


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, indent=1))
    return value


@pytest.mark.parametrize("hashes", [False, True])
def test_a_sound_dataset_passes(sound: Path, hashes: bool) -> None:
    result = audit(sound, hashes=hashes)
    manifest = Dataset.open(sound).manifest
    assert result.ok and result.problems == []
    assert (result.kept, result.rejected, result.failed) == (
        manifest.counts.kept,
        manifest.counts.rejected,
        manifest.counts.failed,
    )
    assert result.dataset_digest == manifest.dataset_digest
    assert result.bytes_digest == manifest.bytes_digest
    told = json.loads(result.to_json())
    assert told["ok"] is True
    assert {"dataset_digest", "bytes_digest", "kept", "rejected", "failed", "problems"} <= set(told)
    assert result.failed == {"missing_file": 1}
    assert "all claims hold" in result.to_text()


def files_of_each_kind(root: Path) -> list[Path]:
    """The manifest, record and plan, and of every folder of shards and commits one file."""
    folders = sorted(
        {path.parent for path in root.rglob("*") if path.suffix in (".parquet", ".json")}
    )
    found = [root / "MANIFEST.json", root / "record.json", root / "plan" / "PLAN.json"]
    for folder in folders:
        files = sorted(folder.glob("*.parquet")) or sorted(folder.glob("*.json"))
        found += [files[-1]] if folder.name in ("data", "marks", "observations", "commits") else []
    return found


def test_a_flipped_byte_in_every_kind_of_file_is_found(out: Path) -> None:
    for path in files_of_each_kind(out):
        whole = path.read_bytes()
        place = len(whole) * 2 // 3
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(audit(out, hashes=True), path.name.removesuffix(".json"))
        path.write_bytes(whole)
    assert audit(out, hashes=True).ok


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_flipped_byte_anywhere_is_found(out: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files_of_each_kind(out)))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
    try:
        assert not audit(out, hashes=True).ok
    finally:
        path.write_bytes(whole)


def test_a_missing_file_or_commit_is_named(out: Path) -> None:
    for path in files_of_each_kind(out):
        if path.name == "MANIFEST.json":
            continue
        whole = path.read_bytes()
        path.unlink()
        refused(audit(out), path.name, "missing")
        path.write_bytes(whole)
    (out / "MANIFEST.json").unlink()
    with pytest.raises(MissingInput, match=r"MANIFEST\.json"):
        audit(out)


def test_a_shortened_file_is_found_without_hashes(out: Path) -> None:
    [path, *_] = sorted((out / "images" / "data").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    refused(audit(out), path.name, "bytes")


def test_edited_counts_in_the_manifest(out: Path) -> None:
    def claim(value: dict[str, Any]) -> None:
        value["counts"]["kept"] += 1

    value = edit_json(out / "MANIFEST.json", claim)
    refused(audit(out), "MANIFEST.json was edited")
    manifest = Manifest.model_validate(value)
    (out / "MANIFEST.json").write_bytes(manifest.to_bytes())
    refused(audit(out), "counts.kept")
    refused(audit(out), "record.json", "manifest_sha256")


@pytest.mark.parametrize("name", ["dataset_digest", "bytes_digest"])
def test_edited_digests_in_the_manifest(out: Path, name: str) -> None:
    value = edit_json(out / "MANIFEST.json", lambda value: value.update({name: "0" * 64}))
    (out / "MANIFEST.json").write_bytes(Manifest.model_validate(value).to_bytes())
    refused(audit(out), "MANIFEST.json", name)


def test_a_manifest_without_a_part(out: Path) -> None:
    forger = Forger(out)
    layers = [
        layer.model_copy(update={"shards": layer.shards[1:]}) if layer.name == "images" else layer
        for layer in forger.manifest.layers
    ]
    forger.manifest = forger.manifest.model_copy(update={"layers": layers})
    forger.publish(recount=False, relink=False)
    refused(audit(out), "layer images", "parts differ")


def test_plan_and_ledger_of_different_length(out: Path) -> None:
    forger = Forger(out)
    part, _ = forger.entry("ledger", "data", key(0))
    forger.rewrite("ledger", part, "data", lambda table: table.slice(1))
    forger.publish()
    result = audit(out)
    refused(result, "the plan has 40 rows, the ledger 39")
    assert "the plan has 40 rows, the ledger 39" in result.to_text()
    assert any("the ledger 39" in problem for problem in json.loads(result.to_json())["problems"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: plan.update(rows=plan["rows"] + 1), "rows is 41, the plan's commits hold 40"),
        (lambda plan: plan["shards"].popitem(), "shards"),
        (lambda plan: plan["shards"].update({min(plan["shards"]): "0" * 64}), "shards"),
    ],
)
def test_a_plan_that_names_other_commits(
    out: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    edit_json(out / "plan" / "PLAN.json", change)
    refused(audit(out), "plan/PLAN.json", said)


RECORD_EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "funnel": (lambda r: r["funnel"][1].update(rows_out=r["funnel"][1]["rows_out"] + 1), "funnel"),
    "reasons": (lambda r: r["funnel"][1]["marked"].clear(), "funnel"),
    "shorter funnel": (lambda r: r["funnel"].pop(), "funnel"),
    "recipe": (lambda r: r["recipe"].update(name="another"), "recipe"),
    "audited": (lambda r: r.update(license_audited=False), "license_audited"),
    "counts": (lambda r: r["counts"].update(kept=1), "counts"),
    "fingerprint": (lambda r: r.update(recipe_fingerprint="0" * 64), "recipe_fingerprint"),
}


@pytest.mark.parametrize("name", RECORD_EDITS)
def test_an_edited_record_is_found_with_and_without_its_digest(out: Path, name: str) -> None:
    change, said = RECORD_EDITS[name]
    value = edit_json(out / "record.json", change)
    refused(audit(out), "record.json was edited")
    (out / "record.json").write_bytes(record_bytes(value))
    load_record(Dataset.open(out).files)
    refused(audit(out), "record.json", said)


def test_any_edit_of_the_record_breaks_its_digest(out: Path) -> None:
    edit_json(out / "record.json", lambda value: value.update(finished_at="2020-01-01"))
    refused(audit(out), "record.json was edited")


def test_an_edited_recipe_in_the_plan(out: Path) -> None:
    def loosen(value: dict[str, Any]) -> None:
        value["recipe"]["passes"][0]["stages"][0]["policy"] = "noncommercial"

    edit_json(out / "plan" / "PLAN.json", loosen)
    result = audit(out)
    refused(result, key(2), "license")
    refused(result, "record.json", "recipe")


def test_an_edited_commit(out: Path) -> None:
    [path, *_] = sorted((out / "images" / "commits").iterdir())
    edit_json(path, lambda value: value.update(rows_in=value["rows_in"] + 1))
    refused(audit(out), path.name)


def test_stray_files_are_noted_and_break_nothing(out: Path) -> None:
    (out / "images" / "data" / "stray.parquet").write_bytes(b"x")
    result = audit(out, hashes=True)
    assert result.ok
    assert any("images/data/stray.parquet" in note for note in result.notes)


def test_damage_in_one_part_leaves_the_others_counted(out: Path) -> None:
    dataset = Dataset.open(out)
    entry = dataset.layer("images").shards[0].file("data")
    assert entry is not None
    dataset.path(entry).write_bytes(b"gone")
    result = audit(out, hashes=True)
    refused(result, entry.path)
    assert result.kept == dataset.manifest.counts.kept


def test_problems_of_one_kind_are_counted_not_all_listed(out: Path) -> None:
    forger = Forger(out)
    for shard in forger.manifest.layers[-1].shards:
        forger.rewrite("ledger", shard.part, "data", lambda table: table.slice(0, 0))
    forger.publish(recount=False)
    result = audit(out)
    assert not result.ok
    assert any("more of this kind" in problem for problem in result.problems)
    assert json_digest(result.problems) == json_digest(audit(out).problems)


def test_the_demo_dataset_passes_with_its_features(demo_dataset: Path) -> None:
    result = audit(demo_dataset, hashes=True)
    assert result.problems == []
