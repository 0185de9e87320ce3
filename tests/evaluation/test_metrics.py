import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import special
from sklearn import metrics as peer
from torchmetrics.functional.classification import multiclass_calibration_error

from fieldmark.evaluation import metrics

NUM_CLASSES = 6

Logits = NDArray[np.float32]
Answers = tuple[NDArray[np.int64], NDArray[np.int64]]

answers = st.integers(1, 60).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.int64, size, elements=st.integers(0, NUM_CLASSES - 1)),
        hnp.arrays(np.int64, size, elements=st.integers(0, NUM_CLASSES - 1)),
    )
)
logit_tables = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(2, 6)),
    elements=st.floats(-80, 80, width=32),
)


@given(logit_tables)
def test_softmax_and_log_softmax_agree_with_scipy(logits_NC: Logits) -> None:
    wide_NC = logits_NC.astype(np.float64)
    np.testing.assert_allclose(
        metrics.softmax(logits_NC), special.softmax(wide_NC, axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        metrics.log_softmax(logits_NC), special.log_softmax(wide_NC, axis=1), rtol=1e-12, atol=1e-14
    )


def test_softmax_of_huge_logits_neither_overflows_nor_loses_its_sum() -> None:
    logits_NC = np.array([[3e38, -3e38, 0.0], [-3e38, -3e38, -3e38]], dtype=np.float32)
    assert metrics.softmax(logits_NC).tolist() == [[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]


def test_likelihood_of_a_confident_error_is_not_clipped() -> None:
    logits_NC = np.array([[1000.0, 0.0], [0.0, 0.0], [1000.0, 0.0]], dtype=np.float32)
    losses_N = metrics.negative_log_likelihood(logits_NC, np.array([1, 0, 0]))
    assert losses_N.tolist() == [1000.0, math.log(2), 0.0]
    assert not np.signbit(losses_N).any()


def test_likelihood_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    logits_NC = generator.normal(size=(50, 4)).astype(np.float32)
    labels_N = generator.integers(4, size=50)
    expected = peer.log_loss(
        labels_N, special.softmax(logits_NC.astype(float), axis=1), labels=range(4)
    )
    assert metrics.negative_log_likelihood(logits_NC, labels_N).mean() == pytest.approx(expected)


def test_equal_logits_are_ranked_in_class_order() -> None:
    logits_NC = np.array([[1.0, 1.0, 0.0, 1.0]] * 4, dtype=np.float32)
    assert metrics.ranks_of_truth(logits_NC, np.arange(4)).tolist() == [0, 1, 3, 2]


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 8), st.integers(2, 6)),
        elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0]),
    )
)
def test_rank_zero_means_that_argmax_is_right_even_with_ties(logits_NC: Logits) -> None:
    labels_N = np.arange(len(logits_NC)) % logits_NC.shape[1]
    ranks_N = metrics.ranks_of_truth(logits_NC, labels_N)
    np.testing.assert_array_equal(ranks_N == 0, logits_NC.argmax(axis=1) == labels_N)
    assert ranks_N.max() < logits_NC.shape[1]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k_agrees_with_scikit_learn(k: int) -> None:
    generator = np.random.default_rng(k)
    logits_NC = generator.normal(size=(80, 7)).astype(np.float32)
    labels_N = generator.integers(7, size=80)
    expected = peer.top_k_accuracy_score(labels_N, logits_NC, k=k, labels=range(7))
    assert (metrics.ranks_of_truth(logits_NC, labels_N) < k).mean() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("num_classes", "choices"),
    [(2, (1, 2, 5)), (3, (1, 2, 3, 5)), (4, (1, 2, 3, 5)), (100, (1, 2, 3, 5))],
)
def test_top_five_is_always_among_the_choices(num_classes: int, choices: tuple[int, ...]) -> None:
    assert metrics.top_k_choices(num_classes) == choices


@given(answers)
def test_measures_by_class_and_macro_averages_agree_with_scikit_learn(pair: Answers) -> None:
    labels_N, predicted_N = pair
    counts = metrics.count_classes(labels_N, predicted_N, num_classes=NUM_CLASSES)
    measured = (metrics.precision(counts), metrics.recall(counts), metrics.f1(counts))
    *expected, support_C = peer.precision_recall_fscore_support(
        labels_N, predicted_N, labels=range(NUM_CLASSES), zero_division=0
    )
    np.testing.assert_allclose(measured, expected)
    np.testing.assert_array_equal(counts.support, support_C)
    *macro, _ = peer.precision_recall_fscore_support(
        labels_N, predicted_N, average="macro", zero_division=0
    )
    averages = [metrics.macro_average(values_C, counts) for values_C in measured]
    np.testing.assert_allclose(averages, macro)


def test_a_class_neither_met_nor_predicted_stays_out_of_the_macro_average() -> None:
    counts = metrics.count_classes(np.array([0, 0, 1]), np.array([0, 0, 2]), num_classes=4)
    assert metrics.recall(counts).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert metrics.macro_average(metrics.recall(counts), counts) == pytest.approx(1 / 3)


@given(answers)
def test_counts_of_stacked_resamples_are_those_of_each_one(pair: Answers) -> None:
    labels_N, predicted_N = pair
    stacked = metrics.count_classes(
        np.stack([labels_N, labels_N[::-1]]),
        np.stack([predicted_N, labels_N[::-1]]),
        num_classes=NUM_CLASSES,
    )
    alone = metrics.count_classes(labels_N, predicted_N, num_classes=NUM_CLASSES)
    for name in ("correct", "predicted", "support"):
        np.testing.assert_array_equal(getattr(stacked, name)[0], getattr(alone, name))
        np.testing.assert_array_equal(getattr(stacked, name)[1], alone.support)


