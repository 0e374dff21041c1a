"""Shared by the tests: one small demo dataset, built once, and copies of it to break."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("noisy machines", deadline=None)
settings.load_profile("noisy machines")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

PICTURES = 240


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo recipe over a corpus of 240 pictures, run inline, pages written. Read only."""
    from rich.console import Console

    from curate import commands
    from curate.cluster import Cluster

    to = tmp_path_factory.mktemp("demo") / "out"
    recipe = commands.read_recipe("demo", [f"source.pictures={PICTURES}", "shard_rows=64"])
    commands.build(
        recipe, to, cluster=Cluster(workers=1), inline=True, limit=None, console=Console(quiet=True)
    )
    return to


@pytest.fixture
def demo_copy(demo_dataset: Path, tmp_path: Path) -> Path:
    """A copy of the demo dataset that a test may damage."""
    to = tmp_path / "copy"
    shutil.copytree(demo_dataset, to, ignore=shutil.ignore_patterns("corpus"))
    return to
