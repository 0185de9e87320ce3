"""What each test photo was named, how sure the classifier was, and which photos to look at.

In: the predictions of the test split. Out: `Answer`s, and choices among them.
Not covered: the mistakes in order (`mistakes`), the cells of the confusion matrix (`cells`).

Shapes: N test photos, C classes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.metrics import log_softmax
from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.entries import Photo

MAX_UNSURE = 12
"""Photos named right with the least confidence that are shown: two full rows of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one test photo was named."""

    photo: Photo
    group: str
    """The same for photos that belong together, such as copies; the path of one that stands alone.
    """
    true: str
    predicted: str
    confidence: float
    """The probability of `predicted`, 0 to 1."""
    second: str
    """The class that is next in likelihood."""
    second_confidence: float
    """Its probability, 0 to 0.5."""
    odds: float
    """The natural logarithm of the odds of the true class: 0 at a probability of a half, and still
    telling photos apart where all probabilities round to 1."""

    @property
    def is_right(self) -> bool:
        """Whether the photo was named what it is."""
        return self.true == self.predicted


def answers_of(
    predictions: Predictions, *, digests: Mapping[str, str], groups: Mapping[str, str]
) -> tuple[Answer, ...]:
    """Return the answer to each photo, in the order of the predictions.

    Args:
        predictions: of the photos.
        digests: the SHA-256 of each photo's file by path, where known.
        groups: the group of each photo by path, where it has one.
    """
    order_NC = np.argsort(-predictions.logits_NC, axis=1, kind="stable")
    probabilities_NC = predictions.probabilities_NC
    odds_N = log_odds(predictions.logits_NC, predictions.labels_N)
    names = predictions.classes
    return tuple(
        Answer(
            photo=Photo(path=path, sha256=digests.get(path, "")),
            group=groups.get(path) or path,
            true=names[predictions.labels_N[i]],
            predicted=names[order_NC[i, 0]],
            confidence=float(probabilities_NC[i, order_NC[i, 0]]),
            second=names[order_NC[i, 1]],
            second_confidence=float(probabilities_NC[i, order_NC[i, 1]]),
            odds=float(odds_N[i]),
        )
        for i, path in enumerate(predictions.paths)
    )


def log_odds(logits_NC: NDArray[np.floating], labels_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of each true class, (N,), from logits of at least two classes.

    The other classes are summed up by themselves, so that a p that rounds to 1 stays finite.
    """
    rows_N = np.arange(len(labels_N))
    truth_N = logits_NC[rows_N, labels_N].astype(np.float64)
    others_NC = logits_NC.astype(np.float64)
    others_NC[rows_N, labels_N] = -np.inf
    highest_N = others_NC.max(axis=1)
    others_N = highest_N - log_softmax(others_NC)[rows_N, others_NC.argmax(axis=1)]
    result: NDArray[np.float64] = truth_N - others_N
    return result


def least_sure(answers: Iterable[Answer], *, most: int = MAX_UNSURE) -> tuple[Answer, ...]:
    """Return the photos that were named right with the least confidence, the least sure first."""
    right = [answer for answer in answers if answer.is_right]
    return tuple(sorted(right, key=lambda one: (one.confidence, one.photo.path))[:most])


def one_a_group(answers: Iterable[Answer], *, most: int) -> tuple[Answer, ...]:
    """Return the first answers, of each group only the first: copies show nothing new."""
    kept: dict[str, Answer] = {}
    for answer in answers:
        if len(kept) == most:
            break
        kept.setdefault(answer.group, answer)
    return tuple(kept.values())


def spread_out(answers: Sequence[Answer], *, num: int) -> tuple[Answer, ...]:
    """Return `num` answers spread evenly from the least to the most confident, ends included.

    All are returned where there are no more.
    """
    ordered = sorted(answers, key=lambda one: (one.confidence, one.photo.path))
    if len(ordered) <= num:
        return tuple(ordered)
    if num == 1:
        return (ordered[0],)
    last = len(ordered) - 1
    return tuple(ordered[round(place * last / (num - 1))] for place in range(num))
