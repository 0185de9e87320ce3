"""Sets of classes that hold the right one as often as stated: split conformal prediction.

In: probabilities, and for the threshold the labels of validation images. Out: a threshold, sets,
and the `Conformal` of a split.
Source: the least ambiguous sets with bounded error (LAC) of M. Sadinle, J. Lei and L. Wasserman,
"Least ambiguous set-valued classifiers with bounded error levels", Journal of the American
Statistical Association 114 (2019), 223-234: of all sets with this coverage these are the smallest
on average, so that they name a second class only where there is a doubt.
Not covered: a guarantee for each class, and for photos of another kind than those of the run.

Shapes: N images, C classes.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.intervals import Estimate, wilson_interval

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]

ROUNDING = 1e-9
"""What a product of a whole number and a share may be off by in floating point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformal:
    """Sets of classes, and how often they hold the right one."""

    coverage: float | None = None
    """Promised: the share of sets that hold the right class; None without sets."""
    threshold: float | None = None
    """A class is in the set from this probability on, 0 to 1; None without sets."""
    reason: str
    """Where the threshold comes from, or why there are no sets, in a sentence."""
    seen: Estimate | None = None
    """The share of sets that hold the right class on this split. Wilson."""
    single: Estimate | None = None
    """Share of sets with one class alone, where there is no doubt. Wilson."""
    mean_size: float | None = None
    """Mean number of classes in a set, 1 or more."""


def conformal_of(
    probabilities_NC: Floats,
    labels_N: Integers,
    *,
    coverage: float | None,
    threshold: float | None,
    reason: str,
) -> Conformal:
    """Return what the sets of a threshold come to on the images of a split."""
    seen = single = mean_size = None
    if threshold is not None:
        sets_NC = prediction_sets(probabilities_NC, threshold)
        size_N = sets_NC.sum(axis=1)
        covered_N = sets_NC[np.arange(len(labels_N)), labels_N]
        seen = wilson_interval(int(covered_N.sum()), len(labels_N))
        single = wilson_interval(int((size_N == 1).sum()), len(labels_N))
        mean_size = float(size_N.mean())
    return Conformal(
        coverage=coverage,
        threshold=threshold,
        reason=reason,
        seen=seen,
        single=single,
        mean_size=mean_size,
    )


def images_needed(coverage: float) -> int:
    """Return how many images it takes at least to promise a coverage, such as 19 for 0.95."""
    return math.ceil(coverage / (1 - coverage) - ROUNDING)


def set_threshold(probabilities_NC: Floats, labels_N: Integers, *, coverage: float) -> float | None:
    """Return the probability from which on a class belongs to the set of an image.

    Of N images, the probability of the true class that ceil((N + 1) * coverage) of them reach.
    Sets of other images then hold the true class with at least this probability, over draws of
    both, where all of them are exchangeable.

    Args:
        probabilities_NC: of images that neither the network nor the threshold was fitted on.
        labels_N: their true classes.
        coverage: over 0 and below 1.

    Returns:
        The threshold, 0 to 1; None where there are fewer images than `images_needed`.
    """
    num_reached = math.ceil((len(labels_N) + 1) * coverage - ROUNDING)
    if num_reached > len(labels_N):
        return None
    truth_N = probabilities_NC[np.arange(len(labels_N)), labels_N]
    return float(np.sort(truth_N)[len(labels_N) - num_reached])


def prediction_sets(
    probabilities_NC: Floats, threshold: float, *, allow_empty: bool = False
) -> Booleans:
    """Return whether each class is in the set of each image, (N, C).

    The likeliest class is in every set unless `allow_empty`: a photo is of some class, and one
    class more only raises the coverage.
    """
    sets_NC: Booleans = probabilities_NC >= threshold
    if not allow_empty:
        sets_NC[np.arange(len(sets_NC)), probabilities_NC.argmax(axis=1)] = True
    return sets_NC
