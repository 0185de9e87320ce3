"""The layer table names every layer, its output, numbers and work, and loses none of them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Classifier, Network
from fieldmark.models.extractor import FeatureExtractor, num_features
from fieldmark.models.layers import Layer, Totals, layer_table, totals
from fieldmark.models.lowering import LoweredConv2d, lowered

IMAGENET_CLASSES = 1000
BILLION = 1e9


def total(layers: Sequence[Layer]) -> int:
    return sum(layer.num_parameters for layer in layers)


def of_imagenet(name: str, *, size_px: int = 224) -> Totals:
    """Return the sums of a network with ImageNet's classes, without making any weights."""
    with torch.device("meta"):
        extractor = create_extractor(name, args={}, stages=0, power=1.0)
        width = num_features(extractor, size_px=size_px)
        network = Network(extractor, num_features=width, num_classes=IMAGENET_CLASSES)
        return totals(layer_table(network, size_px=size_px))


def work_of(network: nn.Module, *, size_px: int = 8) -> dict[str, int]:
    table = layer_table(network, size_px=size_px)
    return {layer.name: layer.num_multiply_adds for layer in table}


def test_resnet50_has_the_published_layers() -> None:
    """Its 23,508,032 parameters are torchvision's 25,557,032 less the 2,049,000 of the head."""
    extractor = create_extractor("resnet50", args={}, stages=0, power=1.0)
    layers = list(layer_table(extractor, size_px=64))
    assert total(layers) == 23_508_032
    rows = {layer.name: layer for layer in layers}
    first = rows["backbone.conv1"]
    assert (first.kind, first.output_shape, first.num_parameters) == ("Conv2d", "64x32x32", 9408)
    assert layers[0] == first
    assert rows["backbone.maxpool"].output_shape == "64x16x16"
    assert rows["backbone.layer1.0.conv3"].output_shape == "256x16x16"
    assert rows["backbone.layer4.2.conv2"].num_parameters == 512 * 512 * 9
    assert rows["backbone.layer4.2.bn3"].output_shape == "2048x2x2"


def test_a_classifiers_table_ends_with_its_head(make_classifier: Callable[..., Classifier]) -> None:
    network = make_classifier(classes=("a", "b", "c", "d")).network
    layers = list(layer_table(network, size_px=32))
    assert layers[-1] == Layer(
        name="head",
        kind="Linear",
        output_shape="4",
        num_parameters=16 * 4 + 4,
        num_trainable=16 * 4 + 4,
        num_statistics=0,
        num_multiply_adds=16 * 4,
    )


def test_a_flattened_networks_table_shows_where_the_maps_become_a_row(
    make_classifier: Callable[..., Classifier],
) -> None:
    layers = list(layer_table(make_classifier(head="flatten", size_px=64).network, size_px=64))
    last = [(layer.name, layer.kind, layer.output_shape) for layer in layers[-2:]]
    assert last == [("flat", "Flatten", "64"), ("head", "Linear", "3")]
    assert layers[-1].num_parameters == 64 * 3 + 3
    maps = [layer.output_shape for layer in layers if layer.name.startswith("backbone.")]
    assert maps[-1] == "16x2x2"


def test_a_cosine_head_has_a_scale_and_no_bias(make_classifier: Callable[..., Classifier]) -> None:
    last = list(layer_table(make_classifier(head="cosine").network, size_px=32))[-1]
    assert (last.name, last.kind, last.output_shape) == ("head", "CosineHead", "3")
    assert last.num_parameters == last.num_trainable == 16 * 3 + 1
    assert last.num_multiply_adds == 16 * 3


@pytest.mark.parametrize(
    ("name", "args", "stages"),
    [
        ("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}, 2),
        ("mobilenetv2_035", {}, 0),
        # These have parameters that belong to no leaf module: scales, tokens, positions.
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}, 3),
        (
            "vit_tiny_patch16_224",
            {"img_size": 32, "depth": 1, "embed_dim": 12, "num_heads": 1, "init_values": 0.1},
            0,
        ),
    ],
)
def test_the_parameters_add_up_to_those_of_the_network(
    name: str, args: dict[str, Any], stages: int, make_extractor: Callable[..., FeatureExtractor]
) -> None:
    extractor = make_extractor(name=name, args=args, stages=stages)
    layers = list(layer_table(extractor, size_px=32))
    assert total(layers) == sum(parameter.numel() for parameter in extractor.parameters())
    assert len({layer.name for layer in layers}) == len(layers)


