"""Our own networks stand beside timm's and are used in the same way."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from fieldmark.base.errors import RecipeError, WeightsError
from fieldmark.data.preprocess import Preprocess
from fieldmark.models.backbones import (
    ModelConfig,
    build_backbone,
    create_extractor,
    resolve_backbone,
)
from fieldmark.models.classifier import Architecture, new_classifier
from fieldmark.models.names import known_of
from fieldmark.models.own_networks import OWN_NETWORKS

NARROW = {"blocks": (1, 1, 1, 1), "widths": (4, 4, 8, 8)}


def test_no_own_network_hides_one_of_timms() -> None:
    assert OWN_NETWORKS
    assert not any(timm.is_model(name) for name in OWN_NETWORKS)


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_an_own_network_pools_or_does_not_as_it_is_asked(name: str) -> None:
    images_NCHW = torch.zeros(1, 3, 64, 64, device="meta")
    with torch.device("meta"):
        pooled = OWN_NETWORKS[name].build(num_classes=0).eval()
        unpooled = OWN_NETWORKS[name].build(num_classes=0, global_pool="").eval()
    assert pooled(images_NCHW).ndim == 2
    assert unpooled(images_NCHW).ndim == 4
    assert pooled(images_NCHW).shape[1] == unpooled(images_NCHW).shape[1]


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_what_is_known_of_an_own_network_becomes_its_spec(name: str) -> None:
    spec = resolve_backbone(ModelConfig(backbone=name, weights="none"))
    own = OWN_NETWORKS[name]
    assert (spec.name, spec.weights) == (name, None)
    assert (spec.size_px, spec.mean, spec.std) == (own.size_px, own.mean, own.std)
    assert spec.interpolation == own.interpolation


def test_keras_networks_take_pixels_over_255() -> None:
    spec = resolve_backbone(ModelConfig(backbone="keras_resnet50", weights="none"))
    assert (spec.size_px, spec.interpolation) == (224, "bilinear")
    assert (spec.mean, spec.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize("asked", ["keras_resnet5", "kerasresnet50", "keras-resnet50"])
def test_a_misspelt_own_network_is_recognised(asked: str) -> None:
    with pytest.raises(RecipeError, match=rf"no backbone '{asked}'. Did you mean 'keras_resnet50'"):
        resolve_backbone(ModelConfig(backbone=asked, weights="none"))


def test_the_refusal_names_our_own_networks() -> None:
    with pytest.raises(RecipeError) as caught:
        known_of("no_such_thing_at_all")
    assert all(name in str(caught.value) for name in OWN_NETWORKS)


def test_a_tag_of_weights_that_are_not_there_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"'keras_resnet50\.v2'\. Allowed: keras_resnet50 alone"):
        resolve_backbone(ModelConfig(backbone="keras_resnet50.v2"))


def test_an_own_network_loads_safetensors_tensor_by_tensor(tmp_path: Path) -> None:
    source = create_extractor("keras_resnet50", args=NARROW, stages=0, power=1.0, seed=1)
    save_file(source.backbone.state_dict(), tmp_path / "model.safetensors")
    config = ModelConfig(
        backbone="keras_resnet50",
        backbone_args=NARROW,
        weights=str(tmp_path / "model.safetensors"),
    )
    loaded = build_backbone(resolve_backbone(config), seed=2).backbone.state_dict()
    for name, value in source.backbone.state_dict().items():
        assert torch.equal(loaded[name], value), name


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".hdf5"])
def test_a_file_of_keras_is_refused_for_a_network_of_timm(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"x")
    with pytest.raises(WeightsError, match="such as --backbone keras_resnet50"):
        resolve_backbone(ModelConfig(backbone="resnet50", weights=str(path)))


@pytest.fixture
def start_head() -> Callable[..., torch.nn.Linear]:
    """Return a function that puts a new head on a narrow network."""

    def start(name: str, *, args: dict[str, Any], seed: int = 0) -> torch.nn.Linear:
        return new_classifier(
            create_extractor(name, args=args, stages=0, power=1.0),
            architecture=Architecture(
                backbone=name,
                backbone_args=args,
                stages=0,
                feature_power=1.0,
                precision="float32",
            ),
            preprocess=Preprocess(size_px=64),
            classes=tuple(map(str, range(200))),
            generator=torch.Generator().manual_seed(seed),
        ).network.head

    return start


def test_a_head_on_keras_network_starts_glorot_uniform_with_zero_bias(
    start_head: Callable[..., torch.nn.Linear],
) -> None:
    head = start_head("keras_resnet50", args=NARROW)
    limit = math.sqrt(6 / (32 + 200))
    assert 0.99 * limit < float(head.weight.detach().abs().max()) <= limit
    # Of a uniform distribution: its standard deviation is the limit over the root of 3.
    assert float(head.weight.detach().std()) == pytest.approx(limit / math.sqrt(3), rel=0.02)
    assert not head.bias.any()
    assert torch.equal(head.weight, start_head("keras_resnet50", args=NARROW).weight)
    assert not torch.equal(head.weight, start_head("keras_resnet50", args=NARROW, seed=1).weight)


def test_a_head_on_a_network_of_timm_starts_small_and_normal(
    start_head: Callable[..., torch.nn.Linear],
) -> None:
    head = start_head("resnet18", args={"layers": [1] * 4, "channels": [8, 8, 16, 16]})
    assert float(head.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert float(head.weight.detach().abs().max()) > 0.03
