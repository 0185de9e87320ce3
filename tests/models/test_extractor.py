"""Features: how many, of what, and what they are when earlier stages stand beside the last."""

from collections.abc import Callable

import pytest
import torch

from fieldmark.base.errors import RecipeError
from fieldmark.models.extractor import FeatureExtractor, num_features

MakeExtractor = Callable[..., FeatureExtractor]


def photos(size_px: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))


def test_without_stages_the_features_are_the_backbones_own(make_extractor: MakeExtractor) -> None:
    extractor = make_extractor().eval()
    with torch.no_grad():
        features_NF = extractor(photos())
        assert torch.equal(features_NF, extractor.backbone(photos()))
    assert features_NF.shape == (2, 16)


@pytest.mark.parametrize(
    ("backbone", "earlier"),
    [
        ({}, ("layer3", "layer2")),  # layer4 is what the network itself pools
        ({"name": "mobilenetv2_035", "args": {}}, ("blocks.6", "blocks.4", "blocks.2")),
    ],
)
def test_stages_are_averaged_over_the_photo_the_latest_first(
    backbone: dict[str, object], earlier: tuple[str, ...], make_extractor: MakeExtractor
) -> None:
    extractor = make_extractor(stages=3, **backbone).eval()
    outputs: dict[str, torch.Tensor] = {}
    for name in earlier:
        extractor.backbone.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: outputs.update({name: output})
        )
    with torch.no_grad():
        features_NF = extractor(photos(64))
        own_NF = extractor.backbone(photos(64))
    parts = [own_NF, *(outputs[name].mean((2, 3)) for name in earlier)]
    torch.testing.assert_close(features_NF, torch.cat(parts, dim=1))


def test_two_stages_are_the_beginning_of_three(make_extractor: MakeExtractor) -> None:
    two, three = make_extractor(stages=2).eval(), make_extractor(stages=3).eval()
    with torch.no_grad():
        few_NF, many_NF = two(photos()), three(photos())
    assert few_NF.shape == (2, 16 + 16)
    assert many_NF.shape == (2, 16 + 16 + 8)
    assert torch.equal(few_NF, many_NF[:, :32])


def test_a_stage_that_the_network_pools_itself_does_not_stand_twice(
    make_extractor: MakeExtractor,
) -> None:
    plain, one = make_extractor().eval(), make_extractor(stages=1).eval()
    with torch.no_grad():
        assert torch.equal(plain(photos()), one(photos()))


def test_the_power_keeps_signs_and_takes_the_root_of_sizes(make_extractor: MakeExtractor) -> None:
    extractor = make_extractor(name="convnext_atto", args={"dims": [8, 8, 8, 8]}).eval()
    with torch.no_grad():
        plain_NF = extractor(photos())
        extractor.power = 0.5
        rooted_NF = extractor(photos())
    assert (plain_NF < 0).any()
    assert (plain_NF > 0).any()
    torch.testing.assert_close(rooted_NF, plain_NF.sign() * plain_NF.abs().sqrt())


@pytest.mark.parametrize("is_training", [False, True])
def test_counting_features_leaves_the_network_as_it_was(
    is_training: bool, make_extractor: MakeExtractor
) -> None:
    extractor = make_extractor(stages=2).train(is_training)
    before = {name: value.clone() for name, value in extractor.state_dict().items()}
    assert num_features(extractor, size_px=32) == 16 + 16
    assert extractor.training is is_training
    assert all(torch.equal(before[name], now) for name, now in extractor.state_dict().items())


def test_a_size_that_the_backbone_does_not_take_is_refused(make_extractor: MakeExtractor) -> None:
    extractor = make_extractor(
        name="vit_tiny_patch16_224", args={"depth": 1, "embed_dim": 12, "num_heads": 1}
    ).train()
    with pytest.raises(RecipeError, match=r"photos of 32 pixels.*224.*Set data\.size_px"):
        num_features(extractor, size_px=32)
    assert extractor.training


def test_maps_instead_of_features_are_refused(make_extractor: MakeExtractor) -> None:
    args = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "global_pool": ""}
    with pytest.raises(RecipeError, match=r"model\.backbone_args\.global_pool"):
        num_features(make_extractor(args=args), size_px=32)
