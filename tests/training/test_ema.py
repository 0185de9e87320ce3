"""The average is the one computed by hand and by timm, and the network gets its own bits back."""

import copy

import pytest
import timm.utils
import torch
from torch import Tensor, nn

from fieldmark.base.errors import RunError
from fieldmark.models.randomness import seeded
from fieldmark.training.ema import Ema


def new_network() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def disturb(network: nn.Module, seed: int) -> None:
    """Change every parameter, and every buffer by a pass in training mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
        network.train()(torch.randn(4, 3, 8, 8, generator=generator))


def bits(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(
        torch.equal(value, others[name]) for name, value in some.items()
    )


def test_the_average_of_one_weight_is_the_one_computed_by_hand() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    ema = Ema(network, decay=0.15)
    expected = 0.0
    # Decays (1 + step) / (10 + step), and then 0.15 at most: 0.1, 0.15, 0.15.
    for step, (value, kept) in enumerate([(1.0, 0.1), (2.0, 0.15), (-1.0, 0.15)]):
        nn.init.constant_(network.weight, value)
        ema.update(network, step)
        expected = kept * expected + (1 - kept) * value
        assert ema.decay_at(step) == pytest.approx(kept)
        assert float(ema.tensors()["weight"]) == pytest.approx(expected)


def test_the_averages_are_those_of_timm() -> None:
    network = new_network()
    ema = Ema(network, decay=0.9)
    peer = timm.utils.ModelEmaV3(network, decay=0.9)
    for step in range(90, 95):
        disturb(network, step)
        ema.update(network, step)
        peer.update(network)
    for name, value in peer.module.state_dict().items():
        torch.testing.assert_close(ema.tensors()[name], value)
        assert name.endswith("num_batches_tracked") or not torch.equal(
            value, network.state_dict()[name]
        )


def test_whole_numbers_are_those_of_the_network() -> None:
    network = new_network()
    ema = Ema(network, decay=0.999)
    for step in range(3):
        disturb(network, step)
        ema.update(network, step)
    assert int(ema.tensors()["1.num_batches_tracked"]) == 3
    assert ema.tensors()["1.num_batches_tracked"].dtype == torch.int64


def test_inside_the_block_the_network_is_the_average_and_afterwards_itself_to_the_bit() -> None:
    network = new_network().to(memory_format=torch.channels_last)
    ema = Ema(network, decay=0.5)
    disturb(network, 1)
    ema.update(network, 100)
    own, parameters = bits(network), list(network.parameters())
    with ema.swapped(network):
        assert same(bits(network), ema.tensors())
    assert same(bits(network), own)
    assert all(one is other for one, other in zip(network.parameters(), parameters, strict=True))
    assert not same(ema.tensors(), own)


def test_the_network_gets_its_weights_back_after_an_error_too() -> None:
    network = new_network()
    ema = Ema(network, decay=0.5)
    disturb(network, 1)
    own = bits(network)
    with pytest.raises(ZeroDivisionError), ema.swapped(network):
        _ = 1 / 0
    assert same(bits(network), own)


def test_averages_that_were_saved_go_on_to_the_same_bits() -> None:
    network = new_network()
    ema = Ema(network, decay=0.9)
    disturb(network, 1)
    ema.update(network, 0)
    saved = copy.deepcopy(ema.tensors())
    disturb(network, 2)
    resumed = Ema(network, decay=0.9)
    resumed.load(saved)
    for one in (ema, resumed):
        one.update(network, 1)
    assert same(ema.tensors(), resumed.tensors())


def test_the_averages_share_no_memory_with_the_network() -> None:
    network = new_network()
    ema = Ema(network, decay=0.9)
    before = copy.deepcopy(ema.tensors())
    disturb(network, 1)
    assert same(ema.tensors(), before)


def test_averages_of_another_network_are_refused_by_name() -> None:
    ema = Ema(new_network(), decay=0.9)
    tensors = ema.tensors()
    tensors["3.bias"] = torch.zeros(3)
    with pytest.raises(RunError, match=r"of this network: 3\.bias differ"):
        ema.load(tensors)
