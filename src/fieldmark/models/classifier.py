"""The classifier: preprocessing, backbone, head and class names as one thing.

In: a backbone and the names of the classes. Out: logits for photos.
Training, evaluation, prediction, export and serving take preprocessing and class names from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.familiar_space import FamiliarSpace
from fieldmark.models.extractor import FeatureExtractor, num_features
from fieldmark.models.heads import build_head
from fieldmark.models.own_networks import OWN_NETWORKS

HEAD_STD = 0.01
"""Of a new head's weights, as Krizhevsky et al. 2012 (section 5) start theirs."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""What a network may compute in."""

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
    head: str = "linear"
    """One of `heads.HEADS`."""
    views: int = 1
    """How many views of each photo are averaged when it predicts (see `data.views`)."""


class Network(nn.Module):
    """Features and the head on top of them; takes normalised images, gives logits.

    The head is all zeros until it is given weights.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        *,
        num_features: int,
        num_classes: int,
        head: str = "linear",
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.head = build_head(head, num_features=num_features, num_classes=num_classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits_NC of normalised images."""
        return self.head(self.extractor(images_NCHW))  # type: ignore[no-any-return]


@dataclass(slots=True, kw_only=True)
class Classifier:
    """A network with its preprocessing, the classes that it tells apart and how it decides."""

    network: Network
    architecture: Architecture
    preprocess: Preprocess
    classes: tuple[str, ...]
    decision: DecisionRule = field(default_factory=DecisionRule)
    familiar: FamiliarSpace | None = None
    """Where its classes lie among the features; None where its decision does not go by that."""

    @property
    def temperature(self) -> float:
        """What its logits are divided by before they become probabilities, over 0."""
        return self.decision.temperature


def new_classifier(
    extractor: FeatureExtractor,
    *,
    architecture: Architecture,
    preprocess: Preprocess,
    classes: tuple[str, ...],
    generator: torch.Generator,
) -> Classifier:
    """Put a fresh head on a backbone.

    The head's weights are drawn with `generator` from a normal distribution of standard deviation
    `HEAD_STD`, its biases are zero, so that a new classifier starts close to indifferent. On one of
    Keras' networks they are drawn as Keras draws them (`own_networks.HeadStart`). Of a cosine
    head's weights only the direction counts, which is then a random one for each class.

    Raises:
        RecipeError: the backbone does not take photos of the size that `preprocess` gives.
    """
    width = num_features(extractor, size_px=preprocess.size_px)
    network = Network(
        extractor, num_features=width, num_classes=len(classes), head=architecture.head
    )
    own = OWN_NETWORKS.get(architecture.backbone)
    if own is not None and own.head_start == "glorot":
        nn.init.xavier_uniform_(network.head.weight, generator=generator)
    else:
        nn.init.normal_(network.head.weight, std=HEAD_STD, generator=generator)
    return Classifier(
        network=network, architecture=architecture, preprocess=preprocess, classes=classes
    )
