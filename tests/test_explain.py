"""A row's story reaches every artefact made from it, and tells of a removed row only what is left."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from provenance_dataset import build, jpeg, key, picture

from curate.engine import run_inline
from curate.errors import RecipeError
from curate.provenance import write_outputs
from curate.provenance.attribute import attribute
from curate.provenance.attribution_requests import withhold
from curate.provenance.explain import explain
from curate.provenance.lines import claims, embedded, reservations
from curate.provenance.request import Selectors
from curate.provenance.takedown import remove
from curate.recipe import recipe_from
from curate.store.dataset import Dataset
from curate.train.export import export_files, export_webdataset


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build(tmp_path_factory.mktemp("explain"))
    write_outputs(path)
    return path


@pytest.fixture
def copy(out: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(out, tmp_path / "out"))


def chapter(out: Path, what: str, title: str) -> str:
    [found] = [section for section in explain(out, what).sections if section.title == title]
    return "\n".join(found.lines)


def test_a_kept_row_has_its_credit_and_any_other_none(out: Path) -> None:
    assert chapter(out, key(0), "credit").startswith("“Title 0” by Ann")
    assert "author, source" in chapter(out, key(16), "credit")
    assert "credit" not in [section.title for section in explain(out, key(3)).sections]


def test_rows_that_share_an_id_are_named_by_keys_that_tell_them_apart(out: Path) -> None:
    with pytest.raises(RecipeError, match="fits 2 rows") as error:
        explain(out, "p14")
    named = str(error.value).rpartition(": ")[2].split(", ")
    assert len(set(named)) == 2 and named[0][:16] == named[1][:16], "a repeat begins alike"
    assert [explain(out, one).key for one in named] == named
    assert any(f"row {one} is rejected" in "\n".join(attribute(out, "p14")) for one in named)


def test_a_withheld_credit_names_nobody_in_the_story(copy: Path) -> None:
    withhold(copy, key(0), reason="asked")
    assert chapter(copy, key(0), "credit").startswith("A picture, attribution withheld")


def test_exports_that_hold_the_row_are_found_and_others_are_not(copy: Path, tmp_path: Path) -> None:
    made = "made from it, in this folder"
    assert chapter(copy, key(0), made) == "nothing"
    export_files(copy, copy / "exports" / "files", groups=["open"])
    export_webdataset(copy, copy / "exports" / "tars", groups=["open"])
    export_files(copy, tmp_path / "elsewhere", groups=["open"])
    assert chapter(copy, key(0), made) == (
        "export exports/files (files, of this version)\n"
        "export exports/tars (webdataset, of this version)"
    )
    assert chapter(copy, key(1), made) == "nothing", "share-alike was left out"
    assert chapter(copy, key(3), made) == "nothing", "it was never kept"
    (copy / "exports" / "files" / "EXPORT.json").write_text("no json")
    assert chapter(copy, key(0), made) == "export exports/tars (webdataset, of this version)"


def test_a_checkpoint_that_read_the_row_is_found(
    out: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = "made from it, in this folder"
    copy = Path(shutil.copytree(out, tmp_path / "out"))
    dataset = Dataset.open(copy)
    shard = next(
        s for s in dataset.layer("images").shards
        if key(0) in dataset.read(s.files[0], ["key"])["key"].to_pylist()
    )  # fmt: skip
    offset = dataset.read(shard.files[0], ["key"])["key"].to_pylist().index(key(0))
    manifest = dataset.manifest
    for name, ranges in (("read", [[offset, offset]]), ("not-read", [])):
        card: dict[str, Any] = {
            "dataset": {
                "recipe_name": "photos", "recipe_fingerprint": "0" * 64, "version": 1,
                "manifest_digest": manifest.digest, "dataset_digest": manifest.dataset_digest,
                "bytes_digest": manifest.bytes_digest, "license_audited": True, "layers": {}, "licenses": {},
            },
            "models": {}, "settings": {"steps": 1}, "settings_fingerprint": "", "parameters": 1,
            "batch_size": 1, "epochs": 0.1, "progress": {"step": 7}, "versions": {}, "device": "cpu", "files": {},
            "consumed": [{"layer": "images", "part": shard.part, "shard_id": shard.shard_id, "ranges": ranges}],
        }  # fmt: skip
        (copy / name).mkdir()
        (copy / name / "curate.json").write_text(json.dumps(card))
    told = chapter(copy, key(0), made).splitlines()
    assert told == ["checkpoint not-read, step 7, which has not read the row",
                    "checkpoint read, step 7, which read the row"]  # fmt: skip


def test_of_a_removed_row_only_key_reason_and_hashes_are_told(copy: Path) -> None:
    before = explain(copy, key(0)).to_text()
    remove(
        copy, selectors=Selectors(keys=(key(0),)), reason="takedown 17",
        write_pages=lambda path: write_outputs(path),
    )  # fmt: skip
    story = explain(copy, key(0)).to_text()
    assert "reason: removed" in story and "takedown 17" in story and "original sha256:" in story
    for gone in ("Title 0", "Ann", "photos.example", "a picture number 0", "claimed by"):
        assert gone in before and gone not in story, gone
    assert "erased: address, names, text, picture and features" in story
    assert "ledger/data/" in story and "images/data/" not in story


def test_what_the_picture_says_of_itself_is_in_the_story(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x8298] = "Copyright 2020 Ann, CC BY 4.0"
    body = io.BytesIO()
    Image.open(io.BytesIO(jpeg(picture(0)))).save(body, "JPEG", exif=exif)
    (folder / "0.jpg").write_bytes(body.getvalue())
    row = {
        "id": "p0",
        "file": "0.jpg",
        "caption": "one",
        "license": "https://creativecommons.org/licenses/by/4.0/",
    }
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    source = {"kind": "table", "name": "photos", "path": str(folder / "rows.jsonl"),
              "columns": {"id": "id", "path": "file", "captions": ["caption"]},
              "licenses": [{"column": "license", "kind": "url", "level": 5}]}  # fmt: skip
    stages = [{"kind": "license", "policy": "attribution"}, {"kind": "captions"},
              {"kind": "read_file", "root": str(folder)}, {"kind": "inspect"}, {"kind": "embedded"}]  # fmt: skip
    value = {"name": "photos", "source": source, "passes": [{"layer": "images", "stages": stages}]}
    run_inline(recipe_from(value, origin="test"), tmp_path / "out")
    told = chapter(tmp_path / "out", key(0), "what the picture says of itself")
    assert "exif_copyright: Copyright 2020 Ann, CC BY 4.0" in told and "embedded agrees:" in told


def test_lines_of_reservations_and_of_responses() -> None:
    looks = [
        {
            "url": "https://a.example/robots.txt",
            "answer": "allowed",
            "status": 200,
            "sha256": "ab",
            "at": None,
        }
    ]
    [line] = reservations({"reservations": json.dumps(looks)})
    assert line == "https://a.example/robots.txt: allowed  (status 200, sha256 ab)"
    for broken in (None, "no json", "{}", "[1]"):
        assert list(reservations({"reservations": broken})) == []
    claim = {"kind": "url", "value": "https://creativecommons.org/licenses/by/4.0/", "level": 5,
             "claimed_by": "a", "locator": "b", "http_status": 200, "final_url": "https://a.example/"}  # fmt: skip
    assert "   in a response or dump: http status 200, final url https://a.example/" in list(
        claims([claim])
    )
    reserved = {"signal": "c2pa_training_mining", "value": "notAllowed", "locator": "c2pa:x",
                "signature": "untrusted", "codes": ["expired"]}  # fmt: skip
    told = list(embedded({"embedded_reservations": [reserved], "embedded_agrees": "silent"}))
    assert told == ["reservation c2pa_training_mining: notAllowed",
                    "   at c2pa:x, signature untrusted (expired)", "embedded agrees: silent"]  # fmt: skip
