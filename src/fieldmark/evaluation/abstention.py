"""When not to answer: a threshold on confidence for a stated accuracy, and what it costs.

In: the confidence of images, and whether each answer is right. Out: a threshold that holds with
95 % certainty on images like these, and the `Abstention` of a split.
Source: Y. Geifman and R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS
2017.
Not covered: which classes an uncertain image may be of (`conformal`).

Shapes: N images.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError
from fieldmark.evaluation.intervals import Estimate, wilson_interval

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

FAILURE = 0.05
"""How often a threshold may miss its accuracy, over draws of the validation images."""
MAX_POINTS = 50
"""Of a risk-coverage curve: as many as a chart of this size can show apart."""
SHARES = (1.0, 0.99, 0.98, 0.96, 0.94, 0.9, 0.85, 0.8, 0.7, 0.5)
"""Of the validation images, the surest ones, that a threshold may answer. Each one more makes all
of them harder to vouch for; less than half is hardly of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstainConfig:
    """The recipe's `[abstain]` section: when to say "I don't know"."""

    target_accuracy: float | None = None
    """Answer only where the answers given are right at least this often; None: always answer."""
    coverage: float = 0.95
    """How often the set of classes given for a photo shall hold the right one."""
    unfamiliar_rate: float = 0.01
    """The share of photos like those of training that may be called unlike them."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("target_accuracy", "coverage", "unfamiliar_rate"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise RecipeError(
                    f"abstain.{name} is {share}; allowed: a share over 0 and below 1, such as 0.99."
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What answering only above a threshold comes to."""

    threshold: float
    """The lowest confidence that is answered, 0 to 1."""
    answered: float
    """Share of images with at least that confidence: the coverage, over 0 to 1."""
    accuracy: float
    """Share of these that are named right: 1 less the risk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """What not answering comes to on a split."""

    target_accuracy: float | None = None
    """Asked for; None: nothing is withheld."""
    threshold: float | None = None
    """Less confidence than this is not answered, 0 to 1; None: every image is answered."""
    reason: str
    """Where the threshold comes from, or why there is none, in a sentence."""
    answered: Estimate | None = None
    """Share of images answered; None without a threshold. Wilson."""
    accuracy: Estimate | None = None
    """Share of right answers among those given; None without a threshold. Wilson."""
    curve: tuple[CurvePoint, ...] = ()
    """The risk-coverage curve: from the surest images to all, at most 50 points."""


def abstention_of(
    confidence_N: Floats,
    correct_N: Booleans,
    *,
    target_accuracy: float | None,
    threshold: float | None,
    reason: str,
) -> Abstention:
    """Return what a threshold, and every other one, comes to on the images of a split."""
    answered = accuracy = None
    if threshold is not None:
        kept_N = confidence_N >= threshold
        answered = wilson_interval(int(kept_N.sum()), len(kept_N))
        accuracy = wilson_interval(int(correct_N[kept_N].sum()), int(kept_N.sum()))
    return Abstention(
        target_accuracy=target_accuracy,
        threshold=threshold,
        reason=reason,
        answered=answered,
        accuracy=accuracy,
        curve=risk_coverage(confidence_N, correct_N),
    )


def risk_coverage(
    confidence_N: Floats, correct_N: Booleans, *, max_points: int = MAX_POINTS
) -> tuple[CurvePoint, ...]:
    """Return the risk-coverage curve, the surest images first.

    Images of equal confidence are answered together. Where there are more thresholds than
    `max_points`, those evenly spaced by the images they answer are kept, the last among them.
    """
    order = np.argsort(-confidence_N, kind="stable")
    sorted_N = confidence_N[order]
    right_N = np.cumsum(correct_N[order])
    ends = np.flatnonzero(np.append(sorted_N[1:] != sorted_N[:-1], True))
    if len(ends) > max_points:
        wanted = np.linspace(0, len(sorted_N) - 1, max_points + 1)[1:]
        ends = np.unique(ends[np.searchsorted(ends, wanted, side="left")])
    return tuple(
        CurvePoint(
            threshold=float(sorted_N[end]),
            answered=(end + 1) / len(sorted_N),
            accuracy=float(right_N[end] / (end + 1)),
        )
        for end in ends.tolist()
    )


def accuracy_threshold(
    confidence_N: Floats, correct_N: Booleans, *, target_accuracy: float
) -> float | None:
    """Return the confidence from which on answers are right as often as asked, with certainty.

    Each of `SHARES` of the images, the surest ones, is tried; a share is vouched for where so few
    errors among them would be met at most `FAILURE / len(SHARES)` often if answers were right less
    often than asked. That is the exact binomial bound of Clopper and Pearson (1934) with a union
    bound over the trials, as in Geifman and El-Yaniv (2017, section 3). Their binary search takes
    it that whatever is surer can be vouched for, too; of a few hundred images, the surest half are
    too few for that. Over draws of independent validation images, at least 95 % of the thresholds
    found keep their promise on other images like them.

    Args:
        confidence_N: of validation images, 0 to 1.
        correct_N: whether each is named right.
        target_accuracy: over 0 and below 1.

    Returns:
        The threshold of the largest share that can be vouched for: one of the confidences, or 0
        for all of them; None where there is none.
    """
    descending_N = -np.sort(-confidence_N)
    for share in SHARES:
        if not (rank := math.ceil(share * len(confidence_N))):
            continue
        threshold = float(descending_N[rank - 1])
        kept_N = confidence_N >= threshold
        errors = int((~correct_N[kept_N]).sum())
        chance = at_most(errors, int(kept_N.sum()), share=1 - target_accuracy)
        if chance <= FAILURE / len(SHARES):
            return threshold if share < 1 else 0.0
    return None


def at_most(successes: int, total: int, *, share: float) -> float:
    """Return the probability of at most so many successes among `total`, each with chance `share`.

    Args:
        successes: 0 to `total`.
        total: the number of independent trials.
        share: over 0 and below 1.
    """
    logs = (
        math.lgamma(total + 1)
        - math.lgamma(count + 1)
        - math.lgamma(total - count + 1)
        + count * math.log(share)
        + (total - count) * math.log1p(-share)
        for count in range(successes + 1)
    )
    return min(1.0, math.fsum(math.exp(each) for each in logs))