def test_frozen_parameters_are_counted_as_such(
    make_classifier: Callable[..., Classifier],
) -> None:
    network = make_classifier().network
    network.extractor.requires_grad_(requires_grad=False)
    rows = {layer.name: layer for layer in layer_table(network, size_px=32)}
    assert rows["backbone.conv1"].num_parameters > 0
    assert sum(layer.num_trainable for layer in rows.values()) == rows["head"].num_parameters


class Odd(nn.Module):
    """A layer used twice, one never used, weights used in two, a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(3, 3, 3, padding=1)
        self.never = nn.Linear(5, 2)
        self.shrink = nn.MaxPool2d(2)
        self.tied = nn.Conv2d(3, 3, 3, padding=1)
        self.tied.weight = self.twice.weight
        self.scale = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        once = self.shrink(self.twice(images_NCHW))
        return self.tied(self.twice(once)) * self.scale  # type: ignore[no-any-return]


def test_odd_layers_stand_once_each() -> None:
    network = nn.Sequential(Odd())
    rows = [
        (layer.name, layer.kind, layer.output_shape, layer.num_parameters)
        for layer in layer_table(network, size_px=8)
    ]
    assert rows == [
        ("0.twice", "Conv2d", "3x8x8", 84),
        ("0.shrink", "MaxPool2d", "3x4x4", 0),
        ("0.tied", "Conv2d", "3x4x4", 3),  # its weights are those of the first
        ("0", "Odd", "3x4x4", 3),
        ("0.never", "Linear", "", 12),
    ]
    assert sum(row[3] for row in rows) == sum(p.numel() for p in network.parameters())
    # Three channels, nine places: 27 products for each of 3 numbers at 64 places, then at 16.
    assert work_of(network) == {
        "0.twice": 27 * 3 * (64 + 16),
        "0.shrink": 0,
        "0.tied": 27 * 3 * 16,
        "0": 0,
        "0.never": 0,
    }


def test_the_network_is_left_as_it_was(make_extractor: Callable[..., FeatureExtractor]) -> None:
    extractor = make_extractor().train().bfloat16()
    before = {name: value.clone() for name, value in extractor.state_dict().items()}
    layer_table(extractor, size_px=32)
    now = extractor.state_dict()
    assert all(torch.equal(before[name], now[name]) for name in before)
    assert all(now[name].dtype == before[name].dtype for name in before)
    assert extractor.training
    assert not any(module._forward_hooks for module in extractor.modules())


# Statistics


def test_running_means_and_variances_are_counted_apart_from_parameters() -> None:
    network = nn.Sequential(
        nn.BatchNorm2d(3),
        nn.BatchNorm2d(3, affine=False),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.GroupNorm(1, 3),
    )
    rows = [(row.num_parameters, row.num_statistics) for row in layer_table(network, size_px=8)]
    assert rows == [(6, 6), (0, 6), (6, 0), (6, 0)]


def test_statistics_of_a_normalisation_with_its_activation_inside_are_not_lost() -> None:
    """Such as timm's, which has parts; without factors it has statistics all the same."""

    class NormAct(nn.BatchNorm2d):
        def __init__(self) -> None:
            super().__init__(3, affine=False)
            self.act = nn.ReLU()

        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return self.act(super().forward(input))  # type: ignore[no-any-return]

    rows = {layer.name: layer for layer in layer_table(nn.Sequential(NormAct()), size_px=8)}
    assert rows["0"].num_statistics == 6


# Multiply-adds


