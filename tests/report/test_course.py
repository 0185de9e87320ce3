"""What is said of a training."""

import math
from collections.abc import Sequence
from dataclasses import replace

from fieldmark.report.course import course_values, facts, judge, resumptions
from fieldmark.report.entries import Epoch


def epochs(
    val_losses: Sequence[float],
    train_losses: Sequence[float] | None = None,
    *,
    seconds: float = 10.0,
    wait_s: float = 0.25,
    top_k: float = 0.9,
) -> list[Epoch]:
    train = train_losses or [1 / (i + 1) for i in range(len(val_losses))]
    return [
        Epoch(
            epoch=i + 1,
            lr=1e-3,
            train_loss=train[i],
            train_accuracy=0.9,
            train_top_k=top_k,
            val_loss=loss,
            val_accuracy=1 - loss / 4,
            val_top_k=top_k,
            seconds=seconds,
            data_wait_s=wait_s,
        )
        for i, loss in enumerate(val_losses)
    ]


def test_the_verdict_stands_with_the_charts() -> None:
    values = course_values(epochs([1.0, 0.5, 0.6, 0.8]), kept_epoch=4)
    assert len(values["first_charts"]) == 2
    assert "validation loss rose from 0.5000" in values["course_verdict"].text


def test_the_number_of_photos_decides_what_is_chance() -> None:
    course = [
        replace(epoch, train_accuracy=0.95, val_accuracy=0.85) for epoch in epochs([0.5, 0.5])
    ]
    assert judge(course, kept_epoch=2).headline == "Overfitting"
    few = judge(course, kept_epoch=2, num_photos={"train": 100, "validation": 10})
    assert few.headline == "No sign of overfitting"


def test_a_training_that_goes_on_has_no_verdict() -> None:
    assert (
        course_values(epochs([1.0, 0.8]), kept_epoch=None, is_over=False)["course_verdict"] is None
    )
    assert course_values([], kept_epoch=None)["course_verdict"] is None


def test_the_facts_name_the_epoch_whose_weights_are_used_and_the_time() -> None:
    told = dict(facts(epochs([1.0, 0.5, 0.6]), kept_epoch=2))
    assert told == {
        "Weights used": "those after epoch 2 of 3",
        "Best accuracy on validation photos": "87.5\u00a0%, after epoch 2",
        "Lowest loss on them": "0.5000, epoch 2",
        "Time to learn": "30 s, 10 s an epoch",
        "Spent waiting for photos": "2.5\u00a0% of it",
    }


def test_of_test_photos_the_end_is_told_before_the_best() -> None:
    course = [
        replace(epoch, val_loss=math.nan, val_accuracy=math.nan, test_accuracy=share)
        for epoch, share in zip(epochs([1.0, 0.5, 0.6]), (0.7, 0.9, 0.8), strict=True)
    ]
    told = dict(facts(course, kept_epoch=3))
    assert told["Accuracy on test photos"].replace("\u00a0", " ") == (
        "80.0 % at the end; at most 90.0 %, after epoch 2"
    )
    assert "Best accuracy on validation photos" not in told


def test_what_old_runs_did_not_write_is_left_out() -> None:
    told = dict(facts(epochs([1.0, 0.5], seconds=math.nan, wait_s=math.nan), kept_epoch=None))
    assert list(told) == ["Epochs", "Best accuracy on validation photos", "Lowest loss on them"]


def test_no_waiting_is_said_in_words() -> None:
    told = dict(facts(epochs([1.0, 0.5], wait_s=0.0), kept_epoch=2))
    assert told["Spent waiting for photos"] == "none of it"


def test_a_top_k_accuracy_without_a_chart_is_told_instead() -> None:
    assert dict(facts(epochs([1.0, 0.5], top_k=1.0), kept_epoch=2))["Top-5 accuracy"] == (
        "100\u00a0% throughout"
    )


def test_a_single_epoch_is_told_in_numbers() -> None:
    told = dict(facts(epochs([0.4], [0.2]), kept_epoch=1))
    assert told["Loss"] == "0.2000 training, 0.4000 validation"
    assert told["Accuracy"] == "90.0\u00a0% training, 90.0\u00a0% validation"
    assert "Precision" not in told
    assert told["Time to learn"] == "10 s"
    alone = dict(facts(epochs([math.nan], [0.2]), kept_epoch=1))
    assert alone["Loss"] == "0.2000 training"


def test_resumptions_are_counted() -> None:
    assert resumptions(0) == ""
    assert "went on once" in resumptions(1)
    assert "went on 3 times" in resumptions(3)
