"""Would more photos help? The accuracy by the number of training photos, and where it leads.

In: which test photos were named right after learning from fewer training photos.
Out: a `LearningCurve`: what was measured, and what is to be expected of more photos, each with its
interval.
Not covered: learning from fewer photos (see `fieldmark.more_photos`), the law itself
(`power_law`), the file (`learning_curve_document`).

Shapes: N test photos, G groups of them, S sizes, R repeats of a size, B resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.intervals import NUM_RESAMPLES, QUANTILES_95, Estimate
from fieldmark.evaluation.learning_curve_document import (
    Backtest,
    Curve,
    Forecast,
    LearningCurve,
    Point,
)
from fieldmark.evaluation.power_law import Floats, PowerLaw, errors_at, fit_power_laws

FACTORS = (2, 4)
"""How many times as many photos are looked ahead to. Further than that nobody has measured."""
MIN_SIZES = 4
"""A law of three unknowns goes through any three points."""
MIN_REACH = 4.0
"""The largest size must be as many times the smallest: what is nearer shows no course."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Learning from some of the training photos."""

    sizes: Mapping[str, int]
    """How many training photos of each class."""
    right_N: NDArray[np.bool_]
    """Whether each test photo was then named right."""

    @property
    def num_photos(self) -> int:
        """How many training photos there were."""
        return sum(self.sizes.values())


def learning_curve(
    trials: Sequence[Trial],
    *,
    labels: Sequence[str],
    groups: Sequence[str],
    method: str,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> LearningCurve | None:
    """Fit the law overall and for each class; None where too few sizes were tried.

    The bootstrap draws test photos by whole groups (Davison and Hinkley 1997, section 3.8) and, at
    each size, repeats; the law is fitted anew to each resample. So few points hardly show whether
    there are mistakes that no number of photos would take away: every other resample is fitted with
    a law without them, or the intervals would leave out what more photos can do at best. They speak
    of the choice of photos, not of whether a power law holds at all.

    Args:
        trials: of at least one repeat at each size; the largest is of all training photos.
        labels: the class of each test photo.
        groups: its group.
        method: how the trials were made, for people.
        seed: of the bootstrap.
        num_resamples: of the bootstrap, at least 1.
    """
    labels_N, groups_N = np.array(labels), np.array(groups)

    def curve(name: str | None, trials: Sequence[Trial]) -> _Fitted | None:
        chosen_N = np.full(len(labels_N), fill_value=True) if name is None else labels_N == name
        repeats: dict[int, list[NDArray[np.bool_]]] = {}
        for trial in trials:
            size = trial.num_photos if name is None else trial.sizes.get(name, 0)
            repeats.setdefault(size, []).append(trial.right_N[chosen_N])
        return _fit(repeats, groups_N[chosen_N], seed=seed, num_resamples=num_resamples)

    if (overall := curve(None, trials)) is None:
        return None
    classes = {name: curve(name, trials) for name in sorted(set(labels))}
    largest = max(trial.num_photos for trial in trials)
    earlier = curve(None, [trial for trial in trials if trial.num_photos < largest])
    return LearningCurve(
        overall=overall.curve(),
        per_class={name: fitted.curve() for name, fitted in classes.items() if fitted},
        backtest=_backtest(earlier, overall) if earlier else None,
        method=method,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    """Laws fitted to what was measured, in the first row, and to each resample below it."""

    sizes: tuple[int, ...]
    num_repeats: tuple[int, ...]
    num_test: int
    errors_BS: Floats
    laws_B3: Floats

    def estimate(self, values_B: Floats) -> Estimate:
        """Return the first value with the interval of the others."""
        low, high = np.quantile(values_B[1:], QUANTILES_95)
        value = float(values_B[0])
        return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))

    def errors_ahead(self, size: int) -> Floats:
        """Return the error at more photos: the last one measured, less what the law takes off it.

        So the outlook begins where the measurements end, and more photos never make it worse.
        """
        law_B = errors_at(self.laws_B3, self.sizes[-1])
        ahead_B = errors_at(self.laws_B3, size)
        left_B = np.divide(ahead_B, law_B, out=np.ones_like(law_B), where=law_B > 0)
        result: Floats = self.errors_BS[:, -1] * left_B
        return result

    def curve(self) -> Curve:
        """Return points, law and forecasts."""
        now, (floor, scale, power) = self.sizes[-1], self.laws_B3[0].tolist()
        present_B = self.errors_BS[:, -1]
        return Curve(
            num_test=self.num_test,
            points=tuple(
                Point(num_photos=size, num_repeats=times, accuracy=self.estimate(1 - errors_B))
                for size, times, errors_B in zip(
                    self.sizes, self.num_repeats, self.errors_BS.T, strict=True
                )
            ),
            law=PowerLaw(floor=floor, scale=scale, power=power),
            forecasts=tuple(
                Forecast(
                    factor=factor,
                    num_photos=factor * now,
                    accuracy=self.estimate(1 - self.errors_ahead(factor * now)),
                    gain=self.estimate(present_B - self.errors_ahead(factor * now)),
                )
                for factor in FACTORS
            ),
        )


