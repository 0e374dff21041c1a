"""The inspect stage: what it measures of a picture, what it publishes, what it refuses."""

from __future__ import annotations

import io
import time
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pictures import (
    IPTC,
    XMP,
    distance,
    exif,
    file,
    photoshop,
    png_header,
    scene,
    with_segment,
)
from PIL import Image
from pydantic import ValidationError

from curate import columns as c
from curate.stage import apply
from curate.stages.inspect import Inspect


def table(bodies: list[bytes | None]) -> pa.Table:
    keys = [sha256(str(i).encode()).hexdigest() for i in range(len(bodies))]
    return pa.table({"key": keys, "body": bodies}, schema=pa.schema([c.KEY, c.BODY]))


def inspect(body: bytes | None, **settings: Any) -> dict[str, Any]:
    [row] = apply(Inspect(**settings), table([body])).to_pylist()
    return dict(row)


def test_a_rotated_picture_with_metadata_is_measured_and_published_clean() -> None:
    upright = scene(size=(96, 64))
    stored = upright.transpose(Image.Transpose.ROTATE_90)  # orientation 6 turns it back
    body = with_segment(file(stored, quality=97, exif=exif(6), xmp=XMP), photoshop(IPTC))
    row = inspect(body)
    assert row["verdict"] is None
    assert (row["original_width"], row["original_height"]) == (64, 96)
    assert (row["width"], row["height"]) == (96, 64)
    assert (row["original_format"], row["original_mode"], row["orientation"]) == ("JPEG", "RGB", 6)
    assert (row["embedded_exif"], row["embedded_xmp"], row["embedded_iptc"]) == (
        exif(6), [XMP], IPTC,
    )  # fmt: skip
    assert row["image"]["path"] == f"{row['key']}.jpg"
    assert row["stored_sha256"] == sha256(row["image"]["bytes"]).hexdigest()
    with Image.open(io.BytesIO(row["image"]["bytes"])) as published:
        assert published.size == (96, 64)
        assert distance(published, upright) < 4
        assert not {"exif", "xmp", "photoshop", "icc_profile"} & set(published.info)
    with Image.open(io.BytesIO(row["thumbnail"])) as small:
        assert small.size == (96, 64)


def test_png_output_holds_the_very_pixels_that_were_hashed() -> None:
    row = inspect(file(scene(), "PNG"), format="png")
    with Image.open(io.BytesIO(row["image"]["bytes"])) as published:
        assert published.format == "PNG"
        assert row["pixel_sha256"] == sha256(published.tobytes()).hexdigest()
    assert row["image"]["path"].endswith(".png")
    assert len(row["thumbprint"]) == 432
    assert 0 <= row["phash"] < 2**64


def test_the_same_pixels_in_another_file_have_the_same_pixel_hash() -> None:
    png, webp = file(scene(), "PNG"), file(scene(), "WEBP", lossless=True, exact=True)
    first, second = inspect(png), inspect(webp)
    for name in ("pixel_sha256", "phash", "thumbprint", "stored_sha256"):
        assert first[name] == second[name]
    assert inspect(file(scene(2), "PNG"))["pixel_sha256"] != first["pixel_sha256"]


def test_max_side_shrinks_what_is_stored_and_not_what_is_hashed() -> None:
    body = file(scene(size=(120, 60)), "PNG")
    small, whole = inspect(body, max_side=40, thumbnail_side=20), inspect(body)
    assert (small["width"], small["height"]) == (40, 20)
    assert (small["original_width"], small["original_height"]) == (120, 60)
    assert small["pixel_sha256"] == whole["pixel_sha256"]
    with Image.open(io.BytesIO(small["thumbnail"])) as thumbnail:
        assert thumbnail.size == (20, 10)


def test_bad_rows_are_rejected_with_reason_and_value_beside_good_ones() -> None:
    jpeg = file(scene())
    bodies = [None, b"", b"<!doctype html>", jpeg[:700], png_header(9000, 9000), jpeg]
    done = apply(Inspect(), table(bodies)).to_pylist()
    assert [(r["reason"], r["measured_value"]) for r in done] == [
        ("not_an_image", None), ("not_an_image", None), ("not_an_image", None),
        ("corrupt", None), ("too_large", 81_000_000.0), (None, None),
    ]  # fmt: skip
    assert [r["measured_text"] for r in done[:3]] == ["no bytes", "empty", "html"]
    assert all(r["stage"] == "inspect" and r["image"] is None for r in done[:5])
    assert done[5]["image"]["bytes"]


@pytest.mark.parametrize(("form", "side"), [("webp", 16_384), ("jpeg", 65_501)])
def test_a_side_that_the_format_cannot_hold_is_too_large(form: str, side: int) -> None:
    body = file(Image.new("L", (side, 1)), "PNG")
    row = inspect(body, format=form)
    assert (row["reason"], row["measured_value"]) == ("too_large", float(side))
    assert str(side - 1) in row["measured_text"]
    assert inspect(body, format=form, max_side=500)["width"] == 500


def test_twice_is_the_same_bytes() -> None:
    bodies = [file(scene(seed)) for seed in range(6)]
    for settings in ({}, {"format": "webp"}, {"format": "png", "max_side": 40}):
        stage = Inspect.model_validate(settings)
        assert apply(stage, table(bodies)).equals(apply(stage, table(bodies)))


def test_identity_names_the_codecs() -> None:
    told = Inspect().identity()
    assert told["quality"] == 95
    assert told["codecs"]["pillow"]


@pytest.mark.parametrize(
    "settings", [{"quality": 0}, {"format": "tiff"}, {"max_pixels": 0}, {"subsampling": "4:1:1"}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Inspect(**settings)


def test_a_small_picture_takes_about_a_millisecond() -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(40)]
    rows = table([file(im) for im in noise])
    best = min(_seconds(rows) for _ in range(3))
    assert best / len(rows) < 0.003 * 4  # the machine may be busy


def _seconds(rows: pa.Table) -> float:
    start = time.process_time()
    apply(Inspect(), rows)
    return time.process_time() - start
