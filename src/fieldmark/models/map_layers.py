"""Where a network still has places: the layers from whose maps an explanation is drawn.

In: a `FeatureExtractor` and the size of its photos. Out: `MapLayer`s, which together are all that
the head hears of the photo.
Of a convolutional network that is the last maps before they are pooled (of ResNets timm's "layer4"
or Keras' last block, of MobileNets and EfficientNets what is left before the pooling, of ConvNeXt
its last stage) and, where `model.stages` pools earlier stages too, the outputs of these. Of a
vision transformer it is the patches as the last block's attention reads them ("norm1") and as they
leave the network ("norm"): behind these a class token no longer listens to any place.
Not covered: what the places say (see `explain`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fieldmark.base.errors import RunError
from fieldmark.models.extractor import FeatureExtractor

Kind = Literal["channels first", "channels last", "tokens"]
MIN_SIDE = 4
"""Maps of fewer places a side name hardly any place, so an earlier stage is taken. On a ResNet with
2 x 2 places (photos of 50 pixels), greying the fifth of a photo that they point at cost the answer
little more than greying any fifth; with the stage before, twice as much (docs/explain.md)."""
ALL_STAGES = 99
"""More than any network has: our own networks take it for all of them."""

# Legend for shape suffixes: N photos, C channels, H height, W width, L tokens.


@dataclass(frozen=True, slots=True, kw_only=True)
class MapLayer:
    """A module of the backbone whose output has a value for each place of the photo."""

    name: str
    """Of the module, as in the layer table."""
    kind: Kind
    height: int
    """Places from top to bottom."""
    width: int
    """Places from left to right."""
    num_prefix: int = 0
    """Tokens that stand before those of the places, such as the class token."""


def map_layers(extractor: FeatureExtractor, *, size_px: int) -> tuple[MapLayer, ...]:
    """Return the layers of which an explanation is made, from input to output.

    Found by running blank and noisy photos of `size_px` pixels square; the extractor is not
    changed, but must be in evaluation mode.

    Raises:
        RunError: the network has no such layers that can be recognised.
    """
    run = _run_blank(extractor, size_px=size_px)
    if _has_tokens(extractor.backbone):
        return _of_tokens(extractor, run)
    candidates = _stages(run, layout=_layout(extractor.backbone))
    pooled = candidates[-_num_pooled(run, stages=extractor.stages) :]
    for place in range(_fine_enough(candidates), len(candidates)):
        earlier = [layer for layer in pooled if layer in candidates[:place]]
        layers = (*earlier, candidates[place])
        if _decide_all(extractor, layers, size_px=size_px):
            return layers
    raise RunError(
        "This backbone has no maps that can be recognised and that all the rest is made of, so "
        "there is nothing to draw. ResNets, MobileNets, EfficientNets, ConvNeXts and vision "
        "transformers have them."
    )


@dataclass(slots=True)
class _Run:
    """What a blank photo met: each module's output in order, and the outputs of the stages."""

    outputs: list[tuple[str, Tensor]]
    stages: Sequence[Tensor]


def _num_pooled(run: _Run, *, stages: int) -> int:
    """Return of how many layers the head is told: the last maps, and the stages beside them."""
    if not (stages and run.stages):
        return 1
    *others, last = run.stages
    return 1 + sum(stage is not last for stage in others[-stages:])


