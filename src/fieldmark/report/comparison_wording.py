"""What a comparison comes to, in sentences for the page and for the terminal.

In: runs with their scores, and pairs of them. Out: short English text, not yet escaped for HTML.
"""

from collections.abc import Sequence
from typing import Protocol

from fieldmark.base.counting import counted
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.paired import Pair
from fieldmark.report.wording import percent, points

LEAST_P = 0.0001
"""Smaller p-values are not told apart: nobody would act on the difference."""
LOSS_DECIMALS = 4
MAX_NAMED = 4
"""Runs that a sentence names; of more it gives the number."""


class Scored(Protocol):
    """A run as far as the sentences speak of it."""

    @property
    def name(self) -> str:
        """What the run is called."""

    @property
    def accuracy(self) -> Estimate:
        """Its accuracy."""


def p_text(p_value: float) -> str:
    """Return a p-value as `"p = 0.034"`, or as `"p < 0.0001"`."""
    if p_value < LEAST_P:
        return f"p < {LEAST_P}"
    decimals = 4 if p_value < 0.01 else 3 if p_value < 0.1 else 2
    return f"p = {p_value:.{decimals}f}"


def pair_verdict(pair: Pair, *, names: Sequence[str], num_photos: int) -> str:
    """Say whether two runs can be told apart, and by how much."""
    first, second = names[pair.first], names[pair.second]
    if not pair.num_named_otherwise:
        return f"{first} and {second} give the same names to {_all(num_photos)}."
    if not pair.is_told_apart:
        return (
            f"{first} and {second} cannot be told apart on {counted(num_photos, 'photo')}: "
            f"{points(pair.accuracy)} of accuracy from the one to the other, "
            f"{p_text(pair.p_adjusted)}."
        )
    better, worse, ahead = second, first, pair.accuracy
    if ahead.value < 0:
        better, worse, ahead = first, second, turned(ahead)
    return (
        f"{better} names more photos right than {worse}: {points(ahead)}, "
        f"{p_text(pair.p_adjusted)}."
    )


def verdict(runs: Sequence[Scored], pairs: Sequence[Pair], *, num_photos: int) -> str:
    """Say what the comparison comes to: of two runs, or which is ahead of which of several."""
    names = [run.name for run in runs]
    if len(pairs) == 1:
        return pair_verdict(pairs[0], names=names, num_photos=num_photos)
    if not any(pair.is_told_apart for pair in pairs):
        photos = counted(num_photos, "photo")
        return f"No two of the {len(runs)} runs can be told apart on {photos}."
    best = max(range(len(runs)), key=lambda place: runs[place].accuracy.value)
    behind = {
        pair.first + pair.second - best
        for pair in pairs
        if pair.is_told_apart and best in (pair.first, pair.second)
    }
    level = [name for place, name in enumerate(names) if place not in {best, *behind}]
    opening = f"{names[best]} names the most photos right, {percent(runs[best].accuracy.value)}."
    if not behind:
        return f"{opening} It cannot be told apart from any other."
    apart = _named([names[place] for place in sorted(behind)])
    if not level:
        return f"{opening} It can be told apart from every other run."
    return f"{opening} It can be told apart from {apart}, not from {_named(level)}."


def loss_text(estimate: Estimate) -> str:
    """Return a difference of losses with its interval, signed, in nats."""
    value, low, high = map(_signed, (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def right_title(right: Sequence[int], *, names: Sequence[str]) -> str:
    """Say which runs name a photo right: `"Only A is right"`, `"All but B are right"`."""
    of_right = [names[place] for place in right]
    of_wrong = [name for place, name in enumerate(names) if place not in right]
    if not right:
        return "None is right, and they differ" if len(names) > 2 else "Neither is right"
    if len(right) == 1:
        return f"Only {of_right[0]} is right"
    if len(of_wrong) == 1:
        return f"All but {of_wrong[0]} are right"
    return f"{joined(of_right)} are right, not {joined(of_wrong)}"


def joined(names: Sequence[str]) -> str:
    """Return names with commas, and an "and" before the last."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def turned(estimate: Estimate) -> Estimate:
    """Return a difference the other way round."""
    return Estimate(value=-estimate.value, low=-estimate.high, high=-estimate.low)


def _signed(number: float) -> str:
    rounded = round(number, LOSS_DECIMALS)
    return f"{rounded:+.{LOSS_DECIMALS}f}".replace("-", "\u2212") if rounded else "0"


def _named(names: Sequence[str]) -> str:
    return joined(names) if len(names) <= MAX_NAMED else f"{len(names)} others"


def _all(num_photos: int) -> str:
    return "the one photo" if num_photos == 1 else f"all {num_photos:,} photos"
