"""Removing a picture: it and its copies go, nothing else moves, and being killed does no harm."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from provenance_dataset import build, jpeg, key, picture

from curate.engine import run_inline
from curate.errors import EngineError, MissingInput, RecipeError, StoreError
from curate.plan import load_plan
from curate.provenance import write_outputs
from curate.provenance.audit import audit
from curate.provenance.receipt import Receipt, load_receipts
from curate.provenance.takedown import Selectors, finish, look, remove
from curate.recipe import Recipe, recipe_from
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.tombstones import LOG, load_log, unfinished

TWIN = {key(12), key(30)}
"""Rows 12 and 30 of the dataset are the same picture."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = build(tmp_path_factory.mktemp("removal"))
    write_outputs(out)
    return out


@pytest.fixture
def out(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "out"))


def take(out: Path, **selectors: Any) -> Receipt:
    return remove(out, selectors=Selectors(**selectors), reason="a test", write_pages=write_outputs)


def removed(out: Path) -> set[str]:
    return {
        row["key"] for row in Dataset.open(out).ledger().to_pylist() if row["reason"] == "removed"
    }


def files(out: Path) -> dict[str, tuple[int, int]]:
    """Shard files and commits by path: size and time of writing."""
    found = (p for top in ("plan", "images", "verdicts", "features", "ledger") for p in (out / top).rglob("*"))  # fmt: skip
    return {
        str(p.relative_to(out)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in found
        if p.is_file()
    }


def cells(out: Path) -> str:
    """Every text of every Parquet, JSON, CSV and HTML file, the log and the receipts left out."""
    told = [repr(pq.read_table(p).to_pylist()) for p in sorted(out.rglob("*.parquet"))]
    for path in sorted(out.rglob("*")):
        if path.suffix in (".json", ".csv", ".html", ".md") and path.parent.name != "removals":
            told.append(path.read_text())
    return "\n".join(told)


# --- what goes and what stays ---------------------------------------------------------------------
def test_the_row_and_its_twin_leave_every_layer_and_only_hashes_stay(out: Path) -> None:
    before = {row["key"]: row for row in Dataset.open(out).ledger().to_pylist()}
    assert "Title 12" in cells(out)
    receipt = take(out, keys=[key(12)])
    dataset = Dataset.open(out)
    assert receipt.rows == 2
    assert removed(out) == TWIN
    rows = {row["key"]: row for row in dataset.ledger().to_pylist()}
    for gone in TWIN:
        for name in ("original_sha256", "stored_sha256"):
            assert rows[gone][name] == before[gone][name] is not None
        left = {name for name, value in rows[gone].items() if value is not None}
        assert left == {"key", "verdict", "reason", "retryable", "stage", "original_sha256", "stored_sha256"}  # fmt: skip
    for layer, role in (("images", "data"), ("images", "observations")):
        keys = {k for t in dataset.tables(layer, ["key"], role) for k in t["key"].to_pylist()}
        assert not keys & TWIN
    plan = {r["key"]: r for t in dataset.tables("plan") for r in t.to_pylist()}
    assert {n for n, v in plan[key(12)].items() if v is not None} == {"key", "source", "defect"}
    assert "Title 12" not in cells(out) and "Title 30" not in cells(out)
    assert audit(out, hashes=True).problems == []


def test_only_the_shards_that_hold_it_are_written_anew(out: Path) -> None:
    before = files(out)
    receipt = take(out, keys=[key(12)])
    after = files(out)
    assert len(receipt.parts_touched) == 2 < receipt.parts
    same = {name for name in before if before[name] == after.get(name)}
    plans = {s.part: s for s in Dataset.open(out).layer("plan").shards}
    untouched = set(plans) - set(receipt.parts_touched)
    for layer in Dataset.open(out).manifest.layers:
        for shard in layer.shards:
            for entry in shard.files if shard.part in untouched else []:
                assert entry.path in same
    assert {file.path for file in receipt.deleted} == before.keys() - after.keys()
    assert {file.path for file in receipt.rewritten} == after.keys() - before.keys() - {"plan/PLAN.json"}  # fmt: skip


def test_versions_are_linked_and_the_log_is_part_of_the_digest(out: Path) -> None:
    first = Dataset.open(out).manifest
    take(out, keys=[key(12)])
    second = Dataset.open(out).manifest
    take(out, keys=[key(0)])
    third = Dataset.open(out).manifest
    assert (first.version, second.version, third.version) == (1, 2, 3)
    assert second.previous == first.digest and third.previous == second.digest
    assert third.tombstones == load_log(LocalFiles(out)).digest
    assert [r.removal for r in load_receipts(LocalFiles(out))] == [1, 4]
    assert audit(out, hashes=True).problems == []


SELECTORS: dict[str, tuple[Callable[[Path, Path], dict[str, Any]], set[str]]] = {
    "key by its beginning": (lambda out, tmp: {"keys": [key(12)[:12]]}, TWIN),
    "original sha256": (lambda out, tmp: {"sha256": [ledger(out, 12)["original_sha256"]]}, TWIN),
    "stored sha256": (lambda out, tmp: {"sha256": [ledger(out, 12)["stored_sha256"]]}, TWIN),
    "creator": (lambda out, tmp: {"creators": ["  =CMD|'  /c calc'!a0 "]}, {key(11)}),
    "near": (lambda out, tmp: {"near": [resized(tmp)]}, TWIN),
    "a row that was too small": (lambda out, tmp: {"keys": [key(5)]}, {key(5)}),
    "a row without a licence": (lambda out, tmp: {"keys": [key(3)]}, {key(3)}),
}  # fmt: skip


def ledger(out: Path, n: int) -> dict[str, Any]:
    [row] = [r for r in Dataset.open(out).ledger().to_pylist() if r["key"] == key(n)]
    return dict(row)


def resized(folder: Path) -> Path:
    """Row 12's picture at another size and quality."""
    to = folder / "near.jpg"
    picture(12).resize((200, 200), Image.Resampling.BICUBIC).save(to, quality=70)
    return to


@pytest.mark.parametrize("name", SELECTORS)
def test_what_each_selector_finds(out: Path, tmp_path: Path, name: str) -> None:
    selectors, expected = SELECTORS[name]
    asked = selectors(out, tmp_path)
    assert {row.key for row in look(out, selectors=Selectors(**asked))} == expected
    assert take(out, **asked).rows == len(expected)
    assert removed(out) == expected
    assert audit(out).problems == []


def test_a_thumbnail_of_a_rejected_copy_goes_too(out: Path, tmp_path: Path) -> None:
    """Row 5 was too small and left nothing but a thumbnail: a likeness of it still finds it."""
    small = tmp_path / "small.png"
    picture(5, 30).save(small)
    assert {row.key for row in look(out, selectors=Selectors(near=[small]))} == {key(5)}


def test_a_request_that_matches_nothing_is_logged_and_counts_later(out: Path) -> None:
    receipt = take(out, urls=["https://nowhere.example/x.jpg"])
    assert receipt.rows == 0 and "counts at later ingests" in receipt.to_text()
    assert Dataset.open(out).manifest.version == 2
    assert audit(out).problems == []
    assert take(out, urls=["https://NOWHERE.example/x.jpg#part"]) == receipt, "the same request"


@pytest.mark.parametrize(
    ("selectors", "reason", "said"),
    [
        ({}, "x", "name what to remove"),
        ({"keys": ["abc"]}, "x", "at least 8"),
        ({"keys": ["0" * 12]}, "x", "begins 0 keys"),
        ({"sha256": ["12"]}, "x", "64 hexadecimal"),
        ({"creators": ["Ann Example"]}, "ann example asked", "no names"),
        ({"keys": [key(0)]}, "see https://x.example", "no names"),
        ({"keys": [key(0)]}, "  ", "characters"),
    ],
)
def test_what_is_no_request(out: Path, selectors: Any, reason: str, said: str) -> None:
    before = files(out)
    with pytest.raises(RecipeError, match=said):
        remove(out, selectors=Selectors(**selectors), reason=reason, write_pages=write_outputs)
    assert files(out) == before and not (out / LOG).exists()


def test_an_unfinished_output_is_refused(out: Path) -> None:
    (out / "record.json").unlink()
    with pytest.raises(EngineError, match="ends the run"):
        take(out, keys=[key(0)])
    (out / "MANIFEST.json").unlink()
    with pytest.raises(MissingInput):
        take(out, keys=[key(0)])


# --- being killed ---------------------------------------------------------------------------------
class Killed(BaseException):
    """Stands for a process that dies."""


STEPS = [
    "TOMBSTONES.jsonl", "plan/data", "images/marks", "images/commits", "verdicts/", "ledger/data",
    "plan/PLAN.json", "MANIFEST.json", "record.json", "pages.json", "delete images/data",
    "removals/000001.json", "delete removals",
]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "step"),
    [*(("command", step) for step in STEPS), ("finish", "ledger/data"), ("finish", "record.json")],
)
def test_a_killed_removal_is_finished(
    out: Path, monkeypatch: pytest.MonkeyPatch, step: str, by: str
) -> None:
    with monkeypatch.context() as patch:
        for method in ("publish", "put_if_absent", "remove"):
            _dies(patch, method, step)
        with pytest.raises(Killed):
            take(out, keys=[key(12)])
    assert unfinished(LocalFiles(out))
    assert not audit(out).ok
    with pytest.raises(EngineError, match="--finish"):
        run_inline(recipe_from(_plan(out).recipe, origin="test"), out)
    receipt = (
        take(out, keys=[key(12)]) if by == "command" else finish(out, write_pages=write_outputs)
    )
    assert receipt is not None and receipt.rows == 2
    assert removed(out) == TWIN
    assert len(load_log(LocalFiles(out)).entries) == 3
    assert Dataset.open(out).manifest.version == 2
    assert audit(out, hashes=True).problems == []
    assert finish(out, write_pages=write_outputs) is None


