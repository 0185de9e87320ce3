"""The photos to which classifiers give different names.

In: the `Predictions` of several classifiers on the same photos. Out: a `Disagreement` for each
photo that they do not all name alike.
Not covered: whether such differences are chance (`paired`), and pictures (`report`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fieldmark.evaluation.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one classifier says of a photo."""

    predicted: str
    confidence: float
    """The probability of that class, 0 to 1."""
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A photo to which not all classifiers give the same name."""

    path: str
    true: str
    answers: tuple[Answer, ...]
    """In the order of the classifiers."""

    @property
    def right(self) -> tuple[int, ...]:
        """The places of the classifiers that name it right."""
        return tuple(place for place, answer in enumerate(self.answers) if answer.is_right)

    @property
    def surest_error(self) -> float:
        """The highest confidence in a wrong name."""
        return max(answer.confidence for answer in self.answers if not answer.is_right)


def find_disagreements(predictions: Sequence[Predictions]) -> tuple[Disagreement, ...]:
    """Return the photos that are not named alike, the surest errors first, ties by path.

    Photos that nobody names right come after those that somebody does.

    Args:
        predictions: with the same paths in the same order and the same class for each; the
            classes, and their order, may differ.
    """
    columns = [_answers(table) for table in predictions]
    rows = zip(predictions[0].paths, *columns, strict=True)
    found = [
        Disagreement(path=path, true=answers[0][0], answers=tuple(said for _, said in answers))
        for path, *answers in rows
        if len({said.predicted for _, said in answers}) > 1
    ]
    return tuple(sorted(found, key=lambda one: (not one.right, -one.surest_error, one.path)))


def _answers(table: Predictions) -> list[tuple[str, Answer]]:
    """Return the true class of each photo, and what is said of it."""
    rows = zip(
        table.labels_N.tolist(),
        table.predicted_N.tolist(),
        table.confidence_N.tolist(),
        strict=True,
    )
    return [
        (
            table.classes[label],
            Answer(
                predicted=table.classes[predicted],
                confidence=confidence,
                is_right=label == predicted,
            ),
        )
        for label, predicted, confidence in rows
    ]
