"""Learning curves by value, and what each quarter of the epochs brought."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from fieldmark.studies.curves import epoch_steps, value_curves
from fieldmark.studies.space import Factor
from fieldmark.studies.trials import EpochPoint, Trial, TrialResult

LR = Factor(key="optim.lr", values=(1e-3, 1e-4))
NAME = Factor(key="optim.name", values=("sgd", "adam"))


def trial(settings: dict[str, Any], accuracies: Sequence[float], *, seed: int = 0) -> Trial:
    curve = tuple(
        EpochPoint(
            epoch=epoch,
            train_loss=1 - accuracy,
            train_accuracy=accuracy,
            val_loss=2 - accuracy,
            val_accuracy=accuracy,
        )
        for epoch, accuracy in enumerate(accuracies, start=1)
    )
    last = accuracies[-1] if accuracies else 0.9
    result = TrialResult(
        num_validation=100,
        val_loss=2 - last,
        val_accuracy=last,
        train_loss=1 - last,
        train_accuracy=last,
        curve=curve,
        seconds=1.0,
    )
    return Trial(
        number=0, settings=settings, seed=seed, kind="head", status="finished", result=result
    )


def test_a_curve_is_the_mean_and_its_band_reaches_from_seed_to_seed() -> None:
    trials = [
        trial({"optim.lr": 1e-3}, [0.5, 0.6], seed=0),
        trial({"optim.lr": 1e-3}, [0.7, 0.9], seed=1),
        trial({"optim.lr": 1e-4}, [0.4, 0.8], seed=0),
    ]
    high, low = value_curves(trials, LR, measure="val_accuracy")
    assert (high.value, high.num_trials, high.epochs) == (1e-3, 2, (1, 2))
    assert high.mean == pytest.approx((0.6, 0.75))
    assert (high.low, high.high) == ((0.5, 0.6), (0.7, 0.9))
    assert low.mean == low.low == low.high == (0.4, 0.8)


def test_the_band_does_not_show_settings_as_chance() -> None:
    trials = [
        trial({"optim.lr": 1e-3, "optim.name": name}, [accuracy], seed=seed)
        for name, accuracy in (("sgd", 0.5), ("adam", 0.9))
        for seed in range(2)
    ]
    (curve,) = value_curves(trials, LR, measure="val_accuracy")
    assert curve.low == curve.high == pytest.approx((0.7,))


def test_settings_that_lack_a_seed_are_left_out_of_the_curve() -> None:
    trials = [
        trial({"optim.lr": 1e-3, "optim.name": "sgd"}, [0.5], seed=0),
        trial({"optim.lr": 1e-3, "optim.name": "sgd"}, [0.5], seed=1),
        trial({"optim.lr": 1e-3, "optim.name": "adam"}, [0.9], seed=0),
    ]
    (curve,) = value_curves(trials, LR, measure="val_accuracy")
    assert (curve.num_trials, curve.mean) == (2, (0.5,))


def test_a_trial_that_ended_early_counts_on_with_its_last_epoch() -> None:
    trials = [
        trial({"optim.lr": 1e-3}, [0.5, 0.6, 0.8, 0.9], seed=0),
        trial({"optim.lr": 1e-3}, [0.5, 0.7], seed=1),
    ]
    (curve,) = value_curves(trials, LR, measure="val_accuracy")
    assert curve.mean == pytest.approx((0.5, 0.65, 0.75, 0.8))


def test_what_was_not_measured_is_a_gap_in_the_curve() -> None:
    (curve,) = value_curves(
        [trial({"optim.lr": 1e-3}, [math.nan, 0.7])], LR, measure="val_accuracy"
    )
    assert math.isnan(curve.mean[0])
    assert curve.mean[1] == pytest.approx(0.7)


def test_trials_without_epochs_have_no_curves() -> None:
    trials = [trial({"optim.lr": value}, []) for value in LR.values]
    assert value_curves(trials, LR, measure="val_loss") == ()
    assert epoch_steps(trials, [LR]) == ()


def test_quarters_of_the_epochs_by_hand() -> None:
    rising = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.9, 0.88]
    trials = [
        trial(
            {"optim.lr": value},
            [each + 0.001 * seed * place for place, each in enumerate(rising)],
            seed=seed,
        )
        for value in LR.values
        for seed in range(2)
    ]
    steps = epoch_steps(trials, [LR])
    assert [(step.first, step.last) for step in steps] == [(1, 2), (2, 4), (4, 6), (6, 8)]
    assert [step.val_accuracy.value for step in steps] == pytest.approx(
        [0.1005, 0.201, 0.101, -0.019]
    )
    log_losses = [step.log_val_loss.value for step in steps]
    losses = [2 - each for each in rising]
    expected = [math.log(losses[last] / losses[first]) for first, last in pairwise((0, 1, 3, 5, 7))]
    assert log_losses == pytest.approx(expected, abs=0.003)
    assert all(step.val_accuracy.interval is not None for step in steps)


def test_three_epochs_are_not_divided() -> None:
    trials = [trial({"optim.lr": value}, [0.5, 0.6, 0.7]) for value in LR.values]
    assert epoch_steps(trials, [LR]) == ()
