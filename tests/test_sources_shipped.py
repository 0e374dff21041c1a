"""Every shipped recipe runs its images pass as it stands: what merely plans cannot ship."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from loopback import HOST, Server, serve
from PIL import Image
from source_fixtures import PIPELINES

from curate.cluster import Cluster
from curate.engine import run_inline
from curate.recipe import load_recipe
from curate.store.dataset import Dataset

RECIPES = sorted(f.stem for f in PIPELINES.glob("*.yaml") if not f.stem.startswith("demo"))
CC = "https://creativecommons.org/licenses/by/4.0/"
ROWS = 3


def body(n: int) -> bytes:
    """A picture large enough for the shipped buckets, unlike the others."""
    coarse = np.random.default_rng(n).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(coarse).resize((520, 520), Image.Resampling.NEAREST).save(sink, "JPEG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as server:
        for n in range(ROWS):
            server.files[f"/p/{n}.jpg"] = ("200 OK", body(n), {"Content-Type": "image/jpeg"})
        yield server


def overrides(kinds: list[str], folder: Path) -> list[str]:
    """A table of a few good rows in place of the source, and a host that lives on loopback."""
    source = {
        "kind": "table", "name": "few", "path": str(folder / "rows.jsonl"),
        "columns": {"id": "id", "url": "url", "path": "path", "captions": ["text"],
                    "creator": "by"},
        "licenses": [{"column": "license", "kind": "url", "level": 5}],
    }  # fmt: skip
    made = [f"source={json.dumps(source)}"]
    if "download" in kinds:
        told = {"allow_private_hosts": f"[{HOST}]", "retries": 0,
                "requests_per_second_per_host": "null"}  # fmt: skip
        made += [f"passes.images.stages.download.{name}={value}" for name, value in told.items()]
    if "read_file" in kinds:
        made.append(f"passes.images.stages.read_file.root={folder}")
    return made


@pytest.mark.parametrize("name", RECIPES)
def test_the_images_pass_of_a_shipped_recipe_runs(
    name: str, server: Server, tmp_path: Path
) -> None:
    rows = [
        {"id": str(n), "url": f"{server.base}/p/{n}.jpg", "path": f"{n}.jpg", "license": CC,
         "text": f"a pattern of squares, number {n}", "by": "Ada"}
        for n in range(ROWS)
    ]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for n in range(ROWS):
        (tmp_path / f"{n}.jpg").write_bytes(body(n))
    kinds = [stage.kind for stage in load_recipe(PIPELINES / f"{name}.yaml").passes[0].stages]
    assert {"inspect", "embedded", "buckets"} <= set(kinds)
    recipe = load_recipe(PIPELINES / f"{name}.yaml", overrides=overrides(kinds, tmp_path))
    assert [stage.kind for stage in recipe.passes[0].stages] == kinds
    cluster = Cluster(workers=1, connect_to={HOST: server.here})
    run_inline(recipe, tmp_path / "out", cluster=cluster)
    dataset = Dataset.open(tmp_path / "out")
    kept = [row for table in dataset.kept("images") for row in table.to_pylist()]
    assert sorted(row["source_id"] for row in kept) == ["0", "1", "2"]
    assert all(row["embedded_agrees"] == "silent" for row in kept)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_the_web_says_whether_it_asks_the_pages(name: str) -> None:
    text = (PIPELINES / f"{name}.yaml").read_text()
    assert ("kind: download" in text) == ("    landing_pages: skip " in text)
