"""Photos that belong to no class of the folder more than to any other.

In: features and labels. Out: `Outlier`s, ranked.
The score follows the relative Mahalanobis distance (J. Ren et al., "A simple fix to Mahalanobis
distance for improving near-OOD detection", 2021): how far a photo is from the nearest class against
how far it is from the middle of all photos. Ren et al. take the difference, the second distance
with the spread of all photos; here it is the logarithm of the ratio, both with the spread within
classes. The plain distance does not do, to the nearest class or to the nearest of a random sample
of photos (Sugiyama and Borgwardt 2013): photos of clutter are far from everything and plain ones (a
page of text, noise) near the middle, whatever they show. Of 20 strange pictures among 2,000 photos
it put next to none first, where the relative distance put 15 (see `EXPERIMENTS.md`).
Not covered: photos labelled wrong, which are near a class, if not near their own (see `suspects`).
The work grows linearly with the number of photos.

Shapes: N photos, F features, P principal components, C classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.suspects import principal_components

MIN_PHOTOS = 40
"""With fewer photos there is no saying what is usual."""
MAX_COMPONENTS = 512
PHOTOS_PER_COMPONENT = 4
"""On 2,000 photos 512 components found more than 256 or 128 did. With fewer photos for each the
spread within classes could not be estimated."""
SHRINKAGE = 0.3
"""Share of the mean variance in the variance of each direction within classes, so that directions
of next to no spread do not decide. Ledoit and Wolf (2004) shrink towards the mean so, by a share
that they estimate; this one is fixed, a choice."""
THRESHOLD = 1.8
"""Robust deviations over the median from which on a photo is an outlier. On photos of
eight classes it names 0.2 % of 6,899, 0.1 % of 2,000 and 0.5 % of 300, and 71 % of 20 strange
pictures put among 2,000; of scanned digits it names none."""
MAD_TO_DEVIATION = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""
TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A photo unlike its own class and all others."""

    index: int
    """Its row."""
    score: float
    """Robust deviations over the median photo, at least `THRESHOLD`."""


def find_outliers(
    features_NF: NDArray[np.float32], labels_N: NDArray[np.int64], *, seed: int = 0
) -> list[Outlier]:
    """Return the outliers, the strangest first.

    Give one photo of each group of copies: copies of an outlier are like each other, and many of
    them would pass for something usual.

    Args:
        features_NF: finite, of a frozen backbone.
        labels_N: 0 or more. A class all of whose photos are alike is never an outlier, however
            small it is.
        seed: of the principal components.

    Returns:
        Nothing where there are fewer than `MIN_PHOTOS`, or where all photos are alike.

    Raises:
        ValueError: if a feature is not finite.
    """
    scores_N = outlier_scores(features_NF, labels_N, seed=seed)
    found = np.flatnonzero(scores_N >= THRESHOLD)
    ranked = sorted(found.tolist(), key=lambda row: (-scores_N[row], row))
    return [Outlier(index=row, score=float(scores_N[row])) for row in ranked]


def outlier_scores(
    features_NF: NDArray[np.float32], labels_N: NDArray[np.int64], *, seed: int = 0
) -> NDArray[np.float64]:
    """Return how strange each photo is (N), in robust deviations over the median one.

    All are 0 where nothing can be said (see `find_outliers`).
    """
    from threadpoolctl import threadpool_limits

    if len(features_NF) < MIN_PHOTOS:
        return np.zeros(len(features_NF))
    num_components = min(MAX_COMPONENTS, len(features_NF) // PHOTOS_PER_COMPONENT)
    photos_NP = principal_components(features_NF, num_components=num_components, seed=seed)
    # One thread, as there: the last bits must not depend on how many there are.
    with threadpool_limits(limits=1):
        distances_N = relative_distances(photos_NP.astype(np.float64), labels_N)
    return _robust_deviations(distances_N)


def relative_distances(
    photos_NP: NDArray[np.float64], labels_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the logarithm of the distance to the nearest class over that to the middle (N).

    Both are Mahalanobis distances with the covariance within classes, shrunk. Near 0 a photo is
    no nearer to any class than to the middle of all; below, it belongs to one.

    Args:
        photos_NP: centred on the mean of all photos.
        labels_N: 0 or more.
    """
    names, rows_N = np.unique(labels_N, return_inverse=True)
    sums_CP = np.zeros((len(names), photos_NP.shape[1]))
    np.add.at(sums_CP, rows_N, photos_NP)
    means_CP = sums_CP / np.bincount(rows_N)[:, None]
    within_NP = photos_NP - means_CP[rows_N]
    variances_P, directions_PP = np.linalg.eigh(within_NP.T @ within_NP / len(photos_NP))
    variances_P = np.maximum(variances_P, 0.0)
    shrunk_P = (1 - SHRINKAGE) * variances_P + SHRINKAGE * variances_P.mean()
    whitening_PP = directions_PP / np.sqrt(np.maximum(shrunk_P, TINY))
    photos_NP, means_CP = photos_NP @ whitening_PP, means_CP @ whitening_PP
    to_middle_N = np.square(photos_NP).sum(axis=1)
    to_classes_NC = (
        to_middle_N[:, None] - 2 * photos_NP @ means_CP.T + np.square(means_CP).sum(axis=1)
    )
    nearest_N = np.maximum(to_classes_NC.min(axis=1), TINY)
    distances_N: NDArray[np.float64] = 0.5 * np.log(nearest_N / np.maximum(to_middle_N, TINY))
    return distances_N


def _robust_deviations(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return deviations over the median in units of the spread of the middle half."""
    over_N = values_N - np.median(values_N)
    spread = MAD_TO_DEVIATION * float(np.median(np.abs(over_N)))
    if spread < TINY:
        return np.zeros(len(values_N))
    deviations_N: NDArray[np.float64] = over_N / spread
    return deviations_N
