"""The plain networks are ResNets less their shortcuts, and work wherever timm's do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.base.errors import RecipeError, WeightsError
from fieldmark.models.backbones import ModelConfig, create_extractor, resolve_backbone
from fieldmark.models.bundle import load_bundle, save_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.models.depth import depth_groups, freeze_below
from fieldmark.models.extractor import FeatureExtractor
from fieldmark.models.folding import fold_batchnorm
from fieldmark.models.inference import Predictor
from fieldmark.models.lowering import LoweredConv2d, lowered
from fieldmark.models.plain_resnet import plain18, plain34

PAIRS = [("plain18", "resnet18"), ("plain34", "resnet34")]
TINY = {"layers": [1, 2, 1, 1], "channels": [8, 8, 16, 16]}
Make = Callable[..., FeatureExtractor]


def photos(size_px: int = 32, *, num: int = 3) -> Tensor:
    return torch.randn(num, 3, size_px, size_px, generator=torch.Generator().manual_seed(5))


def on_meta(name: str) -> nn.Module:
    """Build a network's shape alone, without drawing its weights."""
    with torch.device("meta"):
        return create_extractor(name, args={}, stages=0, power=1.0).backbone


@pytest.mark.parametrize(("plain", "residual"), PAIRS)
def test_it_has_every_weight_of_the_resnet_but_those_in_shortcuts(
    plain: str, residual: str
) -> None:
    shapes = [
        {name: value.shape for name, value in on_meta(network).state_dict().items()}
        for network in (plain, residual)
    ]
    without = {name: shape for name, shape in shapes[1].items() if ".downsample." not in name}
    assert shapes[0] == without
    assert len(shapes[1]) == len(without) + 3 * 6  # a convolution, and five of its normalisation


def test_a_photo_goes_through_one_layer_after_the_other(make_extractor: Make) -> None:
    """The oracle is the chain of its layers, written out."""
    extractor = make_extractor(name="plain18", args=TINY).eval()
    network: Any = extractor.backbone
    chain: list[nn.Module] = [network.conv1, network.bn1, nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        for block in stage:
            chain += [block.conv1, block.bn1, nn.ReLU(), block.conv2, block.bn2, nn.ReLU()]
    chain += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    with torch.no_grad():
        expected, found = nn.Sequential(*chain)(photos()), extractor(photos())
    assert found.shape == (3, 16)
    assert found.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "passes"), [("plain18", False), ("resnet18", True)])
def test_nothing_goes_around_a_block(name: str, passes: bool, make_extractor: Make) -> None:
    extractor = make_extractor(name=name, args=TINY).eval()
    backbone: Any = extractor.backbone
    block = backbone.layer2[1]
    nn.init.zeros_(block.bn2.weight)
    nn.init.zeros_(block.bn2.bias)
    with torch.no_grad():
        found = block(photos(8)[:, :1].expand(-1, 8, -1, -1).abs())
    assert bool(found.any()) == passes


@pytest.mark.parametrize("build", [plain18, plain34])
def test_a_fresh_network_tells_photos_apart(build: Callable[..., nn.Module]) -> None:
    """Of a ResNet the last normalisation of each block may start at zero; here nothing would pass.

    In training mode, as at the first step: each normalisation evens out what comes before it.
    """
    network = build(num_classes=0).train()
    with torch.no_grad():
        features_NF = network(photos(64, num=4))
    assert features_NF.std(dim=0).mean() > 0.05


def test_it_learns(make_extractor: Make) -> None:
    extractor = make_extractor(name="plain34", args=TINY).train()
    extractor(photos()).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in extractor.parameters())


def test_a_way_to_drop_is_refused_where_there_is_only_one() -> None:
    with pytest.raises(RecipeError, match=r"'plain34' cannot be built.*no branch"):
        create_extractor("plain34", args={"drop_path_rate": 0.1}, stages=0, power=1.0)


def test_an_argument_that_timm_does_not_know_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"'plain18' cannot be built.*depths"):
        create_extractor("plain18", args={"depths": [1]}, stages=0, power=1.0)


# Wherever timm's networks work


@pytest.mark.parametrize(
    ("wishes", "width"),
    [({}, 16), ({"flatten": True}, 16 * 2 * 2), ({"stages": 2}, 16 + 16), ({"stages": 3}, 40)],
)
def test_it_gives_features_pooled_unpooled_and_by_stages(
    wishes: dict[str, Any], width: int, make_extractor: Make
) -> None:
    extractor = make_extractor(name="plain18", args=TINY, **wishes).eval()
    with torch.no_grad():
        assert extractor(photos(64)).shape == (3, width)


def test_its_groups_by_depth_are_those_of_a_resnet() -> None:
    with torch.device("meta"):
        extractor = create_extractor("plain34", args={}, stages=0, power=1.0)
    names = ["stem", "layer1", "layer2", "layer3", "layer4"]
    assert [group.name for group in depth_groups(extractor)] == names
    freeze_below(extractor, trained=1)
    learning = {name.split(".")[1] for name, p in extractor.named_parameters() if p.requires_grad}
    assert learning == {"layer4"}


def test_every_normalisation_is_folded_and_features_stay(make_extractor: Make) -> None:
    extractor = make_extractor(name="plain18", args=TINY).eval()
    folded = fold_batchnorm(extractor, size_px=32)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(photos()), extractor(photos()), rtol=1e-4, atol=1e-5)


def test_its_convolutions_are_lowered_and_features_stay(make_extractor: Make) -> None:
    extractor = make_extractor(name="plain18", args=TINY).eval()
    images_NCHW = photos().contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = extractor(images_NCHW)
        with lowered(extractor):
            kinds = [type(m) for m in extractor.modules() if isinstance(m, nn.Conv2d)]
            found = extractor(images_NCHW)
    assert kinds == [LoweredConv2d] * (1 + 2 * 5)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_bundle_gives_the_same_logits(
    make_classifier: Callable[..., Classifier],
    make_pixels: Callable[..., NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    classifier, pixels = make_classifier(name="plain18", args=TINY), make_pixels(3)
    save_bundle(classifier, tmp_path / "model", data_digest="d" * 64)
    expected, found = (
        Predictor(one, device=torch.device("cpu")).logits(pixels)
        for one in (classifier, load_bundle(tmp_path / "model"))
    )
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("plain", "residual"), PAIRS)
def test_it_takes_the_very_input_of_the_resnet(plain: str, residual: str) -> None:
    specs = [
        resolve_backbone(ModelConfig(backbone=name, weights="none")) for name in (plain, residual)
    ]
    unlike = {"name": "", "classifier_names": ()}
    assert replace(specs[0], **unlike) == replace(specs[1], **unlike)  # type: ignore[arg-type]


def test_there_are_no_published_weights() -> None:
    with pytest.raises(WeightsError, match=r"'plain34'.*--weights none"):
        resolve_backbone(ModelConfig(backbone="plain34"))
