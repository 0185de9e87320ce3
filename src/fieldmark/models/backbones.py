"""Backbones: the networks that turn a photo into features, and the only door to timm.

In: a `ModelConfig`. Out: a `BackboneSpec` (what to build, from which weights, for which input) and
the network itself as a `FeatureExtractor`.
Not covered: reading weight files (see `weights`) and the head (see `classifier`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from fieldmark.base.errors import RecipeError, WeightsError, nearest_spelling
from fieldmark.models.weights import WeightsFile, load_into, locate_on_hub, weights_file

DEFAULT_BACKBONE = "resnet50"
FEATURE_ARGS = {"num_classes": 0}
"""timm's way of asking for a network without its classifier: pooled features come out."""

# Legend for shape suffixes: N photos, C channels, H height, W width, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The recipe's `[model]` section."""

    backbone: str = "auto"
    """Any timm name; "auto" is what the weights folder says it is, or else resnet50."""
    weights: str = "auto"
    """"auto" (timm's pretrained weights), "none" (random), a folder, or a .safetensors file."""
    head: str = "linear"
    """"linear": one dense layer on pooled features."""
    stages: int = 0
    """How many earlier stages' pooled outputs stand beside the last features, 0 to 3."""
    feature_power: float = 1.0
    """Each feature x becomes sign(x) |x|^power; 0.5 evens out features that are mostly near 0."""
    backbone_args: Mapping[str, Any] = field(default_factory=dict)
    """Arguments handed to timm's constructor of the backbone, such as its widths."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.head != "linear":
            raise RecipeError(f"model.head is '{self.head}'; allowed: linear.")
        if not 0 <= self.stages <= 3:
            raise RecipeError(f"model.stages is {self.stages}; allowed: 0 to 3.")
        if not 0 < self.feature_power <= 1:
            raise RecipeError(
                f"model.feature_power is {self.feature_power}; allowed: over 0, up to 1."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A backbone to build: its timm name and arguments, the weights, and the input they expect."""

    name: str
    args: Mapping[str, Any]
    stages: int
    feature_power: float
    weights: WeightsFile | None
    size_px: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    classifier_names: tuple[str, ...]
    reasons: Mapping[str, str]


