"""Decoding: allowed formats by content, size before pixels, colours as a viewer shows them."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import (
    IPTC,
    XMP,
    distance,
    exif,
    file,
    photoshop,
    png_header,
    scene,
    swapped_profile,
    with_segment,
)
from PIL import Image

from curate.images.decode import Picture, Refusal, codec_versions, decode, describe, sniff
from curate.images.encode import encode, shrink, thumbnail
from curate.images.metadata import orientation

LIMIT = 1_000_000
SCENE = scene()


def good(body: bytes) -> Picture:
    picture = decode(body, max_pixels=LIMIT)
    assert isinstance(picture, Picture), picture
    assert picture.pixels.mode == "RGB"
    assert picture.pixels.info == {}
    return picture


def refused(body: bytes, limit: int = LIMIT) -> Refusal:
    refusal = decode(body, max_pixels=limit)
    assert isinstance(refusal, Refusal), refusal
    return refusal


@pytest.mark.parametrize(
    ("form", "options", "most"),
    [("JPEG", {"quality": 95}, 2.5), ("PNG", {}, 0.0), ("WEBP", {"lossless": True}, 0.0),
     ("WEBP", {"quality": 95}, 4.0), ("AVIF", {"quality": 95, "speed": 10}, 4.0), ("GIF", {}, 8.0)],
)  # fmt: skip
def test_each_allowed_format(form: str, options: dict[str, object], most: float) -> None:
    picture = good(file(SCENE, form, **options))
    assert picture.format == form
    assert (picture.width, picture.height) == (64, 64)
    assert distance(picture.pixels, SCENE) <= most


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF", "MPO"])
def test_of_an_animation_the_first_frame(form: str) -> None:
    rest = [scene(2), scene(3)]
    options = {"speed": 10} if form == "AVIF" else {}
    body = file(SCENE, form, save_all=True, append_images=rest, **options)
    assert distance(good(body).pixels, SCENE) < 8


OTHERS = {
    "empty": b"",
    "html": b"\xef\xbb\xbf\n <!DOCTYPE HTML><html>",
    "svg": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "pdf": b"%PDF-1.7",
    "unknown": b"\0" * 100,
}


@pytest.mark.parametrize("word", OTHERS)
def test_what_is_no_picture_is_named(word: str) -> None:
    assert refused(OTHERS[word]) == Refusal("not_an_image", None, word)


@pytest.mark.parametrize("form", ["BMP", "TIFF", "ICO", "PPM", "TGA", "JPEG2000", "PCX"])
def test_formats_outside_the_list_are_no_pictures(form: str) -> None:
    assert refused(file(SCENE, form)).reason == "not_an_image"


def test_the_content_decides_and_not_the_first_bytes_alone() -> None:
    assert sniff(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic") is None
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif") == "AVIF"
    assert refused(b"\xff\xd8\xff\xe0 this is text").reason == "corrupt"
    assert describe(b"BM" + bytes(50)) == "bmp"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_files_are_corrupt(form: str, part: float) -> None:
    options = {"speed": 10} if form == "AVIF" else {}
    body = file(SCENE, form, **options)
    refusal = refused(body[: int(len(body) * part)])
    assert refusal.reason == "corrupt"
    assert "0x" not in refusal.text  # an address would differ from run to run


def test_the_pixel_cap_comes_before_decoding_and_tells_the_size() -> None:
    body = file(SCENE)
    assert refused(body, 64 * 64 - 1) == Refusal("too_large", 4096.0, "max_pixels 4095")
    assert isinstance(decode(body, max_pixels=64 * 64), Picture)
    for width, height in ((100_000, 100_000), (1001, 1000), (2**31 - 1, 2**31 - 1)):
        assert refused(png_header(width, height)).value == float(width * height)


def test_the_cap_leaves_the_process_as_it_was() -> None:
    before, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    refused(png_header(100_000, 100_000))
    assert before == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_sets_the_picture_upright(turn: int, form: str) -> None:
    wide = scene(size=(96, 64))
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpose that undoes each
    stored = wide.transpose(Image.Transpose(back[turn])) if turn > 1 else wide
    options = {"lossless": True} if form == "WEBP" else {"quality": 98} if form == "JPEG" else {}
    picture = good(file(stored, form, exif=exif(turn), **options))
    assert picture.orientation == turn
    assert (picture.width, picture.height) == stored.size
    assert distance(picture.pixels, wide) < 2.5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 40, None])
def test_a_broken_exif_block_turns_nothing(block: bytes | None) -> None:
    assert orientation(block) == 1


def test_an_orientation_out_of_range_turns_nothing() -> None:
    assert orientation(exif(9)) == 1
    assert orientation(exif(0)) == 1


def test_the_icc_profile_is_applied() -> None:
    plain, odd = good(file(SCENE, "PNG")), good(file(SCENE, "PNG", icc_profile=swapped_profile()))
    assert distance(plain.pixels, odd.pixels) > 5
    swapped = Image.merge("RGB", [plain.pixels.split()[i] for i in (1, 0, 2)])
    assert distance(swapped, odd.pixels) < distance(plain.pixels, odd.pixels)


@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()[:200], b"\0" * 3000])
def test_a_broken_profile_is_ignored(profile: bytes) -> None:
    assert distance(good(file(SCENE, "PNG", icc_profile=profile)).pixels, SCENE) == 0


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    body = file(SCENE.convert("CMYK"), "JPEG", icc_profile=swapped_profile(), quality=98)
    assert distance(good(body).pixels, SCENE) < 6


def test_cmyk() -> None:
    picture = good(file(SCENE.convert("CMYK"), "JPEG", quality=98))
    assert picture.mode == "CMYK"
    assert distance(picture.pixels, SCENE) < 6


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    picture = good(file(Image.fromarray(ramp), "PNG"))
    assert picture.mode == "I;16"
    expected = np.rint(ramp / 257).astype(np.uint8)
    assert np.array_equal(np.asarray(picture.pixels), np.dstack([expected] * 3))


def test_alpha_shows_white_below() -> None:
    half = SCENE.copy()
    alpha = Image.new("L", SCENE.size, 255)
    alpha.paste(0, (0, 0, 32, 64))
    half.putalpha(alpha)
    expected = SCENE.copy()
    expected.paste((255, 255, 255), (0, 0, 32, 64))
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        assert distance(good(file(half, form, **options)).pixels, expected) == 0


def test_transparency_of_palette_grey_and_rgb() -> None:
    picture = Image.new("P", (4, 1))
    picture.putpalette([200, 0, 0, 0, 0, 200])
    picture.putdata([0, 1, 0, 1])
    for form in ("PNG", "GIF"):
        shown = good(file(picture, form, transparency=1)).pixels
        assert [shown.getpixel((x, 0)) for x in (0, 1)] == [(200, 0, 0), (255, 255, 255)]
    for mode, clear, kept in (("L", 7, 90), ("RGB", (7, 7, 7), (9, 9, 9)), ("I;16", 7, 25700)):
        im = Image.new(mode, (2, 1), kept)
        im.putpixel((1, 0), clear)
        shown = good(file(im, "PNG", transparency=clear)).pixels
        assert shown.getpixel((1, 0)) == (255, 255, 255)
        assert shown.getpixel((0, 0)) != (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_modes_decode(mode: str) -> None:
    expected = SCENE.convert(mode).convert("RGB")
    assert distance(good(file(SCENE.convert(mode), "PNG")).pixels, expected) < 1


def test_embedded_metadata_is_kept_raw() -> None:
    jpeg = with_segment(file(SCENE, exif=exif(), xmp=XMP), photoshop(IPTC))
    found = good(jpeg).embedded
    assert (found.exif, found.xmp, found.iptc) == (exif(), (XMP,), IPTC)
    webp = good(file(SCENE, "WEBP", exif=exif(), xmp=XMP)).embedded
    assert (webp.exif, webp.xmp) == (exif().removeprefix(b"Exif\0\0"), (XMP,))
    avif = good(file(SCENE, "AVIF", speed=10, exif=exif(), xmp=XMP)).embedded
    assert avif.xmp == (XMP,)
    assert avif.exif is not None and b"(c) somebody" in avif.exif
    none = good(file(SCENE)).embedded
    assert (none.exif, none.xmp, none.iptc) == (None, (), None)


def test_xmp_of_png_and_gif() -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    assert good(file(SCENE, "PNG", pnginfo=info)).embedded.xmp == (XMP,)
    gif = file(SCENE, "GIF")
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    at = gif.index(b"\x2c", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    body = gif[:at] + b"\x21\xff\x0bXMP DataXMP" + XMP + trailer + gif[at:]
    assert good(body).embedded.xmp == (XMP,)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    form=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "AVIF"]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), min_size=1, max_size=5),
    keep=st.floats(0, 1),
)
def test_damage_is_a_verdict_and_never_an_exception(
    form: str, edits: list[tuple[float, bytes]], keep: float
) -> None:
    body = bytearray(_damaged_seed(form))
    for place, new in edits:
        at = int(place * len(body))
        body[at : at + len(new)] = new
    outcome = decode(bytes(body[: max(1, int(len(body) * keep))]), max_pixels=LIMIT)
    assert isinstance(outcome, Picture | Refusal)


def _damaged_seed(form: str) -> bytes:
    if form == "GIF":
        return file(SCENE, form)
    extra = {"speed": 10} if form == "AVIF" else {}
    return file(SCENE, form, exif=exif(), icc_profile=swapped_profile(), **extra)


@given(st.binary(max_size=200))
def test_any_bytes_get_a_verdict(body: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\0\0\0\x1cftypavif"):
        assert isinstance(decode(start + body, max_pixels=LIMIT), Picture | Refusal)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_encoding_publishes_no_metadata(form: str) -> None:
    full = file(SCENE, exif=exif(6), xmp=XMP, icc_profile=swapped_profile(), comment=b"hello")
    with Image.open(io.BytesIO(encode(good(full).pixels, format=form))) as im:
        im.load()
        assert im.format == form.upper()
        assert not {"exif", "xmp", "icc_profile", "comment", "photoshop"} & set(im.info)


def test_jpeg_is_4_4_4_unless_asked() -> None:
    from PIL.JpegImagePlugin import get_sampling

    for subsampling, code in (("4:4:4", 0), ("4:2:0", 2)):
        body = encode(SCENE, subsampling=subsampling)
        assert get_sampling(Image.open(io.BytesIO(body))) == code
    assert len(encode(SCENE, quality=40)) < len(encode(SCENE))
    assert distance(good(encode(SCENE, format="png")).pixels, SCENE) == 0


def test_shrink_never_enlarges() -> None:
    assert shrink(SCENE, None) is SCENE
    assert shrink(SCENE, 64) is SCENE
    assert shrink(scene(size=(96, 64)), 48).size == (48, 32)
    assert shrink(scene(size=(300, 64)), 2).size == (2, 1)
    with Image.open(io.BytesIO(thumbnail(scene(size=(96, 64)), 24))) as small:
        assert small.size == (24, 16)


def test_versions_that_change_pixels_are_named() -> None:
    assert {"pillow", "libjpeg-turbo", "zlib", "webp", "avif", "lcms"} <= set(codec_versions())
