"""The charts of what was tried out: strengths of regularisation, learning rates.

In: typed entries. Out: `Chart`s, SVG with the words around it.
Not covered: the charts over the epochs (`epoch_curves`), how lines are drawn (`plot`).
"""

import math
from collections.abc import Mapping, Sequence

from fieldmark.report.charts import MAX_TICKS, Chart, height_axis, widened
from fieldmark.report.entries import RangeTest, Strength
from fieldmark.report.plot import SMALL, Axis, Line, Mark, line_chart
from fieldmark.report.scales import power_label, rate_label, round_ticks, strength_label

MAX_POWERS = 8
"""How many powers of ten stand at an axis; they are short."""

MAX_RISE = 1.5
"""A range test is drawn up to this share above the span of its smoothed loss."""

CAPTIONS: Mapping[str, str] = {
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


def strength_charts(strengths: Sequence[Strength]) -> tuple[Chart, ...]:
    """Draw accuracy and loss over the strengths of regularisation tried, the chosen one marked.

    Strengths stand by their logarithm, or evenly spaced where one of them is zero.
    """
    ordered = sorted(strengths, key=lambda strength: strength.l2)
    logarithmic = all(strength.l2 > 0 for strength in ordered)
    xs = [math.log10(s.l2) if logarithmic else float(i) for i, s in enumerate(ordered)]
    names = {x: strength_label(s.l2) for x, s in zip(xs, ordered, strict=True)}
    step = math.ceil(len(xs) / MAX_TICKS)
    low, high = widened(min(xs), max(xs))
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
            for name, kind, field in (
                ("training", "train", f"train_{key}"),
                ("validation", "validation", f"val_{key}"),
            )
        ]
        title = f"{key.capitalize()} by strength"
        y = height_axis([y for line in lines for y in line.ys], is_share=is_share)
        svg = line_chart(lines, title=title, x=axis, y=y, marks=marks)
        charts.append(Chart(title=title, svg=svg, caption=CAPTIONS[f"strength-{key}"]))
    return tuple(charts)


def range_chart(test: RangeTest) -> Chart:
    """Draw the loss over the learning rate, by its logarithm, with the chosen rate marked."""
    xs = [math.log10(rate) for rate in test.rates]
    low, high = widened(min(xs), max(xs))
    powers = round_ticks(low, high, most=MAX_POWERS, whole=True)
    x = Axis(
        low=low,
        high=high,
        ticks=[(power, power_label(10.0**power)) for power in powers],
        tell=lambda place: f"learning rate {rate_label(10.0**place)}",
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
    y = height_axis([*losses, *smoothed])
    title = "Learning rate range test"
    svg = line_chart(lines, title=title, x=x, y=y, marks=marks, size=SMALL)
    return Chart(title=title, svg=svg, caption=CAPTIONS["range"])
