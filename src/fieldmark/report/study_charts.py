"""The charts of a study: how two fields act together, curves by value, what a search tried.

In: effects, trials and what was varied. Out: `Chart`s whose lines have the colours `s1`, `s2`, ...
of the page, in the order of a field's values.
Not covered: effects as dots with intervals, which stand in tables (see the templates).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fieldmark.report.charts import (
    MAX_TICKS,
    Chart,
    height_axis,
    log_height_axis,
    wants_logarithm,
    widened,
)
from fieldmark.report.plot import LARGE, SMALL, Axis, Band, Dots, Line, line_chart
from fieldmark.report.scales import power_label, round_ticks
from fieldmark.studies.curves import Measure, ValueCurve, value_curves
from fieldmark.studies.estimates import Interaction
from fieldmark.studies.importance import place_of
from fieldmark.studies.names import name_of, title_of, value_text
from fieldmark.studies.outcomes import Outcome
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.trials import Trial

NUM_COLOURS = 8
"""Values beyond these begin with the first colour again."""
CURVES: tuple[tuple[Measure, str, str], ...] = (
    ("val_accuracy", "train_accuracy", "Accuracy"),
    ("val_loss", "train_loss", "Loss"),
)
MAX_WITH_TRAINING = 4
"""With more values the lines of training photos would hide the others."""
MAX_EPOCH_DOTS = 8
"""With more epochs dots would hide the bands."""
ROOM = 0.35
"""Beside the first and the last of values that stand evenly spaced, in steps from one to the
next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One entry of a legend: the class of its colour and its name."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCharts:
    """Charts that share a legend."""

    title: str
    legend: tuple[Series, ...]
    charts: tuple[Chart, ...]


def interaction_chart(interaction: Interaction, outcome: Outcome) -> SeriesCharts:
    """Draw the mean outcome over the values of one field, a line for each value of the other.

    The field with more values lies along the axis. Where the lines are parallel, neither field
    minds the other.
    """
    (first, second), means = interaction.values, [list(row) for row in interaction.means]
    keys = interaction.keys
    if len(second) > len(first):
        first, second, keys = second, first, (keys[1], keys[0])
        means = [list(row) for row in zip(*means, strict=True)]
    xs = [float(place) for place in range(len(first))]
    lines = [
        Line(name=value_text(value), kind=colour(place), xs=xs, ys=[row[place] for row in means])
        for place, value in enumerate(second)
    ]
    title = f"{title_of(keys[0])} by {name_of(keys[1]).removeprefix('the ')}"
    svg = line_chart(
        lines,
        title=title,
        x=_value_axis(first, keys[0]),
        y=height_axis([y for line in lines for y in line.ys], is_share=outcome == "val_accuracy"),
        size=SMALL,
        legend=False,
    )
    chart = Chart(title=title, svg=svg, caption="")
    return SeriesCharts(title=title, legend=_legend(second), charts=(chart,))


def curve_charts(trials: Sequence[Trial], factor: Factor) -> SeriesCharts | None:
    """Draw accuracy and loss over the epochs for each value; None where no trial has a curve."""
    charts = [_curves(trials, factor, *names) for names in CURVES]
    drawn = tuple(chart for chart in charts if chart is not None)
    if not drawn:
        return None
    return SeriesCharts(title=title_of(factor.key), legend=_legend(factor.values), charts=drawn)


def slice_chart(trials: Sequence[Trial], dimension: Factor | Range) -> Chart:
    """Draw the accuracy of every trial of a search over one of its dimensions."""
    shown = [
        trial for trial in trials if trial.result is not None and dimension.key in trial.settings
    ]
    tell = _teller(dimension)
    kinds = {"finished": "s1", "pruned": "raw"}
    groups = []
    for status, kind in kinds.items():
        of_status = [trial for trial in shown if trial.status == status]
        groups.append(_dots(of_status, kind, lambda trial: place_of_trial(trial, dimension)))
    title = title_of(dimension.key)
    svg = line_chart(
        [],
        title=f"Accuracy by {name_of(dimension.key)}",
        x=Axis(
            low=-0.04 if isinstance(dimension, Range) else -ROOM,
            high=1.04 if isinstance(dimension, Range) else len(dimension.values) - 1 + ROOM,
            ticks=_range_ticks(dimension),
            tell=tell,
            label=dimension.key,
        ),
        y=height_axis([y for group in groups for y in group.ys], is_share=True),
        dots=groups,
        size=SMALL,
        legend=False,
    )
    return Chart(title=title, svg=svg, caption="")


def search_chart(trials: Sequence[Trial]) -> Chart | None:
    """Draw the accuracy of trials in their order, and the best so far; None with less than two."""
    done = [trial for trial in trials if trial.result is not None]
    if len(done) < 2:
        return None
    best, bests = -math.inf, []
    for trial in done:
        if trial.result is not None and trial.status == "finished":
            best = max(best, trial.result.val_accuracy)
        bests.append(best)
    xs = [float(trial.number + 1) for trial in done]
    groups = [
        _dots([t for t in done if t.status == status], kind, lambda trial: trial.number + 1.0)
        for status, kind in (("finished", "s1"), ("pruned", "raw"))
    ]
    low, high = widened(min(xs), max(xs))
    svg = line_chart(
        [Line(name="best so far", kind="s2", xs=xs, ys=bests, dots=False)],
        title="Accuracy trial by trial",
        x=Axis(
            low=low,
            high=high,
            ticks=[(x, f"{x:,.0f}") for x in round_ticks(min(xs), max(xs), most=8, whole=True)],
            tell=lambda x: f"trial {x:.0f}",
            label="trial",
        ),
        y=height_axis([y for group in groups for y in group.ys], is_share=True),
        dots=groups,
        size=LARGE,
    )
    caption = "Each dot is a trial; grey ones were stopped early. The line is the best so far."
    return Chart(title="Trial by trial", svg=svg, caption=caption)


