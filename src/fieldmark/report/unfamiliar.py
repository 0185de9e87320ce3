"""The score for photos unlike those of training: what it comes to on test photos, and its proof.

In: an `Evaluation`, the predictions and the answers of its photos. Out: `UnfamiliarContent`.
Not covered: where the numbers come from (`training.unfamiliar`, `evaluation.unfamiliar`).

Shapes: N test photos.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.counting import counted
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import UNLIKE, LeftOutClass, Unfamiliar, UnfamiliarRule
from fieldmark.report.answers import Answer
from fieldmark.report.charts import MAX_TICKS, Chart, log_height_axis
from fieldmark.report.confidence import ConfidenceRow, with_interval
from fieldmark.report.plot import Axis, Line, Mark, line_chart
from fieldmark.report.scales import round_ticks
from fieldmark.report.wording import percent

MAX_SHOWN = 12
"""The most unfamiliar test photos that are shown: two full rows of the page."""
NUM_BINS = 40
NONE_AT_ALL = 0.5
"""Where bins without photos stand on the logarithmic axis: below 1."""
TITLES: Mapping[str, str] = {
    "distance": "the distance to the classes",
    "energy": "the energy of the logits",
}
HOW: Mapping[str, str] = {
    "distance": (
        "The score is a distance among the features that the network makes of a photo: how near "
        "it lies to the nearest class, held against the middle of all classes, and how much of it "
        "lies where no photo of training does."
    ),
    "energy": (
        "The score is the energy of the logits, the numbers from which the probabilities are made: "
        "it is low where the network finds much that speaks for some class, and high where it "
        "finds little for any."
    ),
}
CAUTION = (
    "What is unlike the photos is told, not what is wrong: a photo of something else that looks "
    "like one of the classes passes, and an odd photo of a class does not."
)
CAPTION = (
    "The further to the right, the less a photo is like those of training; the height is "
    "logarithmic, so that the few at the end can be seen."
)
TRAINED = (
    "The network itself was trained on all classes, those left out included, so these figures "
    "flatter a little."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strange:
    """One of the most unfamiliar test photos."""

    answer: Answer
    score: float
    is_called: bool
    """Whether it is called unlike anything in training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfamiliarContent:
    """What the section says and shows."""

    sentence: str
    chart: Chart | None
    """None where the scores of the test photos are not known."""
    strangest: tuple[Strange, ...]
    """The most unfamiliar first."""
    rows: tuple[ConfidenceRow, ...]
    how: str
    """How the score works."""
    caution: str
    """What it cannot do."""
    chosen: str
    """The score that was taken, in words."""
    left_out: tuple[LeftOutClass, ...]
    """The class that is hardest to recognise first."""
    is_told: bool
    """Whether any photo is called unlike those of training."""
    caveat: str
    """Why the figures of left-out classes flatter, or nothing."""


def unfamiliar_content(
    evaluation: Evaluation,
    predictions: Predictions,
    answers: Sequence[Answer],
    *,
    is_frozen: bool,
) -> UnfamiliarContent | None:
    """Lay out the score; None where the run has none.

    Args:
        evaluation: of the test photos.
        predictions: of the same.
        answers: to the same, in the same order.
        is_frozen: whether the network was left as it came.
    """
    found = evaluation.unfamiliar
    if found is None:
        return None
    scores_N, rule = predictions.unfamiliarity_N, found.rule
    left_out = sorted(rule.left_out, key=lambda one: rule.of_score(one).caught)
    return UnfamiliarContent(
        sentence=_sentence(found),
        chart=None if scores_N is None else histogram(scores_N, rule=rule),
        strangest=() if scores_N is None else _strangest(scores_N, answers, rule=rule),
        rows=tuple(_rows(found)),
        how=HOW[rule.score],
        caution=CAUTION,
        chosen=TITLES[rule.score],
        left_out=tuple(left_out),
        is_told=rule.threshold is not None,
        caveat=TRAINED if left_out and not is_frozen else "",
    )


def histogram(scores_N: NDArray[np.float64], *, rule: UnfamiliarRule) -> Chart:
    """Draw how many test photos have which score, and the threshold."""
    ends = [float(scores_N.min()), float(scores_N.max())]
    ends += [] if rule.threshold is None else [rule.threshold]
    low, high = min(ends), max(ends)
    high = high if high > low else low + 1.0
    counts, edges = np.histogram(scores_N, bins=NUM_BINS, range=(low, high))
    logs = np.log10(np.maximum(counts, NONE_AT_ALL)).tolist()
    steps = Line(
        name="test photos",
        kind="test",
        xs=[edge for pair in pairwise(edges.tolist()) for edge in pair],
        ys=[log for log in logs for _ in range(2)],
        dots=False,
    )
    marks = [] if rule.threshold is None else [Mark(name="threshold", x=rule.threshold)]
    ticks = [(tick, f"{tick:.4g}") for tick in round_ticks(low, high, most=MAX_TICKS)]
    across = Axis(low=low, high=high, ticks=ticks, tell="{:.3g}".format, label=TITLES[rule.score])
    up = log_height_axis([math.log10(NONE_AT_ALL), *logs])
    title = "Test photos by how unlike training they are"
    svg = line_chart([steps], title=title, x=across, y=up, marks=marks)
    return Chart(title=title, svg=svg, caption=CAPTION)


def _strangest(
    scores_N: NDArray[np.float64], answers: Sequence[Answer], *, rule: UnfamiliarRule
) -> tuple[Strange, ...]:
    """Return the photos with the highest scores, of a group of copies only the first."""
    kept: dict[str, Strange] = {}
    for place in np.argsort(-scores_N, kind="stable").tolist():
        score = float(scores_N[place])
        one = Strange(answer=answers[place], score=score, is_called=bool(rule.is_unfamiliar(score)))
        kept.setdefault(answers[place].group, one)
        if len(kept) == MAX_SHOWN:
            break
    return tuple(kept.values())


def _sentence(found: Unfamiliar) -> str:
    rule, called = found.rule, found.called
    if rule.threshold is None:
        return f"No photo is called {UNLIKE}: {rule.reason[0].lower()}{rule.reason[1:]}"
    told = ""
    if called is not None:
        told = (
            f"{with_interval(called)} of the test photos, which are like those of training, are "
            f"called {UNLIKE}; {percent(rule.rate)} may be."
        )
    if rule.left_out:
        caught = np.mean([rule.of_score(one).caught for one in rule.left_out])
        told += (
            f" Of photos of a class that it was not told of, {percent(float(caught))} are called "
            "so, on average."
        )
    return told.strip()


def _rows(found: Unfamiliar) -> Iterator[ConfidenceRow]:
    rule = found.rule
    yield ConfidenceRow(name="Score", value=TITLES[rule.score], meaning=rule.score_reason)
    threshold = "none" if rule.threshold is None else f"{rule.threshold:.4g}"
    yield ConfidenceRow(name="Called unfamiliar above", value=threshold, meaning=rule.reason)
    if found.called is not None:
        meaning = f"The share of test photos that are called {UNLIKE}."
        yield ConfidenceRow(
            name="Test photos called so", value=with_interval(found.called), meaning=meaning
        )
    if rule.left_out:
        each = [rule.of_score(one) for one in rule.left_out]
        yield ConfidenceRow(
            name="AUROC of left-out classes",
            value=f"{np.mean([one.auroc for one in each]):.3f}",
            meaning=(
                "How often a photo of a class that was left out has a higher score than one of "
                f"the others; mean over {counted(len(each), 'class', 'classes')}, the lowest is "
                f"{min(one.auroc for one in each):.3f}. A half would be chance."
            ),
        )