class FeatureExtractor(nn.Module):
    """A backbone and the pooling that makes one row of features of a photo.

    With `stages` 0 the features are the backbone's own pooled ones. With more, the outputs of
    that many stages from the end, averaged over height and width, stand beside them: earlier
    stages keep texture and detail that the last one has given up for ImageNet's classes.
    A power below 1 is the signed power normalisation of Perronnin et al. 2010.
    """

    def __init__(self, backbone: nn.Module, *, stages: int, power: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.stages = stages
        self.power = power

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return features_NF of normalised images."""
        features_NF = self._pooled(images_NCHW)
        if self.power == 1:
            return features_NF
        return features_NF.sign() * features_NF.abs().pow(self.power)

    def _pooled(self, images_NCHW: Tensor) -> Tensor:
        if not self.stages:
            return self.backbone(images_NCHW)  # type: ignore[no-any-return]
        last, earlier = self.backbone.forward_intermediates(images_NCHW, indices=self.stages)
        pooled = self.backbone.forward_head(last, pre_logits=True)
        return torch.cat([pooled, *(stage.mean((2, 3)) for stage in reversed(earlier))], dim=1)


def resolve_backbone(config: ModelConfig) -> BackboneSpec:
    """Decide what to build and find its weights, downloading them if need be.

    Raises:
        RecipeError: timm knows no such backbone.
        WeightsError: the weights cannot be found, reached or read.
    """
    if config.weights == "auto":
        return _spec_from_hub(config)
    if config.weights == "none":
        name = DEFAULT_BACKBONE if config.backbone == "auto" else config.backbone
        return _spec(config, name=name, weights=None, pretrained=_pretrained_config(name))
    path = Path(config.weights).expanduser()
    if path.is_dir():
        return _spec_from_folder(config, path)
    name = DEFAULT_BACKBONE if config.backbone == "auto" else config.backbone
    weights = weights_file(path)
    return _spec(config, name=name, weights=weights, pretrained=_pretrained_config(name))


def build_backbone(spec: BackboneSpec, *, seed: int) -> FeatureExtractor:
    """Build the network of a spec and load its weights, every tensor checked.

    Without weights the start is random, drawn with `seed`.

    Raises:
        RecipeError: the arguments do not suit the backbone.
        WeightsError: the file does not cover the backbone exactly.
    """
    extractor = create_extractor(
        spec.name, args=spec.args, stages=spec.stages, power=spec.feature_power, seed=seed
    )
    if spec.weights is not None:
        load_into(
            extractor.backbone,
            file=spec.weights,
            backbone=spec.name,
            head_names=spec.classifier_names,
        )
    return extractor


def create_extractor(
    name: str, *, args: Mapping[str, Any], stages: int, power: float, seed: int = 0
) -> FeatureExtractor:
    """Build a backbone with random weights, drawn with `seed`.

    Raises:
        RecipeError: timm knows no such backbone, or refuses the arguments.
    """
    _check_name(name)
    try:
        # timm draws from the global generator; it is put back as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            backbone = timm.create_model(name, pretrained=False, **{**FEATURE_ARGS, **args})
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError(
            f"The backbone '{name}' cannot be built with model.backbone_args {dict(args)}: {error}."
        ) from error
    if stages and not hasattr(backbone, "forward_intermediates"):
        raise RecipeError(
            f"The backbone '{name}' does not give its stages' outputs; set model.stages to 0."
        )
    return FeatureExtractor(backbone, stages=stages, power=power)


def num_features(extractor: FeatureExtractor, *, size_px: int) -> int:
    """Return the number of features of a photo, found by running one blank photo."""
    was_training = extractor.training
    extractor.eval()
    with torch.no_grad():
        parameter = next(extractor.parameters())
        blank = torch.zeros(1, 3, size_px, size_px, device=parameter.device, dtype=parameter.dtype)
        count = extractor(blank).shape[1]
    extractor.train(was_training)
    return int(count)


def _spec_from_hub(config: ModelConfig) -> BackboneSpec:
    name = DEFAULT_BACKBONE if config.backbone == "auto" else config.backbone
    pretrained = _pretrained_config(name)
    repository = pretrained.get("hf_hub_id")
    if not repository:
        raise WeightsError(
            f"timm publishes no pretrained weights for '{name}'. Choose another --backbone, give "
            "a file or folder with --weights PATH, or start from random weights with "
            "--weights none."
        )
    file_name = pretrained.get("hf_hub_filename") or "model.safetensors"
    weights = locate_on_hub(str(repository), file_name=str(file_name), backbone=name)
    return _spec(config, name=name, weights=weights, pretrained=pretrained)


def _spec_from_folder(config: ModelConfig, folder: Path) -> BackboneSpec:
    content = _read_folder_config(folder / "config.json")
    name = str(content["architecture"])
    if config.backbone not in ("auto", name):
        raise WeightsError(
            f"The weights in {folder} are of '{name}', and --backbone asks for "
            f"'{config.backbone}'. Leave --backbone out, or give weights of that backbone."
        )
    pretrained = {**_pretrained_config(name), **content.get("pretrained_cfg", {})}
    args = {**content.get("model_args", {}), **config.backbone_args}
    weights = weights_file(folder / "model.safetensors")
    return _spec(config, name=name, weights=weights, pretrained=pretrained, args=args)


def _read_folder_config(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"{path.parent} has no config.json, so it is not a weights folder in timm's form "
            "(config.json and model.safetensors). Give such a folder or a .safetensors file."
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("architecture"), str):
        raise WeightsError(f"{path} names no architecture, so the backbone is not known.")
    return content


def _spec(
    config: ModelConfig,
    *,
    name: str,
    weights: WeightsFile | None,
    pretrained: Mapping[str, Any],
    args: Mapping[str, Any] | None = None,
) -> BackboneSpec:
    _check_name(name)
    classifier = pretrained.get("classifier") or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    reasons = {"model.backbone": f"{'the default' if weights is None else weights.source}"}
    mean, std = pretrained.get("mean"), pretrained.get("std")
    return BackboneSpec(
        name=name,
        args=dict(args if args is not None else config.backbone_args),
        stages=config.stages,
        feature_power=config.feature_power,
        weights=weights,
        size_px=int(pretrained.get("input_size", (3, 224, 224))[-1]),
        interpolation=str(pretrained.get("interpolation") or "bicubic"),
        mean=_triple(mean, default=0.5),
        std=_triple(std, default=0.5),
        classifier_names=names,
        reasons=reasons if config.backbone == "auto" else {},
    )


def _triple(values: Any, *, default: float) -> tuple[float, float, float]:
    if values is None:
        return (default, default, default)
    red, green, blue = (float(value) for value in values)
    return (red, green, blue)


def _pretrained_config(name: str) -> dict[str, Any]:
    _check_name(name)
    config = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    return dict(config.to_dict()) if config is not None else {}


def _check_name(name: str) -> None:
    architecture = name.split(".", maxsplit=1)[0]
    if not timm.is_model(architecture):
        hint = nearest_spelling(architecture, timm.list_models())
        raise RecipeError(
            f"There is no backbone '{name}'.{hint} Any timm name is allowed, "
            "such as resnet18, resnet50, mobilenetv2_100 or convnext_tiny."
        )
