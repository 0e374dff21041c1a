"""The store: digests mean content, commits count once, damage is named."""

from __future__ import annotations

import hashlib
import itertools
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import columns as c
from curate.errors import CommitConflict, StoreError
from curate.store.commit import commit_shard, encode, load_commits
from curate.store.dataset import Dataset
from curate.store.digest import TableDigest, file_sha256s, table_digest
from curate.store.files import LocalFiles
from curate.store.manifest import Counts, Manifest, layer_of

SCHEMA = pa.schema([c.KEY, c.CAPTIONS, c.IMAGE, c.CROP_BOX, c.THUMBPRINT, c.PHASH, c.T5_TOKENS])
text = st.none() | st.text(max_size=8)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "key": st.text(alphabet="0123456789abcdef", min_size=4, max_size=4),
            "captions": st.none()
            | st.lists(st.fixed_dictionaries({"text": text, "language": text}), max_size=3),
            "image": st.none()
            | st.fixed_dictionaries({"bytes": st.none() | st.binary(max_size=9)}),
            "crop_box": st.none() | st.lists(st.integers(-9, 9), min_size=4, max_size=4),
            "thumbprint": st.none() | st.binary(min_size=432, max_size=432),
            "phash": st.none() | st.integers(0, 2**64 - 1),
            "t5_tokens": st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3),
        }
    ),
    max_size=7,
)


