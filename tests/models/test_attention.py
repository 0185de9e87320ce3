"""Heat over a photo: its share on the border, its mean, its likeness to other heat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from fieldmark.data.placement import Box
from fieldmark.models.attention import (
    BORDER_AREA,
    GRID,
    border_share,
    heat_over,
    likeness,
    mean_heat,
    mean_share,
)

ALL = Box()


def test_heat_spread_evenly_has_36_percent_of_it_on_the_border() -> None:
    assert pytest.approx(0.36) == BORDER_AREA
    assert border_share(np.full((7, 7), 2.0, np.float32), ALL) == pytest.approx(BORDER_AREA)


def test_heat_in_the_middle_has_nothing_on_the_border_and_at_the_edge_all_of_it() -> None:
    middle = np.zeros((GRID, GRID), np.float32)
    middle[10:90, 10:90] = 1
    assert border_share(middle, ALL) == 0
    assert border_share(1 - middle, ALL) == pytest.approx(1)


def test_what_speaks_against_a_class_is_no_heat() -> None:
    assert border_share(np.full((4, 4), -1.0, np.float32), ALL) is None
    one = np.full((4, 4), -1.0, np.float32)
    one[1, 1] = 3
    zeroed = np.maximum(one, 0)
    assert border_share(one, ALL) == border_share(zeroed, ALL)


def test_heat_on_the_bars_of_a_padded_photo_is_not_counted() -> None:
    map_HW = np.zeros((10, 10), np.float32)
    map_HW[:2], map_HW[8:] = 100, 100
    map_HW[2:8] = 1
    inside = Box(top=0.3, bottom=0.7)
    assert border_share(map_HW, inside) == pytest.approx(BORDER_AREA)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_heat_over_a_picture_has_its_size_and_stays_within_the_values_of_the_map(
    rows: int, columns: int, width: int, height: int
) -> None:
    map_HW = np.random.default_rng(0).random((rows, columns), dtype=np.float32)
    heat = heat_over(map_HW, ALL, width=width, height=height)
    assert heat.shape == (height, width)
    assert map_HW.min() - 1e-6 <= heat.min() <= heat.max() <= map_HW.max() + 1e-6


def test_the_mean_share_is_over_the_photos_that_have_heat() -> None:
    found = mean_share([0.2, None, 0.4, 0.6, None])
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert 0.2 <= found.low < 0.4 < found.high <= 0.6
    assert mean_share([None, None]) is None
    assert mean_share([]) is None


def test_in_the_mean_each_photo_counts_the_same() -> None:
    left, right = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    left[:, 0], right[:, 1] = 1, 1000
    mean = mean_heat([(left, ALL), (right, ALL)])
    assert mean.sum() == pytest.approx(1)
    np.testing.assert_allclose(mean, mean[:, ::-1], atol=1e-7)


def test_the_mean_of_no_heat_is_none() -> None:
    assert not mean_heat([]).any()
    assert not mean_heat([(np.zeros((3, 3), np.float32), ALL)]).any()


@given(st.integers(0, 10_000))
def test_likeness_is_spearmans_rank_correlation(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, other = (generator.integers(0, 6, (4, 5)).astype(np.float32) for _ in range(2))
    expected = spearmanr(one.ravel(), other.ravel()).statistic
    assert likeness(one, other) == pytest.approx(expected, abs=1e-12)


def test_a_flat_map_is_like_no_other() -> None:
    flat, other = np.ones((3, 3), np.float32), np.arange(9, dtype=np.float32).reshape(3, 3)
    assert likeness(flat, other) == 0
    assert likeness(other, 2 * other + 1) == pytest.approx(1)
    assert likeness(other, -other) == pytest.approx(-1)
