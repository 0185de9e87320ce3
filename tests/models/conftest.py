"""Small networks with weights that matter, photos to run them on, and no way to the network."""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from fieldmark.data.preprocess import Preprocess
from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Architecture, Classifier, new_classifier
from fieldmark.models.extractor import FeatureExtractor

TINY_RESNET = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's cache out of it, and turn any request into a failure."""

    def refuse(*_: object) -> None:
        raise AssertionError("a test asked for the network")

    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Keras on top of torch, whose networks and files are what ours are held against."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        import keras
    return keras


@pytest.fixture
def scramble() -> Callable[[nn.Module], None]:
    """Return a function that gives every normalisation statistics and factors of its own.

    In a fresh network they are zeros and ones, and those of its residual branches all zeros, so
    that nothing computed from it would prove anything.
    """
    return _scramble


@pytest.fixture
def make_extractor() -> Callable[..., FeatureExtractor]:
    """Return a function that builds a backbone, a tiny ResNet where none is named."""
    return _extractor


@pytest.fixture
def make_classifier() -> Callable[..., Classifier]:
    """Return a function that builds a classifier on such a backbone."""

    def make(
        *,
        size_px: int = 32,
        precision: str = "float32",
        classes: tuple[str, ...] = ("cat", "dog", "owl"),
        preprocess: Preprocess | None = None,
        head: str = "linear",
        views: int = 1,
        **backbone: Any,
    ) -> Classifier:
        extractor = _extractor(flatten=head == "flatten", **backbone)
        architecture = Architecture(
            backbone=backbone.get("name", "resnet18"),
            backbone_args=backbone.get("args", TINY_RESNET),
            stages=extractor.stages,
            feature_power=extractor.power,
            precision=precision,
            head=head,
            views=views,
        )
        classifier = new_classifier(
            extractor,
            architecture=architecture,
            preprocess=preprocess or Preprocess(size_px=size_px, mean=(0.5,) * 3, std=(0.25,) * 3),
            classes=classes,
            generator=torch.Generator().manual_seed(1),
        )
        with torch.no_grad():
            classifier.network.head.weight.mul_(20)
            if classifier.network.head.bias is not None:
                classifier.network.head.bias.copy_(torch.linspace(-1, 1, len(classes)))
        return classifier

    return make


@pytest.fixture
def make_pixels() -> Callable[..., NDArray[np.uint8]]:
    """Return a function that draws photos: uint8 of (N, S, S, 3)."""

    def make(num_photos: int, *, size_px: int = 32, seed: int = 0) -> NDArray[np.uint8]:
        shape = (num_photos, size_px, size_px, 3)
        return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

    return make


def _extractor(
    *,
    name: str = "resnet18",
    args: Mapping[str, Any] = TINY_RESNET,
    stages: int = 0,
    power: float = 1.0,
    flatten: bool = False,
    seed: int = 0,
) -> FeatureExtractor:
    extractor = create_extractor(
        name, args=args, stages=stages, power=power, flatten=flatten, seed=seed
    )
    _scramble(extractor)
    return extractor


def _scramble(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
