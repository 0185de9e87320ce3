"""Which settings are the best, and how sure that is."""

import math
from typing import Any

import pytest

from fieldmark.studies.best import best_of, choose_best, tried_settings
from fieldmark.studies.trials import Status, Trial, TrialResult


def trial(number: int, accuracy: float, loss: float = 0.5, **settings: Any) -> Trial:
    result = TrialResult(
        num_validation=100,
        val_loss=loss,
        val_accuracy=accuracy,
        train_loss=0.1,
        train_accuracy=1.0,
        curve=(),
        seconds=1.0,
    )
    return Trial(
        number=number, settings=settings, seed=number, kind="head", status="finished", result=result
    )


def test_the_highest_mean_over_seeds_is_the_best() -> None:
    trials = [
        trial(0, 0.90, a=1),
        trial(1, 0.99, a=2),
        trial(2, 0.92, a=1),
        trial(3, 0.80, a=2),
    ]
    best = choose_best(trials)
    assert best is not None
    assert (best.settings, best.num_trials) == ({"a": 1}, 2)
    assert best.val_accuracy == pytest.approx(0.91)


def test_of_equal_ones_the_lowest_loss_is_the_best() -> None:
    best = choose_best([trial(0, 0.9, 0.4, a=1), trial(1, 0.9, 0.3, a=2), trial(2, 0.9, 0.5, a=3)])
    assert best is not None
    assert best.settings == {"a": 2}
    assert "the lowest loss" in best.reason


def test_the_reason_counts_the_settings_within_the_noise() -> None:
    # Two trials each, 0.02 apart, so that the variance of one is 0.0002 and the standard error of
    # a difference of two means sqrt(0.0002 * (1/2 + 1/2)) = 0.0141.
    trials = [
        trial(number, mean + 0.01 * sign, a=mean)
        for number, (mean, sign) in enumerate(
            (mean, sign) for mean in (0.90, 0.89, 0.88, 0.70) for sign in (-1, 1)
        )
    ]
    best = choose_best(trials)
    assert best is not None
    assert "1 other is within the noise of it" in best.reason
    single = choose_best(trials[::2])
    assert single is not None
    assert "noise" not in single.reason


def lost(number: int, status: Status, **settings: Any) -> Trial:
    return Trial(number=number, settings=settings, seed=number, kind="head", status=status)


@pytest.mark.parametrize("status", ["failed", "pruned"])
def test_settings_are_not_chosen_by_the_seeds_that_survived(status: Status) -> None:
    trials = [
        trial(0, 0.90, a=1),
        trial(1, 0.99, a=2),
        trial(2, 0.92, a=1),
        lost(3, status, a=2),
        lost(4, status, a=3),
        lost(5, status, a=3),
    ]
    best = choose_best(trials)
    assert best is not None
    assert (best.settings, best.num_trials) == ({"a": 1}, 2)
    assert "of 1 setting;" in best.reason
    assert "2 more, of which more trials failed or were stopped early, were not" in best.reason
    assert best_of(tried_settings(trials)).settings == {"a": 1}


def test_where_every_setting_lost_a_trial_those_that_lost_the_fewest_are_compared() -> None:
    trials = [trial(0, 0.8, a=1), trial(1, 0.9, a=2), lost(2, "failed", a=1)]
    best = choose_best([*trials, lost(3, "failed", a=2)])
    assert best is not None
    assert best.settings == {"a": 2}
    assert "not considered" not in best.reason


def test_settings_whose_next_seed_waits_are_compared_too() -> None:
    best = choose_best([trial(0, 0.8, a=1), trial(1, 0.9, a=2), trial(2, 0.8, a=1)])
    assert best is not None
    assert best.settings == {"a": 2}


def test_without_a_finished_trial_there_is_no_best() -> None:
    assert choose_best([]) is None
    assert choose_best([trial(0, math.nan, a=1)]) is None
