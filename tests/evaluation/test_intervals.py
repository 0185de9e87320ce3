import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from fieldmark.evaluation.intervals import (
    DRAWS_PER_BLOCK,
    Estimate,
    Statistics,
    bootstrap,
    format_percent,
    group_indices,
    wilson_interval,
)


def mean_of(values_N: NDArray[np.float64]) -> Statistics:
    return lambda indices_BN: values_N[indices_BN].mean(axis=1)[:, None]


def test_wilson_matches_a_case_worked_by_hand() -> None:
    # 8 of 10: (0.8 + 0.19207) / 1.38415 -/+ sqrt(0.38415 * (0.16 + 0.09604)) / 1.38415
    estimate = wilson_interval(8, 10)
    assert estimate.value == 0.8
    assert estimate.low == pytest.approx(0.49016, abs=1e-5)
    assert estimate.high == pytest.approx(0.94332, abs=1e-5)


@given(total=st.integers(1, 5000), share=st.floats(0, 1))
def test_wilson_agrees_with_scipy_and_holds_its_value(total: int, share: float) -> None:
    successes = round(share * total)
    estimate = wilson_interval(successes, total)
    expected = binomtest(successes, total).proportion_ci(method="wilson")
    assert estimate.value == successes / total
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_wilson_ends_are_exact_where_all_or_none_succeed() -> None:
    for total in range(1, 500):
        assert wilson_interval(0, total).low == 0.0
        assert wilson_interval(total, total).high == 1.0
    assert wilson_interval(7, 7).low == pytest.approx(7 / (7 + 1.959964**2))


def test_wilson_of_nothing_is_zero_and_knows_nothing() -> None:
    assert wilson_interval(0, 0) == Estimate(value=0.0, low=0.0, high=1.0)


@pytest.mark.parametrize(("successes", "total"), [(-1, 3), (4, 3), (1, 0)])
def test_wilson_refuses_impossible_counts(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"between 0 and {total}, met {successes}"):
        wilson_interval(successes, total)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (0.5, 0.6, 0.7),
        (0.8, 0.6, 0.7),
        (math.nan, 0.0, 1.0),
        (0.5, math.nan, 1.0),
        (0, 0, math.inf),
    ],
)
def test_an_estimate_outside_its_interval_or_not_finite_is_refused(
    value: float, low: float, high: float
) -> None:
    with pytest.raises(ValueError, match="interval"):
        Estimate(value=value, low=low, high=high)


def test_an_estimate_prints_its_value_and_interval() -> None:
    assert str(Estimate(value=0.25, low=0.125, high=1.5)) == "0.2500 (0.1250 to 1.5000)"


def test_format_percent_gives_two_decimals_and_an_interval_with_one() -> None:
    estimate = Estimate(value=0.95833, low=0.949, high=0.966)
    assert format_percent(estimate) == "95.83 % (94.9 to 96.6)"
    assert format_percent(Estimate(value=1.0, low=0.5, high=1.0)) == "100.00 % (50.0 to 100.0)"


def test_bootstrap_interval_of_a_mean_is_near_the_normal_one() -> None:
    values_N = np.random.default_rng(3).normal(loc=2.0, scale=4.0, size=400)
    (estimate,) = bootstrap(
        mean_of(values_N),
        num_images=400,
        generator=np.random.default_rng(0),
        num_resamples=4000,
    )
    half_width = 1.96 * values_N.std() / math.sqrt(400)
    assert estimate.value == values_N.mean()
    assert estimate.low == pytest.approx(values_N.mean() - half_width, abs=0.1 * half_width)
    assert estimate.high == pytest.approx(values_N.mean() + half_width, abs=0.1 * half_width)


def test_bootstrap_covers_the_truth_about_95_times_in_100() -> None:
    source = np.random.default_rng(5)
    covered = 0
    for seed in range(300):
        values_N = source.exponential(size=120)
        (estimate,) = bootstrap(
            mean_of(values_N),
            num_images=120,
            generator=np.random.default_rng(seed),
            num_resamples=400,
        )
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.89 <= covered / 300 <= 0.98


