"""A convolution as a matrix product is the convolution; the network is lent, not changed."""

import copy
import itertools
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from fieldmark.models.lowering import MAX_POSITIONS, LoweredConv2d, has_lowerable, lowered

KERNELS = (1, 2, 3, 5, (1, 3), (4, 2))
STRIDES = (1, 2, 3, (1, 2))
PADDINGS = (0, 1, (2, 0))
SHAPES = [
    {"kernel_size": kernel, "stride": stride, "padding": padding, "bias": bias}
    for kernel, stride, padding, bias in itertools.product(KERNELS, STRIDES, PADDINGS, (0, 1))
]


def in_words(shape: dict[str, Any]) -> str:
    return " ".join(f"{name[0]}{value}" for name, value in shape.items())


def run(conv: nn.Conv2d, images_NCHW: Tensor, *, autocast: bool = False) -> dict[str, Tensor]:
    """Return the result and all gradients, of a loss that weighs every number of the result."""
    images_NCHW = images_NCHW.clone().requires_grad_()
    conv.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        result = conv(images_NCHW)
    weighting = torch.randn(result.shape, generator=torch.Generator().manual_seed(2))
    (result.float() * weighting).sum().backward()
    found = {"result": result.detach(), "images": images_NCHW.grad, "weight": conv.weight.grad}
    if conv.bias is not None:
        found["bias"] = conv.bias.grad
    return {name: value.clone() for name, value in found.items() if value is not None}


