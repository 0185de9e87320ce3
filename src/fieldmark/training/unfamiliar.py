"""Which score tells photos unlike those of training, and from where on a photo is called so.

In: the predictions of a run, and the features that they came from. Out: `FittedScore`.
The distance is taken, unless the energy recognises clearly more of the photos of classes that were
left out in turn (`left_out`). The threshold comes from the validation photos, which nothing was
fitted on.
What is left out is left out of all that is fitted here, but not of the network: where that was
trained on these photos it knows the class, and the figures flatter.
Not covered: the scores themselves (`evaluation.unfamiliar`, `evaluation.familiar_space`).

Shapes: N photos, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.familiar_space import FamiliarSpace, fit_reduction, most_components
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import (
    DISTANCE,
    ENERGY,
    LeftOutClass,
    UnfamiliarRule,
    images_needed,
    rate_threshold,
    unfamiliarity,
)
from fieldmark.training.left_out import MIN_CLASSES, Side, leave_out

Floats = NDArray[np.float64]

MIN_PHOTOS = 40
"""With fewer photos to learn from, next to nothing is known of the spread within classes."""
MIN_HELD = 10
"""Validation photos needed to hold the left-out ones against."""
MAX_FEATURES, MIN_COMPONENTS = 8192, 16
"""Unpooled features, of which there may be a hundred thousand, are left alone."""
CLEARLY = 2.0
"""Standard errors, over the classes, by which the energy must recognise more. The distance goes
first since the energy takes noise for something known (see `EXPERIMENTS.md`)."""
NOT_YET = "Not found yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedScore:
    """The rule, what the distance needs, and the score of each photo."""

    rule: UnfamiliarRule
    space: FamiliarSpace | None
    """None where the rule goes by the energy."""
    scores_N: Floats
    """In the order of the predictions."""


def fit_unfamiliar(
    predictions: Predictions,
    features_NF: NDArray[np.float32] | None,
    *,
    rate: float,
    seed: int = 0,
) -> FittedScore:
    """Choose the score, fit what it needs on training photos, its threshold on validation photos.

    Args:
        predictions: of a run. Validation logits are of a head that has not seen these photos.
        features_NF: of the same photos in the same order; None: they are not at hand, and the
            energy is taken.
        rate: the share of familiar photos that may be called unfamiliar, over 0 and below 1.
        seed: of the photos that are drawn.
    """
    from threadpoolctl import threadpool_limits

    # How a product is divided among threads decides its last bits, and so would their number.
    with threadpool_limits(limits=1):
        space, left_out, why = _judge(predictions, features_NF, rate=rate, seed=seed)
        rule = UnfamiliarRule(
            score=ENERGY if space is None else DISTANCE,
            score_reason=why,
            rate=rate,
            reason=NOT_YET,
            left_out=left_out,
        )
        scores_N = unfamiliarity(
            rule, space, features_NF=features_NF, logits_NC=predictions.logits_NC
        )
    threshold, reason = _threshold(scores_N[predictions.splits == "validation"], rate=rate)
    return FittedScore(
        rule=replace(rule, threshold=threshold, reason=reason), space=space, scores_N=scores_N
    )


def _judge(
    predictions: Predictions, features_NF: NDArray[np.float32] | None, *, rate: float, seed: int
) -> tuple[FamiliarSpace | None, tuple[LeftOutClass, ...], str]:
    """Return the space of the distance, how both scores did, and why the score was taken.

    The space is None where the energy is taken.
    """
    train_N, held_N = predictions.splits == "train", predictions.splits == "validation"
    if why := _obstacle(features_NF, num_train=int(train_N.sum())):
        return None, (), f"{why}, so the energy of the logits is taken."
    assert features_NF is not None
    generator = np.random.default_rng(seed)
    reduction = fit_reduction(features_NF[train_N], generator=generator)
    train, held = (
        Side.of(features_NF[chosen_N], predictions.labels_N[chosen_N], reduction)
        for chosen_N in (train_N, held_N)
    )
    left_out: tuple[LeftOutClass, ...] = ()
    if why := _unjudged(num_classes=len(predictions.classes), num_held=int(held_N.sum())):
        why = f"{why}, so the distance to the classes is taken."
    else:
        left_out = leave_out(train, held, predictions.classes, rate=rate, generator=generator)
        why = _in_words(left_out)
    is_energy = is_clearly_better(left_out)
    return None if is_energy else train.space().on_features(reduction), left_out, why


def is_clearly_better(left_out: Sequence[LeftOutClass]) -> bool:
    """Return whether the energy recognises clearly more of the left-out classes' photos."""
    more_C = np.array([one.energy.caught - one.distance.caught for one in left_out])
    if len(more_C) < MIN_CLASSES:
        return False
    return bool(more_C.mean() > CLEARLY * more_C.std(ddof=1) / np.sqrt(len(more_C)))


def _obstacle(features_NF: NDArray[np.float32] | None, *, num_train: int) -> str:
    """Say why there can be no distance; nothing where there can."""
    if features_NF is None:
        return "The features of the photos were not kept"
    num_features = features_NF.shape[1]
    if num_features > MAX_FEATURES or most_components(num_features) < MIN_COMPONENTS:
        return f"{num_features:,} features are too many for a distance"
    if num_train < MIN_PHOTOS:
        return f"{num_train:,} photos to learn from are too few for a distance"
    if not np.isfinite(features_NF).all():
        return "Some features are not finite"
    return ""


def _unjudged(*, num_classes: int, num_held: int) -> str:
    """Say why no class can be left out; nothing where one can."""
    if num_classes < MIN_CLASSES:
        return "With two classes none can be left out to compare it with the energy of the logits"
    if num_held < MIN_HELD:
        return f"{num_held:,} validation photos are too few to leave out classes"
    return ""


def _in_words(left_out: Sequence[LeftOutClass]) -> str:
    """Say how both scores did, and which was taken."""
    if not left_out:
        return "No class could be left out, so the distance to the classes is taken."
    told = {
        score: (
            f"{100 * np.mean([getattr(one, score).caught for one in left_out]):.1f}\u00a0% (mean "
            f"AUROC {np.mean([getattr(one, score).auroc for one in left_out]):.3f})"
        )
        for score in (DISTANCE, ENERGY)
    }
    verdict = (
        "The energy is clearly better, so it is taken."
        if is_clearly_better(left_out)
        else "The energy is not clearly better, so the distance is taken."
    )
    return (
        f"{len(left_out):,} classes were left out in turn: of their photos the distance to the "
        f"other classes recognises {told[DISTANCE]}, the energy of the logits {told[ENERGY]}. "
        f"{verdict}"
    )


def _threshold(held_N: Floats, *, rate: float) -> tuple[float | None, str]:
    if not len(held_N):
        return None, "There are no validation photos to find a threshold on."
    found, needed = rate_threshold(held_N, rate=rate), images_needed(rate)
    if found is None:
        return None, (
            f"{len(held_N):,} of {needed:,} validation photos that it takes to keep to a share of "
            f"{rate:.4g} are there, so no photo is called unfamiliar; a larger "
            "abstain.unfamiliar_rate takes fewer."
        )
    return found, (
        f"Found on {len(held_N):,} validation photos, of which a share of at most {rate:.4g} "
        "lies above it."
    )
