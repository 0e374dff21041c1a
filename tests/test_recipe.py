"""What a recipe may not ask for: a stage twice, a column twice, a picture nobody listens to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curate.errors import RecipeError
from curate.recipe import Recipe, recipe_from

LICENSE = {"kind": "license", "policy": "sharealike"}
INSPECT, EMBEDDED = {"kind": "inspect"}, {"kind": "embedded"}


def made(folder: Path, stages: list[dict[str, Any]], *more: dict[str, Any]) -> Recipe:
    passes = [{"layer": "images", "stages": stages}, *more]
    source = {"kind": "folder", "path": str(folder)}
    return recipe_from({"name": "own", "source": source, "passes": passes}, origin="test")


def test_a_stage_runs_once_in_a_pass(tmp_path: Path) -> None:
    read = {"kind": "read_file", "root": str(tmp_path)}
    with pytest.raises(RecipeError, match=r"once in a pass; images has twice: embedded"):
        made(tmp_path, [read, INSPECT, EMBEDDED, EMBEDDED])
    twice = {"layer": "features/clip", "stages": [{"kind": "clip_score"}, {"kind": "clip_score"}]}
    with pytest.raises(RecipeError, match=r"features/clip has twice: clip_score"):
        made(tmp_path, [{"kind": "captions"}, read, INSPECT], twice)


def test_a_column_has_one_maker(tmp_path: Path) -> None:
    read = {"kind": "read_file", "root": str(tmp_path)}
    fetch = [LICENSE, {"kind": "opt_out"}, {"kind": "download", "contact": "a@example.org"}]
    with pytest.raises(RecipeError, match=r"read_file of images produces the column 'body'"):
        made(tmp_path, [*fetch, read, INSPECT, EMBEDDED])
    buckets = {"kind": "buckets", "sizes": [[64, 64]]}
    clip = {"stages": [{"kind": "clip_score"}]}
    with pytest.raises(RecipeError, match=r"clip_score of features/b produces the column 'clip_"):
        made(tmp_path, [{"kind": "captions"}, read, INSPECT, buckets], {"layer": "features/a"} | clip,
             {"layer": "features/b"} | clip)  # fmt: skip


def test_where_licences_are_judged_pictures_are_heard_however_they_come(tmp_path: Path) -> None:
    read = {"kind": "read_file", "root": str(tmp_path)}
    for stages in ([LICENSE, read, INSPECT], [read, INSPECT, LICENSE]):
        with pytest.raises(RecipeError, match="inspect needs embedded after it where licences"):
            made(tmp_path, stages)
    made(tmp_path, [LICENSE, read, INSPECT, EMBEDDED])
    assert made(tmp_path, [read, INSPECT]).license_stage is None, "own pictures, nothing judged"
