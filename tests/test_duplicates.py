"""The duplicates barrier: what counts as the same picture, who survives, whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import file, scene
from PIL import Image, ImageOps

from curate import columns as c
from curate.demo.corpus import Row, draw_rows
from curate.stage import apply
from curate.stages.duplicates import Duplicates
from curate.stages.inspect import Inspect


def measured(
    bodies: Sequence[bytes], *, licenses: Sequence[str | None] = (), levels: Sequence[int] = (),
    keys: Sequence[str] = (),
) -> pa.Table:  # fmt: skip
    """What the barrier sees of files: inspected, with licence and evidence."""
    size = len(bodies)
    names = list(keys) or [f"{at:04d}" for at in range(size)]
    table = pa.table({"key": names, "body": bodies}, schema=pa.schema([c.KEY, c.BODY]))
    table = apply(Inspect(), table)
    assert table["verdict"].null_count == size
    hashes = [sha256(body).hexdigest() for body in bodies]
    table = table.append_column(c.ORIGINAL_SHA256, pa.array(hashes))
    table = table.append_column(c.LICENSE, pa.array(list(licenses) or ["CC0-1.0"] * size))
    table = table.append_column(c.EVIDENCE_LEVEL, pa.array(list(levels) or [5] * size, pa.int8()))
    return table.select(Duplicates.consumes.names)


def found(table: pa.Table, **settings: Any) -> dict[str, tuple[str, str]]:
    """Key → reason and survivor of the rows that go."""
    rows = Duplicates(**settings).decide([table]).to_pylist()
    assert all(row["verdict"] == "rejected" and row["stage"] == "duplicates" for row in rows)
    assert [row["key"] for row in rows] == sorted(row["key"] for row in rows)
    return {row["key"]: (row["reason"], row["related_key"]) for row in rows}


# --- the demo's planted duplicates -------------------------------------------------------------
@lru_cache(maxsize=1)
def corpus() -> tuple[tuple[Row, ...], pa.Table]:
    faults = {"none", "duplicate_exact", "duplicate_near", "caption_random", "caption_relation"}
    rows = [r for r in draw_rows(pictures=800, seed=3) if r.body is not None and r.fault in faults]
    table = measured(
        [r.body for r in rows if r.body is not None], licenses=[r.wording.means for r in rows],
        keys=[r.key for r in rows],
    )  # fmt: skip
    return tuple(rows), table


def test_planted_duplicates_are_found_and_nothing_else() -> None:
    rows, table = corpus()
    gone = found(table)
    truth = {r.key: r.cluster for r in rows if r.cluster is not None}
    planted = {r.key for r in rows if r.fault.startswith("duplicate")}
    right = {
        key for key, (_, survivor) in gone.items() if truth.get(key, -1) == truth.get(survivor)
    }
    assert len(planted) >= 30
    assert len(right) / len(gone) >= 0.98
    assert len(right & planted) / len(planted) >= 0.98
    assert {r.key for r in rows if r.cluster_rank == 0}.isdisjoint(gone)
    exact = {r.key for r in rows if r.fault == "duplicate_exact"}
    assert {key for key, (reason, _) in gone.items() if reason == "duplicate:exact"} == exact


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 700))
def test_neither_order_nor_split_matters(shuffle: Any, step: int) -> None:
    _, table = corpus()
    order = list(range(len(table)))
    shuffle.shuffle(order)
    mixed = table.take(pa.array(order))
    parts = (mixed.slice(at, step) for at in range(0, len(mixed), step))
    assert Duplicates().decide(parts).equals(Duplicates().decide([table]))


# --- who survives ------------------------------------------------------------------------------
def test_the_survivor_is_best_licensed_then_best_evidenced_then_largest_then_first() -> None:
    large, body = file(scene(size=96), "PNG"), file(scene(), "PNG")
    cases: list[tuple[list[bytes], list[str | None], list[int], str]] = [
        ([body, body], ["CC-BY-4.0", "CC0-1.0"], [5, 3], "0001"),
        ([body, body], ["CC-BY-SA-4.0", "CC-BY-2.0"], [5, 3], "0001"),
        ([body, body], [None, "CC-BY-NC-4.0"], [5, 3], "0001"),
        ([large, body], ["CC0-1.0", "CC0-1.0"], [3, 4], "0001"),
        ([body, large], ["CC0-1.0", "CC0-1.0"], [4, 4], "0001"),
        ([body, body], ["CC0-1.0", "CC0-1.0"], [4, 4], "0000"),
    ]
    for bodies, licenses, levels, survivor in cases:
        gone = found(measured(bodies, licenses=licenses, levels=levels))
        assert [s for _, s in gone.values()] == [survivor]


def test_an_unknown_licence_never_survives_a_known_one() -> None:
    body = file(scene(), "PNG")
    rows = measured([body] * 3, licenses=["Whatever-1.0", "CC-BY-NC-ND-4.0", None])
    assert {survivor for _, survivor in found(rows).values()} == {"0001"}


# --- what is the same --------------------------------------------------------------------------
def test_the_same_pixels_in_other_files_are_exact() -> None:
    bodies = [file(scene(), "PNG"), file(scene(), "WEBP", lossless=True), file(scene(), "PNG")]
    assert found(measured(bodies)) == {
        "0001": ("duplicate:exact", "0000"), "0002": ("duplicate:exact", "0000"),
    }  # fmt: skip


def test_the_same_bytes_in_another_shape_are_not() -> None:
    flat = [file(Image.new("RGB", size, (9, 9, 9)), "PNG") for size in ((64, 32), (32, 64))]
    gone = found(measured(flat), near_rgb=0)
    assert "duplicate:exact" not in {reason for reason, _ in gone.values()}


def test_a_near_copy_names_bits_and_difference() -> None:
    picture = scene(5, 96)
    small = picture.crop((2, 1, 95, 94)).resize((70, 70))
    rows = measured([file(picture, "PNG"), file(small, quality=80)])
    [mark] = Duplicates().decide([rows]).to_pylist()
    assert (mark["key"], mark["reason"], mark["related_key"]) == ("0001", "duplicate:near", "0000")
    assert 0 < mark["measured_value"] <= 3.0
    assert int(mark["measured_text"].removesuffix(" bits")) <= 20
    assert mark["retryable"] is False


def test_a_mirrored_picture_is_another_picture() -> None:
    pictures = [scene(seed) for seed in range(30)]
    rows = measured([file(im, "PNG") for im in (*pictures, *map(ImageOps.mirror, pictures))])
    assert found(rows) == {}


def test_no_chains() -> None:
    """A row near a removed row, but not near its survivor, stays."""
    picture = scene(9, 128)
    steps = [picture.crop((at, at, 128, 128)).resize((96, 96)) for at in (0, 6, 12)]
    rows = measured([file(im, "PNG") for im in steps], levels=[5, 4, 3])
    assert found(rows) == {"0001": ("duplicate:near", "0000")}
    middle_first = measured([file(im, "PNG") for im in steps], levels=[3, 5, 4])
    assert set(found(middle_first)) == {"0000", "0002"}


def test_a_copy_of_a_near_copy_goes_to_the_survivor() -> None:
    picture, copy = file(scene(5), "PNG"), file(scene(5), quality=70)
    rows = measured([copy, picture, copy], levels=[4, 5, 3])
    assert found(rows) == {
        "0000": ("duplicate:near", "0001"), "0002": ("duplicate:near", "0001"),
    }  # fmt: skip


def test_the_bounds_are_settings() -> None:
    rows = measured([file(scene(5), "PNG"), file(scene(5), quality=30)])
    assert len(found(rows)) == 1
    assert found(rows, near_rgb=0.0) == {}
    assert found(rows, near_bits=0, near_rgb=0.0) == {}


def test_rows_without_a_picture_are_no_duplicates() -> None:
    rows = measured([file(scene(seed), "PNG") for seed in range(3)])
    size = len(rows)
    for field in Duplicates.consumes:
        if field.name != "key":
            at = rows.column_names.index(field.name)
            rows = rows.set_column(at, field, pa.nulls(size, field.type))
    assert found(rows) == {}
    assert found(rows.slice(0, 0)) == {}
    assert Duplicates().decide([]).schema == pa.schema([c.KEY, *c.MARKS])


def test_a_null_print_hides_the_hash() -> None:
    rows = measured([file(scene(1), "PNG"), file(scene(2), "PNG")])
    zeros = pa.array([0, 0], pa.uint64())
    rows = rows.set_column(rows.column_names.index("phash"), c.PHASH, zeros)
    nothing = pa.nulls(2, c.THUMBPRINT.type)
    assert (
        found(rows.set_column(rows.column_names.index("thumbprint"), c.THUMBPRINT, nothing)) == {}
    )


def test_the_identity_names_the_method() -> None:
    assert "method" in Duplicates().identity()


def test_the_work_does_not_grow_with_the_square_of_the_rows() -> None:
    """All pairs of 30,000 prints would take hours; nothing but the copies is found."""
    rng = np.random.default_rng(1)
    size, copies = 30_000, 600
    coarse = rng.integers(0, 256, (size, 3, 3, 3))
    prints = np.kron(coarse, np.ones((1, 4, 4, 1), int)).astype(np.uint8).reshape(size, 432)
    hashes = rng.integers(0, 2**63, size).astype(np.uint64)
    prints[size - copies :], hashes[size - copies :] = prints[:copies], hashes[:copies]
    names = [f"{at:08d}" for at in range(size)]
    rows = pa.table(
        {
            "key": names, "original_sha256": names, "pixel_sha256": names, "phash": hashes,
            "width": pa.array([64] * size, pa.int32()),
            "height": pa.array([64] * size, pa.int32()), "license": ["CC0-1.0"] * size,
            "evidence_level": pa.array([5] * size, pa.int8()),
            "thumbprint": pa.array([row.tobytes() for row in prints], pa.binary(432)),
        },
        schema=Duplicates.consumes,
    )  # fmt: skip
    gone = found(rows)
    assert [int(s) for _, s in gone.values()] == list(range(copies))
