"""Whether confidence can be taken at its word: confidence beside accuracy, bin by bin.

In: `Predictions`. Out: `Calibration`, and the bins of a reliability diagram.
Not covered: fitting the temperature (`calibration`).

Shapes: N images.
"""

from dataclasses import dataclass

import numpy as np

from fieldmark.evaluation import metrics
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.predictions import Predictions


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
    """Whether confidence can be taken at its word, before and after the temperature."""

    temperature: float
    """What the logits are divided by; 1 leaves them as they are."""
    reason: str
    """Why this temperature, in a sentence."""
    loss_before: Estimate
    """Mean negative log-likelihood of the logits as they are, in nats. Bootstrap."""
    ece_before: Estimate
    """Expected calibration error of the logits as they are, 0 to 1. Bootstrap."""
    ece_after: Estimate
    """Expected calibration error once divided by the temperature."""
    bins: tuple[CalibrationBin, ...]
    """After: 15 of equal width over 0 to 1, the empty ones included."""
    bins_before: tuple[CalibrationBin, ...]
    """The same of the logits as they are."""


def reliability_bins(predictions: Predictions) -> tuple[CalibrationBin, ...]:
    """Return the bins of a reliability diagram, at the temperature of the predictions."""
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


def calibration_error(predictions: Predictions) -> float:
    """Return the expected calibration error, 0 to 1, at the temperature of the predictions."""
    confidence_N = predictions.confidence_N
    error = metrics.calibration_error(
        metrics.calibration_bins(confidence_N, edges=metrics.calibration_edges()),
        confidence_N - (predictions.labels_N == predictions.predicted_N),
        num_bins=metrics.NUM_CALIBRATION_BINS,
    )
    return float(np.asarray(error))