def place_of_trial(trial: Trial, dimension: Factor | Range) -> float:
    """Return where a trial stands along a dimension."""
    return place_of(trial.settings[dimension.key], dimension)


def colour(place: int) -> str:
    """Return the class of the colour of a field's value, by its place among the values."""
    return f"s{place % NUM_COLOURS + 1}"


def _dots(trials: Sequence[Trial], kind: str, at: Callable[[Trial], float]) -> Dots:
    results = [(trial, trial.result) for trial in trials if trial.result is not None]
    return Dots(
        kind=kind,
        xs=[at(trial) for trial, _ in results],
        ys=[result.val_accuracy for _, result in results],
        names=[
            f"trial {trial.number + 1}: {100 * result.val_accuracy:.1f} %"
            for trial, result in results
        ],
    )


def _curves(
    trials: Sequence[Trial], factor: Factor, key: Measure, train_key: str, title: str
) -> Chart | None:
    curves = value_curves(trials, factor, measure=key)
    if not any(map(math.isfinite, (y for curve in curves for y in curve.mean))):
        return None
    lines, bands = [], []
    for curve in curves:
        kind = colour(factor.values.index(curve.value))
        lines.append(_line(curve, value_text(curve.value), kind))
        bands.append(_band(curve, kind))
    if len(curves) <= MAX_WITH_TRAINING:
        for curve in value_curves(trials, factor, measure=_measure(train_key)):
            kind = f"{colour(factor.values.index(curve.value))} faint"
            lines.append(_line(curve, f"{value_text(curve.value)}, training photos", kind))
    heights = [y for line in lines for y in line.ys]
    heights += [y for band in bands for ends in (band.lows, band.highs) for y in ends]
    epochs = [float(epoch) for curve in curves for epoch in curve.epochs]
    y = height_axis(heights, is_share=key == "val_accuracy")
    if key == "val_loss" and wants_logarithm(heights):
        lines, bands = [_log_line(line) for line in lines], [_log_band(band) for band in bands]
        y = log_height_axis([_log(height) for height in heights])
    svg = line_chart(
        lines,
        title=f"{title} over the epochs by {name_of(factor.key)}",
        x=_epoch_axis(epochs),
        y=y,
        bands=[band for band in bands if all(map(math.isfinite, band.lows))],
        size=LARGE,
        legend=False,
    )
    return Chart(title=title, svg=svg, caption="")


def _measure(key: str) -> Measure:
    return "train_accuracy" if key == "train_accuracy" else "train_loss"


def _line(curve: ValueCurve, name: str, kind: str) -> Line:
    xs = [float(epoch) for epoch in curve.epochs]
    has_dots = "faint" not in kind and len(xs) <= MAX_EPOCH_DOTS
    return Line(name=name, kind=kind, xs=xs, ys=curve.mean, dots=has_dots)


def _band(curve: ValueCurve, kind: str) -> Band:
    xs = [float(epoch) for epoch in curve.epochs]
    return Band(kind=kind, xs=xs, lows=curve.low, highs=curve.high)


def _log(height: float) -> float:
    return math.log10(height) if height > 0 else math.nan


def _log_line(line: Line) -> Line:
    return replace(line, ys=[_log(y) for y in line.ys])


def _log_band(band: Band) -> Band:
    return replace(band, lows=[_log(y) for y in band.lows], highs=[_log(y) for y in band.highs])


def _legend(values: Sequence[Any]) -> tuple[Series, ...]:
    return tuple(
        Series(kind=colour(place), name=value_text(value)) for place, value in enumerate(values)
    )


def _value_axis(values: Sequence[Any], key: str) -> Axis:
    names = [value_text(value) for value in values]
    return Axis(
        low=-ROOM,
        high=len(values) - 1 + ROOM,
        ticks=[(float(place), name) for place, name in enumerate(names)],
        tell=lambda x: names[min(max(round(x), 0), len(names) - 1)],
        label=key,
    )


def _epoch_axis(epochs: Sequence[float]) -> Axis:
    low, high = widened(min(epochs), max(epochs))
    ticks = round_ticks(min(epochs), max(epochs), most=MAX_TICKS, whole=True)
    return Axis(
        low=low,
        high=high,
        ticks=[(tick, f"{tick:,.0f}") for tick in ticks],
        tell=lambda x: f"epoch {x:.0f}",
        label="epoch",
    )


def _range_ticks(dimension: Factor | Range) -> list[tuple[float, str]]:
    if isinstance(dimension, Factor):
        return [(float(place), value_text(one)) for place, one in enumerate(dimension.values)]
    if dimension.is_log:
        first, last = (math.log10(end) for end in (dimension.low, dimension.high))
        powers = range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)
        step = max(1, math.ceil(len(powers) / MAX_TICKS))
        return [
            (place_of(10.0**power, dimension), power_label(10.0**power)) for power in powers[::step]
        ]
    numbers = round_ticks(dimension.low, dimension.high, most=MAX_TICKS, whole=dimension.is_whole)
    return [(place_of(number, dimension), f"{number:,.10g}") for number in numbers]


def _teller(dimension: Factor | Range) -> Callable[[float], str]:
    if isinstance(dimension, Factor):
        names = [value_text(value) for value in dimension.values]
        return lambda x: names[min(max(round(x), 0), len(names) - 1)]
    return lambda x: f"{x:.3g}"