def images(*, height: int = 5, width: int = 6, channels: int = 3, num: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    made = torch.randn(num, channels, height, width, generator=generator)
    return made.contiguous(memory_format=torch.channels_last)


def conv_of(shape: dict[str, Any], *, dtype: torch.dtype = torch.float64) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 4, **{**shape, "bias": bool(shape.get("bias", True))}, dtype=dtype)
    return conv.to(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def _at_any_size(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "limit" not in request.node.name:
        monkeypatch.setattr("fieldmark.models.lowering.MAX_POSITIONS", 10**6)


@pytest.mark.parametrize("shape", SHAPES, ids=in_words)
def test_result_and_gradients_are_those_of_torch(shape: dict[str, Any]) -> None:
    conv = conv_of(shape)
    expected = run(conv, images().double())
    with lowered(conv):
        assert type(conv) is LoweredConv2d
        found = run(conv, images().double())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_photos_may_lie_in_memory_in_either_way(
    kernel: int, memory_format: torch.memory_format
) -> None:
    conv = conv_of({"kernel_size": kernel, "padding": kernel // 2}, dtype=torch.float32)
    given = images().contiguous(memory_format=memory_format)
    expected = run(conv, given)
    with lowered(conv):
        found = run(conv, given)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    assert found["result"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", SHAPES[::5], ids=in_words)
def test_under_autocast_it_computes_in_bfloat16(shape: dict[str, Any]) -> None:
    """Held against float32, since PyTorch's own in bfloat16 is wrong for one of these shapes."""
    conv = conv_of(shape, dtype=torch.float32)
    exact = run(conv, images())
    with lowered(conv):
        found = run(conv, images(), autocast=True)
    assert found["result"].dtype == torch.bfloat16
    assert found["weight"].dtype == torch.float32
    for name, value in exact.items():
        # bfloat16 keeps 8 bits.
        assert (found[name].float() - value).abs().max() < 0.03 * value.abs().max(), name


def test_a_single_photo_and_a_single_pixel_are_enough() -> None:
    for kernel in (1, 3):
        conv = conv_of({"kernel_size": kernel, "padding": kernel // 2})
        given = images(height=1, width=1, num=1).double()
        expected = run(conv, given)
        with lowered(conv):
            torch.testing.assert_close(run(conv, given), expected)


@pytest.mark.parametrize(("side", "is_lowered"), [(4, True), (5, False)])
def test_wide_kernels_on_maps_over_the_limit_are_left_to_torch(
    side: int, is_lowered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_POSITIONS == 16
    conv = conv_of({"kernel_size": 3, "padding": 1}, dtype=torch.float32)
    plain, calls = nn.Conv2d.forward, []

    def forward(module: nn.Conv2d, given: Tensor) -> Tensor:
        calls.append(len(given))
        return plain(module, given)

    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    with lowered(conv):
        conv(images(height=side, width=side))
    assert calls == ([] if is_lowered else [2])


def test_a_kernel_of_one_is_lowered_at_any_size_whatever_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nn.Conv2d, "forward", pytest.fail)
    conv = conv_of({"kernel_size": 1}, dtype=torch.float32)
    with lowered(conv):
        assert conv(images(height=20, width=20)).shape == (2, 4, 20, 20)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_whole_network_computes_the_same_in_training(name: str) -> None:
    layers = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
    network = timm.create_model(name, num_classes=3, **layers)
    network = network.to(memory_format=torch.channels_last).double()
    given = images(height=32, width=32, num=4).double()
    stem = network.get_parameter("conv1.weight")
    results = []
    for wanted in (False, True):
        network.zero_grad()
        with lowered(network, wanted=wanted):
            result = network(given)
            result.square().sum().backward()
        assert stem.grad is not None
        results.append((result.detach(), stem.grad.clone()))
    torch.testing.assert_close(results[1], results[0], rtol=1e-8, atol=1e-8)


# What is lent comes back


def network_of_all_kinds() -> nn.Sequential:
    class Own(nn.Conv2d):
        pass

    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        Own(4, 4, 1),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.Conv2d(4, 5, 1, bias=False)),
    )


def kinds(network: nn.Module) -> list[type]:
    return [type(module) for module in network.modules()]


def test_only_plain_convolutions_are_lowered() -> None:
    network = network_of_all_kinds()
    before = kinds(network)
    with lowered(network):
        changed = [
            name for name, module in network.named_modules() if type(module) is LoweredConv2d
        ]
        assert changed == ["0", "7.0"]
        assert network(torch.randn(1, 3, 16, 16)).shape[1] == 5
    assert kinds(network) == before


@pytest.mark.parametrize(("part", "holds"), [(0, True), (1, False), (5, False), (7, True)])
def test_a_network_tells_whether_it_has_something_to_lower(part: int, holds: bool) -> None:
    network = network_of_all_kinds()
    assert has_lowerable(network)
    assert has_lowerable(network[part]) is holds


def test_weights_and_names_stay_what_they_are() -> None:
    network = network_of_all_kinds()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = [*network.parameters()]
    with lowered(network):
        inside = network.state_dict()
        assert [*inside] == [*before]
        assert all(
            one is other for one, other in zip(network.parameters(), parameters, strict=True)
        )
        network.load_state_dict(before)
    assert [*network.state_dict()] == [*before]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_an_error_inside_gives_the_network_back_too() -> None:
    network = network_of_all_kinds()
    before = kinds(network)
    with pytest.raises(KeyboardInterrupt), lowered(network):
        raise KeyboardInterrupt
    assert kinds(network) == before


def test_what_is_not_wanted_changes_nothing() -> None:
    network = network_of_all_kinds()
    before = kinds(network)
    with lowered(network, wanted=False):
        assert kinds(network) == before
    assert kinds(network) == before


def test_within_itself_the_outer_block_decides_when_it_ends() -> None:
    conv = conv_of({"kernel_size": 1})
    with lowered(conv):
        with lowered(conv):
            pass
        assert type(conv) is LoweredConv2d
    assert type(conv) is nn.Conv2d


def test_copies_are_whole_networks_of_their_own() -> None:
    conv = conv_of({"kernel_size": 3, "padding": 1})
    given = images().double()
    expected = conv(given)
    with lowered(conv):
        inside = copy.deepcopy(conv)
    after = copy.deepcopy(conv)
    assert type(after) is nn.Conv2d
    with torch.no_grad():
        conv.weight.zero_()
    torch.testing.assert_close(inside(given), expected)
    torch.testing.assert_close(after(given), expected)
