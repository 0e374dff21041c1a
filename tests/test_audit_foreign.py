"""Data that another program made: what holds, what is broken, what nobody can know."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from provenance_dataset import build, jpeg, picture

from curate.errors import MissingInput
from curate.provenance.audit import audit
from curate.provenance.findings import AuditResult
from curate.provenance.promises import Promise
from curate.train.export import export_files, export_webdataset

CC = "https://creativecommons.org/licenses"
PICTURES = [jpeg(picture(n)) for n in range(6)]


def promise(result: AuditResult, number: int) -> Promise:
    [found] = [each for each in result.promises if each.number == number]
    return found


def problem(result: AuditResult, *words: str) -> None:
    assert any(all(word in line for word in words) for line in result.problems), result.problems


def looked(result: AuditResult, number: int, words: str) -> None:
    lines = promise(result, number).looked_at
    assert any(words in line for line in lines), lines


def img2dataset(
    folder: Path, rows: Iterable[dict[str, Any]], *, asked: int | None = None
) -> Path:  # fmt: skip
    """One shard as img2dataset writes it: a table of all rows, a tar of those that came, an account."""
    folder.mkdir(parents=True)
    table = [dict(row) for row in rows]
    with tarfile.open(folder / "00000.tar", "w") as tar:
        for row in table:
            data = row.pop("data")
            if data is None:
                continue
            told = json.dumps(row).encode()
            for suffix, body in (("jpg", data), ("txt", row["caption"].encode()), ("json", told)):
                member = tarfile.TarInfo(f"{row['key']}.{suffix}")
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))
    pq.write_table(pa.Table.from_pylist(table), folder / "00000.parquet")
    done = sum(row["status"] == "success" for row in table)
    account = {"count": len(table) if asked is None else asked, "successes": done}
    (folder / "00000_stats.json").write_text(json.dumps(account))
    return folder


def fetched(n: int, **more: Any) -> dict[str, Any]:
    """A row of img2dataset's table, as it is with `compute_hash: sha256` and pictures as fetched."""
    row = {
        "key": f"{n:09d}", "url": f"https://photos.example/{n}.jpg", "caption": f"picture {n}",
        "status": "success", "error_message": None, "width": 80, "height": 80,
        "sha256": hashlib.sha256(PICTURES[n]).hexdigest(), "license": f"{CC}/by/4.0/",
        "creator": "Ann", "landing_url": f"https://photos.example/page/{n}", "data": PICTURES[n],
    }  # fmt: skip
    return row | more


def test_complete_output_breaks_nothing_and_still_cannot_show_all(tmp_path: Path) -> None:
    result = audit(img2dataset(tmp_path / "out", [fetched(n) for n in range(5)]), hashes=True)
    assert result.problems == []
    assert not result.ok, "no manifest, no digest, no lineage: nothing shows what this is"
    states = [each.state for each in result.promises]
    assert states == ["held"] + ["not verifiable here"] + ["held"] + ["not verifiable here"] * 4
    looked(result, 2, "5 of 5 rows claim a licence, 5 claim one")
    looked(result, 2, "accepted: CC-BY-4.0 5")
    looked(result, 3, "fits 5")
    assert result.kept == 5
    text = result.to_text()
    assert "FAILED" in text and "no manifest names the files" in text
    assert str(tmp_path) not in text and str(tmp_path) not in result.to_json()


def test_at1_like_data_does_not_look_fine(tmp_path: Path) -> None:
    """fondant-cc-25m names a licence without a version, of a page, and no creator."""
    rows = []
    for n in range(5):
        row = fetched(
            n, license_type="by", license_location="footer", webpage_url="https://x.example"
        )
        rows.append({k: v for k, v in row.items() if k not in ("license", "creator", "sha256")})
    result = audit(img2dataset(tmp_path / "out", rows), hashes=True)
    assert [promise(result, n).state for n in (1, 2, 3)] == ["held", "broken", "broken"]
    problem(result, "5 pictures were fetched without a licence")
    problem(result, "5 rows name no creator")
    problem(result, "5 pictures have no hash")
    looked(result, 2, "versionless CC-BY 5")


