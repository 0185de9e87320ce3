"""What a classifier looks at: for each place of a photo, what it adds to the logit of a class.

In: a `Classifier`, the pixels of a photo as the network sees them, classes. Out: signed maps, in
logits. Their positive part is what Grad-CAM (Selvaraju et al. 2017) shows.
Gradients are taken place by place (HiResCAM, Draelos and Carin 2020, equation 4) instead of being
averaged over the map first. Behind average pooling both are the same; for a head on flattened maps,
and at an earlier stage, only this keeps the places apart. For a linear head on pooled or flattened
last maps the mean of a map is the logit less the head's bias, exactly; so maps of several layers,
and of several views, add up.
Not covered: which layers these are (see `map_layers`), and drawing.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fieldmark.base.errors import RunError
from fieldmark.data.views import views
from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Classifier, new_classifier
from fieldmark.models.map_layers import MapLayer, map_layers

# Legend for shape suffixes: N photos, C channels, H height, W width, L tokens, S side of the
# photo, K classes asked for.


class Explainer:
    """A classifier made ready to say what it looks at, in float32; also for several threads.

    The network is a copy and is run as it is, its parts and its pooling untouched: only the outputs
    of `layers` are cut off from what comes before them.
    """

    def __init__(self, classifier: Classifier, *, device: torch.device) -> None:
        """Find the layers that tell of places.

        Raises:
            RunError: the backbone has none that can be recognised.
        """
        network = copy.deepcopy(classifier.network).to(device).float().eval()
        self._network = network.requires_grad_(requires_grad=False)
        self._preprocess = classifier.preprocess
        self._num_views = classifier.architecture.views
        self._device = device
        size_px = classifier.preprocess.size_px
        self._layers = map_layers(network.extractor, size_px=size_px)
        self._cuts = _Cuts(network.extractor.backbone, self._layers)
        self._layers = self._listened_to(size_px)

    @property
    def layers(self) -> tuple[MapLayer, ...]:
        """The layers whose maps are summed, from input to output."""
        return self._layers

    def maps(self, pixels_SSC: NDArray[np.uint8], *, classes: Sequence[int]) -> NDArray[np.float32]:
        """Return maps_KHW (float32): what each place adds to the logit of each class asked for.

        H and W are those of the finest of `layers`. The unit is that of a logit: the mean over all
        places is what they add together. Negative values speak against the class.

        Args:
            pixels_SSC: uint8, as `Preprocess.to_pixels` gives them.
            classes: indices of classes.
        """
        total: Tensor | None = None
        found = self._gradients(
            pixels_SSC, scores=lambda logits_C: [logits_C[index] for index in classes]
        )
        for leaf, gradients in found:
            maps_KHW = torch.stack([_density(leaf, gradient) for gradient in gradients])
            maps_KHW = _undo_view(maps_KHW, leaf.view)
            resized_KHW = interpolate(maps_KHW[:, None], self._size, mode="bilinear")[:, 0]
            total = resized_KHW if total is None else total + resized_KHW
        assert total is not None
        result_KHW: NDArray[np.float32] = total.cpu().numpy()
        return result_KHW

    @property
    def _size(self) -> tuple[int, int]:
        """The height and width of the finest layer."""
        finest = max(self._layers, key=lambda layer: layer.height * layer.width)
        return finest.height, finest.width

    def _gradients(
        self, pixels_SSC: NDArray[np.uint8], *, scores: Callable[[Tensor], list[Tensor]]
    ) -> list[tuple["_Leaf", list[Tensor]]]:
        """Return, for each layer and view, the gradients of what `scores` makes of the logits."""
        photo_NCHW = torch.from_numpy(pixels_SSC.copy()).permute(2, 0, 1)[None].to(self._device)
        normalised_NCHW = self._preprocess.normalise(photo_NCHW)
        extractor = self._network.extractor
        with torch.enable_grad(), self._cuts.at(self._layers) as leaves:
            features = []
            for index, view_NCHW in enumerate(views(normalised_NCHW, self._num_views)):
                leaves.view = index
                features.append(extractor(view_NCHW))
            asked = scores(self._network.head(torch.stack(features).mean(0))[0])
        tensors = [leaf.output for leaf in leaves.found]
        by_score = [
            torch.autograd.grad(score, tensors, retain_graph=True, allow_unused=True)
            for score in asked
        ]
        return [
            (leaf, [_finite(of_score[index], leaf.output) for of_score in by_score])
            for index, leaf in enumerate(leaves.found)
        ]

    def _listened_to(self, size_px: int) -> tuple[MapLayer, ...]:
        """Return the layers whose places reach the head; a class token may be all that does."""
        noise = np.random.default_rng(0).integers(0, 256, (size_px, size_px, 3), dtype=np.uint8)
        # Any sum that treats no two classes alike: one gradient, however many classes there are.
        weights_C = torch.linspace(1, 2, self._network.head.out_features, device=self._device)
        reached = {
            leaf.layer.name
            for leaf, (gradient,) in self._gradients(
                noise, scores=lambda logits_C: [logits_C @ weights_C]
            )
            if gradient.any()
        }
        if not reached:
            raise RunError(
                "No place of a photo reaches this network's head by a layer that can be "
                "recognised, so there is nothing to draw."
            )
        return tuple(layer for layer in self._layers if layer.name in reached)


def randomised(classifier: Classifier, *, seed: int) -> Classifier:
    """Return a classifier of the same architecture that has learned nothing: random weights.

    An explanation that stays the same for it does not show what was learned (Adebayo et al. 2018,
    section 4).
    """
    architecture = classifier.architecture
    extractor = create_extractor(
        architecture.backbone,
        args=architecture.backbone_args,
        stages=architecture.stages,
        power=architecture.feature_power,
        flatten=architecture.head == "flatten",
        seed=seed,
    )
    return new_classifier(
        extractor,
        architecture=architecture,
        preprocess=classifier.preprocess,
        classes=classifier.classes,
        generator=torch.Generator().manual_seed(seed),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    """The places of one layer's output for one view of the photo, from which gradients are taken.

    `output` is (1, C, H, W), (1, H, W, C) or (1, L, C), as the layer's kind says.
    """

    layer: MapLayer
    view: int
    output: Tensor


class _Leaves:
    """What was cut off while the network ran, in the order of use."""

    def __init__(self, layers: Sequence[MapLayer]) -> None:
        self.layers = layers
        self.view = 0
        self.found: list[_Leaf] = []

    def cut(self, layer: MapLayer, output: Tensor) -> Tensor:
        """Note a layer's output, and return the same as a beginning of its own."""
        head = output[:, : layer.num_prefix] if layer.kind == "tokens" else None
        places = output if head is None else output[:, layer.num_prefix :]
        places = places.detach().requires_grad_()
        self.found.append(_Leaf(layer=layer, view=self.view, output=places))
        # A copy goes on, since what comes next may write over it.
        return places.clone() if head is None else torch.cat([head, places], dim=1)


