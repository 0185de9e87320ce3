"""The measures of a classifier, as pure functions on arrays.

In: logits, labels and predictions as arrays. Out: arrays and counts.
Not covered: intervals (`intervals`), and which measure stands where (`evaluation`).

Shapes: N images, C classes; `...` are leading axes, one entry for each
resample of the images, or none. Labels and predictions are indices of classes, 0 to C - 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NUM_CALIBRATION_BINS = 15
"""Guo et al., "On calibration of modern neural networks", ICML 2017, section 5."""

POSITIVE_ABOVE = 0.5
"""The default threshold of Keras' Precision and Recall; a probability must exceed it."""

TOP_K = (1, 2, 3, 5)
"""The k of top-k accuracy; 5 is always given, the others up to the number of classes."""

MAX_CONFUSED_PAIRS = 10
"""As many pairs as a reader takes in at a glance."""


def log_softmax(logits_NC: NDArray[np.floating]) -> Floats:
    """Return the natural logarithm of the softmax over classes, (N, C) float64, all <= 0.

    Computed in float64 with the largest logit taken off, so that nothing overflows.
    """
    wide_NC = logits_NC.astype(np.float64)
    shifted_NC = wide_NC - wide_NC.max(axis=1, keepdims=True)
    result: Floats = shifted_NC - np.log(np.exp(shifted_NC).sum(axis=1, keepdims=True))
    return result


def softmax(logits_NC: NDArray[np.floating]) -> Floats:
    """Return probabilities over classes, (N, C) float64, each row summing to 1."""
    wide_NC = logits_NC.astype(np.float64)
    powers_NC = np.exp(wide_NC - wide_NC.max(axis=1, keepdims=True))
    result: Floats = powers_NC / powers_NC.sum(axis=1, keepdims=True)
    return result


def negative_log_likelihood(logits_NC: NDArray[np.floating], labels_N: Integers) -> Floats:
    """Return minus the natural logarithm of each true class' probability, (N,) float64, >= 0.

    It comes from the log-softmax, not from clipped probabilities: a confident error costs all
    that it should.
    """
    truth_N = log_softmax(logits_NC)[np.arange(len(labels_N)), labels_N]
    return 0.0 - truth_N  # a plain minus would turn 0 into -0


def ranks_of_truth(logits_NC: NDArray[np.floating], labels_N: Integers) -> Integers:
    """Return how many classes stand before the true one, (N,) int64, 0 where it is the first.

    Equal logits are ranked in the order of the classes, as argmax does; so rank 0 means that
    the prediction is correct.
    """
    truth_N1 = logits_NC[np.arange(len(labels_N)), labels_N][:, None]
    earlier_NC = np.arange(logits_NC.shape[1]) < labels_N[:, None]
    before_NC = (logits_NC > truth_N1) | ((logits_NC == truth_N1) & earlier_NC)
    result: Integers = before_NC.sum(axis=1, dtype=np.int64)
    return result


