"""Answers are withheld where, and only where, the rest can be vouched for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from fieldmark.base.errors import RecipeError
from fieldmark.evaluation.abstention import (
    FAILURE,
    SHARES,
    AbstainConfig,
    CurvePoint,
    abstention_of,
    accuracy_threshold,
    at_most,
    risk_coverage,
)
from fieldmark.evaluation.intervals import wilson_interval


def drawn(
    num_images: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidence that is believed too much: answers are right with its square."""
    confidence_N = generator.uniform(0.7, 1.0, size=num_images)
    return confidence_N, generator.random(num_images) < confidence_N**2


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 95.0, float("nan")])
@pytest.mark.parametrize("name", ["target_accuracy", "coverage"])
def test_shares_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"abstain.{name} is {value}; allowed: a share over 0"):
        AbstainConfig(**{name: value})


def test_a_risk_coverage_curve_worked_by_hand() -> None:
    confidence_N = np.array([0.6, 0.9, 0.8, 0.8])
    correct_N = np.array([False, True, True, False])
    assert risk_coverage(confidence_N, correct_N) == (
        CurvePoint(threshold=0.9, answered=0.25, accuracy=1.0),
        CurvePoint(threshold=0.8, answered=0.75, accuracy=2 / 3),
        CurvePoint(threshold=0.6, answered=1.0, accuracy=0.5),
    )


@given(seed=st.integers(0, 99), num_images=st.integers(1, 400), max_points=st.integers(1, 60))
def test_a_curve_has_few_points_that_are_true_and_ends_with_all_images(
    seed: int, num_images: int, max_points: int
) -> None:
    generator = np.random.default_rng(seed)
    confidence_N = np.round(generator.random(num_images), 2)
    correct_N = generator.random(num_images) < confidence_N
    curve = risk_coverage(confidence_N, correct_N, max_points=max_points)
    assert 1 <= len(curve) <= max_points
    assert curve[-1].answered == 1.0
    assert curve[-1].accuracy == pytest.approx(correct_N.mean())
    for point in curve:
        kept_N = confidence_N >= point.threshold
        assert point.answered == pytest.approx(kept_N.mean())
        assert point.accuracy == pytest.approx(correct_N[kept_N].mean())
    assert [point.answered for point in curve] == sorted({point.answered for point in curve})


@given(total=st.integers(1, 400), part=st.floats(0, 1), share=st.floats(0.001, 0.999))
def test_the_binomial_tail_is_that_of_scipy(total: int, part: float, share: float) -> None:
    successes = round(part * total)
    expected = binom.cdf(successes, total, share)
    assert at_most(successes, total, share=share) == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_a_share_is_vouched_for_where_the_clopper_pearson_bound_says_so() -> None:
    # 1,000 images, errors among the least sure: how many may there be among all at 0.98?
    failure = FAILURE / len(SHARES)
    bounds = [
        binomtest(errors, 1000).proportion_ci(1 - 2 * failure, method="exact").high
        for errors in range(20)
    ]
    allowed = sum(bound <= 0.02 for bound in bounds) - 1
    confidence_N = np.linspace(1.0, 0.5, 1000)
    for errors, found in ((allowed, 0.0), (allowed + 1, confidence_N[989])):
        correct_N = np.arange(1000) < 1000 - errors
        assert accuracy_threshold(confidence_N, correct_N, target_accuracy=0.98) == found


def test_only_as_many_as_needed_are_withheld() -> None:
    confidence_N = np.linspace(1.0, 0.5, 1000)
    correct_N = np.arange(1000) < 910
    found = accuracy_threshold(confidence_N, correct_N, target_accuracy=0.97)
    # Of the surest 940, 30 are wrong, which is over 3 %; of the surest 900 none is.
    assert found == confidence_N[899]


def test_what_few_images_cannot_vouch_for_has_no_threshold() -> None:
    nothing = np.zeros(0), np.zeros(0, dtype=np.bool_)
    assert accuracy_threshold(*nothing, target_accuracy=0.9) is None
    assert accuracy_threshold(np.ones(200), np.ones(200, bool), target_accuracy=0.99) is None
    assert accuracy_threshold(np.ones(600), np.ones(600, bool), target_accuracy=0.99) == 0.0


def test_a_threshold_breaks_its_promise_in_at_most_one_of_twenty_draws() -> None:
    generator = np.random.default_rng(4)
    grid = np.linspace(0.7, 1.0, 3001)
    target, broken, found = 0.81, 0, 0
    for _ in range(400):
        threshold = accuracy_threshold(*drawn(2000, generator), target_accuracy=target)
        if threshold is not None:
            found += 1
            # The mean of the squared confidence above the threshold is the true accuracy there.
            broken += float((grid[grid >= threshold] ** 2).mean()) < target
    assert found > 300
    assert broken / 400 <= FAILURE


def test_a_threshold_is_judged_on_other_images() -> None:
    confidence_N, correct_N = np.array([0.9, 0.5, 0.7]), np.array([True, False, False])
    judged = abstention_of(
        confidence_N, correct_N, target_accuracy=0.9, threshold=0.7, reason="Because."
    )
    assert judged.answered == wilson_interval(2, 3)
    assert judged.accuracy == wilson_interval(1, 2)
    none = abstention_of(
        confidence_N, correct_N, target_accuracy=None, threshold=None, reason="Because."
    )
    assert (none.answered, none.accuracy) == (None, None)
    assert none.curve == judged.curve
