"""A learning-rate range test: a few steps at rising rates, and the rate that they speak for.

In: a function that takes one step at a rate and returns its loss. Out: the curve and a proposal.
Not covered: the steps themselves, and putting the network back afterwards (see `fit`).
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError

DEFAULT_RATE = 3e-4
"""Proposed where the curve says nothing: the default of `optim.lr`."""
DIVERGED_FACTOR = 4.0
"""The test stops where the loss exceeds its best by this factor, as in fastai's lr_find."""
RECENT = 7
"""Steps whose median loss is held against the best such median, so that no odd batch stops it."""
WINDOW = 5
"""Points of the running median, and then of the running mean: half a decade each, of 60 points
over six decades. The median drops single odd batches, which a mean would spread."""
SHARE_OF_FALL = 0.9
"""Of the way down to the lowest smoothed loss: where the curve has come so far is steadier from
seed to seed than where it is lowest or steepest."""
MARGIN = 3.0
"""The proposal stays this factor below that rate, since it is held for longer than one step."""
SAFE_FACTOR = 100.0
"""Below a rate that diverged at once."""
NOISE_FACTOR = 3.5
"""A fall of fewer standard deviations of single losses is taken for none: in simulation 2 % of
curves of nothing but normal noise fall further."""
LEAST_FALL = 0.01
"""So is one of less than this share of the loss it starts from."""

# Legend for shape suffixes: R rates tried.


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTest:
    """The curve up to where it diverged, and the rate proposed with its reason as a sentence."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    proposed: float
    reason: str


def rates(low: float = 1e-6, high: float = 1.0, num: int = 60) -> tuple[float, ...]:
    """Return `num` rates from `low` to `high`, each the same multiple of the one before."""
    return tuple(float(rate) for rate in np.geomspace(low, high, num))


def range_test(loss_at: Callable[[float], float], *, rates: Sequence[float]) -> RangeTest:
    """Take steps at rising rates until the loss diverges, and propose a rate (Smith 2017).

    Proposed is a third of the rate by which the smoothed loss has done nine tenths of its fall.
    Where it never falls by more than noise, that is a hundredth of the rate at which it diverges,
    or else `DEFAULT_RATE`.

    Args:
        loss_at: takes one training step at this rate and returns the loss of its batch before it.
        rates: rising, over 0, at least two.

    Raises:
        RecipeError: the loss is not finite at the first rate already.
    """
    losses: list[float] = []
    diverged_at = None
    for rate in rates:
        loss = loss_at(rate)
        if math.isfinite(loss):
            losses.append(loss)
        if not math.isfinite(loss) or _has_diverged(losses):
            diverged_at = rate
            break
    if not losses:
        raise RecipeError(
            f"The loss is not finite at the lowest learning rate tried, {rates[0]:g}, so no "
            'rate can be proposed. Set optim.lr to a number, and train.precision to "float32".'
        )
    smoothed_R = _smoothed(np.array(losses))
    proposed, reason = _proposal(rates, np.array(losses), smoothed_R, diverged_at)
    return RangeTest(
        rates=tuple(rates[: len(losses)]),
        losses=tuple(losses),
        smoothed=tuple(smoothed_R.tolist()),
        proposed=proposed,
        reason=reason,
    )


def _has_diverged(losses: Sequence[float]) -> bool:
    ends = range(RECENT, len(losses) + 1)
    medians = [statistics.median(losses[end - RECENT : end]) for end in ends]
    return bool(medians) and medians[-1] > DIVERGED_FACTOR * min(medians)


def _smoothed(losses_R: NDArray[np.float64]) -> NDArray[np.float64]:
    return _windowed(np.mean, _windowed(np.median, losses_R))


def _windowed(
    average: Callable[[NDArray[np.float64]], np.floating], values_R: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average over the points around each; near the ends over those that there are."""
    side = WINDOW // 2
    return np.array(
        [average(values_R[max(0, i - side) : i + side + 1]) for i in range(len(values_R))]
    )


def _proposal(
    rates: Sequence[float],
    losses_R: NDArray[np.float64],
    smoothed_R: NDArray[np.float64],
    diverged_at: float | None,
) -> tuple[float, str]:
    lowest = int(smoothed_R.argmin())
    way_R = smoothed_R[: lowest + 1]
    top, bottom = float(way_R.max()), float(way_R[-1])
    if top - bottom <= max(NOISE_FACTOR * _noise(losses_R - smoothed_R), LEAST_FALL * top):
        return _fallback(diverged_at)
    rate = rates[int(np.argmax(way_R <= top - SHARE_OF_FALL * (top - bottom)))]
    return rate / MARGIN, (
        f"the loss fell from {top:.3g} to {bottom:.3g} and {SHARE_OF_FALL:.0%} of that by "
        f"{rate:.2g}; a third of this rate leaves room"
    )


def _fallback(diverged_at: float | None) -> tuple[float, str]:
    if diverged_at is None:
        return DEFAULT_RATE, (
            f"the loss hardly changed at any rate tried, so {DEFAULT_RATE:g}, the usual one, is "
            "taken"
        )
    return diverged_at / SAFE_FACTOR, (
        f"the loss never fell clearly and diverged at {diverged_at:.2g}; a hundredth of this rate "
        "is safe"
    )


def _noise(residuals_R: NDArray[np.float64]) -> float:
    """Return the standard deviation of the single losses, unmoved by a few large ones."""
    return 1.4826 * float(np.median(np.abs(residuals_R - np.median(residuals_R))))


def table(test: RangeTest) -> list[dict[str, float]]:
    """Return the rows of `lr_range.csv`: lr, loss and smoothed of each step."""
    columns = zip(test.rates, test.losses, test.smoothed, strict=True)
    return [{"lr": lr, "loss": loss, "smoothed": smoothed} for lr, loss, smoothed in columns]


def from_table(rows: Iterable[Mapping[str, str]], *, proposed: float, reason: str) -> RangeTest:
    """Return the test whose curve was written as `table` gives it, with cells as text."""
    cells = list(rows)
    return RangeTest(
        rates=tuple(float(row["lr"]) for row in cells),
        losses=tuple(float(row["loss"]) for row in cells),
        smoothed=tuple(float(row["smoothed"]) for row in cells),
        proposed=proposed,
        reason=reason,
    )
