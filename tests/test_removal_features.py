"""Removal through features, latents, thresholds and pages; what trained on it is named; forgeries are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from provenance_dataset import Forger, build, key, refused, replaced
from rich.console import Console

from curate import commands
from curate.cluster import Cluster
from curate.demo.run import serving
from curate.engine import run_inline
from curate.errors import OutputMismatch
from curate.plan import PLAN
from curate.provenance import write_outputs
from curate.provenance.audit import audit
from curate.provenance.receipt import Receipt, load_receipts
from curate.provenance.takedown import Selectors, remove
from curate.provenance.verify_removal import verify_removal
from curate.store.dataset import Dataset
from curate.store.digest import bytes_sha256, json_digest
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, RECORD, record_bytes
from curate.store.tombstones import LOG
from curate.train.loop import train
from curate.train.settings import TrainSettings


def take(out: Path, **selectors: Any) -> Receipt:
    return remove(out, selectors=Selectors(**selectors), reason="a test", write_pages=write_outputs)


# --- the demo: the web, features, training --------------------------------------------------------
@pytest.fixture(scope="module")
def demo_removed(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Receipt, dict[str, Any]]:  # fmt: skip
    """The demo after two training steps, then without one kept row, asked for by its URL."""
    out = tmp_path_factory.mktemp("removed") / "out"
    shutil.copytree(demo_dataset, out)
    settings = TrainSettings(size="tiny", steps=2, batch_size=8, threads=1)
    train(out, settings, out / "checkpoint")
    dataset = Dataset.open(out)
    ledger = dataset.ledger(["key", "verdict"])
    kept = set(ledger.filter(pc.equal(ledger["verdict"], "kept"))["key"].to_pylist())
    rows = (r for t in dataset.tables("plan") for r in t.to_pylist())
    row = next(row for row in rows if row["key"] in kept and row["creator"])
    receipt = remove(
        out, selectors=Selectors(urls=[row["url"]]), reason="a test",
        write_pages=commands.write_pages,
    )  # fmt: skip
    return out, receipt, row


def test_it_is_gone_from_every_layer_and_every_page(demo_removed: tuple[Path, Receipt, dict[str, Any]]) -> None:  # fmt: skip
    out, receipt, row = demo_removed
    assert receipt.rows >= 1 and receipt.found_by
    dataset = Dataset.open(out)
    for layer in ("images", "features/clip", "features/latents"):
        assert row["key"] not in [k for t in dataset.tables(layer, ["key"]) for k in t["key"].to_pylist()]  # fmt: skip
    result = verify_removal(out)
    assert result.ok, result.to_text()
    assert audit(out, hashes=True).problems == []
    assert dataset.record["removal"]["receipt"] == "removals/000001.json"
    assert not (out / "corpus").exists() and any("corpus" in text for text in receipt.out_of_reach)


def test_the_checkpoint_trained_on_it_is_named(demo_removed: tuple[Path, Receipt, dict[str, Any]]) -> None:  # fmt: skip
    out, receipt, _ = demo_removed
    [trained] = receipt.checkpoints
    assert trained.path == "checkpoint/checkpoint" and trained.step == 2
    assert trained.dataset_digest == receipt.before.dataset_digest
    assert trained.rows_read in range(receipt.rows + 1)
    settings = TrainSettings(size="tiny", steps=2, batch_size=8, threads=1)
    with pytest.raises(
        OutputMismatch, match=r"rows were removed since \(removals/000001\.json\): train anew"
    ):
        train(out, settings, out / "checkpoint")
    assert train(out, settings, out / "another").steps == 2


def test_the_run_again_fetches_nothing(
    demo_removed: tuple[Path, Receipt, dict[str, Any]], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(demo_removed[0], tmp_path / "out"))
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    recipe, cluster = commands.recipe_of(out), Cluster(workers=1)
    with serving(recipe, out, cluster, Console(quiet=True)) as (ready, placed):
        outcome = run_inline(ready, out, cluster=placed)
    assert outcome.finished_before
    made = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet") if "corpus" not in p.parts}
    assert made == before
    result = verify_removal(out)
    assert result.ok and any("corpus" in note for note in result.notes)


# --- a threshold at a quantile --------------------------------------------------------------------
@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = build(tmp_path_factory.mktemp("encoded"), models="builtin:tiny")
    write_outputs(out)
    return out


def test_a_quantile_stays_where_it_was(encoded: Path, tmp_path: Path) -> None:
    """Rows that go would move the quantile: its score is kept, no other verdict changes."""
    out = Path(shutil.copytree(encoded, tmp_path / "out"))
    before = {r["key"]: r for r in Dataset.open(out).ledger().to_pylist()}
    under = [k for k, r in before.items() if r["stage"] == "threshold"]
    kept = [k for k, r in before.items() if r["verdict"] == "kept"]
    take(out, keys=[*under, *kept[:4]])
    take(out, keys=kept[4:6])
    after = {r["key"]: r for r in Dataset.open(out).ledger().to_pylist()}
    gone = {k for k, r in after.items() if r["reason"] == "removed"}
    assert {*under, *kept[:6]} <= gone
    assert all(after[k] == before[k] for k in before if k not in gone)
    plan = json.loads((out / PLAN).read_text())
    assert plan["settled"]["verdicts/clip-threshold"]["remembered"]["least"] > -1
    assert audit(out, hashes=True).problems == []
    assert verify_removal(out).ok


# --- forgeries ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def removed(encoded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(shutil.copytree(encoded, tmp_path_factory.mktemp("forged") / "out"))
    take(out, keys=[key(12)])
    take(out, keys=[key(0)])
    return out


@pytest.fixture
def out(removed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(removed, tmp_path / "out"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def republish(out: Path, **change: Any) -> None:
    """A manifest with other values whose digests, and the record's, fit."""
    forger = Forger(out)
    forger.manifest = forger.manifest.model_copy(update=change)
    forger.publish(relink=False, recount=False)


