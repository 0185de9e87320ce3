import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.audit.alignment import (
    Floats,
    align,
    correlation,
    inverted,
    pixel_centres,
    resample,
    sampling,
    spread,
)

SIDE = 32


def waves(scale_x: float, shift_x: float, scale_y: float, shift_y: float) -> Floats:
    """Return a smooth picture sampled at `(1 + scale) * at + shift`, exactly."""
    x = (1 + scale_x) * pixel_centres(SIDE) + shift_x
    y = ((1 + scale_y) * pixel_centres(SIDE) + shift_y)[:, None]
    picture = 60 * np.sin(3 * x + 2 * y) + 40 * np.cos(5 * y - x) + 30 * np.sin(4 * x)
    sampled: Floats = picture[None].astype(np.float32)
    return sampled


MOVE = st.floats(-0.1, 0.1)


@settings(deadline=None)
@given(moves=st.tuples(MOVE, MOVE, MOVE, MOVE))
def test_scales_and_shifts_are_recovered(moves: tuple[float, float, float, float]) -> None:
    still = waves(0, 0, 0, 0)
    found = align(waves(*moves), still, np.zeros((1, 4), np.float32), num_steps=8)
    assert found[0] == pytest.approx(moves, abs=0.01)


def test_a_flat_picture_stays_where_it_is() -> None:
    flat, still = np.full((2, SIDE, SIDE), 9, dtype=np.float32), np.zeros((2, 4), np.float32)
    assert np.array_equal(align(flat, flat, still, num_steps=3), still)


@given(moves=st.tuples(MOVE, MOVE, MOVE, MOVE))
def test_the_inverse_leads_back(moves: tuple[float, float, float, float]) -> None:
    there = np.array([moves], dtype=np.float32)
    back = inverted(there)
    for axis in (0, 2):
        x = pixel_centres(SIDE)
        there_x = (1 + there[0, axis]) * x + there[0, axis + 1]
        assert (1 + back[0, axis]) * there_x + back[0, axis + 1] == pytest.approx(x, abs=1e-5)


def test_no_move_samples_each_pixel_as_it_is() -> None:
    picture = np.random.default_rng(0).normal(size=(1, SIDE, SIDE)).astype(np.float32)
    rows, columns, inside = sampling(np.zeros((1, 4), np.float32), SIDE)
    assert resample(picture, rows, columns) == pytest.approx(picture, abs=1e-4)
    assert inside.all()


def test_what_lies_outside_of_the_second_picture_is_marked() -> None:
    half_a_side_to_the_right = np.array([[0, 1, 0, 0]], dtype=np.float32)
    inside = sampling(half_a_side_to_the_right, SIDE)[2]
    assert inside[0, :, : SIDE // 2].all()
    assert not inside[0, :, SIDE // 2 :].any()


def test_correlation_and_spread_are_those_of_numpy_where_all_is_inside() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 8, 8)).astype(np.float32)
    second += first
    inside = np.ones((3, 8, 8), dtype=np.float32)
    expected = [np.corrcoef(first[n].ravel(), second[n].ravel())[0, 1] for n in range(3)]
    assert correlation(first, second, inside) == pytest.approx(expected, abs=1e-5)
    assert spread(first, inside) == pytest.approx(first.std(axis=(1, 2)), abs=1e-5)


def test_plain_pictures_correlate_by_nothing() -> None:
    plain, inside = np.full((1, 8, 8), 5, np.float32), np.ones((1, 8, 8), np.float32)
    assert correlation(plain, plain, inside)[0] == 0
