"""Exports open with their consumers' own readers, hold kept rows only, and are reproducible."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pytest
from train_dataset import Models, write_dataset, write_models

from curate.errors import OutputMismatch, StoreError
from curate.store.dataset import Dataset
from curate.train.export import export_files, export_webdataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models: Models = write_models(tmp_path_factory.mktemp("models"))
    return write_dataset(tmp_path_factory.mktemp("export") / "out", models, rows=(20, 0, 13))


def kept_keys(data: Path) -> list[str]:
    ledger = Dataset.open(data).ledger(["key", "verdict"])
    return sorted(ledger.filter(pc.equal(ledger["verdict"], "kept"))["key"].to_pylist())


def test_webdataset_reads_every_kept_picture_with_its_credit(data: Path, tmp_path: Path) -> None:
    import webdataset

    assert export_webdataset(data, tmp_path) == 33
    tars = sorted(str(path) for path in tmp_path.glob("*.tar"))
    assert len(tars) == 2, "a part that keeps nothing has no tar"
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert sorted(sample["__key__"] for sample in samples) == kept_keys(data)
    for sample in samples:
        assert sample["png"].size == (16, 16) and sample["txt"].startswith("a red circle")
        assert (
            sample["json"]["license"] == "CC-BY-4.0" and sample["json"]["creator"] == "A. Painter"
        )
        assert sample["json"]["captions"][0]["text"] == sample["txt"]
        assert sample["json"]["license_url"] == "https://creativecommons.org/licenses/by/4.0/"
        assert (
            sample["json"]["credit"].startswith("“Picture ")
            and "by A. Painter" in sample["json"]["credit"]
        )
    told = json.loads((tmp_path / "EXPORT.json").read_text())
    assert told["dataset_digest"] == Dataset.open(data).manifest.dataset_digest
    assert (told["pictures"], told["licenses"]) == (33, {"CC-BY-4.0": 33})
    assert "CC-BY-4.0: Attribution 4.0 International | 33" in (tmp_path / "LICENSES.md").read_text()


def test_tars_are_sorted_and_without_times_or_owners(data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_webdataset(Dataset.open(data), tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    for path in sorted((tmp_path / "one").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
        keys = [m.name.partition(".")[0] for m in members]
        assert keys == sorted(keys)


def test_files_load_as_an_imagefolder(data: Path, tmp_path: Path) -> None:
    import datasets

    assert export_files(data, tmp_path / "files") == 33
    table = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "files"), split="train", cache_dir=str(tmp_path / "hf")
    )  # fmt: skip
    assert sorted(table["key"]) == kept_keys(data) and table[0]["image"].size == (16, 16)
    lines = (tmp_path / "files" / "metadata.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    caption = (tmp_path / "files" / first["file_name"]).with_suffix(".txt").read_text()
    assert caption == first["captions"][0]["text"] + "\n"


@pytest.mark.parametrize("export", [export_webdataset, export_files])
def test_exports_refuse_damaged_shards_and_full_folders(
    data: Path, tmp_path: Path, export: Callable[[Path, Path], int]
) -> None:
    import shutil

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    with pytest.raises(OutputMismatch, match="not empty"):
        export(data, tmp_path / "full")
    shutil.copytree(data, tmp_path / "copy")
    victim = next((tmp_path / "copy" / "images" / "data").iterdir())
    body = bytearray(victim.read_bytes())
    body[400] ^= 1
    victim.write_bytes(body)
    with pytest.raises(StoreError, match=victim.name):
        export(tmp_path / "copy", tmp_path / "to")
