"""What a classifier says of an image: how sure it is, whether it answers, which classes it may be.

In: the predictions of a run. Out: a `DecisionRule`, fitted on validation images; it belongs to the
classifier and is saved with it.
Not covered: what the rule comes to on test images (`evaluation`), and fitting the score for
unfamiliar images, which takes features (`training.unfamiliar`).

Shapes: N images, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fieldmark.evaluation.abstention import FAILURE, AbstainConfig, accuracy_threshold
from fieldmark.evaluation.calibration import fit_temperature
from fieldmark.evaluation.conformal import images_needed, set_threshold
from fieldmark.evaluation.intervals import group_indices
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import UnfamiliarRule

VALIDATION = "validation"
NOTHING_FITTED = "Nothing was fitted."


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRule:
    """How logits become an answer; without arguments: a plain softmax that always answers.

    Raises:
        ValueError: a number is out of its range.
    """

    temperature: float = 1.0
    """What logits are divided by, over 0."""
    temperature_reason: str = NOTHING_FITTED
    target_accuracy: float | None = None
    """How often the answers given shall be right; None: always answer."""
    abstain_below: float | None = None
    """Where the likeliest class has a lower probability than this, there is no answer."""
    abstain_reason: str = NOTHING_FITTED
    coverage: float | None = None
    """How often the set of classes shall hold the right one."""
    set_threshold: float | None = None
    """The probability from which on a class is in the set; None: no sets."""
    set_reason: str = NOTHING_FITTED
    unfamiliar: UnfamiliarRule | None = None
    """When an image is called unlike anything it was trained on; None: it is never said."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature must be over 0, met {self.temperature}")
        for name in ("target_accuracy", "abstain_below", "coverage", "set_threshold"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, met {share}")


def fit_decision(
    predictions: Predictions,
    *,
    config: AbstainConfig,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
) -> DecisionRule:
    """Fit the temperature on the validation images, then both thresholds at that temperature.

    Args:
        predictions: of a run; only those of the validation split are looked at. Without any,
            nothing is fitted, and the reasons say so.
        config: what is asked for.
        groups: the group of each path, as `intervals.group_indices` takes them.
        seed: of the folds that judge the temperature.
    """
    held = predictions.take(predictions.splits == VALIDATION)
    fitted = fit_temperature(held, groups_N=group_indices(held.paths, groups), seed=seed)
    calibrated = replace(held, temperature=fitted.value)
    abstain_below, abstain_reason = _abstention(calibrated, config.target_accuracy)
    threshold, set_reason = _sets(calibrated, config.coverage)
    return DecisionRule(
        temperature=fitted.value,
        temperature_reason=fitted.reason,
        target_accuracy=config.target_accuracy,
        abstain_below=abstain_below,
        abstain_reason=abstain_reason,
        coverage=config.coverage if threshold is not None else None,
        set_threshold=threshold,
        set_reason=set_reason,
    )


def _abstention(held: Predictions, target: float | None) -> tuple[float | None, str]:
    if target is None:
        return None, "No accuracy was asked for (abstain.target_accuracy), so all are answered."
    if not held.num_images:
        return None, "There are no validation photos to find a threshold on, so all are answered."
    correct_N = held.labels_N == held.predicted_N
    found = accuracy_threshold(held.confidence_N, correct_N, target_accuracy=target)
    photos = f"{held.num_images:,} validation photos"
    if found is None:
        return None, f"On {photos} no threshold can vouch for {target:.4g}, so all are answered."
    return found, (
        f"Found on {photos}: answers from this confidence on are right with a share of at least "
        f"{target:.4g}, with {100 * (1 - FAILURE):.0f} % certainty."
    )


def _sets(held: Predictions, coverage: float) -> tuple[float | None, str]:
    if not held.num_images:
        return None, "There are no validation photos to find sets of classes on."
    found = set_threshold(held.probabilities_NC, held.labels_N, coverage=coverage)
    if found is None:
        return None, (
            f"{held.num_images:,} of {images_needed(coverage):,} validation photos that sets "
            f"of coverage {coverage:.4g} take are there."
        )
    return found, f"Found on {held.num_images:,} validation photos."
