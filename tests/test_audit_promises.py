"""The audit promise by promise: what follows from stored data is worked out again, and forgeries fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from provenance_dataset import Forger, build, jpeg, key, picture, refused, replaced

from curate.engine import run_inline
from curate.images.encode import thumbnail
from curate.provenance.audit import audit
from curate.provenance.findings import AuditResult
from curate.provenance.pictures import FEW
from curate.recipe import recipe_from
from curate.store.dataset import Dataset
from curate.store.digest import bytes_sha256


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("promises"))


@pytest.fixture
def out(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "out"))


def broken(result: AuditResult) -> list[int]:
    return [each.number for each in result.promises if each.state == "broken"]


def forge(root: Path, layer: str, which: str, *values: tuple[str, Any], role: str = "data") -> None:
    """Put values into one row of a layer, with everything else made to agree."""
    forger = Forger(root)
    part, _ = forger.entry(forger.layer(layer), role, which)

    def edit(table: pa.Table) -> pa.Table:
        for column, value in values:
            table = replaced(table, column, which, value)
        return table

    forger.rewrite(forger.layer(layer), part, role, edit)
    forger.publish()


def test_every_promise_of_a_sound_dataset_is_held_or_said_to_be_out_of_sight(sound: Path) -> None:
    result = audit(sound, hashes=True)
    assert [each.number for each in result.promises] == [1, 2, 3, 4, 5, 6, 7]
    assert [each.state for each in result.promises] == ["held"] * 6 + ["not verifiable here"]
    told = json.loads(result.to_json())
    assert [each["state"] for each in told["promises"]] == [e.state for e in result.promises]
    text = result.to_text()
    for each in result.promises:
        assert f"{each.number} {each.name}: {each.state.upper()}" in text
    assert "original_sha256, original_bytes and embedded metadata" in text
    assert "not applicable: the run records no GPU" in text


def test_without_hashes_the_audit_says_what_it_did_not_look_at(sound: Path) -> None:
    text = audit(sound).to_text()
    assert text.count("ask with --hashes") == 2


def test_without_a_licence_stage_the_second_promise_cannot_be_verified(tmp_path: Path) -> None:
    result = audit(plain(tmp_path, format="jpeg"))
    assert result.ok
    assert result.promises[1].state == "not verifiable here"


FORGED: dict[str, tuple[int, str, Any, str]] = {
    "phash": (0, "phash", 0x0123456789ABCDEF, "phash differs in"),
    "thumbprint": (0, "thumbprint", bytes(432), "thumbprint lies"),
    "thumbnail": (0, "thumbnail", thumbnail(picture(99), 128), "the thumbnail lies"),
    "thumbnail size": (0, "thumbnail", thumbnail(picture(0), 40), "the thumbnail is 40 × 40"),
    "no thumbnail": (0, "thumbnail", b"none", "the thumbnail does not open"),
    "original width": (0, "original_width", 81, "an original of 81 × 80 gives 81 × 80"),
    "width": (0, "width", 79, "the picture is 80 × 80, the row says 79 × 80"),
    "orientation": (0, "orientation", 3, "its embedded EXIF says 1"),
    "format": (0, "original_format", "TIFF", "original_format TIFF"),
    "hash": (0, "pixel_sha256", "none", "pixel_sha256 is 'none', not a sha256"),
    "no hash": (0, "original_sha256", None, "is kept without original_sha256"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_measure_does_not_fit_the_stored_picture(out: Path, name: str) -> None:
    n, column, value, said = FORGED[name]
    forge(out, "images", key(n), (column, value))
    result = audit(out, hashes=True)
    refused(result, key(n), said)
    assert 3 in broken(result)


def test_a_turn_that_no_exif_tells_does_not_pass_with_its_size_swapped(out: Path) -> None:
    forge(out, "images", key(0), ("orientation", 6))
    refused(audit(out), key(0), "orientation is 6")


def test_a_row_that_was_rejected_for_its_licence_was_not_fetched(out: Path) -> None:
    forger = Forger(out)
    part, _ = forger.entry("images", "marks", key(2))
    shards = next(layer for layer in forger.manifest.layers if layer.name == "images").shards
    entry = next(shard for shard in shards if shard.part == part).file("observations")
    assert entry is not None

    def also(table: pa.Table) -> pa.Table:
        row = {f.name: None for f in table.schema} | {"key": key(2), "observed_at": "2024-05-01"}
        more = pa.Table.from_pylist([row], schema=table.schema)
        return pa.concat_tables([table, more])

    assert key(2) not in forger.table(entry)["key"].to_pylist()
    forger.rewrite("images", part, "observations", also)
    forger.publish()
    result = audit(out)
    refused(result, key(2), "was rejected by license, and yet it was fetched")
    assert broken(result) == [2]


def test_a_picture_must_have_come_from_somewhere(out: Path) -> None:
    forger = Forger(out)
    part, _ = forger.entry("images", "data", key(0))
    forger.rewrite("images", part, "observations", lambda table: table.slice(0, 0))
    forger.publish()
    refused(audit(out), key(0), "nothing says when it was fetched")


@pytest.mark.parametrize("name", ["claimed_by", "locator"])
def test_evidence_says_who_and_where(out: Path, name: str) -> None:
    forger = Forger(out)
    for layer in ("plan", "images"):
        part, entry = forger.entry(layer, "data", key(0))
        table = forger.table(entry)
        [claim] = table["claims"][table["key"].to_pylist().index(key(0))].as_py()
        changed = [claim | {name: None}]
        forger.rewrite(
            layer, part, "data", lambda t, to=changed: replaced(t, "claims", key(0), to)
        )  # fmt: skip
    forger.publish()
    result = audit(out)
    refused(result, key(0), f"is kept on a claim without {name}")
    assert 3 in broken(result)


def test_a_row_that_moved_to_another_part_is_found(out: Path) -> None:
    """Small parts are judged together; their rows stay apart all the same."""
    forger = Forger(out)
    images = next(layer for layer in forger.manifest.layers if layer.name == "images")
    one, two = [s.part for s in images.shards if s.part.endswith("-open")][:2]
    rows: list[pa.Table] = []

    def take(table: pa.Table) -> pa.Table:
        rows.append(table.slice(0, 1))
        return table.slice(1)

    for role in ("data", "observations"):
        forger.rewrite("images", one, role, take)
        forger.rewrite("images", two, role, lambda table: pa.concat_tables([rows[-1], table]))
    forger.publish()
    [moved] = rows[0]["key"].to_pylist()
    result = audit(out)
    refused(result, f"images {one}", moved, "is missing from the data and marks")
    refused(result, f"images {two}", moved, "does not belong")


def plain(base: Path, *, format: str, max_side: int | None = None, twins: bool = False) -> Path:
    """A dataset without licences, made from a folder of five pictures."""
    folder = base / "pictures"
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.png").write_bytes(png(picture(0 if twins and n == 1 else n)))
        (folder / f"{n}.txt").write_text(f"picture {n}")
    inspect = {"kind": "inspect", "format": format, "max_side": max_side}
    stages = [{"kind": "captions"}, {"kind": "read_file", "root": str(folder)}, inspect,
              {"kind": "buckets", "sizes": [[48, 48], [64, 32]], "upscale": "allow"}]  # fmt: skip
    value = {
        "name": "plain",
        "source": {"kind": "folder", "path": str(folder)},
        "passes": [{"layer": "images", "stages": stages}],
    }
    run_inline(recipe_from(value, origin="test"), base / "out")
    return base / "out"


def png(image: Image.Image) -> bytes:
    import io

    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def any_key(root: Path) -> str:
    return str(next(iter(Dataset.open(root).tables("images", ["key"])))["key"][0])


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("pixel_sha256", "0" * 64, "the pixels do not have pixel_sha256"),
        ("phash", None, "phash differs"),
        ("thumbprint", None, "thumbprint lies"),
    ],
)
def test_a_lossless_picture_shows_its_measures_exactly(
    tmp_path: Path, column: str, value: Any, said: str
) -> None:
    root = plain(tmp_path, format="png")
    result = audit(root, hashes=True)
    assert result.ok, result.problems
    assert "5 against pixel_sha256" in result.to_text()
    which = any_key(root)
    table = next(iter(Dataset.open(root).tables("images", ["key", "phash", "thumbprint"])))
    row = table.to_pylist()[0]
    if column == "phash":
        value = row["phash"] ^ 1
    if column == "thumbprint":
        value = bytes([row["thumbprint"][0] ^ 1]) + row["thumbprint"][1:]
    forge(root, "images", which, (column, value))
    refused(audit(root, hashes=True), which, said)


def test_smaller_pictures_follow_from_the_size_of_the_original(tmp_path: Path) -> None:
    root = plain(tmp_path, format="jpeg", max_side=60)
    assert audit(root, hashes=True).ok
    which = any_key(root)
    forge(root, "images", which, ("original_width", 120), ("original_height", 120))
    assert audit(root, hashes=True).ok, (
        "a larger square gives the same smaller one: nobody can tell"
    )
    forge(root, "images", which, ("original_width", 120), ("original_height", 90))
    refused(audit(root), which, "an original of 120 × 90 gives 60 × 45")


def test_rows_with_the_same_original_bytes_were_measured_alike(tmp_path: Path) -> None:
    root = plain(tmp_path, format="jpeg", twins=True)
    assert audit(root, hashes=True).ok
    tables = Dataset.open(root).tables("images", ["key", "original_sha256"])
    rows = [row for table in tables for row in table.to_pylist()]
    hashes = [row["original_sha256"] for row in rows]
    twin = next(row["key"] for row in rows if hashes.count(row["original_sha256"]) == 2)
    forge(root, "images", twin, ("original_mode", "L"))
    refused(audit(root), "original_mode differs", "which has the same original bytes")


def test_a_crop_is_made_again(tmp_path: Path) -> None:
    root = plain(tmp_path, format="jpeg")
    which = any_key(root)
    forge(root, "images", which, ("crop_box", [1, 0, 80, 80]))
    refused(audit(root), which, "crop_box is [1, 0, 80, 80], re-derived [0, 0, 80, 80]")


# --- model values -------------------------------------------------------------------------------
def first(root: Path, ending: str, columns: list[str]) -> dict[str, Any]:
    layer = Forger(root).layer(ending)
    tables = (t for t in Dataset.open(root).tables(layer, ["key", *columns]) if len(t))
    row: dict[str, Any] = next(tables).to_pylist()[0]
    return row


def nan(data: bytes) -> bytes:
    return np.array([np.nan], "<f2").tobytes() + data[2:]


VALUES: dict[str, tuple[str, list[str], Callable[[Any], Any], str]] = {
    "latent not finite": ("latents", ["latent"], nan, "numbers that are not finite"),
    "latent too short": ("latents", ["latent"], lambda v: v[:-2], "its shape asks for"),
    "latent size": ("latents", ["latent_width"], lambda v: v + 1, "its bucket_width is 64"),
    "t5 not finite": (
        "latents", ["t5_embeddings"], lambda v: [b"\x80\x7f" + v[0][2:], *v[1:]], "not finite",
    ),
    "t5 too short": ("latents", ["t5_embeddings"], lambda v: [v[0][:-2], *v[1:]], "bytes of embedding"),
    "tokens": ("latents", ["t5_tokens"], lambda v: [*v, 3], "token counts"),
    "clip length": ("clip", ["clip_image"], lambda v: (2 * np.frombuffer(v, "<f2")).tobytes(), "unit length"),
    "clip score": ("clip", ["clip_score"], lambda v: v + 0.1, "clip_score is"),
    "clip scores": ("clip", ["clip_scores"], lambda v: [v[0] + 0.1, *v[1:]], "the embeddings give"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_that_no_digest_covers_are_looked_into(demo_copy: Path, name: str) -> None:
    ending, columns, change, said = VALUES[name]
    row = first(demo_copy, ending, columns)
    forge(demo_copy, ending, row["key"], (columns[0], change(row[columns[0]])))
    result = audit(demo_copy, hashes=True)
    refused(result, row["key"], said)


# --- more pictures than are decoded unasked -----------------------------------------------------
def test_of_many_pictures_a_sample_is_decoded_and_all_on_request(demo_copy: Path) -> None:
    sampled, full = audit(demo_copy, hashes=True), audit(demo_copy, full=True)
    pictures = sum(len(table) for table in Dataset.open(demo_copy).tables("images", ["key"]))
    assert pictures > FEW
    assert f"{pictures:,} of them decoded" in full.to_text()
    assert f"{pictures:,} of them decoded" not in sampled.to_text()
    assert "ask with --full" in sampled.to_text()
    assert audit(demo_copy, hashes=True) == sampled, "which are decoded follows from the manifest"
    row = first(demo_copy, "images", ["phash"])
    forge(demo_copy, "images", row["key"], ("phash", row["phash"] ^ ((1 << 32) - 1)))
    refused(audit(demo_copy, full=True), row["key"], "phash differs")


# --- data from elsewhere ------------------------------------------------------------------------
def test_models_and_codecs_that_are_not_here_are_notes_and_the_content_is_judged(
    demo_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.provenance import identity

    monkeypatch.setattr("curate.models.resolve", lambda *_: pytest.fail("no model is needed"))
    here = {name: f"{number}.1" for name, number in identity.codec_versions().items()}
    monkeypatch.setattr(identity, "codec_versions", lambda: here)
    monkeypatch.setattr(identity.pa, "__version__", "1.0")
    result = audit(demo_copy, hashes=True)
    assert result.ok, result.problems
    assert any("inspect was made with pillow" in note for note in result.notes)
    assert any("written by pyarrow" in note for note in result.notes)
    row = first(demo_copy, "images", ["license"])
    forge(
        demo_copy,
        "images",
        row["key"],
        ("license", "CC0-1.0" if row["license"] != "CC0-1.0" else "CC-BY-4.0"),
    )
    refused(audit(demo_copy), row["key"], "license is")


def test_memory_is_bounded_by_a_part_and_not_by_the_dataset(tmp_path: Path) -> None:
    """Three times the pictures in three times the parts: about the same peak."""
    small, large = (peak_bytes(noise(tmp_path / str(parts), parts)) for parts in (4, 12))
    assert large < 1.5 * small, (small, large)


def noise(base: Path, parts: int) -> Path:
    """A dataset of so many parts, each of about eight pictures of 300 KB."""
    folder = base / "pictures"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for n in range(8 * parts):
        image = Image.fromarray(rng.integers(0, 256, (330, 330, 3), dtype=np.uint8))
        (folder / f"{n}.jpg").write_bytes(jpeg(image))
    stages = [{"kind": "read_file", "root": str(folder)}, {"kind": "inspect"}]
    value = {"name": "noise", "shard_rows": 12, "passes": [{"layer": "images", "stages": stages}],
             "source": {"kind": "folder", "path": str(folder)}}  # fmt: skip
    run_inline(recipe_from(value, origin="test"), base / "out")
    return base / "out"


def peak_bytes(out: Path) -> int:
    """The most that Python and Arrow held at once in a process that audits a dataset."""
    code = (
        "import sys, tracemalloc, pyarrow as pa\n"
        "from curate.provenance.audit import audit\n"
        "tracemalloc.start()\n"
        "assert audit(sys.argv[1], hashes=True).ok\n"
        "print(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_the_digest_of_pictures_is_that_of_their_hashes(sound: Path) -> None:
    for table in Dataset.open(sound).tables("images", ["image", "stored_sha256"]):
        for row in table.to_pylist():
            assert bytes_sha256(row["image"]["bytes"]) == row["stored_sha256"]
