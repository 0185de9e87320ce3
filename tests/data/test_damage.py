"""Damage, one kind at a time, against what can be worked out by hand and against SciPy."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from fieldmark.data.damage import (
    GREY,
    blurred,
    brightened,
    compressed,
    covered,
    darkened,
    flattened,
    noisy,
    reduced,
    turned,
)

Pixels = NDArray[np.uint8]


def photo(height: int = 24, width: int = 40, *, seed: int = 0) -> Pixels:
    """A photo of smooth blobs of all colours."""
    noise_HW3 = np.random.default_rng(seed).normal(128, 600, (height, width, 3))
    smooth_HW3 = gaussian_filter(noise_HW3, (2, 2, 0))
    pixels_HW3: Pixels = smooth_HW3.clip(0, 255).astype(np.uint8)
    return pixels_HW3


def plain(*colour: int, height: int = 4, width: int = 6) -> Pixels:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def difference(one: Pixels, other: Pixels) -> NDArray[np.int64]:
    return np.abs(one.astype(np.int64) - other.astype(np.int64))


def test_noise_is_the_draws_times_deviation_and_range() -> None:
    draws = np.random.default_rng(7).standard_normal((4, 6, 3), dtype=np.float32)
    expected = np.rint(100 + 255 * 0.08 * draws).clip(0, 255)
    found = noisy(plain(100, 100, 100), 0.08, np.random.default_rng(7))
    assert np.abs(found - expected).max() <= 1
    assert (found != 100).any()


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    large = plain(127, 127, 127, height=200, width=200)
    found = noisy(large, 0.12, np.random.default_rng(0)).astype(np.float64) - 127
    assert found.std() == pytest.approx(0.12 * 255, rel=0.02)
    assert abs(found.mean()) < 0.5


def test_noise_never_wraps_around() -> None:
    found = noisy(plain(255, 255, 255), 0.1, np.random.default_rng(0))
    assert found.min() > 100


@pytest.mark.parametrize("sigma_px", [1.0, 2.0, 3.5])
def test_blur_is_scipys_gaussian_away_from_the_edges(sigma_px: float) -> None:
    source = photo(80, 100)
    expected = gaussian_filter(source.astype(np.float64), (sigma_px, sigma_px, 0))
    inside = slice(24, -24)
    apart = np.abs(blurred(source, sigma_px) - expected)[inside, inside]
    assert apart.max() < 6
    assert apart.mean() < 1.5


def test_blur_keeps_what_is_of_one_colour() -> None:
    assert (blurred(plain(10, 200, 30, height=20, width=20), 3.0) == (10, 200, 30)).all()


def test_a_photo_reduced_has_fewer_pixels_and_each_is_a_mean_of_many() -> None:
    checks = np.indices((8, 8)).sum(axis=0) % 2
    source = np.repeat((checks * 200)[..., None], 3, axis=2).astype(np.uint8)
    found = reduced(source, 0.5)
    assert found.shape == (4, 4, 3)
    assert difference(found, np.full((4, 4, 3), 100, np.uint8)).max() <= 2
    assert reduced(source, 0.01).shape == (1, 1, 3)


def test_compression_is_a_jpeg_of_that_quality() -> None:
    source = photo()
    buffer = io.BytesIO()
    Image.fromarray(source).save(buffer, format="JPEG", quality=10)
    assert (compressed(source, 10) == np.asarray(Image.open(buffer))).all()
    assert difference(compressed(source, 7), source).mean() > 2


def test_brightness_adds_to_the_value_and_keeps_the_hue() -> None:
    # Value 100 of 255 plus 0.2 of 255 is 151: each channel times 1.51.
    assert (brightened(plain(100, 50, 20), 0.2) == (151, 76, 30)).all()


def test_brightness_makes_black_grey_and_leaves_white_white() -> None:
    assert (brightened(plain(0, 0, 0), 0.2) == 51).all()
    assert (brightened(plain(255, 255, 255), 0.5) == 255).all()
    assert (brightened(plain(255, 100, 0), 0.5) == (255, 100, 0)).all()


def test_a_stop_takes_half_of_the_light() -> None:
    light = (darkened(plain(200, 100, 50), 1.0) / 255.0) ** 2.2
    before = (np.array([200, 100, 50]) / 255.0) ** 2.2
    assert np.allclose(light / before, 0.5, rtol=0.03)
    # 200 times 2 to the power of -1 / 2.2, which is 0.7297.
    assert (darkened(plain(200, 100, 50), 1.0) == (146, 73, 36)).all()


def test_contrast_draws_each_channel_towards_its_own_mean() -> None:
    source = np.zeros((2, 1, 3), dtype=np.uint8)
    source[0], source[1] = (0, 40, 100), (200, 60, 100)
    found = flattened(source, 0.1)
    assert found[:, 0].tolist() == [[90, 49, 100], [110, 51, 100]]


@pytest.mark.parametrize(("degrees", "times"), [(90, 1), (180, 2), (-90, 3)])
def test_a_square_turned_by_quarters_is_numpys_rot90(degrees: float, times: int) -> None:
    source = photo(12, 12)
    assert difference(turned(source, degrees), np.rot90(source, times)).max() <= 1


def test_a_photo_turned_by_nothing_is_the_same() -> None:
    assert (turned(photo(), 0) == photo()).all()


def test_the_corners_are_filled_with_the_photo_mirrored() -> None:
    # Left half dark, right half light: turned by a quarter, the halves lie above each other over
    # the whole width, which the photo itself reaches only in the middle.
    source = np.zeros((4, 8, 3), dtype=np.uint8)
    source[:, :4] = 200
    found = turned(source, 90)
    assert (found[2:] == 200).all()
    assert (found[:2] == 0).all()


def test_turning_keeps_size_and_middle() -> None:
    source = photo(25, 41)
    source[11:14, 19:22] = 255
    found = turned(source, 30)
    assert found.shape == source.shape
    assert (found[12, 20] == 255).all()


def test_cover_is_a_grey_rectangle_of_the_photos_shape_at_its_place() -> None:
    found = covered(plain(9, 9, 9, height=20, width=40), 0.25, across=1.0, down=0.0)
    assert (found[:10, 20:] == GREY).all()
    assert (found[10:] == 9).all()
    assert (found[:, :20] == 9).all()


@settings(max_examples=30, deadline=None)
@given(across=st.floats(0, 1), down=st.floats(0, 1))
def test_a_larger_cover_hides_what_a_smaller_one_does(across: float, down: float) -> None:
    white = plain(255, 255, 255, height=60, width=90)
    small, large = (
        (covered(white, share, across=across, down=down) == GREY).all(axis=2)
        for share in (0.1, 0.3)
    )
    assert small.mean() == pytest.approx(0.1, abs=0.02)
    assert large.mean() == pytest.approx(0.3, abs=0.02)
    # Give or take a pixel, where rounding moves an end.
    shifted = [np.roll(large, (y, x), axis=(0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert (small & ~np.logical_or.reduce(shifted)).sum() == 0


def test_no_kind_of_damage_changes_the_photo_that_it_is_given() -> None:
    source = photo()
    kept = source.copy()
    generator = np.random.default_rng(0)
    for damaged in (
        noisy(source, 0.3, generator),
        blurred(source, 2.0),
        reduced(source, 0.4),
        compressed(source, 7),
        brightened(source, 0.3),
        darkened(source, 2),
        flattened(source, 0.2),
        turned(source, 20),
        covered(source, 0.2, across=0.5, down=0.5),
    ):
        assert damaged.dtype == np.uint8
    assert (source == kept).all()
