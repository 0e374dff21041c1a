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
from curate.stages.buckets import Buckets, sizes_of
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


# --- buckets said by a base -----------------------------------------------------------------------
def test_a_base_gives_the_usual_buckets() -> None:
    assert Buckets(base=256).buckets == ((192, 320), (256, 256), (320, 192))
    assert Buckets(base=512).buckets == (
        (384, 640), (448, 576), (512, 512), (576, 448), (640, 384),
    )  # fmt: skip
    assert Buckets(base=1024).buckets == (
        (768, 1344), (832, 1216), (896, 1152), (960, 1088), (1024, 1024), (1088, 960),
        (1152, 896), (1216, 832), (1344, 768),
    )  # fmt: skip
    assert len(Buckets(base=1024, max_ratio=4.0).buckets) == 17
    assert len(Buckets(base=512, step=8).buckets) == 37
    both = Buckets(base=(512, 256, 512)).buckets
    assert both == tuple(sorted({*Buckets(base=256).buckets, *Buckets(base=512).buckets}))
    assert Buckets(base=256, max_ratio=1.0).buckets == ((256, 256),)


@given(
    st.integers(1, 40), st.sampled_from([1, 8, 16, 32, 64, 100]), st.floats(1.0, 12.0),
)  # fmt: skip
def test_the_buckets_of_a_base_are_symmetric_bounded_and_cannot_grow(
    steps: int, step: int, max_ratio: float
) -> None:
    base = steps * step
    found = sizes_of(base, step, max_ratio)
    assert found == tuple(sorted(set(found))) and (base, base) in found
    assert {(height, width) for width, height in found} == set(found)
    for width, height in found:
        assert width % step == 0 == height % step
        assert max(width, height) <= max_ratio * min(width, height)
        assert width * height <= base * base < min(width, height) * (max(width, height) + step)
    shorts = [min(size) for size in found if size[0] >= size[1]]
    assert len(shorts) == len(set(shorts))
    for short in range(step, base, step):  # none that may be there is left out
        long = base * base // (short * step) * step
        assert ((long, short) in found) is (long <= max_ratio * short)


def test_of_several_bases_the_largest_that_is_filled_is_taken() -> None:
    stage = Buckets(base=(256, 512, 1024))
    sizes: list[Size] = [
        (4000, 3000), (1024, 1024), (900, 1100), (600, 512), (511, 511), (256, 256), (255, 300),
        (1344, 768), (1343, 768), (400, 100), (None, 9),
    ]  # fmt: skip
    rows = run(stage, sizes)
    assert [(r["bucket_width"], r["bucket_height"]) for r in rows] == [
        (1152, 896), (1024, 1024), (448, 576), (576, 448), (256, 256), (256, 256), (None, None),
        (1344, 768), (640, 384), (None, None), (None, None),
    ]  # fmt: skip
    assert rows[2]["crop_box"] == [22, 0, 878, 1100]
    assert rows[6]["measured_value"] == 255 / 256 and rows[6]["reason"] == "too_small"
    free = run(Buckets(base=(256, 512, 1024), upscale="allow"), sizes)
    assert (free[6]["bucket_width"], free[6]["bucket_height"]) == (256, 256)
    assert (free[9]["bucket_width"], free[9]["bucket_height"]) == (320, 192)
    assert free[0] | {"crop_box": None} == rows[0] | {"crop_box": None}


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=20))
def test_no_picture_is_enlarged_while_a_smaller_base_would_do(sizes: list[Size]) -> None:
    bases = (128, 256, 512)
    together = run(Buckets(base=bases), sizes)
    alone = {base: run(Buckets(base=base), sizes) for base in bases}
    for at, row in enumerate(together):
        kept = [base for base in bases if alone[base][at]["verdict"] is None]
        wanted = alone[max(kept, default=128)][at]
        assert row == wanted


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "by sizes"), ({"sizes": [[64, 64]], "base": 64}, "or by base"),
        ({"sizes": []}, "by sizes"), ({"base": []}, "at least 1 item"),
        ({"base": 100}, "base 100 is not a multiple of step 64"),
        ({"base": [128, 96]}, "base 96 is not a multiple"),
        ({"base": 64, "step": 128}, "base 64 is not a multiple"),
        ({"base": 1024, "step": 2}, "at most 256 times"),
        ({"sizes": [[64, 64]], "step": 32}, "step and max_ratio go with base"),
        ({"sizes": [[64, 64]], "max_ratio": 3.0}, "step and max_ratio go with base"),
        ({"base": 64, "max_ratio": 0.5}, "max_ratio"), ({"base": 0}, "base"),
        ({"base": 64, "max_ratio": float("inf")}, "max_ratio"),
    ],
)  # fmt: skip
def test_buckets_are_said_in_one_way(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Buckets.model_validate(settings)


def test_listed_buckets_keep_their_identity_and_a_base_has_its_own() -> None:
    listed = Buckets(sizes=((256, 256), (320, 192)))
    assert listed.identity() == {
        "kind": "buckets", "sizes": [[256, 256], [320, 192]], "upscale": "reject",
        "version": listed.version,
    }  # fmt: skip
    said = Buckets(base=512).identity()
    assert (said["base"], said["step"], said["max_ratio"]) == (512, 64, 2.0)
    assert "sizes" not in said and said != Buckets(base=512, step=32).identity()
    for stage in (listed, Buckets(base=(256, 512))):
        assert Buckets.model_validate(stage.model_dump(mode="json")) == stage
        assert Buckets.model_validate_json(stage.model_dump_json()) == stage


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