@given(answers)
def test_confusion_matrix_agrees_with_scikit_learn(pair: Answers) -> None:
    labels_N, predicted_N = pair
    np.testing.assert_array_equal(
        metrics.confusion_matrix(labels_N, predicted_N, num_classes=NUM_CLASSES),
        peer.confusion_matrix(labels_N, predicted_N, labels=range(NUM_CLASSES)),
    )


def test_most_confused_pairs_come_by_count_then_by_class_order() -> None:
    confusion_CC = np.array([[90, 2, 5], [2, 80, 0], [5, 7, 99]])
    expected = [(2, 1, 7), (0, 2, 5), (2, 0, 5), (0, 1, 2), (1, 0, 2)]
    assert metrics.most_confused_pairs(confusion_CC) == expected
    assert metrics.most_confused_pairs(confusion_CC, limit=2) == expected[:2]
    assert confusion_CC[0, 0] == 90


def test_at_most_ten_confused_pairs_are_given_and_none_without_errors() -> None:
    assert len(metrics.most_confused_pairs(np.ones((5, 5), dtype=np.int64))) == 10
    assert metrics.most_confused_pairs(np.diag([3, 4, 5])) == []


def test_a_probability_counts_as_positive_only_above_one_half() -> None:
    probabilities_NC = np.array([[0.5, 0.5], [0.51, 0.49], [0.3, 0.7], [0.2, 0.8]])
    assert metrics.thresholded_counts(probabilities_NC, np.array([0, 0, 0, 1])) == (2, 3)


@given(logit_tables)
def test_thresholded_counts_are_those_of_the_flattened_one_hot_matrix(logits_NC: Logits) -> None:
    probabilities_NC = metrics.softmax(logits_NC)
    labels_N = np.arange(len(logits_NC)) % logits_NC.shape[1]
    positive = (probabilities_NC > 0.5).ravel()
    truth = np.eye(logits_NC.shape[1], dtype=bool)[labels_N].ravel()
    counts = metrics.thresholded_counts(probabilities_NC, labels_N)
    assert counts == ((positive & truth).sum(), positive.sum())
    if positive.any():
        assert counts[0] / counts[1] == pytest.approx(peer.precision_score(truth, positive))
    assert counts[0] / len(labels_N) == pytest.approx(peer.recall_score(truth, positive))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    edges = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    confidence_N = np.array([0.0, 0.25, np.nextafter(0.25, 1), 0.5, 1.0])
    assert metrics.calibration_bins(confidence_N, edges=edges).tolist() == [0, 0, 1, 1, 3]


def test_calibration_edges_are_fifteen_equal_bins() -> None:
    edges = metrics.calibration_edges()
    assert len(edges) == 16
    np.testing.assert_allclose(np.diff(edges), 1 / 15)


def test_calibration_error_matches_a_case_worked_by_hand() -> None:
    # Bin 0: confidences 0.3 and 0.4, one correct: |0.7 - 1| / 2, weight 2/4.
    # Bin 2: confidences 0.9 and 1.0, none correct: |1.9 - 0| / 2, weight 2/4.
    confidence_N = np.array([0.3, 0.9, 0.4, 1.0])
    correct_N = np.array([1.0, 0.0, 0.0, 0.0])
    error = metrics.calibration_error(np.array([0, 2, 0, 2]), confidence_N - correct_N, num_bins=3)
    assert error == pytest.approx((0.3 + 1.9) / 4)


@given(st.integers(0, 1000))
def test_calibration_error_agrees_with_its_definition_bin_by_bin(seed: int) -> None:
    generator = np.random.default_rng(seed)
    confidence_N, correct_N = generator.random(40), generator.integers(2, size=40)
    edges = metrics.calibration_edges()
    expected = 0.0
    for low, high in pairwise(edges):
        inside_N = (confidence_N > low) & (confidence_N <= high)
        if inside_N.any():
            gap = abs(confidence_N[inside_N].mean() - correct_N[inside_N].mean())
            expected += inside_N.mean() * gap
    bins_N = metrics.calibration_bins(confidence_N, edges=edges)
    error = metrics.calibration_error(bins_N, confidence_N - correct_N, num_bins=15)
    assert error == pytest.approx(expected)


@given(seed=st.integers(0, 1000), num_images=st.integers(1, 300), num_bins=st.integers(1, 30))
def test_calibration_error_is_that_of_torchmetrics(
    seed: int, num_images: int, num_bins: int
) -> None:
    generator = np.random.default_rng(seed)
    logits_NC = 3 * generator.standard_normal((num_images, 4))
    probabilities_NC, labels_N = metrics.softmax(logits_NC), generator.integers(4, size=num_images)
    confidence_N = probabilities_NC.max(axis=1)
    correct_N = probabilities_NC.argmax(axis=1) == labels_N
    bins_N = metrics.calibration_bins(confidence_N, edges=metrics.calibration_edges(num_bins))
    found = metrics.calibration_error(bins_N, confidence_N - correct_N, num_bins=num_bins)
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities_NC),
        torch.from_numpy(labels_N),
        num_classes=4,
        n_bins=num_bins,
        norm="l1",
    )
    assert found == pytest.approx(float(expected), abs=1e-6)
