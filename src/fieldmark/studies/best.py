"""The best settings of a study.

In: trials. Out: `Best`, chosen by validation photos alone.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fieldmark.base.counting import counted
from fieldmark.studies.record import Best
from fieldmark.studies.trials import SETTLED, Trial, finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Settings, and the means over their finished trials."""

    settings: Mapping[str, Any]
    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    num_lost: int
    """Trials that failed, were stopped early, or came to no accuracy."""

    @property
    def accuracy(self) -> float:
        """Mean accuracy on validation photos."""
        return float(np.mean(self.accuracies))

    @property
    def loss(self) -> float:
        """Mean loss on them."""
        return float(np.mean(self.losses))


def choose_best(trials: Sequence[Trial]) -> Best | None:
    """Return the settings of the highest mean validation accuracy, of equal ones the lowest loss.

    Only settings of which the fewest trials were lost are considered: the mean of the seeds that
    went well says nothing of those that did not. Where others are within the noise of it, the
    reason says how many: their difference to the best is below its standard error, by the spread of
    trials with the same settings.

    Returns:
        The best; None where no trial has finished with an accuracy.
    """
    tried = tried_settings(trials)
    if not tried:
        return None
    best, considered = best_of(tried), candidates(tried)
    close = num_close(best, considered)
    num = counted(len(considered), "setting")
    reason = f"The highest mean accuracy on validation photos of {num}"
    if any(one is not best and one.accuracy == best.accuracy for one in considered):
        reason += ", and of those that share it the lowest loss"
    if close:
        verb = "is" if close == 1 else "are"
        reason += f"; {counted(close, 'other')} {verb} within the noise of it"
    settled = {_name(trial) for trial in trials if trial.status in SETTLED}
    if left_out := len(settled) - len(considered):
        verb = "was" if left_out == 1 else "were"
        reason += f"; {left_out:,} more, of which more trials failed or were stopped early, {verb} "
        reason += "not considered"
    return Best(
        settings=best.settings,
        num_trials=len(best.accuracies),
        val_accuracy=best.accuracy,
        val_loss=best.loss,
        reason=f"{reason}.",
    )


def tried_settings(trials: Sequence[Trial]) -> list[Tried]:
    """Return the settings of which trials have finished, in the order in which they were tried."""
    settled = Counter(_name(trial) for trial in trials if trial.status in SETTLED)
    met: dict[str, list[Trial]] = {}
    for trial in finished(trials):
        if trial.result is not None and math.isfinite(trial.result.val_accuracy):
            met.setdefault(_name(trial), []).append(trial)
    return [
        Tried(
            settings=same[0].settings,
            accuracies=tuple(trial.result.val_accuracy for trial in same if trial.result),
            losses=tuple(trial.result.val_loss for trial in same if trial.result),
            num_lost=settled[name] - len(same),
        )
        for name, same in met.items()
    ]


def candidates(tried: Sequence[Tried]) -> list[Tried]:
    """Return the settings of which the fewest trials were lost.

    Once all trials have ended, those are the settings of which most have finished; before, settings
    whose next seeds still wait are not left out.
    """
    fewest = min((one.num_lost for one in tried), default=0)
    return [one for one in tried if one.num_lost == fewest]


def best_of(tried: Sequence[Tried]) -> Tried:
    """Return the candidate of the highest mean accuracy, of equal ones the lowest loss."""
    return max(candidates(tried), key=lambda one: (one.accuracy, -_or_infinite(one.loss)))


def num_close(best: Tried, tried: Sequence[Tried]) -> int:
    """Return how many others are less than one standard error of the difference below the best.

    The variance of single trials is pooled over all settings (Montgomery 2012, section 3.3); where
    no settings were tried twice, nothing is known of the noise, and none counts as close.
    """
    squares = sum(float(np.var(one.accuracies)) * len(one.accuracies) for one in tried)
    freedom = sum(len(one.accuracies) - 1 for one in tried)
    if freedom < 1:
        return 0
    variance = squares / freedom
    return sum(
        best.accuracy - one.accuracy
        < math.sqrt(variance * (1 / len(best.accuracies) + 1 / len(one.accuracies)))
        for one in tried
        if one is not best
    )


def _name(trial: Trial) -> str:
    """Return what is the same for trials of the same settings."""
    return repr(sorted(trial.settings.items()))


def _or_infinite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf
