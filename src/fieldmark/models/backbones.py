"""Backbones: the networks that turn a photo into features, timm's and our own.

In: a `ModelConfig`. Out: a `BackboneSpec` (what to build, from which weights, for which input) and
the network itself as a `FeatureExtractor`.
Not covered: which names there are (see `names`), fetching and reading weights (see `published`,
`weights`, `keras_weights`), what features are (see `extractor`) and the head (see `classifier`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import timm
from torch import nn

from fieldmark.base.errors import RecipeError, WeightsError
from fieldmark.models.extractor import FeatureExtractor
from fieldmark.models.heads import HEADS
from fieldmark.models.keras_weights import KERAS_SUFFIXES, load_keras_into, require_h5py
from fieldmark.models.names import known_of, untagged
from fieldmark.models.own_networks import OWN_NETWORKS
from fieldmark.models.published import published_weights
from fieldmark.models.randomness import seeded
from fieldmark.models.weights import (
    SAFETENSORS,
    WeightsFile,
    load_into,
    read_folder_config,
    table_of,
    weights_file,
)

DEFAULT_BACKBONE = "resnet50"
DEFAULT_SIZE_PX = 224
NO_CLASSIFIER = {"num_classes": 0}
"""timm's way of asking for a network without its classifier: pooled features come out."""
UNPOOLED = {"global_pool": ""}
"""timm's way of asking for the maps as they are before pooling."""
CHOICES = {"head": HEADS, "precision": ("auto", "float32", "bfloat16")}
RESERVED_ARGS = (
    "num_classes",
    "in_chans",
    "features_only",
    "out_indices",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "checkpoint_path",
    "cache_dir",
)
"""Constructor arguments that are not for the recipe, nor for a bundle from elsewhere: what comes
out of the network, and where its weights come from, is settled here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The recipe's `[model]` section."""

    backbone: str = "auto"
    """Any timm name, or one of `own_networks`; "auto" is what the weights folder says it is, or
    else resnet50."""
    weights: str = "auto"
    """"auto" (the published ones), "none" (random), a folder, a .safetensors file, or for Keras'
    networks a file of Keras."""
    head: str = "linear"
    """"linear": one dense layer on pooled features; "flatten": one on the unpooled maps; "cosine":
    the angle to one direction a class, which is learned by training, not by the probe."""
    stages: int = 0
    """How many stages from the end stand beside the last features, pooled: 0 to 3."""
    feature_power: float = 1.0
    """Each feature x becomes sign(x) |x|^power; 0.5 evens out features that are mostly near 0."""
    precision: str = "auto"
    """"auto", "float32" or "bfloat16": in what the network predicts; "auto" is measured."""
    backbone_args: Mapping[str, Any] = field(default_factory=dict)
    """Arguments handed to the constructor of the backbone, such as its widths."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, allowed in CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise RecipeError(f"model.{name} is '{value}'; allowed: {', '.join(allowed)}.")
        if not 0 <= self.stages <= 3:
            raise RecipeError(f"model.stages is {self.stages}; allowed: 0 to 3.")
        if self.head == "flatten" and self.stages:
            raise RecipeError(
                f"model.head 'flatten' takes unpooled maps, and model.stages {self.stages} adds "
                "pooled ones. Set model.stages to 0, or model.head to linear."
            )
        if not 0 < self.feature_power <= 1:
            raise RecipeError(
                f"model.feature_power is {self.feature_power}; allowed: over 0, up to 1."
            )
        _check_args(self.backbone_args)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A backbone to build: its name and arguments, the weights, and the input they expect."""

    name: str
    args: Mapping[str, Any]
    stages: int
    feature_power: float
    head: str
    weights: WeightsFile | None
    size_px: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    classifier_names: tuple[str, ...]
    reasons: Mapping[str, str]


def resolve_backbone(config: ModelConfig) -> BackboneSpec:
    """Decide what to build and find its weights, downloading them if need be.

    Raises:
        RecipeError: there is no such backbone, or an argument is not for the recipe.
        WeightsError: the weights cannot be found, reached or read.
    """
    if config.weights == "auto":
        name = _asked_name(config)
        return _spec(config, name=name, weights=published_weights(name))
    if config.weights == "none":
        return _spec(config, name=_asked_name(config), weights=None)
    path = Path(config.weights).expanduser()
    if path.is_dir():
        return _spec_from_folder(config, path)
    return _spec_from_file(config, path)


def build_backbone(spec: BackboneSpec, *, seed: int) -> FeatureExtractor:
    """Build the network of a spec and load its weights, every tensor checked.

    Without weights the start is random, drawn with `seed`.

    Raises:
        RecipeError: the arguments do not suit the backbone.
        WeightsError: the file does not cover the backbone exactly.
    """
    extractor = create_extractor(
        spec.name,
        args=spec.args,
        stages=spec.stages,
        power=spec.feature_power,
        flatten=spec.head == "flatten",
        seed=seed,
    )
    backbone, file = extractor.backbone, spec.weights
    if file is not None and file.path.suffix.lower() in KERAS_SUFFIXES:
        load_keras_into(backbone, file=file, backbone=spec.name)
    elif file is not None:
        load_into(backbone, file=file, backbone=spec.name, head_names=spec.classifier_names)
    return extractor


