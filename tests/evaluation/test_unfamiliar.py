"""A photo is called unfamiliar as seldom as promised, and scores order photos as they should."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import betabinom
from sklearn.metrics import roc_auc_score

from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.evaluation import Evaluation, evaluate
from fieldmark.evaluation.intervals import wilson_interval
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import (
    UnfamiliarRule,
    auroc,
    energy,
    images_needed,
    rate_threshold,
    separation,
    unfamiliar_of,
    unfamiliarity,
)

RULE = UnfamiliarRule(
    score="energy", score_reason="Made up.", rate=0.1, threshold=2.0, reason="Found."
)


def test_energy_is_the_negative_logarithm_of_the_summed_exponentials() -> None:
    logits_NC = np.random.default_rng(0).normal(scale=30, size=(50, 4)).astype(np.float32)
    np.testing.assert_allclose(energy(logits_NC), -logsumexp(logits_NC.astype(float), axis=1))
    assert energy(np.array([[1e4, 0.0]])) == pytest.approx([-1e4])


@given(
    low=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    high=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
)
def test_auroc_is_scikit_learns(low: list[int], high: list[int]) -> None:
    truth = [0] * len(low) + [1] * len(high)
    found = auroc(np.array(low, dtype=float), np.array(high, dtype=float))
    assert found == pytest.approx(roc_auc_score(truth, low + high), abs=1e-12)


def test_auroc_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="both kinds"):
        auroc(np.ones(3), np.ones(0))


def test_the_threshold_leaves_as_few_above_it_as_the_rate_says() -> None:
    # 99 images at 0.01: ceil(100 * 0.99) = 99 must not exceed it, so it is the largest.
    scores_N = np.random.default_rng(0).permutation(99).astype(float)
    assert rate_threshold(scores_N, rate=0.01) == 98.0
    assert rate_threshold(scores_N[:98], rate=0.01) is None
    # 19 at 0.2: ceil(20 * 0.8) = 16, so three lie above it.
    assert rate_threshold(np.arange(19.0), rate=0.2) == 15.0


@given(rate=st.floats(0.005, 0.9))
def test_a_threshold_needs_the_images_that_are_said_to_be_needed(rate: float) -> None:
    needed = images_needed(rate)
    assert rate_threshold(np.arange(float(needed)), rate=rate) is not None
    assert rate_threshold(np.arange(float(needed - 1)), rate=rate) is None


def test_the_share_called_unfamiliar_keeps_to_the_rate_over_many_draws() -> None:
    # Of n images the share above the conformal quantile has a Beta(n + 1 - k, k) law.
    generator, num_held, num_new, rate = np.random.default_rng(0), 199, 500, 0.05
    called = []
    for _ in range(200):
        threshold = rate_threshold(generator.normal(size=num_held), rate=rate)
        assert threshold is not None
        called.append(int((generator.normal(size=num_new) > threshold).sum()))
    law = betabinom(num_new, 10, 190)
    spread = law.std() / np.sqrt(len(called))
    assert abs(np.mean(called) - law.mean()) < 2.576 * spread
    assert law.mean() == pytest.approx(num_new * rate)


def test_an_image_above_the_threshold_is_unfamiliar_and_one_on_it_is_not() -> None:
    verdicts = [RULE.is_unfamiliar(score) for score in (1.0, 2.0, 2.1, float("nan"))]
    assert verdicts == [False, False, True, True]
    assert replace(RULE, threshold=None).is_unfamiliar(9.0) is None


@pytest.mark.parametrize("bad", [{"score": "luck"}, {"rate": 0.0}, {"rate": 1.0}])
def test_a_rule_that_makes_no_sense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(RULE, **bad)  # type: ignore[arg-type]


def test_few_familiar_images_are_held_to_the_highest_of_their_scores() -> None:
    told = separation(np.array([0.0, 1.0, 2.0]), np.array([1.5, 2.0, 2.5, 9.0]), rate=0.01)
    assert told.caught == 0.5
    assert told.auroc == pytest.approx((2 + 2.5 + 3 + 3) / 12)


def test_the_distance_cannot_do_without_a_space() -> None:
    rule = replace(RULE, score="distance")
    logits_NC = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="familiar space"):
        unfamiliarity(rule, None, features_NF=logits_NC, logits_NC=logits_NC)


def test_what_a_rule_comes_to_is_a_share_with_its_interval() -> None:
    found = unfamiliar_of(np.array([0.0, 1.0, 2.0, 3.0]), rule=RULE)
    assert found is not None
    assert found.called == wilson_interval(1, 4)
    for scores_N, rule in ((None, RULE), (np.ones(2), replace(RULE, threshold=None))):
        told = unfamiliar_of(scores_N, rule=rule)
        assert told is not None
        assert (told.rule, told.called) == (rule, None)
    assert unfamiliar_of(np.ones(2), rule=None) is None


def evaluation_by(rule: UnfamiliarRule | None) -> Evaluation:
    predictions = Predictions(
        paths=("a.jpg", "b.jpg", "c.jpg"),
        splits=np.full(3, "test"),
        labels_N=np.array([0, 1, 1]),
        classes=("a", "b"),
        logits_NC=np.eye(2, dtype=np.float32)[[0, 1, 0]],
        unfamiliarity_N=np.array([0.0, 5.0, 1.0]),
    )
    return evaluate(predictions, decision=DecisionRule(unfamiliar=rule), num_resamples=5)


def test_an_evaluation_keeps_the_rule_and_reads_back() -> None:
    evaluation = evaluation_by(RULE)
    assert evaluation.unfamiliar is not None
    assert evaluation.unfamiliar.called == wilson_interval(1, 3)
    assert evaluation.decision.unfamiliar == RULE
    assert Evaluation.from_json(evaluation.to_json()) == evaluation


def test_an_evaluation_of_before_there_was_a_score_is_read() -> None:
    content = evaluation_by(None).to_json()
    assert content["unfamiliar"] is None
    del content["unfamiliar"]
    assert Evaluation.from_json({**content, "schema_version": 2}).unfamiliar is None
