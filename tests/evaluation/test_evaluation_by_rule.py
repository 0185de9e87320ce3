"""An evaluation by a rule that scales, withholds and names sets, and with images in groups."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike

from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.predictions import Predictions


def predictions_of(labels: ArrayLike, logits: ArrayLike) -> Predictions:
    logits_NC = np.asarray(logits, dtype=np.float32)
    return Predictions(
        paths=tuple(f"{place}.jpg" for place in range(len(logits_NC))),
        splits=np.full(len(logits_NC), "test"),
        labels_N=np.asarray(labels, dtype=np.int64),
        classes=tuple("abcd"[: logits_NC.shape[1]]),
        logits_NC=logits_NC,
    )


def random_predictions(num_images: int, num_classes: int, *, skill: float = 2.0) -> Predictions:
    generator = np.random.default_rng(0)
    labels_N = generator.integers(num_classes, size=num_images)
    logits_NC = generator.normal(size=(num_images, num_classes))
    logits_NC[np.arange(num_images), labels_N] += skill
    return predictions_of(labels_N, logits_NC)


def test_a_temperature_changes_loss_and_confidence_but_no_answer() -> None:
    predictions = random_predictions(200, 3, skill=1.0)
    plain = evaluate(predictions, num_resamples=20)
    scaled = evaluate(predictions, decision=DecisionRule(temperature=2.0), num_resamples=20)
    halved = evaluate(
        predictions_of(predictions.labels_N, predictions.logits_NC / 2),
        num_resamples=20,
    )
    assert scaled.loss.value == pytest.approx(halved.loss.value, rel=1e-6)
    assert scaled.calibration.ece_after.value == pytest.approx(
        halved.calibration.ece_before.value, rel=1e-5
    )
    assert scaled.calibration.ece_before == plain.calibration.ece_before
    assert scaled.calibration.loss_before == plain.loss
    assert scaled.calibration.bins_before == plain.calibration.bins
    assert scaled.calibration.bins != plain.calibration.bins
    assert (scaled.accuracy, scaled.confusion) == (plain.accuracy, plain.confusion)


def test_predictions_that_bear_a_temperature_are_judged_at_it() -> None:
    predictions = random_predictions(50, 3)
    borne = evaluate(replace(predictions, temperature=0.5), num_resamples=10)
    given = evaluate(predictions, decision=DecisionRule(temperature=0.5), num_resamples=10)
    assert borne == given


def test_a_rule_is_judged_on_the_images_and_comes_back_from_the_evaluation() -> None:
    # Probabilities of the likeliest class: 0.9 right, 0.8 wrong, 0.6 right, 0.5 right (a tie).
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.5, 0.5]])
    rule = DecisionRule(
        target_accuracy=0.9,
        abstain_below=0.55,
        abstain_reason="Because.",
        coverage=0.8,
        set_threshold=0.3,
        set_reason="So.",
    )
    evaluation = evaluate(predictions_of([0, 0, 1, 0], np.log(shares)), decision=rule)
    assert evaluation.decision == rule
    assert evaluation.abstention.answered == wilson_interval(3, 4)
    assert evaluation.abstention.accuracy == wilson_interval(2, 3)
    # Sets: {a}, {b}, {a, b}, {a, b}: three hold the truth, two are of one class.
    assert evaluation.conformal.seen == wilson_interval(3, 4)
    assert evaluation.conformal.single == wilson_interval(2, 4)
    assert evaluation.conformal.mean_size == 1.5


def test_copies_of_images_in_groups_do_not_narrow_an_interval() -> None:
    few = random_predictions(80, 3, skill=1.0)
    labels_N, logits_NC = np.repeat(few.labels_N, 5), np.repeat(few.logits_NC, 5, axis=0)
    many = predictions_of(labels_N, logits_NC)
    groups = {path: str(place // 5) for place, path in enumerate(many.paths)}
    alone, copied, grouped = (
        evaluate(entry, groups=of, num_resamples=400).loss
        for entry, of in ((few, None), (many, None), (many, groups))
    )
    assert grouped.value == pytest.approx(alone.value)
    assert copied.high - copied.low < 0.6 * (alone.high - alone.low)
    # Draws of 80 groups of five are draws of 80 images.
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), rel=1e-9)


def test_groups_of_one_image_change_nothing() -> None:
    predictions = random_predictions(40, 3)
    groups = {path: f"group of {path}" for path in predictions.paths}
    without = evaluate(predictions, num_resamples=30)
    assert evaluate(predictions, groups=groups, num_resamples=30) == without
    assert evaluate(predictions, groups={"0.jpg": ""}, num_resamples=30) == without
