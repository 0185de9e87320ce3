"""The charts of how learning went: over epochs, over strengths, over learning rates.

In: typed entries. Out: `Chart`s, SVG with the words around it.
Not covered: how lines are drawn (`plot`), what else is told of the training (`course`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fieldmark.report.entries import Epoch, RangeTest, Strength
from fieldmark.report.plot import LARGE, SMALL, Axis, Line, Mark, Size, line_chart
from fieldmark.report.scales import power_label, round_ticks, strength_label
from fieldmark.report.wording import percent

MAX_TICKS = 7
MAX_POWERS = 8
"""The same for powers of ten, which are short."""

MARGIN = 0.05
"""Room beyond the ends of the lines, as a share of what lies between them."""

TINY = 1e-3
"""Numbers on an axis that ends below this are written as powers of ten."""

MAX_RISE = 1.5
"""A range test is drawn up to this share above the span of its smoothed loss."""

CAPTIONS: Mapping[str, str] = {
    "loss": (
        "How far off the answers are: both lines should fall, and where the validation line turns "
        "up while the training line still falls, learning by heart has begun."
    ),
    "accuracy": (
        "The share of photos named right: both lines should rise; the training line can be the "
        "lower one where its photos are altered at random and so made harder."
    ),
    "precision": "When it names a class, how often that is right: the average over the classes.",
    "recall": "Of the photos of a class, how many it finds: the average over the classes.",
    "top_k": "How often the right class is among its five likeliest guesses.",
    "lr": "The size of its steps: most plans end with small ones, to settle.",
    "images_per_second": (
        "Photos learned from per second: a dip means that the machine was busy otherwise."
    ),
    "strength-accuracy": (
        "To the left the classifier may fit the training photos too closely, to the right it is "
        "held back too much: the best place is where validation photos do well."
    ),
    "strength-loss": (
        "The loss also counts how sure the answers are, so it tells strengths of equal accuracy "
        "apart; why the marked one was chosen stands beside l2 in the recipe."
    ),
    "range": (
        "The learning rate grows from left to right: a good one lies where the loss falls "
        "fast, well before it shoots up."
    ),
}
"""How to read each chart, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure with the words that stand around it."""

    title: str
    svg: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochCharts:
    """The charts over the epochs: those to look at first, and smaller ones."""

    first: tuple[Chart, ...]
    more: tuple[Chart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """One chart over the epochs: its columns, and how its numbers are told."""

    key: str
    title: str
    columns: tuple[tuple[str, str, str], ...]
    """Name, class in the style sheet and field of `Epoch`."""
    is_share: bool = False
    from_zero: bool = False
    names_lines: bool = True
    """Whether lines and the kept epoch are named in a legend; else there is one line alone."""


def _both(key: str) -> tuple[tuple[str, str, str], ...]:
    return (("training", "train", f"train_{key}"), ("validation", "validation", f"val_{key}"))


FIRST = (
    _Measure(key="loss", title="Loss over the epochs", columns=_both("loss")),
    _Measure(
        key="accuracy", title="Accuracy over the epochs", columns=_both("accuracy"), is_share=True
    ),
)
MORE = (
    _Measure(key="precision", title="Precision", columns=_both("precision"), is_share=True),
    _Measure(key="recall", title="Recall", columns=_both("recall"), is_share=True),
    _Measure(key="top_k", title="Top-5 accuracy", columns=_both("top_k"), is_share=True),
    _Measure(
        key="lr",
        title="Learning rate",
        columns=(("learning rate", "test", "lr"),),
        from_zero=True,
        names_lines=False,
    ),
    _Measure(
        key="images_per_second",
        title="Photos per second",
        columns=(("photos per second", "test", "images_per_second"),),
        from_zero=True,
        names_lines=False,
    ),
)


def epoch_charts(epochs: Sequence[Epoch], *, kept_epoch: int | None = None) -> EpochCharts:
    """Draw everything that was measured over the epochs, the epoch that is kept marked.

    What was not measured has no chart, and nothing has one where there is a single epoch. Neither
    has a top-k accuracy of 100 % throughout, as it is of course with few classes.
    """
    if len(epochs) < 2:
        return EpochCharts(first=(), more=())

    def drawn(measures: Sequence[_Measure], size: Size) -> tuple[Chart, ...]:
        charts = (_epoch_chart(one, epochs, kept=kept_epoch, size=size) for one in measures)
        return tuple(chart for chart in charts if chart is not None)

    return EpochCharts(first=drawn(FIRST, LARGE), more=drawn(MORE, SMALL))


def strength_charts(strengths: Sequence[Strength]) -> tuple[Chart, ...]:
    """Draw accuracy and loss over the strengths of regularisation tried, the chosen one marked.

    Strengths stand by their logarithm, or evenly spaced where one of them is zero.
    """
    ordered = sorted(strengths, key=lambda strength: strength.l2)
    logarithmic = all(strength.l2 > 0 for strength in ordered)
    xs = [math.log10(s.l2) if logarithmic else float(i) for i, s in enumerate(ordered)]
    names = {x: strength_label(s.l2) for x, s in zip(xs, ordered, strict=True)}
    step = math.ceil(len(xs) / MAX_TICKS)
    low, high = _widened(min(xs), max(xs))
    axis = Axis(
        low=low,
        high=high,
        ticks=[(x, names[x]) for x in xs[::step]],
        tell=lambda x: f"strength {names.get(x, '')}",
        label="strength (L2 penalty)",
    )
    marks = [Mark(name="chosen", x=x) for x, s in zip(xs, ordered, strict=True) if s.chosen]
    charts = []
    for key, is_share in (("accuracy", True), ("loss", False)):
        lines = [
            Line(name=name, kind=kind, xs=xs, ys=[getattr(s, field) for s in ordered])
            for name, kind, field in _both(key)
        ]
        title = f"{key.capitalize()} by strength"
        y = _height([y for line in lines for y in line.ys], is_share=is_share)
        svg = line_chart(lines, title=title, x=axis, y=y, marks=marks)
        charts.append(Chart(title=title, svg=svg, caption=CAPTIONS[f"strength-{key}"]))
    return tuple(charts)


def range_chart(test: RangeTest) -> Chart:
    """Draw the loss over the learning rate, by its logarithm, with the chosen rate marked."""
    xs = [math.log10(rate) for rate in test.rates]
    low, high = _widened(min(xs), max(xs))
    powers = round_ticks(low, high, most=MAX_POWERS, whole=True)
    x = Axis(
        low=low,
        high=high,
        ticks=[(power, power_label(10.0**power)) for power in powers],
        tell=lambda place: f"learning rate {rate_text(10.0**place)}",
        label="learning rate",
    )
    smoothed = [loss for loss in test.smoothed if math.isfinite(loss)]
    most = min(smoothed) + MAX_RISE * (max(smoothed) - min(smoothed)) if smoothed else math.inf
    losses = [loss for loss in test.losses if loss <= most]
    marks = [Mark(name="chosen", x=math.log10(test.chosen))] if test.chosen else []
    lines = [
        Line(name="loss", kind="raw", xs=xs, ys=test.losses, dots=False),
        Line(name="smoothed", kind="train", xs=xs, ys=test.smoothed, dots=False),
    ]
    y = _height([*losses, *smoothed])
    title = "Learning rate range test"
    svg = line_chart(lines, title=title, x=x, y=y, marks=marks, size=SMALL)
    return Chart(title=title, svg=svg, caption=CAPTIONS["range"])


def rate_text(rate: float) -> str:
    """Return a learning rate as `"0.001"`, or as `"3·10⁻⁵"` where it is small."""
    return f"{rate:.2g}" if rate >= TINY or rate == 0 else power_label(rate)


def _epoch_chart(
    measure: _Measure, epochs: Sequence[Epoch], *, kept: int | None, size: Size
) -> Chart | None:
    xs = [float(epoch.epoch) for epoch in epochs]
    lines = [
        Line(name=name, kind=kind, xs=xs, ys=[getattr(epoch, field) for epoch in epochs])
        for name, kind, field in measure.columns
    ]
    lines = [line for line in lines if any(map(math.isfinite, line.ys))]
    values = {y for line in lines for y in line.ys if math.isfinite(y)}
    if not lines or (measure.key == "top_k" and values == {1.0}):
        return None
    svg = line_chart(
        lines,
        title=measure.title,
        x=_epoch_axis(xs),
        y=_height(tuple(values), is_share=measure.is_share, from_zero=measure.from_zero),
        marks=[Mark(name="kept", x=kept)] if measure.names_lines and kept in xs else [],
        size=size,
        legend=measure.names_lines,
    )
    return Chart(title=measure.title, svg=svg, caption=CAPTIONS[measure.key])


def _epoch_axis(xs: Sequence[float]) -> Axis:
    low, high = _widened(min(xs), max(xs), margin=MARGIN / 2)
    numbers = round_ticks(min(xs), max(xs), most=MAX_TICKS, whole=True)
    return Axis(
        low=low,
        high=high,
        ticks=[(number, f"{number:,.0f}") for number in numbers],
        tell=lambda x: f"epoch {x:.0f}",
        label="epoch",
    )


def _height(ys: Sequence[float], *, is_share: bool = False, from_zero: bool = False) -> Axis:
    """Return the upright axis that shows all these numbers, of which those not finite are left."""
    values = [y for y in ys if math.isfinite(y)] or [0.0]
    low, high = _widened(0.0 if from_zero else min(values), max(values))
    if min(values) >= 0:
        low = max(low, 0.0)
    if is_share:
        high = min(high, 1 + MARGIN * (1 - low))
    ticks = round_ticks(low, high, most=MAX_TICKS)
    write = _percent_tick if is_share else _number_tick(max(map(abs, ticks)))
    shown = [(tick, write(tick)) for tick in ticks if not is_share or tick <= 1]
    return Axis(low=low, high=high, ticks=shown, tell=percent if is_share else _told)


def _widened(low: float, high: float, *, margin: float = MARGIN) -> tuple[float, float]:
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
