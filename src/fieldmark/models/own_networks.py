"""The networks that are Fieldmark's own: those that timm does not have.

In: a name. Out: how it is built, what input it expects, and where its weights are published.
They are asked for before timm's, by the same arguments (`num_classes`, `global_pool`), and give
what timm's give (see `extractor`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from fieldmark.models.keras_resnet import keras_resnet50, keras_resnet101, keras_resnet152
from fieldmark.models.keras_weights import KERAS_SUFFIXES
from fieldmark.models.plain_resnet import plain18, plain34
from fieldmark.models.weights import SAFETENSORS

HeadStart = Literal["normal", "glorot"]
"""normal: from a normal distribution, as `classifier` says. glorot: from a uniform one within
sqrt(6 / (features + classes)) (Glorot and Bengio 2010, equation 16), as Keras starts dense layers.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file by its name, and the MD5 sum by which its publisher lets it be verified."""

    name: str
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNetwork:
    """One network, and what has to be known to use it."""

    build: Callable[..., nn.Module]
    """Takes timm's arguments; raises anything on those that do not suit."""
    size_px: int = 224
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of each channel on a scale of 0 to 1, as in `data.preprocess`."""
    interpolation: str = "bilinear"
    head_start: HeadStart = "normal"
    """How the weights of a new head on it start."""
    published: tuple[PublishedFile, ...] = ()
    """Files with its weights, any of which will do; the first is what is downloaded. None: there
    are no published weights."""
    weights_suffixes: tuple[str, ...] = (SAFETENSORS,)
    """Of the files that its weights may be read from."""


def _of_keras(build: Callable[..., nn.Module], *published: PublishedFile) -> OwnNetwork:
    return OwnNetwork(
        build=build,
        head_start="glorot",
        published=published,
        weights_suffixes=(*KERAS_SUFFIXES, SAFETENSORS),
    )


def _without_shortcuts(build: Callable[..., nn.Module]) -> OwnNetwork:
    # The input of timm's resnet18 and resnet34, so that the shortcuts are all that differs.
    return OwnNetwork(
        build=build,
        mean=IMAGENET_DEFAULT_MEAN,
        std=IMAGENET_DEFAULT_STD,
        interpolation="bicubic",
    )


# Names and MD5 sums are those that keras.applications.resnet downloads by.
OWN_NETWORKS: Mapping[str, OwnNetwork] = MappingProxyType(
    {
        "keras_resnet50": _of_keras(
            keras_resnet50,
            PublishedFile(
                name="resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
                md5="4d473c1dd8becc155b73f8504c6f6626",
            ),
            PublishedFile(
                name="resnet50_weights_tf_dim_ordering_tf_kernels.h5",
                md5="2cb95161c43110f7111970584f804107",
            ),
        ),
        "keras_resnet101": _of_keras(
            keras_resnet101,
            PublishedFile(
                name="resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
                md5="88cf7a10940856eca736dc7b7e228a21",
            ),
            PublishedFile(
                name="resnet101_weights_tf_dim_ordering_tf_kernels.h5",
                md5="f1aeb4b969a6efcfb50fad2f0c20cfc5",
            ),
        ),
        "keras_resnet152": _of_keras(
            keras_resnet152,
            PublishedFile(
                name="resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
                md5="ee4c566cf9a93f14d82f913c2dc6dd0c",
            ),
            PublishedFile(
                name="resnet152_weights_tf_dim_ordering_tf_kernels.h5",
                md5="100835be76be38e30d865e96f2aaae62",
            ),
        ),
        "plain18": _without_shortcuts(plain18),
        "plain34": _without_shortcuts(plain34),
    }
)
