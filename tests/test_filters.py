"""Resolution, aspect, buckets and captions: what they reject, with what was measured."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curate import columns as c
from curate.stage import Stage, apply
from curate.stages.aspect import Aspect
from curate.stages.buckets import Buckets
from curate.stages.captions import Captions
from curate.stages.resolution import Resolution

Size = tuple[int | None, int | None]


def run(stage: Stage, sizes: list[Size]) -> list[dict[str, Any]]:
    table = pa.table(
        {
            "key": [str(i) for i in range(len(sizes))],
            "width": [width for width, _ in sizes],
            "height": [height for _, height in sizes],
        },
        schema=pa.schema([c.KEY, c.WIDTH, c.HEIGHT]),
    )
    rows: list[dict[str, Any]] = apply(stage, table).to_pylist()
    return rows


def verdicts(stage: Stage, sizes: list[Size]) -> list[tuple[str | None, float | None]]:
    return [(row["reason"], row["measured_value"]) for row in run(stage, sizes)]


def test_resolution_by_side_and_by_pixels() -> None:
    sizes: list[Size] = [(64, 64), (63, 200), (64, 70), (None, 64), (10, 10)]
    assert verdicts(Resolution(min_side=64, min_pixels=4200), sizes) == [
        ("too_small", 4096.0), ("too_small", 63.0), (None, None), ("too_small", None),
        ("too_small", 10.0),
    ]  # fmt: skip
    assert verdicts(Resolution(min_pixels=2**40), [(2**20, 2**20 - 1), (2**20, 2**20)]) == [
        ("too_small", float(2**20 * (2**20 - 1))), (None, None),
    ]  # fmt: skip
    with pytest.raises(ValidationError, match="min_side, min_pixels or both"):
        Resolution()


def test_aspect_is_the_same_lying_and_standing() -> None:
    sizes: list[Size] = [(200, 100), (100, 200), (201, 100), (100, 201), (None, 1), (7, 7)]
    assert verdicts(Aspect(max_ratio=2.0), sizes) == [
        (None, None), (None, None), ("aspect", 2.01), ("aspect", 2.01), ("aspect", None),
        (None, None),
    ]  # fmt: skip
    with pytest.raises(ValidationError):
        Aspect(max_ratio=0.5)


def test_buckets_take_the_nearest_aspect_and_the_centre() -> None:
    stage = Buckets(sizes=((256, 256), (320, 192), (192, 320)))
    rows = run(stage, [(300, 260), (640, 384), (200, 400), (1000, 1000)])
    assert [(r["bucket_width"], r["bucket_height"]) for r in rows] == [
        (256, 256), (320, 192), (192, 320), (256, 256),
    ]  # fmt: skip
    assert [r["crop_box"] for r in rows] == [
        [20, 0, 280, 260], [0, 0, 640, 384], [0, 33, 200, 366], [0, 0, 1000, 1000],
    ]  # fmt: skip


def test_buckets_of_one_aspect_take_the_largest_that_is_filled() -> None:
    stage = Buckets(sizes=((256, 256), (512, 512), (64, 64)))
    rows = run(stage, [(511, 600), (512, 512), (100, 100), (63, 63)])
    assert [r["bucket_width"] for r in rows] == [256, 512, 64, None]


def test_buckets_do_not_enlarge_unless_asked() -> None:
    sizes: list[Size] = [(128, 256), (256, 256), (None, 256)]
    strict = run(Buckets(sizes=((256, 256),)), sizes)
    assert [(r["reason"], r["measured_value"]) for r in strict] == [
        ("too_small", 0.5), (None, None), ("too_small", 0.0),
    ]  # fmt: skip
    assert strict[0]["crop_box"] is None and strict[0]["bucket_width"] is None
    free = run(Buckets(sizes=((256, 256),), upscale="allow"), sizes)
    assert [r["reason"] for r in free] == [None, None, "too_small"]
    assert free[0]["crop_box"] == [0, 64, 128, 192]
    with pytest.raises(ValidationError):
        Buckets(sizes=())


@given(
    st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(1, 2048), st.integers(1, 2048)), min_size=1, max_size=5),
)
def test_a_crop_box_lies_in_the_picture_and_has_the_bucket_aspect(
    sizes: list[Size], buckets: list[tuple[int, int]]
) -> None:
    for (width, height), row in zip(
        sizes, run(Buckets(sizes=tuple(buckets), upscale="allow"), sizes), strict=True
    ):
        assert row["verdict"] is None and width is not None and height is not None
        left, top, right, bottom = row["crop_box"]
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert (right - left, bottom - top)[0] == width or (bottom - top) == height
        across = (bottom - top) * row["bucket_width"] / row["bucket_height"]
        down = (right - left) * row["bucket_height"] / row["bucket_width"]
        assert abs(right - left - across) <= 1 or abs(bottom - top - down) <= 1
        best = max(width / height, height / width) * 10**9
        for other_width, other_height in buckets:
            best = min(best, _stretch(width, height, other_width, other_height))
        assert _stretch(width, height, row["bucket_width"], row["bucket_height"]) == best


def _stretch(width: int, height: int, bucket_width: int, bucket_height: int) -> float:
    across, down = width * bucket_height, height * bucket_width
    return max(across, down) / min(across, down)


def captions(*texts: str | None) -> list[dict[str, Any]]:
    return [{"text": text, "origin": "source"} for text in texts]


def test_captions_reject_only_rows_without_one_usable_text() -> None:
    values = [
        captions("a red circle"), captions("", " \t ", None), None, [],
        captions("x" * 100, "a blue ring"), captions("x" * 100), captions("  ab  "), [None],
    ]  # fmt: skip
    table = pa.table(
        {"key": [str(i) for i in range(len(values))], "captions": values},
        schema=pa.schema([c.KEY, c.CAPTIONS]),
    )
    stage = Captions(min_characters=3, max_characters=50)
    for given_table in (table, table.slice(0, 5), table.slice(3)):
        done = apply(stage, given_table)
        assert done["captions"].equals(given_table["captions"])
    done = apply(stage, table)
    assert list(zip(done["reason"].to_pylist(), done["measured_value"].to_pylist(), strict=True)) == [
        (None, None), ("caption", 0.0), ("caption", 0.0), ("caption", 0.0), (None, None),
        ("caption", 100.0), ("caption", 2.0), ("caption", 0.0),
    ]  # fmt: skip
    with pytest.raises(ValidationError, match="under min_characters"):
        Captions(min_characters=5, max_characters=4)


def test_captions_count_characters_and_not_bytes() -> None:
    table = pa.table(
        {"key": ["a"], "captions": [captions("ロ" * 4)]}, schema=pa.schema([c.KEY, c.CAPTIONS])
    )
    assert apply(Captions(max_characters=4), table)["reason"].to_pylist() == [None]
