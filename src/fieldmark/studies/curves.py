"""Learning curves by the value of a factor, and what more epochs bring.

In: trials with their curves. Out: `ValueCurve`s, and `EpochStep`s with 95 % intervals.
Not covered: drawing them (`fieldmark.report.study_charts`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldmark.studies.effects import mean_of
from fieldmark.studies.estimates import Contrast
from fieldmark.studies.space import Factor
from fieldmark.studies.trials import Trial, TrialResult, finished

Measure = Literal["val_accuracy", "val_loss", "train_accuracy", "train_loss"]

NUM_STEPS = 4
"""Stretches that training is divided into, to see where it still gained: quarters."""
MIN_EPOCHS = 4
"""Shorter trainings are not divided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCurve:
    """One measure over the epochs: the mean of all trials with a value, and its band over seeds."""

    value: Any
    num_trials: int
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    """NaN where no trial measured it."""
    low: tuple[float, ...]
    """The lowest of the means of each seed; with one seed the mean itself."""
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStep:
    """What the epochs from one to another changed, on average over all settings."""

    first: int
    last: int
    val_accuracy: Contrast
    log_val_loss: Contrast
    """Of the natural logarithm of the loss: a change by so many times, which a few trials whose
    loss has run away do not decide."""


def value_curves(
    trials: Sequence[Trial], factor: Factor, *, measure: Measure
) -> tuple[ValueCurve, ...]:
    """Return a curve for each value of a factor of which a trial finished.

    A trial that ended before others of its value counts on with its last epoch. Where seeds are
    missing for some settings, those settings are left out of the bands and means, since a mean over
    other settings for each seed would show their difference as chance; unless none is complete.
    """
    curves = []
    for value in factor.values:
        of_value = [
            trial
            for trial in finished(trials)
            if trial.settings.get(factor.key) == value and trial.result and trial.result.curve
        ]
        if of_value:
            curves.append(_curve(value, _complete(of_value), measure=measure))
    return tuple(curves)


def epoch_steps(trials: Sequence[Trial], factors: Sequence[Factor]) -> tuple[EpochStep, ...]:
    """Return what each quarter of the epochs changed; nothing where trainings are short.

    The epochs are those of the longest training; a trial that ended before counts on with its last.
    """
    longest = max((_length(trial) for trial in finished(trials)), default=0)
    if longest < MIN_EPOCHS:
        return ()
    ends = [math.ceil(longest * part / NUM_STEPS) for part in range(NUM_STEPS + 1)]
    ends[0] = 1
    steps = []
    for first, last in pairwise(ends):
        accuracy, loss = (
            mean_of(trials, factors, value=_Change(measure=measure, first=first, last=last))
            for measure in ("val_accuracy", "val_loss")
        )
        if accuracy is not None and loss is not None:
            step = EpochStep(first=first, last=last, val_accuracy=accuracy, log_val_loss=loss)
            steps.append(step)
    return tuple(steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """How much a measure changed from one epoch to another; of a loss, by its logarithm."""

    measure: str
    first: int
    last: int

    def __call__(self, result: TrialResult) -> float:
        before, after = (_at(result, epoch, self.measure) for epoch in (self.first, self.last))
        if self.measure != "val_loss":
            return after - before
        return math.log(after / before) if before > 0 and after > 0 else math.nan


def _at(result: TrialResult, epoch: int, measure: str) -> float:
    """Return a measure after an epoch, or after the last one before it."""
    reached = [point for point in result.curve if point.epoch <= epoch]
    return float(getattr(reached[-1], measure)) if reached else math.nan


def _length(trial: Trial) -> int:
    curve = trial.result.curve if trial.result else ()
    return max((point.epoch for point in curve), default=0)


def _complete(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of settings that have all seeds; all where there is no such setting."""
    seeds = {trial.seed for trial in trials}
    by_setting: dict[str, set[int]] = {}
    for trial in trials:
        by_setting.setdefault(_name(trial.settings), set()).add(trial.seed)
    kept = [trial for trial in trials if by_setting[_name(trial.settings)] == seeds]
    return kept or list(trials)


def _name(settings: Mapping[str, Any]) -> str:
    return repr(sorted(settings.items()))


def _curve(value: Any, trials: Sequence[Trial], *, measure: Measure) -> ValueCurve:
    last = max(map(_length, trials))
    epochs = tuple(range(1, last + 1))
    values_NE = np.array(
        [
            [_at(trial.result, epoch, measure) for epoch in epochs]
            for trial in trials
            if trial.result is not None
        ]
    )
    seeds_N = np.array([trial.seed for trial in trials])
    by_seed_SE = np.array([_mean(values_NE[seeds_N == seed]) for seed in np.unique(seeds_N)])
    return ValueCurve(
        value=value,
        num_trials=len(trials),
        epochs=epochs,
        mean=tuple(_mean(values_NE).tolist()),
        low=tuple(by_seed_SE.min(axis=0).tolist()),
        high=tuple(by_seed_SE.max(axis=0).tolist()),
    )


def _mean(values_NE: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the finite values of each column; NaN where there are none."""
    is_known = np.isfinite(values_NE)
    total_E = np.where(is_known, values_NE, 0.0).sum(axis=0)
    num_E = is_known.sum(axis=0)
    return np.where(num_E > 0, total_E / np.maximum(num_E, 1), np.nan)
