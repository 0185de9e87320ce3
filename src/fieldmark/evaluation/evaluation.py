"""Everything that is said of a classifier's quality on one split, each number with its interval.

In: the `Predictions` of one split. Out: an `Evaluation`, which mirrors `evaluation.json`.
Not covered: fitting a temperature (it is 1, and the calibration error after it equals the one
before), abstention, and comparisons of models.

Shapes: N images, C classes, B resamples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import EvaluationError, RunError
from fieldmark.evaluation import metrics
from fieldmark.evaluation.document import from_plain, to_plain
from fieldmark.evaluation.intervals import (
    NUM_RESAMPLES,
    Estimate,
    Statistics,
    bootstrap,
    wilson_interval,
)
from fieldmark.evaluation.metrics import ClassCounts
from fieldmark.evaluation.predictions import Predictions

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """One measure averaged over classes in two ways."""

    macro: Estimate
    """Plain mean over the classes that have images or predictions in the split; bootstrap."""
    micro: Estimate
    """Over all images alike; where each has one class this is the accuracy. Wilson."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """How well one class is recognised."""

    precision: Estimate
    """Correct among those predicted as the class; 0 (0 to 1) if none is. Wilson."""
    recall: Estimate
    """Correct among the images of the class; 0 (0 to 1) if there are none. Wilson."""
    f1: Estimate
    """Harmonic mean of the two. Bootstrap, in which a resample without the class counts as 0, so
    that the interval of a class with few images is as wide as it should be."""
    support: int
    """Images of the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedPair:
    """How often one class was taken for another."""

    true: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """The images whose confidence lies above `low` and up to `high`."""

    low: float
    high: float
    count: int
    confidence: float | None
    """Mean confidence, or None for an empty bin."""
    accuracy: float | None
    """Share of correct predictions, or None for an empty bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Whether confidence can be taken at its word."""

    temperature: float
    """What the logits are divided by; 1 leaves them as they are."""
    ece_before: Estimate
    """Expected calibration error of the logits as they are, 0 to 1. Bootstrap."""
    ece_after: Estimate
    """Expected calibration error once divided by the temperature."""
    bins: tuple[CalibrationBin, ...]
    """15 of equal width over 0 to 1, the empty ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The quality of a classifier on one split; intervals cover 95 %."""

    split: str
    num_images: int
    classes: tuple[str, ...]
    loss: Estimate
    """Mean negative log-likelihood in nats. Bootstrap."""
    accuracy: Estimate
    """Wilson."""
    top_k: Mapping[int, Estimate]
    """Share of images whose class is among the k most likely, equal logits in class order. Wilson.
    For k of 1, 2, 3 up to the number of classes, and 5 always."""
    precision: Averages
    recall: Averages
    f1: Averages
    thresholded_precision: Estimate
    """Of the probabilities over 0.5, the share that stands at the true class; 0 (0 to 1) if there
    are none. What Keras' Precision() reports. Wilson."""
    thresholded_recall: Estimate
    """Share of images whose true class has a probability over 0.5: Keras' Recall(). Wilson."""
    per_class: Mapping[str, ClassMetrics]
    """In the order of `classes`."""
    confusion: tuple[tuple[int, ...], ...]
    """Counts of images: rows are true classes, columns predicted ones, both as in `classes`."""
    most_confused: tuple[ConfusedPair, ...]
    """At most 10, the most frequent first, equal counts in class order."""
    calibration: Calibration

    def to_json(self) -> dict[str, Any]:
        """Return the content of `evaluation.json`."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the evaluation that `to_json` gave.

        Raises:
            RunError: if the schema is newer than this version knows, or a field is missing or
                malformed; the message names it.
        """
        version = content.get("schema_version")
        if not isinstance(version, int) or version < 1:
            raise RunError(f"evaluation.json: schema_version must be 1 or more, met {version!r}")
        if version > SCHEMA_VERSION:
            raise RunError(
                f"evaluation.json: schema_version {version} is newer than {SCHEMA_VERSION}, the "
                f"newest that this version of Fieldmark reads; upgrade Fieldmark"
            )
        result: Self = from_plain(cls, dict(content), where="evaluation.json")
        return result


