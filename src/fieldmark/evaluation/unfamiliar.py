"""A score for photos unlike anything that a classifier was trained on, and when to say so.

In: the scores of images, larger for stranger ones. Out: an `UnfamiliarRule`, and the `Unfamiliar`
of a split.
Two scores are known. "distance": how far the features lie from the classes (`familiar_space`).
"energy": the negative logarithm of the summed exponentials of the logits, by W. Liu et al.,
"Energy-based out-of-distribution detection", NeurIPS 2020.
Not covered: which of them does better (`training.unfamiliar`).

Shapes: N images, F features, C classes.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.conformal import ROUNDING
from fieldmark.evaluation.familiar_space import FamiliarSpace
from fieldmark.evaluation.intervals import Estimate, wilson_interval

Floats = NDArray[np.float64]

DISTANCE, ENERGY = "distance", "energy"
SCORES = (DISTANCE, ENERGY)
UNLIKE = "unlike anything it was trained on"
"""What is said of an unfamiliar photo, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How well a score tells the images of a class from those of other classes."""

    auroc: float
    """How often an image of the class has a higher score than one of the others, 0 to 1; 0.5 is
    chance."""
    caught: float
    """Share of its images above the threshold that keeps to the rule's rate, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutClass:
    """How well both scores tell a class that was left out from the others."""

    name: str
    num_images: int
    """Of the class, that were scored."""
    distance: Separation
    energy: Separation


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfamiliarRule:
    """Which score says how unfamiliar an image is, and from where on it is said.

    Raises:
        ValueError: there is no such score, or a share is out of its range.
    """

    score: str
    """One of `SCORES`."""
    score_reason: str
    """Why this one, in a sentence."""
    rate: float
    """Asked for: the share of familiar images that may be called unfamiliar, over 0 and below 1."""
    threshold: float | None = None
    """An image with a higher score is called unfamiliar; None: none is."""
    reason: str
    """Where the threshold comes from, or why there is none, in a sentence."""
    left_out: tuple[LeftOutClass, ...] = ()
    """The classes that were left out in turn to choose the score; none where that was not done."""

    def __post_init__(self) -> None:
        """Check values."""
        if self.score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(SCORES)}, met {self.score!r}")
        if not 0 < self.rate < 1:
            raise ValueError(f"rate must lie between 0 and 1, met {self.rate}")

    def is_unfamiliar(self, score: float) -> bool | None:
        """Return whether an image with this score is called unfamiliar; None without a threshold.

        A score that is no number is of an image that the network cannot make sense of.
        """
        return None if self.threshold is None else not score <= self.threshold

    def of_score(self, left_out: LeftOutClass) -> Separation:
        """Return how well the rule's own score does on a class."""
        return left_out.distance if self.score == DISTANCE else left_out.energy


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfamiliar:
    """The rule, and what it comes to on a split."""

    rule: UnfamiliarRule
    called: Estimate | None = None
    """The share of images called unfamiliar; None without a threshold or without scores. Wilson."""


def energy(logits_NC: NDArray[np.floating]) -> Floats:
    """Return -log(sum(exp(logits))) of each image, (N,), in nats: low where the network is moved.

    Logits are taken as the network gives them, without a temperature.
    """
    exact_NC = logits_NC.astype(np.float64)
    highest_N1 = exact_NC.max(axis=1, keepdims=True)
    sums_N = np.exp(exact_NC - highest_N1).sum(axis=1)
    energies_N: Floats = -(highest_N1[:, 0] + np.log(sums_N))
    return energies_N


def unfamiliarity(
    rule: UnfamiliarRule,
    space: FamiliarSpace | None,
    *,
    features_NF: NDArray[np.floating] | None,
    logits_NC: NDArray[np.floating],
) -> Floats:
    """Return the score of each image by the rule, (N,); a higher one is stranger.

    Args:
        rule: says which score.
        space: of the classifier; needed for the distance.
        features_NF: of its network; needed for the distance.
        logits_NC: as the network gives them.

    Raises:
        ValueError: the rule goes by the distance, and `space` or `features_NF` is None.
    """
    if rule.score == ENERGY:
        return energy(logits_NC)
    if space is None or features_NF is None:
        raise ValueError("the distance needs a familiar space, and features")
    return space.distances(features_NF)


def images_needed(rate: float) -> int:
    """Return how many validation images a share takes at least, such as 99 for 0.01."""
    return math.ceil((1 - rate) / rate - ROUNDING)


def rate_threshold(scores_N: Floats, *, rate: float) -> float | None:
    """Return the score that at most the stated share of images like these lie above.

    Of N images, the score that ceil((N + 1) * (1 - rate)) of them do not exceed: the quantile of
    split conformal prediction (Vovk, Gammerman and Shafer 2005). It holds on average over draws of
    these images and of others, where all of them are exchangeable.

    Args:
        scores_N: of images that the score was not fitted on.
        rate: over 0 and below 1.

    Returns:
        One of the scores; None where there are fewer images than `images_needed`.
    """
    rank = math.ceil((len(scores_N) + 1) * (1 - rate) - ROUNDING)
    return None if rank > len(scores_N) else float(np.sort(scores_N)[rank - 1])


def separation(familiar_N: Floats, strange_M: Floats, *, rate: float) -> Separation:
    """Return how well a score tells strange images from familiar ones.

    With fewer familiar images than `images_needed` the threshold is the highest of their scores.

    Raises:
        ValueError: there are none of one kind.
    """
    area = auroc(familiar_N, strange_M)
    threshold = rate_threshold(familiar_N, rate=max(rate, 1 / (len(familiar_N) + 1)))
    assert threshold is not None
    return Separation(auroc=area, caught=float((strange_M > threshold).mean()))


def unfamiliar_of(scores_N: Floats | None, *, rule: UnfamiliarRule | None) -> Unfamiliar | None:
    """Return what a rule comes to on the images of a split; None without a rule.

    Args:
        scores_N: of the images; None: they have none.
        rule: of the classifier.
    """
    if rule is None:
        return None
    if scores_N is None or rule.threshold is None:
        return Unfamiliar(rule=rule)
    called = int((~(scores_N <= rule.threshold)).sum())
    return Unfamiliar(rule=rule, called=wilson_interval(called, len(scores_N)))


def auroc(low_N: Floats, high_M: Floats) -> float:
    """Return how often one of `high_M` is over one of `low_N`, ties counting half: 0 to 1.

    The area under the receiver operating characteristic, as Mann and Whitney's U (1947).

    Raises:
        ValueError: there are none of one kind.
    """
    if not len(low_N) or not len(high_M):
        raise ValueError("an AUROC needs scores of both kinds")
    sorted_N = np.sort(low_N)
    below_M = np.searchsorted(sorted_N, high_M, side="left")
    up_to_M = np.searchsorted(sorted_N, high_M, side="right")
    return float((below_M + up_to_M).mean() / (2 * len(low_N)))
