"""The measures that have no interval of their own kind, as the bootstrap recomputes them.

In: `Predictions`. Out: a function of the indices of resampled images.
Not covered: drawing the resamples (`intervals`).

Shapes: N images, C classes, B resamples.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation import metrics
from fieldmark.evaluation.intervals import Statistics
from fieldmark.evaluation.predictions import Predictions


def resampled_statistics(predictions: Predictions) -> Statistics:
    """Return what maps image indices (B, N) to 7 + C measures of each resample.

    They are the loss and the calibration error; both of the logits as they are; macro precision,
    recall and F1; and the F1 of each class.
    """
    labels_N, predicted_N = predictions.labels_N, predictions.predicted_N
    num_classes = len(predictions.classes)
    after = _trust(predictions)
    # Where nothing is scaled, both are the same to the bit and need be computed only once.
    raw = None if predictions.temperature == 1 else _trust(replace(predictions, temperature=1.0))

    def statistics(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        counts = metrics.count_classes(
            labels_N[indices_BN], predicted_N[indices_BN], num_classes=num_classes
        )
        f1_BC = metrics.f1(counts)
        trust = after(indices_BN)
        columns = (
            trust,
            raw(indices_BN) if raw else trust,
            metrics.macro_average(metrics.precision(counts), counts),
            metrics.macro_average(metrics.recall(counts), counts),
            metrics.macro_average(f1_BC, counts),
        )
        return np.column_stack([*columns, f1_BC])

    return statistics


def _trust(predictions: Predictions) -> Statistics:
    """Return what resamples make of the loss and the ECE, (B, 2)."""
    losses_N = metrics.negative_log_likelihood(predictions.scaled_logits_NC, predictions.labels_N)
    confidence_N = predictions.confidence_N
    gaps_N = confidence_N - (predictions.labels_N == predictions.predicted_N)
    bins_N = metrics.calibration_bins(confidence_N, edges=metrics.calibration_edges())

    def statistics(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        ece_B = metrics.calibration_error(
            bins_N[indices_BN], gaps_N[indices_BN], num_bins=metrics.NUM_CALIBRATION_BINS
        )
        return np.column_stack([losses_N[indices_BN].mean(axis=-1), ece_B])

    return statistics
