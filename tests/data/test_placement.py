"""Where a photo lies in what the network sees, held against how it gets there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.data.placement import Box, placement
from fieldmark.data.preprocess import Preprocess

WHOLE = Box()


def test_a_squashed_photo_is_seen_whole_and_everywhere() -> None:
    found = placement(Preprocess(size_px=32, resize="squash"), width=40, height=10)
    assert (found.of_photo, found.in_square) == (WHOLE, WHOLE)


def test_of_a_cropped_photo_the_square_in_the_middle_is_seen() -> None:
    found = placement(Preprocess(size_px=32, resize="crop"), width=40, height=10)
    assert found.of_photo.of(40, 10) == pytest.approx((15, 0, 25, 10))
    assert found.in_square == WHOLE


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([None, 16]))
def test_bars_lie_outside_the_box_of_a_padded_photo_and_the_photo_inside(
    width: int, height: int, prescale_px: int | None
) -> None:
    preprocess = Preprocess(size_px=16, resize="pad", prescale_px=prescale_px)
    white = np.full((height, width, 3), 255, np.uint8)
    seen = preprocess.to_pixels(white)[:, :, 0] == 255
    found = placement(preprocess, width=width, height=height)
    assert found.of_photo == WHOLE
    left, top, right, bottom = (round(edge) for edge in found.in_square.of(16, 16))
    expected = np.zeros((16, 16), bool)
    expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(seen, expected)


def test_of_a_cropped_photo_nothing_else_reaches_the_pixels() -> None:
    preprocess = Preprocess(size_px=8, resize="crop")
    found = placement(preprocess, width=31, height=20)
    left, top, right, bottom = (round(edge) for edge in found.of_photo.of(31, 20))
    photo = np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)
    alone = np.ascontiguousarray(photo[top:bottom, left:right])
    np.testing.assert_array_equal(preprocess.to_pixels(photo), preprocess.to_pixels(alone))
