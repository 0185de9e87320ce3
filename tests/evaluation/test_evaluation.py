import json
import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from sklearn import metrics as peer

from fieldmark.base.errors import EvaluationError, RunError
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.evaluation import (
    ConfusedPair,
    Evaluation,
    evaluate,
    read_evaluation,
)
from fieldmark.evaluation.intervals import Estimate, format_percent, wilson_interval
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.reliability import CalibrationBin


def predictions_of(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    classes: tuple[str, ...] | None = None,
    split: str | list[str] = "test",
) -> Predictions:
    logits_NC = np.asarray(logits, dtype=np.float32)
    return Predictions(
        paths=tuple(f"{place}.jpg" for place in range(len(logits_NC))),
        splits=np.full(len(logits_NC), split),
        labels_N=np.asarray(labels, dtype=np.int64),
        classes=classes or tuple("abcdefghij"[: logits_NC.shape[1]]),
        logits_NC=logits_NC,
    )


def random_predictions(
    num_images: int, num_classes: int, *, seed: int = 0, skill: float = 2.0
) -> Predictions:
    generator = np.random.default_rng(seed)
    labels_N = generator.integers(num_classes, size=num_images)
    logits_NC = generator.normal(size=(num_images, num_classes))
    logits_NC[np.arange(num_images), labels_N] += skill
    classes = tuple(f"class {index}" for index in range(num_classes))
    return predictions_of(labels_N, logits_NC, classes=classes)


def estimates_of(evaluation: Evaluation) -> list[Estimate]:
    averages = (evaluation.precision, evaluation.recall, evaluation.f1)
    return [
        evaluation.loss,
        evaluation.accuracy,
        *evaluation.top_k.values(),
        *(estimate for average in averages for estimate in (average.macro, average.micro)),
        evaluation.thresholded_precision,
        evaluation.thresholded_recall,
        *(
            estimate
            for row in evaluation.per_class.values()
            for estimate in (row.precision, row.recall, row.f1)
        ),
        evaluation.calibration.ece_before,
        evaluation.calibration.ece_after,
    ]


@pytest.fixture(scope="module")
def by_hand() -> Evaluation:
    # Logits are logarithms of odds: the probabilities are 9/11, 1/11, 1/11, and thirds.
    sure, tie = math.log(9), 0.0
    return evaluate(
        predictions_of(
            [0, 0, 1, 1, 1],
            [[sure, 0, 0], [0, sure, 0], [0, sure, 0], [tie, tie, tie], [0, 0, sure]],
        )
    )


def test_a_case_worked_by_hand(by_hand: Evaluation) -> None:
    # Predicted: a, b, b, a (first of a tie), c. Correct: the first and the third.
    assert (by_hand.split, by_hand.num_images, by_hand.classes) == ("test", 5, ("a", "b", "c"))
    assert by_hand.accuracy == wilson_interval(2, 5)
    assert by_hand.confusion == ((1, 1, 0), (1, 1, 1), (0, 0, 0))
    expected_loss = (2 * math.log(11 / 9) + 2 * math.log(11) + math.log(3)) / 5
    assert by_hand.loss.value == pytest.approx(expected_loss, rel=1e-7)
    assert by_hand.per_class["a"].precision == wilson_interval(1, 2)
    assert by_hand.per_class["b"].recall == wilson_interval(1, 3)
    assert by_hand.per_class["b"].f1.value == pytest.approx(2 / 5)
    assert by_hand.precision.macro.value == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert by_hand.recall.macro.value == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert by_hand.f1.macro.value == pytest.approx((1 / 2 + 2 / 5 + 0) / 3)


def test_top_k_of_three_classes_counts_ties_in_class_order(by_hand: Evaluation) -> None:
    # Ranks of the truth: 0, 1 (a before c at equal logits), 0, 1 (b in a three-way tie), 2.
    assert {k: round(estimate.value * 5) for k, estimate in by_hand.top_k.items()} == {
        1: 2,
        2: 4,
        3: 5,
        5: 5,
    }


