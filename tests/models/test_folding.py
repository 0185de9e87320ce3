"""A folded network gives the same features with fewer layers, and a wrong fold is never used."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldmark.models.extractor import FeatureExtractor
from fieldmark.models.folding import fold_batchnorm
from fieldmark.models.randomness import seeded

Scramble = Callable[[nn.Module], None]
TOLERANCE = 1e-5
STAGES = {"stages": 2, "power": 0.5}


def num_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def relative_error(network: nn.Module, folded: nn.Module, *, size_px: int = 32) -> float:
    images_NCHW = torch.randn(4, 3, size_px, size_px, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected, found = network.eval()(images_NCHW), folded(images_NCHW)
    assert expected.std() > 0
    return float((found - expected).norm() / expected.norm())


def fold(network: nn.Module, scramble: Scramble) -> tuple[nn.Module, float]:
    """Return the folded network and its error, the original being left as it was."""
    scramble(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batchnorm(network, size_px=32)
    now = network.state_dict()
    assert before.keys() == now.keys()
    assert all(torch.equal(before[name], now[name]) for name in before)
    return folded, relative_error(network, folded)


@pytest.mark.parametrize(
    ("name", "args", "norms", "left", "wishes"),
    [
        ("resnet18", {"channels": [8, 8, 16, 16]}, 21, 0, {}),
        ("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}, 13, 0, STAGES),
        ("mobilenetv2_035", {"pad_type": "same"}, 52, 0, {}),
        ("mobilenetv2_035", {}, 52, 0, STAGES),
        ("mobilenetv3_small_050", {}, 34, 0, {}),
        # A normalisation that comes before its convolution stays.
        ("resnetv2_50", {"layers": [1, 1, 1, 1], "channels": [16, 16, 32, 32]}, 13, 5, {}),
        ("densenet121", {"block_config": [2, 2], "growth_rate": 8}, 11, 6, STAGES),
    ],
)
def test_a_folded_backbone_gives_the_same_features(
    name: str,
    args: Mapping[str, Any],
    norms: int,
    left: int,
    wishes: Mapping[str, Any],
    make_extractor: Callable[..., FeatureExtractor],
    scramble: Scramble,
) -> None:
    extractor = make_extractor(name=name, args=args, **wishes)
    folded, error = fold(extractor, scramble)
    assert error < TOLERANCE
    assert num_norms(extractor) == norms
    assert num_norms(folded) == left


def test_a_fold_is_for_evaluation_and_on_the_cpu_in_float32(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor().train().bfloat16()
    folded = fold_batchnorm(extractor, size_px=32)
    assert extractor.training
    assert not any(module.training for module in folded.modules())
    assert {parameter.dtype for parameter in folded.parameters()} == {torch.float32}


class Block(nn.Module):
    """Convolutions and normalisations that a test puts together in its own way."""

    def __init__(self, forward: Callable[["Block", Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self._forward = forward

    def forward(self, images_NCHW: Tensor) -> Tensor:
        return self._forward(self, images_NCHW)


def two_pairs(b: Block, x: Tensor) -> Tensor:
    return b.second(b.other(b.norm(b.conv(x))))  # type: ignore[no-any-return]


def convolution_used_twice(b: Block, x: Tensor) -> Tensor:
    return b.second(b.conv(b.norm(b.conv(x))))  # type: ignore[no-any-return]


def normalisation_used_twice(b: Block, x: Tensor) -> Tensor:
    return b.second(b.other(b.norm(b.conv(b.norm(x)))))  # type: ignore[no-any-return]


def normalisation_of_two(b: Block, x: Tensor) -> Tensor:
    return b.norm(b.conv(x)) + b.norm(b.other(x))  # type: ignore[no-any-return]


def two_normalisations_of_one(b: Block, x: Tensor) -> Tensor:
    between = b.conv(x)
    return b.norm(between) + b.second(between)  # type: ignore[no-any-return]


def output_needed_elsewhere(b: Block, x: Tensor) -> Tensor:
    between = b.conv(x)
    return b.norm(between) + between  # type: ignore[no-any-return]


def output_changed_in_place(b: Block, x: Tensor) -> Tensor:
    return b.norm(b.conv(x).relu_())  # type: ignore[no-any-return]


def activation_between(b: Block, x: Tensor) -> Tensor:
    return b.norm(b.conv(x).relu())  # type: ignore[no-any-return]


def normalised_photo(b: Block, x: Tensor) -> Tensor:
    return b.norm(x) + b.second(b.conv(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("forward", "num_folded"),
    [
        (two_pairs, 2),
        (convolution_used_twice, 0),
        (normalisation_used_twice, 1),
        (normalisation_of_two, 0),
        (two_normalisations_of_one, 0),
        (output_needed_elsewhere, 0),
        (output_changed_in_place, 0),
        (activation_between, 0),
        (normalised_photo, 1),
    ],
)
def test_only_a_pair_that_belongs_together_is_folded(
    forward: Callable[[Block, Tensor], Tensor], num_folded: int, scramble: Scramble
) -> None:
    with seeded(0):
        block = Block(forward)
    folded, error = fold(block, scramble)
    assert error < TOLERANCE
    assert 2 - num_norms(folded) == num_folded


def test_a_shared_normalisation_stays_in_every_place(scramble: Scramble) -> None:
    norm = nn.BatchNorm2d(3)
    with seeded(0):
        network = nn.Sequential(nn.Conv2d(3, 3, 3), norm, nn.ReLU(), nn.Conv2d(3, 3, 3), norm)
    folded, error = fold(network, scramble)
    assert error < TOLERANCE
    assert num_norms(folded) == 1


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_bias_factors_and_groups_are_all_taken_into_account(
    bias: bool, affine: bool, groups: int
) -> None:
    norm = nn.BatchNorm2d(8, affine=affine, eps=0.1)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with seeded(0):
        convs = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, stride=2, groups=groups, bias=bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.01, 4)
        if affine:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    network = nn.Sequential(*convs, norm)
    folded = fold_batchnorm(network, size_px=32)
    assert num_norms(folded) == 0
    assert relative_error(network, folded) < TOLERANCE


def test_a_normalisation_without_statistics_stays() -> None:
    with seeded(0):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    folded = fold_batchnorm(network, size_px=32)
    assert num_norms(folded) == 1
    assert relative_error(network, folded) < TOLERANCE


def test_a_convolution_that_remakes_its_weights_is_left_plain(scramble: Scramble) -> None:
    class Standardised(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name is torch's
            weight = self.weight / self.weight.std(dim=(1, 2, 3), keepdim=True)
            return nn.functional.conv2d(input, weight, self.bias)

    with seeded(0):
        network = nn.Sequential(Standardised(3, 4, 3), nn.BatchNorm2d(4))
    folded, error = fold(network, scramble)
    assert num_norms(folded) == 1
    assert error < TOLERANCE


def test_the_global_random_state_is_left_alone(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor()
    before = torch.get_rng_state()
    fold_batchnorm(extractor, size_px=32)
    assert torch.equal(torch.get_rng_state(), before)