@pytest.mark.parametrize(("kind", "groups"), [(nn.Conv2d, 1), (nn.Conv2d, 2), (LoweredConv2d, 1)])
def test_each_number_of_a_convolution_costs_its_kernel_times_its_channels(
    kind: type[nn.Conv2d], groups: int
) -> None:
    # 8 px, stride 2, padding 1: 4x3 places, as the kernel is 3 high and 5 wide.
    last = kind(6, 8, (3, 5), stride=2, padding=1, groups=groups)
    rows = list(layer_table(nn.Sequential(nn.Conv2d(3, 6, 1), last), size_px=8))
    assert [row.output_shape for row in rows] == ["6x8x8", "8x4x3"]
    assert [row.num_multiply_adds for row in rows] == [6 * 64 * 3, 8 * 12 * (6 // groups) * 15]


def test_a_dense_layer_costs_its_weights_at_each_place() -> None:
    network = nn.Sequential(nn.Linear(8, 5), nn.Flatten(), nn.Linear(3 * 8 * 5, 2, bias=False))
    # On a photo of 8 px the first one is applied to each of its 3 x 8 rows.
    assert list(work_of(network).values()) == [24 * 8 * 5, 0, 120 * 2]


def test_a_lowered_network_costs_what_it_costs_otherwise(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor()
    plain = work_of(extractor, size_px=32)
    with lowered(extractor):
        assert work_of(extractor, size_px=32) == plain


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.booleans(),
)
def test_work_agrees_with_torchs_own_counter(
    width: int, groups: int, kernel: int, stride: int, has_bias: bool
) -> None:
    channels = 4 * width
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(3, channels, 3),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, kernel, stride=stride, groups=groups, bias=has_bias),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, 5, bias=has_bias),
        )
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 9, 9))
    # It counts the product and the sum as one each.
    assert sum(work_of(network, size_px=9).values()) * 2 == counter.get_total_flops()


# The ResNets, against what is published


@pytest.mark.parametrize(
    ("name", "num_parameters", "billions"),
    [
        ("resnet18", 11_689_512, 1.81),
        ("resnet34", 21_797_672, 3.66),
        ("resnet50", 25_557_032, 4.09),
        ("resnet101", 44_549_160, 7.80),
        ("resnet152", 60_192_808, 11.51),
    ],
)
def test_resnets_have_the_parameters_and_the_cost_that_torchvision_documents(
    name: str, num_parameters: int, billions: float
) -> None:
    found = of_imagenet(name)
    assert found.num_parameters == found.num_trainable == num_parameters
    assert round(found.num_multiply_adds / BILLION, 2) == billions
    documented = torchvision.models.get_model_weights(name).DEFAULT.meta
    assert found.num_parameters == documented["num_params"]
    with torch.device("meta"):
        peer = torchvision.models.get_model(name)
    assert found == totals(layer_table(peer, size_px=224))
    assert found.num_statistics == sum(
        buffer.numel() for buffer_name, buffer in peer.named_buffers() if "running" in buffer_name
    )


@pytest.mark.parametrize(
    ("name", "num_in_keras", "billions"),
    [
        # Parameters as keras.applications' models report them with their classifier, statistics
        # among them; He et al. 2015, table 1, which has 3.8 for what is 3.86.
        ("keras_resnet50", 25_636_712, 3.8),
        ("keras_resnet101", 44_707_176, 7.6),
        ("keras_resnet152", 60_419_944, 11.3),
    ],
)
def test_keras_resnets_have_the_parameters_of_keras_and_the_cost_of_the_paper(
    name: str, num_in_keras: int, billions: float
) -> None:
    found = of_imagenet(name)
    assert found.num_in_all == num_in_keras
    assert found.num_multiply_adds / BILLION == pytest.approx(billions, abs=0.06)


@pytest.mark.parametrize(("name", "billions"), [("plain18", 1.8), ("plain34", 3.6)])
def test_plain_networks_have_the_cost_of_the_paper(name: str, billions: float) -> None:
    # He et al. 2015, table 1 and figure 3: shortcuts without weights cost nothing.
    assert round(of_imagenet(name).num_multiply_adds / BILLION, 1) == billions


def test_the_reference_network_is_counted_as_keras_counts_it() -> None:
    with torch.device("meta"):
        extractor = create_extractor("keras_resnet50", args={}, stages=0, power=1.0, flatten=True)
        network = Network(extractor, num_features=8192, num_classes=8, head="flatten")
        rows = list(layer_table(network, size_px=50))
    backbone, head, both = totals(rows[:-1]), totals(rows[-1:]), totals(rows)
    assert (backbone.num_in_all, head.num_in_all) == (23_587_712, 65_544)
    assert (both.num_in_all, both.num_trainable, both.num_statistics) == (
        23_653_256,
        23_600_136,
        53_120,
    )


def test_a_table_on_the_meta_device_is_that_on_the_cpu(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor()
    on_cpu = layer_table(extractor, size_px=32)
    assert layer_table(extractor.to("meta"), size_px=32) == on_cpu
