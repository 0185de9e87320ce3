"""The layer table names every layer, its output and its parameters, and loses none of them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Classifier
from fieldmark.models.extractor import FeatureExtractor
from fieldmark.models.layers import Layer, layer_table


def total(layers: "list[Layer] | tuple[Layer, ...]") -> int:
    return sum(layer.num_parameters for layer in layers)


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


def test_the_network_is_left_as_it_was(make_extractor: Callable[..., FeatureExtractor]) -> None:
    extractor = make_extractor().train().bfloat16()
    before = {name: value.clone() for name, value in extractor.state_dict().items()}
    layer_table(extractor, size_px=32)
    now = extractor.state_dict()
    assert all(torch.equal(before[name], now[name]) for name in before)
    assert all(now[name].dtype == before[name].dtype for name in before)
    assert extractor.training
    assert not any(module._forward_hooks for module in extractor.modules())
