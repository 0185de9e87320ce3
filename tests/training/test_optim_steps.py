"""The steps of each optimizer, held against ones computed by hand."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from fieldmark.training.optim import OptimConfig, build_optimizer, epsilon_at, set_rate

# Two parameters: a weight of two dimensions, which decays, and a bias, which does not.
WEIGHT, BIAS = 2.0, -1.0
GRADIENTS = [(0.5, -2.0), (-1.5, 0.25), (3.0, 1.0)]
RATES = [0.1, 0.05, 0.2]


def stepped(**values: Any) -> tuple[float, float]:
    """Return a weight and a bias after three steps with given gradients and rates."""
    head = nn.Linear(1, 1)
    nn.init.constant_(head.weight, WEIGHT)
    nn.init.constant_(head.bias, BIAS)
    config = OptimConfig(weight_decay=0.3, head_lr_factor=2.0, **values)
    optimizer = build_optimizer((), head, config=config, lr=1.0)
    for step, ((of_weight, of_bias), rate) in enumerate(zip(GRADIENTS, RATES, strict=True)):
        head.weight.grad = torch.full_like(head.weight, of_weight)
        head.bias.grad = torch.full_like(head.bias, of_bias)
        set_rate(optimizer, rate, momentum=None, epsilon=epsilon_at(step, config))
        optimizer.step()
    return float(head.weight.detach()), float(head.bias.detach())


def nesterov_by_hand(value: float, gradients: list[float], *, decay: float) -> float:
    """Sutskever et al. 2013 in PyTorch's form, momentum 0.8, L2 penalty `decay`."""
    velocity = 0.0
    for gradient, rate in zip(gradients, RATES, strict=True):
        penalised = gradient + decay * value
        velocity = 0.8 * velocity + penalised
        value -= 2 * rate * (penalised + 0.8 * velocity)
    return value


def rmsprop_by_hand(value: float, gradients: list[float], *, decay: float) -> float:
    """Tieleman and Hinton 2012, smoothing 0.99, momentum 0.8, epsilon 0.01 outside the root."""
    square, velocity = 0.0, 0.0
    for gradient, rate in zip(gradients, RATES, strict=True):
        penalised = gradient + decay * value
        square = 0.99 * square + 0.01 * penalised**2
        velocity = 0.8 * velocity + penalised / (math.sqrt(square) + 0.01)
        value -= 2 * rate * velocity
    return value


def adam_by_hand(
    value: float, gradients: list[float], *, decay: float, decoupled: bool, hat: bool = False
) -> float:
    """Kingma and Ba 2015, or Loshchilov and Hutter 2019, with betas 0.8 and 0.999.

    With `hat` in the order of the end of section 2 of the former, epsilon before the correction.
    """
    mean, square = 0.0, 0.0
    for step, (gradient, rate) in enumerate(zip(gradients, RATES, strict=True), start=1):
        penalised = gradient if decoupled else gradient + decay * value
        value *= 1 - 2 * rate * decay if decoupled else 1
        mean = 0.8 * mean + 0.2 * penalised
        square = 0.999 * square + 0.001 * penalised**2
        correction = math.sqrt(1 - 0.999**step)
        root = (math.sqrt(square) + 0.01) / correction
        if not hat:
            root = math.sqrt(square) / correction + 0.01
        value -= 2 * rate * mean / (1 - 0.8**step) / root
    return value


def of_weight_and_bias(by_hand: Any, **values: Any) -> tuple[float, float]:
    weights, biases = (list(part) for part in zip(*GRADIENTS, strict=True))
    return (
        by_hand(WEIGHT, weights, decay=0.3, **values),
        by_hand(BIAS, biases, decay=0.0, **values),
    )


def test_sgd_takes_the_steps_of_nesterovs_momentum_computed_by_hand() -> None:
    expected = of_weight_and_bias(nesterov_by_hand)
    assert stepped(name="sgd", momentum=0.8) == pytest.approx(expected, rel=1e-5)


def test_sgd_without_momentum_follows_the_gradient_alone() -> None:
    _, bias = stepped(name="sgd", momentum=0.0)
    moved = sum(2 * rate * of_bias for rate, (_, of_bias) in zip(RATES, GRADIENTS, strict=True))
    assert bias == pytest.approx(BIAS - moved)


def test_rmsprop_takes_the_steps_computed_by_hand() -> None:
    expected = of_weight_and_bias(rmsprop_by_hand)
    found = stepped(name="rmsprop", momentum=0.8, epsilon=0.01)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "decoupled"), [("adam", False), ("adamw", True)])
def test_adam_takes_the_steps_computed_by_hand(name: str, decoupled: bool) -> None:
    expected = of_weight_and_bias(adam_by_hand, decoupled=decoupled)
    found = stepped(name=name, momentum=0.8, epsilon=0.01)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "decoupled"), [("adam", False), ("adamw", True)])
def test_adam_adds_an_epsilon_hat_before_the_correction(name: str, decoupled: bool) -> None:
    expected = of_weight_and_bias(adam_by_hand, decoupled=decoupled, hat=True)
    found = stepped(name=name, momentum=0.8, epsilon=0.01, epsilon_hat=True)
    assert found == pytest.approx(expected, rel=1e-5)
    assert found != pytest.approx(stepped(name=name, momentum=0.8, epsilon=0.01), rel=1e-2)


def test_the_epsilon_hat_is_pytorchs_where_none_is_given_and_nothing_to_other_optimizers() -> None:
    assert epsilon_at(0, OptimConfig(name="adam", epsilon_hat=True)) == pytest.approx(
        1e-8 / math.sqrt(0.001)
    )
    assert epsilon_at(0, OptimConfig(name="adam", epsilon=1e-7)) is None
    assert epsilon_at(0, OptimConfig(name="rmsprop", epsilon=1e-7, epsilon_hat=True)) is None


def test_the_kinds_of_decay_differ() -> None:
    assert stepped(name="adam")[0] != pytest.approx(stepped(name="adamw")[0], rel=1e-3)
    assert stepped(name="adam")[1] == pytest.approx(stepped(name="adamw")[1])