def test_an_edited_tombstone_is_named(out: Path) -> None:
    log = out / LOG
    log.write_text(log.read_text().replace('"reason":"a test"', '"reason":"b test"', 1))
    refused(audit(out), f"{LOG} line 2", "does not follow")


def test_a_dropped_tombstone_is_named(out: Path) -> None:
    log = out / LOG
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:1] + lines[2:]))
    refused(audit(out), f"{LOG} line 2", "dropped")
    log.write_text("".join(lines[:-1]))
    refused(audit(out), LOG, "lines were dropped or added")
    log.unlink()
    refused(audit(out), LOG, "has 0 lines")


def test_a_log_rewritten_from_its_first_line_does_not_have_the_digest(out: Path) -> None:
    from curate.store.tombstones import Log, load_log

    log = load_log(LocalFiles(out))
    entries = [e.model_copy(update={"reason": "none"}) for e in log.entries]
    (out / LOG).write_bytes(Log().followed_by(entries).to_bytes())
    refused(audit(out), LOG, "MANIFEST.json names")
    republish(out, tombstones=load_log(LocalFiles(out)).digest)
    refused(audit(out), "removals/000001.json", "tombstones is not the digest")


def test_an_edited_receipt_is_named(out: Path) -> None:
    path = out / "removals" / "000001.json"
    whole = path.read_text()
    edit(path, lambda receipt: receipt.update(rows=1))
    refused(audit(out), "removals/000001.json was edited")
    path.write_text(whole)

    def reseal(receipt: dict[str, Any]) -> None:
        receipt["rows"] = 1
        del receipt["digest"]
        receipt["digest"] = json_digest(receipt)

    edit(path, reseal)
    refused(audit(out), "removals/000001.json", "rows is 1, the log holds 2")
    path.unlink()
    refused(audit(out), "removals/000001.json is missing")


def test_a_previous_version_that_never_was_is_named(out: Path) -> None:
    def plan(value: dict[str, Any]) -> None:
        value["previous"] = "0" * 64

    republish(out, previous="0" * 64)
    refused(audit(out), "MANIFEST.json", "previous", "PLAN.json says")
    edit(out / PLAN, plan)
    (out / PLAN).write_text((out / PLAN).read_text().rstrip("\n") + "\n")
    refused(audit(out), "MANIFEST.json", "previous", "receipt says")
    republish(out, version=7)
    refused(audit(out), "MANIFEST.json", "version is 7")


def test_a_text_that_was_not_erased_is_named(out: Path) -> None:
    forger = Forger(out)
    part, _ = forger.entry("plan", "data", key(12))
    forger.rewrite("plan", part, "data", lambda t: replaced(t, "title", key(12), "Title 12"))
    forger.publish()
    refused(audit(out), key(12), "its title was not erased")


