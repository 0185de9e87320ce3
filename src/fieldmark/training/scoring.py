"""How a network does on photos as they are: after each epoch, and once training is over.

In: a classifier and photos. Out: the scores of splits by the names that their columns have; the
logits of all photos, and their features.
Not covered: the photos that it learns from, whose scores are gathered in passing (`tally`).
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.batches import Photos
from fieldmark.training.steps import DivergedError
from fieldmark.training.tally import no_scores, scores_of_logits

MAX_FEATURES_BYTES = 1 << 30
"""Of the features of all photos that are kept from predicting them: MobileNetV2's of 200,000."""

# Legend for shape suffixes: M photos in store, N photos of a split, C classes, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What a network makes of all photos."""

    logits_MC: NDArray[np.float32]
    features_MF: NDArray[np.float32] | None
    """What the logits were computed from; None where that is over `MAX_FEATURES_BYTES`."""
    seconds: float
    """How long it took for the photos that came first."""


def scores_of(
    classifier: Classifier,
    splits: Mapping[str, Photos | None],
    *,
    device: torch.device,
    last_step: int,
    on_batch: Callable[[int], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Return what `tally.SCORES` names for each split, by the weights as they are.

    Args:
        classifier: is not changed.
        splits: by name; those that are None or without photos have NaN for all scores.
        device: on which to predict.
        last_step: of the epoch, from 0, to be named where the weights are lost.
        on_batch: called with the number of photos done after each batch; what it raises ends the
            scoring.

    Raises:
        DivergedError: a logit is infinite or not a number.
    """
    scores = {name: no_scores() for name in splits}
    looked_at = {name: of for name, of in splits.items() if of is not None and len(of.rows_N)}
    if not looked_at:
        return scores
    predictor, num_classes = Predictor(classifier, device=device), len(classifier.classes)
    for name, photos in looked_at.items():
        logits_NC = predictor.logits(photos.pixels_MHWC, rows_N=photos.rows_N, on_batch=on_batch)
        if not np.isfinite(logits_NC).all():
            raise DivergedError(math.nan, np.empty(0, dtype=np.int64), last_step)
        scores[name] = scores_of_logits(logits_NC, photos.labels_N, num_classes=num_classes)
    return scores


def predict_all(
    classifier: Classifier,
    pixels_MHWC: NDArray[np.uint8],
    *,
    first_N: NDArray[np.int64],
    device: torch.device,
    on_batch: Callable[[int], None],
) -> Predicted:
    """Predict all photos, and take the time that some of them take.

    Args:
        classifier: is not changed.
        pixels_MHWC: uint8.
        first_N: positions of the photos whose time is taken; they come first.
        device: on which to predict.
        on_batch: called with the number of photos done after each batch.
    """
    predictor = Predictor(classifier, device=device)
    num_photos, num_features = len(pixels_MHWC), classifier.network.head.in_features
    logits_MC = np.empty((num_photos, len(classifier.classes)), dtype=np.float32)
    features_MF = None
    if 4 * num_photos * num_features <= MAX_FEATURES_BYTES:
        features_MF = np.empty((num_photos, num_features), dtype=np.float32)

    def predict(rows_N: NDArray[np.int64]) -> None:
        features_NF = predictor.features(pixels_MHWC, rows_N=rows_N, on_batch=on_batch)
        logits_MC[rows_N] = predictor.logits_of_features(features_NF)
        if features_MF is not None:
            features_MF[rows_N] = features_NF

    began_s = time.perf_counter()
    predict(first_N)
    took_s = time.perf_counter() - began_s
    predict(np.setdiff1d(np.arange(num_photos), first_N))
    return Predicted(logits_MC=logits_MC, features_MF=features_MF, seconds=took_s)
