"""Power laws of the error by the number of training photos."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldmark.evaluation.power_law import POWERS, PowerLaw, errors_at, fit_power_laws

SIZES = np.array([100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0])
EVEN = np.ones(len(SIZES))


def fit(errors: object, **wishes: object) -> PowerLaw:
    (law,) = fit_power_laws(SIZES, np.array([errors]), weights_S=EVEN, **wishes).tolist()  # type: ignore[arg-type]
    return PowerLaw(floor=law[0], scale=law[1], power=law[2])


@pytest.mark.parametrize(("floor", "scale"), [(0.0, 2.0), (0.03, 2.0), (0.1, 0.5)])
@pytest.mark.parametrize("power", POWERS[[20, 45, 65]].tolist())
def test_a_law_is_found_again(floor: float, scale: float, power: float) -> None:
    law = fit(floor + scale * SIZES**-power)
    assert law.floor == pytest.approx(floor, abs=1e-9)
    assert law.scale == pytest.approx(scale)
    assert law.power == power
    assert law.error(6400) == pytest.approx(floor + scale * 6400**-power)


def test_an_error_that_does_not_fall_is_flat() -> None:
    law = fit([0.1, 0.11, 0.12, 0.12, 0.13, 0.14])
    assert law.scale == 0
    assert law.error(10_000) == pytest.approx(0.12, abs=1e-9)


def test_without_a_floor_the_law_goes_to_zero() -> None:
    errors = 0.03 + 2 * SIZES**-0.5
    with_floor, without = fit(errors), fit(errors, has_floor_B=np.array([False]))
    assert without.floor == 0
    assert without.error(1e9) < 0.01 < with_floor.error(1e9)


def test_each_set_of_errors_has_its_own_law() -> None:
    errors = np.stack([0.05 + SIZES**-0.5, np.full(len(SIZES), 0.2)])
    laws = fit_power_laws(SIZES, errors, weights_S=EVEN)
    np.testing.assert_allclose(errors_at(laws, 1600.0), [0.075, 0.2], rtol=2e-3)


def test_a_heavy_weight_draws_the_law_to_its_point() -> None:
    errors = np.array([[0.3, 0.25, 0.2, 0.15, 0.1, 0.12]])
    weights = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1e6])
    laws = fit_power_laws(SIZES, errors, weights_S=weights)
    assert errors_at(laws, 3200.0)[0] == pytest.approx(0.12, abs=1e-4)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=6, max_size=6), st.booleans())
def test_more_photos_never_make_it_worse_and_no_part_is_negative(
    errors: list[float], has_floor: bool
) -> None:
    law = fit(errors, has_floor_B=np.array([has_floor]))
    assert law.floor >= 0
    assert law.scale >= 0
    assert law.error(6400) <= law.error(3200) + 1e-12


@settings(max_examples=25)
@given(st.lists(st.floats(0.01, 1), min_size=6, max_size=6))
def test_no_other_floor_and_scale_fit_better(errors: list[float]) -> None:
    weights = np.linspace(1, 3, len(SIZES))
    ((floor, scale, power),) = fit_power_laws(SIZES, np.array([errors]), weights_S=weights).tolist()

    def squares(floor: float, scale: float) -> float:
        return float((weights * (floor + scale * SIZES**-power - errors) ** 2).sum())

    best = squares(floor, scale)
    for other_floor in (0.0, floor * 0.99, floor + 1e-3):
        for other_scale in (0.0, scale * 0.99, scale * 1.01 + 1e-6):
            assert best <= squares(other_floor, other_scale) + 1e-9
