"""A temperature is found where it helps, and left alone where that is chance."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from fieldmark.evaluation import metrics
from fieldmark.evaluation.calibration import (
    HIGHEST,
    LOWEST,
    MIN_IMAGES,
    best_temperature,
    fit_temperature,
)
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.reliability import calibration_error


def honest(
    num_images: int, *, seed: int = 0, sharpness: float = 1.0, spread: float = 2.0
) -> Predictions:
    """Return images whose labels are drawn by the softmax of their logits, then sharpened."""
    generator = np.random.default_rng(seed)
    logits_NC = generator.normal(scale=spread, size=(num_images, 4))
    noise_NC = generator.gumbel(size=logits_NC.shape)
    return Predictions(
        paths=tuple(f"{place}.jpg" for place in range(num_images)),
        splits=np.full(num_images, "validation"),
        labels_N=(logits_NC + noise_NC).argmax(axis=1),
        classes=("a", "b", "c", "d"),
        logits_NC=(sharpness * logits_NC).astype(np.float32),
    )


def loss(predictions: Predictions, temperature: float) -> float:
    scaled_NC = predictions.logits_NC.astype(np.float64) / temperature
    return float(metrics.negative_log_likelihood(scaled_NC, predictions.labels_N).mean())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), sharpness=st.floats(0.3, 6), num_images=st.integers(40, 200))
def test_the_temperature_is_the_one_that_scipy_finds(
    seed: int, sharpness: float, num_images: int
) -> None:
    predictions = honest(num_images, seed=seed, sharpness=sharpness)
    found = best_temperature(predictions.logits_NC, predictions.labels_N)
    expected = minimize_scalar(
        lambda log: loss(predictions, math.exp(log)),
        bounds=(math.log(LOWEST), math.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(math.exp(expected.x), rel=1e-3)
    assert loss(predictions, found) <= expected.fun + 1e-9


def test_two_images_worked_by_hand() -> None:
    # Logits (2, 0) with both labels in the ratio 3 to 1: the odds must be 3, so 2 / T = log 3.
    logits_NC = np.tile([2.0, 0.0], (4, 1))
    assert best_temperature(logits_NC, np.array([0, 0, 0, 1])) == pytest.approx(2 / math.log(3))


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_large_logits_do_not_overflow(shift: float) -> None:
    predictions = honest(300, sharpness=500.0)
    found = best_temperature(predictions.logits_NC / 50 + shift, predictions.labels_N)
    assert found == pytest.approx(10.0, rel=0.2)


def test_a_loss_without_a_minimum_ends_at_the_bound() -> None:
    assert best_temperature(np.eye(3), np.arange(3)) == pytest.approx(LOWEST, rel=1e-6)
    assert best_temperature(np.eye(2), np.array([1, 0])) == pytest.approx(HIGHEST, rel=1e-6)
    assert best_temperature(np.zeros((3, 2)), np.array([0, 1, 1])) == 1.0


@pytest.mark.parametrize("sharpness", [0.4, 3.0])
def test_overconfidence_and_underconfidence_are_put_right_on_other_images(sharpness: float) -> None:
    fitted = fit_temperature(honest(500, seed=1, sharpness=sharpness))
    assert fitted.value == pytest.approx(sharpness, rel=0.2)
    assert "Fitted on 500 validation photos" in fitted.reason
    others = honest(3000, seed=2, sharpness=sharpness)
    before, after = (
        calibration_error(replace(others, temperature=each)) for each in (1.0, fitted.value)
    )
    assert after < 0.03 < before


def test_noise_is_hardly_ever_kept_as_a_temperature() -> None:
    kept = [fit_temperature(honest(200, seed=seed)).value != 1 for seed in range(60)]
    assert sum(kept) / len(kept) <= 0.2
    assert "more than chance" in fit_temperature(honest(200, seed=0)).reason


def flawless(num_images: int, *, confidence: float) -> Predictions:
    """Return images of two classes, all named right, with this confidence each."""
    odds = math.log(confidence / (1 - confidence))
    return Predictions(
        paths=tuple(f"{place}.jpg" for place in range(num_images)),
        splits=np.full(num_images, "validation"),
        labels_N=np.zeros(num_images, dtype=np.int64),
        classes=("a", "b"),
        logits_NC=np.tile(np.array([odds, 0.0], dtype=np.float32), (num_images, 1)),
    )


def test_right_answers_as_many_as_expected_leave_confidence_alone() -> None:
    # 0.98 to the power of 100 is 13 %: nothing speaks against it.
    fitted = fit_temperature(flawless(100, confidence=0.98))
    assert fitted.value == 1.0
    assert "None of 100 validation photos is named wrong" in fitted.reason
    assert fit_temperature(flawless(100, confidence=0.9999)).value == 1.0


def test_more_right_answers_than_expected_raise_confidence_to_what_they_speak_for() -> None:
    # 0.9 to the power of 100 is 0.003 %. The rule of succession says 101 / 102.
    doubtful = flawless(100, confidence=0.9)
    fitted = fit_temperature(doubtful)
    expected = math.log(0.9 / 0.1) / math.log(101)
    assert fitted.value == pytest.approx(expected, rel=1e-5)
    raised = replace(doubtful, temperature=fitted.value)
    assert raised.confidence_N.mean() == pytest.approx(101 / 102)
    assert "raised to 99.02 %" in fitted.reason


def test_copies_of_right_answers_are_one_right_answer() -> None:
    # 0.9 to the power of 10 is 35 %.
    copied = np.arange(100) // 10
    assert fit_temperature(flawless(100, confidence=0.9), groups_N=copied).value == 1.0


def test_a_temperature_that_raises_the_calibration_error_is_not_kept() -> None:
    # Nine tenths of the images are believable at 1. The rest are hopelessly sure and wrong, which
    # costs so much that the loss wants all of them doubted.
    generator = np.random.default_rng(3)
    good, bad = 450, 50
    logits_NC = np.zeros((good + bad, 2))
    logits_NC[:, 0] = math.log(9)
    logits_NC[good:, 0] = 25.0
    labels_N = np.zeros(good + bad, dtype=np.int64)
    labels_N[:good] = generator.permutation(np.arange(good) < good // 10)
    labels_N[good : good + 8] = 1
    made = Predictions(
        paths=tuple(map(str, range(good + bad))),
        splits=np.full(good + bad, "validation"),
        labels_N=labels_N,
        classes=("a", "b"),
        logits_NC=logits_NC.astype(np.float32),
    )
    value = best_temperature(logits_NC, labels_N)
    errors = [calibration_error(replace(made, temperature=each)) for each in (1.0, value)]
    assert errors[1] > errors[0]
    fitted = fit_temperature(made)
    assert fitted.value == 1.0
    assert "would raise the calibration error" in fitted.reason


@pytest.mark.parametrize("num_images", [0, 1, MIN_IMAGES - 1])
def test_few_images_are_left_alone_and_told_of(num_images: int) -> None:
    few = honest(MIN_IMAGES, sharpness=5.0).take(np.arange(MIN_IMAGES) < num_images)
    fitted = fit_temperature(few)
    assert fitted.value == 1.0
    assert ("no validation photos" if not num_images else f"{num_images} of {MIN_IMAGES}") in (
        fitted.reason
    )


def test_images_of_one_group_say_nothing_about_others() -> None:
    sharp = honest(200, sharpness=4.0)
    everything = np.zeros(200, dtype=np.int64)
    assert fit_temperature(sharp, groups_N=everything).value == 1.0
    assert fit_temperature(sharp, groups_N=np.arange(200) // 2).value != 1.0


def test_the_temperature_borne_already_is_not_looked_at() -> None:
    sharp = honest(200, sharpness=4.0)
    assert fit_temperature(replace(sharp, temperature=3.0)) == fit_temperature(sharp)


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    # Confidence 0.9 with one of two right, and 0.6 with one of one right.
    shares: NDArray[np.float64] = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    made = Predictions(
        paths=("a", "b", "c"),
        splits=np.full(3, "test"),
        labels_N=np.array([0, 1, 0]),
        classes=("a", "b"),
        logits_NC=np.log(shares),
    )
    assert calibration_error(made) == pytest.approx((2 * 0.4 + 0.4) / 3, abs=1e-6)
