"""The test photos that were named wrong, and the two classes most often taken for each other.

In: predictions and the evaluation of the test split. Out: `Mistake`s and `ConfusedPair`.
Not covered: the confusion matrix (`matrix`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldmark.base.counting import counted
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.entries import Mistake, MixUp, Photo
from fieldmark.report.wording import percent


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusedPair:
    """The class that was most often taken for another one, and for which."""

    mix_up: MixUp
    sentence: str


def find_mistakes(predictions: Predictions, *, digests: Mapping[str, str]) -> tuple[Mistake, ...]:
    """Return the photos named wrong, the most confident first, ties by path."""
    found = [
        Mistake(
            photo=Photo(path=predictions.paths[i], sha256=digests.get(predictions.paths[i], "")),
            true=predictions.classes[predictions.labels_N[i]],
            predicted=predictions.classes[predictions.predicted_N[i]],
            confidence=float(predictions.confidence_N[i]),
        )
        for i in np.flatnonzero(predictions.predicted_N != predictions.labels_N)
    ]
    return tuple(sorted(found, key=lambda mistake: (-mistake.confidence, mistake.photo.path)))


def find_mix_ups(evaluation: Evaluation) -> tuple[MixUp, ...]:
    """Return which classes were taken for which, the most frequent first, at most ten."""
    supports = {
        name: sum(row) for name, row in zip(evaluation.classes, evaluation.confusion, strict=True)
    }
    return tuple(
        MixUp(
            true=pair.true,
            predicted=pair.predicted,
            times=pair.count,
            support=supports[pair.true],
        )
        for pair in evaluation.most_confused
    )


def most_confused(
    mix_ups: Sequence[MixUp],
    *,
    num_mistakes: int,
    confusion: Mapping[str, Mapping[str, int]],
) -> ConfusedPair | None:
    """Return the pair that is mixed up most often; None where every photo was named right.

    Args:
        mix_ups: the most frequent first.
        num_mistakes: how many photos were named wrong in all.
        confusion: counts of test photos by true and by predicted class.
    """
    if not mix_ups:
        return None
    first = mix_ups[0]
    back = confusion[first.predicted][first.true]
    num_ties = sum(other.times == first.times for other in mix_ups) - 1
    return ConfusedPair(
        mix_up=first,
        sentence=_sentence(first, back=back, num_ties=num_ties, num_mistakes=num_mistakes),
    )


def _sentence(pair: MixUp, *, back: int, num_ties: int, num_mistakes: int) -> str:
    if num_mistakes == 1:
        return f"A single photo was named wrong: of {pair.true}, taken for {pair.predicted}."
    how = "As often as any other mix-up" if num_ties else "Most often"
    told = (
        f"{how}, {pair.true} is taken for {pair.predicted}: {pair.times:,} of "
        f"{counted(pair.support, 'photo')} ({percent(pair.times / pair.support)})"
    )
    told += f", and {_often(back)} the other way round."
    together = pair.times + back
    if together == num_mistakes:
        return f"{told} That is all it got wrong."
    return f"{told} Together that is {together:,} of {num_mistakes:,} mistakes."


def _often(times: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(times, f"{times:,} times")
