"""The rule of a classifier is fitted on validation images alone, or says why it was not."""

from dataclasses import replace

import numpy as np
import pytest

from fieldmark.base.errors import RunError
from fieldmark.evaluation.abstention import AbstainConfig
from fieldmark.evaluation.conformal import set_threshold
from fieldmark.evaluation.decision import DecisionRule, fit_decision
from fieldmark.evaluation.document import from_plain, to_plain
from fieldmark.evaluation.predictions import Predictions


def drawn(num_held: int, *, num_others: int = 50, sharpness: float = 3.0) -> Predictions:
    """Return overconfident predictions: labels are drawn by the softmax before it is sharpened."""
    generator = np.random.default_rng(0)
    num_images = num_held + num_others
    logits_NC = generator.normal(scale=3.0, size=(num_images, 3))
    labels_N = (logits_NC + generator.gumbel(size=logits_NC.shape)).argmax(axis=1)
    return Predictions(
        paths=tuple(f"{place}.jpg" for place in range(num_images)),
        splits=np.array(["validation"] * num_held + ["test"] * num_others),
        labels_N=labels_N,
        classes=("a", "b", "c"),
        logits_NC=(sharpness * logits_NC).astype(np.float32),
    )


def test_both_thresholds_are_those_of_calibrated_probabilities() -> None:
    predictions = drawn(600)
    config = AbstainConfig(target_accuracy=0.9, coverage=0.9)
    rule = fit_decision(predictions, config=config)
    assert rule.temperature == pytest.approx(3.0, rel=0.2)
    held = replace(predictions.of_split("validation"), temperature=rule.temperature)
    assert rule.set_threshold == set_threshold(held.probabilities_NC, held.labels_N, coverage=0.9)
    assert rule.abstain_below is not None
    assert rule.abstain_below in held.confidence_N
    assert (rule.target_accuracy, rule.coverage) == (0.9, 0.9)
    answered_N = held.confidence_N >= rule.abstain_below
    assert (held.labels_N == held.predicted_N)[answered_N].mean() > 0.9


def test_test_images_have_no_say() -> None:
    predictions = drawn(200)
    config = AbstainConfig(target_accuracy=0.8)
    others_N = predictions.splits == "test"
    turned_N = np.where(others_N, (predictions.labels_N + 1) % 3, predictions.labels_N)
    turned = replace(predictions, labels_N=turned_N)
    assert fit_decision(turned, config=config) == fit_decision(predictions, config=config)


def test_without_validation_images_nothing_is_fitted_and_the_reasons_say_so() -> None:
    rule = fit_decision(drawn(0), config=AbstainConfig(target_accuracy=0.9))
    reasons = (rule.temperature_reason, rule.abstain_reason, rule.set_reason)
    assert all("no validation photos" in reason for reason in reasons)
    unfitted = (rule.temperature, rule.abstain_below, rule.coverage, rule.set_threshold)
    assert unfitted == (1.0, None, None, None)


def test_what_cannot_be_vouched_for_is_told_and_nothing_withheld() -> None:
    rule = fit_decision(drawn(18), config=AbstainConfig(target_accuracy=0.999))
    assert rule.abstain_below is None
    assert rule.abstain_reason == (
        "On 18 validation photos no threshold can vouch for 0.999, so all are answered."
    )
    assert rule.set_threshold is None
    assert rule.set_reason.startswith("18 of 19 validation photos that sets of coverage 0.95")


def test_nothing_is_withheld_unless_an_accuracy_is_asked_for() -> None:
    rule = fit_decision(drawn(100), config=AbstainConfig())
    assert (rule.target_accuracy, rule.abstain_below) == (None, None)
    assert "abstain.target_accuracy" in rule.abstain_reason


def test_copies_in_groups_are_not_taken_for_evidence() -> None:
    predictions = drawn(200)
    one_group = dict.fromkeys(predictions.paths, "all")
    assert fit_decision(predictions, config=AbstainConfig()).temperature != 1
    assert fit_decision(predictions, config=AbstainConfig(), groups=one_group).temperature == 1


def test_a_rule_survives_json_and_an_impossible_one_is_refused() -> None:
    rule = fit_decision(drawn(100), config=AbstainConfig(target_accuracy=0.7))
    assert from_plain(DecisionRule, to_plain(rule), where="rule") == rule
    with pytest.raises(ValueError, match="temperature must be over 0, met 0"):
        DecisionRule(temperature=0.0)
    with pytest.raises(RunError, match="set_threshold must lie between 0 and 1, met 2"):
        from_plain(DecisionRule, to_plain(rule) | {"set_threshold": 2.0}, where="rule")