def top_k_choices(num_classes: int) -> tuple[int, ...]:
    """Return the k to report: 1, 2, 3 up to the number of classes, and always 5.

    With five classes or fewer, top-5 accuracy is 1.
    """
    return tuple(k for k in TOP_K if k <= num_classes or k == TOP_K[-1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassCounts:
    """Counts of images by class, each (..., C) int64."""

    correct: Integers
    """Images of the class predicted as such (true positives)."""
    predicted: Integers
    """Images predicted as the class."""
    support: Integers
    """Images of the class."""


def count_classes(labels: Integers, predicted: Integers, *, num_classes: int) -> ClassCounts:
    """Count correct, predicted and true images of each class.

    Args:
        labels: true classes, (..., N).
        predicted: predicted classes, (..., N).
        num_classes: C.
    """
    # Wrong predictions are counted as a class of their own, which is then dropped.
    correct = np.where(labels == predicted, labels, num_classes)
    return ClassCounts(
        correct=_histogram(correct, num_bins=num_classes + 1)[..., :-1],
        predicted=_histogram(predicted, num_bins=num_classes),
        support=_histogram(labels, num_bins=num_classes),
    )


def precision(counts: ClassCounts) -> Floats:
    """Return correct / predicted of each class, (..., C); 0 for a class never predicted."""
    return _ratio(counts.correct, counts.predicted)


def recall(counts: ClassCounts) -> Floats:
    """Return correct / support of each class, (..., C); 0 for a class without images."""
    return _ratio(counts.correct, counts.support)


def f1(counts: ClassCounts) -> Floats:
    """Return the harmonic mean of precision and recall of each class, (..., C).

    It is 2 correct / (predicted + support), and 0 for a class neither met nor predicted.
    """
    return _ratio(2 * counts.correct, counts.predicted + counts.support)


def macro_average(values: Floats, counts: ClassCounts) -> Floats:
    """Return the plain mean over the classes that are met or predicted, (...,).

    A class of the list that has neither images nor predictions says nothing and is left out, as
    scikit-learn's `average="macro"` does where it is given no labels.

    Args:
        values: a measure of each class, (..., C).
        counts: the counts it came from.
    """
    present = (counts.support + counts.predicted) > 0
    return _ratio((values * present).sum(axis=-1), present.sum(axis=-1))


def confusion_matrix(labels_N: Integers, predicted_N: Integers, *, num_classes: int) -> Integers:
    """Return counts of images, (C, C) int64, rows true and columns predicted."""
    cells_N = labels_N * num_classes + predicted_N
    return _histogram(cells_N, num_bins=num_classes**2).reshape(num_classes, num_classes)


def most_confused_pairs(
    confusion_CC: Integers, *, limit: int = MAX_CONFUSED_PAIRS
) -> list[tuple[int, int, int]]:
    """Return the errors made most often as (true, predicted, count), at most `limit` of them.

    Ordered by count, the largest first; equal counts by true class, then by predicted class.
    (a, b) and (b, a) are two pairs.
    """
    errors_CC = confusion_CC.copy()
    np.fill_diagonal(errors_CC, 0)
    # A stable sort of the negated counts keeps equal ones in row-major order, which is class order.
    cells = np.argsort(-errors_CC.ravel(), kind="stable")[:limit].tolist()
    pairs = [divmod(cell, len(errors_CC)) for cell in cells]
    counted = [(true, other, int(errors_CC[true, other])) for true, other in pairs]
    return [pair for pair in counted if pair[2] > 0]


def thresholded_counts(
    probabilities_NC: Floats, labels_N: Integers, *, above: float = POSITIVE_ABOVE
) -> tuple[int, int]:
    """Count (correct, all) entries of the probability matrix that exceed a threshold.

    Correct / all is what Keras' `Precision()` reports on softmax outputs and one-hot labels, and
    correct / N is its `Recall()`: both treat each entry of the matrix as a yes or no.
    """
    positive_NC = probabilities_NC > above
    correct = positive_NC[np.arange(len(labels_N)), labels_N].sum()
    return int(correct), int(positive_NC.sum())


def calibration_edges(num_bins: int = NUM_CALIBRATION_BINS) -> Floats:
    """Return the edges of equal-width bins over 0 to 1, (num_bins + 1,)."""
    return np.linspace(0.0, 1.0, num_bins + 1)


def calibration_bins(confidence_N: Floats, *, edges: Floats) -> Integers:
    """Return the bin of each confidence, (N,) int64; a bin holds its upper edge, not its lower."""
    return np.searchsorted(edges[1:-1], confidence_N, side="left").astype(np.int64)


def calibration_error(bins: Integers, gaps: Floats, *, num_bins: int) -> Floats:
    """Return the expected calibration error, (...,), between 0 and 1.

    Source: Guo et al. (2017), equation 3: the mean over images of |accuracy - confidence| of
    their bin.

    Args:
        bins: the bin of each image's confidence, (..., N).
        gaps: confidence minus correctness (0 or 1) of each image, (..., N).
        num_bins: the number of bins, the empty ones included.
    """
    sums = _weighted_histogram(bins, weights=gaps, num_bins=num_bins)
    result: Floats = np.abs(sums).sum(axis=-1) / bins.shape[-1]
    return result


def _ratio(numerator: NDArray[np.generic], denominator: Integers) -> Floats:
    """Divide, with 0 where the denominator is 0."""
    safe = np.maximum(denominator, 1)
    result: Floats = np.asarray(np.where(denominator > 0, numerator / safe, 0.0), dtype=np.float64)
    return result


def _histogram(codes: Integers, *, num_bins: int) -> Integers:
    """Count the codes 0 to num_bins - 1 along the last axis, (..., num_bins)."""
    counts = np.bincount(_row_codes(codes, num_bins), minlength=_num_rows(codes) * num_bins)
    return counts.astype(np.int64, copy=False).reshape(*codes.shape[:-1], num_bins)


def _weighted_histogram(codes: Integers, *, weights: Floats, num_bins: int) -> Floats:
    """Sum the weights of each code along the last axis, (..., num_bins)."""
    length = _num_rows(codes) * num_bins
    sums: Floats = np.bincount(
        _row_codes(codes, num_bins), weights=weights.ravel(), minlength=length
    ).astype(np.float64, copy=False)
    return sums.reshape(*codes.shape[:-1], num_bins)


def _row_codes(codes: Integers, num_bins: int) -> Integers:
    """Give each row codes of its own, so that one flat histogram serves them all."""
    rows = codes.reshape(-1, codes.shape[-1])
    result: Integers = (rows + num_bins * np.arange(len(rows))[:, None]).ravel()
    return result


def _num_rows(codes: Integers) -> int:
    return int(np.prod(codes.shape[:-1]))
