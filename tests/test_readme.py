"""Every command and snippet of the README runs, but for installation, `make demo` and `make test`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
NOT_HERE = re.compile(
    r"make (demo|demo-long|test)$|python3\.1\d -m venv|pip install|-m pytest|curate demo "
)


def commands() -> list[tuple[str, str]]:
    """(command, output shown) of the console blocks, those that set up left out."""
    found: list[tuple[str, str]] = []
    for language, block in BLOCKS:
        if language != "console":
            continue
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            if not NOT_HERE.search(command):
                found.append((command, shown.strip()))
    return found


@pytest.fixture(scope="module")
def place(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which `demo-out` is the demo's dataset."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo-out").symlink_to(demo_dataset)
    return folder


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def test_the_readme_has_what_is_tested_here() -> None:
    assert len(PYTHON) >= 4
    assert len(commands()) >= 4
    assert "load_dataset(" in TEXT
    assert "duckdb.sql(" in TEXT


@pytest.mark.parametrize(("command", "shown"), commands(), ids=lambda text: text[:40])
def test_commands(place: Path, command: str, shown: str) -> None:
    done = subprocess.run(
        shlex.split(command),
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    if shown:
        assert done.stdout.strip() == shown


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.strip().splitlines()[-1][:40])
def test_snippets(place: Path, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=200,
        env={**environment(), "HF_HOME": str(place / "hf")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_pictures_show_in_datasets(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset
    from PIL import Image

    files = str(place / "demo-out/images/data/*.parquet")
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(place / "cache"))
    assert isinstance(rows[0]["image"], Image.Image)
    assert rows[0]["image"].size == (rows[0]["width"], rows[0]["height"])


def test_the_recipe_shown_is_the_recipe_shipped() -> None:
    shown = next(yaml.safe_load(code) for language, code in BLOCKS if language == "yaml")
    shipped = yaml.safe_load((ROOT / "pipelines/demo.yaml").read_text())
    assert {key: shipped[key] for key in shown} == shown


def test_files_that_the_readme_links_to_exist() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