def evaluate(
    predictions: Predictions, *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Evaluation:
    """Compute every measure on the predictions of one split.

    Args:
        predictions: of one split, as `Predictions.of_split` gives.
        seed: of the bootstrap; the same seed gives the same intervals.
        num_resamples: of the bootstrap, at least 1.

    Raises:
        EvaluationError: if there are no predictions, or of several splits.
    """
    split = _only_split(predictions)
    labels_N, predicted_N = predictions.labels_N, predictions.predicted_N
    num_classes = len(predictions.classes)
    counts = metrics.count_classes(labels_N, predicted_N, num_classes=num_classes)
    confusion_CC = metrics.confusion_matrix(labels_N, predicted_N, num_classes=num_classes)
    accuracy = wilson_interval(int(counts.correct.sum()), predictions.num_images)
    loss, ece, precision, recall, f1, *f1_of_class = bootstrap(
        _statistics(predictions),
        num_images=predictions.num_images,
        generator=np.random.default_rng(seed),
        num_resamples=num_resamples,
    )
    thresholded_precision, thresholded_recall = _thresholded(predictions)
    return Evaluation(
        split=split,
        num_images=predictions.num_images,
        classes=predictions.classes,
        loss=loss,
        accuracy=accuracy,
        top_k=_top_k(predictions),
        precision=Averages(macro=precision, micro=accuracy),
        recall=Averages(macro=recall, micro=accuracy),
        f1=Averages(macro=f1, micro=accuracy),
        thresholded_precision=thresholded_precision,
        thresholded_recall=thresholded_recall,
        per_class=_per_class(predictions.classes, counts=counts, f1_of_class=f1_of_class),
        confusion=tuple(tuple(row) for row in confusion_CC.tolist()),
        most_confused=_most_confused(predictions.classes, confusion_CC=confusion_CC),
        calibration=Calibration(
            temperature=1.0, ece_before=ece, ece_after=ece, bins=_calibration_bins(predictions)
        ),
    )


def _only_split(predictions: Predictions) -> str:
    splits = sorted(set(predictions.splits.tolist()))
    if not splits:
        raise EvaluationError("there are no predictions to evaluate: the split has no images")
    if len(splits) > 1:
        raise EvaluationError(
            f"predictions of one split are evaluated at a time, met {', '.join(splits)}; "
            f"choose one with predictions.of_split('test')"
        )
    return str(splits[0])


def _statistics(predictions: Predictions) -> Statistics:
    """Return what the bootstrap recomputes: loss, ECE, macro precision, recall, F1, F1 by class."""
    labels_N, predicted_N = predictions.labels_N, predictions.predicted_N
    num_classes = len(predictions.classes)
    losses_N = metrics.negative_log_likelihood(predictions.logits_NC, labels_N)
    confidence_N = predictions.confidence_N
    gaps_N = confidence_N - (labels_N == predicted_N)
    bins_N = metrics.calibration_bins(confidence_N, edges=metrics.calibration_edges())

    def statistics(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = metrics.count_classes(
            labels_N[indices_BN], predicted_N[indices_BN], num_classes=num_classes
        )
        f1_BC = metrics.f1(counts)
        columns = (
            losses_N[indices_BN].mean(axis=-1),
            metrics.calibration_error(
                bins_N[indices_BN], gaps_N[indices_BN], num_bins=metrics.NUM_CALIBRATION_BINS
            ),
            metrics.macro_average(metrics.precision(counts), counts),
            metrics.macro_average(metrics.recall(counts), counts),
            metrics.macro_average(f1_BC, counts),
        )
        return np.column_stack([*columns, f1_BC])

    return statistics


def _top_k(predictions: Predictions) -> dict[int, Estimate]:
    ranks_N = metrics.ranks_of_truth(predictions.logits_NC, predictions.labels_N)
    return {
        k: wilson_interval(int((ranks_N < k).sum()), predictions.num_images)
        for k in metrics.top_k_choices(len(predictions.classes))
    }


def _thresholded(predictions: Predictions) -> tuple[Estimate, Estimate]:
    correct, positive = metrics.thresholded_counts(
        predictions.probabilities_NC, predictions.labels_N
    )
    return wilson_interval(correct, positive), wilson_interval(correct, predictions.num_images)


def _per_class(
    classes: tuple[str, ...], *, counts: ClassCounts, f1_of_class: list[Estimate]
) -> dict[str, ClassMetrics]:
    rows = zip(
        classes,
        counts.correct.tolist(),
        counts.predicted.tolist(),
        counts.support.tolist(),
        f1_of_class,
        strict=True,
    )
    return {
        name: ClassMetrics(
            precision=wilson_interval(correct, predicted),
            recall=wilson_interval(correct, support),
            f1=f1,
            support=support,
        )
        for name, correct, predicted, support, f1 in rows
    }


def _most_confused(
    classes: tuple[str, ...], *, confusion_CC: NDArray[np.int64]
) -> tuple[ConfusedPair, ...]:
    return tuple(
        ConfusedPair(true=classes[true], predicted=classes[predicted], count=count)
        for true, predicted, count in metrics.most_confused_pairs(confusion_CC)
    )


def _calibration_bins(predictions: Predictions) -> tuple[CalibrationBin, ...]:
    edges = metrics.calibration_edges()
    confidence_N = predictions.confidence_N
    bins_N = metrics.calibration_bins(confidence_N, edges=edges)
    correct_N = predictions.labels_N == predictions.predicted_N
    result = []
    for place, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        inside_N = bins_N == place
        count = int(inside_N.sum())
        result.append(
            CalibrationBin(
                low=low,
                high=high,
                count=count,
                confidence=float(confidence_N[inside_N].mean()) if count else None,
                accuracy=float(correct_N[inside_N].mean()) if count else None,
            )
        )
    return tuple(result)
