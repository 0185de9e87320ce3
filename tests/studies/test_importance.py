"""Importance: what is known to matter comes out as what matters."""

from dataclasses import replace

import numpy as np
import pytest

from fieldmark.studies.importance import MIN_TRIALS, importance, place_of
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.trials import Trial, TrialResult

LR = Range(key="optim.lr", low=1e-5, high=1e-2, is_log=True, is_whole=False)
DECAY = Range(key="optim.weight_decay", low=0.0, high=0.2, is_log=False, is_whole=False)
NAME = Factor(key="optim.name", values=("adam", "sgd"))
SPACE = (LR, DECAY, NAME)


def search(num: int, *, seed: int = 0, of_lr: float = 0.4, of_name: float = 0.0) -> list[Trial]:
    generator = np.random.default_rng(seed)
    trials = []
    for number in range(num):
        place, decay = generator.random(2).tolist()
        name = NAME.values[int(generator.integers(2))]
        accuracy = 0.9 - of_lr * (place - 0.6) ** 2 - of_name * (name == "sgd")
        accuracy += float(generator.normal(0, 0.003))
        result = TrialResult(
            num_validation=500,
            val_loss=1 - accuracy,
            val_accuracy=accuracy,
            train_loss=0.1,
            train_accuracy=0.99,
            curve=(),
            seconds=1.0,
        )
        settings = {
            "optim.lr": 10 ** (-5 + 3 * place),
            "optim.weight_decay": 0.2 * decay,
            "optim.name": name,
        }
        trials.append(
            Trial(
                number=number,
                settings=settings,
                seed=0,
                kind="head",
                status="finished",
                result=result,
            )
        )
    return trials


def test_the_one_field_that_matters_has_nearly_all_of_the_variance() -> None:
    found = importance(search(60), SPACE)
    assert found is not None
    first, *others = found.fields
    assert first.key == "optim.lr"
    assert first.alone.value > 0.85
    assert first.total.low > 0.8
    assert all(field.total.value < 0.1 for field in others)
    assert found.is_credible


def test_a_named_value_can_matter_most() -> None:
    found = importance(search(60, of_lr=0.02, of_name=0.1), SPACE)
    assert found is not None
    assert found.fields[0].key == "optim.name"


def test_noise_alone_is_not_to_be_believed() -> None:
    found = importance(search(60, of_lr=0.0), SPACE)
    assert found is not None
    assert not found.is_credible


def test_the_same_trials_give_the_same_shares() -> None:
    assert importance(search(20), SPACE) == importance(search(20), SPACE)


def test_too_few_trials_or_all_alike_have_no_importance() -> None:
    trials = search(MIN_TRIALS)
    assert importance(trials[:-1], SPACE) is None
    assert trials[0].result is not None
    same = [replace(trial, result=trials[0].result) for trial in trials]
    assert importance(same, SPACE) is None


def test_pruned_trials_count_with_what_they_had_reached_and_failed_ones_do_not() -> None:
    trials = search(MIN_TRIALS + 2)
    pruned = replace(trials[0], status="pruned")
    failed = replace(trials[1], status="failed", result=None)
    found = importance([pruned, failed, *trials[2:]], SPACE)
    assert found is not None
    assert found.num_trials == MIN_TRIALS + 1


@pytest.mark.parametrize(
    ("value", "dimension", "expected"),
    [(1e-5, LR, 0.0), (1e-2, LR, 1.0), (10**-3.5, LR, 0.5), (0.05, DECAY, 0.25), ("sgd", NAME, 1)],
)
def test_places_within_the_space(value: object, dimension: Factor | Range, expected: float) -> None:
    assert place_of(value, dimension) == pytest.approx(expected)
