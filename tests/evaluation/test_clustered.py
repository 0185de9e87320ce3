"""A share with its interval: Wilson for photos alone, wider for groups, right in 95 % of cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.evaluation.clustered import clustered_share, design_effect
from fieldmark.evaluation.intervals import wilson_interval


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_where_each_photo_stands_alone_it_is_wilsons_interval(right: list[bool]) -> None:
    expected = wilson_interval(sum(right), len(right))
    for groups_N in (None, np.arange(len(right))):
        found = clustered_share(np.array(right), groups_N)
        assert (found.value, found.low, found.high) == pytest.approx(
            (expected.value, expected.low, expected.high)
        )


def test_copies_count_as_one_photo() -> None:
    right_G = np.array([True] * 40 + [False] * 10)
    copied = clustered_share(np.repeat(right_G, 5), np.repeat(np.arange(50), 5))
    alone = clustered_share(right_G, np.arange(50))
    assert copied.value == alone.value
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=2e-3)


def test_the_design_effect_by_hand() -> None:
    # Two groups of two, one all right and one half: the mean is 3/4, the groups' sums lie 1/2 off.
    values_N, groups_N = np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 0, 1, 1])
    together = 2 / 1 * (0.5**2 + 0.5**2) / 4**2
    seen = together / (0.75 * 0.25 / 3)
    if_alike = (2**2 + 2**2) / 4
    # One group holds a wrong photo, beside the two that are believed in.
    assert design_effect(values_N, groups_N) == pytest.approx((1 * seen + 2 * if_alike) / 3)


def test_where_all_are_right_each_group_of_equal_size_counts_as_one_photo() -> None:
    found = clustered_share(np.ones(60), np.repeat(np.arange(20), 3))
    expected = wilson_interval(20, 20)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, expected.low, 1.0))


def test_photos_right_in_some_cases_give_no_narrower_interval_than_photos_right_or_not() -> None:
    values_N = np.full(100, 0.9)
    found = clustered_share(values_N, np.arange(100))
    assert found.high - found.low == pytest.approx(
        wilson_interval(90, 100).high - wilson_interval(90, 100).low
    )


def test_no_photo_has_no_share() -> None:
    with pytest.raises(ValueError, match="at least one photo"):
        clustered_share(np.array([]), None)


@pytest.mark.parametrize("truth", [0.9, 0.98])
def test_intervals_hold_the_truth_in_93_to_97_percent_of_cases(truth: float) -> None:
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(2000):
        sizes_G = generator.integers(1, 6, 300)
        # Half of the groups share one fate, as copies do; the photos of the others have their own.
        shared_G = generator.random(300) < 0.5
        groups_N = np.repeat(np.arange(300), sizes_G)
        fates_G = generator.random(300) < truth
        own_N = generator.random(len(groups_N)) < truth
        found = clustered_share(np.where(shared_G[groups_N], fates_G[groups_N], own_N), groups_N)
        held += found.low <= truth <= found.high
    assert 0.93 <= held / 2000 <= 0.97
