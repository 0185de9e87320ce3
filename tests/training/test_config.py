"""The recipe's `[train]` section: what is refused, and what its fields come to."""

import math
from typing import Any

import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.training.config import CHOICES, TrainConfig


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"strategy": "heads"}, "train.strategy is 'heads'"),
        ({"batch_norm": "off"}, "train.batch_norm is 'off'"),
        ({"class_weights": "even"}, "train.class_weights is 'even'"),
        ({"sampling": "random"}, "train.sampling is 'random'"),
        ({"keep": "all"}, "train.keep is 'all'"),
        ({"compile": "on"}, "train.compile is 'on'"),
        ({"precision": "float16"}, "train.precision is 'float16'"),
        ({"last_stages": 0}, "train.last_stages is 0"),
        ({"last_stages": 101}, "train.last_stages is 101"),
        ({"epochs": 0}, "train.epochs is 0"),
        ({"epochs": 10_001}, "train.epochs is 10001"),
        ({"batch_size": 1}, "train.batch_size is 1"),
        ({"batch_size": 65_537}, "train.batch_size is 65537"),
        ({"label_smoothing": -0.1}, "train.label_smoothing is -0.1"),
        ({"label_smoothing": 1.0}, "train.label_smoothing is 1.0"),
        ({"label_smoothing": math.nan}, "train.label_smoothing is nan"),
        ({"ema": 0.0}, "train.ema is 0.0"),
        ({"ema": 1.0}, "train.ema is 1.0"),
        ({"ema": math.nan}, "train.ema is nan"),
        ({"patience": 0}, "train.patience is 0"),
        ({"patience": 10_001}, "train.patience is 10001"),
        ({"time_budget_s": 0.0}, "train.time_budget_s is 0.0"),
        ({"time_budget_s": -1.0}, "train.time_budget_s is -1.0"),
        ({"time_budget_s": math.inf}, "train.time_budget_s is inf"),
        ({"time_budget_s": math.nan}, "train.time_budget_s is nan"),
        ({"watch_test": 1}, "train.watch_test is 1"),
        ({"tensorboard": "yes"}, "train.tensorboard is yes"),
        ({"checkpoint_every_s": 0.0}, "train.checkpoint_every_s is 0.0"),
        ({"checkpoint_every_s": math.nan}, "train.checkpoint_every_s is nan"),
        ({"seed": -1}, "train.seed is -1"),
        ({"seed": 2**63}, "train.seed is 9223372036854775808"),
    ],
)
def test_values_out_of_range_are_refused_by_their_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(RecipeError, match=f"^{key}; allowed: "):
        TrainConfig(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 1, "batch_size": 2, "label_smoothing": 0.0, "seed": 0, "last_stages": 1},
        {"epochs": 10_000, "batch_size": 65_536, "label_smoothing": 0.99, "seed": 2**63 - 1},
        {"ema": 0.9999, "patience": 1, "time_budget_s": 0.5, "checkpoint_every_s": 1e-3},
        {"ema": None, "patience": None, "time_budget_s": None},
    ],
)
def test_values_at_the_ends_of_their_ranges_are_taken(values: dict[str, Any]) -> None:
    config = TrainConfig(**values)
    assert all(getattr(config, name) == value for name, value in values.items())


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_that_is_named_is_allowed(name: str) -> None:
    for value in CHOICES[name]:
        wish: dict[str, Any] = {name: value}
        assert getattr(TrainConfig(**wish), name) == value
    assert getattr(TrainConfig(), name) in CHOICES[name]


def test_the_nearest_spelling_is_proposed() -> None:
    with pytest.raises(RecipeError, match=r"'head-than-all'; allowed: .*'head-then-all'"):
        TrainConfig(strategy="head-than-all")


@pytest.mark.parametrize(
    ("keep", "patience", "keeps_best"),
    [
        ("auto", None, False),
        ("auto", 3, True),
        ("best", None, True),
        ("best", 3, True),
        ("last", None, False),
        ("last", 3, False),
    ],
)
def test_the_best_epoch_is_kept_where_asked_for_or_where_training_stops_by_it(
    keep: str, patience: int | None, *, keeps_best: bool
) -> None:
    assert TrainConfig(keep=keep, patience=patience).keeps_best is keeps_best
