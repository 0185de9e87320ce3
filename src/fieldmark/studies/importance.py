"""How much each range of a search matters: shares of the variance, read from a forest of trees.

In: finished trials of a search, and what was searched. Out: `Importances`.
Not covered: effects with intervals, which need a design (`effects`); a search goes where it is
good, so its trials are no fair sample, and the forest fills in what they do not show.

A random forest is fitted to the trials; then the share of its variance over the whole space is
taken apart (functional analysis of variance; F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient
approach for assessing hyperparameter importance", ICML 2014). The shares are estimated from drawn
points with one coordinate exchanged (A. Saltelli et al., "Variance based sensitivity analysis of
model output", Computer Physics Communications 181 (2010), 259-270, table 2: b and f), the intervals
from trials drawn again.

Shapes: N trials, D dimensions, M drawn points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.intervals import QUANTILES_95, Estimate
from fieldmark.studies.outcomes import Outcome, value_of
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.trials import Trial

MIN_TRIALS = 10
"""With fewer there is nothing that a forest could learn."""
NUM_POINTS = 1024
NUM_FORESTS, NUM_TREES = 20, 24
"""Forests for the intervals, each on trials drawn again, and the trees of each."""
MIN_EXPLAINED = 0.3
"""Below this share of the variance the forest does not foresee trials that it has not seen, and its
shares are not to be believed."""
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What one field is worth; shares of the variance over the space searched, 0 to 1."""

    key: str
    alone: Estimate
    """By itself."""
    total: Estimate
    """With all that depends on its being together with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importances:
    """What all fields are worth."""

    outcome: Outcome
    num_trials: int
    fields: tuple[Importance, ...]
    """The most important first."""
    explained: float
    """The share of the variance among trials that a forest foresees which has not seen them;
    below 0 where it is worse than their mean."""

    @property
    def is_credible(self) -> bool:
        """Whether the forest foresees enough."""
        return self.explained >= MIN_EXPLAINED


def importance(
    trials: Sequence[Trial],
    dimensions: Sequence[Factor | Range],
    *,
    outcome: Outcome = "val_accuracy",
) -> Importances | None:
    """Return how much each dimension of a search matters for an outcome.

    Args:
        trials: of any status; finished ones count, and pruned ones with what they had reached,
            since without them the forest would never see what is bad.
        dimensions: what was searched.
        outcome: see `outcomes`.

    Returns:
        The importances, or None where fewer than `MIN_TRIALS` trials have a finite outcome, or all
        have the same.
    """
    points_ND, values_N = _data(trials, dimensions, outcome=outcome)
    if len(values_N) < MIN_TRIALS or np.ptp(values_N) == 0:
        return None
    generator = np.random.default_rng(SEED)
    explained = _explained(points_ND, values_N)
    drawn = []
    for _ in range(NUM_FORESTS):
        chosen_N = generator.integers(len(values_N), size=len(values_N))
        drawn.append(_shares(points_ND[chosen_N], values_N[chosen_N], dimensions, generator))
    shares_B2D = np.array(drawn)
    fields = [
        Importance(
            key=dimension.key,
            alone=_estimate(shares_B2D[:, 0, place]),
            total=_estimate(shares_B2D[:, 1, place]),
        )
        for place, dimension in enumerate(dimensions)
    ]
    return Importances(
        outcome=outcome,
        num_trials=len(values_N),
        fields=tuple(sorted(fields, key=lambda field: -field.total.value)),
        explained=explained,
    )


def _data(
    trials: Sequence[Trial], dimensions: Sequence[Factor | Range], *, outcome: Outcome
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places of trials within the space (N, D) and their outcomes (N,)."""
    take = value_of(outcome)
    rows, values = [], []
    for trial in trials:
        if trial.result is None or any(one.key not in trial.settings for one in dimensions):
            continue
        value = take(trial.result)
        if math.isfinite(value):
            rows.append([place_of(trial.settings[one.key], one) for one in dimensions])
            values.append(value)
    points_ND = np.array(rows, dtype=np.float64).reshape(len(rows), len(dimensions))
    return points_ND, np.array(values, dtype=np.float64)


def place_of(value: Any, dimension: Factor | Range) -> float:
    """Return where a value lies: 0 to 1 within a range, the number of a factor's value."""
    if isinstance(dimension, Factor):
        return float(dimension.values.index(value))
    low, high, at = dimension.low, dimension.high, float(value)
    if dimension.is_log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)


def _drawn(
    num: int, dimensions: Sequence[Factor | Range], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return points drawn evenly from the space (M, D)."""
    columns = [
        generator.integers(len(one.values), size=num).astype(np.float64)
        if isinstance(one, Factor)
        else generator.random(num)
        for one in dimensions
    ]
    return np.stack(columns, axis=1)


def _shares(
    points_ND: NDArray[np.float64],
    values_N: NDArray[np.float64],
    dimensions: Sequence[Factor | Range],
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the share of each dimension alone and in total (2, D)."""
    forest = _forest().fit(points_ND, values_N)
    first_MD, second_MD = (_drawn(NUM_POINTS, dimensions, generator) for _ in range(2))
    at_first_M, at_second_M = forest.predict(first_MD), forest.predict(second_MD)
    both = np.concatenate([at_first_M, at_second_M])
    variance, mean = float(np.var(both)), float(np.mean(both))
    shares = []
    for place in range(len(dimensions)):
        mixed_MD = first_MD.copy()
        mixed_MD[:, place] = second_MD[:, place]
        at_mixed_M = forest.predict(mixed_MD)
        alone = float(np.mean((at_second_M - mean) * (at_mixed_M - at_first_M)))
        total = float(np.mean((at_first_M - at_mixed_M) ** 2)) / 2
        shares.append((alone, total))
    return np.clip(np.array(shares).T / variance if variance else np.zeros((2, len(shares))), 0, 1)


def _explained(points_ND: NDArray[np.float64], values_N: NDArray[np.float64]) -> float:
    """Return the share of the variance foreseen out of the bag, by trees that did not see it."""
    forest = _forest(num_trees=NUM_TREES * 5, oob_score=True).fit(points_ND, values_N)
    return float(forest.oob_score_)


def _forest(*, num_trees: int = NUM_TREES, **options: Any) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(num_trees, min_samples_leaf=2, random_state=SEED, **options)


def _estimate(values_B: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(values_B, QUANTILES_95).tolist()
    value = float(np.mean(values_B))
    return Estimate(value=value, low=min(low, value), high=max(high, value))
