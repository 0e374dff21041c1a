"""What the header of a JPEG tells, and which files every decoder reads alike."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.images.jpeg import MOST_PIXELS, Plain, plain
from tests.pictures import broken, exif, file, photo, planted, with_segment

KINDS = planted()
PLAIN = {
    "turned 1": (2, 2), "4:4:4": (1, 1), "4:2:2": (2, 1), "4:2:0": (2, 2), "progressive": (2, 2),
    "progressive 4:4:4": (1, 1), "restarts": (2, 2), "grey": (1, 1), "grey progressive": (1, 1),
    "comment": (2, 2),
}  # fmt: skip
WHOLE = file(photo(40, 30))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_only_plain_files_are_plain_and_tell_their_size_and_sampling(name: str) -> None:
    found = plain(KINDS[name])
    if name in PLAIN:
        assert found == Plain(150, 106, name.startswith("grey"), *PLAIN[name])
    else:
        assert found is None


@pytest.mark.parametrize("name", sorted(broken()))
def test_broken_files_are_not_plain(name: str) -> None:
    found = plain(broken()[name])
    assert found is None or name == "no tables"  # the header is whole; the decoder refuses it


def frame(*, precision: int = 8, height: int = 30, width: int = 40, parts: bytes) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    data = bytes([precision]) + size + bytes([len(parts) // 3]) + parts
    return (len(data) + 2).to_bytes(2, "big") + data


COLOUR = bytes([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1])


@pytest.mark.parametrize(
    ("marker", "change", "wanted"),
    [
        (0xC0, {}, Plain(40, 30, False, 2, 2)),
        (0xC2, {}, Plain(40, 30, False, 2, 2)),
        (0xC0, {"parts": bytes([1, 0x12, 0, *COLOUR[3:]])}, Plain(40, 30, False, 1, 2)),
        (0xC0, {"parts": bytes([1, 0x41, 0, *COLOUR[3:]])}, None),  # 4:1:1
        (0xC0, {"parts": bytes([1, 0x22, 0, 2, 0x21, 1, 3, 0x11, 1])}, None),
        (0xC0, {"parts": bytes([1, 0x22, 0])}, None),  # grey, said to be sampled
        (0xC0, {"parts": bytes([82, 0x11, 0, 71, 0x11, 1, 66, 0x11, 1])}, None),  # R, G, B
        (0xC0, {"parts": COLOUR + bytes([4, 0x11, 1])}, None),  # CMYK
        (0xC0, {"parts": COLOUR[:6]}, None),
        (0xC0, {"precision": 12}, None),
        (0xC0, {"height": 0}, None),  # told after the first scan
        (0xC0, {"width": 0}, None),
        (0xC0, {"width": 65_000, "height": 65_000}, None),
        (0xC1, {}, None), (0xC3, {}, None), (0xC9, {}, None), (0xCA, {}, None),
    ],
)  # fmt: skip
def test_frames_that_decoders_treat_differently_are_left_to_pillow(
    marker: int, change: dict[str, object], wanted: Plain | None
) -> None:
    head = bytes([0xFF, marker]) + frame(**{"parts": COLOUR} | change)  # type: ignore[arg-type]
    body = b"\xff\xd8" + head + b"\xff\xda\0\x02" + bytes(20) + b"\xff\xd9"
    assert plain(body) == wanted
    assert plain(memoryview(body)) == plain(memoryview(body).cast("b")) == wanted
    assert MOST_PIXELS < 65_000**2


def test_two_frames_two_turns_or_a_word_of_other_colours_are_not_plain() -> None:
    assert plain(WHOLE) is not None
    at = WHOLE.index(b"\xff\xc0")
    end = at + 2 + int.from_bytes(WHOLE[at + 2 : at + 4], "big")
    assert plain(WHOLE[:end] + WHOLE[at:]) is None
    told = b"Exif\0\0" + exif(1).removeprefix(b"Exif\0\0")
    segment = b"\xff\xe1" + (len(told) + 2).to_bytes(2, "big") + told
    assert plain(with_segment(WHOLE, segment)) is not None
    assert plain(with_segment(WHOLE, segment + segment)) is None
    for transform, taken in ((0, False), (1, True), (2, False)):
        adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
        assert (plain(with_segment(WHOLE, adobe)) is not None) is taken
    assert plain(with_segment(WHOLE, b"\xff\xee\0\x09Adobe\0\x64")) is None
    assert plain(with_segment(WHOLE, b"\xff\xe2\0\x0aMPF\0II*\0")) is None
    assert plain(with_segment(WHOLE, b"\xff\xff\xff\xfe\0\x04hi")) is not None  # fill bytes


@given(st.binary(max_size=300), st.booleans())
@example(b"\xff\xc0\0", True)
@example(b"\xff\xe1\0\x0aExif\0\0II", True)
def test_no_bytes_raise(data: bytes, framed: bool) -> None:
    plain(b"\xff\xd8\xff" + data + b"\xff\xd9" if framed else data)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(0, len(WHOLE)))
def test_no_damage_raises(at: int, value: int, cut: int) -> None:
    plain(WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :])
    plain(WHOLE[:cut])
    plain(WHOLE[:cut] + b"\xff\xd9")


def test_a_file_cut_anywhere_is_not_plain() -> None:
    """What lacks its end marker never goes to a decoder that might not notice."""
    assert [cut for cut in range(len(WHOLE)) if plain(WHOLE[:cut]) is not None] == []