def _backtest(earlier: _Fitted, overall: _Fitted) -> Backtest:
    return Backtest(
        num_photos=overall.sizes[-1],
        foretold=earlier.estimate(1 - earlier.errors_ahead(overall.sizes[-1])),
        measured=float(1 - overall.errors_BS[0, -1]),
    )


def _fit(
    repeats: Mapping[int, Sequence[NDArray[np.bool_]]],
    groups_N: NDArray[np.str_],
    *,
    seed: int,
    num_resamples: int,
) -> _Fitted | None:
    sizes = tuple(sorted(size for size in repeats if size > 0))
    if len(sizes) < MIN_SIZES or sizes[-1] < MIN_REACH * sizes[0] or not len(groups_N):
        return None
    wrong = [~np.array(repeats[size]) for size in sizes]
    errors_BS = _resampled(
        wrong, groups_N, generator=np.random.default_rng(seed), num_resamples=num_resamples
    )
    # By the variance of each error; half a mistake more keeps none at all from being a certainty.
    smoothed_S = (errors_BS[0] * len(groups_N) + 0.5) / (len(groups_N) + 1)
    laws_B3 = fit_power_laws(
        np.array(sizes, dtype=np.float64),
        errors_BS,
        weights_S=1 / (smoothed_S * (1 - smoothed_S)),
        has_floor_B=np.arange(len(errors_BS)) % 2 == 0,
    )
    return _Fitted(
        sizes=sizes,
        num_repeats=tuple(map(len, wrong)),
        num_test=len(groups_N),
        errors_BS=errors_BS,
        laws_B3=laws_B3,
    )


def _resampled(
    wrong: Sequence[NDArray[np.bool_]],
    groups_N: NDArray[np.str_],
    *,
    generator: np.random.Generator,
    num_resamples: int,
) -> Floats:
    """Return the mean error at each size, (1 + B, S): as measured, then of each resample.

    Args:
        wrong: for each size whether each test photo was named wrong, (R, N).
        groups_N: the group of each test photo.
        generator: the source of the draws.
        num_resamples: B.
    """
    _, of_group_N = np.unique(groups_N, return_inverse=True)
    size_G = np.bincount(of_group_N).astype(np.float64)
    drawn_BG = generator.multinomial(
        len(size_G), np.full(len(size_G), 1 / len(size_G)), size=num_resamples
    )
    times_BG = np.concatenate([np.ones((1, len(size_G))), drawn_BG])
    columns = []
    for wrong_RN in wrong:
        wrong_GR = np.stack([np.bincount(of_group_N, weights=row) for row in wrong_RN], axis=1)
        error_BR = times_BG @ wrong_GR / (times_BG @ size_G)[:, None]
        count = error_BR.shape[1]
        share_BR = generator.multinomial(count, np.full(count, 1 / count), size=num_resamples)
        weights_BR = np.concatenate([np.ones((1, count)), share_BR]) / count
        columns.append((error_BR * weights_BR).sum(axis=1))
    result: Floats = np.stack(columns, axis=1)
    return result
