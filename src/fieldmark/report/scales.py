"""Scales: where a number stands between two ends, which ends to take, and whiskers on them.

In: numbers and estimates. Out: round ends, places as shares of a scale, and small inline SVG.
One unit of a whisker is one CSS pixel; nothing here needs a plotting library.
"""

import math
from collections.abc import Sequence

from fieldmark.evaluation.intervals import Estimate

WHISKER_WIDTH, WHISKER_HEIGHT = 120, 14
MIN_PLAIN, MAX_PLAIN = 0.01, 100.0
"""Strengths within are written out, others as powers of ten."""
MIN_PLAIN_RATE = 1e-3
"""The same for learning rates, which are small by nature."""


def scale_floor(lows: Sequence[float]) -> float:
    """Return where a scale of shares that ends at 1 should begin, so that all intervals fit.

    Steps of 5 % from 90 %, of 10 % below, 0 at the least.
    """
    low = min(lows, default=0.0)
    step = 0.05 if low >= 0.9 else 0.1
    return min(0.95, max(0.0, round(math.floor(low / step + 1e-9) * step, 2)))


def scale_ceiling(value: float) -> float:
    """Return a round number at or above a positive value: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9))


def log_place(value: float, *, low: float, high: float) -> float:
    """Return where a positive value stands between two ends by its logarithm, cut to 0..1."""
    if not 0 < low < high:
        return 0.5
    share = math.log(max(value, low) / low) / math.log(high / low)
    return min(share, 1.0)


def log_ticks(low: float, high: float) -> tuple[int, ...]:
    """Return the round numbers between two positive ends: 1, 2 or 5 times a power of ten."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [step * 10**power for power in range(max(first, 0), last + 1) for step in (1, 2, 5)]
    return tuple(tick for tick in ticks if low <= tick <= high)


def round_ticks(low: float, high: float, *, most: int, whole: bool = False) -> tuple[float, ...]:
    """Return at most `most` evenly spaced round numbers between two ends, 1, 2 or 5 apart.

    Args:
        low: the lower end.
        high: the upper end.
        most: at least 2.
        whole: only whole numbers, as for epochs.
    """
    if high <= low:
        return (low,)
    step = scale_ceiling((high - low) / (most - 1))
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, 1 - math.floor(math.log10(step)))
    return tuple(round(place * step, decimals) for place in range(first, last + 1))


def strength_label(value: float) -> str:
    """Return a strength as `"0.01"`, and a very small or large one as `"10⁻⁵"` or `"3·10⁻⁵"`."""
    if value == 0 or MIN_PLAIN <= value < MAX_PLAIN:
        return f"{value:.2g}"
    return power_label(value)


def power_label(value: float) -> str:
    """Return a number with two digits and a power of ten, as `"3·10⁻⁵"`; the power alone for 1."""
    digits, _, power = f"{value:.1e}".partition("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    factor = "" if digits == "1.0" else f"{digits.removesuffix('.0')}·"
    return f"{factor}10{raised}"


def rate_label(rate: float) -> str:
    """Return a learning rate as `"0.001"`, or as `"3·10⁻⁵"` where it is small."""
    return f"{rate:.2g}" if rate >= MIN_PLAIN_RATE or rate == 0 else power_label(rate)


def whisker(estimate: Estimate, *, low: float, high: float, mark: float | None = None) -> str:
    """Draw an estimate's interval as a line and its value as a dot, on a scale from low to high.

    Args:
        estimate: what to draw.
        low: the left end of the scale.
        high: the right end of the scale.
        mark: a value to compare with, drawn as an upright stroke; None draws none.
    """

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return 4 + (WHISKER_WIDTH - 8) * min(max(share, 0.0), 1.0)

    start, middle, end = place(estimate.low), place(estimate.value), place(estimate.high)
    y = WHISKER_HEIGHT // 2
    stroke = "" if mark is None else f'<path class="mark" d="M{place(mark):.1f} 0V{2 * y}"/>'
    return (
        f'<svg class="whisker" viewBox="0 0 {WHISKER_WIDTH} {WHISKER_HEIGHT}" aria-hidden="true">'
        f'<path class="scale" d="M4 {y}H{WHISKER_WIDTH - 4}"/>{stroke}'
        f'<path class="range" d="M{start:.1f} {y}H{end:.1f}"/>'
        f'<circle cx="{middle:.1f}" cy="{y}" r="4"/></svg>'
    )
