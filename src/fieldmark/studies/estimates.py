"""What a study estimates, as plain typed data.

In: nothing; `effects` fills it. Out: differences with 95 % intervals, main effects, interactions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fieldmark.evaluation.intervals import Estimate
from fieldmark.studies.noise import Noise
from fieldmark.studies.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """A difference that was estimated; without an interval where nothing tells the noise."""

    value: float
    interval: Estimate | None
    """The same with its 95 % interval."""
    p_value: float | None
    """The chance of a difference as large if there were none."""

    @property
    def reversed(self) -> "Contrast":
        """The same the other way round."""
        turned = self.interval and Estimate(
            value=-self.interval.value, low=-self.interval.high, high=-self.interval.low
        )
        return Contrast(value=-self.value, interval=turned, p_value=self.p_value)

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelEffect:
    """One value of a factor."""

    value: Any
    num_trials: int
    mean: float
    """The outcome, averaged over the values of the other factors, each counting the same."""
    away: Contrast
    """How far that is from the mean over this factor's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MainEffect:
    """What a factor does by itself, on average over the others."""

    key: str
    levels: tuple[LevelEffect, ...]
    """In the order of the factor's values."""
    differences: Mapping[tuple[int, int], Contrast]
    """From one value to a later one, by their places among the levels."""
    p_value: float | None
    """The chance of differences as large if the factor did nothing (F test)."""
    aliases: tuple[tuple[str, ...], ...] = ()
    """Keys of fields that act together, perhaps, and whose doing this may be as well: the trials
    cannot tell."""

    def difference(self, first: int, second: int) -> Contrast:
        """Return what going from one level to another changes."""
        if first < second:
            return self.differences[first, second]
        return self.differences[second, first].reversed


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleEffects:
    """What changing one factor does at two values of another, where that differs most."""

    key: str
    """The factor that is changed."""
    change: tuple[Any, Any]
    """From this value to that."""
    other: str
    at: tuple[Any, Any]
    effects: tuple[Contrast, Contrast]
    """At the one value of the other factor and at the other."""
    double: Contrast
    """The second less the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """How far what one factor does depends on another."""

    keys: tuple[str, str]
    values: tuple[tuple[Any, ...], tuple[Any, ...]]
    """Of either factor."""
    means: tuple[tuple[float, ...], ...]
    """The outcome by the value of the first factor and that of the second."""
    departures: tuple[tuple[Contrast, ...], ...]
    """How far each mean is from where the two main effects alone would put it."""
    p_value: float | None
    p_adjusted: float | None
    """For the number of interactions."""
    most: tuple[SimpleEffects, SimpleEffects]
    """Where the dependence is plainest: changing the first factor, and changing the second."""
    aliases: tuple[tuple[str, ...], ...] = ()
    """As of a main effect: other fields that act together, perhaps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Everything about one outcome."""

    outcome: Outcome
    num_trials: int
    """Those that it was computed from."""
    num_settings: int
    num_unmeasured: int
    """Finished trials without a finite figure of this outcome, which are left out."""
    mean: Contrast
    """Over all settings; its interval is of no use with blocks, and None then."""
    main: tuple[MainEffect, ...]
    """In the order of the factors."""
    interactions: tuple[Interaction, ...]
    left_out: tuple[tuple[str, ...], ...]
    """The keys of terms that these trials cannot tell apart from others, or that were never tried
    with two values."""
    noise: Noise
    lack_of_fit: float | None
    """The chance of settings lying as far from the model if nothing but main effects and the
    interactions here were at work; None where that cannot be told."""

    def main_of(self, key: str) -> MainEffect | None:
        """Return the main effect of a factor; None where it was left out."""
        return next((main for main in self.main if main.key == key), None)
