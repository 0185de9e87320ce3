"""Photos named wrong, and the pair of classes most often mixed up."""

from collections.abc import Mapping

import numpy as np
import pytest

from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.entries import MixUp
from fieldmark.report.mistakes import find_mistakes, most_confused


def mix_up(true: str, predicted: str, *, times: int) -> MixUp:
    return MixUp(true=true, predicted=predicted, times=times, support=40)


def counts(**wrong: int) -> Mapping[str, Mapping[str, int]]:
    return {
        true: {other: wrong.get(f"{true}_{other}", 0) for other in ("cat", "dog", "fox")}
        for true in ("cat", "dog", "fox")
    }


def test_mistakes_come_most_confident_first_and_ties_by_path() -> None:
    logits_NC = np.array([[0, 5], [0, 9], [9, 0], [0, 5]], dtype=np.float32)
    predictions = Predictions(
        paths=("d.jpg", "c.jpg", "b.jpg", "a.jpg"),
        splits=np.full(4, "test"),
        labels_N=np.zeros(4, dtype=np.int64),
        classes=("cat", "dog"),
        logits_NC=logits_NC,
    )
    mistakes = find_mistakes(predictions, digests={"c.jpg": "ab"})
    assert [m.photo.path for m in mistakes] == ["c.jpg", "a.jpg", "d.jpg"]
    assert mistakes[0].photo.sha256 == "ab"
    assert {(m.true, m.predicted) for m in mistakes} == {("cat", "dog")}
    assert mistakes[0].confidence == pytest.approx(1 / (1 + np.exp(-9)))


def test_the_pair_is_told_in_words_with_the_other_way_round() -> None:
    pair = most_confused(
        [mix_up("cat", "dog", times=3), mix_up("dog", "cat", times=1)],
        num_mistakes=4,
        confusion=counts(cat_dog=3, dog_cat=1),
    )
    assert pair is not None
    assert pair.sentence.replace("\u00a0", " ") == (
        "Most often, cat is taken for dog: 3 of 40 photos (7.5 %), and once the other way round. "
        "That is all it got wrong."
    )


def test_a_pair_that_does_not_stand_out_is_not_said_to() -> None:
    pair = most_confused(
        [mix_up("cat", "dog", times=1), mix_up("fox", "dog", times=1)],
        num_mistakes=2,
        confusion=counts(cat_dog=1, fox_dog=1),
    )
    assert pair is not None
    assert pair.sentence.startswith("As often as any other mix-up, cat is taken for dog: 1 of 40")
    assert "and never the other way round" in pair.sentence
    assert "Together that is 1 of 2 mistakes." in pair.sentence


def test_a_single_mistake_is_no_pattern() -> None:
    pair = most_confused(
        [mix_up("cat", "dog", times=1)],
        num_mistakes=1,
        confusion=counts(cat_dog=1),
    )
    assert pair is not None
    assert pair.sentence == "A single photo was named wrong: of cat, taken for dog."


def test_without_mistakes_there_is_no_pair() -> None:
    assert most_confused([], num_mistakes=0, confusion=counts()) is None
