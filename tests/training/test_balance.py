"""Unequal classes: the weights are scikit-learn's, the draws are even to within one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from fieldmark.training.balance import class_weights, epoch_order

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array)


def order(
    labels_N: NDArray[np.int64], *, sampling: str = "balanced", seed: int = 0
) -> NDArray[np.int64]:
    generator = torch.Generator().manual_seed(seed)
    return epoch_order(labels_N, sampling=sampling, generator=generator)


@given(labels_N=LABELS)
def test_weights_are_the_balanced_ones_of_scikit_learn(labels_N: NDArray[np.int64]) -> None:
    present = np.unique(labels_N)
    expected = np.zeros(6)
    expected[present] = compute_class_weight("balanced", classes=present, y=labels_N)
    found = class_weights(labels_N, num_classes=6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[labels_N].mean() == pytest.approx(1, rel=1e-6)


def test_a_class_of_a_third_of_the_photos_of_another_counts_three_times_as_much() -> None:
    found = class_weights(np.array([0, 0, 0, 1]), num_classes=3)
    assert found.tolist() == pytest.approx([4 / 6, 2, 0])


@given(labels_N=LABELS, seed=st.integers(0, 99))
def test_shuffled_each_photo_comes_once(labels_N: NDArray[np.int64], seed: int) -> None:
    found = order(labels_N, sampling="shuffle", seed=seed)
    assert sorted(found) == list(range(len(labels_N)))


def test_the_shuffle_is_pytorchs_permutation() -> None:
    expected = torch.randperm(50, generator=torch.Generator().manual_seed(3))
    assert order(np.zeros(50, np.int64), sampling="shuffle", seed=3).tolist() == expected.tolist()


@given(labels_N=LABELS, seed=st.integers(0, 99))
def test_balanced_draws_are_even_over_classes_and_over_the_photos_of_each(
    labels_N: NDArray[np.int64], seed: int
) -> None:
    found = order(labels_N, seed=seed)
    assert found.dtype == np.int64
    assert len(found) == len(labels_N)
    per_class = np.bincount(labels_N[found], minlength=6)[np.unique(labels_N)]
    assert per_class.max() - per_class.min() <= 1
    times_N = np.bincount(found, minlength=len(labels_N))
    for label in np.unique(labels_N):
        times = times_N[labels_N == label]
        assert times.max() - times.min() <= 1


def test_balanced_draws_are_mixed_and_depend_on_the_generator_alone() -> None:
    labels_N = np.array([0] * 90 + [1] * 10)
    first, again, other = order(labels_N), order(labels_N), order(labels_N, seed=1)
    assert first.tolist() == again.tolist()
    assert set(first.tolist()) != set(other.tolist())
    # In each quarter both classes: in order of class there would be one only.
    for quarter in np.split(labels_N[first], 4):
        assert 5 <= quarter.sum() <= 20


def test_over_many_epochs_every_photo_of_a_class_is_drawn_about_equally_often() -> None:
    labels_N = np.array([0] * 9 + [1] * 3)
    times_N = np.zeros(12)
    for seed in range(600):
        times_N += np.bincount(order(labels_N, seed=seed), minlength=12)
    np.testing.assert_allclose(times_N[:9] / 600, 6 / 9, atol=0.08)
    np.testing.assert_allclose(times_N[9:] / 600, 2, atol=1e-9)


@pytest.mark.parametrize("sampling", ["shuffle", "balanced"])
def test_no_photos_have_an_empty_order(sampling: str) -> None:
    assert order(np.zeros(0, np.int64), sampling=sampling).tolist() == []
