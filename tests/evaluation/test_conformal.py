"""Sets of classes hold the right one as often as promised, and name no more than they must."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import betabinom

from fieldmark.evaluation.conformal import (
    conformal_of,
    images_needed,
    prediction_sets,
    set_threshold,
)
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.metrics import softmax


def drawn(num_images: int, *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities of a mediocre, overconfident classifier, and the true classes."""
    generator = np.random.default_rng(seed)
    labels_N = generator.integers(6, size=num_images)
    logits_NC = generator.normal(size=(num_images, 6))
    logits_NC[np.arange(num_images), labels_N] += 1.5
    return softmax(2 * logits_NC), labels_N


def test_the_threshold_is_the_smallest_but_so_many_of_the_true_probabilities() -> None:
    # 19 images at 0.9: ceil(20 * 0.9) = 18 must reach it, so it is the second smallest.
    truth_N = np.arange(1, 20) / 20
    shares_NC = np.column_stack([truth_N, 1 - truth_N])
    order = np.random.default_rng(0).permutation(19)
    labels_N = np.zeros(19, dtype=np.int64)
    assert set_threshold(shares_NC[order], labels_N, coverage=0.9) == truth_N[1]
    assert set_threshold(shares_NC[order], labels_N, coverage=0.95) == truth_N[0]
    assert set_threshold(shares_NC[:18], labels_N[:18], coverage=0.95) is None


@given(coverage=st.floats(0.01, 0.995))
def test_a_threshold_needs_the_images_that_are_said_to_be_needed(coverage: float) -> None:
    needed = images_needed(coverage)
    for num_images, is_there in ((needed, True), (needed - 1, False)):
        shares_NC = np.full((num_images, 2), 0.5)
        labels_N = np.zeros(num_images, dtype=np.int64)
        found = set_threshold(shares_NC, labels_N, coverage=coverage)
        assert (found is not None) == is_there


@pytest.mark.parametrize(("coverage", "needed"), [(0.95, 19), (0.9, 9), (0.99, 99), (0.5, 1)])
def test_needed_images_of_usual_coverages(coverage: float, needed: int) -> None:
    assert images_needed(coverage) == needed


def test_sets_hold_what_reaches_the_threshold_and_never_nothing() -> None:
    shares_NC = np.array([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25]])
    assert prediction_sets(shares_NC, 0.3).tolist() == [[True, True, False], [True, True, False]]
    assert prediction_sets(shares_NC, 0.5).tolist() == [[True, False, False], [True, False, False]]
    assert prediction_sets(shares_NC, 0.5, allow_empty=True)[1].tolist() == [False] * 3


def test_coverage_over_200_random_splits_follows_its_law() -> None:
    """The coverage of a split is a Beta variable; of a finite test it is beta-binomial.

    V. Vovk, "Conditional validity of inductive conformal predictors", ACML 2012, proposition 2b.
    """
    num_held, num_test, coverage = 300, 700, 0.9
    shares_NC, labels_N = drawn(num_held + num_test, seed=1)
    generator = np.random.default_rng(2)
    reached = math.ceil((num_held + 1) * coverage)
    law = betabinom(num_test, reached, num_held + 1 - reached)
    low, high = law.ppf([0.005, 0.995])
    covered = []
    for _ in range(200):
        order = generator.permutation(num_held + num_test)
        held_N, test_N = order[:num_held], order[num_held:]
        threshold = set_threshold(shares_NC[held_N], labels_N[held_N], coverage=coverage)
        assert threshold is not None
        sets_NC = prediction_sets(shares_NC[test_N], threshold, allow_empty=True)
        covered.append(int(sets_NC[np.arange(num_test), labels_N[test_N]].sum()))
    within = [low <= count <= high for count in covered]
    # 99 % of them lie within; the mean of 200 lies within its own band of 99 %.
    assert sum(within) >= 194
    assert abs(np.mean(covered) - law.mean()) <= 2.576 * law.std() / math.sqrt(200)


def test_what_sets_come_to_is_counted() -> None:
    shares_NC = np.array([[0.6, 0.3, 0.1], [0.35, 0.4, 0.25], [0.9, 0.05, 0.05]])
    found = conformal_of(
        shares_NC, np.array([1, 2, 0]), coverage=0.9, threshold=0.3, reason="Because."
    )
    assert found.seen == wilson_interval(2, 3)
    assert found.single == wilson_interval(1, 3)
    assert found.mean_size == pytest.approx(5 / 3)
    nothing = conformal_of(
        shares_NC, np.array([1, 2, 0]), coverage=None, threshold=None, reason="Because."
    )
    assert (nothing.seen, nothing.single, nothing.mean_size) == (None, None, None)