def _run_blank(extractor: FeatureExtractor, *, size_px: int) -> _Run:
    outputs: list[tuple[str, Tensor]] = []

    def recorder(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                outputs.append((name, output))

        return hook

    backbone: Any = extractor.backbone
    named = [(name, module) for name, module in backbone.named_modules() if name]
    handles = [module.register_forward_hook(recorder(name)) for name, module in named]
    parameter = next(extractor.parameters())
    blank = torch.zeros(1, 3, size_px, size_px, device=parameter.device, dtype=parameter.dtype)
    try:
        with torch.no_grad():
            extractor(blank)
            if _has_tokens(backbone) or not hasattr(backbone, "forward_intermediates"):
                return _Run(outputs=outputs, stages=())
            outputs.clear()
            last, stages = backbone.forward_intermediates(blank, indices=_num_stages(backbone))
    finally:
        for handle in handles:
            handle.remove()
    return _Run(outputs=outputs, stages=[*stages, last])


def _num_stages(backbone: Any) -> int:
    told = getattr(backbone, "feature_info", None)
    return len(told) if told is not None else ALL_STAGES


def _layout(backbone: nn.Module) -> Kind:
    told = str(getattr(backbone, "output_fmt", "NCHW"))
    return "channels last" if told.endswith("NHWC") else "channels first"


def _stages(run: _Run, *, layout: Kind) -> list[MapLayer]:
    """Return the stages' modules, the last maps among them; without stages, the last maps alone."""
    found: list[MapLayer] = []
    maps = [(name, output) for name, output in run.outputs if output.ndim == 4]
    if not run.stages:
        places = [_map_layer(name, output, layout=layout) for name, output in maps]
        return [layer for layer in places if min(layer.height, layer.width) > 1][-1:]
    for stage in run.stages:
        names = [name for name, output in maps if output is stage]
        if names:
            # The outermost module, and the last of these: what is done in place is done by then.
            name = min(reversed(names), key=lambda name: name.count("."))
            layer = _map_layer(name, stage, layout=layout)
            found.extend([layer] if layer not in found else [])
    return found


def _decide_all(extractor: FeatureExtractor, layers: Sequence[MapLayer], *, size_px: int) -> bool:
    """Return whether nothing of the photo reaches the features but through these layers.

    With their outputs put in from another photo, the features are those of that other photo.
    """
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        kept.append(output.clone())

    def put_in(_module: nn.Module, _inputs: Any, _output: Tensor) -> Tensor:
        return kept.pop(0)

    generator, parameter = torch.Generator().manual_seed(0), next(extractor.parameters())
    noise_NCHW = torch.randn(2, 3, size_px, size_px, generator=generator).to(parameter)
    features = []
    for photo_CHW, hook in zip(noise_NCHW, (keep, put_in), strict=True):
        modules = [extractor.backbone.get_submodule(layer.name) for layer in layers]
        handles = [module.register_forward_hook(hook) for module in modules]
        try:
            with torch.no_grad():
                features.append(extractor(photo_CHW[None]))
        finally:
            for handle in handles:
                handle.remove()
    first, second = features
    return torch.allclose(first, second, rtol=1e-4, equal_nan=True)


def _map_layer(name: str, output: Tensor, *, layout: Kind) -> MapLayer:
    height, width = output.shape[2:] if layout == "channels first" else output.shape[1:3]
    return MapLayer(name=name, kind=layout, height=height, width=width)


def _fine_enough(candidates: Sequence[MapLayer]) -> int:
    """Return the index of the last layer with enough places, or of the first with most of them."""
    sides = [min(layer.height, layer.width) for layer in candidates] or [0]
    fine = [index for index, side in enumerate(sides) if side >= MIN_SIDE]
    return fine[-1] if fine else sides.index(max(sides))


def _has_tokens(backbone: nn.Module) -> bool:
    blocks = getattr(backbone, "blocks", None)
    return hasattr(backbone, "num_prefix_tokens") and isinstance(
        blocks, nn.Sequential | nn.ModuleList
    )


def _of_tokens(extractor: FeatureExtractor, run: _Run) -> tuple[MapLayer, ...]:
    backbone: Any = extractor.backbone
    num_blocks, num_prefix = len(backbone.blocks), int(backbone.num_prefix_tokens)
    pooled = [f"blocks.{index}" for index in range(num_blocks - extractor.stages, num_blocks)]
    wanted = {*pooled, f"blocks.{num_blocks - 1}.norm1", "norm"}
    found = []
    for name, output in run.outputs:
        if name not in wanted or output.ndim != 3:
            continue
        side = isqrt(max(0, output.shape[1] - num_prefix))
        if side and side * side == output.shape[1] - num_prefix:
            layer = MapLayer(
                name=name, kind="tokens", height=side, width=side, num_prefix=num_prefix
            )
            found.append(layer)
    if not found:
        raise RunError(
            "The tokens of this backbone cannot be laid out as a square, so there is nothing to "
            "draw. Convolutional networks and plain vision transformers can be explained."
        )
    return tuple(found)