def test_bootstrap_repeats_with_its_seed_and_changes_with_another() -> None:
    values_N = np.random.default_rng(0).normal(size=50)
    first, again, other = (
        bootstrap(mean_of(values_N), num_images=50, generator=np.random.default_rng(seed))
        for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_bootstrap_is_widened_to_reach_a_biased_statistic() -> None:
    # The number of distinct images falls in every resample below that of the sample itself.
    def distinct(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([[float(len(set(row)))] for row in indices_BN.tolist()])

    (estimate,) = bootstrap(distinct, num_images=200, generator=np.random.default_rng(0))
    assert estimate.value == estimate.high == 200.0
    assert 100.0 < estimate.low < 140.0


def test_bootstrap_gives_all_statistics_the_same_resamples() -> None:
    values_N = np.random.default_rng(1).normal(size=30)

    def twice(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        mean_B = values_N[indices_BN].mean(axis=1)
        return np.column_stack([mean_B, mean_B])

    first, second = bootstrap(twice, num_images=30, generator=np.random.default_rng(0))
    assert first == second


def test_bootstrap_draws_bounded_blocks_that_add_up_to_the_resamples() -> None:
    shapes: list[tuple[int, ...]] = []

    def record(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        shapes.append(indices_BN.shape)
        return np.zeros((len(indices_BN), 1))

    num_images = DRAWS_PER_BLOCK // 4
    bootstrap(record, num_images=num_images, generator=np.random.default_rng(0), num_resamples=10)
    assert shapes == [(rows, num_images) for rows in (1, 4, 4, 2)]


def test_bootstrap_of_one_image_has_no_width() -> None:
    (estimate,) = bootstrap(
        mean_of(np.array([3.0])), num_images=1, generator=np.random.default_rng(0)
    )
    assert estimate == Estimate(value=3.0, low=3.0, high=3.0)


@pytest.mark.parametrize(("num_images", "num_resamples"), [(0, 10), (5, 0)])
def test_bootstrap_refuses_no_images_and_no_resamples(num_images: int, num_resamples: int) -> None:
    with pytest.raises(ValueError, match="at least one image and one resample"):
        bootstrap(
            mean_of(np.ones(5)),
            num_images=num_images,
            generator=np.random.default_rng(0),
            num_resamples=num_resamples,
        )


def test_whole_groups_are_drawn_as_many_as_there_are() -> None:
    groups_N = np.array([7, 3, 7, 3, 3, 9])
    rows: list[list[int]] = []

    def record(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        rows.extend(indices_BN.tolist())
        return np.zeros((len(indices_BN), 1))

    bootstrap(
        record,
        num_images=6,
        generator=np.random.default_rng(0),
        num_resamples=200,
        groups_N=groups_N,
    )
    assert rows[0] == [0, 1, 2, 3, 4, 5]
    members = {7: [0, 2], 3: [1, 3, 4], 9: [5]}
    for row in rows[1:]:
        times = {name: [row.count(place) for place in places] for name, places in members.items()}
        assert all(len(set(counts)) == 1 for counts in times.values())
        assert sum(counts[0] for counts in times.values()) == 3
    assert {len(row) for row in rows[1:]} == {3, 4, 5, 6, 7, 8, 9}


def test_the_clustered_interval_of_a_mean_is_that_of_a_plain_loop() -> None:
    source = np.random.default_rng(2)
    values_N, groups_N = source.normal(size=40), source.integers(12, size=40)
    names = np.unique(groups_N)
    generator, means = np.random.default_rng(5), []
    for _ in range(300):
        drawn = generator.integers(len(names), size=len(names))
        means.append(np.concatenate([values_N[groups_N == names[one]] for one in drawn]).mean())
    (estimate,) = bootstrap(
        mean_of(values_N),
        num_images=40,
        generator=np.random.default_rng(5),
        num_resamples=300,
        groups_N=groups_N,
    )
    assert estimate.value == values_N.mean()
    assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


@pytest.mark.parametrize("groups", [np.zeros(30, dtype=np.int64), np.arange(30)[::-1]])
def test_a_single_group_or_one_an_image_leaves_images_to_be_drawn(
    groups: NDArray[np.int64],
) -> None:
    values_N = np.random.default_rng(1).normal(size=30)
    plain, grouped = (
        bootstrap(mean_of(values_N), num_images=30, generator=np.random.default_rng(0), groups_N=of)
        for of in (None, groups)
    )
    assert grouped == plain
    assert plain[0].low < plain[0].high


def test_a_group_for_each_image_is_needed() -> None:
    with pytest.raises(ValueError, match="5 images need as many groups, met 4"):
        bootstrap(
            mean_of(np.ones(5)),
            num_images=5,
            generator=np.random.default_rng(0),
            groups_N=np.zeros(4, dtype=np.int64),
        )


def test_images_of_no_group_stand_alone_even_where_one_is_named_like_a_group() -> None:
    found = group_indices(["a", "b", "c", "d", "x"], {"a": "x", "b": "", "c": "x"})
    assert found is not None
    assert found.tolist() == [0, 1, 0, 2, 3]
    assert group_indices(["a"], None) is None
