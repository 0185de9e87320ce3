"""A new classifier: its head, and what it must not disturb."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError
from fieldmark.data.preprocess import Preprocess
from fieldmark.models.classifier import Architecture, Classifier, new_classifier
from fieldmark.models.extractor import FeatureExtractor, num_features
from fieldmark.models.heads import CosineHead

MakeExtractor = Callable[..., FeatureExtractor]
CLASSES = tuple(f"class {index}" for index in range(50))


def new(
    extractor: FeatureExtractor, *, seed: int, size_px: int = 32, head: str = "linear"
) -> Classifier:
    return new_classifier(
        extractor,
        architecture=Architecture(
            backbone="resnet18",
            backbone_args={},
            stages=extractor.stages,
            feature_power=extractor.power,
            precision="float32",
            head=head,
        ),
        preprocess=Preprocess(size_px=size_px),
        classes=CLASSES,
        generator=torch.Generator().manual_seed(seed),
    )


def test_a_fresh_head_has_small_normal_weights_and_no_bias(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    head = new(make_extractor(stages=3), seed=0).network.head
    assert head.weight.shape == (50, 16 + 16 + 8)
    assert head.bias.shape == (50,)
    assert not head.bias.any()
    weights = head.weight.detach()
    # 2,000 draws: their mean and spread lie within four standard errors of 0 and 0.01.
    assert abs(float(weights.mean())) < 4 * 0.01 / 2000**0.5
    assert float(weights.std()) == pytest.approx(0.01, abs=4 * 0.01 / (2 * 2000) ** 0.5)
    assert head.weight.requires_grad
    assert head.bias.requires_grad


def test_a_fresh_classifier_is_close_to_indifferent(
    make_extractor: Callable[..., FeatureExtractor], make_pixels: Callable[..., NDArray[np.uint8]]
) -> None:
    classifier = new(make_extractor(), seed=0)
    pixels_NCHW = torch.from_numpy(make_pixels(4)).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits_NC = classifier.network.eval()(classifier.preprocess.normalise(pixels_NCHW))
    assert logits_NC.shape == (4, 50)
    assert float(logits_NC.softmax(1).max()) < 3 / 50


def test_the_head_derives_from_its_generator_alone(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    extractor = make_extractor()
    before = torch.get_rng_state()
    heads = [new(extractor, seed=seed).network.head.weight for seed in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_size_that_the_backbone_does_not_take_is_refused(
    make_extractor: Callable[..., FeatureExtractor],
) -> None:
    args = {"depth": 1, "embed_dim": 12, "num_heads": 1}
    extractor = make_extractor(name="vit_tiny_patch16_224", args=args)
    with pytest.raises(RecipeError, match=r"data\.size_px"):
        new(extractor, seed=0, size_px=32)


@pytest.mark.parametrize(("head", "width"), [("linear", 16), ("flatten", 16 * 4), ("cosine", 16)])
def test_the_head_is_of_the_kind_asked_for_and_as_wide_as_the_features(
    head: str, width: int, make_extractor: MakeExtractor
) -> None:
    extractor = make_extractor(flatten=head == "flatten")
    classifier = new(extractor, seed=0, size_px=64, head=head)
    made = classifier.network.head
    assert made.weight.shape == (50, width)
    assert isinstance(made, CosineHead) is (head == "cosine")
    assert bool(made.weight.any())
    with torch.no_grad():
        assert classifier.network.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, 50)


def test_a_linear_head_starts_as_it_always_did(make_extractor: MakeExtractor) -> None:
    """Drawn from the normal distribution straight from the generator, to the last bit."""
    expected_CF = torch.empty(50, 16).normal_(std=0.01, generator=torch.Generator().manual_seed(3))
    for head in ("linear", "cosine"):
        assert torch.equal(
            new(make_extractor(), seed=3, head=head).network.head.weight, expected_CF
        )


def test_reference_resnet_50_at_50_pixels_flattens_to_8192_features(
    make_extractor: MakeExtractor,
) -> None:
    extractor = make_extractor(name="resnet50", args={}, flatten=True)
    assert num_features(extractor, size_px=50) == 8192
