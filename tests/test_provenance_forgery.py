"""The audit against a forger who makes every digest, commit and count agree with the lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from provenance_dataset import (
    CC,
    Edit,
    Forger,
    build,
    jpeg,
    key,
    picture,
    refused,
    replaced,
    without,
)

from curate.provenance.audit import audit
from curate.store.commit import Commit, commit_path
from curate.store.dataset import Dataset
from curate.store.digest import bytes_sha256, json_digest


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("audit"))


@pytest.fixture
def out(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "out"))


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
    layer = forger.layer("duplicates")
    part, _ = forger.entry(layer, "marks", twin)
    forger.rewrite(layer, part, "marks", lambda table: without(table, twin))

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


def test_a_part_renamed_to_another_group_is_found(out: Path) -> None:
    """Share-alike rows that pose as open ones, with every part name and commit rewritten."""
    forger = Forger(out)
    part, _ = forger.entry("images", "data", key(1))
    assert part.endswith("-sharealike")
    forger.swap_parts(part, part.replace("sharealike", "noncommercial"))
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
    refused(audit(out), f"ledger {part}", "made from other files")


def test_a_reason_outside_the_closed_set_is_found(out: Path) -> None:
    forger = Forger(out)
    for layer, role in (("images", "marks"), ("ledger", "data")):
        part, _ = forger.entry(layer, role, key(8))
        forger.rewrite(layer, part, role, lambda table: replaced(table, "reason", key(8), "bored"))
    forger.publish(recount=False)
    refused(audit(out), "'bored' is not in the closed set")


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


def test_a_commit_that_counts_more_rows_than_its_files_hold(out: Path) -> None:
    forger = Forger(out)
    layers = list(forger.manifest.layers)
    [place] = [n for n, each in enumerate(layers) if each.name == "images"]
    shard = layers[place].shards[0]
    path = commit_path("images", shard.shard_id)
    told = json.loads(forger.files.read(path))
    told |= {"rows_in": told["rows_in"] + 1, "rows_out": told["rows_out"] + 1}
    forged = Commit.model_validate(told).to_bytes()
    forger.files.publish(path, forged)
    shards = [shard.model_copy(update={"commit_sha256": bytes_sha256(forged)})]
    layers[place] = layers[place].model_copy(update={"shards": shards + layers[place].shards[1:]})
    forger.manifest = forger.manifest.model_copy(update={"layers": layers})
    forger.publish(relink=False)
    assert audit(out).problems == [
        f"{path}: rows_in does not agree with MANIFEST.json or with the rest of the commit"
    ]


# --- lineage ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("lineage"), models="builtin:tiny")


def test_features_are_traced_to_their_pictures(encoded: Path) -> None:
    result = audit(encoded)
    assert result.problems == []
    assert any("features/latents" in claim for claim in result.verified)


@pytest.mark.parametrize("ending", ["images", "duplicates", "clip", "threshold", "latents"])
def test_a_layer_made_from_other_pictures_is_found(
    encoded: Path, tmp_path: Path, ending: str
) -> None:
    """Its commits, file names, ledger, manifest and record all agree with the lie."""
    out = Path(shutil.copytree(encoded, tmp_path / "out"))
    forger = Forger(out)
    layer = forger.layer(ending)
    parts = [shard.part for shard in Dataset.open(out).layer(layer).shards]
    forger.made_from({(layer, part): json_digest(["other pictures", part]) for part in parts})
    forger.publish(relink=False)
    result = audit(out)
    assert {problem.partition(": ")[0] for problem in result.problems} == {
        f"{layer} {part}" for part in parts
    }
    refused(result, "made from other files")


def test_pictures_put_in_after_their_latents_were_made_are_found(
    encoded: Path, tmp_path: Path
) -> None:
    """Everything but the latents is made consistent with the new pictures."""
    out = Path(shutil.copytree(encoded, tmp_path / "out"))
    forger = Forger(out)
    part, _ = forger.entry("images", "data", key(0))
    edit: Edit = lambda table: replaced(table, "original_mode", key(0), "L")  # noqa: E731
    forger.rewrite("images", part, "data", edit)
    layer = forger.layer("latents")
    forger.made_from({at: digest for at, digest in forger.inputs().items() if at[0] != layer})
    forger.publish(relink=False)
    result = audit(out)
    assert result.problems == [
        f"{layer} {part}: the commit was made from other files than the manifest names"
    ]


def test_a_layer_that_the_recipe_does_not_make_is_found(encoded: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(encoded, tmp_path / "out"))
    forger = Forger(out)
    layers = [layer for layer in forger.manifest.layers if not layer.name.endswith("latents")]
    forger.manifest = forger.manifest.model_copy(update={"layers": layers})
    forger.publish(relink=False)
    refused(audit(out), "MANIFEST.json", "the recipe makes", forger.recipe().passes[-1].layer)


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
