"""The audit: a sound dataset passes, and every forgery fails and is named by file or row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance_dataset import CC, Edit, Forger, build, jpeg, picture, replaced, without

from curate.errors import MissingInput
from curate.provenance.audit import audit
from curate.provenance.findings import AuditResult
from curate.sources.keys import row_key
from curate.store.dataset import Dataset
from curate.store.digest import json_digest
from curate.store.manifest import Manifest, load_record, record_bytes


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("audit"))


@pytest.fixture
def out(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "out"))


def key(n: int) -> str:
    return row_key("photos", f"p{n}")


def refused(result: AuditResult, *named: str) -> None:
    """The audit failed, and one problem names all of this."""
    assert not result.ok
    assert any(all(word in problem for word in named) for problem in result.problems), (
        result.problems
    )


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


def drop_row(out: Path, layer: str, role: str, which: str) -> None:
    forger = Forger(out)
    part, _ = forger.entry(layer, role, which)
    forger.rewrite(layer, part, role, lambda table: without(table, which))
    forger.publish()


@pytest.mark.parametrize(
    ("layer", "role", "n"),
    [("ledger", "data", 0), ("images", "data", 0), ("images", "marks", 2), ("plan", "data", 0)],
)
def test_a_removed_row_is_named_however_well_it_is_hidden(
    out: Path, layer: str, role: str, n: int
) -> None:
    drop_row(out, layer, role, key(n))
    refused(audit(out), key(n))


def test_a_doubled_ledger_row_is_named(out: Path) -> None:
    forger = Forger(out)
    part, _ = forger.entry("ledger", "data", key(0))
    double: Edit = lambda table: pa.concat_tables([table, table.slice(0, 1)])  # noqa: E731
    forger.rewrite("ledger", part, "data", double)
    forger.publish()
    refused(audit(out), "2 times in the ledger")


FORGED_VALUES = {
    "licence in images": ("images", "data", 1, "license", "CC-BY-4.0", "license"),
    "licence of a rejected row": ("images", "marks", 2, "license", "CC0-1.0", "license"),
    "evidence level": ("images", "data", 0, "evidence_level", 4, "evidence_level"),
    "licence group": ("images", "data", 1, "license_group", "open", "license_group"),
    "claims in images": ("images", "data", 0, "claims", [], "claims"),
    "creator in images": ("images", "data", 0, "creator", "Eve", "creator"),
    "verdict in the ledger": ("ledger", "data", 2, "verdict", "kept", "verdict"),
    "reason in the ledger": ("ledger", "data", 2, "reason", "aspect", "reason"),
    "hash in the ledger": ("ledger", "data", 0, "stored_sha256", "0" * 64, "stored_sha256"),
    "reason of a licence mark": ("images", "marks", 2, "reason", "aspect", "license"),
    "measured size": ("images", "marks", 5, "measured_value", 99.0, "measured_value"),
    "key in the plan": ("plan", "data", 0, "source_id", "other", "key of its source"),
    "defect in the plan": ("plan", "data", 15, "defect", None, "source"),
}


@pytest.mark.parametrize("name", FORGED_VALUES)
def test_a_forged_value_is_named_by_row(out: Path, name: str) -> None:
    layer, role, n, column, value, said = FORGED_VALUES[name]
    forger = Forger(out)
    part, _ = forger.entry(layer, role, key(n))
    forger.rewrite(layer, part, role, lambda table: replaced(table, column, key(n), value))
    forger.publish()
    refused(audit(out), key(n), said)


def test_a_licence_changed_in_every_layer_is_found_by_parsing_its_claim_again(out: Path) -> None:
    forger = Forger(out)
    for layer in ("images", "ledger"):
        part, _ = forger.entry(layer, "data", key(0))
        edit: Edit = lambda table: replaced(table, "license", key(0), "CC0-1.0")  # noqa: E731
        forger.rewrite(layer, part, "data", edit)
    forger.publish()
    refused(audit(out), key(0), "license is 'CC0-1.0', re-derived 'CC-BY-4.0'")


def test_a_duplicate_that_was_pardoned_is_found_by_deciding_again(out: Path) -> None:
    [twin] = [row["key"] for row in _ledger(out) if (row["reason"] or "").startswith("duplicate")]
    forger = Forger(out)
    part, _ = forger.entry("verdicts/duplicates", "marks", twin)
    forger.rewrite("verdicts/duplicates", part, "marks", lambda table: without(table, twin))

    def pardon(table: pa.Table) -> pa.Table:
        for column in (
            "reason",
            "retryable",
            "stage",
            "measured_value",
            "measured_text",
            "related_key",
        ):
            table = replaced(table, column, twin, None)
        return replaced(table, "verdict", twin, "kept")

    forger.rewrite("ledger", part, "data", pardon)
    forger.publish()
    refused(audit(out), twin, "missing from the marks")


def _ledger(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Dataset.open(out).ledger().to_pylist()
    return rows


def test_a_swapped_picture_is_found_with_hashes(out: Path) -> None:
    forger = Forger(out)
    part, _ = forger.entry("images", "data", key(0))
    other = {"bytes": jpeg(picture(99)), "path": "x.jpg"}
    forger.rewrite("images", part, "data", lambda table: replaced(table, "image", key(0), other))
    forger.publish()
    refused(audit(out, hashes=True), key(0), "stored_sha256")


def test_a_column_of_another_type_is_named(out: Path) -> None:
    def widen(table: pa.Table) -> pa.Table:
        place = table.column_names.index("width")
        return table.set_column(place, "width", table["width"].cast(pa.int64()))

    forger = Forger(out)
    part, entry = forger.entry("images", "data")
    forger.rewrite("images", part, "data", widen)
    forger.publish()
    refused(audit(out), entry.path.rpartition("-")[0], "'width' is int64")


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
    forger.publish(recount=False)
    refused(audit(out), "layer images", "parts differ")


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


def test_a_part_renamed_to_another_group_is_found(out: Path) -> None:
    """Share-alike rows that pose as open ones, with every part name and commit rewritten."""
    forger = Forger(out)
    part, _ = forger.entry("images", "data", key(1))
    assert part.endswith("-sharealike")
    forger.rename_part(part, part.replace("sharealike", "noncommercial"))
    forger.publish()
    refused(audit(out), key(1), "is of group 'sharealike'")


def test_a_plan_out_of_order_is_found(out: Path) -> None:
    forger = Forger(out)
    part, entry = forger.entry("plan", "data", key(0))
    assert entry.rows > 1
    forger.rewrite(
        "plan", part, "data", lambda table: table.take(pa.array(range(len(table))[::-1]))
    )
    forger.publish()
    refused(audit(out), f"plan {part}", "not in order")


def test_a_shard_put_in_after_the_ledger_was_written_is_found(out: Path) -> None:
    forger = Forger(out)
    part, _ = forger.entry("images", "data", key(0))
    forger.rewrite(
        "images", part, "data", lambda table: replaced(table, "original_mode", key(0), "L")
    )
    forger.publish(relink=False)
    refused(audit(out), f"ledger {part}", "made from other shards")


def test_a_reason_outside_the_closed_set_is_found(out: Path) -> None:
    forger = Forger(out)
    for layer, role in (("images", "marks"), ("ledger", "data")):
        part, _ = forger.entry(layer, role, key(8))
        forger.rewrite(layer, part, role, lambda table: replaced(table, "reason", key(8), "bored"))
    forger.publish(recount=False)
    refused(audit(out), "'bored' is not in the closed set")


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


def test_a_licence_that_never_was(out: Path) -> None:
    """A row whose claim names no tool cannot be made to pass by forging its licence."""
    assert f"{CC}/by-nc/4.0/" in json.dumps(_plan_claims(out, key(2)))
    forger = Forger(out)
    part, _ = forger.entry("images", "marks", key(3))
    for column, value in (
        ("license", "CC-BY-4.0"),
        ("license_group", "open"),
        ("evidence_level", 5),
    ):
        edit: Edit = lambda table, c=column, v=value: replaced(table, c, key(3), v)  # type: ignore[misc] # noqa: E731
        forger.rewrite("images", part, "marks", edit)
    forger.publish()
    refused(audit(out), key(3), "license")


def _plan_claims(out: Path, wanted: str) -> Any:
    for table in Dataset.open(out).tables("plan", ["key", "claims"]):
        for row in table.to_pylist():
            if row["key"] == wanted:
                return row["claims"]
    raise AssertionError(wanted)


def _dropped(table: pa.Table, column: str) -> pa.Table:
    return table.drop_columns([column])


def _emptied(table: pa.Table, column: str) -> pa.Table:
    field = table.schema.field(column).with_nullable(True)
    place = table.column_names.index(column)
    return table.set_column(place, field, pa.nulls(len(table), field.type))


def _scrambled(table: pa.Table, column: str) -> pa.Table:
    field = table.schema.field(column)
    place = table.column_names.index(column)
    values = pa.array(["\\u0000 not what it was"] * len(table), pa.string())
    return table.set_column(place, field.with_type(pa.string()), values)


@pytest.mark.parametrize("forge", [_dropped, _emptied, _scrambled])
@pytest.mark.parametrize(
    ("layer", "role"),
    [("plan", "data"), ("images", "data"), ("images", "marks"), ("ledger", "data")],
)
def test_no_column_however_mangled_stops_the_audit(
    sound: Path, tmp_path: Path, layer: str, role: str, forge: Callable[[pa.Table, str], pa.Table]
) -> None:
    part, entry = Forger(sound).entry(layer, role, key(2) if role == "marks" else key(0))
    mangled = 0
    for column in ("key", "verdict", "reason", "stage", "claims", "captions", "license", "width"):
        whole = Forger(sound).table(entry)
        if column not in whole.column_names or whole[column].null_count == len(whole):
            continue
        copy = Path(shutil.copytree(sound, tmp_path / column))
        forger = Forger(copy)
        try:
            forger.rewrite(layer, part, role, lambda table, name=column: forge(table, name))  # type: ignore[misc]
        except (KeyError, TypeError):
            continue  # so mangled that not even a forger can write a commit for it
        forger.publish(recount=False, relink=False)
        result = audit(copy, hashes=True)
        assert not result.ok, column
        mangled += 1
    assert mangled > 1
