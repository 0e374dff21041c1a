"""The sample grid: every picture where its label is, small ones with square pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.errors import MissingInput
from curate.train.sample import grid, sample

RED, BLUE, GREEN = (200, 0, 0), (0, 0, 200), (0, 160, 0)


def test_pictures_stand_in_rows_over_their_labels() -> None:
    images = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, GREEN)]
    sheet = np.asarray(grid(images, ["red", "blue", "green"], columns=2, cell=64))
    places = {name: np.argwhere((sheet == colour).all(-1)) for name, colour in
              (("red", RED), ("blue", BLUE), ("green", GREEN))}  # fmt: skip
    assert {len(where) for where in places.values()} == {64 * 64}
    (red, blue, green) = (where.mean(axis=0) for where in places.values())
    assert red[0] == blue[0] and red[1] < blue[1] and green[0] > red[0] and green[1] == red[1]
    label = sheet[int(red[0]) + 34 : int(green[0]) - 34, 8:72]
    assert (label < 128).any(), "text stands between the rows"


def test_wide_pictures_keep_their_shape_and_the_footer_is_added() -> None:
    image = Image.new("RGB", (256, 64), RED)
    plain = grid([image], ["wide"], cell=128)
    with_footer = grid([image], ["wide"], cell=128, footer="60 s on 2 cores")
    red = np.argwhere((np.asarray(plain) == RED).all(-1))
    assert np.ptp(red, axis=0).tolist() == [31, 127]
    assert with_footer.height > plain.height and with_footer.width == plain.width


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_nothing_stands_in_the_margin(columns: int) -> None:
    images = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE, GREEN)]
    wide = "WITH WORDS WHICH ARE ALL MADE OF WIDE LETTERS MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM"
    for footer in ("", f"{wide} {wide}"):
        sheet = np.asarray(grid(images, [wide] * 3, columns=columns, cell=64, footer=footer))
        inked = (sheet != 255).any(axis=(0, 2))
        assert np.flatnonzero(inked)[[0, -1]].tolist() == [8, sheet.shape[1] - 8 - 1]
        if not footer:
            assert not inked.reshape(-1, 8)[::9].any(), "a label stays under its own picture"


def test_a_directory_without_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="holds no checkpoint"):
        sample(tmp_path, ["a red circle"])
