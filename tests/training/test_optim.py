"""Which parameter learns how fast and decays how much, and steps held against ones by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldmark.base.errors import RecipeError
from fieldmark.models.depth import DepthGroup
from fieldmark.models.randomness import seeded
from fieldmark.training.optim import (
    OptimConfig,
    build_optimizer,
    clip,
    has_fused,
    set_rate,
)

CPU = torch.device("cpu")


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.frozen = nn.Linear(4, 4).requires_grad_(requires_grad=False)


def group_of(*modules: nn.Module) -> DepthGroup:
    parameters = tuple(parameter for module in modules for parameter in module.parameters())
    return DepthGroup(name="some", parameters=parameters, modules=modules)


def built(*, lr: float = 0.01, **values: Any) -> tuple[Backbone, nn.Linear, torch.optim.Optimizer]:
    with seeded(0):
        backbone, head = Backbone(), nn.Linear(4, 2)
    config = OptimConfig(**values)
    return backbone, head, build_optimizer((group_of(backbone),), head, config=config, lr=lr)


def of_each(optimizer: torch.optim.Optimizer, key: str) -> dict[Tensor, Any]:
    """Return a setting of every parameter that the optimizer has."""
    return {p: group[key] for group in optimizer.param_groups for p in group["params"]}


def test_weights_decay_and_biases_and_normalisations_are_spared() -> None:
    backbone, head, optimizer = built(weight_decay=0.3)
    assert of_each(optimizer, "weight_decay") == {
        backbone.conv.weight: 0.3,
        backbone.conv.bias: 0.0,
        backbone.norm.weight: 0.0,
        backbone.norm.bias: 0.0,
        head.weight: 0.3,
        head.bias: 0.0,
    }


def test_a_step_without_gradient_only_decays() -> None:
    backbone, head, optimizer = built(weight_decay=0.3, head_lr_factor=2.0)
    assert backbone.conv.bias is not None
    before: dict[Tensor, Tensor] = {
        p: p.detach().clone() for p in (*backbone.parameters(), *head.parameters())
    }
    for parameter in before:
        parameter.grad = torch.zeros_like(parameter)
    set_rate(optimizer, 0.1, momentum=None)
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
    backbone, head, optimizer = built(head_lr_factor=7.0, lr=0.01)
    rate = of_each(optimizer, "lr")
    assert {rate[p] for p in (backbone.conv.weight, backbone.norm.bias)} == {0.01}
    assert [rate[p] for p in head.parameters()] == pytest.approx([0.07, 0.07])
    set_rate(optimizer, 0.02, momentum=None)
    assert of_each(optimizer, "lr")[head.weight] == pytest.approx(0.14)
    assert backbone.frozen.weight not in rate


def test_the_rate_falls_with_the_distance_from_the_head() -> None:
    layers = [nn.Linear(2, 2) for _ in range(3)]
    head = nn.Linear(2, 2)
    config = OptimConfig(layer_decay=0.5, head_lr_factor=3.0)
    groups = [group_of(layer) for layer in layers]
    rate = of_each(build_optimizer(groups, head, config=config, lr=0.8), "lr")
    found = [rate[layer.weight] for layer in (*layers, head)]
    assert found == pytest.approx([0.1, 0.2, 0.4, 2.4])
    assert found == pytest.approx([rate[layer.bias] for layer in (*layers, head)])


def test_frozen_layers_leave_no_empty_group_and_keep_their_distance() -> None:
    layers = [nn.Linear(2, 2).requires_grad_(requires_grad=False), nn.Linear(2, 2)]
    head = nn.Linear(2, 2)
    config = OptimConfig(layer_decay=0.5)
    groups = [group_of(layer) for layer in layers]
    optimizer = build_optimizer(groups, head, config=config, lr=1.0)
    assert [group["lr_factor"] for group in optimizer.param_groups] == [0.5, 0.5, 10.0, 10.0]
    assert all(group["params"] for group in optimizer.param_groups)


def test_nothing_left_to_train_is_an_error() -> None:
    head = nn.Linear(2, 2).requires_grad_(requires_grad=False)
    with pytest.raises(RecipeError, match=r"No weight of the network is trained; .*strategy"):
        build_optimizer((), head, config=OptimConfig(), lr=1.0)


def test_the_epsilon_is_pytorchs_where_none_is_given() -> None:
    _, _, optimizer = built()
    assert optimizer.defaults["eps"] == 1e-8
    assert built(epsilon=1e-7)[2].defaults["eps"] == 1e-7


def test_the_default_steps_are_those_of_pytorchs_own_adamw() -> None:
    ours, head, optimizer = built(lr=0.01, weight_decay=0.05, head_lr_factor=1.0)
    peer = Backbone()
    peer.load_state_dict(ours.state_dict())
    assert peer.conv.bias is not None
    spared = [peer.conv.bias, peer.norm.weight, peer.norm.bias]
    parts: list[dict[str, Any]] = [
        {"params": [peer.conv.weight]},
        {"params": spared, "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(parts, lr=0.01, weight_decay=0.05, fused=True)
    generator = torch.Generator().manual_seed(0)
    images_NCHW = torch.randn(4, 3, 8, 8, generator=generator)
    for rate in (0.01, 0.02, 0.005):
        for network, stepper in ((ours, optimizer), (peer, reference)):
            stepper.zero_grad()
            between = network.conv(images_NCHW)
            # Without the second term the bias has no gradient but rounding errors.
            loss = network.norm(between).relu().square().sum() + between.square().sum()
            loss.backward()
        set_rate(optimizer, rate, momentum=None)
        for group in reference.param_groups:
            group["lr"] = rate
        optimizer.step()
        reference.step()
    assert head.weight.grad is None
    for name, value in peer.named_parameters():
        assert torch.equal(ours.get_parameter(name), value), name


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_fused_kernels_are_used_where_torch_has_them(name: str) -> None:
    _, _, optimizer = built(name=name)
    assert has_fused(type(optimizer), CPU)
    assert {group["fused"] for group in optimizer.param_groups} == {True}


def test_fused_kernels_are_not_asked_for_where_torch_has_none() -> None:
    _, _, optimizer = built(name="rmsprop")
    assert not has_fused(type(optimizer), CPU)
    assert not has_fused(torch.optim.AdamW, torch.device("meta"))


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_the_momentum_that_a_schedule_gives_is_set(name: str) -> None:
    _, _, optimizer = built(name=name)
    set_rate(optimizer, 0.1, momentum=0.85)
    assert {group["momentum"] for group in optimizer.param_groups} == {0.85}


def test_of_adam_the_momentum_is_the_first_beta() -> None:
    _, _, optimizer = built(name="adamw", momentum=0.7)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.7, 0.999)}
    set_rate(optimizer, 0.1, momentum=0.85)
    assert {group["betas"] for group in optimizer.param_groups} == {(0.85, 0.999)}


def test_gradients_over_the_norm_are_scaled_down_to_it_together() -> None:
    parameters = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1, 1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([6.0]), torch.tensor([[8.0]])
    norm = clip(iter(parameters), 5.0)
    assert float(norm) == 10.0
    assert float(parameters[0].grad) == pytest.approx(3.0, rel=1e-5)
    assert float(parameters[1].grad) == pytest.approx(4.0, rel=1e-5)


def test_gradients_below_the_norm_stay_to_the_bit() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([0.3, -0.4])
    assert float(clip([parameter], 5.0)) == pytest.approx(0.5)
    assert torch.equal(parameter.grad, torch.tensor([0.3, -0.4]))


def test_the_norm_of_a_gradient_that_is_no_number_is_none() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([math.nan, 1.0])
    assert math.isnan(float(clip([parameter], 5.0)))


def test_the_rate_may_be_left_to_the_range_test() -> None:
    assert OptimConfig(lr="auto").lr == "auto"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"name": "adagrad"}, "optim.name is 'adagrad'"),
        ({"schedule": "linear"}, "optim.schedule is 'linear'"),
        ({"lr": "automatic"}, "optim.lr is 'automatic'"),
        ({"lr": "0.1"}, "optim.lr is '0.1'"),
        ({"lr": 0.0}, "optim.lr is 0.0"),
        ({"lr": -1.0}, "optim.lr is -1.0"),
        ({"lr": 10.0}, "optim.lr is 10.0"),
        ({"lr": math.nan}, "optim.lr is nan"),
        ({"weight_decay": -0.1}, "optim.weight_decay is -0.1"),
        ({"weight_decay": 1.0}, "optim.weight_decay is 1.0"),
        ({"momentum": -0.1}, "optim.momentum is -0.1"),
        ({"momentum": 1.0}, "optim.momentum is 1.0"),
        ({"epsilon": 0.0}, "optim.epsilon is 0.0"),
        ({"step_every_epochs": 0.0}, "optim.step_every_epochs is 0.0"),
        ({"step_every_epochs": math.inf}, "optim.step_every_epochs is inf"),
        ({"step_factor": 0.0}, "optim.step_factor is 0.0"),
        ({"step_factor": 1.0}, "optim.step_factor is 1.0"),
        ({"layer_decay": 0.0}, "optim.layer_decay is 0.0"),
        ({"layer_decay": 1.1}, "optim.layer_decay is 1.1"),
        ({"clip_norm": 0.0}, "optim.clip_norm is 0.0"),
        ({"clip_norm": math.nan}, "optim.clip_norm is nan"),
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


def test_a_misspelt_name_is_met_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"Did you mean 'cosine'\?"):
        OptimConfig(schedule="cosin")