def test_a_plan_row_that_is_itself_again_is_named(out: Path, encoded: Path) -> None:
    """The row as it was, in the plan alone: its tombstone says that it is removed."""
    part, entry = Forger(encoded).entry("plan", "data", key(12))
    old = Forger(encoded).table(entry)
    Forger(out)

    def back(table: pa.Table) -> pa.Table:
        return pa.concat_tables([table.filter(pc.not_equal(table["key"], key(12))),
                                 old.filter(pc.equal(old["key"], key(12)))]).sort_by("key")  # fmt: skip

    forger = Forger(out)
    forger.rewrite("plan", part, "data", back)
    forger.publish()
    refused(audit(out), f"plan {part}", key(12), "its defect does not say")


def test_a_picture_under_another_key_is_back(out: Path, encoded: Path) -> None:
    """A living row gets the prints of the removed one."""
    _, entry = Forger(encoded).entry("images", "data", key(12))
    old = {row["key"]: row for row in Forger(encoded).table(entry).to_pylist()}[key(12)]
    forger = Forger(out)
    part, _ = forger.entry("images", "data", key(14))

    def disguise(table: pa.Table) -> pa.Table:
        for name in ("phash", "thumbprint"):
            table = replaced(table, name, key(14), old[name])
        return table

    forger.rewrite("images", part, "data", disguise)
    forger.publish()
    refused(audit(out), key(14), "is back", "near")


def test_an_accepted_digest_hides_no_wrong_mark(out: Path) -> None:
    """Verdicts of an untouched part stand by the digest of before; a wrong one among them does not."""
    forger = Forger(out)
    layer = forger.layer("threshold")
    settled = json.loads((out / PLAN).read_text())["settled"][layer]["inputs"]
    assert len(settled) == 3
    commits = {
        shard.part: json.loads((out / f"{layer}/commits/{shard.shard_id}.json").read_text())
        for each in forger.manifest.layers if each.name == layer for shard in each.shards
    }  # fmt: skip
    assert {commit["input_digest"] for commit in commits.values()} >= {settled[0], settled[2]}
    [part] = [p for p, c in commits.items() if c["input_digest"] == settled[0] and c["rows_in"]][:1]
    images = next(s for e in forger.manifest.layers if e.name == "features/clip" for s in e.shards if s.part == part)  # fmt: skip
    victim = forger.table(images.file("data"))["key"][0].as_py()  # type: ignore[union-attr]

    def wrong(table: pa.Table) -> pa.Table:
        row = {"key": victim, "verdict": "rejected", "reason": "clip_score", "retryable": False,
               "stage": "threshold", "measured_value": -1.0, "measured_text": "quantile 0.1"}  # fmt: skip
        keep = table.filter(pc.not_equal(table["key"], victim))
        more = pa.Table.from_pylist([row], schema=table.schema)
        return pa.concat_tables([keep, more]).sort_by("key")

    forger.rewrite(layer, part, "marks", wrong)
    forger.publish(relink=False, recount=False)
    refused(audit(out), layer, victim)


def test_a_barrier_that_remembers_wrongly_is_found(out: Path) -> None:
    layer = Forger(out).layer("threshold")
    edit(out / PLAN, lambda plan: plan["settled"][layer]["remembered"].update(least=9.0))
    refused(audit(out), layer, "missing from the marks")


def test_an_accepted_digest_that_never_was_is_not_accepted(out: Path) -> None:
    """Only digests that end in what the barrier would read now let earlier commits stand."""
    layer = Forger(out).layer("duplicates")
    edit(out / PLAN, lambda plan: plan["settled"][layer]["inputs"].append("0" * 64))
    refused(audit(out), layer, "made from other files")


def test_receipts_follow_each_other(out: Path) -> None:
    one, two = load_receipts(LocalFiles(out))
    assert one.after == two.before
    path = out / "removals" / "000001.json"

    def reseal(receipt: dict[str, Any]) -> None:
        receipt["after"]["dataset_digest"] = "0" * 64
        del receipt["digest"]
        receipt["digest"] = json_digest(receipt)

    edit(path, reseal)
    refused(audit(out), "removals/000004.json", "another version")
    record = json.loads((out / RECORD).read_text())
    assert record["manifest_sha256"] == bytes_sha256((out / MANIFEST).read_bytes())
    assert (out / RECORD).read_bytes() == record_bytes(record)