class _Cuts:
    """The places where a network may be cut off, each thread by itself."""

    def __init__(self, backbone: nn.Module, layers: Sequence[MapLayer]) -> None:
        self._of_thread = threading.local()
        for layer in layers:
            backbone.get_submodule(layer.name).register_forward_hook(self._hook_of(layer))

    @contextmanager
    def at(self, layers: Sequence[MapLayer]) -> Iterator[_Leaves]:
        """Cut where this thread runs the network within the block."""
        self._of_thread.leaves = leaves = _Leaves(layers)
        try:
            yield leaves
        finally:
            del self._of_thread.leaves

    def _hook_of(self, layer: MapLayer) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
            leaves: _Leaves | None = getattr(self._of_thread, "leaves", None)
            return leaves.cut(layer, output) if leaves and layer in leaves.layers else None

        return hook


def _finite(gradient: Tensor | None, output: Tensor) -> Tensor:
    """Return a gradient without the infinities that a power below 1 has where a feature is 0."""
    if gradient is None:
        return torch.zeros_like(output)
    return gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _density(leaf: _Leaf, gradient: Tensor) -> Tensor:
    """Return map_HW: gradient times activation, summed over channels, times the number of places.

    So its mean over places is the sum that a first-order expansion gives the layer.
    """
    layer = leaf.layer
    channels = 1 if layer.kind == "channels first" else -1
    summed = (gradient * leaf.output.detach()).sum(channels)[0]
    return summed.reshape(layer.height, layer.width) * (layer.height * layer.width)


def _undo_view(maps_KHW: Tensor, index: int) -> Tensor:
    """Turn the maps of a view back, so that they lie as the photo does (see `data.views`)."""
    axes: tuple[tuple[int, ...], ...] = ((), (2,), (1,), (1, 2))
    turned_back = maps_KHW.flip(axes[index % 4])
    return turned_back.transpose(1, 2) if index >= 4 else turned_back
