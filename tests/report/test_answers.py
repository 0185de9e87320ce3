"""What each test photo was named, and which photos are picked to be looked at."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.answers import (
    Answer,
    answers_of,
    least_sure,
    log_odds,
    one_a_group,
    spread_out,
)
from fieldmark.report.entries import Photo


def answer(
    path: str,
    *,
    true: str = "cat",
    predicted: str = "cat",
    confidence: float = 0.9,
    group: str = "",
) -> Answer:
    return Answer(
        photo=Photo(path=path, sha256=""),
        group=group or path,
        true=true,
        predicted=predicted,
        confidence=confidence,
        second="dog",
        second_confidence=(1 - confidence) / 2,
        odds=math.log(confidence / (1 - confidence)),
    )


def test_an_answer_tells_the_two_likeliest_classes_with_their_probabilities() -> None:
    predictions = Predictions(
        paths=("b.jpg", "a.jpg"),
        splits=np.full(2, "test"),
        labels_N=np.array([2, 0]),
        classes=("cat", "dog", "fox"),
        logits_NC=np.log(np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])).astype(np.float32),
    )
    wrong, right = answers_of(predictions, digests={"b.jpg": "ab"}, groups={"a.jpg": "g"})
    assert (wrong.true, wrong.predicted, wrong.second) == ("fox", "dog", "cat")
    assert wrong.confidence == pytest.approx(0.7)
    assert wrong.second_confidence == pytest.approx(0.2)
    assert wrong.odds == pytest.approx(math.log(0.1 / 0.9), abs=1e-6)
    assert (wrong.photo.sha256, wrong.group, wrong.is_right) == ("ab", "b.jpg", False)
    assert (right.photo.sha256, right.group, right.is_right) == ("", "g", True)


def test_odds_tell_apart_what_probabilities_round_to_one() -> None:
    odds_N = log_odds(np.array([[60.0, 0.0, 0.0], [50.0, 0.0, 0.0]]), np.array([0, 0]))
    np.testing.assert_allclose(odds_N, [60 - math.log(2), 50 - math.log(2)], rtol=1e-12)


def test_the_least_sure_are_right_and_ties_go_by_path() -> None:
    answers = [
        answer("wrong", predicted="dog", confidence=0.4),
        answer("b", confidence=0.6),
        answer("a", confidence=0.6),
        answer("sure", confidence=0.99),
    ]
    assert [one.photo.path for one in least_sure(answers, most=2)] == ["a", "b"]


def test_of_a_group_only_the_first_is_shown() -> None:
    answers = [answer("a", group="g"), answer("copy of a", group="g"), answer("b"), answer("c")]
    assert [one.photo.path for one in one_a_group(answers, most=2)] == ["a", "b"]


@given(st.integers(1, 40), st.integers(1, 50))
def test_a_spread_has_both_ends_in_order_and_no_photo_twice(num: int, size: int) -> None:
    answers = [answer(f"{i:02d}", confidence=0.5 + i / 200) for i in reversed(range(size))]
    chosen = [one.photo.path for one in spread_out(answers, num=num)]
    assert len(chosen) == len(set(chosen)) == min(num, size)
    assert chosen == sorted(chosen)
    assert chosen[0] == "00"
    if num > 1:
        assert chosen[-1] == f"{size - 1:02d}"
