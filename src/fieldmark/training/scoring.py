"""How a network does on photos as they are: after each epoch, and once training is over.

In: a classifier and photos. Out: the scores of splits by the names that their columns have; the
logits of all photos.
Not covered: the photos that it learns from, whose scores are gathered in passing (`tally`).
"""

import math
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.batches import Photos
from fieldmark.training.steps import DivergedError
from fieldmark.training.tally import no_scores, scores_of_logits

# Legend for shape suffixes: M photos in store, N photos of a split, C classes.


def scores_of(
    classifier: Classifier,
    splits: Mapping[str, Photos | None],
    *,
    device: torch.device,
    last_step: int,
) -> dict[str, dict[str, float]]:
    """Return what `tally.SCORES` names for each split, by the weights as they are.

    Args:
        classifier: is not changed.
        splits: by name; those that are None or without photos have NaN for all scores.
        device: on which to predict.
        last_step: of the epoch, from 0, to be named where the weights are lost.

    Raises:
        DivergedError: a logit is infinite or not a number.
    """
    scores = {name: no_scores() for name in splits}
    looked_at = {name: of for name, of in splits.items() if of is not None and len(of.rows_N)}
    if not looked_at:
        return scores
    predictor, num_classes = Predictor(classifier, device=device), len(classifier.classes)
    for name, photos in looked_at.items():
        logits_NC = predictor.logits(photos.pixels_MHWC, rows_N=photos.rows_N)
        if not np.isfinite(logits_NC).all():
            raise DivergedError(math.nan, np.empty(0, dtype=np.int64), last_step)
        scores[name] = scores_of_logits(logits_NC, photos.labels_N, num_classes=num_classes)
    return scores


def logits_of_all(
    classifier: Classifier,
    pixels_MHWC: NDArray[np.uint8],
    *,
    first_N: NDArray[np.int64],
    device: torch.device,
    on_batch: Callable[[int], None],
) -> tuple[NDArray[np.float32], float]:
    """Return logits_MC (float32) of all photos, and the seconds that some of them took.

    Args:
        classifier: is not changed.
        pixels_MHWC: uint8.
        first_N: positions of the photos whose time is taken; they come first.
        device: on which to predict.
        on_batch: called with the number of photos done after each batch.
    """
    predictor = Predictor(classifier, device=device)
    logits_MC = np.empty((len(pixels_MHWC), len(classifier.classes)), dtype=np.float32)
    others = np.setdiff1d(np.arange(len(pixels_MHWC)), first_N)
    began_s = time.perf_counter()
    logits_MC[first_N] = predictor.logits(pixels_MHWC, rows_N=first_N, on_batch=on_batch)
    took_s = time.perf_counter() - began_s
    logits_MC[others] = predictor.logits(pixels_MHWC, rows_N=others, on_batch=on_batch)
    return logits_MC, took_s
