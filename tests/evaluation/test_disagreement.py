"""The photos that classifiers name differently, by hand."""

import numpy as np
import pytest

from fieldmark.evaluation.disagreement import find_disagreements
from fieldmark.evaluation.predictions import Predictions


def table(*sure: tuple[int, float], classes: tuple[str, ...] = ("cat", "dog")) -> Predictions:
    """Return the answers to four photos of cats: a place of a class, and how sure."""
    logits_NC = np.zeros((len(sure), len(classes)))
    for place, (named, logit) in enumerate(sure):
        logits_NC[place, named] = logit
    return Predictions(
        paths=tuple(f"{place}.png" for place in range(len(sure))),
        splits=np.array(["test"] * len(sure)),
        labels_N=np.full(len(sure), classes.index("cat")),
        classes=classes,
        logits_NC=logits_NC.astype(np.float32),
    )


def test_photos_named_alike_are_no_disagreement() -> None:
    one = table((0, 1.0), (1, 1.0))
    assert find_disagreements([one, table((0, 5.0), (1, 9.0))]) == ()


def test_the_surest_error_comes_first_and_what_nobody_names_right_last() -> None:
    first = table((0, 1.0), (1, 1.0), (0, 2.0), (1, 9.0), classes=("cat", "dog", "fox"))
    second = table((1, 2.0), (0, 1.0), (1, 3.0), (2, 1.0), classes=("cat", "dog", "fox"))
    found = find_disagreements([first, second])
    assert [entry.path for entry in found] == ["2.png", "0.png", "1.png", "3.png"]
    assert [entry.right for entry in found] == [(0,), (0,), (1,), ()]
    right, wrong = found[0].answers
    assert (right.predicted, right.is_right, wrong.predicted, wrong.is_right) == (
        "cat",
        True,
        "dog",
        False,
    )
    assert wrong.confidence == found[0].surest_error == pytest.approx(np.exp(3) / (np.exp(3) + 2))
    assert found[0].true == "cat"


def test_classes_are_compared_by_name() -> None:
    first, second = table((0, 1.0)), table((1, 1.0), classes=("dog", "cat"))
    assert find_disagreements([first, second]) == ()


def test_three_answers_stand_in_the_order_of_the_classifiers() -> None:
    (entry,) = find_disagreements([table((0, 1.0)), table((1, 1.0)), table((0, 2.0))])
    assert [answer.predicted for answer in entry.answers] == ["cat", "dog", "cat"]
    assert entry.right == (0, 2)