def table_of(values: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(values, schema=SCHEMA)


@given(rows, st.integers(0, 7))
def test_digest_does_not_see_chunks_or_offsets(values: list[dict[str, object]], cut: int) -> None:
    table = table_of(values)
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    padded = pa.concat_tables([table_of(values[:1]), table]).slice(len(values[:1]))
    assert table_digest(pieces) == table_digest(table) == table_digest(padded)


@given(rows, st.lists(st.integers(0, 7), max_size=3))
def test_a_table_read_in_pieces_has_the_digest_of_the_whole(
    values: list[dict[str, object]], cuts: list[int]
) -> None:
    table = table_of(values)
    digest = TableDigest(table.schema)
    places = [0, *sorted(cuts), len(table)]
    for start, end in itertools.pairwise(places):
        piece = table.slice(start, end - start)
        digest.update(piece)
    assert digest.hexdigest() == table_digest(table)


@given(rows)
def test_the_hashes_of_pictures_may_be_given(values: list[dict[str, object]]) -> None:
    table = table_of(values)
    files = pc.struct_field(table["image"].combine_chunks(), "bytes")
    known = file_sha256s(files)
    told = [None if not value.is_valid else value.as_py() for value in files]
    assert known == b"".join(
        bytes(32) if data is None else hashlib.sha256(data).digest() for data in told
    )
    for hashes in (known, known[::-1]):
        digest = TableDigest(table.schema)
        digest.add("image", table["image"].combine_chunks(), hashes)
        digest.update(table.drop_columns(["image"]))
        assert (digest.hexdigest() == table_digest(table)) == (hashes == known)


@given(rows)
def test_parquet_round_trip_keeps_content_and_schema(values: list[dict[str, object]]) -> None:
    import io

    import pyarrow.parquet as pq

    table = table_of(values)
    data = encode(table)
    back = pq.read_table(io.BytesIO(data))
    assert back.cast(SCHEMA).equals(table)
    assert table_digest(back) == table_digest(table)
    assert encode(table) == data


def shard_of_each_form() -> pa.Table:
    """150 rows with pictures, lists of vectors, latents, texts, and nulls among all of them."""

    def body(number: int, size: int) -> bytes:
        return hashlib.shake_256(f"{number} {size}".encode()).digest(size)

    n = 150
    columns = [
        sorted(hashlib.sha256(str(i).encode()).hexdigest() for i in range(n)),
        [f"title {i % 7}" if i % 5 else None for i in range(n)],
        [{"bytes": body(i, 400), "path": None} if i % 9 else None for i in range(n)],
        [[body(i, 64)] * (i % 3) for i in range(n)],
        [body(i, 128) if i % 11 else None for i in range(n)],
        [[3] * (i % 3) for i in range(n)],
    ]
    fields = [c.KEY, c.TITLE, c.IMAGE, c.T5_EMBEDDINGS, c.LATENT, c.T5_TOKENS]
    return pa.table(columns, schema=pa.schema(fields))


@pytest.mark.skipif(pa.__version__ != "26.0.1", reason="Parquet files name their writer's version")
def test_the_bytes_of_a_shard_are_those_that_were_always_written() -> None:
    table = shard_of_each_form()
    known = {
        "6bd2f54b4c5b1ee4b5c7d73ee6fdc66369fb8d58e7dcf0b034786d85d43f7f25": table,
        "6f0bd6c8f429d300c2f82ef5865434338e0e200b3021871904163895a929ed30": table.slice(0, 0),
    }
    for digest, rows in known.items():
        assert hashlib.sha256(encode(rows)).hexdigest() == digest
    moved = pa.concat_tables([table.slice(0, 7), table]).combine_chunks().slice(7)
    assert encode(moved).equals(encode(table)), "where the values lie in memory is not seen"


def test_the_digest_of_a_shard_is_the_one_it_always_had() -> None:
    assert table_digest(shard_of_each_form()) == (
        "25fba3c60e7798f5d66eea854c3e01889d9f18d27537d2df5485acec54a1eb7a"
    )


@given(rows, rows)
def test_different_content_has_another_digest(
    one: list[dict[str, object]], two: list[dict[str, object]]
) -> None:
    a, b = table_of(one), table_of(two)
    assert (table_digest(a) == table_digest(b)) == a.equals(b)


def test_model_values_are_outside_the_digest_but_nulls_and_metadata_are_inside() -> None:
    def scores(values: list[float | None], note: str = "x") -> pa.Table:
        field = c.CLIP_SCORE.with_metadata(
            {**c.CLIP_SCORE.metadata, b"curate.model": note.encode()}
        )
        return pa.table([pa.array(values, pa.float32())], schema=pa.schema([field]))

    assert table_digest(scores([0.5, 0.1])) == table_digest(scores([0.5000001, 0.1]))
    assert table_digest(scores([0.5, None])) != table_digest(scores([0.5, 0.1]))
    assert table_digest(scores([0.5])) != table_digest(scores([0.5], note="another model"))


def commit(files: LocalFiles, text: str, part: str = "0-open") -> object:
    table = pa.table([["k"], [text]], schema=pa.schema([c.KEY, c.TITLE]))
    return commit_shard(
        files, layer="images", part=part, fingerprint="f", input_digest="i", rows_in=1,
        tables={"data": table}, marked={},
    )  # fmt: skip


def test_committing_twice_keeps_the_first_and_a_difference_is_an_alarm(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    first = commit(files, "same")
    assert commit(files, "same") == first
    assert len(load_commits(files, "images")) == 1
    with pytest.raises(CommitConflict, match="0-open"):
        commit(files, "other")
    assert list(load_commits(files, "images").values()) == [first]


def test_only_one_of_many_writers_creates_a_file(tmp_path: Path) -> None:
    files, wins, gate = LocalFiles(tmp_path), [], threading.Barrier(8)

    def write(number: int) -> None:
        gate.wait()
        if files.put_if_absent("a/commit.json", f"writer {number}".encode()):
            wins.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert files.read("a/commit.json") == f"writer {wins[0]}".encode()
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_names_cannot_leave_the_dataset(tmp_path: Path) -> None:
    for name in ("/etc/passwd", "../x", "a/../../x"):
        with pytest.raises(StoreError, match="not a path inside"):
            LocalFiles(tmp_path).path(name)


def features(files: LocalFiles, value: float) -> object:
    import numpy as np

    field = c.LATENT.with_metadata({**c.LATENT.metadata, b"curate.dtype": b"float16"})
    latent = np.full(8, value, np.float16).tobytes()
    table = pa.table([["k"], [latent]], schema=pa.schema([c.KEY, field]))
    return commit_shard(
        files, layer="features/latents", part="0-open", fingerprint="f", input_digest="i", rows_in=1,
        tables={"data": table}, marked={},
    )  # fmt: skip


def test_model_columns_may_differ_within_the_tolerance_and_that_is_recorded(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    first = features(files, 1.0)
    assert features(files, 1.001) == first
    assert len(files.list("features/latents/data")) == 1, "the second computation's file is gone"
    assert len(files.list("features/latents/recomputed")) == 1
    with pytest.raises(CommitConflict, match="relative errors"):
        features(files, 1.5)
    with pytest.raises(CommitConflict):
        features(files, float("nan"))


def test_a_damaged_footer_is_named(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    plan = pa.table({"key": ["k"]})
    commit = commit_shard(
        files, layer="plan", part="all-open", fingerprint="f", input_digest="i", rows_in=1,
        tables={"data": plan}, marked={},
    )  # fmt: skip
    [entry] = commit.files
    layer = layer_of("plan", [commit], {})
    manifest = Manifest(
        recipe_name="t", recipe_fingerprint="f", license_audited=False, dataset_digest="",
        bytes_digest="", counts=Counts(candidates=1, kept=1, rejected={}, failed={}), layers=[layer],
    )  # fmt: skip
    dataset = Dataset(files, manifest)
    assert dataset.schema(entry).names == ["key"]
    whole = dataset.path(entry).read_bytes()
    dataset.path(entry).write_bytes(whole[:-4] + b"????")
    with pytest.raises(StoreError, match=entry.path):
        dataset.schema(entry)
    dataset.path(entry).unlink()
    with pytest.raises(StoreError, match=entry.path):
        dataset.schema(entry)
