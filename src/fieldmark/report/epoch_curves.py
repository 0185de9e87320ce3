"""The charts of what was scored after each epoch.

In: the epochs. Out: `Chart`s, a line for each split that was scored.
Not covered: other charts of learning (`curves`), how lines are drawn (`plot`), the same numbers as
a table (`epoch_table`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fieldmark.report.charts import (
    MARGIN,
    MAX_TICKS,
    Chart,
    height_axis,
    log_height_axis,
    wants_logarithm,
    widened,
)
from fieldmark.report.entries import Epoch
from fieldmark.report.measures import MEASURES, SPLITS, Measure
from fieldmark.report.plot import LARGE, SMALL, Axis, Line, Mark, Size, line_chart
from fieldmark.report.scales import round_ticks

CAPTIONS: Mapping[str, str] = {
    "loss": (
        "How far off the answers are: all lines should fall, and where that of photos it does not "
        "learn from turns up while the training line still falls, learning by heart has begun."
    ),
    "accuracy": (
        "The share of photos named right: all lines should rise; the training line can be the "
        "lowest where its photos are altered at random and so made harder."
    ),
    "precision": "When it names a class, how often that is right: the average over the classes.",
    "recall": "Of the photos of a class, how many it finds: the average over the classes.",
    "top_k": "How often the right class is among its five likeliest guesses.",
    "thresholded_precision": "Of the answers it is more than half sure of, how many are right.",
    "thresholded_recall": "Of all photos, how many it names right and is more than half sure of.",
    "lr": "The size of its steps: most plans end with small ones, to settle.",
    "images_per_second": (
        "Photos learned from per second: a dip means that the machine was busy otherwise."
    ),
}
"""How to read each chart, in one sentence."""

CLASSES = {"train": "train", "val": "validation", "test": "test"}
"""The class in the style sheet of each split's line, by the prefix of its columns."""

NUM_FIRST = 2
"""How many scores are drawn large: loss and accuracy."""

ALONE = (("lr", "Learning rate"), ("images_per_second", "Photos per second"))
"""Columns and titles of the charts of a single line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochCharts:
    """The charts over the epochs: those to look at first, and smaller ones."""

    first: tuple[Chart, ...]
    more: tuple[Chart, ...]


def epoch_charts(epochs: Sequence[Epoch], *, kept_epoch: int | None = None) -> EpochCharts:
    """Draw everything that was measured over the epochs, the epoch that is kept marked.

    What was not measured has no chart, and nothing has one where there is a single epoch. Neither
    has a top-k accuracy of 100 % throughout, as it is of course with few classes.
    """
    if len(epochs) < 2:
        return EpochCharts(first=(), more=())

    def drawn(measures: Sequence[Measure], size: Size) -> tuple[Chart, ...]:
        charts = (_scores(one, epochs, kept=kept_epoch, size=size) for one in measures)
        return tuple(chart for chart in charts if chart is not None)

    alone = (_alone(key, title, epochs) for key, title in ALONE)
    return EpochCharts(
        first=drawn(MEASURES[:NUM_FIRST], LARGE),
        more=drawn(MEASURES[NUM_FIRST:], SMALL) + tuple(chart for chart in alone if chart),
    )


def _scores(
    measure: Measure, epochs: Sequence[Epoch], *, kept: int | None, size: Size
) -> Chart | None:
    """Draw one score of every split; None where it was taken of none."""
    xs = [float(epoch.epoch) for epoch in epochs]
    lines = [
        Line(
            name=name,
            kind=CLASSES[prefix],
            xs=xs,
            ys=[measure.of(epoch, prefix) for epoch in epochs],
        )
        for name, prefix in SPLITS
    ]
    lines = [line for line in lines if any(map(math.isfinite, line.ys))]
    values = [y for line in lines for y in line.ys if math.isfinite(y)]
    if not lines or (measure.key == "top_k" and set(values) == {1.0}):
        return None
    title = measure.title if size is SMALL else f"{measure.title} over the epochs"
    y_axis = height_axis(values, is_share=measure.is_share)
    if not measure.is_share and wants_logarithm(values):
        lines = [replace(line, ys=[math.log10(y) for y in line.ys]) for line in lines]
        y_axis = log_height_axis([y for line in lines for y in line.ys])
    svg = line_chart(
        lines,
        title=title,
        x=_epoch_axis(xs),
        y=y_axis,
        marks=[Mark(name="kept", x=kept)] if kept in xs else [],
        size=size,
    )
    return Chart(title=title, svg=svg, caption=CAPTIONS[measure.key])


def _alone(key: str, title: str, epochs: Sequence[Epoch]) -> Chart | None:
    """Draw one column from zero on, without a legend; None where it was not measured."""
    xs = [float(epoch.epoch) for epoch in epochs]
    ys: list[float] = [getattr(epoch, key) for epoch in epochs]
    if not any(map(math.isfinite, ys)):
        return None
    svg = line_chart(
        [Line(name=title.lower(), kind="alone", xs=xs, ys=ys)],
        title=title,
        x=_epoch_axis(xs),
        y=height_axis(ys, from_zero=True),
        size=SMALL,
        legend=False,
    )
    return Chart(title=title, svg=svg, caption=CAPTIONS[key])


def _epoch_axis(xs: Sequence[float]) -> Axis:
    low, high = widened(min(xs), max(xs), margin=MARGIN / 2)
    numbers = round_ticks(min(xs), max(xs), most=MAX_TICKS, whole=True)
    return Axis(
        low=low,
        high=high,
        ticks=[(number, f"{number:,.0f}") for number in numbers],
        tell=lambda x: f"epoch {x:.0f}",
        label="epoch",
    )
