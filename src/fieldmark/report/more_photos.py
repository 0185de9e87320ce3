"""Would more photos help? The learning curve as a sentence, a chart and a table.

In: a `LearningCurve`. Out: `MorePhotos`, for the report and the model card.
Not covered: measuring it (`fieldmark.more_photos`) and the law behind it (`evaluation.power_law`).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fieldmark.base.counting import counted
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.learning_curve_document import Backtest, Curve, LearningCurve
from fieldmark.evaluation.power_law import PowerLaw
from fieldmark.report.charts import Chart, height_axis, widened
from fieldmark.report.plot import Axis, Band, Line, Mark, line_chart
from fieldmark.report.scales import log_ticks
from fieldmark.report.wording import interval, percent, points

WORTH_IT = 0.005
"""Half a point, 5 photos in 1,000: less is hardly seen in use."""
LINE_POINTS = 20
MAX_SIZES = 5
"""Numbers at the axis of sizes: they have up to seven digits."""
CAPTION = (
    "The dots were measured. From there the dashed line follows the power law that was fitted to "
    "them; the shaded area is the 95\u00a0% interval. Equal steps to the right double the photos."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOutlook:
    """What twice as many photos would do for one class."""

    name: str
    num_photos: int
    """Photos of it that were learned from."""
    measured: Estimate
    """Its recall now."""
    expected: Estimate
    gain: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class MorePhotos:
    """What a page says of the learning curve."""

    sentence: str
    check: str
    """Whether the method would have foretold what is known; nothing where that is not known."""
    method: str
    chart: Chart
    classes: tuple[ClassOutlook, ...]
    """The class that would gain most first."""


def more_photos_content(curve: LearningCurve | None, *, is_probe: bool) -> MorePhotos | None:
    """Lay out a learning curve; None where none was measured.

    Args:
        curve: what was measured.
        is_probe: whether the run itself is a linear head on a frozen network, as the curve is.
    """
    if curve is None:
        return None
    return MorePhotos(
        sentence=_sentence(curve.overall, is_probe=is_probe),
        check=_check(curve.backtest) if curve.backtest else "",
        method=curve.method,
        chart=_chart(curve.overall),
        classes=tuple(
            sorted(
                (_outlook(name, one) for name, one in curve.per_class.items()),
                key=lambda row: (-row.gain.value, row.name),
            )
        ),
    )


def _sentence(curve: Curve, *, is_probe: bool) -> str:
    ahead, now = curve.forecasts[0], curve.points[-1]
    subject = "it" if is_probe else "a linear head on the pretrained network"
    return (
        f"{_answer(ahead.gain)} Learning from twice as many photos ({ahead.num_photos:,} instead "
        f"of {now.num_photos:,}), {subject} can be expected to name "
        f"{percent(ahead.accuracy.value)} right ({interval(ahead.accuracy)}): a gain of "
        f"{points(ahead.gain)}."
    )


def _answer(gain: Estimate) -> str:
    if gain.high < WORTH_IT:
        return "Hardly."
    return "Yes." if gain.low >= WORTH_IT else "Perhaps a little."


def _check(backtest: Backtest) -> str:
    foretold = backtest.foretold
    told = (
        f"Put to the test: the smaller numbers of photos alone would have promised "
        f"{percent(foretold.value)} ({interval(foretold)}) of all "
        f"{counted(backtest.num_photos, 'photo')}, and {percent(backtest.measured)} came out."
    )
    if foretold.low <= backtest.measured <= foretold.high:
        return told
    better = "more" if backtest.measured > foretold.high else "less"
    return f"{told} That is {better} than promised, so take the outlook with care."


def _outlook(name: str, curve: Curve) -> ClassOutlook:
    return ClassOutlook(
        name=name,
        num_photos=curve.points[-1].num_photos,
        measured=curve.points[-1].accuracy,
        expected=curve.forecasts[0].accuracy,
        gain=curve.forecasts[0].gain,
    )


def _chart(curve: Curve) -> Chart:
    known = [(point.num_photos, point.accuracy) for point in curve.points]
    ahead = [(forecast.num_photos, forecast.accuracy) for forecast in curve.forecasts]
    now, measured = known[-1]
    sizes = np.geomspace(now, ahead[-1][0], LINE_POINTS)
    law = [_ahead(curve.law, measured.value, now=now, size=size) for size in sizes.tolist()]
    band = Band(
        kind="test",
        xs=[math.log10(size) for size, _ in known + ahead],
        lows=[estimate.low for _, estimate in known + ahead],
        highs=[estimate.high for _, estimate in known + ahead],
    )
    lines = [
        Line(name="expected", kind="ahead", xs=np.log10(sizes).tolist(), ys=law, dots=False),
        Line(
            name="measured",
            kind="test",
            xs=[math.log10(size) for size, _ in known],
            ys=[estimate.value for _, estimate in known],
        ),
    ]
    title = "Accuracy by the number of photos"
    svg = line_chart(
        lines,
        title=title,
        x=_size_axis(size for size, _ in known + ahead),
        y=height_axis([*band.lows, *band.highs, *law], is_share=True),
        marks=[Mark(name="now", x=math.log10(now))],
        bands=[band],
    )
    return Chart(title=title, svg=svg, caption=CAPTION)


def _ahead(law: PowerLaw, accuracy: float, *, now: int, size: float) -> float:
    """Return the accuracy at more photos, where the law begins at what was measured."""
    present = law.error(now)
    return 1 - (1 - accuracy) * (law.error(size) / present if present > 0 else 1.0)


def _size_axis(sizes: Iterable[int]) -> Axis:
    known = sorted(sizes)
    low, high = widened(math.log10(known[0]), math.log10(known[-1]))
    ticks = log_ticks(10**low, 10**high)
    step = math.ceil(len(ticks) / MAX_SIZES)
    return Axis(
        low=low,
        high=high,
        ticks=[(math.log10(tick), f"{tick:,}") for tick in ticks[::step]],
        tell=lambda place: counted(round(10**place), "photo"),
        label="photos learned from",
    )
