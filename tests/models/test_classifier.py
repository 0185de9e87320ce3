"""A new classifier: its head, and what it must not disturb."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError
from fieldmark.data.preprocess import Preprocess
from fieldmark.models.classifier import Architecture, Classifier, new_classifier
from fieldmark.models.extractor import FeatureExtractor

CLASSES = tuple(f"class {index}" for index in range(50))


def new(extractor: FeatureExtractor, *, seed: int, size_px: int = 32) -> Classifier:
    return new_classifier(
        extractor,
        architecture=Architecture(
            backbone="resnet18",
            backbone_args={},
            stages=extractor.stages,
            feature_power=extractor.power,
            precision="float32",
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
