"""Every parameter is in one group, groups go from input to output, and freezing spares the last."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldmark.base.errors import RecipeError
from fieldmark.models.backbones import create_extractor
from fieldmark.models.depth import DepthGroup, depth_groups, freeze_below
from fieldmark.models.extractor import FeatureExtractor

STAGES = {
    "resnet50": ["stem", "layer1", "layer2", "layer3", "layer4"],
    "mobilenetv2_050": ["stem", *(f"blocks.{n}" for n in range(6)), "blocks.6 to bn2"],
    "efficientnet_b0": ["stem", *(f"blocks.{n}" for n in range(6)), "blocks.6 to bn2"],
    "convnext_atto": ["stem", "stages.0", "stages.1", "stages.2", "stages.3 to head"],
    "vit_tiny_patch16_224": [
        "patch_embed",
        *(f"blocks.{n}" for n in range(11)),
        "blocks.11 to norm",
    ],
    "swin_tiny_patch4_window7_224": [
        "patch_embed",
        "layers.0",
        "layers.1",
        "layers.2",
        "layers.3 to norm",
    ],
    # These have no matcher of timm's, or none that is coarse.
    "caformer_s18": ["stem", "stages.0", "stages.1", "stages.2", "stages.3 to head"],
    "pit_ti_224": ["patch_embed", "transformers.0", "transformers.1", "transformers.2 to norm"],
    "rdnet_tiny": [
        "stem",
        *(f"dense_stages.{n}" for n in range(6)),
        "dense_stages.6 to head",
    ],
}


def on_meta(name: str) -> FeatureExtractor:
    """Build a network's shape alone, without drawing its weights."""
    with torch.device("meta"):
        return create_extractor(name, args={}, stages=0, power=1.0)


def home_of(extractor: FeatureExtractor, groups: tuple[DepthGroup, ...]) -> dict[str, int]:
    """Return the group of each parameter by name, each found in exactly one."""
    index: dict[Tensor, int] = {}
    for number, group in enumerate(groups):
        for parameter in group.parameters:
            assert parameter not in index
            index[parameter] = number
    names = {name: index[parameter] for name, parameter in extractor.backbone.named_parameters()}
    assert len(names) == len(index)
    return names


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_of_a_network_are_its_groups(name: str) -> None:
    assert [group.name for group in depth_groups(on_meta(name))] == STAGES[name]


@pytest.mark.parametrize("name", STAGES)
def test_every_parameter_is_in_one_group_and_depth_rises_from_input_to_output(name: str) -> None:
    extractor = on_meta(name)
    homes = home_of(extractor, depth_groups(extractor))
    in_order = list(homes.values())
    assert in_order == sorted(in_order)


@pytest.mark.parametrize("name", STAGES)
def test_the_modules_of_a_group_hold_its_parameters_and_no_others(name: str) -> None:
    for group in depth_groups(on_meta(name)):
        held = [parameter for module in group.modules for parameter in module.parameters()]
        assert set(held) <= set(group.parameters)
        assert len(held) == len(set(held))
        outside = set(group.parameters) - set(held)
        # Class tokens and position embeddings, which are a whole network's own.
        assert len(outside) <= 2


def test_a_last_normalisation_is_no_group_of_its_own() -> None:
    last = depth_groups(on_meta("convnext_atto"))[-1]
    assert len(last.modules) == 2
    assert sum(parameter.ndim > 1 for parameter in last.parameters) > 3


class Plain(nn.Module):
    """A backbone that timm knows nothing of: a vector, a stem, stages in a list, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 4))
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.stages = nn.ModuleList(nn.Sequential(nn.Conv2d(4, 4, 1)) for _ in range(2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.norm = nn.LayerNorm(4)


def plain() -> FeatureExtractor:
    return FeatureExtractor(Plain(), stages=0, power=1.0)


def test_a_backbone_without_a_matcher_is_divided_into_its_children() -> None:
    extractor = plain()
    backbone: Any = extractor.backbone
    groups = depth_groups(extractor)
    assert [group.name for group in groups] == ["stem", "stages.0", "stages.1 to norm"]
    assert groups[0].parameters[0] is backbone.token
    assert groups[0].modules == (backbone.stem,)
    assert groups[2].modules == (backbone.stages[1], backbone.norm)
    home_of(extractor, groups)


def test_layers_of_vectors_alone_at_the_start_go_with_the_next() -> None:
    backbone = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    groups = depth_groups(FeatureExtractor(backbone, stages=0, power=1.0))
    assert [len(group.parameters) for group in groups] == [4, 2]


def test_a_shared_parameter_is_in_one_group() -> None:
    backbone = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    backbone[1].weight = backbone[0].weight
    extractor = FeatureExtractor(backbone, stages=0, power=1.0)
    groups = depth_groups(extractor)
    assert sum(len(group.parameters) for group in groups) == 3


def test_a_network_of_one_layer_is_one_group() -> None:
    groups = depth_groups(FeatureExtractor(nn.Linear(4, 4), stages=0, power=1.0))
    assert [group.name for group in groups] == ["all"]


def test_all_but_the_last_groups_are_frozen(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor()
    frozen = freeze_below(extractor, trained=2)
    assert [group.name for group in frozen] == ["stem", "layer1", "layer2"]
    learning = {
        name.split(".")[0]
        for name, parameter in extractor.backbone.named_parameters()
        if parameter.requires_grad
    }
    assert learning == {"layer3", "layer4"}


def test_what_does_not_learn_in_the_last_groups_stays_so(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor()
    fixed = extractor.backbone.get_parameter("layer4.0.conv1.weight")
    fixed.requires_grad = False
    assert freeze_below(extractor, trained=5) == ()
    assert not fixed.requires_grad
    assert sum(not parameter.requires_grad for parameter in extractor.parameters()) == 1


def test_with_no_group_trained_everything_is_frozen(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor()
    assert len(freeze_below(extractor, trained=0)) == 5
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


@pytest.mark.parametrize("trained", [6, -1])
def test_more_stages_than_there_are_is_an_error_that_names_them(
    make_extractor: Callable[..., FeatureExtractor], trained: int
) -> None:
    extractor = make_extractor()
    told = (
        f"train.last_stages is {trained}; this backbone has 5 to train, from input to output: "
        "stem, layer1, layer2, layer3, layer4."
    )
    with pytest.raises(RecipeError, match=re.escape(told)):
        freeze_below(extractor, trained=trained)
    assert all(parameter.requires_grad for parameter in extractor.parameters())
