"""The classifier: preprocessing, backbone, head and class names as one thing.

In: a backbone and the names of the classes. Out: logits for photos.
Training, evaluation, prediction, export and serving take preprocessing and class names from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.data.preprocess import Preprocess
from fieldmark.models.backbones import FeatureExtractor, num_features

# Legend for shape suffixes: N photos, C classes, F features; NCHW has 3 channels.


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What must be known to build the network again without its weights."""

    backbone: str
    backbone_args: Mapping[str, Any]
    stages: int
    feature_power: float
    precision: str
    """"float32" or "bfloat16": in what the network computes when it predicts."""


class Network(nn.Module):
    """Features and the linear head on top of them; takes normalised images, gives logits."""

    def __init__(self, extractor: FeatureExtractor, *, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.extractor = extractor
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits_NC of normalised images."""
        return self.head(self.extractor(images_NCHW))  # type: ignore[no-any-return]


@dataclass(slots=True, kw_only=True)
class Classifier:
    """A network with the preprocessing that it expects and the classes that it tells apart."""

    network: Network
    architecture: Architecture
    preprocess: Preprocess
    classes: tuple[str, ...]


def new_classifier(
    extractor: FeatureExtractor,
    *,
    architecture: Architecture,
    preprocess: Preprocess,
    classes: tuple[str, ...],
    generator: torch.Generator,
) -> Classifier:
    """Put a fresh head on a backbone.

    The head's weights are drawn from a normal distribution of standard deviation 0.01 with
    `generator`, its biases are zero, so that a new classifier starts close to indifferent.
    """
    width = num_features(extractor, size_px=preprocess.size_px)
    network = Network(extractor, num_features=width, num_classes=len(classes))
    nn.init.normal_(network.head.weight, std=0.01, generator=generator)
    nn.init.zeros_(network.head.bias)
    return Classifier(
        network=network, architecture=architecture, preprocess=preprocess, classes=classes
    )
