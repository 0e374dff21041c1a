"""The padded export: read with plain pyarrow and torch, credited, verified, and the same each time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from train_dataset import CHANNELS, TEXT_DIM, Form, Models, write_dataset, write_models

from curate.errors import MissingInput, OutputMismatch, RecipeError, ReleaseRefused, StoreError
from curate.provenance_commands import export
from curate.store.dataset import Dataset
from curate.store.numbers import INT8, decoded
from curate.train.padded import export_padded

FORMS = [Form(), Form(INT8, "moments"), Form("bfloat16", "mode")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def data(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("padded") / "out"
    return write_dataset(to, models, rows=(70, 0, 13), shapes=((8, 8), (4, 12)))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def stored(data: Path) -> dict[str, dict[str, Any]]:
    """The kept rows' features as the dataset holds them, in one layer or in two."""
    held, rows = Dataset.open(data), dict[str, dict[str, Any]]()
    for layer in ("features/latents", "features/text"):
        for table in held.kept(layer) if held.has_layer(layer) else ():
            for row in table.to_pylist():
                rows.setdefault(row["key"], {}).update(row)
    return rows


def bits(row: dict[str, Any], tokens: int) -> torch.Tensor:
    return torch.frombuffer(bytearray(row["t5"]), dtype=torch.bfloat16).view(tokens, TEXT_DIM)


# --- content --------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.text}, {form.posterior}")
@pytest.mark.parametrize("one_layer", [True, False])
def test_every_kept_row_is_there_with_its_features(
    models: Models, tmp_path: Path, form: Form, one_layer: bool
) -> None:
    data = write_dataset(tmp_path / "out", models, rows=(9, 5), form=form, one_layer=one_layer)
    assert export_padded(data, tmp_path / "to", tokens=12) == 14
    found = rows_of(tmp_path / "to")
    ledger = Dataset.open(data).ledger(["key", "verdict"])
    kept = ledger.filter(pc.equal(ledger["verdict"], "kept"))["key"].to_pylist()
    assert [row["key"] for row in found] == kept
    whole = stored(data)
    for row in found:
        mask = np.frombuffer(row["t5_mask"], np.uint8)
        count = row["t5_tokens"]
        assert len(mask) == 12 and mask.tolist() == [1] * count + [0] * (12 - count)
        text = bits(row, 12)
        assert (text[count:] == 0).all() and (text[:count] != 0).any()
        told = whole[row["key"]]
        exact = decoded(told["t5_embeddings"][0], form.text, TEXT_DIM)
        torch.testing.assert_close(
            text[:count].float(), torch.from_numpy(exact), rtol=2**-8, atol=0
        )
        assert row["latent"] == told["latent"]
        assert (row["latent_height"], row["latent_width"]) == (8, 8)


def test_a_caption_longer_than_the_padding_is_cut(data: Path, tmp_path: Path) -> None:
    export_padded(data, tmp_path / "long")
    export_padded(data, tmp_path / "short", tokens=4)
    for long, short in zip(rows_of(tmp_path / "long"), rows_of(tmp_path / "short"), strict=True):
        assert long["key"] == short["key"] and 3 <= long["t5_tokens"] <= 9
        assert short["t5_tokens"] == min(4, long["t5_tokens"])
        assert torch.equal(bits(short, 4), bits(long, 120)[:4])
        assert short["t5_mask"] == long["t5_mask"][:4]


def test_the_first_caption_with_text_is_taken(models: Models, tmp_path: Path) -> None:
    from curate.train.padded import _first

    texts = [{"text": None}, None, {"text": " "}, {"text": "a ring"}, {"text": "a circle"}]
    assert _first({"captions": texts}) == (3, "a ring")
    assert _first({"captions": [{"text": ""}]}) == _first({"captions": None}) == (0, "")


def test_rows_carry_licence_and_credit_as_other_exports_do(data: Path, tmp_path: Path) -> None:
    from curate.train.export import export_files

    export_padded(data, tmp_path / "padded")
    export_files(data, tmp_path / "files")
    lines = (tmp_path / "files" / "metadata.jsonl").read_text().splitlines()
    others = {told["key"]: told for told in map(json.loads, lines)}
    for row in rows_of(tmp_path / "padded"):
        told = others.pop(row["key"])
        assert row["license"] == "CC-BY-4.0" and "by A. Painter" in row["credit"]
        for name, value in told.items():
            if name != "file_name":
                assert row[name] == value, name
        assert row["caption"] == told["captions"][0]["text"]
    assert not others
    one, other = ((tmp_path / form / "LICENSES.md").read_text() for form in ("padded", "files"))
    assert one == other
    told = json.loads((tmp_path / "padded" / "EXPORT.json").read_text())
    assert (told["form"], told["pictures"]) == ("padded", 83)
    assert told["dataset_digest"] == Dataset.open(data).manifest.dataset_digest


