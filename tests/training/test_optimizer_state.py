import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fieldmark.base.errors import RunError
from fieldmark.training.checkpoint import Checkpoint, Checkpoints, joined
from fieldmark.training.optimizer_state import optimizer_state, restore_optimizer

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
CASES: dict[str, dict[str, Any]] = {
    "adam": {"weight_decay": 0.01},
    "adam-fused": {"fused": True},
    "adam-foreach": {"foreach": True},
    "adam-amsgrad": {"amsgrad": True, "betas": (0.8, 0.95)},
    "adamw": {},
    "adamw-fused": {"fused": True},
    "sgd": {},
    "sgd-momentum": {"momentum": 0.9},
    "sgd-nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "sgd-momentum-fused": {"momentum": 0.9, "fused": True},
    "rmsprop": {},
    "rmsprop-centred": {"momentum": 0.9, "centered": True},
    "rmsprop-foreach": {"momentum": 0.9, "foreach": True},
}
STEPS = 8
STOPPED_AFTER = 3


class Net(nn.Module):
    """Kernels of 3x3 and 1x1 in channels last, norms with statistics, and a head."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.backbone = nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 1)
            )
            self.head = nn.Linear(16, 4)
        self.to(memory_format=torch.channels_last, dtype=dtype)  # type: ignore[call-overload]

    def forward(self, images_NCHW: Tensor) -> Tensor:
        logits_NC: Tensor = self.head(self.backbone(images_NCHW).mean((2, 3)))
        return logits_NC


def built(case: str, net: Net) -> torch.optim.Optimizer:
    groups = [
        {"params": list(net.backbone.parameters()), "lr": 0.01, "lr_factor": 0.1},
        {"params": list(net.head.parameters()), "lr": 0.1, "lr_factor": 1.0},
    ]
    return OPTIMIZERS[case.partition("-")[0]](groups, **CASES[case])


def train(net: Net, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        images_NCHW = torch.randn(6, 3, 7, 7, generator=generator).to(net.head.weight.dtype)
        labels_N = torch.randint(4, (6,), generator=generator)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * group["lr_factor"] / (1 + step)
        optimizer.zero_grad()
        images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(net(images_NCHW), labels_N)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def through_a_file(folder: Path, net: Net, optimizer: torch.optim.Optimizer) -> Checkpoint:
    tensors, plain = optimizer_state(optimizer)
    Checkpoints(folder).save(
        Checkpoint(
            step=STOPPED_AFTER,
            tensors=joined(network=net.state_dict(), optimizer=tensors),
            state={"optimizer": plain},
        )
    )
    found = Checkpoints(folder).latest(pytest.fail)
    assert found is not None
    return found


def everything(net: Net, optimizer: torch.optim.Optimizer) -> dict[str, bytes]:
    tensors, plain = optimizer_state(optimizer)
    found = {
        name: value.detach().reshape(-1).view(torch.uint8).numpy().tobytes()
        for name, value in joined(network=net.state_dict(), optimizer=tensors).items()
    }
    return {**found, "plain": json.dumps(plain, sort_keys=True).encode()}


@pytest.mark.parametrize("case", CASES)
def test_training_on_from_a_checkpoint_equals_training_without_a_stop_bit_for_bit(
    tmp_path: Path, case: str
) -> None:
    net = Net()
    optimizer = built(case, net)
    train(net, optimizer, range(STOPPED_AFTER))
    checkpoint = through_a_file(tmp_path, net, optimizer)
    train(net, optimizer, range(STOPPED_AFTER, STEPS))

    again = Net()
    resumed = built(case, again)
    again.load_state_dict(checkpoint.part("network"))
    restore_optimizer(resumed, checkpoint.part("optimizer"), checkpoint.state["optimizer"])
    train(again, resumed, range(STOPPED_AFTER, STEPS))
    assert everything(again, resumed) == everything(net, optimizer)


@pytest.mark.parametrize("case", ["adam", "sgd-momentum", "rmsprop"])
def test_without_the_state_training_on_gives_other_weights(tmp_path: Path, case: str) -> None:
    net = Net()
    optimizer = built(case, net)
    train(net, optimizer, range(STOPPED_AFTER))
    checkpoint = through_a_file(tmp_path, net, optimizer)
    train(net, optimizer, range(STOPPED_AFTER, STEPS))
    again = Net()
    again.load_state_dict(checkpoint.part("network"))
    train(again, built(case, again), range(STOPPED_AFTER, STEPS))
    assert not torch.equal(again.head.weight, net.head.weight)


@pytest.mark.parametrize("case", CASES)
def test_the_restored_state_has_the_kinds_the_strides_and_the_options_it_had(
    tmp_path: Path, case: str
) -> None:
    net = Net()
    optimizer = built(case, net)
    train(net, optimizer, range(STOPPED_AFTER))
    checkpoint = through_a_file(tmp_path, net, optimizer)
    again = Net()
    resumed = built(case, again)
    restore_optimizer(resumed, checkpoint.part("optimizer"), checkpoint.state["optimizer"])
    before, after = optimizer.state_dict(), resumed.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert after["state"].keys() == before["state"].keys()
    for position, entries in before["state"].items():
        assert after["state"][position].keys() == entries.keys()
        for name, value in entries.items():
            found = after["state"][position][name]
            if isinstance(value, Tensor):
                assert (found.dtype, found.stride()) == (value.dtype, value.stride())
                assert torch.equal(found, value)
            else:
                assert found == value


def test_state_of_bfloat16_parameters_is_exact(tmp_path: Path) -> None:
    net = Net(torch.bfloat16)
    optimizer = built("adamw", net)
    train(net, optimizer, range(STOPPED_AFTER))
    checkpoint = through_a_file(tmp_path, net, optimizer)
    train(net, optimizer, range(STOPPED_AFTER, STEPS))
    again = Net(torch.bfloat16)
    resumed = built("adamw", again)
    again.load_state_dict(checkpoint.part("network"))
    restore_optimizer(resumed, checkpoint.part("optimizer"), checkpoint.state["optimizer"])
    train(again, resumed, range(STOPPED_AFTER, STEPS))
    assert everything(again, resumed) == everything(net, optimizer)


def test_an_optimizer_that_has_not_stepped_yet_is_restored(tmp_path: Path) -> None:
    net = Net()
    checkpoint = through_a_file(tmp_path, net, built("adam", net))
    again = Net()
    resumed = built("adam", again)
    restore_optimizer(resumed, checkpoint.part("optimizer"), checkpoint.state["optimizer"])
    assert resumed.state_dict()["state"] == {}


def test_training_on_leaves_the_tensors_of_the_checkpoint_as_they_were(tmp_path: Path) -> None:
    net = Net()
    optimizer = built("adam", net)
    train(net, optimizer, range(STOPPED_AFTER))
    checkpoint = through_a_file(tmp_path, net, optimizer)
    tensors = checkpoint.part("optimizer")
    before = {name: value.clone() for name, value in tensors.items()}
    restore_optimizer(optimizer, tensors, checkpoint.state["optimizer"])
    train(net, optimizer, range(STOPPED_AFTER, STEPS))
    assert all(torch.equal(value, before[name]) for name, value in tensors.items())


def test_the_options_are_those_of_the_checkpoint_and_the_implementation_is_that_built() -> None:
    net = Net()
    optimizer = built("adam", net)
    train(net, optimizer, range(STOPPED_AFTER))
    optimizer.param_groups[0]["betas"] = (0.7, 0.9)
    tensors, plain = optimizer_state(optimizer)
    plain = json.loads(json.dumps(plain))
    resumed = built("adam-fused", net)
    restore_optimizer(resumed, tensors, plain)
    assert resumed.param_groups[0]["betas"] == (0.7, 0.9)
    assert resumed.param_groups[0]["weight_decay"] == 0.01
    assert resumed.param_groups[1]["lr"] == pytest.approx(0.1 / STOPPED_AFTER)
    assert all(group["fused"] for group in resumed.param_groups)
    train(net, resumed, range(STOPPED_AFTER, STEPS))


def test_the_state_of_another_optimizer_is_refused() -> None:
    net = Net()
    tensors, plain = optimizer_state(built("adam", net))
    with pytest.raises(RunError, match="of the optimizer Adam, this run's is SGD"):
        restore_optimizer(built("sgd", net), tensors, plain)


def test_the_state_of_other_parameters_is_refused() -> None:
    net = Net()
    tensors, plain = optimizer_state(torch.optim.SGD(net.head.parameters()))
    with pytest.raises(RunError, match=r"of 2 parameters in 1 group.* 8 parameters in 2 groups"):
        restore_optimizer(built("sgd", net), tensors, plain)
    wider = torch.optim.SGD(nn.Linear(17, 4).parameters())
    with pytest.raises(RunError, match="shapes"):
        restore_optimizer(wider, tensors, plain)


def test_values_of_the_state_that_are_no_tensors_are_restored() -> None:
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight])
    optimizer.state[weight] = {"count": 3, "best": None, "sum": torch.ones(2)}
    tensors, plain = optimizer_state(optimizer)
    resumed = torch.optim.SGD([weight])
    restore_optimizer(resumed, tensors, json.loads(json.dumps(plain)))
    found = resumed.state[weight]
    assert (found["count"], found["best"], found["sum"].tolist()) == (3, None, [1, 1])