BROKEN: dict[str, tuple[Callable[[list[dict[str, Any]]], None], int, str]] = {
    "no licence": (lambda rows: rows[0].update(license=None), 2, "1 pictures were fetched"),
    "reserved": (lambda rows: rows[0].update(license="all rights reserved"), 2, "1 pictures"),
    "no derivatives": (lambda rows: rows[0].update(license=f"{CC}/by-nd/4.0/"), 2, "1 pictures"),
    "look-alike": (
        lambda rows: rows[0].update(license="https://creativecommons.org.evil.example/licenses/by/4.0/"),
        2, "1 pictures",
    ),
    "other bytes": (lambda rows: rows[1].update(data=PICTURES[5]), 3, "does not have its sha256"),
    "no creator": (lambda rows: rows[2].update(creator=None), 3, "1 rows name no creator"),
    "lost picture": (lambda rows: rows[3].update(data=None), 1, "1 rows say that they have a picture"),
    "no reason": (
        lambda rows: rows[3].update(data=None, status="failed_to_download"), 1, "without saying why",
    ),
    "same key": (lambda rows: rows[3].update(key=rows[2]["key"]), 5, "1 keys are there more"),
    "same address": (lambda rows: rows[3].update(url=rows[2]["url"]), 5, "1 addresses"),
    "same picture": (
        lambda rows: rows[3].update(data=PICTURES[2], sha256=rows[2]["sha256"]), 5, "1 pictures",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_breaks_its_promise(tmp_path: Path, name: str) -> None:
    change, number, said = BROKEN[name]
    rows = [fetched(n) for n in range(5)]
    change(rows)
    result = audit(img2dataset(tmp_path / "out", rows), hashes=True)
    assert promise(result, number).state == "broken"
    problem(result, said)


def test_rows_that_were_lost_are_missed(tmp_path: Path) -> None:
    out = img2dataset(tmp_path / "out", [fetched(n) for n in range(5)], asked=7)
    problem(audit(out), "7 addresses were asked for, 5 rows are there: 2 were lost")
    assert promise(audit(out), 1).state == "broken"


def test_failed_rows_with_a_cause_are_accounted_for(tmp_path: Path) -> None:
    gone = {"data": None, "status": "failed_to_download", "error_message": "HTTP Error 404"}
    rows = [fetched(0), fetched(1, **gone, sha256=None, width=None, height=None)]
    result = audit(img2dataset(tmp_path / "out", rows))
    assert promise(result, 1).state == "held"
    assert result.failed == {"failed_to_download": 1}
    looked(result, 1, "failed_to_download 1, success 1")


def test_an_unfinished_shard_is_found(tmp_path: Path) -> None:
    out = img2dataset(tmp_path / "out", [fetched(0)])
    pq.write_table(pa.table({"key": ["1"], "url": ["https://x.example/1"]}), out / "00001.parquet")
    problem(audit(out), "shard 00001 has no account")


def test_a_truncated_tar_and_a_damaged_table_are_named(tmp_path: Path) -> None:
    out = img2dataset(tmp_path / "out", [fetched(n) for n in range(5)])
    tar = out / "00000.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 3])
    problem(audit(out), "rows say that they have a picture, and it is not there")
    (out / "00000.parquet").write_bytes(b"PAR1 nothing PAR1")
    problem(audit(out), "not all rows can be read", "00000.parquet")


def test_tars_alone_say_nothing_of_what_was_left_out(tmp_path: Path) -> None:
    out = img2dataset(tmp_path / "out", [fetched(n) for n in range(3)])
    (out / "00000.parquet").unlink()
    (out / "00000_stats.json").unlink()
    result = audit(out, hashes=True)
    assert promise(result, 1).state == "not verifiable here"
    looked(result, 2, "3 of 3 rows claim a licence")
    looked(result, 3, "fits 3")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_metadata_table(tmp_path: Path, form: str) -> None:
    licenses = [f"{CC}/by/4.0/", "CC BY", "all rights reserved", "", "CC BY-SA 3.0", "by courtesy"]
    rows = [
        {"id": f"p{n}", "url": f"https://x.example/{n}.jpg", "license": text, "author": "Bo"}
        for n, text in enumerate(licenses)
    ]
    path = tmp_path / f"rows.{form}"
    if form == "csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    result = audit(path)
    assert not result.ok and result.problems == []
    looked(result, 1, "a table: 6 rows, 0 pictures")
    looked(result, 2, "5 of 6 rows claim a licence, 2 claim one that a policy here accepts")
    looked(result, 2, "versionless CC-BY 1")
    looked(result, 2, "all rights reserved 1")
    looked(result, 2, "no claim 1")
    assert promise(result, 2).state == "not verifiable here"
    assert any("nothing was fetched yet" in line for line in promise(result, 2).unknown)


def test_two_columns_that_contradict_each_other_are_a_conflict(tmp_path: Path) -> None:
    rows = [
        {
            "url": "https://x.example/1.jpg",
            "license": "CC BY 4.0",
            "license_url": f"{CC}/by-nc/4.0/",
        }
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rows[0]) + "\n")
    looked(audit(path), 2, "conflict 1")


def test_a_table_without_any_licence_column(tmp_path: Path) -> None:
    path = tmp_path / "laion.parquet"
    pq.write_table(pa.table({"URL": ["https://x.example/1.jpg"], "TEXT": ["a cat"]}), path)
    result = audit(path)
    looked(result, 2, "no column holds licence claims")
    looked(result, 2, "0 of 1 rows claim a licence")


def test_pictures_inside_parquet(tmp_path: Path) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    values = [{"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(PICTURES[:3])]
    hashes = [hashlib.sha256(data).hexdigest() for data in PICTURES[:3]]
    hashes[1] = "0" * 64
    table = pa.table({"image": pa.array([*values[:3]], image), "text": ["a", "b", "c"],
                      "sha256": hashes})  # fmt: skip
    pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    result = audit(tmp_path, hashes=True)
    problem(result, "row 1: the picture does not have its sha256")
    problem(result, "3 pictures were fetched without a licence")
    assert result.kept == 3


def test_a_folder_of_pictures_with_and_without_a_table(tmp_path: Path) -> None:
    for n, data in enumerate(PICTURES[:3]):
        (tmp_path / f"{n}.jpg").write_bytes(data)
    bare = audit(tmp_path, hashes=True)
    looked(bare, 1, "a folder of pictures: 3 rows, 3 pictures")
    problem(bare, "3 pictures were fetched without a licence")
    rows = [{"file_name": f"{n}.jpg", "text": "x", "license": "CC0 1.0"} for n in (0, 1, 7)]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = audit(tmp_path)
    problem(told, "1 rows say that they have a picture, and it is not there")
    problem(told, "1 pictures belong to no row")


def test_our_own_exports_go_through_the_same_door(tmp_path: Path) -> None:
    out = build(tmp_path / "base")
    kept = audit(out).kept
    export_files(out, tmp_path / "files")
    export_webdataset(out, tmp_path / "tars")
    for name in ("files", "tars"):
        result = audit(tmp_path / name, hashes=True)
        assert result.kept == kept
        looked(result, 2, f"{kept} of {kept} rows claim a licence, {kept} claim one")
        looked(result, 3, f"fits {kept}")
        assert not any("licence" in line or "hash" in line for line in result.problems)
        assert not result.ok, "an export leaves the ledger, the lineage and the digests behind"
    victim = next((tmp_path / "files").glob("*.jpg"))
    victim.write_bytes(PICTURES[0])
    problem(audit(tmp_path / "files", hashes=True), "does not have its stored_sha256")


def test_nothing_to_audit_is_an_error_and_not_a_result(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="does not exist"):
        audit(tmp_path / "nowhere")
    with pytest.raises(MissingInput, match="nothing to audit"):
        audit(tmp_path)
    (tmp_path / "plan").mkdir()
    with pytest.raises(MissingInput, match="unfinished run"):
        audit(tmp_path)