def test_thresholded_measures_are_those_of_keras(by_hand: Evaluation) -> None:
    # Over 0.5 stand four entries (the tie has none), two of them at the true class, of five.
    assert by_hand.thresholded_precision == wilson_interval(2, 4)
    assert by_hand.thresholded_recall == wilson_interval(2, 5)


def test_confused_pairs_bear_class_names(by_hand: Evaluation) -> None:
    assert by_hand.most_confused == (
        ConfusedPair(true="a", predicted="b", count=1),
        ConfusedPair(true="b", predicted="a", count=1),
        ConfusedPair(true="b", predicted="c", count=1),
    )


def test_calibration_lists_fifteen_bins_and_leaves_empty_ones_open(by_hand: Evaluation) -> None:
    bins = by_hand.calibration.bins
    assert len(bins) == 15
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)
    assert all(first.high == second.low for first, second in pairwise(bins))
    # 9/11 lies between 12/15 and 13/15; a third is an edge and belongs to the bin below it.
    assert [entry.count for entry in bins] == [0, 0, 0, 0, 1, *[0] * 7, 4, 0, 0]
    assert bins[0] == CalibrationBin(
        low=0.0, high=bins[0].high, count=0, confidence=None, accuracy=None
    )
    assert (bins[4].confidence, bins[4].accuracy) == pytest.approx((1 / 3, 0.0))
    assert (bins[12].confidence, bins[12].accuracy) == pytest.approx((9 / 11, 0.5))
    expected = (1 * 1 / 3 + 4 * (9 / 11 - 0.5)) / 5
    assert by_hand.calibration.ece_before.value == pytest.approx(expected)


def test_without_a_rule_nothing_is_scaled_withheld_or_in_doubt(by_hand: Evaluation) -> None:
    assert by_hand.decision == DecisionRule()
    assert by_hand.calibration.ece_after == by_hand.calibration.ece_before
    assert by_hand.calibration.loss_before == by_hand.loss
    assert by_hand.calibration.bins_before == by_hand.calibration.bins
    assert by_hand.abstention.answered is None
    assert by_hand.conformal.seen is None


def test_micro_averages_are_the_accuracy(by_hand: Evaluation) -> None:
    for average in (by_hand.precision, by_hand.recall, by_hand.f1):
        assert average.micro == by_hand.accuracy


def test_a_class_never_predicted_or_never_met_is_zero_and_unknown(by_hand: Evaluation) -> None:
    assert by_hand.per_class["c"].support == 0
    assert by_hand.per_class["c"].recall == Estimate(value=0.0, low=0.0, high=1.0)
    never = evaluate(predictions_of([0, 1], [[1, 0], [1, 0]]))
    assert never.per_class["b"].precision == Estimate(value=0.0, low=0.0, high=1.0)


def test_no_probability_over_one_half_leaves_thresholded_precision_unknown() -> None:
    unsure = evaluate(predictions_of([0, 1], [[0, 0], [0, 0]]))
    assert unsure.thresholded_precision == Estimate(value=0.0, low=0.0, high=1.0)
    assert unsure.thresholded_recall == wilson_interval(0, 2)


def test_values_agree_with_scikit_learn() -> None:
    predictions = random_predictions(300, 8)
    evaluation = evaluate(predictions, num_resamples=20)
    labels_N, predicted_N = predictions.labels_N, predictions.predicted_N
    precision, recall, f1, _ = peer.precision_recall_fscore_support(
        labels_N, predicted_N, average="macro", zero_division=0
    )
    assert evaluation.precision.macro.value == pytest.approx(precision)
    assert evaluation.recall.macro.value == pytest.approx(recall)
    assert evaluation.f1.macro.value == pytest.approx(f1)
    assert evaluation.accuracy.value == peer.accuracy_score(labels_N, predicted_N)
    assert evaluation.loss.value == pytest.approx(
        peer.log_loss(labels_N, predictions.probabilities_NC, labels=range(8))
    )
    assert evaluation.top_k[3].value == peer.top_k_accuracy_score(
        labels_N, predictions.logits_NC, k=3, labels=range(8)
    )


