"""What each factor of a study does to an outcome, and how two of them act together.

In: finished trials and the factors that were varied. Out: `Effects`: main effects and two-way
interactions with 95 % intervals.
Not covered: searches over ranges (`importance`), the sentences (`wording`).

The intervals are about chance in training: another seed, the same photos. How much a figure would
change on other validation photos they do not say. Each is of one difference, not adjusted for how
many there are; p-values of interactions, which nobody asked for one by one, are (Holm 1979).
Source of the method: D. C. Montgomery, "Design and Analysis of Experiments" (8th ed. 2012),
chapters 5 (factorial designs, pure error) and 15.2 (unbalanced data).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.significance import holm
from fieldmark.studies.estimates import (
    Contrast,
    Effects,
    Interaction,
    LevelEffect,
    MainEffect,
    SimpleEffects,
)
from fieldmark.studies.least_squares import Fit, Term, aliases, build_model, fit
from fieldmark.studies.noise import Noise, noise_of
from fieldmark.studies.outcomes import Outcome, Table, Value, step_of, table_of, value_of
from fieldmark.studies.quantiles import f_tail, t_quantile, t_tails
from fieldmark.studies.space import Factor
from fieldmark.studies.trials import Trial

MIN_RESIDUAL_DF = 3
"""With one trial a setting, interactions are estimated only where so many degrees of freedom are
left for the noise: below, t is over 4, and no interval would say anything."""


def effects_of(
    trials: Sequence[Trial],
    factors: Sequence[Factor],
    *,
    outcome: Outcome = "val_accuracy",
    is_paired: bool = False,
) -> Effects | None:
    """Return what the factors do to an outcome.

    Args:
        trials: of any status; only finished ones with a finite outcome count.
        factors: what was varied.
        outcome: see `outcomes`.
        is_paired: trials with the same seed share their chance (as when all were trained on the
            same drawn photos), so that what they share is no noise between settings.

    Returns:
        The effects, or None where there are not two trials of different settings.
    """
    table = table_of(
        trials, factors, value=value_of(outcome), step=step_of(trials, outcome=outcome)
    )
    if table.num_settings < 2:
        return None
    return _Analysis.of(table, is_paired=is_paired).effects(outcome)


def mean_of(trials: Sequence[Trial], factors: Sequence[Factor], *, value: Value) -> Contrast | None:
    """Return the mean of a number over all settings, each counting the same, with its interval.

    Args:
        trials: as for `effects_of`.
        factors: what was varied.
        value: what is taken of each trial's result; NaN leaves the trial out.

    Returns:
        The mean; None where no trial has the number.
    """
    table = table_of(trials, factors, value=value)
    if not len(table.values_N):
        return None
    return _Analysis.of(table, is_paired=False).mean


@dataclass(frozen=True, slots=True, kw_only=True)
class _Analysis:
    """A fitted table."""

    table: Table
    fit: Fit
    noise: Noise
    is_paired: bool

    @classmethod
    def of(cls, table: Table, *, is_paired: bool) -> "_Analysis":
        blocks_N = table.seed_N if is_paired else None

        def fitted(*, with_interactions: bool) -> tuple[Fit, Noise]:
            model = build_model(
                table.levels_NF,
                num_levels=[len(factor.values) for factor in table.factors],
                blocks_N=blocks_N,
                with_interactions=with_interactions,
            )
            found = fit(model, table.values_N)
            noise = noise_of(
                found,
                setting_N=table.setting_N,
                levels_NF=table.levels_NF,
                blocks_N=blocks_N,
                step=table.step,
            )
            return found, noise

        found, noise = fitted(with_interactions=True)
        if noise.source != "replicates" and noise.df < MIN_RESIDUAL_DF:
            found, noise = fitted(with_interactions=False)
        return cls(table=table, fit=found, noise=noise, is_paired=is_paired)

    @property
    def mean(self) -> Contrast:
        """The mean over all settings; without an interval where trials share their chance."""
        mean = self.contrast(np.eye(self.fit.model.rank)[0])
        return replace(mean, interval=None, p_value=None) if self.is_paired else mean

    def effects(self, outcome: Outcome) -> Effects:
        """Return everything about the outcome that the table holds."""
        table, model = self.table, self.fit.model
        interactions = [self._interaction(term) for term in model.columns if len(term) == 2]
        if self.noise.source != "none":
            p_values = holm([each.p_value or 0.0 for each in interactions])
            interactions = [
                replace(each, p_adjusted=p_value)
                for each, p_value in zip(interactions, p_values, strict=True)
            ]
        left_out = [tuple(table.factors[place].key for place in term) for term in model.left_out]
        return Effects(
            outcome=outcome,
            num_trials=len(table.values_N),
            num_settings=table.num_settings,
            num_unmeasured=table.num_unmeasured,
            mean=self.mean,
            main=tuple(self._main(term) for term in model.columns if len(term) == 1),
            interactions=tuple(interactions),
            left_out=(*((key,) for key in table.constant), *left_out),
            noise=self.noise,
            lack_of_fit=self._lack_of_fit(),
        )

    def contrast(self, weights_P: NDArray[np.float64]) -> Contrast:
        """Return a combination of coefficients with its interval."""
        value = self.fit.estimate(weights_P)
        if self.noise.source == "none":
            return Contrast(value=value, interval=None, p_value=None)
        error, df = self.noise.of(self.fit.weights_of_trials(weights_P))
        reach = t_quantile(df) * error
        p_value = t_tails(value / error, df=df) if error > 0 else float(value == 0)
        interval = Estimate(value=value, low=value - reach, high=value + reach)
        return Contrast(value=value, interval=interval, p_value=p_value)

    def _main(self, term: Term) -> MainEffect:
        factor, model = self.table.factors[term[0]], self.fit.model
        rows = [model.coded(term, [place]) for place in range(len(factor.values))]
        levels_N, mean = self.table.levels_NF[:, term[0]], float(self.fit.coefficients_P[0])
        levels = []
        for place, (value, weights_P) in enumerate(zip(factor.values, rows, strict=True)):
            away = self.contrast(weights_P)
            num = int((levels_N == place).sum())
            levels.append(
                LevelEffect(value=value, num_trials=num, mean=mean + away.value, away=away)
            )
        differences = {
            (first, second): self.contrast(rows[second] - rows[first])
            for first, second in combinations(range(len(rows)), 2)
        }
        return MainEffect(
            key=factor.key,
            levels=tuple(levels),
            differences=differences,
            p_value=self._p_value(term),
            aliases=self._aliases(term),
        )

    def _aliases(self, term: Term) -> tuple[tuple[str, ...], ...]:
        """Return the keys of fields whose interactions are mixed into a term."""
        mixed = aliases(self.fit.model, self.table.levels_NF)[term]
        return tuple(tuple(self.table.factors[place].key for place in pair) for pair in mixed)

    def _interaction(self, term: Term) -> Interaction:
        first, second = (self.table.factors[place] for place in term)
        model, mean = self.fit.model, float(self.fit.coefficients_P[0])
        grid = [
            [(one, two) for two in range(len(second.values))] for one in range(len(first.values))
        ]
        p_value = self._p_value(term)
        return Interaction(
            keys=(first.key, second.key),
            values=(first.values, second.values),
            means=tuple(
                tuple(mean + self.fit.estimate(self._cell(term, places)) for places in row)
                for row in grid
            ),
            departures=tuple(
                tuple(self.contrast(model.coded(term, places)) for places in row) for row in grid
            ),
            p_value=p_value,
            p_adjusted=p_value,
            most=(self._most(term, changed=0), self._most(term, changed=1)),
            aliases=self._aliases(term),
        )

    def _cell(self, term: Term, places: tuple[int, int]) -> NDArray[np.float64]:
        """Return the weights of a cell of two factors, less those of the mean over all."""
        model = self.fit.model
        weights_P = model.coded(term, places)
        for factor, place in zip(term, places, strict=True):
            weights_P = weights_P + model.coded((factor,), [place])
        return weights_P

    def _most(self, term: Term, *, changed: int) -> SimpleEffects:
        """Return the change of one factor of two that differs most between values of the other."""
        one, other = term[changed], term[1 - changed]
        first, second = self.table.factors[one], self.table.factors[other]
        swings = product(
            combinations(range(len(first.values)), 2), combinations(range(len(second.values)), 2)
        )

        def change(pair: tuple[int, int], at: int) -> NDArray[np.float64]:
            low, high = (((place, at) if changed == 0 else (at, place)) for place in pair)
            return self._cell(term, high) - self._cell(term, low)

        def size(swing: tuple[tuple[int, int], tuple[int, int]]) -> float:
            pair, (low, high) = swing
            return abs(self.fit.estimate(change(pair, high) - change(pair, low)))

        pair, at = max(swings, key=size)
        low_P, high_P = change(pair, at[0]), change(pair, at[1])
        return SimpleEffects(
            key=first.key,
            change=(first.values[pair[0]], first.values[pair[1]]),
            other=second.key,
            at=(second.values[at[0]], second.values[at[1]]),
            effects=(self.contrast(low_P), self.contrast(high_P)),
            double=self.contrast(high_P - low_P),
        )

    def _p_value(self, term: Term) -> float | None:
        if self.noise.source == "none":
            return None
        columns = self.fit.model.columns[term]
        return self.noise.p_value(self.fit.inverse_PN[columns], self.fit.coefficients_P[columns])

    def _lack_of_fit(self) -> float | None:
        """Return the p-value of what settings do beyond the model, by an F test."""
        df = len(self.table.values_N) - self.fit.model.rank - int(self.noise.df)
        if self.noise.source != "replicates" or self.noise.is_uneven or df < 1:
            return None
        if not self.noise.sd:
            return None
        residuals_N = self.fit.residuals_N
        square = float(residuals_N @ residuals_N) - self.noise.sd**2 * self.noise.df
        return f_tail(max(square, 0.0) / df / self.noise.sd**2, df=df, df_noise=self.noise.df)
