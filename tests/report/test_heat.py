"""Heat over a photo, in colours."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fieldmark.report.heat import RAMP, colours, overlay, plain_heat

GREY = np.full((4, 6, 3), 120, np.uint8)


def lightness(colour: NDArray[np.float64]) -> float:
    """Return the luma of ITU-R BT.601."""
    return float(np.array([0.299, 0.587, 0.114]) @ colour)


def test_colours_grow_lighter_with_every_level_of_heat() -> None:
    found = [lightness(colour) for colour in colours(np.linspace(0, 1, 50, dtype=np.float32))]
    assert all(after > before for before, after in pairwise(found))


def test_the_ends_of_the_scale_are_those_of_the_ramp() -> None:
    ends = colours(np.array([0.0, 1.0], np.float32))
    np.testing.assert_array_equal(ends, [RAMP[0][1], RAMP[-1][1]])


def test_without_heat_the_photo_is_there_in_grey() -> None:
    red = np.zeros((4, 6, 3), np.uint8)
    red[:, :, 0] = 200
    found = np.asarray(overlay(red, np.zeros((4, 6), np.float32)))
    assert found.shape == red.shape
    assert np.ptp(found[0, 0].astype(int)) == 50  # a quarter of its colour is left
    np.testing.assert_array_equal(np.asarray(overlay(GREY, np.zeros((4, 6), np.float32))), GREY)


def test_the_strongest_place_is_covered_by_the_last_colour_and_the_weakest_not_at_all() -> None:
    heat = np.zeros((4, 6), np.float32)
    heat[1, 2] = 7.5
    found = np.asarray(overlay(GREY, heat)).astype(int)
    assert (found[0, 0] == 120).all()
    expected = 120 + 0.82 * (np.array(RAMP[-1][1]) - 120)
    np.testing.assert_allclose(found[1, 2], expected, atol=1)


def test_an_overlay_depends_on_the_shape_of_the_heat_alone() -> None:
    heat = np.random.default_rng(0).random((4, 6), dtype=np.float32)
    np.testing.assert_array_equal(overlay(GREY, heat), overlay(GREY, 4 * heat))


def test_the_photo_is_not_written_over() -> None:
    photo = GREY.copy()
    overlay(photo, np.ones((4, 6), np.float32))
    np.testing.assert_array_equal(photo, GREY)


def test_heat_alone_takes_the_whole_scale() -> None:
    found = np.asarray(plain_heat(np.array([[0, 2.0]], np.float32)))
    np.testing.assert_array_equal(found[0], [RAMP[0][1], RAMP[-1][1]])