def test_bootstrap_interval_of_macro_f1_is_that_of_a_plain_loop() -> None:
    predictions = random_predictions(150, 3, seed=1, skill=1.0)
    labels_N, predicted_N = predictions.labels_N, predictions.predicted_N
    generator = np.random.default_rng(11)
    values = []
    for _ in range(600):
        chosen_N = generator.integers(150, size=150)
        values.append(peer.f1_score(labels_N[chosen_N], predicted_N[chosen_N], average="macro"))
    low, high = np.quantile(values, [0.025, 0.975])
    estimate = evaluate(predictions, seed=11, num_resamples=600).f1.macro
    # The same generator draws the same resamples, in blocks or one by one.
    assert (estimate.low, estimate.high) == pytest.approx((low, high))


def test_a_class_of_one_image_has_an_f1_interval_that_admits_it() -> None:
    labels = [0] * 30 + [1]
    logits = [[3, 0]] * 30 + [[0, 3]]
    lone = evaluate(predictions_of(labels, logits)).per_class["b"].f1
    assert (lone.value, lone.low, lone.high) == (1.0, 0.0, 1.0)


def test_a_perfect_classifier_scores_one_throughout() -> None:
    evaluation = evaluate(predictions_of([0, 1, 2] * 10, np.tile(100 * np.eye(3), (10, 1))))
    assert evaluation.accuracy.value == evaluation.f1.macro.value == 1.0
    assert evaluation.accuracy.low < 0.9
    assert evaluation.most_confused == ()
    assert evaluation.loss.value == pytest.approx(0.0, abs=1e-12)
    assert evaluation.calibration.bins[-1].accuracy == 1.0


@settings(max_examples=40, deadline=None)
@given(
    num_images=st.integers(1, 25),
    num_classes=st.integers(2, 7),
    seed=st.integers(0, 99),
    skill=st.sampled_from([-3.0, 0.0, 2.0, 50.0]),
)
def test_every_estimate_lies_in_its_interval_and_proportions_in_zero_to_one(
    num_images: int, num_classes: int, seed: int, skill: float
) -> None:
    predictions = random_predictions(num_images, num_classes, seed=seed, skill=skill)
    loss, *proportions = estimates_of(evaluate(predictions, num_resamples=40))
    assert 0 <= loss.low <= loss.value <= loss.high
    for estimate in proportions:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_the_same_seed_gives_the_same_evaluation_and_another_only_other_intervals() -> None:
    predictions = random_predictions(60, 4)
    first, other = evaluate(predictions, seed=1), evaluate(predictions, seed=2)
    assert evaluate(predictions, seed=1) == first
    assert other.accuracy == first.accuracy
    assert other.loss.value == first.loss.value
    assert other.loss.low != first.loss.low


def test_the_order_of_images_does_not_change_the_values() -> None:
    predictions = random_predictions(50, 4)
    order = np.random.default_rng(0).permutation(50)
    shuffled = predictions_of(
        predictions.labels_N[order], predictions.logits_NC[order], classes=predictions.classes
    )
    first, second = (evaluate(entry, num_resamples=10) for entry in (predictions, shuffled))
    np.testing.assert_allclose(
        [estimate.value for estimate in estimates_of(first)],
        [estimate.value for estimate in estimates_of(second)],
        rtol=1e-12,
    )
    assert first.confusion == second.confusion


def test_predictions_of_several_splits_are_refused() -> None:
    predictions = predictions_of([0, 1], np.eye(2), split=["test", "train"])
    with pytest.raises(EvaluationError, match="met test, train; choose one"):
        evaluate(predictions)


def test_no_predictions_are_refused() -> None:
    empty = predictions_of([], np.zeros((0, 2)))
    with pytest.raises(EvaluationError, match="the split has no images"):
        evaluate(empty)


