"""Differences that a study estimates, as short texts with their intervals.

In: numbers of an outcome. Out: text; what is to be better, and in which words, say others.
"""

import math

from fieldmark.studies.estimates import Contrast
from fieldmark.studies.outcomes import IN_POINTS, Outcome

MINUS = "\u2212"
MAX_LOGARITHM = 20.0
"""Larger changes, of half a billion times, are all the same."""
LARGE_LOSS = 10.0
"""Of losses above it one decimal is enough."""


def amount(contrast: Contrast, outcome: Outcome, *, signed: bool = False) -> str:
    """Return a difference with its interval: `"2.1 points (1.4 to 2.8)"`, `"0.12 (0.08 to 0.16)"`.

    Args:
        contrast: the difference.
        outcome: what of, which decides the unit.
        signed: with a plus where it is positive.
    """
    unit = " points" if outcome in IN_POINTS else ""
    decimals = _decimals(contrast.value, outcome)
    value = _rounded(contrast.value, outcome, decimals, signed=signed)
    if contrast.interval is None:
        return f"{value}{unit}"
    ends = (
        _rounded(end, outcome, decimals, signed=signed)
        for end in (contrast.interval.low, contrast.interval.high)
    )
    return f"{value}{unit} ({' to '.join(ends)})"


def factor_words(log_contrast: Contrast) -> str:
    """Return a difference of logarithms as a change in percent: `"−46 % (−50 to −41)"`."""
    value = _percent_change(log_contrast.value)
    if log_contrast.interval is None:
        return f"{value} %"
    low, high = log_contrast.interval.low, log_contrast.interval.high
    return f"{value} % ({_percent_change(low)} to {_percent_change(high)})"


def number(value: float, outcome: Outcome) -> str:
    """Return a figure of an outcome: points with one decimal (two below 0.1), losses with three."""
    return _rounded(value, outcome, _decimals(value, outcome))


def _decimals(value: float, outcome: Outcome) -> int:
    """Return how many decimals a figure is told with: one more where it would be rounded to 0."""
    scaled = 100 * value if outcome in IN_POINTS else value
    decimals = 1 if outcome in IN_POINTS or abs(scaled) >= LARGE_LOSS else 3
    least = 10.0**-decimals
    return decimals + 1 if least / 20 <= abs(scaled) < least else decimals


def _rounded(value: float, outcome: Outcome, decimals: int, *, signed: bool = False) -> str:
    rounded = round(100 * value if outcome in IN_POINTS else value, decimals) or 0.0
    text = f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}"
    return text.replace("-", MINUS)


def _percent_change(logarithm: float) -> str:
    percent = round(100 * math.expm1(min(logarithm, MAX_LOGARITHM))) or 0
    return f"{percent:+,d}".replace("-", MINUS) if percent else "0"
