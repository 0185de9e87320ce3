"""What Keras' ResNets are among Fieldmark's backbones; Keras itself judges them elsewhere."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.base.errors import RecipeError
from fieldmark.data.preprocess import Preprocess
from fieldmark.models.backbones import create_extractor
from fieldmark.models.bundle import load_bundle, save_bundle
from fieldmark.models.classifier import Architecture, Classifier, new_classifier
from fieldmark.models.depth import depth_groups, freeze_below
from fieldmark.models.extractor import FeatureExtractor, num_features
from fieldmark.models.folding import fold_batchnorm
from fieldmark.models.freezing import set_training
from fieldmark.models.inference import Predictor
from fieldmark.models.keras_resnet import KerasBatchNorm
from fieldmark.models.layers import layer_table, totals
from fieldmark.models.lowering import lowered

NARROW = {"blocks": (2, 1, 1, 1), "widths": (4, 4, 8, 8)}
"""Five blocks with a thousandth of the weights."""
CLASSES = ("cat", "dog", "owl")

# Legend for shape suffixes: N photos, NCHW images of 3 channels.


@pytest.fixture
def narrow(scramble: Callable[[nn.Module], None]) -> Callable[..., FeatureExtractor]:
    """Return a function that builds a narrow one, its statistics not those of a fresh one."""

    def build(**values: Any) -> FeatureExtractor:
        asked = {"args": NARROW, "stages": 0, "power": 1.0, **values}
        extractor = create_extractor("keras_resnet50", **asked)
        scramble(extractor)
        return extractor.eval()

    return build


def images(num_photos: int = 2, size_px: int = 50, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num_photos, 3, size_px, size_px, generator=generator)


def classifier_on(extractor: FeatureExtractor, *, head: str = "linear") -> Classifier:
    return new_classifier(
        extractor,
        architecture=Architecture(
            backbone="keras_resnet50",
            backbone_args=NARROW,
            stages=extractor.stages,
            feature_power=1.0,
            precision="float32",
            head=head,
        ),
        preprocess=Preprocess(size_px=50),
        classes=CLASSES,
        generator=torch.Generator().manual_seed(1),
    )


@pytest.mark.parametrize(
    ("name", "with_statistics", "statistics"),
    [
        ("keras_resnet50", 23_587_712, 53_120),
        ("keras_resnet101", 42_658_176, 105_344),
        ("keras_resnet152", 58_370_944, 151_424),
    ],
)
def test_parameters_are_as_many_as_keras_publishes(
    name: str, with_statistics: int, statistics: int
) -> None:
    with torch.device("meta"):
        extractor = create_extractor(name, args={}, stages=0, power=1.0)
    total = totals(layer_table(extractor, size_px=50))
    assert total.num_in_all == with_statistics
    assert total.num_statistics == statistics
    assert total.num_trainable == with_statistics - statistics


def test_at_50_px_flattened_with_eight_classes_it_is_the_studys_network() -> None:
    extractor = create_extractor("keras_resnet50", args={}, stages=0, power=1.0, flatten=True)
    assert num_features(extractor, size_px=50) == 2 * 2 * 2048
    preprocess, classes = Preprocess(size_px=50), tuple("abcdefgh")
    architecture = Architecture(
        backbone="keras_resnet50",
        backbone_args={},
        stages=0,
        feature_power=1.0,
        precision="float32",
        head="flatten",
    )
    generator = torch.Generator().manual_seed(0)
    network = new_classifier(
        extractor,
        architecture=architecture,
        preprocess=preprocess,
        classes=classes,
        generator=generator,
    ).network
    total = totals(layer_table(network, size_px=50))
    assert (total.num_in_all, total.num_trainable) == (23_653_256, 23_600_136)
    assert sum(p.numel() for p in network.head.parameters()) == 65_544


def test_fresh_weights_are_glorot_uniform_and_biases_zero() -> None:
    backbone = create_extractor("keras_resnet50", args={}, stages=0, power=1.0).backbone
    for name, part in backbone.named_modules():
        if isinstance(part, nn.Conv2d):
            places = math.prod(part.kernel_size)
            limit = math.sqrt(6 / (places * (part.in_channels + part.out_channels)))
            largest = float(part.weight.detach().abs().max())
            assert 0.98 * limit < largest <= limit, name
            # Of a uniform distribution: its standard deviation is the limit over the root of 3.
            assert float(part.weight.detach().std()) == pytest.approx(
                limit / math.sqrt(3), rel=0.03
            ), name
            assert part.bias is not None
            assert not part.bias.any()
        elif isinstance(part, nn.BatchNorm2d):
            assert (part.eps, part.momentum) == (1.001e-5, 0.01)
            assert part.running_mean is not None
            assert part.running_var is not None
            for values, expected in zip(
                (part.weight, part.bias, part.running_mean, part.running_var),
                (1, 0, 0, 1),
                strict=True,
            ):
                assert bool((values == expected).all()), name


def test_fresh_weights_derive_from_the_seed() -> None:
    first, same, other = (
        create_extractor("keras_resnet50", args=NARROW, stages=0, power=1.0, seed=seed).state_dict()
        for seed in (1, 1, 2)
    )
    kernel = "backbone.conv1_conv.weight"
    assert torch.equal(first[kernel], same[kernel])
    assert not torch.equal(first[kernel], other[kernel])


def test_pooled_features_are_the_mean_of_the_unpooled_maps(
    narrow: Callable[..., FeatureExtractor],
) -> None:
    pooled, flat = narrow(), narrow(flatten=True)
    with torch.no_grad():
        maps_NCHW = flat.backbone(images())
        assert maps_NCHW.shape == (2, 32, 2, 2)
        torch.testing.assert_close(pooled(images()), maps_NCHW.mean((2, 3)))
        assert torch.equal(flat(images()), maps_NCHW.flatten(1))


def test_earlier_stages_stand_beside_the_last_features(
    narrow: Callable[..., FeatureExtractor],
) -> None:
    pooled, staged = narrow(), narrow(stages=3)
    with torch.no_grad():
        features_NF = staged(images())
        assert features_NF.shape == (2, 32 + 32 + 16)
        assert torch.equal(features_NF[:, :32], pooled(images()))
        _, outputs = staged.backbone.forward_intermediates(images(), indices=3)  # type: ignore[operator]
        assert [tuple(output.shape[1:]) for output in outputs] == [
            (16, 7, 7),
            (32, 4, 4),
            (32, 2, 2),
        ]
        torch.testing.assert_close(features_NF[:, 32:64], outputs[1].mean((2, 3)))
        torch.testing.assert_close(features_NF[:, 64:], outputs[0].mean((2, 3)))


def test_depth_groups_are_the_stem_and_the_four_stages() -> None:
    with torch.device("meta"):
        extractor = create_extractor("keras_resnet50", args={}, stages=0, power=1.0)
    groups = depth_groups(extractor)
    assert [group.name for group in groups] == [
        "stem",
        "conv2_block1_1_conv to conv2_block3_3_bn",
        "conv3_block1_1_conv to conv3_block4_3_bn",
        "conv4_block1_1_conv to conv4_block6_3_bn",
        "conv5_block1_1_conv to conv5_block3_3_bn",
    ]
    # A convolution and a normalisation have two each: 1, 10, 13, 19 and 10 pairs.
    assert [len(group.parameters) for group in groups] == [4, 40, 52, 76, 40]


def test_a_frozen_stage_keeps_its_statistics(narrow: Callable[..., FeatureExtractor]) -> None:
    extractor = narrow()
    network = classifier_on(extractor).network
    frozen = freeze_below(extractor, trained=2)
    set_training(
        network, batch_norm="batch", frozen=[part for group in frozen for part in group.modules]
    )
    before = {name: value.clone() for name, value in extractor.state_dict().items()}
    network(images(4)).sum().backward()
    moved = {
        name.split(".")[1]
        for name, value in extractor.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == {f"conv{stage}_block1_{part}_bn" for stage in (4, 5) for part in (0, 1, 2, 3)}


def test_frozen_normalisations_use_and_keep_their_statistics(
    narrow: Callable[..., FeatureExtractor],
) -> None:
    extractor = narrow()
    network = classifier_on(extractor).network
    with torch.no_grad():
        expected = network.eval()(images(4))
        set_training(network, batch_norm="frozen", frozen=())
        torch.testing.assert_close(network(images(4)), expected)


def test_the_running_variance_is_that_of_the_batch_without_a_correction() -> None:
    """Of 2 photos with 2x1 places: 1, 2, 3, 6 have the mean 3 and the variance 14 / 4."""
    norm = KerasBatchNorm(1).train()
    norm(torch.tensor([1.0, 2.0, 3.0, 6.0]).view(2, 1, 2, 1))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert float(norm.running_mean) == pytest.approx(0.01 * 3)
    assert float(norm.running_var) == pytest.approx(0.99 + 0.01 * 3.5)
    assert norm.num_batches_tracked is not None
    assert int(norm.num_batches_tracked) == 1


def test_batches_are_normalised_as_by_torch() -> None:
    ours, theirs = KerasBatchNorm(3).train(), nn.BatchNorm2d(3, eps=1.001e-5, momentum=0.01)
    maps_NCHW = images(4, 5)
    assert torch.equal(ours(maps_NCHW), theirs(maps_NCHW))
    assert ours.running_var is not None
    assert theirs.running_var is not None
    # Bessel's correction of 4 photos with 25 places.
    torch.testing.assert_close(
        (ours.running_var - 0.99) * 100 / 99, theirs.running_var - 0.99, rtol=1e-3, atol=0
    )


def test_two_forward_passes_may_come_before_the_backward_pass(
    narrow: Callable[..., FeatureExtractor],
) -> None:
    """As where gradients are gathered over parts of a batch: statistics move in between."""
    extractor = narrow().train()
    (extractor(images(4)).sum() + extractor(images(4, seed=1)).sum()).backward()
    gradient = next(extractor.parameters()).grad
    assert gradient is not None
    assert bool(gradient.any())


@pytest.mark.parametrize("flatten", [False, True])
def test_every_normalisation_is_folded_and_nothing_changes(
    flatten: bool, narrow: Callable[..., FeatureExtractor]
) -> None:
    extractor = narrow(flatten=flatten)
    folded = fold_batchnorm(extractor, size_px=50)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images()), extractor(images()), rtol=1e-4, atol=1e-4)


def test_convolutions_as_matrix_products_give_the_same(
    narrow: Callable[..., FeatureExtractor],
) -> None:
    extractor = narrow().train()
    extractor(images(4)).sum().backward()
    plain = [parameter.grad for parameter in extractor.parameters()]
    extractor.zero_grad()
    with lowered(extractor):
        extractor(images(4)).sum().backward()
    for before, parameter in zip(plain, extractor.parameters(), strict=True):
        assert before is not None
        torch.testing.assert_close(parameter.grad, before, rtol=1e-3, atol=1e-3)


def test_a_bundle_gives_the_same_logits_again(
    narrow: Callable[..., FeatureExtractor],
    make_pixels: Callable[..., NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    classifier = classifier_on(narrow(flatten=True), head="flatten")
    save_bundle(classifier, tmp_path / "model", data_digest="x")
    again = load_bundle(tmp_path / "model")
    assert again.architecture.backbone == "keras_resnet50"
    pixels = make_pixels(3, size_px=50)
    expected, found = (
        Predictor(each, device=torch.device("cpu")).logits(pixels) for each in (classifier, again)
    )
    assert np.array_equal(expected, found)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"depth": 50}, "unexpected keyword argument 'depth'"),
        ({"blocks": [1, 2]}, r"blocks \[1, 2\] and widths .* do not go together"),
        ({"blocks": [1, 1, 1, 0]}, "do not go together"),
        ({"widths": [4, 4, 8]}, "do not go together"),
        ({"global_pool": "max"}, "global_pool is 'max'"),
    ],
)
def test_arguments_that_do_not_suit_are_refused(args: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        create_extractor("keras_resnet50", args=args, stages=0, power=1.0)