def test_accuracy_prints_as_a_percentage_for_people() -> None:
    evaluation = evaluate(predictions_of([0] * 24, [[1, 0]] * 23 + [[0, 1]]), num_resamples=5)
    assert format_percent(evaluation.accuracy) == "95.83 % (79.8 to 99.3)"


def test_an_evaluation_survives_json(by_hand: Evaluation) -> None:
    content = json.loads(json.dumps(by_hand.to_json(), allow_nan=False))
    assert Evaluation.from_json(content) == by_hand


def test_json_has_the_documented_shape(by_hand: Evaluation) -> None:
    content = by_hand.to_json()
    assert list(content) == [
        "schema_version",
        "split",
        "num_images",
        "classes",
        "loss",
        "accuracy",
        "top_k",
        "precision",
        "recall",
        "f1",
        "thresholded_precision",
        "thresholded_recall",
        "per_class",
        "confusion",
        "most_confused",
        "calibration",
        "abstention",
        "conformal",
        "unfamiliar",
    ]
    assert content["schema_version"] == 3
    assert set(content["accuracy"]) == {"value", "low", "high"}
    assert list(content["top_k"]) == ["1", "2", "3", "5"]
    assert set(content["precision"]) == {"macro", "micro"}
    assert set(content["per_class"]["a"]) == {"precision", "recall", "f1", "support"}
    assert content["confusion"] == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]
    assert content["most_confused"][0] == {"true": "a", "predicted": "b", "count": 1}
    assert content["calibration"]["bins"][0]["confidence"] is None


def test_a_newer_schema_is_refused_with_what_to_do(by_hand: Evaluation) -> None:
    with pytest.raises(RunError, match=r"schema version 4; .* up to 3. Install a newer Fieldmark"):
        Evaluation.from_json(by_hand.to_json() | {"schema_version": 4})


def test_schema_1_in_which_nothing_was_fitted_is_read(by_hand: Evaluation, tmp_path: Path) -> None:
    content = by_hand.to_json() | {"schema_version": 1}
    del content["abstention"], content["conformal"]
    for key in ("reason", "loss_before", "bins_before"):
        del content["calibration"][key]
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    old = read_evaluation(tmp_path / "evaluation.json")
    assert old is not None
    assert old.decision == DecisionRule()
    assert replace(old, abstention=by_hand.abstention) == by_hand
    assert old.abstention.curve == ()


def test_a_run_without_the_file_has_no_saved_evaluation(tmp_path: Path) -> None:
    assert read_evaluation(tmp_path / "evaluation.json") is None


@pytest.mark.parametrize("version", [None, "1"])
def test_a_schema_version_that_is_none_is_refused(by_hand: Evaluation, version: object) -> None:
    with pytest.raises(RunError, match="has no schema_version"):
        Evaluation.from_json(by_hand.to_json() | {"schema_version": version})


def test_a_missing_or_impossible_field_is_refused_by_its_place(by_hand: Evaluation) -> None:
    content = by_hand.to_json()
    del content["calibration"]["temperature"]
    with pytest.raises(RunError, match=r"evaluation.json.calibration: there is no temperature"):
        Evaluation.from_json(content)
    outside = {"accuracy": {"value": 0.5, "low": 0.6, "high": 0.7}}
    with pytest.raises(RunError, match=r"evaluation.json.accuracy: 0.5 lies outside"):
        Evaluation.from_json(by_hand.to_json() | outside)


@pytest.mark.parametrize(
    ("num_images", "num_classes", "limit_s"), [(2300, 8, 1.0), (10_000, 100, 5.0)]
)
def test_a_thousand_resamples_are_affordable(
    num_images: int, num_classes: int, limit_s: float
) -> None:
    predictions = random_predictions(num_images, num_classes)
    before_s = time.process_time()
    evaluate(predictions, num_resamples=1000)
    assert time.process_time() - before_s < limit_s