def _dies(patch: pytest.MonkeyPatch, method: str, step: str) -> None:
    """A store whose process dies before it writes, or deletes, the first file named so."""
    real = getattr(LocalFiles, method)
    wanted = step.removeprefix("delete ")
    deletes = step.startswith("delete ")

    def dying(self: LocalFiles, name: str, *rest: Any) -> Any:
        if name.startswith(wanted) and (method == "remove") == deletes:
            raise Killed
        return real(self, name, *rest)

    patch.setattr(LocalFiles, method, dying)


def test_a_process_that_is_killed_leaves_what_the_next_one_finishes(out: Path) -> None:
    code = (
        "import os, sys\n"
        "from curate.provenance.takedown import *\n"
        "from curate.store.files import LocalFiles\n"
        "real = LocalFiles.publish\n"
        "def publish(self, name, data):\n"
        "    real(self, name, data)\n"
        "    if name == 'MANIFEST.json': os._exit(9)\n"
        "LocalFiles.publish = publish\n"
        "remove(sys.argv[1], selectors=Selectors(keys=[sys.argv[2]]), reason='r', write_pages=print)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(out), key(12)], timeout=60)
    assert done.returncode == 9
    receipt = remove(
        out, selectors=Selectors(keys=[key(0)]), reason="another", write_pages=write_outputs
    )
    assert receipt.selectors == ["key"] and receipt.rows == 1
    assert removed(out) == {*TWIN, key(0)}
    assert audit(out, hashes=True).problems == []


def test_two_removals_at_once_are_refused(out: Path) -> None:
    def again(_: Path) -> None:
        with pytest.raises(EngineError, match="another removal"):
            take(out, keys=[key(0)])

    remove(out, selectors=Selectors(keys=[key(12)]), reason="r", write_pages=again)


# --- the next run ---------------------------------------------------------------------------------
def _plan(out: Path) -> Any:
    plan = load_plan(LocalFiles(out))
    assert plan is not None
    return plan


def again(sound: Path, out: Path, **change: Any) -> Recipe:
    """The recipe of the dataset, over its own pictures."""
    value = json.loads(json.dumps(_plan(out).recipe))
    folder = sound.parent / "pictures"
    value["source"]["path"] = str(folder / "rows.jsonl")
    for stage in value["passes"][0]["stages"]:
        if stage["kind"] == "read_file":
            stage["root"] = str(folder)
    return recipe_from(value | change, origin="test")


def test_the_same_run_again_has_nothing_to_do(sound: Path, out: Path) -> None:
    take(out, keys=[key(12)])
    before = files(out), (out / "MANIFEST.json").read_bytes()
    outcome = run_inline(again(sound, out), out)
    assert outcome.finished_before and not outcome.computed
    assert (files(out), (out / "MANIFEST.json").read_bytes()) == before


def test_what_was_lost_is_made_again_without_the_removed_row(sound: Path, out: Path) -> None:
    """Commits and files of a touched and of an untouched part are lost: the run makes them again."""
    receipt = take(out, keys=[key(12)])
    digest = Dataset.open(out).manifest.dataset_digest
    layers = {layer.name: layer for layer in Dataset.open(out).manifest.layers}
    parts = {
        receipt.parts_touched[0],
        layers["plan"].shards[0].part,
        layers["plan"].shards[-1].part,
    }
    for name in ("images", "verdicts/images-duplicates"):
        for shard in layers[name].shards:
            if shard.part in parts:
                (out / f"{name}/commits/{shard.shard_id}.json").unlink()
    outcome = run_inline(again(sound, out), out)
    assert outcome.manifest.dataset_digest == digest
    assert outcome.manifest.version == 2
    assert removed(out) == TWIN
    write_outputs(out)
    assert audit(out).problems == []


def test_a_picture_does_not_come_back_into_another_dataset(
    sound: Path, out: Path, tmp_path: Path
) -> None:
    take(out, keys=[key(12)])
    with_log = again(sound, out, tombstones=[str(out / LOG)])
    to = tmp_path / "new"
    first = run_inline(with_log, to)
    assert removed(to) == TWIN
    dataset = Dataset.open(to)
    plan = {r["key"]: r for t in dataset.tables("plan") for r in t.to_pylist()}
    assert {n for n, v in plan[key(12)].items() if v is not None} == {"key", "source", "defect"}
    assert first.manifest.tombstones == Dataset.open(out).manifest.tombstones
    assert first.manifest.dataset_digest == Dataset.open(out).manifest.dataset_digest, (
        "what a removal leaves is what a run with its log makes"
    )
    write_outputs(to)
    assert audit(to, hashes=True).problems == []
    shutil.rmtree(out)
    own = again(sound, to)
    assert run_inline(own, to).finished_before, "the log lies in the new directory too"
    receipt = remove(to, selectors=Selectors(keys=[key(0)]), reason="r", write_pages=write_outputs)
    assert receipt.removal == 4, "the chain goes on"
    assert audit(to, hashes=True).problems == []
    assert run_inline(again(sound, to), to).finished_before


def test_a_copy_under_another_name_is_known_by_its_looks(
    sound: Path, out: Path, tmp_path: Path
) -> None:
    """The source's next dump has the picture under other ids: as it was, and re-encoded."""
    take(out, keys=[key(12)])
    folder = tmp_path / "dump"
    shutil.copytree(sound.parent / "pictures", folder)
    lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    near = io.BytesIO()
    picture(12).resize((120, 120)).save(near, "JPEG", quality=80)
    for name, data in (("copy", jpeg(picture(12))), ("near", near.getvalue())):
        (folder / f"{name}.jpg").write_bytes(data)
        lines.append(lines[0] | {"id": name, "file": f"{name}.jpg", "title": f"Again {name}"})
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    value = again(sound, out, tombstones=[str(out)]).model_dump(mode="json")
    value["source"]["path"] = str(folder / "rows.jsonl")
    for stage in value["passes"][0]["stages"]:
        stage |= {"root": str(folder)} if stage["kind"] == "read_file" else {}
    run_inline(recipe_from(value, origin="test"), tmp_path / "new")
    rows = [
        r for r in Dataset.open(tmp_path / "new").ledger().to_pylist() if r["reason"] == "removed"
    ]
    assert len(rows) == 4
    assert sorted(row["stage"] for row in rows) == ["source", "source", "tombstones", "tombstones"]
    marks = [
        r for t in Dataset.open(tmp_path / "new").tables("images", role="marks")
        for r in t.to_pylist() if r["reason"] == "removed"
    ]  # fmt: skip
    assert all(row["thumbnail"] is None and row["license"] is None for row in marks)
    assert audit(tmp_path / "new", hashes=True).problems == []


def test_a_log_that_was_edited_is_not_read(sound: Path, out: Path, tmp_path: Path) -> None:
    take(out, keys=[key(12)])
    log = tmp_path / LOG
    log.write_text((out / LOG).read_text().replace("a test", "b test"))
    recipe = again(sound, out, tombstones=[str(log)])
    with pytest.raises(StoreError, match="line 2 does not follow"):
        run_inline(recipe, tmp_path / "new")
    with pytest.raises(MissingInput, match="does not exist"):
        run_inline(again(sound, out, tombstones=[str(tmp_path / "none")]), tmp_path / "new")


def test_a_log_that_no_stage_would_read_is_refused(sound: Path, out: Path) -> None:
    value = again(sound, out).model_dump(mode="json") | {"tombstones": [str(out)]}
    value["passes"][0]["stages"] = value["passes"][0]["stages"][:3]
    value["passes"][0]["barrier"] = None
    with pytest.raises(RecipeError, match="need the stage inspect"):
        recipe_from(value, origin="test")


def test_another_log_is_another_recipe(sound: Path, out: Path) -> None:
    plain = again(sound, out)
    take(out, keys=[key(12)])
    one = again(sound, out, tombstones=[str(out)]).fingerprint()
    assert one != plain.fingerprint()
    moved = Path(shutil.copy(out / LOG, out.parent / "elsewhere.jsonl"))
    assert again(sound, out, tombstones=[str(moved)]).fingerprint() == one
    take(out, keys=[key(0)])
    assert again(sound, out, tombstones=[str(out)]).fingerprint() != one
