"""Pictures without copying and without decoding: where their bytes lie, and what headers say."""

from __future__ import annotations

import io
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from curate import columns as c
from curate.provenance.headers import size_of
from curate.provenance.images import Images
from curate.provenance.inplace import spans
from curate.store.commit import encode

bodies = st.lists(st.none() | st.binary(max_size=300), max_size=80)


def written(values: list[bytes | None], **how: object) -> bytes:
    """A Parquet file of pictures, as the store writes it or in another way."""
    pictures = [None if v is None else {"bytes": v, "path": "x.jpg"} for v in values]
    table = pa.table([pa.array(pictures, c.IMAGE_TYPE)], schema=pa.schema([c.IMAGE]))
    if not how:
        return encode(table)
    sink = io.BytesIO()
    pq.write_table(table, sink, **how)
    return sink.getvalue()


def found(data: bytes) -> list[list[bytes] | None]:
    """The values of each row group by their places in the file."""
    file = pq.ParquetFile(io.BytesIO(data))
    groups = (file.metadata.row_group(g).column(0) for g in range(file.num_row_groups))
    places = [spans(memoryview(data), chunk, 2) for chunk in groups]
    return [None if own is None else [data[a:b] for a, b in own] for own in places]


@given(bodies)
def test_places_are_those_of_the_values_or_unknown(values: list[bytes | None]) -> None:
    for start, own in zip(range(0, len(values), 64), found(written(values)), strict=True):
        group = values[start : start + 64]
        if None in group:
            assert own is None, "rows without a picture are left to Arrow"
        else:
            assert own == group


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "zstd"},
        {"compression": "none", "use_dictionary": True},
        {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"},
        {"compression": "none", "use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    ],
)
def test_what_is_not_plain_is_left_to_arrow(how: dict[str, object]) -> None:
    assert found(written([b"one", b"two"] * 20, **how)) == [None]


@given(st.data())
def test_damage_gives_no_error(data: st.DataObject) -> None:
    whole = bytearray(written([b"some bytes of a picture"] * 70))
    groups = pq.ParquetFile(io.BytesIO(bytes(whole))).metadata
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    for group in range(groups.num_row_groups):
        own = spans(memoryview(bytes(whole)), groups.row_group(group).column(0), 2)
        assert own is None or all(0 <= a <= b <= len(whole) for a, b in own)


def test_a_file_is_read_in_place_as_arrow_reads_it(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "x.parquet"
    values = [bytes([n]) * n for n in range(1, 100)]
    path.write_bytes(written(list(values)))
    with pa.memory_map(str(path)) as mapped, pq.ParquetFile(mapped) as file:
        here, away = Images(file, mapped), Images(file, None)
        for group in range(file.num_row_groups):
            views = [bytes(view or b"") for view in here.read(group)[1]]
            assert views == [bytes(view or b"") for view in away.read(group)[1]]
            assert here.read(group)[0].field("path").equals(away.read(group)[0].field("path"))


SAVED = [("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"exif": b"Exif\0\0" + bytes(500)}),
         ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("WEBP", {"exif": bytes(50)})]  # fmt: skip


@pytest.mark.parametrize(("form", "how"), SAVED)
@pytest.mark.parametrize("size", [(1, 1), (17, 300), (640, 480)])
def test_headers_say_what_pillow_says(
    form: str, how: dict[str, object], size: tuple[int, int]
) -> None:
    if form == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow has no WebP")
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, form, **how)
    assert size_of(memoryview(out.getvalue())) == (form, *size)


@given(st.binary(max_size=64), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"]))
def test_odd_headers_are_left_to_pillow(tail: bytes, head: bytes) -> None:
    told = size_of(memoryview(head + tail))
    assert told is None or told[0] in ("JPEG", "PNG", "WEBP")
    assert size_of(memoryview(b"\xff\xd8\xff\xe0" + struct.pack(">H", 1))) is None
