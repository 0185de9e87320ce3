"""The layers that an explanation is drawn from, family by family."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldmark.base.errors import RunError
from fieldmark.models.extractor import FeatureExtractor
from fieldmark.models.map_layers import MIN_SIDE, MapLayer, map_layers

Make = Callable[..., FeatureExtractor]
RESNET = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
KERAS = {"blocks": (1, 1, 1, 1), "widths": (4, 4, 4, 4)}
CONVNEXT = {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2}


@pytest.mark.parametrize(
    ("name", "args", "size_px", "layer", "side"),
    [
        ("resnet18", RESNET, 128, "layer4", 4),
        ("plain18", RESNET, 128, "layer4", 4),
        ("keras_resnet50", KERAS, 128, "conv5_block1_out", 4),
        ("mobilenetv2_035", {}, 128, "bn2", 4),
        ("mobilenetv3_small_050", {}, 128, "blocks", 4),
        ("efficientnet_lite0", {}, 128, "bn2", 4),
        ("convnext_atto", CONVNEXT, 128, "norm_pre", 4),
    ],
)
def test_of_a_convolutional_network_it_is_the_last_maps(
    make_extractor: Make, name: str, args: dict[str, Any], size_px: int, layer: str, side: int
) -> None:
    found = map_layers(make_extractor(name=name, args=args).eval(), size_px=size_px)
    assert [one.name.partition(".")[0] for one in found] == [layer]
    assert (found[0].height, found[0].width, found[0].kind) == (side, side, "channels first")


@pytest.mark.parametrize(("size_px", "layer"), [(128, "layer4"), (100, "layer4"), (64, "layer3")])
def test_maps_too_coarse_to_name_a_place_give_way_to_the_stage_before(
    make_extractor: Make, size_px: int, layer: str
) -> None:
    (found,) = map_layers(make_extractor().eval(), size_px=size_px)
    assert found.name == layer
    assert found.height >= MIN_SIDE


def test_where_no_stage_is_fine_enough_the_finest_is_taken(make_extractor: Make) -> None:
    (found,) = map_layers(make_extractor().eval(), size_px=6)
    assert (found.name, found.height) == ("act1", 3)


def test_stages_that_are_pooled_stand_beside_the_last_maps(make_extractor: Make) -> None:
    extractor = make_extractor(stages=3).eval()
    assert [one.name for one in map_layers(extractor, size_px=128)] == [
        "layer2",
        "layer3",
        "layer4",
    ]


def test_a_pooled_stage_that_comes_after_the_layer_taken_is_heard_through_it(
    make_extractor: Make,
) -> None:
    extractor = make_extractor(stages=3).eval()
    assert [one.name for one in map_layers(extractor, size_px=64)] == ["layer2", "layer3"]


@pytest.mark.parametrize("args", [VIT, {**VIT, "global_pool": "avg"}])
def test_of_a_vision_transformer_it_is_its_patches_at_the_end(
    make_extractor: Make, args: dict[str, Any]
) -> None:
    extractor = make_extractor(name="vit_tiny_patch16_224", args=args).eval()
    found = map_layers(extractor, size_px=32)
    assert [one.name for one in found] == ["blocks.2.norm1", "norm"]
    assert found[0] == MapLayer(
        name="blocks.2.norm1", kind="tokens", height=4, width=4, num_prefix=1
    )


class Around(nn.Module):
    """Two stages, and a way around the second one."""

    feature_info = (0, 1)

    def __init__(self, *, around: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 4, stride=4)
        self.around = around

    def forward_intermediates(self, images: Tensor, *, indices: int) -> tuple[Tensor, list[Tensor]]:
        first = self.first(images)
        second = self.second(first)
        return second, [first, second][-indices:]

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.second(self.first(images)).mean((2, 3))
        return maps + images.mean((1, 2, 3))[:, None] if self.around else maps


def test_layers_that_something_of_the_photo_goes_around_are_refused() -> None:
    torch.manual_seed(0)
    plain = FeatureExtractor(Around(around=False), stages=0, power=1.0)
    assert [one.name for one in map_layers(plain, size_px=16)] == ["second"]
    with pytest.raises(RunError, match="no maps that can be recognised"):
        map_layers(FeatureExtractor(Around(around=True), stages=0, power=1.0), size_px=16)


def test_a_network_without_maps_is_refused_with_what_can_be_explained() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    with pytest.raises(RunError, match="ResNets, MobileNets"):
        map_layers(FeatureExtractor(flat, stages=0, power=1.0), size_px=8)


def test_the_extractor_is_left_without_hooks(make_extractor: Make) -> None:
    extractor = make_extractor().eval()
    map_layers(extractor, size_px=64)
    assert not any(module._forward_hooks for module in extractor.modules())
