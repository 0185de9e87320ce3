"""The probe is scikit-learn's logistic regression, its strength chosen with care."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fieldmark.base.errors import RecipeError
from fieldmark.evaluation.metrics import softmax
from fieldmark.training.probe import (
    L2_TRIED,
    Labelled,
    LinearHead,
    Probe,
    ProbeConfig,
    ProbeTrial,
    choose,
    fit_probe,
)

NO_HEAD = LinearHead(weight_CF=np.zeros((2, 1)), bias_C=np.zeros(2))


def sample(
    num_photos: int, *, num_classes: int = 3, num_features: int = 6, seed: int = 0
) -> Labelled:
    """Draw overlapping clouds, a class each, of features on very different scales."""
    centres_CF = np.random.default_rng(100).normal(0, 1, (num_classes, num_features))
    scales_F = 10.0 ** np.linspace(-3, 3, num_features)
    rng = np.random.default_rng(seed)
    labels_N = np.arange(num_photos) % num_classes
    clouds_NF = centres_CF[labels_N] + rng.normal(0, 1, (num_photos, num_features))
    return Labelled(features_NF=(clouds_NF * scales_F + 5).astype(np.float32), labels_N=labels_N)


def fit(train: Labelled, validation: Labelled, *, num_classes: int = 3, **config: Any) -> Probe:
    return fit_probe(
        train,
        validation,
        config=ProbeConfig(**config),
        num_classes=num_classes,
        on_trial=lambda _: None,
    )


def joined(*parts: Labelled) -> Labelled:
    return Labelled(
        features_NF=np.concatenate([part.features_NF for part in parts]),
        labels_N=np.concatenate([part.labels_N for part in parts]),
    )


def peer_probabilities(
    fitted_on: Labelled, features_NF: NDArray[np.float32], *, l2: float
) -> NDArray[np.float64]:
    scaler = StandardScaler().fit(fitted_on.features_NF.astype(np.float64))
    model = LogisticRegression(C=1 / (l2 * len(fitted_on.labels_N)), tol=1e-8, max_iter=10_000)
    model.fit(scaler.transform(fitted_on.features_NF.astype(np.float64)), fitted_on.labels_N)
    result: NDArray[np.float64] = model.predict_proba(
        scaler.transform(features_NF.astype(np.float64))
    )
    return result


@pytest.mark.parametrize("num_classes", [2, 3, 7])
@pytest.mark.parametrize("l2", [1.0, 0.03, 0.001])
def test_a_head_is_scikit_learns_own_on_standardised_features(l2: float, num_classes: int) -> None:
    train = sample(120, num_classes=num_classes)
    validation = sample(50, num_classes=num_classes, seed=1)
    probe = fit(train, validation, l2=l2, num_classes=num_classes)
    assert probe.chosen.head.weight_CF.shape == (num_classes, 6)
    for head, seen in ((probe.chosen.head, train), (probe.head, joined(train, validation))):
        np.testing.assert_allclose(
            softmax(head.logits(validation.features_NF)),
            peer_probabilities(seen, validation.features_NF, l2=l2),
            atol=2e-3,
        )


def test_every_strength_of_the_search_is_as_good_as_a_fit_of_its_own() -> None:
    """Each fit starts from the one before, and must not stop short of its own optimum."""
    train, validation = sample(120), sample(50, seed=1)
    probe = fit(train, validation)
    assert [trial.l2 for trial in probe.trials] == list(L2_TRIED)
    for trial in probe.trials:
        found_NC = softmax(trial.head.logits(validation.features_NF))
        expected_NC = peer_probabilities(train, validation.features_NF, l2=trial.l2)
        np.testing.assert_allclose(found_NC, expected_NC, atol=5e-3)


def test_the_figures_of_a_trial_are_those_of_its_head() -> None:
    train, validation = sample(60), sample(40, seed=1)
    trial = fit(train, validation, l2=0.1).chosen
    for part, loss, accuracy in (
        (train, trial.train_loss, trial.train_accuracy),
        (validation, trial.val_loss, trial.val_accuracy),
    ):
        shares_NC = softmax(trial.head.logits(part.features_NF))
        losses_N = -np.log(shares_NC[np.arange(len(shares_NC)), part.labels_N])
        assert loss == pytest.approx(losses_N.mean())
        assert accuracy == (shares_NC.argmax(1) == part.labels_N).mean()
    # The last is validation: its standard error is s / sqrt(n), with s as of the population.
    assert trial.val_loss_error == pytest.approx(losses_N.std() / math.sqrt(40))
    assert 0 < trial.val_accuracy < 1


def test_logits_are_of_raw_features_and_in_float64() -> None:
    head = LinearHead(weight_CF=np.array([[1.0, 2.0], [0.0, -1.0]]), bias_C=np.array([0.5, 0.25]))
    logits_NC = head.logits(np.array([[3.0, 4.0]], dtype=np.float32))
    assert logits_NC.tolist() == [[11.5, -3.75]]
    assert logits_NC.dtype == np.float64


def test_two_classes_get_opposite_halves_of_the_log_odds() -> None:
    head = fit(
        sample(60, num_classes=2), sample(20, num_classes=2, seed=1), num_classes=2, l2=0.1
    ).head
    np.testing.assert_allclose(head.weight_CF[0], -head.weight_CF[1])
    assert head.bias_C[0] == pytest.approx(-head.bias_C[1])


def test_a_stronger_penalty_gives_smaller_weights() -> None:
    train = sample(120)
    spread_F = train.features_NF.std(axis=0)
    probe = fit(train, sample(50, seed=1))
    sizes = [float(np.linalg.norm(trial.head.weight_CF * spread_F)) for trial in probe.trials]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("wobble", [0.0, 1e-8])
@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_constant_feature_counts_for_nothing(level: float, wobble: float) -> None:
    def with_constant(part: Labelled) -> Labelled:
        noise_N = np.random.default_rng(0).normal(0, wobble, (len(part.labels_N), 1))
        constant_N1 = (level + noise_N).astype(np.float32)
        return Labelled(
            features_NF=np.hstack([part.features_NF, constant_N1]), labels_N=part.labels_N
        )

    train, validation = sample(60), sample(30, seed=1)
    plain = fit(train, validation, l2=0.1)
    padded = fit(with_constant(train), with_constant(validation), l2=0.1)
    assert np.isfinite(padded.head.weight_CF).all()
    assert abs(padded.head.weight_CF[:, 6]).max() < 1e-6
    np.testing.assert_allclose(
        padded.head.logits(with_constant(validation).features_NF),
        plain.head.logits(validation.features_NF),
        atol=1e-3,
    )


def trial(l2: float, val_loss: float, val_loss_error: float = 0.0) -> ProbeTrial:
    return ProbeTrial(
        l2=l2,
        train_loss=0.0,
        train_accuracy=1.0,
        val_loss=val_loss,
        val_loss_error=val_loss_error,
        val_accuracy=1.0,
        head=NO_HEAD,
    )


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([trial(1.0, 0.5), trial(0.1, 0.3), trial(0.01, 0.4)], 0.1),
        ([trial(1.0, 0.5), trial(0.1, 0.3, 0.2), trial(0.01, 0.4)], 1.0),
        ([trial(1.0, 0.51), trial(0.1, 0.4), trial(0.01, 0.3, 0.2)], 0.1),
        # The noise is that of the best, not of the others.
        ([trial(1.0, 0.5, 9.0), trial(0.1, 0.3, 0.1), trial(0.01, 0.4)], 0.1),
        ([trial(0.01, 0.3), trial(1.0, 0.3), trial(0.1, 0.3)], 1.0),
        ([trial(0.01, 0.3)], 0.01),
    ],
)
def test_the_strongest_within_one_standard_error_of_the_best_is_chosen(
    trials: Sequence[ProbeTrial], expected: float
) -> None:
    assert choose(trials).l2 == expected


def test_the_choice_is_among_the_trials_and_the_refit_has_its_strength() -> None:
    train, validation = sample(90), sample(60, seed=1)
    probe = fit(train, validation)
    assert probe.chosen is choose(probe.trials)
    again = fit(train, validation, l2=probe.chosen.l2)
    np.testing.assert_allclose(
        softmax(probe.head.logits(validation.features_NF)),
        softmax(again.head.logits(validation.features_NF)),
        atol=2e-3,
    )
    assert not np.allclose(probe.head.weight_CF, probe.chosen.head.weight_CF)


def test_a_given_strength_is_the_only_one_tried() -> None:
    probe = fit(sample(60), sample(30, seed=1), l2=0.02)
    assert [trial.l2 for trial in probe.trials] == [0.02]
    assert probe.chosen is probe.trials[0]


def test_without_validation_photos_a_given_strength_is_fitted_once_on_what_there_is() -> None:
    train = sample(60)
    none = Labelled(features_NF=train.features_NF[:0], labels_N=train.labels_N[:0])
    found, expected = fit(train, none, l2=0.02), fit(train, sample(30, seed=1), l2=0.02).chosen
    assert found.head is found.chosen.head
    np.testing.assert_array_equal(found.head.weight_CF, expected.head.weight_CF)
    chosen = found.chosen
    assert (chosen.train_loss, chosen.train_accuracy) == (
        expected.train_loss,
        expected.train_accuracy,
    )
    unknown = (chosen.val_loss, chosen.val_loss_error, chosen.val_accuracy)
    assert all(map(math.isnan, unknown))
    with pytest.raises(
        RecipeError, match=r"probe\.l2 is 'auto', and there are no validation photo"
    ):
        fit(train, none)


def test_each_trial_is_told_as_it_is_done() -> None:
    told: list[ProbeTrial] = []
    probe = fit_probe(
        sample(60),
        sample(30, seed=1),
        config=ProbeConfig(),
        num_classes=3,
        on_trial=told.append,
    )
    assert told == list(probe.trials)


def test_the_same_features_give_the_same_head_to_the_last_bit() -> None:
    one, other = (fit(sample(60), sample(30, seed=1)) for _ in range(2))
    np.testing.assert_array_equal(one.head.weight_CF, other.head.weight_CF)
    np.testing.assert_array_equal(one.head.bias_C, other.head.bias_C)


def test_fits_that_do_not_converge_are_candidates_without_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fieldmark.training.probe.MAX_ITERATIONS", 1)
    assert len(fit(sample(60), sample(30, seed=1)).trials) == len(L2_TRIED)


@pytest.mark.parametrize("l2", ["much", "", 0.0, -1.0, math.inf, math.nan])
def test_values_out_of_range_are_refused_by_their_key(l2: object) -> None:
    with pytest.raises(RecipeError, match=r"probe\.l2 is .*; allowed: a number over 0, or "):
        ProbeConfig(l2=l2)  # type: ignore[arg-type]
