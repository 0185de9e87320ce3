"""A contact sheet shows every photo in its place, on transparent ground."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fieldmark.data.contact_sheet import contact_sheet


def photos(num: int, height: int = 8, width: int = 8, *, seed: int = 0) -> NDArray[np.uint8]:
    shape = (num, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def opened(content: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.mode) == ("PNG", "RGBA")
    return np.array(image)


def test_photos_stand_in_rows_and_columns_with_nothing_between() -> None:
    above, below = photos(3), photos(3, seed=1)
    sheet = opened(contact_sheet([above, below], side_px=8, gap_px=2))
    assert sheet.shape == (18, 28, 4)
    seen = np.zeros(sheet.shape[:2], dtype=bool)
    for row, pixels in enumerate((above, below)):
        for column in range(3):
            place = np.s_[10 * row : 10 * row + 8, 10 * column : 10 * column + 8]
            assert np.array_equal(sheet[place][..., :3], pixels[column])
            seen[place] = True
    assert np.array_equal(sheet[..., 3] == 255, seen)
    assert np.array_equal(sheet[..., 3] == 0, ~seen)


def test_a_photo_is_enlarged_or_reduced_to_its_square() -> None:
    for side in (4, 100):
        plain = np.full((1, side, side, 3), 77, dtype=np.uint8)
        sheet = opened(contact_sheet([plain], side_px=20))
        assert sheet.shape == (20, 20, 4)
        assert np.array_equal(sheet, np.full((20, 20, 4), (77, 77, 77, 255)))


def test_a_photo_that_is_not_square_keeps_its_shape_in_the_middle() -> None:
    sheet = opened(contact_sheet([photos(1, height=4, width=8)], side_px=8))
    assert np.array_equal(sheet[2:6, :, :3], photos(1, height=4, width=8)[0])
    assert not sheet[:2, :, 3].any()
    assert not sheet[6:, :, 3].any()


def test_rows_may_have_different_lengths_and_sizes() -> None:
    sheet = opened(contact_sheet([photos(1), photos(2, 16, 16)], side_px=8, gap_px=0))
    assert sheet.shape == (16, 16, 4)
    assert not sheet[:8, 8:, 3].any()


def test_the_same_pixels_give_the_same_bytes() -> None:
    assert contact_sheet([photos(2)], side_px=11) == contact_sheet([photos(2)], side_px=11)


def test_pixels_that_are_a_view_of_others_are_shown_as_they_are() -> None:
    turned = photos(2).transpose(0, 2, 1, 3)
    sheet = opened(contact_sheet([turned[:1]], side_px=8))
    assert np.array_equal(sheet[..., :3], photos(2)[0].transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "there is no photo"),
        ([np.zeros((0, 8, 8, 3), np.uint8)], "there is no photo"),
        ([np.zeros((1, 8, 8, 3), np.float32)], "a row is float32"),
        ([np.zeros((1, 3, 8, 8), np.uint8)], r"of shape \(1, 3, 8, 8\); it must be"),
    ],
)
def test_what_is_no_row_of_photos_is_refused(rows: list[NDArray[np.uint8]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        contact_sheet(rows, side_px=8)
