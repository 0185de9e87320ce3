"""The report's figures, drawn with Matplotlib's objects and returned as inline SVG.

In: typed content. Out: `<svg>` text; the same content gives the same bytes.
One unit is one CSS pixel; figures are narrow, so that they stay readable on a phone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from fieldmark.report.entries import ClassCount, Epoch, Strength
from fieldmark.report.svg import (
    POINTS_PER_INCH,
    Ink,
    blank_figure,
    inline_svg,
    label_width,
    page_style,
    short_label,
)
from fieldmark.report.wording import CHART_CAPTIONS

WIDTH_PX = 400
CURVE_HEIGHT_PX = 260
LEFT_PX = 56
LEGEND_PX = 32
BAR_HEIGHT_PX = 24
MAX_LABEL_LETTERS = 30
PLAIN_LABEL_PX = 150
"""Room for labels within the usual width; longer ones widen the figure."""

LETTER_PX = 7.0
"""Average width of a letter at 12 px in common system fonts, a little generous."""

MAX_TICKS = 6
HEADROOM = 0.04
"""Room above 100 %, as a share of what is shown below it, so that a line there is seen whole."""

MAX_MARKED_POINTS = 20
"""Curves with more points than this are drawn without a dot on each."""

MIN_PLAIN, MAX_PLAIN = 0.01, 100.0
"""Strengths within are written out, others as powers of ten."""

SPLIT_INKS = {"train": Ink.TRAIN, "validation": Ink.VALIDATION, "test": Ink.TEST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure with the words that stand around it."""

    title: str
    svg: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart of curves; a NaN in `ys` is a gap."""

    name: str
    ys: Sequence[float]
    ink: str
    dash: str = "-"


@page_style()
def class_counts(counts: Sequence[ClassCount]) -> str:
    """Draw photos per class as horizontal bars stacked by split."""
    labels = {
        f"label {i}": short_label(c.name, width=MAX_LABEL_LETTERS) for i, c in enumerate(counts)
    }
    widest = max((label_width(text) for text in labels.values()), default=0)
    left = 14 + LETTER_PX * widest
    height = LEGEND_PX + 10 + BAR_HEIGHT_PX * len(counts)
    width = WIDTH_PX + max(0.0, left - PLAIN_LABEL_PX)
    figure = blank_figure(width_px=round(width), height_px=height)
    axes = _axes(figure, left=left, right=46, top=LEGEND_PX, bottom=10)
    _stack_bars(axes, counts)
    axes.set_yticks(range(len(counts)), list(labels))
    axes.set_ylim(len(counts) - 0.4, -0.6)
    axes.tick_params(left=False, bottom=False, labelbottom=False)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    _legend(figure, left_px=8)
    return inline_svg(figure, name="counts", title="Photos per class and split", labels=labels)


@page_style()
def epoch_charts(epochs: Sequence[Epoch]) -> tuple[Chart, ...]:
    """Draw loss, accuracy and learning rate over the epochs."""
    xs = [float(epoch.epoch) for epoch in epochs]
    loss = _pair([e.train_loss for e in epochs], [e.val_loss for e in epochs])
    accuracy = _pair([e.train_accuracy for e in epochs], [e.val_accuracy for e in epochs])
    lr = [Line(name="learning rate", ys=[e.lr for e in epochs], ink=Ink.TEST)]
    return (
        _epoch_chart("epoch-loss", "Loss over the epochs", xs=xs, lines=loss),
        _epoch_chart("epoch-accuracy", "Accuracy over the epochs", xs=xs, lines=accuracy),
        _epoch_chart("epoch-lr", "Learning rate", xs=xs, lines=lr),
    )


@page_style()
def strength_charts(strengths: Sequence[Strength]) -> tuple[Chart, ...]:
    """Draw accuracy and loss over the strengths of regularisation tried, the chosen one marked."""
    ordered = sorted(strengths, key=lambda strength: strength.l2)
    accuracy = _pair([s.train_accuracy for s in ordered], [s.val_accuracy for s in ordered])
    loss = _pair([s.train_loss for s in ordered], [s.val_loss for s in ordered])
    return (
        _strength_chart("strength-accuracy", "Accuracy by strength", ordered, lines=accuracy),
        _strength_chart("strength-loss", "Loss by strength", ordered, lines=loss),
    )


def strength_label(l2: float) -> str:
    """Return a strength as `"0.01"`, and a very small or large one as `"10⁻⁵"` or `"3·10⁻⁵"`."""
    if l2 == 0 or MIN_PLAIN <= l2 < MAX_PLAIN:
        return f"{l2:.2g}"
    digits, _, power = f"{l2:.1e}".partition("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    factor = "" if digits == "1.0" else f"{digits.removesuffix('.0')}·"
    return f"{factor}10{raised}"


def _epoch_chart(name: str, title: str, *, xs: Sequence[float], lines: Sequence[Line]) -> Chart:
    figure, axes = _curves(xs, lines, shares="accuracy" in name)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=MAX_TICKS, integer=True))
    if len(lines) > 1:
        _legend(figure, left_px=LEFT_PX)
    return _chart(figure, name=name, title=title)


def _strength_chart(
    name: str, title: str, ordered: Sequence[Strength], *, lines: Sequence[Line]
) -> Chart:
    """Place strengths by their logarithm, or evenly where one of them is zero."""
    logarithmic = all(strength.l2 > 0 for strength in ordered)
    xs = [math.log10(s.l2) if logarithmic else float(i) for i, s in enumerate(ordered)]
    figure, axes = _curves(xs, lines, shares="accuracy" in name)
    axes.set_xlabel("strength (L2 penalty)")
    step = math.ceil(len(xs) / MAX_TICKS)
    axes.set_xticks(xs[::step], [strength_label(s.l2) for s in ordered[::step]])
    for x, strength in zip(xs, ordered, strict=True):
        if strength.chosen:
            axes.axvline(x, color=Ink.MARK, linestyle=":", linewidth=1.5, label="chosen")
    _legend(figure, left_px=LEFT_PX)
    return _chart(figure, name=name, title=title)


def _chart(figure: Figure, *, name: str, title: str) -> Chart:
    svg = inline_svg(figure, name=name, title=title)
    return Chart(title=title, svg=svg, caption=CHART_CAPTIONS[name])


def _pair(train: Sequence[float], validation: Sequence[float]) -> list[Line]:
    return [
        Line(name="training", ys=train, ink=Ink.TRAIN),
        Line(name="validation", ys=validation, ink=Ink.VALIDATION, dash="--"),
    ]


def _curves(xs: Sequence[float], lines: Sequence[Line], *, shares: bool) -> tuple[Figure, Axes]:
    figure = blank_figure(width_px=WIDTH_PX, height_px=CURVE_HEIGHT_PX)
    axes = _axes(figure, left=LEFT_PX, right=14, top=LEGEND_PX, bottom=44)
    marker = "o" if len(xs) <= MAX_MARKED_POINTS else ""
    for line in lines:
        (drawn,) = axes.plot(xs, line.ys, line.dash, color=line.ink, label=line.name, linewidth=2)
        drawn.set_marker(marker)
        drawn.set_markersize(4.5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=MAX_TICKS))
    if shares:
        axes.yaxis.set_major_formatter(FuncFormatter(_percent_tick))
        low, high = axes.get_ylim()
        axes.set_ylim(low, min(high, 1 + HEADROOM * (1 - low)))
    return figure, axes


def _percent_tick(value: float, _position: int | None) -> str:
    return f"{100 * value:.10g} %" if abs(value) <= 1 else ""


def _stack_bars(axes: Axes, counts: Sequence[ClassCount]) -> None:
    rows = range(len(counts))
    starts = [0] * len(counts)
    splits: list[tuple[str, Callable[[ClassCount], int]]] = [
        ("train", lambda c: c.train),
        ("validation", lambda c: c.validation),
        ("test", lambda c: c.test),
    ]
    for name, of in splits:
        lengths = [of(c) for c in counts]
        axes.barh(rows, lengths, left=starts, height=0.68, color=SPLIT_INKS[name], label=name)
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    for row, total in zip(rows, starts, strict=True):
        axes.annotate(
            f"{total:,}",
            (total, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=Ink.TEXT,
        )


def _axes(figure: Figure, *, left: float, right: float, top: float, bottom: float) -> Axes:
    width, height = figure.get_size_inches() * POINTS_PER_INCH
    axes = figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    )
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=Ink.GRID, linewidth=1)
    axes.tick_params(colors=Ink.TEXT, length=0, pad=6)
    axes.xaxis.label.set_color(Ink.TEXT)
    axes.xaxis.set_minor_locator(NullLocator())
    for name, side in axes.spines.items():
        side.set_visible(name == "bottom")
        side.set_color(Ink.GRID)
    return axes


def _legend(figure: Figure, *, left_px: float) -> None:
    """Put the legend in the top `LEGEND_PX` of the figure, from `left_px` on."""
    width, height = figure.get_size_inches() * POINTS_PER_INCH
    figure.legend(
        loc="lower left",
        bbox_to_anchor=(left_px / width, 1 - LEGEND_PX / height),
        ncols=len(SPLIT_INKS),
        frameon=False,
        labelcolor=Ink.TEXT,
        handlelength=1.6,
        borderaxespad=0.3,
        borderpad=0.2,
        columnspacing=1.6,
    )