# --- for readers ----------------------------------------------------------------------------------
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.text}, {form.posterior}")
def test_the_readme_says_how_to_read_it_and_its_program_does(
    models: Models, tmp_path: Path, form: Form
) -> None:
    data = write_dataset(tmp_path / "out", models, rows=(5,), form=form)
    export_padded(data, tmp_path / "to", tokens=20)
    text = (tmp_path / "to" / "README.md").read_text()
    assert "No factor is applied" in text and f"stored as {form.text}" in text
    assert str(models.root) not in text, "of a model its name, and no local place"
    assert models.vae.digest in text and models.t5.digest in text
    if form.posterior == "mode":
        assert "the mode of the posterior" in text and "scaling factor is\n0.5" in text
    [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [path] = (tmp_path / "to").glob("*.parquet")
    found: dict[str, Any] = {"path": path}
    exec(program, found)
    assert found["text"].shape == (20, TEXT_DIM) and found["text"].dtype == torch.bfloat16
    assert int(found["mask"].sum()) == found["row"]["t5_tokens"]
    assert (found["text"][~found["mask"]] == 0).all()
    planes = CHANNELS if form.posterior == "mode" else 2 * CHANNELS
    assert found["latent"].shape == (planes, 8, 8)
    assert found["latent"].dtype == torch.float16


def test_columns_say_what_their_bytes_are(data: Path, models: Models, tmp_path: Path) -> None:
    export_padded(data, tmp_path, tokens=30)
    path = tmp_path / "00-open.parquet"
    schema = pq.read_schema(path)
    assert schema.field("t5").type == pa.binary(30 * TEXT_DIM * 2)
    assert schema.field("t5_mask").type == pa.binary(30)
    assert schema.field("t5").metadata == {
        b"curate.dtype": b"bfloat16", b"curate.shape": f"30,{TEXT_DIM}".encode(),
        b"curate.model": models.t5.digest.encode(),
    }  # fmt: skip
    assert schema.field("latent").metadata[b"curate.dtype"] == b"float16"
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [64, 6]


def test_the_same_dataset_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_padded(Dataset.open(data), tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [
        "00-open.parquet",
        "20-open.parquet",
        "EXPORT.json",
        "LICENSES.md",
        "README.md",
    ]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


# --- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize("layer", ["images", "features/latents", "ledger"])
def test_damaged_shards_are_refused_by_name(data: Path, tmp_path: Path, layer: str) -> None:
    shutil.copytree(data, tmp_path / "copy")
    victim = max((tmp_path / "copy" / layer / "data").iterdir(), key=lambda p: p.stat().st_size)
    body = bytearray(victim.read_bytes())
    body[400] ^= 1
    victim.write_bytes(body)
    with pytest.raises(StoreError, match=victim.name):
        export_padded(tmp_path / "copy", tmp_path / "to")


def test_full_folders_and_what_cannot_be_padded_are_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "note").touch()
    with pytest.raises(OutputMismatch, match="not empty"):
        export_padded(data, tmp_path)
    with pytest.raises(RecipeError, match="one token at least"):
        export_padded(data, tmp_path / "to", tokens=0)
    with pytest.raises(ReleaseRefused, match="no kept row is in the groups noncommercial"):
        export_padded(data, tmp_path / "to", groups=["noncommercial"])


def test_a_dataset_without_features_says_which_stages_it_wants(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Dataset.open(data)
    layers = [la for la in held.manifest.layers if not la.name.startswith("features")]
    held.manifest = held.manifest.model_copy(update={"layers": layers})
    with pytest.raises(MissingInput, match="the stages t5 and vae"):
        export_padded(held, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_policy_leaves_rows_out(data: Path, tmp_path: Path) -> None:
    from curate.provenance.release import Release

    assert export_padded(data, tmp_path / "all", policy="CC-BY-4.0") == 83
    takes = Release.takes
    kept = {row["key"] for row in rows_of(tmp_path / "all")}
    some = iter([True, False, False] * 100)

    def picky(self: Release, license_id: str | None) -> bool:
        return takes(self, license_id) and next(some)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Release, "takes", picky)
        count = export_padded(data, tmp_path / "some")
    left = {row["key"] for row in rows_of(tmp_path / "some")}
    assert len(left) == count < 60 and left < kept


def test_a_caption_without_an_embedding_is_an_error(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.train.padded._first", lambda row: (3, "a ring"))
    with pytest.raises(StoreError, match="its caption number 4 is the first with text"):
        export_padded(data, tmp_path / "to")


# --- the command ----------------------------------------------------------------------------------
def command(data: Path, **told: Any) -> Callable[[], str]:
    given = {"form": "padded", "path": None, "card": None, "groups": None, "policy": None} | told
    return lambda: export(data, **given)  # type: ignore[arg-type]


def test_the_command_writes_it(data: Path, tmp_path: Path) -> None:
    said = command(data, path=tmp_path / "a", tokens=16)()
    assert said == f"83 rows, captions padded to 16 tokens → {tmp_path / 'a'}"
    assert "padded to 120 tokens" in command(data, path=tmp_path / "b")()
    with pytest.raises(RecipeError, match="--to padded needs --path"):
        command(data)()
    with pytest.raises(RecipeError, match="--tokens is for --to padded alone"):
        command(data, form="files", path=tmp_path / "c", tokens=9)()
    with pytest.raises(RecipeError, match="there are webdataset, files, padded"):
        command(data, form="npz", path=tmp_path / "c")()


def test_the_story_of_a_row_finds_the_export(data: Path, tmp_path: Path) -> None:
    from curate.provenance.artefacts import artefacts

    copy = Path(shutil.copytree(data, tmp_path / "out"))
    export_padded(copy, copy / "exports" / "features")
    held = Dataset.open(copy)
    key = rows_of(copy / "exports" / "features")[0]["key"]
    told = "export exports/features (padded, of this version)"
    assert list(artefacts(held, "00-open", key)) == [told]
    assert list(artefacts(held, "20-open", key)) == []
    assert list(artefacts(held, "00-open", "0" * 64)) == []