def create_extractor(
    name: str,
    *,
    args: Mapping[str, Any],
    stages: int,
    power: float,
    flatten: bool = False,
    seed: int = 0,
) -> FeatureExtractor:
    """Build a backbone with random weights, drawn with `seed`.

    Raises:
        RecipeError: there is no such backbone, or it refuses the arguments, or to leave out the
            pooling where `flatten` is asked for.
    """
    known_of(name)
    _check_args(args)
    settled = {**NO_CLASSIFIER, **UNPOOLED} if flatten else NO_CLASSIFIER
    try:
        with seeded(seed):
            backbone = _built(name, {**args, **settled})
    except Exception as error:  # a constructor may raise anything on arguments that do not suit
        unpooled = " without its pooling, as model.head 'flatten' asks," if flatten else ""
        raise RecipeError(
            f"The backbone '{name}' cannot be built{unpooled} with model.backbone_args "
            f"{dict(args)}: {str(error).rstrip('.')}."
        ) from error
    if stages and not hasattr(backbone, "forward_intermediates"):
        raise RecipeError(
            f"The backbone '{name}' does not give its stages' outputs; set model.stages to 0."
        )
    return FeatureExtractor(backbone, stages=stages, power=power, flatten=flatten)


def _built(name: str, args: Mapping[str, Any]) -> nn.Module:
    if name in OWN_NETWORKS:
        return OWN_NETWORKS[name].build(**args)
    return timm.create_model(name, pretrained=False, **args)  # type: ignore[no-any-return]


def _asked_name(config: ModelConfig) -> str:
    return DEFAULT_BACKBONE if config.backbone == "auto" else config.backbone


def _spec_from_file(config: ModelConfig, path: Path) -> BackboneSpec:
    name = _asked_name(config)
    own = OWN_NETWORKS.get(name)
    spec = _spec(config, name=name, weights=None)
    suffixes = own.weights_suffixes if own is not None else (SAFETENSORS,)
    file = weights_file(path, suffixes=suffixes)
    if path.suffix.lower() in KERAS_SUFFIXES:
        require_h5py(path)
    return replace(spec, weights=file)


def _spec_from_folder(config: ModelConfig, folder: Path) -> BackboneSpec:
    path = folder / "config.json"
    content = read_folder_config(path)
    name = content["architecture"]
    args = dict(table_of(content, "model_args", path=path))
    # The classifier of the file is left aside, whatever the number of its classes.
    args.pop("num_classes", None)
    try:
        pretrained = {**known_of(name), **table_of(content, "pretrained_cfg", path=path)}
        _check_args(args)
    except RecipeError as error:
        raise WeightsError(f"{path} describes no backbone that can be used: {error}") from error
    if config.backbone != "auto" and untagged(config.backbone) != untagged(name):
        raise WeightsError(
            f"The weights in {folder} are of '{name}', and --backbone asks for "
            f"'{config.backbone}'. Leave --backbone out, or give weights of that backbone."
        )
    return _spec(
        config,
        name=name,
        weights=weights_file(folder / "model.safetensors"),
        pretrained=pretrained,
        args={**args, **config.backbone_args},
        reason=f"named by {path}",
    )


def _spec(
    config: ModelConfig,
    *,
    name: str,
    weights: WeightsFile | None,
    pretrained: Mapping[str, Any] | None = None,
    args: Mapping[str, Any] | None = None,
    reason: str = "the default",
) -> BackboneSpec:
    pretrained = known_of(name) if pretrained is None else pretrained
    classifier = pretrained.get("classifier") or ()
    try:
        size_px = int(pretrained.get("input_size", (3, DEFAULT_SIZE_PX))[-1])
        mean, std = _triple(pretrained.get("mean")), _triple(pretrained.get("std"))
    except (TypeError, ValueError, LookupError) as error:
        raise WeightsError(f"What '{name}' expects as input is not valid: {error}.") from error
    return BackboneSpec(
        name=name,
        args=dict(config.backbone_args if args is None else args),
        stages=config.stages,
        feature_power=config.feature_power,
        head=config.head,
        weights=weights,
        size_px=size_px,
        interpolation=str(pretrained.get("interpolation") or "bicubic"),
        mean=mean,
        std=std,
        classifier_names=(classifier,) if isinstance(classifier, str) else tuple(classifier),
        reasons={"model.backbone": reason} if config.backbone == "auto" else {},
    )


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (0.5, 0.5, 0.5) if values is None else map(float, values)
    return (red, green, blue)


def _check_args(args: Mapping[str, Any]) -> None:
    if reserved := [name for name in args if name in RESERVED_ARGS]:
        raise RecipeError(
            f"model.backbone_args.{reserved[0]} is not allowed: Fieldmark settles it itself. "
            "Leave it out."
        )
