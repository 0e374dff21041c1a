"""What the header of a JPEG tells, and which files every decoder reads alike."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.images.crops import decoded
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
    assert plain(broken()[name]) is None


def frame(*, precision: int = 8, height: int = 30, width: int = 40, parts: bytes) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    data = bytes([precision]) + size + bytes([len(parts) // 3]) + parts
    return (len(data) + 2).to_bytes(2, "big") + data


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def scan(names: bytes, tables: bytes, first: int = 0, last: int = 63, bits: int = 0) -> bytes:
    pairs = bytes(value for pair in zip(names, tables, strict=True) for value in pair)
    return segment(0xDA, bytes([len(names)]) + pairs + bytes([first, last, bits])) + bytes(20)


def code(kind: int, number: int, *symbols: int) -> bytes:
    """A Huffman table with symbols of eight bits each."""
    return bytes([kind << 4 | number, *[0] * 7, len(symbols), *[0] * 8, *symbols])


TABLES = segment(0xDB, bytes([0]) + bytes([1] * 64) + bytes([1]) + bytes([1] * 64)) + segment(
    0xC4, b"".join(code(kind, number, 0, 1) for kind in (0, 1) for number in (0, 1))
)
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
    parts = change.get("parts", COLOUR)
    assert isinstance(parts, bytes)
    names = parts[::3]
    pixels = scan(names, bytes(len(names)), last=0 if marker == 0xC2 else 63)
    body = b"\xff\xd8" + TABLES + head + pixels + b"\xff\xd9"
    assert plain(body) == wanted
    assert plain(memoryview(body)) == plain(memoryview(body).cast("b")) == wanted
    assert MOST_PIXELS < 65_000**2


def test_two_frames_two_turns_or_a_word_of_other_colours_are_not_plain() -> None:
    assert plain(WHOLE) is not None
    at = WHOLE.index(b"\xff\xc0")
    end = at + 2 + int.from_bytes(WHOLE[at + 2 : at + 4], "big")
    assert plain(WHOLE[:end] + WHOLE[at:]) is None
    told = b"Exif\0\0" + exif(1).removeprefix(b"Exif\0\0")
    turn = segment(0xE1, told)
    assert plain(with_segment(WHOLE, turn)) is not None
    assert plain(with_segment(WHOLE, turn + turn)) is None
    for transform, taken in ((0, False), (1, True), (2, False)):
        adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
        assert (plain(with_segment(WHOLE, adobe)) is not None) is taken
    assert plain(with_segment(WHOLE, b"\xff\xee\0\x09Adobe\0\x64")) is None
    assert plain(with_segment(WHOLE, b"\xff\xe2\0\x0aMPF\0II*\0")) is None
    assert plain(with_segment(WHOLE, b"\xff\xff\xff\xfe\0\x04hi")) is not None  # fill bytes


FRAME = bytes([0xFF, 0xC0]) + frame(parts=COLOUR)
STEPS = bytes([0xFF, 0xC2]) + frame(parts=COLOUR)
ALL = scan(b"\1\2\3", b"\0\x11\x11")
FIRST = scan(b"\1\2\3", b"\0\x11\x11", 0, 0, 1)
LIGHT = scan(b"\1", b"\0", 1, 63, 2)


def around(*parts: bytes) -> Plain | None:
    return plain(b"\xff\xd8" + b"".join(parts) + b"\xff\xd9")


def test_every_table_that_a_scan_names_must_be_there_and_be_one() -> None:
    wanted = Plain(40, 30, False, 2, 2)
    assert around(TABLES, FRAME, ALL) == around(FRAME, TABLES, ALL) == wanted
    quantisation, codes = TABLES[: TABLES.index(b"\xff\xc4")], TABLES[TABLES.index(b"\xff\xc4") :]
    one = segment(0xDB, bytes([0]) + bytes([1] * 64))
    for tables in (b"", quantisation, codes, one + codes):
        assert around(tables, FRAME, ALL) is None
    for spoilt in (
        segment(0xDB, bytes([0]) + bytes([1] * 63)),  # cut
        segment(0xDB, bytes([0]) + bytes([1] * 63) + b"\0"),  # divides by nothing
        segment(0xDB, bytes([0x10]) + bytes([1] * 128)),  # 16 bits
        segment(0xDB, b""), segment(0xC4, b""),
        segment(0xC4, code(0, 0)),  # no symbol
        segment(0xC4, code(0, 0, 16)),  # no such length of a first coefficient
        segment(0xC4, code(2, 0, 1)), segment(0xC4, code(0, 4, 1)), segment(0xC4, code(0, 0, 1)[:-1]),
        segment(0xC4, bytes([0, 2, *[0] * 15, 1, 2])),  # two codes of one bit: ones alone are taken
        segment(0xDD, b"\0"), segment(0xCC, b"\0\0"), segment(0xF7, b""), segment(0xDC, b"\0\1"),
        b"\0\xff",
    ):  # fmt: skip
        assert around(TABLES, spoilt, FRAME, ALL) is None
    assert around(TABLES, segment(0xDD, b"\0\4"), FRAME, ALL) == wanted


def test_one_scan_of_all_components_makes_a_baseline_picture() -> None:
    for pixels in (
        b"", scan(b"\1", b"\0"), scan(b"\1\3\2", b"\0\0\0"), scan(b"\1\2\4", b"\0\0\0"),
        scan(b"\1\2\3", b"\0\x22\0"), scan(b"\1\2\3", b"\0\0\0", last=62),
        scan(b"\1\2\3", b"\0\0\0", bits=1), segment(0xDA, b""), segment(0xDA, b"\3\1\0"),
    ):  # fmt: skip
        assert around(TABLES, FRAME, pixels) is None
    assert around(TABLES, ALL, FRAME) is None


def test_scans_of_a_progressive_picture_build_on_each_other() -> None:
    wanted = Plain(40, 30, False, 2, 2)
    finer = scan(b"\1", b"\0", 1, 63, 0x21)
    for scans in ((FIRST,), (FIRST, LIGHT), (FIRST, LIGHT, finer)):
        assert around(TABLES, STEPS, *scans) == wanted
    first = scan(b"\1", b"\0", 0, 0, 0)
    for wrong in (
        (), (LIGHT,), (LIGHT, FIRST), (first,), (FIRST, FIRST), (FIRST, finer), (FIRST, LIGHT, LIGHT),
        (FIRST, scan(b"\1", b"\2", 1, 63)), (FIRST, scan(b"\1\2", b"\0\0", 1, 63)),
        (FIRST, scan(b"\1", b"\0", 9, 5)), (FIRST, scan(b"\1", b"\0", 1, 64)),
        (FIRST, scan(b"\1", b"\0", 1, 5, 14)), (FIRST, LIGHT, scan(b"\1", b"\0", 1, 63, 0x20)),
        (FIRST, TABLES, LIGHT), (ALL,), (FIRST, b"\xff\xd9"), (FIRST, b"\xff\xc8\0\2"),
    ):  # fmt: skip
        assert around(TABLES, STEPS, *wrong) is None


def head_of(body: bytes) -> int:
    """Where the pixels of the first scan begin."""
    at = body.index(b"\xff\xda") + 2
    return at + int.from_bytes(body[at : at + 2], "big")


HEADS = {
    name: head_of(KINDS[name])
    for name in ("4:2:0", "grey", "restarts", "progressive", "grey progressive")
}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_what_is_plain_after_damage_to_its_head_can_still_be_read(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(HEADS)))
    at = data.draw(st.integers(2, HEADS[name] - 1))
    count = data.draw(st.integers(0, min(30, HEADS[name] - at)))
    put, body = data.draw(st.binary(max_size=3)), KINDS[name]
    found = body[:at] + put + body[at + count :]
    if plain(found) is not None:
        decoded(found)


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
