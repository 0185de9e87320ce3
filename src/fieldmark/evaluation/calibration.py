"""The temperature that makes confidence believable, fitted on validation images.

In: the `Predictions` of the validation split. Out: a `Temperature`, which is 1 wherever another
would not clearly help, and why.
Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
Not covered: how well calibrated the test images are (`reliability`).

Shapes: N images, C classes, G groups of images.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation import metrics
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.reliability import calibration_error

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MIN_IMAGES = 30
"""Fewer tell too little about a temperature, and nothing about how much it varies: below this the
mean of a sample is not taken to be normal (the usual rule of thumb)."""
NUM_FOLDS = 5
"""Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning" (2009), section 7.10."""
LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures beyond are sign of a loss that has no minimum."""
RARE = 0.05
"""The usual level of a test: what confidence gives a lower probability speaks against it."""
MAX_STEPS = 60
TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """What logits are divided by, and why."""

    value: float
    """`LOWEST` to `HIGHEST`; 1 leaves them as they are."""
    reason: str
    """A sentence."""


def fit_temperature(
    predictions: Predictions, *, groups_N: Integers | None = None, seed: int = 0
) -> Temperature:
    """Return the temperature of the lowest loss, where it is sure to help, else 1.

    It is kept where the loss of images that it was not fitted on falls, on average, by more than
    one standard error (five folds; images of a group share one), and where the expected
    calibration error does not rise. Where no image is named wrong, the loss falls without end as
    the temperature does: see `flawless_temperature`.

    Args:
        predictions: of validation images; the temperature that they bear is not looked at.
        groups_N: the group of each image, as any integers; None where each stands alone.
        seed: of the folds.
    """
    raw = replace(predictions, temperature=1.0)
    num_images = raw.num_images
    if num_images < MIN_IMAGES:
        return _unchanged(_too_few(num_images))
    groups_N = np.arange(num_images) if groups_N is None else groups_N
    if (raw.predicted_N == raw.labels_N).all():
        return flawless_temperature(raw, groups_N=groups_N)
    value = best_temperature(raw.logits_NC, raw.labels_N)
    gains_N = _gains(raw, groups_N=groups_N, seed=seed)
    gain = float(gains_N.mean())
    if not gain > _standard_error(gains_N, groups_N):
        return _unchanged(
            f"On {num_images:,} validation photos a temperature of {value:.3g} would not lower the "
            "loss by more than chance"
        )
    before, after = (calibration_error(replace(raw, temperature=t)) for t in (1.0, value))
    if after > before:
        return _unchanged(
            f"A temperature of {value:.3g} would raise the calibration error of {num_images:,} "
            f"validation photos from {before:.4f} to {after:.4f}"
        )
    reason = (
        f"Fitted on {num_images:,} validation photos: on those that it was not fitted on, in turn, "
        f"it lowers the mean loss by {gain:.4f}."
    )
    return Temperature(value=value, reason=reason)


def flawless_temperature(predictions: Predictions, *, groups_N: Integers) -> Temperature:
    """Return the temperature for images of which none is named wrong.

    Confidence is taken at its word unless so many right answers would be met less than `RARE`
    often if it were true; the probability is the product over the groups of the geometric means of
    their confidence. Then it is raised so that its mean is the share of right answers that
    Laplace's rule of succession expects: (G + 1) / (G + 2) after G groups without a mistake.

    Args:
        predictions: all of them right, at temperature 1.
        groups_N: the group of each image, as any integers.
    """
    _, group_N = np.unique(groups_N, return_inverse=True)
    size_G = np.bincount(group_N)
    logs_G = np.bincount(group_N, weights=np.log(predictions.confidence_N)) / size_G
    none_wrong = f"None of {predictions.num_images:,} validation photos is named wrong"
    expected = (len(size_G) + 1) / (len(size_G) + 2)
    is_believable = logs_G.sum() >= math.log(RARE) or predictions.confidence_N.mean() >= expected
    if is_believable:
        return _unchanged(f"{none_wrong}, which its confidence leads one to expect")
    low, high = math.log(LOWEST), 0.0
    for _ in range(MAX_STEPS):
        middle = (low + high) / 2
        confidence = replace(predictions, temperature=math.exp(middle)).confidence_N.mean()
        low, high = (middle, high) if confidence >= expected else (low, middle)
    reason = (
        f"{none_wrong}, which is more than its confidence leads one to expect; so that is raised "
        f"to {100 * expected:.2f} % on average, which is what as many right answers speak for."
    )
    return Temperature(value=math.exp(low), reason=reason)


def best_temperature(logits_NC: NDArray[np.floating], labels_N: Integers) -> float:
    """Return the temperature of the lowest mean negative log-likelihood, `LOWEST` to `HIGHEST`.

    The loss is convex in 1 / temperature: Newton's method, kept within a bracket that shrinks.
    """
    wide_NC = logits_NC.astype(np.float64)
    low, high, factor = 1 / HIGHEST, 1 / LOWEST, 1.0
    for _ in range(MAX_STEPS):
        slope, curvature = _derivatives(wide_NC, labels_N, factor)
        if slope == 0:
            break
        low, high = (low, factor) if slope > 0 else (factor, high)
        newton = factor - slope / curvature if curvature > 0 else math.inf
        following = newton if low < newton < high else math.sqrt(low * high)
        if abs(following - factor) <= TOLERANCE * factor:
            factor = following
            break
        factor = following
    return 1 / factor


def _derivatives(logits_NC: Floats, labels_N: Integers, factor: float) -> tuple[float, float]:
    """Return slope and curvature of the mean loss of `factor * logits`, by `factor`."""
    probabilities_NC = metrics.softmax(factor * logits_NC)
    mean_N = (probabilities_NC * logits_NC).sum(axis=1)
    spread_N = (probabilities_NC * (logits_NC - mean_N[:, None]) ** 2).sum(axis=1)
    slope = float((mean_N - logits_NC[np.arange(len(labels_N)), labels_N]).mean())
    return slope, float(spread_N.mean())


def _gains(predictions: Predictions, *, groups_N: Integers, seed: int) -> Floats:
    """Return how much each image's loss falls by the temperature fitted on the other folds."""
    _, group_N = np.unique(groups_N, return_inverse=True)
    num_groups = int(group_N.max()) + 1
    fold_G = np.random.default_rng(seed).permutation(num_groups) % NUM_FOLDS
    fold_N = fold_G[group_N]
    logits_NC, labels_N = predictions.logits_NC.astype(np.float64), predictions.labels_N
    gains_N = np.zeros(predictions.num_images)
    for fold in range(min(NUM_FOLDS, num_groups)):
        judged_N = fold_N == fold
        if judged_N.all():  # a single group: nothing is left to fit on
            return gains_N
        value = best_temperature(logits_NC[~judged_N], labels_N[~judged_N])
        before, after = (
            metrics.negative_log_likelihood(logits_NC[judged_N] / each, labels_N[judged_N])
            for each in (1.0, value)
        )
        gains_N[judged_N] = before - after
    return gains_N


def _standard_error(values_N: Floats, groups_N: Integers) -> float:
    """Return the standard error of a mean whose values come in groups; infinite for one group.

    A mean over clusters as a ratio: Cochran, "Sampling Techniques" (1977), section 9A.
    """
    _, group_N = np.unique(groups_N, return_inverse=True)
    off_G = np.bincount(group_N, weights=values_N - values_N.mean())
    if len(off_G) < 2:
        return math.inf
    return math.sqrt(len(off_G) / (len(off_G) - 1) * float((off_G**2).sum())) / len(values_N)


def _too_few(num_images: int) -> str:
    if not num_images:
        return "There are no validation photos to calibrate on"
    return f"{num_images} of {MIN_IMAGES} validation photos that calibrating takes are there"


def _unchanged(why: str) -> Temperature:
    return Temperature(value=1.0, reason=f"{why}, so confidence is as the network gives it.")
