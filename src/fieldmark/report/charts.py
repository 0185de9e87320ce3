"""A chart as a page shows it, and axes that suit the numbers on it.

In: numbers. Out: `Chart`, `Axis`.
Not covered: what is drawn (`epoch_curves`, `curves`) and how (`plot`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from fieldmark.report.plot import Axis
from fieldmark.report.scales import power_label, round_ticks
from fieldmark.report.wording import percent

MAX_TICKS = 7

MARGIN = 0.05
"""Room beyond the ends of the lines, as a share of what lies between them."""

MAX_SPREAD = 20.0
"""A line that reaches so many times higher than its middle would press all others flat."""

TINY = 1e-3
"""Numbers on an axis that ends below this are written as powers of ten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure with the words that stand around it."""

    title: str
    svg: str
    caption: str


def height_axis(ys: Sequence[float], *, is_share: bool = False, from_zero: bool = False) -> Axis:
    """Return the upright axis that shows all these numbers, of which those not finite are left."""
    values = [y for y in ys if math.isfinite(y)] or [0.0]
    low, high = widened(0.0 if from_zero else min(values), max(values))
    if min(values) >= 0:
        low = max(low, 0.0)
    if is_share:
        high = min(high, 1 + MARGIN * (1 - low))
    ticks = round_ticks(low, high, most=MAX_TICKS)
    write = _percent_tick if is_share else _number_tick(max(map(abs, ticks)))
    shown = [(tick, write(tick)) for tick in ticks if not is_share or tick <= 1]
    return Axis(low=low, high=high, ticks=shown, tell=percent if is_share else _told)


def wants_logarithm(ys: Sequence[float]) -> bool:
    """Say whether single numbers are so large that only a logarithmic axis shows the others."""
    values = sorted(y for y in ys if math.isfinite(y))
    return bool(values) and values[0] > 0 and values[-1] > MAX_SPREAD * median(values)


def log_height_axis(logs: Sequence[float]) -> Axis:
    """Return the upright axis for the base-10 logarithms of numbers, which it names themselves."""
    values = [log for log in logs if math.isfinite(log)]
    low, high = widened(min(values), max(values))
    powers = range(math.ceil(low), math.floor(high) + 1)
    step = max(1, math.ceil(len(powers) / MAX_TICKS))
    ticks = [(float(power), f"{10.0**power:,.10g}") for power in powers[::step]]
    return Axis(low=low, high=high, ticks=ticks, tell=lambda log: _told(10.0**log))


def widened(low: float, high: float, *, margin: float = MARGIN) -> tuple[float, float]:
    """Return two ends with some room beyond them; equal ends come apart."""
    room = margin * (high - low) or abs(high) * MARGIN or 1.0
    return low - room, high + room


def _told(value: float) -> str:
    if 0 < abs(value) < TINY:
        return power_label(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _percent_tick(value: float) -> str:
    return f"{100 * value:.10g} %"


def _number_tick(highest: float) -> Callable[[float], str]:
    """Return how the numbers of an axis are written that ends at `highest`."""
    if 0 < highest < TINY:
        return lambda value: power_label(value) if value else "0"
    return lambda value: f"{value:,.10g}"
