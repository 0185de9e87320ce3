"""Features: how many, of what, and what they are when earlier stages stand beside the last."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

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


def test_flattened_features_are_the_maps_place_by_place(make_extractor: MakeExtractor) -> None:
    """Averaged over their places, they are the pooled features."""
    pooled, flat = make_extractor().eval(), make_extractor(flatten=True).eval()
    assert (pooled.flatten, flat.flatten) == (False, True)
    with torch.no_grad():
        features_NF = flat(photos(64))
        assert features_NF.shape == (2, 16 * 2 * 2)
        maps_NCHW = features_NF.reshape(2, 16, 2, 2)
        torch.testing.assert_close(maps_NCHW.mean((2, 3)), pooled(photos(64)))
        assert torch.equal(maps_NCHW, flat.backbone(photos(64)))
    assert flat.state_dict().keys() == pooled.state_dict().keys()


def test_flattening_does_not_depend_on_the_memory_format(make_extractor: MakeExtractor) -> None:
    extractor = make_extractor(flatten=True).eval()
    images_NCHW = photos(64)
    with torch.no_grad():
        expected_NF = extractor(images_NCHW)
        extractor.to(memory_format=torch.channels_last)
        found_NF = extractor(images_NCHW.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found_NF, expected_NF)


@pytest.mark.parametrize(
    ("name", "args", "width"),
    [
        ("mobilenetv2_035", {}, 1280 * 2 * 2),
        # What follows the pooling is then computed at each place.
        ("mobilenetv3_small_050", {}, 1024 * 2 * 2),
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}, 8 * 2 * 2),
        # 16 patches and the class token.
        (
            "vit_tiny_patch16_224",
            {"img_size": 64, "depth": 1, "embed_dim": 12, "num_heads": 1},
            12 * 17,
        ),
    ],
)
def test_maps_and_tokens_of_other_networks_are_flattened_too(
    name: str, args: dict[str, object], width: int, make_extractor: MakeExtractor
) -> None:
    extractor = make_extractor(name=name, args=args, flatten=True)
    assert num_features(extractor, size_px=64) == width


def test_power_goes_with_flattening(make_extractor: MakeExtractor) -> None:
    plain, rooted = (make_extractor(flatten=True, power=power).eval() for power in (1.0, 0.5))
    with torch.no_grad():
        plain_NF, rooted_NF = plain(photos()), rooted(photos())
    torch.testing.assert_close(rooted_NF, plain_NF.sign() * plain_NF.abs().sqrt())


class Pooling(nn.Module):
    """A backbone that pools, whatever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        return self.conv(images_NCHW).mean((2, 3))  # type: ignore[no-any-return]


def test_flattening_what_is_pooled_is_refused() -> None:
    extractor = FeatureExtractor(Pooling(), stages=0, power=1.0, flatten=True)
    with pytest.raises(RecipeError, match=r"pools its maps.*Set model\.head to linear"):
        num_features(extractor, size_px=32)
