"""The settings of the training, in a phrase each."""

from typing import Any

import pytest

from fieldmark.report.optimizer import NAMES, SCHEDULES, optimizer_settings
from fieldmark.training.config import TrainConfig
from fieldmark.training.optim import CHOICES, OptimConfig

ADAM = {"name": "adam", "lr": "auto", "schedule": "constant", "momentum": 0.9, "epsilon": 1e-7}


def settings(
    optim: dict[str, Any] | None = None, *, lr: float | None = 1e-3, **others: Any
) -> dict[str, tuple[str, str]]:
    rows = optimizer_settings({"optim": optim if optim is not None else ADAM, **others}, lr=lr)
    return {row.name: (row.value, row.meaning) for row in rows}


def test_every_optimizer_and_schedule_of_the_recipe_has_its_phrase() -> None:
    assert set(NAMES) == set(CHOICES["name"])
    assert set(SCHEDULES) == set(CHOICES["schedule"])


def test_the_settings_that_took_part_are_told() -> None:
    told = settings()
    assert list(told) == [
        "Optimizer",
        "Learning rate",
        "Schedule",
        "First beta",
        "Epsilon",
        "Weight decay",
    ]
    assert told["Optimizer"][0] == "Adam"
    assert told["Learning rate"][0] == "0.001"
    assert told["Schedule"] == ("constant", "the rate stays the same")
    assert told["Epsilon"][0] == "10⁻⁷"
    assert told["Weight decay"][0] == "none"
    assert all(meaning for _, meaning in told.values())


def test_the_rate_that_was_used_goes_before_the_one_asked() -> None:
    asked = {**ADAM, "lr": 0.5}
    assert settings(asked, lr=0.02)["Learning rate"][0] == "0.02"
    assert settings(asked, lr=None)["Learning rate"][0] == "0.5"
    assert "Learning rate" not in settings(lr=None)


@pytest.mark.parametrize(
    ("changed", "name", "value"),
    [
        ({"name": "sgd"}, "Momentum", "0.9"),
        ({"epsilon": None}, "Epsilon", "10⁻⁸"),
        ({"warmup_epochs": 1.0}, "Warm-up", "1 epoch"),
        ({"warmup_epochs": 2.5}, "Warm-up", "2.5 epochs"),
        ({"head_lr_factor": 10.0}, "Head", "× 10"),
        ({"layer_decay": 0.8}, "Layer decay", "× 0.8"),
        ({"clip_norm": 1.0}, "Gradients clipped", "1"),
        ({"weight_decay": 0.05}, "Weight decay", "0.05"),
    ],
)
def test_what_departs_from_the_plain_way_has_its_row(
    changed: dict[str, Any], name: str, value: str
) -> None:
    assert settings({**ADAM, **changed})[name][0] == value


@pytest.mark.parametrize(
    ("num_epochs", "value"), [(1, "0.5 epochs"), (2, "1 epoch"), (10, "3 epochs")]
)
def test_a_warm_up_takes_half_of_the_training_at_most(num_epochs: int, value: str) -> None:
    told = settings({**ADAM, "warmup_epochs": 3.0}, train={"epochs": num_epochs})
    assert told["Warm-up"][0] == value


def test_what_is_off_has_none() -> None:
    plain = {"warmup_epochs": 0.0, "head_lr_factor": 1.0, "layer_decay": 1.0, "momentum": 0.0}
    told = settings({**ADAM, **plain, "name": "sgd", "clip_norm": None})
    assert list(told) == ["Optimizer", "Learning rate", "Schedule", "Weight decay"]


def test_a_step_schedule_names_its_factor() -> None:
    told = settings({**ADAM, "schedule": "step", "step_factor": 0.1})
    assert told["Schedule"][1] == "the rate is multiplied by 0.1 now and then"


def test_one_cycle_has_no_warm_up_but_its_own() -> None:
    assert "Warm-up" not in settings({**ADAM, "schedule": "onecycle", "warmup_epochs": 1.0})


def test_what_the_loop_adds_is_told_where_it_is_on() -> None:
    train = {"batch_size": 32, "epochs": 20, "label_smoothing": 0.1, "ema": 0.998}
    told = settings(train={**train, "class_weights": "balanced"})
    assert [told[name][0] for name in ("Batch size", "Epochs", "Label smoothing", "Averaging")] == [
        "32 photos",
        "20",
        "0.1",
        "0.998",
    ]
    assert "Class weights" in told
    off = settings(train={"label_smoothing": 0.0, "class_weights": "none"})
    assert not set(off) & {"Label smoothing", "Averaging", "Class weights"}


def test_a_head_alone_was_fitted_without_steps() -> None:
    told = settings({}, probe={"l2": 0.03})
    assert [(name, value) for name, (value, _) in told.items()] == [
        ("Method", "L-BFGS"),
        ("L2 penalty", "0.03"),
    ]


def test_the_names_are_those_of_the_recipe() -> None:
    """A field that is renamed there would silently vanish from the report."""
    optim, train = OptimConfig(), TrainConfig()
    for name in ("warmup_epochs", "head_lr_factor", "layer_decay", "clip_norm", "step_factor"):
        assert hasattr(optim, name)
    for name in ("batch_size", "epochs", "label_smoothing", "ema", "class_weights"):
        assert hasattr(train, name)
