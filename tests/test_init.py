"""`curate init`: what is guessed from a table or folder, and that the recipe says so and loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import CurateError, MissingInput, RecipeError
from curate.recipe import Recipe, recipe_from
from curate.sources.guess import Guess, guess, write_recipe
from curate.sources.known import SIGNS, by_columns

FIXTURES = Path(__file__).parent / "fixtures" / "sources"
BY = "https://creativecommons.org/licenses/by/2.0/"


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def openverse(n: int) -> dict[str, Any]:
    return {
        "identifier": f"u{n}",
        "title": f"A cat {n}",
        "foreign_landing_url": f"https://photos.example/p/{n}",
        "thumbnail": f"https://thumbs.example/{n}.jpg",
        "url": f"https://live.example/{n}.jpg",
        "creator": "Ann",
        "creator_url": "https://photos.example/people/1",
        "license": "by",
        "license_url": BY,
        "width": 100,
        "height": 200,
    }


def loaded(found: Guess) -> Recipe:
    return recipe_from(yaml.safe_load(write_recipe(found)), origin="curate init")


def test_a_table_in_openverse_columns(tmp_path: Path) -> None:
    found = guess(jsonl(tmp_path / "ov.jsonl", [openverse(n) for n in range(30)]))
    assert {role: pick.column for role, pick in found.columns.items()} == {
        "id": "identifier",
        "url": "url",
        "landing_url": "foreign_landing_url",
        "title": "title",
        "creator": "creator",
        "creator_url": "creator_url",
        "width": "width",
        "height": "height",
    }
    assert found.columns["url"].others == ("thumbnail",)
    recipe = loaded(found)
    assert [(claim.column, claim.kind) for claim in recipe.source.licenses] == [
        ("license_url", "url")
    ]
    text = write_recipe(found)
    assert "30 of 30 sampled values are licences, read as url" in text
    assert "# or: thumbnail" in text
    assert "# - column: license " in text
    assert len(pa.concat_tables(recipe.source.candidates())) == 30


def test_a_table_in_laion_columns(tmp_path: Path) -> None:
    rows = [
        {
            "URL": f"http://x.example/{n}.png",
            "TEXT": "a dog on the beach",
            "WIDTH": 2.0,
            "LICENSE": "?",
        }
        for n in range(10)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "laion.parquet")
    found = guess(tmp_path / "laion.parquet")
    assert found.columns["url"].column == "URL"
    assert found.columns["caption"].column == "TEXT"
    assert [(pick.column, pick.recognised) for pick in found.licenses] == [("LICENSE", False)]
    assert loaded(found).source.columns.captions == ("TEXT",)


def test_a_table_of_local_files_reads_them(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("file_name,caption,rights\na.jpg,a dog in the park,CC BY 4.0\n")
    recipe = loaded(guess(tmp_path / "c.csv"))
    stages = {stage.kind: stage for stage in recipe.passes[0].stages}
    assert recipe.source.columns.path == "file_name"
    assert stages["read_file"].root == str(tmp_path)
    assert "download" not in stages and "license" in stages


def test_a_folder_of_pictures_makes_no_claim(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.jpg").write_bytes(b"picture")
    found = guess(tmp_path / "pics")
    recipe = loaded(found)
    assert found.kind == recipe.source.kind == "folder"
    assert "license" not in {stage.kind for stage in recipe.passes[0].stages}
    assert "# declare:" in write_recipe(found)


def test_a_table_without_licences_says_what_follows(tmp_path: Path) -> None:
    found = guess(jsonl(tmp_path / "a.jsonl", [{"url": "https://x.example/1.jpg"}]))
    assert "Without a claim every row is rejected" in write_recipe(found)
    assert loaded(found).source.licenses == ()


def test_the_passes_that_are_commented_out_are_right_too(tmp_path: Path) -> None:
    found = guess(jsonl(tmp_path / "ov.jsonl", [openverse(n) for n in range(3)]))
    text, comments = write_recipe(found).split("  # - layer: features/clip\n")
    block = "  # - layer: features/clip\n" + comments
    plain = "".join(line.replace("  # ", "  ", 1) + "\n" for line in block.splitlines())
    recipe = recipe_from(yaml.safe_load(text + plain), origin="curate init")
    assert [step.layer for step in recipe.passes] == ["images", "features/clip", "features/latents"]


def test_what_cannot_be_guessed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'a', 'b'"):
        guess(jsonl(tmp_path / "a.jsonl", [{"a": 1, "b": "x"}]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInput, match="neither pictures nor"):
        guess(tmp_path / "empty")
    with pytest.raises(MissingInput, match="does not exist"):
        guess(tmp_path / "none.csv")


NAMES = st.one_of(
    st.sampled_from(["url", "caption", "license", "id", "a: b", "#x", "'", '"', "- ", "null", "1"]),
    st.text(min_size=1, max_size=8),
)
VALUES = st.one_of(
    st.none(), st.integers(), st.text(max_size=20), st.just(BY), st.just("https://x.example/1.jpg")
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), min_size=1, max_size=4)
)
def test_any_table_gives_a_recipe_that_loads_or_an_error(tmp_path: Path, rows: list[Any]) -> None:
    path = jsonl(tmp_path / "a.jsonl", rows)
    try:
        found = guess(path)
    except CurateError:
        return
    assert loaded(found).source.columns


def test_known_sources_are_recognised_by_their_columns_or_files(tmp_path: Path) -> None:
    for kind in (*SIGNS, "inaturalist", "yfcc100m"):
        folder = shutil.copytree(FIXTURES / kind, tmp_path / kind)
        found = guess(folder)
        assert found.kind == kind
        recipe = loaded(found)
        assert recipe.source.kind == kind
        assert recipe.source.WORTH.split()[0] in write_recipe(found)
        assert len(list(recipe.source.candidates())) > 0


def test_every_column_that_tells_a_source_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = json.loads((FIXTURES / "pd12m" / "rows.jsonl").read_text().splitlines()[0])
    jsonl(path, [row])
    assert guess(path).kind == "pd12m"
    jsonl(path, [{name: value for name, value in row.items() if name != "mime_type"}])
    assert guess(path).kind == "table"
    columns = set(SIGNS["coyo"]) - {"width"}
    assert by_columns(columns) is None, "a column that the source reads is not there"


def test_the_output_of_img2dataset_is_read_and_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "00000_stats.json").write_text("{}")
    (tmp_path / "00000.parquet").write_bytes(b"")
    recipe = loaded(guess(tmp_path))
    assert recipe.source.kind == "img2dataset"
    stages = [stage.kind for stage in recipe.passes[0].stages]
    assert "read_file" in stages
    assert "download" not in stages


def test_the_file_of_yfcc100m_is_known_by_its_name(tmp_path: Path) -> None:
    file = shutil.copy(FIXTURES / "yfcc100m" / "yfcc100m_dataset", tmp_path)
    recipe = loaded(guess(file))
    assert recipe.source.kind == "yfcc100m"
    assert len(list(recipe.source.candidates())) > 0


@pytest.mark.parametrize("struct", [True, False])
def test_a_parquet_file_that_holds_its_pictures_is_read(tmp_path: Path, struct: bool) -> None:
    bodies = [b"picture 1", b"picture 2"]
    held = [{"bytes": body, "path": None} for body in bodies] if struct else bodies
    columns = {"img": held, "text": ["a dog in the park today", "b"], "license": [BY, BY]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = guess(tmp_path / "a.parquet")
    source = loaded(found).source
    assert (source.kind, source.image, source.columns.captions) == ("huggingface", "img", ("text",))
    [table] = source.candidates()
    assert [claim[0]["level"] for claim in table["claims"].to_pylist()] == [2, 2]
    assert [s.kind for s in loaded(found).passes[0].stages].count("read_file") == 1


def test_photo_objects_of_flickr_are_known_without_their_secret(tmp_path: Path) -> None:
    row = {"id": "1", "owner": "1@N00", "license": "4", "url_l": "https://live.example/1_b.jpg"}
    assert guess(jsonl(tmp_path / "f.jsonl", [row])).kind == "flickr"
    own = {"id": "1", "owner": "me", "license": BY, "url": "https://a.example/1.jpg"}
    assert guess(jsonl(tmp_path / "own.jsonl", [own])).kind == "table"


def test_a_first_draft_gives_no_claim_a_rung_that_it_may_not_have(tmp_path: Path) -> None:
    row = json.loads((FIXTURES / "pd12m" / "rows.jsonl").read_text().splitlines()[0])
    del row["mime_type"]
    found = guess(jsonl(tmp_path / "like-pd12m.jsonl", [row | {"license": BY}]))
    [claim] = loaded(found).source.licenses
    assert (found.kind, claim.level) == ("table", 2)
    assert "raise it only if you know" in write_recipe(found)
