"""The rate and the momentum of each step, held against PyTorch's own schedulers."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from fieldmark.training.optim import OptimConfig
from fieldmark.training.schedule import learning_rate, momentum


def rates(num_epochs: int = 5, *, steps_per_epoch: int = 2, **values: Any) -> list[float]:
    config = OptimConfig(**values)
    return [
        learning_rate(
            step, config=config, lr=0.8, steps_per_epoch=steps_per_epoch, num_epochs=num_epochs
        )
        for step in range(num_epochs * steps_per_epoch)
    ]


def new_sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.8, momentum=0.9)


def peer_values(scheduler: LRScheduler, num_steps: int, *, every: int = 1) -> list[dict[str, Any]]:
    """Return what a scheduler sets for each of the steps, being moved on every so many of them."""
    values = []
    for step in range(num_steps):
        values.append(dict(scheduler.optimizer.param_groups[0]))
        scheduler.optimizer.step()
        if (step + 1) % every == 0 and step + 1 < num_steps:
            scheduler.step()
    return values


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine() -> None:
    # Two steps of warm-up, then eight at 0, 1/8, ... 7/8 of the way.
    expected = [0.4, 0.8, *(0.4 * (1 + math.cos(math.pi * eighth / 8)) for eighth in range(8))]
    assert rates(warmup_epochs=1.0) == pytest.approx(expected)
    assert expected[2] == 0.8
    assert expected[6] == pytest.approx(0.4)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert rates(warmup_epochs=0.0)[0] == 0.8


def test_a_constant_rate_stays_after_the_warm_up() -> None:
    assert rates(2, steps_per_epoch=4, schedule="constant", warmup_epochs=0.5) == [
        0.4, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8,
    ]  # fmt: skip


def test_the_warm_up_takes_half_of_the_training_at_most() -> None:
    found = rates(1, steps_per_epoch=8, warmup_epochs=100.0)
    assert found[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found[4] == 0.8
    assert found[7] < found[6] < 0.8


def test_the_cosine_is_that_of_pytorch() -> None:
    peer = peer_values(CosineAnnealingLR(new_sgd(), T_max=20), 20)
    found = rates(4, steps_per_epoch=5, warmup_epochs=0.0)
    assert found == pytest.approx([values["lr"] for values in peer])


def test_the_steps_are_those_of_pytorch() -> None:
    peer = peer_values(StepLR(new_sgd(), step_size=2, gamma=0.3), 21, every=3)
    found = rates(
        7,
        steps_per_epoch=3,
        schedule="step",
        step_every_epochs=2.0,
        step_factor=0.3,
        warmup_epochs=0.0,
    )
    assert found == pytest.approx([values["lr"] for values in peer])
    assert len(set(found)) == 4


def test_steps_may_come_within_an_epoch_and_are_counted_from_the_end_of_the_warm_up() -> None:
    found = rates(2, steps_per_epoch=4, schedule="step", step_every_epochs=0.5, warmup_epochs=0.25)
    assert found == pytest.approx([0.8, 0.8, 0.8, 0.08, 0.08, 0.008, 0.008, 0.0008])


def test_the_rate_drops_twice_where_nothing_is_said_about_when() -> None:
    found = rates(5, steps_per_epoch=2, schedule="step", warmup_epochs=0.5, step_factor=0.5)
    assert found == pytest.approx([0.8, *3 * [0.8], *3 * [0.4], *3 * [0.2]])


@pytest.mark.parametrize("total", [4, 7, 10, 23, 100])
def test_one_cycle_is_that_of_pytorch_rate_and_momentum(total: int) -> None:
    peer = peer_values(OneCycleLR(new_sgd(), max_lr=0.8, total_steps=total), total)
    assert rates(1, steps_per_epoch=total, schedule="onecycle") == pytest.approx(
        [values["lr"] for values in peer]
    )
    config = OptimConfig(schedule="onecycle")
    cycled = [
        momentum(step, config=config, steps_per_epoch=total, num_epochs=1) for step in range(total)
    ]
    assert cycled == pytest.approx([values["momentum"] for values in peer])


@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_cycle_still_has_a_step_at_the_full_rate(total: int) -> None:
    found = rates(total, steps_per_epoch=1, schedule="onecycle")
    assert found[0] == 0.8
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    "values", [{"schedule": "cosine"}, {"schedule": "onecycle", "momentum": 0.0}]
)
def test_momentum_stays_as_it_is_where_nothing_cycles_it(values: dict[str, Any]) -> None:
    config = OptimConfig(**values)
    assert momentum(3, config=config, steps_per_epoch=5, num_epochs=2) is None


@given(
    num_epochs=st.integers(1, 20),
    steps_per_epoch=st.integers(1, 20),
    warmup_epochs=st.floats(0, 30),
    schedule=st.sampled_from(["cosine", "constant", "step", "onecycle"]),
    # Shorter ones drop it hundreds of times, to less than a float can tell from zero.
    step_every_epochs=st.none() | st.floats(0.1, 30),
)
def test_the_rate_is_positive_and_never_turns_twice(
    num_epochs: int, steps_per_epoch: int, schedule: str, **values: Any
) -> None:
    found = rates(num_epochs, steps_per_epoch=steps_per_epoch, schedule=schedule, **values)
    assert min(found) > 0
    assert max(found) <= 0.8 * (1 + 1e-12)
    top = found.index(max(found))
    # The peak of one cycle lies between two steps, which near it are as far apart as they get.
    assert found[top] >= (0.8 if schedule != "onecycle" else 0.4) * (1 - 1e-12)
    assert found[:top] == sorted(found[:top])
    assert found[top:] == sorted(found[top:], reverse=True)
