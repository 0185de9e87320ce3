"""The schedule's values, and which parameter learns how fast and decays how much."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fieldmark.base.errors import RecipeError
from fieldmark.models.randomness import seeded
from fieldmark.training.optim import (
    OptimConfig,
    build_optimizer,
    learning_rate,
    set_learning_rate,
)


def rates(num_epochs: int = 5, *, steps_per_epoch: int = 2, **values: Any) -> list[float]:
    config = OptimConfig(**{"lr": 0.8, **values})
    return [
        learning_rate(step, config=config, steps_per_epoch=steps_per_epoch, num_epochs=num_epochs)
        for step in range(num_epochs * steps_per_epoch)
    ]


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
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.8)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for rate in rates(4, steps_per_epoch=5, warmup_epochs=0.0):
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


@given(
    num_epochs=st.integers(1, 20),
    steps_per_epoch=st.integers(1, 20),
    warmup_epochs=st.floats(0, 30),
    schedule=st.sampled_from(["cosine", "constant"]),
)
def test_the_rate_is_positive_and_never_turns_twice(
    num_epochs: int, steps_per_epoch: int, warmup_epochs: float, schedule: str
) -> None:
    found = rates(
        num_epochs,
        steps_per_epoch=steps_per_epoch,
        warmup_epochs=warmup_epochs,
        schedule=schedule,
    )
    assert min(found) > 0
    top = found.index(max(found))
    assert found[top] == pytest.approx(0.8)
    assert found[:top] == sorted(found[:top])
    assert found[top:] == sorted(found[top:], reverse=True)


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.frozen = nn.Linear(4, 4).requires_grad_(requires_grad=False)


def groups(**values: Any) -> tuple[Backbone, nn.Linear, torch.optim.Optimizer]:
    with seeded(0):
        backbone, head = Backbone(), nn.Linear(4, 2)
    return backbone, head, build_optimizer(backbone, head, config=OptimConfig(**values))


def test_weights_decay_and_biases_and_normalisations_are_spared() -> None:
    backbone, head, optimizer = groups(weight_decay=0.3)
    decay = {
        parameter: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert decay == {
        backbone.conv.weight: 0.3,
        backbone.conv.bias: 0.0,
        backbone.norm.weight: 0.0,
        backbone.norm.bias: 0.0,
        head.weight: 0.3,
        head.bias: 0.0,
    }


def test_a_step_without_gradient_only_decays() -> None:
    backbone, head, optimizer = groups(weight_decay=0.3, head_lr_factor=2.0)
    assert backbone.conv.bias is not None
    assert head.bias is not None
    before: dict[torch.Tensor, torch.Tensor] = {
        p: p.detach().clone() for p in (*backbone.parameters(), *head.parameters())
    }
    for parameter in before:
        parameter.grad = torch.zeros_like(parameter)
    set_learning_rate(optimizer, 0.1)
    optimizer.step()
    for value, decay in (
        (backbone.conv.weight, 0.1 * 0.3),
        (head.weight, 0.2 * 0.3),
        (backbone.conv.bias, 0.0),
        (backbone.norm.weight, 0.0),
        (head.bias, 0.0),
        (backbone.frozen.weight, 0.0),
    ):
        torch.testing.assert_close(value.detach(), before[value] * (1 - decay))


def test_the_head_learns_at_its_multiple_of_the_rate() -> None:
    backbone, head, optimizer = groups(head_lr_factor=7.0)
    set_learning_rate(optimizer, 0.01)
    rate = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rate[p] for p in (backbone.conv.weight, backbone.norm.bias)} == {0.01}
    assert [rate[p] for p in head.parameters()] == pytest.approx([0.07, 0.07])
    assert backbone.frozen.weight not in rate


def test_the_steps_are_those_of_pytorchs_own_adamw() -> None:
    ours, head, optimizer = groups(lr=0.01, weight_decay=0.05, head_lr_factor=1.0)
    peer = Backbone()
    peer.load_state_dict(ours.state_dict())
    assert peer.conv.bias is not None
    spared = [peer.conv.bias, peer.norm.weight, peer.norm.bias]
    parts: list[dict[str, Any]] = [
        {"params": [peer.conv.weight]},
        {"params": spared, "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(
        parts,
        lr=0.01,
        weight_decay=0.05,
        fused=False,
    )
    generator = torch.Generator().manual_seed(0)
    images_NCHW = torch.randn(4, 3, 8, 8, generator=generator)
    for rate in (0.01, 0.02, 0.005):
        for network, stepper in ((ours, optimizer), (peer, reference)):
            stepper.zero_grad()
            between = network.conv(images_NCHW)
            # Without the second term the bias has no gradient but rounding errors.
            loss = network.norm(between).relu().square().sum() + between.square().sum()
            loss.backward()
        set_learning_rate(optimizer, rate)
        for group in reference.param_groups:
            group["lr"] = rate
        optimizer.step()
        reference.step()
    assert head.weight.grad is None
    for name, value in peer.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"name": "adam"}, "optim.name is 'adam'"),
        ({"schedule": "step"}, "optim.schedule is 'step'"),
        ({"lr": 0.0}, "optim.lr is 0.0"),
        ({"lr": -1.0}, "optim.lr is -1.0"),
        ({"lr": 10.0}, "optim.lr is 10.0"),
        ({"lr": math.nan}, "optim.lr is nan"),
        ({"weight_decay": -0.1}, "optim.weight_decay is -0.1"),
        ({"weight_decay": 1.0}, "optim.weight_decay is 1.0"),
        ({"warmup_epochs": -1.0}, "optim.warmup_epochs is -1.0"),
        ({"warmup_epochs": math.inf}, "optim.warmup_epochs is inf"),
        ({"warmup_epochs": math.nan}, "optim.warmup_epochs is nan"),
        ({"head_lr_factor": 0.0}, "optim.head_lr_factor is 0.0"),
        ({"head_lr_factor": 1001.0}, "optim.head_lr_factor is 1001.0"),
    ],
)
def test_values_out_of_range_are_refused_by_their_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(RecipeError, match=f"{key}; allowed: "):
        OptimConfig(**values)
