"""The commands that answer for a dataset, as a user types them: exit codes and what they print."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curate.store.dataset import Dataset


def first_kept(out: Path, *names: str) -> dict[str, Any]:
    """Columns of the first kept row that has an author."""
    for table in Dataset.open(out).kept("images", [*names, "creator"]):
        for row in table.to_pylist():
            if row["creator"]:
                return row
    raise AssertionError("no kept row has an author")


def curate(*arguments: object) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv[0] = 'curate'; from curate.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def removed(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A copy of the demo from which one kept row was removed; its key and its URL."""
    out = tmp_path_factory.mktemp("removed") / "out"
    shutil.copytree(demo_dataset, out)
    row = first_kept(out, "key", "url")
    key, url = row["key"], row["url"]
    looked = curate("remove", out, "--key", key, "--look")
    assert looked.returncode == 0 and key in looked.stdout, looked.stderr
    done = curate("remove", out, "--key", key[:16], "--reason", "asked for by the rights holder")
    assert done.returncode == 0, done.stderr
    assert "receipt removals/" in done.stdout
    return out, key, url


def test_a_removal_is_proved(removed: tuple[Path, str, str]) -> None:
    out, key, url = removed
    verified = curate("verify-removal", out)
    assert verified.returncode == 0, verified.stdout
    audited = curate("audit", out, "--hashes")
    assert audited.returncode == 0, audited.stdout
    assert "removed" in curate("explain", out, key).stdout
    assert url not in curate("explain", out, key).stdout


def test_what_comes_back_is_found(removed: tuple[Path, str, str], tmp_path: Path) -> None:
    out, _, url = removed
    back = tmp_path / "notes"
    back.mkdir()
    (back / "note.json").write_text(json.dumps({"seen": url}))
    found = curate("verify-removal", out, "--also", back)
    assert found.returncode == 1
    assert "note.json" in found.stdout
    told = json.loads(curate("verify-removal", out, "--also", back, "--json").stdout)
    assert told["ok"] is False


def test_a_request_that_matches_nothing_says_so(removed: tuple[Path, str, str]) -> None:
    out, _, _ = removed
    done = curate("remove", out, "--url", "https://elsewhere.example/a.jpg", "--reason", "asked")
    assert done.returncode == 1
    assert "no row matched" in done.stdout
    nobody = curate("remove", out, "--reason", "asked")
    assert nobody.returncode == 2
    assert "--key, --sha256, --url, --creator or --near" in nobody.stderr


def test_a_difference_names_rows_and_causes(
    demo_dataset: Path, removed: tuple[Path, str, str]
) -> None:
    same = curate("diff", demo_dataset, demo_dataset)
    assert same.returncode == 0
    assert "equal" in same.stdout
    other = curate("diff", demo_dataset, removed[0], "--json")
    assert other.returncode == 1
    assert json.loads(other.stdout)["rows"]["left"] >= 1


def test_the_credit_of_a_picture_by_key_by_hash_and_by_file(
    demo_dataset: Path, tmp_path: Path
) -> None:
    row = first_kept(demo_dataset, "key", "stored_sha256", "image")
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(row["image"]["bytes"])
    for what in (row["key"][:20], row["stored_sha256"], picture):
        for arguments in ((demo_dataset, what), ("--in", demo_dataset, what)):
            said = curate("attribute", *arguments)
            assert said.returncode == 0, said.stderr
            assert row["key"] in said.stdout
            assert row["creator"] in said.stdout
    unknown = curate("attribute", demo_dataset, "0" * 64)
    assert unknown.returncode == 2
    assert "no row with key, sha256" in unknown.stderr


def test_a_withheld_credit_leaves_the_digests(demo_copy: Path) -> None:
    row = first_kept(demo_copy, "key")
    before = (demo_copy / "MANIFEST.json").read_bytes()
    done = curate("attribute", demo_copy, row["key"], "--withhold", "--reason", "asked in a letter")
    assert done.returncode == 0, done.stderr
    assert row["creator"] not in curate("attribute", demo_copy, row["key"]).stdout
    assert (demo_copy / "MANIFEST.json").read_bytes() == before
    audited = curate("audit", demo_copy, "--hashes")
    assert audited.returncode == 0, audited.stdout


def test_the_pages_of_a_release(demo_dataset: Path, tmp_path: Path) -> None:
    done = curate("export", demo_dataset, "--card", tmp_path / "card")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "card" / "README.md").is_file()
    assert (tmp_path / "card" / "croissant.json").is_file()
    both = curate("export", demo_dataset, "--to", "files", "--card", tmp_path / "x")
    assert both.returncode == 2
    nowhere = curate("export", demo_dataset, "--to", "files")
    assert nowhere.returncode == 2
    assert "--path" in nowhere.stderr


RECIPE = """
name: folder
source: {kind: folder, name: mine, path: %s}
passes:
- layer: images
  stages:
  - {kind: read_file, root: %s}
  - {kind: inspect, format: png}
"""


def test_a_log_of_another_dataset_keeps_pictures_out(tmp_path: Path) -> None:
    folder, recipe = tmp_path / "pictures", tmp_path / "recipe.yaml"
    folder.mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    recipe.write_text(RECIPE % (folder, folder))
    first = curate("run", recipe, "--to", tmp_path / "first", "--inline")
    assert first.returncode == 0, first.stderr
    removed = curate(
        "remove", tmp_path / "first", "--near", folder / "1.png", "--reason", "asked for"
    )
    assert removed.returncode == 0, removed.stderr
    log = tmp_path / "first" / "TOMBSTONES.jsonl"
    again = curate("run", recipe, "--to", tmp_path / "next", "--inline", "--tombstones", log)
    assert again.returncode == 0, again.stderr
    counts = Dataset.open(tmp_path / "next").manifest.counts
    assert (counts.kept, counts.rejected) == (2, {"removed": 1})
    assert curate("verify-removal", tmp_path / "next").returncode == 0
