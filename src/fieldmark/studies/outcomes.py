"""What is measured of trials, and the table that effects are computed from.

In: trials and factors. Out: `Table`, arrays of one outcome.

Shapes: N trials, F factors.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fieldmark.studies.space import Factor
from fieldmark.studies.trials import Trial, TrialResult, finished

Outcome = Literal["val_accuracy", "val_loss", "gap"]
"""val_accuracy: share of validation photos named right, 0 to 1. val_loss: mean cross-entropy on
them, in nats. gap: accuracy on training photos, as they were seen in training, less that."""

Value = Callable[[TrialResult], float]
"""Takes a number from a trial's result; NaN where it was not measured."""

OUTCOMES: tuple[Outcome, ...] = ("val_accuracy", "val_loss", "gap")
LESS_IS_BETTER: frozenset[Outcome] = frozenset({"val_loss", "gap"})
IN_POINTS: frozenset[Outcome] = frozenset({"val_accuracy", "gap"})
"""Told in percentage points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One outcome of all trials that have it."""

    factors: tuple[Factor, ...]
    """Those of which two values or more were met, with the values that were, in their order."""
    constant: tuple[str, ...]
    """The keys of the others."""
    values_N: NDArray[np.float64]
    levels_NF: NDArray[np.int64]
    setting_N: NDArray[np.int64]
    seed_N: NDArray[np.int64]
    num_unmeasured: int
    step: float
    """What the outcome is counted in: one photo; 0 where it is not counted."""

    @property
    def num_settings(self) -> int:
        """How many different settings there are."""
        return int(self.setting_N.max()) + 1 if len(self.setting_N) else 0


def value_of(outcome: Outcome) -> Value:
    """Return what takes an outcome from a trial's result."""
    if outcome == "gap":
        return lambda result: result.train_accuracy - result.val_accuracy
    if outcome == "val_loss":
        return lambda result: result.val_loss
    return lambda result: result.val_accuracy


def step_of(trials: Sequence[Trial], *, outcome: Outcome) -> float:
    """Return what an outcome is counted in: of the accuracy one validation photo; else 0."""
    nums = [trial.result.num_validation for trial in finished(trials) if trial.result]
    return 1 / min(nums) if outcome == "val_accuracy" and nums and min(nums) > 0 else 0.0


def table_of(
    trials: Sequence[Trial], factors: Sequence[Factor], *, value: Value, step: float = 0.0
) -> Table:
    """Return a number of each finished trial that has it, finite, with the trial's settings."""
    done = [
        (trial, value(trial.result))
        for trial in finished(trials)
        if trial.result and all(trial.settings.get(one.key) in one.values for one in factors)
    ]
    kept = [(trial, number) for trial, number in done if math.isfinite(number)]
    met = [_met(factor, [trial for trial, _ in kept]) for factor in factors]
    varied = tuple(factor for factor in met if len(factor.values) > 1)
    rows = [[one.values.index(trial.settings[one.key]) for one in varied] for trial, _ in kept]
    levels_NF = np.array(rows, dtype=np.int64).reshape(len(kept), len(varied))
    return Table(
        factors=varied,
        constant=tuple(factor.key for factor in met if len(factor.values) < 2),
        values_N=np.array([number for _, number in kept], dtype=np.float64),
        levels_NF=levels_NF,
        setting_N=_setting_of(levels_NF),
        seed_N=np.array([trial.seed for trial, _ in kept], dtype=np.int64),
        num_unmeasured=len(done) - len(kept),
        step=step,
    )


def _met(factor: Factor, trials: Sequence[Trial]) -> Factor:
    """Return the factor with those of its values that trials have."""
    values = [trial.settings[factor.key] for trial in trials]
    return Factor(key=factor.key, values=tuple(one for one in factor.values if one in values))


def _setting_of(levels_NF: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the rows that differ, from 0."""
    if not levels_NF.size:
        return np.zeros(len(levels_NF), dtype=np.int64)
    _, setting_N = np.unique(levels_NF, axis=0, return_inverse=True)
    return setting_N.reshape(-1).astype(np.int64)
