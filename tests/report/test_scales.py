"""Ends, places and whiskers."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.scales import (
    log_place,
    log_ticks,
    power_label,
    rate_label,
    round_ticks,
    scale_ceiling,
    scale_floor,
    strength_label,
    whisker,
)


@pytest.mark.parametrize(
    ("low", "floor"),
    [(0.993, 0.95), (0.94, 0.9), (0.9, 0.9), (0.87, 0.8), (0.05, 0.0), (1.0, 0.95)],
)
def test_scales_begin_at_a_round_number_below_all_intervals(low: float, floor: float) -> None:
    assert scale_floor([1.0, low]) == floor


@pytest.mark.parametrize(
    ("value", "ceiling"), [(0.07, 0.1), (0.1, 0.1), (0.11, 0.2), (2.0, 2.0), (3.1, 5.0), (0.0, 1.0)]
)
def test_scales_of_losses_end_at_a_round_number(value: float, ceiling: float) -> None:
    assert scale_ceiling(value) == pytest.approx(ceiling)


def test_a_whisker_places_value_and_interval_on_its_scale() -> None:
    svg = whisker(Estimate(value=0.95, low=0.9, high=1.0), low=0.9, high=1.0)
    assert 'cx="60.0"' in svg
    assert "M4.0 7H116.0" in svg


def test_a_whisker_never_leaves_its_scale() -> None:
    svg = whisker(Estimate(value=0.5, low=0.1, high=1.0), low=0.9, high=0.95)
    assert "M4.0 7H116.0" in svg
    assert 'cx="4.0"' in svg


def test_a_whisker_marks_what_to_compare_with() -> None:
    estimate = Estimate(value=0.5, low=0.4, high=0.6)
    assert 'class="mark" d="M32.0 0V14"' in whisker(estimate, low=0.0, high=1.0, mark=0.25)
    assert "mark" not in whisker(estimate, low=0.0, high=1.0)


def test_equal_ratios_are_equal_distances_on_a_logarithmic_scale() -> None:
    places = [log_place(value, low=1, high=1000) for value in (1, 10, 100, 1000)]
    assert places == pytest.approx([0, 1 / 3, 2 / 3, 1])


@given(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.floats(0.001, 1e6))
def test_a_place_never_leaves_its_scale(value: float, low: float, high: float) -> None:
    assert 0 <= log_place(value, low=low, high=high) <= 1


def test_ticks_are_one_two_and_five_times_powers_of_ten() -> None:
    assert log_ticks(40, 1100) == (50, 100, 200, 500, 1000)
    assert log_ticks(101, 199) == ()


@pytest.mark.parametrize(
    ("low", "high", "whole", "ticks"),
    [
        (0.0, 1.0, False, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (0.93, 1.001, False, (0.94, 0.96, 0.98, 1.0)),
        (1, 2, True, (1, 2)),
        (1, 200, True, (50, 100, 150, 200)),
        (3, 3, True, (3,)),
        (2e-6, 9e-6, False, (2e-6, 4e-6, 6e-6, 8e-6)),
    ],
)
def test_ticks_are_round_numbers_between_the_ends(
    low: float, high: float, whole: bool, ticks: tuple[float, ...]
) -> None:
    assert round_ticks(low, high, most=7, whole=whole) == pytest.approx(ticks)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_never_too_many_nor_beyond_the_ends(low: float, span: float, most: int) -> None:
    assume(span > 1e-9 * abs(low))  # or the ends are neighbours among the floats
    ticks = round_ticks(low, low + span, most=most)
    assert len(ticks) <= most
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)


@pytest.mark.parametrize(
    ("l2", "text"),
    [(0.0, "0"), (0.01, "0.01"), (0.3, "0.3"), (1e-5, "10⁻⁵"), (3e-4, "3·10⁻⁴"), (1e3, "10³")],
)
def test_strengths_are_written_short(l2: float, text: str) -> None:
    assert strength_label(l2) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "10⁰"), (9.96e-4, "10⁻³"), (2.5e-12, "2.5·10⁻¹²"), (-3e-4, "-3·10⁻⁴")]
)
def test_powers_of_ten_are_raised(value: float, text: str) -> None:
    assert power_label(value) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0012, "0.0012"), (0.001, "0.001"), (3e-5, "3·10⁻⁵"), (0.0, "0")]
)
def test_learning_rates_are_written_plainly_down_to_a_thousandth(rate: float, text: str) -> None:
    assert rate_label(rate) == text
