"""How far the confidence of the answers can be trusted, and what not answering comes to.

In: an `Evaluation`. Out: `ConfidenceContent`: a sentence, two charts and the rows of a table.
Not covered: where the numbers come from (`evaluation.decision`, `evaluation.evaluation`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.reliability import CalibrationBin
from fieldmark.report.charts import MARGIN, Chart, height_axis
from fieldmark.report.plot import Axis, Line, Mark, line_chart
from fieldmark.report.wording import percent

TENTHS = tuple(place / 10 for place in range(0, 11, 2))
"""Where numbers stand on an axis of shares."""

CAPTIONS: Mapping[str, str] = {
    "reliability": (
        "Photos are sorted into 15 bins by how sure the answer is: on the straight line answers "
        "given with 80\u00a0% confidence are right in 80\u00a0% of cases, below it the classifier "
        "is too sure of itself; bins with few photos lie far off by chance."
    ),
    "coverage": (
        "The surest photos stand to the left: the further to the right, the more photos are "
        "answered, and the more of the answers are wrong."
    ),
}
"""How to read each chart, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceRow:
    """One number of the table."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceContent:
    """What the section says and shows."""

    sentence: str
    charts: tuple[Chart, ...]
    rows: tuple[ConfidenceRow, ...]


def confidence_content(evaluation: Evaluation) -> ConfidenceContent:
    """Lay out calibration, abstention and sets of classes."""
    return ConfidenceContent(
        sentence=_sentence(evaluation),
        charts=(
            reliability_chart(evaluation),
            *((coverage_chart(evaluation),) if evaluation.abstention.curve else ()),
        ),
        rows=(*_calibration(evaluation), *_abstention(evaluation), *_sets(evaluation)),
    )


def reliability_chart(evaluation: Evaluation) -> Chart:
    """Draw accuracy over confidence, before and after the temperature where there is one."""
    calibration = evaluation.calibration
    ideal = Line(name="ideal", kind="raw", xs=(0.0, 1.0), ys=(0.0, 1.0), dots=False)
    lines = [ideal]
    if calibration.temperature != 1:
        lines.append(_reliability(calibration.bins_before, name="before", kind="validation"))
    lines.append(_reliability(calibration.bins, name="as shown", kind="test"))
    title = "Accuracy by confidence"
    svg = line_chart(lines, title=title, x=_shares("confidence"), y=_shares(""))
    return Chart(title=title, svg=svg, caption=CAPTIONS["reliability"])


def coverage_chart(evaluation: Evaluation) -> Chart:
    """Draw the accuracy of the answers given over the share of photos answered."""
    abstention = evaluation.abstention
    xs = [point.answered for point in abstention.curve]
    ys = [point.accuracy for point in abstention.curve]
    line = Line(name="accuracy", kind="test", xs=xs, ys=ys, dots=len(xs) == 1)
    answered = abstention.answered
    marks = [Mark(name="threshold", x=answered.value)] if answered else []
    title = "Accuracy by share answered"
    y = height_axis([*ys, 1.0], is_share=True)
    svg = line_chart([line], title=title, x=_shares("share of photos answered"), y=y, marks=marks)
    return Chart(title=title, svg=svg, caption=CAPTIONS["coverage"])


def _reliability(bins: Sequence[CalibrationBin], *, name: str, kind: str) -> Line:
    filled = [each for each in bins if each.confidence is not None]
    return Line(
        name=name,
        kind=kind,
        xs=[each.confidence or 0.0 for each in filled],
        ys=[math.nan if each.accuracy is None else each.accuracy for each in filled],
    )


def _shares(label: str) -> Axis:
    ticks = [(share, f"{100 * share:.0f} %") for share in TENTHS]
    return Axis(low=0.0, high=1.0 + MARGIN, ticks=ticks, tell=percent, label=label)


def _sentence(evaluation: Evaluation) -> str:
    calibration = evaluation.calibration
    told = f"Confidence and accuracy are {_points(calibration.ece_after)} points apart on average"
    if calibration.temperature != 1:
        told += f"; before it was calibrated it was {_points(calibration.ece_before)}"
    return f"{told}."


def _calibration(evaluation: Evaluation) -> Iterator[ConfidenceRow]:
    calibration = evaluation.calibration
    yield _row("Temperature", f"{calibration.temperature:.3g}", calibration.reason)
    yield _row(
        "Calibration error",
        with_interval(calibration.ece_after),
        "How far the confidence of the answers and the share of right ones are apart, on average "
        "over the bins; even a perfect classifier has a little, by chance.",
    )
    if calibration.temperature != 1:
        before = with_interval(calibration.ece_before)
        yield _row("Before it was calibrated", before, "The same at temperature 1.")


def _abstention(evaluation: Evaluation) -> Iterator[ConfidenceRow]:
    abstention = evaluation.abstention
    threshold = "none" if abstention.threshold is None else percent(abstention.threshold)
    yield _row("Least confidence to answer", threshold, abstention.reason)
    if abstention.answered and abstention.accuracy:
        meaning = "The share of test photos with that much confidence."
        yield _row("Answered", with_interval(abstention.answered), meaning)
        meaning = "The share of right answers among these."
        yield _row("Right of those answered", with_interval(abstention.accuracy), meaning)


def _sets(evaluation: Evaluation) -> Iterator[ConfidenceRow]:
    sets = evaluation.conformal
    if sets.coverage is None or sets.seen is None or sets.single is None or sets.mean_size is None:
        yield _row("Sets of classes", "none", sets.reason)
        return
    meaning = f"How often a set of classes shall hold the right one. {sets.reason}"
    yield _row("Coverage asked for", percent(sets.coverage), meaning)
    meaning = "The share of test photos whose set holds the right class."
    yield _row("Coverage seen", with_interval(sets.seen), meaning)
    meaning = "The share of test photos whose set is one class, so that there is no doubt."
    yield _row("Sets of one class", with_interval(sets.single), meaning)
    yield _row("Classes in a set", f"{sets.mean_size:.2f}", "On average.")


def _row(name: str, value: str, meaning: str) -> ConfidenceRow:
    return ConfidenceRow(name=name, value=value, meaning=meaning)


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f}"


def with_interval(estimate: Estimate) -> str:
    """Return a share in percent, as in `95.8 % (94.9 to 96.6 %)`."""
    low = percent(estimate.low).removesuffix("\u00a0%")
    return f"{percent(estimate.value)} ({low} to {percent(estimate.high)})"
