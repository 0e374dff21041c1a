"""Sets that carry their pictures: where each lies, and that exactly those bytes are read."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from carried_output import (
    SCHEMA,
    huggingface_rows,
    img2dataset_rows,
    picture,
    write_files_shard,
    write_huggingface,
    write_imagefolder,
    write_parquet_shard,
    write_webdataset_shard,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import ROOT, candidates, recipe_of

from curate import columns as c
from curate.engine import run_inline
from curate.errors import MissingInput, RecipeError
from curate.recipe import recipe_from
from curate.sources import Huggingface, Img2dataset, Source
from curate.sources.address import (
    Address,
    file_address,
    member_address,
    parse_address,
    span_address,
    value_address,
)
from curate.stage import apply
from curate.stages.members import Found, read_all
from curate.stages.read_file import ReadFile
from curate.store.dataset import Dataset

MEBIBYTE = 1024 * 1024


def read(source: Source, **more: Any) -> list[dict[str, Any]]:
    """The candidates with their bytes, by the stage, in the order of the source."""
    root = source.files_root()
    assert root is not None
    table = candidates(source).select([c.KEY.name, c.SOURCE_ID.name, c.PATH.name])
    return apply(ReadFile(root=str(root), **more), table).to_pylist()


WRITERS: dict[str, Callable[[Path, int, int], None]] = {
    "parquet": write_parquet_shard, "webdataset": write_webdataset_shard, "files": write_files_shard,
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITERS)
def test_every_row_of_img2dataset_gives_the_bytes_that_were_fetched(
    tmp_path: Path, kind: str
) -> None:
    for shard in (0, 1):
        WRITERS[kind](tmp_path, shard, 12)
    rows = read(Img2dataset(path=tmp_path))
    wanted = [row for shard in (0, 1) for row in img2dataset_rows(shard, 12)]
    assert [row["source_id"] for row in rows] == [told["key"] for told, _ in wanted]
    for row, (told, body) in zip(rows, wanted, strict=True):
        assert row["body"] == body
        assert row["original_sha256"] == told["sha256"]
        assert row["reason"] == (None if body else "missing_file:member")
        assert row["verdict"] == (None if body else "failed")


def test_parquet_and_webdataset_and_files_are_the_same_rows(tmp_path: Path) -> None:
    tables = []
    for kind, write in WRITERS.items():
        (tmp_path / kind).mkdir()
        write(tmp_path / kind, 0, 12)
        tables.append(candidates(Img2dataset(path=tmp_path / kind)).drop_columns("path"))
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])


def test_a_tar_without_its_table_is_read_from_its_texts(tmp_path: Path) -> None:
    write_webdataset_shard(tmp_path, 0, 12, table=False)
    source = Img2dataset(
        path=tmp_path, licenses=[{"column": "license_url", "kind": "url", "level": 4}]
    )
    rows = candidates(source).to_pylist()
    wanted = [(told, body) for told, body in img2dataset_rows(0, 12) if body]
    assert [row["source_id"] for row in rows] == [told["key"] for told, _ in wanted]
    assert [row["captions"][0]["text"] for row in rows] == [told["caption"] for told, _ in wanted]
    assert [row["body"] for row in read(source)] == [body for _, body in wanted]
    one_file = Img2dataset(path=tmp_path / "00000.tar")
    assert [row["path"] for row in candidates(one_file).to_pylist()] == [
        row["path"] for row in rows
    ]


def test_a_picture_that_was_written_anew_is_no_original(tmp_path: Path) -> None:
    rows = [row | {"jpg": picture(n + 50)} for n, (row, _) in enumerate(img2dataset_rows(0, 4))]
    schema = SCHEMA.append(pa.field("jpg", pa.binary()))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "00000.parquet")
    refused = read(Img2dataset(path=tmp_path))
    assert [row["reason"] for row in refused] == ["corrupt:sha256"] * 4
    assert refused[0]["measured_text"].endswith(f"not {rows[0]['sha256']}")
    assert refused[0]["body"] is None
    taken = read(Img2dataset(path=tmp_path, pictures="resized"))
    assert [row["body"] for row in taken] == [row["jpg"] for row in rows]
    assert (
        Img2dataset(path=tmp_path).identity()
        != Img2dataset(path=tmp_path, pictures="resized").identity()
    )


@pytest.mark.parametrize("kind", ["img2dataset", "huggingface"])
def test_without_a_named_column_nothing_is_kept_and_a_wrong_name_is_told(kind: str) -> None:
    recipe = recipe_of(kind, "source.licenses=[]")
    table = candidates(recipe.source)
    assert recipe.license_stage is not None
    judged = apply(recipe.license_stage, table)
    assert set(judged["reason"].to_pylist()) == {"license:none"}
    wrong = recipe_of(kind, "source.licenses.0.column=rights")
    with pytest.raises(RecipeError, match=r"no column 'rights'; it has .*(text|url)"):
        candidates(wrong.source)


def test_parquet_of_hugging_face_and_an_imagefolder_hold_the_same_pictures(tmp_path: Path) -> None:
    rows = huggingface_rows(9)
    write_huggingface(tmp_path / "a" / "data" / "train-00000-of-00001.parquet", rows)
    write_imagefolder(tmp_path / "b", rows)
    (tmp_path / "b" / "train" / "extra.jpg").write_bytes(picture(99))
    told = [{"column": "license", "kind": "text", "level": 4}]
    table, folder = (Huggingface(path=tmp_path / name, licenses=told) for name in "ab")
    assert [row["body"] for row in read(table)] == [row["image"]["bytes"] for row in rows]
    assert [row["body"] for row in read(folder)] == [
        *(r["image"]["bytes"] for r in rows),
        picture(99),
    ]
    one, two = (candidates(source).to_pylist() for source in (table, folder))
    for first, second in zip(one, two[:-1], strict=True):
        assert first["captions"] == second["captions"]
        assert [e["value"] for e in first["claims"]] == [e["value"] for e in second["claims"]]
    assert (two[-1]["path"], two[-1]["captions"], two[-1]["claims"]) == ("train/extra.jpg", [], [])
    assert [item.name for item in folder.inputs()] == ["train/metadata.jsonl", "pictures"]
    before = folder.inputs()
    (tmp_path / "b" / "train" / "more.png").write_bytes(b"x")
    assert folder.inputs() != before


def test_a_column_of_addresses_holds_no_pictures(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"image": ["https://x.org/1.jpg"], "text": ["a"]}), tmp_path / "a.parquet"
    )
    with pytest.raises(RecipeError, match="'image' holds string and no pictures"):
        candidates(Huggingface(path=tmp_path))


def test_an_imagefolder_names_missing_and_outside_files(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    lines = [{"file_name": "gone.jpg"}, {"file_name": "../secret.jpg"}, {"file_name": None}]
    (tmp_path / "set" / "metadata.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    source = Huggingface(path=tmp_path / "set")
    defects = candidates(source)["defect"].to_pylist()
    assert defects == [None, "malformed:path", "malformed:id"]
    rows = read(source)
    assert rows[0]["reason"] == "missing_file"
    assert [row["body"] for row in rows] == [None] * 3


# --- read_file ----------------------------------------------------------------------------------
def reasons(root: Path, *paths: str, max_bytes: int = MEBIBYTE) -> list[str | None]:
    return [found.reason for found in read_all(root.resolve(), paths, max_bytes)]


def test_members_that_are_not_there_or_not_whole_say_so(tmp_path: Path) -> None:
    body = picture(1)
    (tmp_path / "a.tar").write_bytes(b"\0" * 512 + body)
    write_huggingface(tmp_path / "a.parquet", huggingface_rows(6))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and no more")
    cut = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "c.parquet").write_bytes(b"\xff" * 4000 + cut[4000:])
    span = span_address("a.tar", 512, len(body))
    assert read_all(tmp_path.resolve(), [span], MEBIBYTE) == [Found(body)]
    expected = {
        span_address("a.tar", 512, len(body) + 1): "corrupt:truncated",
        span_address("a.tar", 99_999, 10): "corrupt:truncated",
        span_address("a.tar", 512, 0): "missing_file:member",
        span_address("a.tar", 0, 10 * MEBIBYTE): "too_large:bytes",
        span_address("none.tar", 0, 10): "missing_file",
        span_address("../a.tar", 0, 10): "malformed:path",
        span_address("a.tar", 512, len(body), "0" * 64): "corrupt:sha256",
        member_address("a.tar", "x.jpg"): "missing_file:member",
        value_address("a.parquet", 0, 4, "image"): "missing_file:member",
        value_address("a.parquet", 7, 0, "image"): "missing_file:member",
        value_address("a.parquet", 0, 0, "picture"): "missing_file:column",
        value_address("a.parquet", 0, 0, "text"): "missing_file:column",
        value_address("b.parquet", 0, 0, "image"): "corrupt:container",
        value_address("c.parquet", 0, 0, "image"): "corrupt:container",
        value_address("a.parquet", 0, 0, "image", "f" * 64): "corrupt:sha256",
        file_address("a.tar", "f" * 64): "corrupt:sha256",
        "a.tar#offset=-1&bytes=3": "missing_file",
        f"a.tar#offset={10**30}&bytes=3": "missing_file",
        "#offset=0&bytes=3": "missing_file",
        "a.tar#": "missing_file",
    }
    assert dict(zip(expected, reasons(tmp_path, *expected), strict=True)) == expected
    assert reasons(tmp_path, value_address("a.parquet", 0, 0, "image"), max_bytes=10) == [
        "too_large:bytes"
    ]


def test_a_link_out_of_the_folder_is_not_followed_for_a_member(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.tar").write_bytes(b"secret" * 100)
    (tmp_path / "in" / "a.tar").symlink_to(tmp_path / "out.tar")
    os.mkfifo(tmp_path / "in" / "b.tar")
    paths = span_address("a.tar", 0, 6), span_address("b.tar", 0, 6)
    assert reasons(tmp_path / "in", *paths) == ["malformed:path", "missing_file:not_a_file"]


def test_a_file_whose_name_only_looks_like_an_address_is_a_file(tmp_path: Path) -> None:
    for name in ("a#b.jpg", "a.jpg#row=1", "a.jpg#offset=1&offset=2", "a#member=x&bytes=1"):
        (tmp_path / name).write_bytes(name.encode())
        assert parse_address(name) == Address(name)
        assert read_all(tmp_path.resolve(), [name], 100) == [Found(name.encode())]


NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
SHA = st.none() | st.binary(max_size=9).map(lambda b: hashlib.sha256(b).hexdigest())
PLACE = st.integers(0, 10**17)


@settings(max_examples=200, deadline=None)
@given(file=NAME, column=NAME, a=PLACE, b=PLACE, sha=SHA)
def test_an_address_says_what_it_was_made_of(
    file: str, column: str, a: int, b: int, sha: str | None
) -> None:
    assert parse_address(span_address(file, a, b, sha)) == Address(file, span=(a, b), sha256=sha)
    assert parse_address(value_address(file, a, b, column, sha)) == Address(
        file, value=(a, b, column), sha256=sha
    )
    assert parse_address(member_address(file, column)) == Address(file, member=column)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab#&=0offsetbytesrow_groupcolumn%/."), max_size=40))
def test_any_path_is_read_without_an_error(text: str) -> None:
    assert parse_address(text).file in text
    or_nothing = read_all(Path("/nonexistent-folder"), [text], 10)
    assert or_nothing[0].body is None


def test_a_row_group_is_passed_a_few_values_at_a_time(tmp_path: Path) -> None:
    """One group of 48 MiB: reading one value of it must not hold it all."""
    body = os.urandom(MEBIBYTE)
    table = pa.table({"jpg": pa.array([body] * 48, pa.binary())})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False, compression="none",
                   data_page_size=MEBIBYTE, write_batch_size=1)  # fmt: skip
    del table
    pool = pa.system_memory_pool()
    pa.set_memory_pool(pool)
    before, peak = pa.total_allocated_bytes(), 0
    tracemalloc.start()
    try:
        [found] = read_all(
            tmp_path.resolve(), [value_address("a.parquet", 0, 40, "jpg")], 2 * MEBIBYTE
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(pa.default_memory_pool())
    assert found.body == body
    assert peak < 8 * MEBIBYTE
    assert pool.max_memory() - before < 24 * MEBIBYTE


def test_a_set_with_its_pictures_becomes_a_dataset(tmp_path: Path) -> None:
    """From the recipe to committed pictures, twice with the same digest."""
    (tmp_path / "set").mkdir()
    write_parquet_shard(tmp_path / "set", 0, 12)
    write_webdataset_shard(tmp_path / "set", 1, 12)
    place = str(tmp_path / "set")
    value = {
        "name": "carried", "shard_rows": 16,
        "source": {"kind": "img2dataset", "path": place,
                   "licenses": [{"column": "license_url", "kind": "url", "level": 4}]},
        "passes": [{"layer": "images", "stages": [
            {"kind": "license", "policy": "sharealike"}, {"kind": "read_file", "root": place},
            {"kind": "inspect"}, {"kind": "embedded"}]}],
    }  # fmt: skip
    digests = set()
    for name in ("one", "two"):
        run_inline(recipe_from(value, origin="test"), tmp_path / name)
        dataset = Dataset.open(tmp_path / name)
        digests.add(dataset.manifest.dataset_digest)
        kept = [row for row in dataset.ledger().to_pylist() if row["verdict"] == "kept"]
        failed = [row for row in dataset.ledger().to_pylist() if row["verdict"] == "failed"]
    assert len(digests) == 1
    wanted = [img2dataset_rows(shard, 12)[at][0] for shard in (0, 1) for at in (0, 1, 2, 11)]
    assert {row["original_sha256"] for row in kept} == {told["sha256"] for told in wanted}
    assert [row["reason"] for row in failed] == ["missing_file:member"] * 2, "not decoded then"


def test_damaged_containers_are_named(tmp_path: Path) -> None:
    (tmp_path / "00000.parquet").write_bytes(b"no parquet")
    with pytest.raises(MissingInput, match=r"00000\.parquet is not a readable Parquet file"):
        candidates(Img2dataset(path=tmp_path))
    (tmp_path / "00000.parquet").unlink()
    with pytest.raises(MissingInput, match=r"no \.parquet and no \.tar"):
        candidates(Img2dataset(path=tmp_path))
    (tmp_path / "00000.tar").write_bytes(b"x" * 2000)
    with pytest.raises(MissingInput, match=r"00000\.tar is not a readable tar"):
        candidates(Img2dataset(path=tmp_path))
    write_webdataset_shard(tmp_path, 0, 12)
    whole = (tmp_path / "00000.tar").read_bytes()
    (tmp_path / "00000.tar").write_bytes(whole[: len(whole) // 3])
    rows = read(Img2dataset(path=tmp_path))
    assert len(rows) == 12, "the table still lists every row"
    assert {row["reason"] for row in rows} <= {None, "missing_file:member", "corrupt:truncated"}
    assert sum(row["body"] is not None for row in rows) >= 2


def test_the_fixtures_are_what_the_writers_write(tmp_path: Path) -> None:
    write_webdataset_shard(tmp_path, 1, 12)
    for name in ("00001.tar", "00001.parquet"):
        assert (tmp_path / name).stat().st_size == (ROOT / "img2dataset" / name).stat().st_size


@pytest.mark.slow
def test_what_the_real_img2dataset_writes_is_read(tmp_path: Path) -> None:
    """img2dataset itself, from a loopback server, in both formats, without re-encoding."""
    from api_server import Answer, serving

    with serving(lambda query, times: Answer(picture(int(query["n"])))) as server:
        urls = [f"{server.base}/p?n={n}" for n in range(12)]
        table = pa.table({"url": urls, "caption": [f"picture {n}" for n in range(12)],
                          "license_url": ["https://creativecommons.org/licenses/by/4.0/"] * 12})  # fmt: skip
        pq.write_table(table, tmp_path / "urls.parquet")
        for kind in ("parquet", "webdataset", "files"):
            subprocess.run(
                [sys.executable, "-c", _RUN, str(tmp_path / "urls.parquet"), str(tmp_path / kind), kind],
                check=True, env=os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}, timeout=200,
            )  # fmt: skip
    for kind in ("parquet", "webdataset", "files"):
        rows = read(Img2dataset(path=tmp_path / kind))
        assert sorted(row["body"] for row in rows) == sorted(picture(n) for n in range(12)), kind
        assert [row["reason"] for row in rows] == [None] * 12


_RUN = """
import sys
from img2dataset import download
if __name__ == "__main__":
    download(url_list=sys.argv[1], output_folder=sys.argv[2], output_format=sys.argv[3],
             input_format="parquet", url_col="url", caption_col="caption", processes_count=1,
             thread_count=4, resize_mode="no", disable_all_reencoding=True,
             save_additional_columns=["license_url"], number_sample_per_shard=6)
"""
