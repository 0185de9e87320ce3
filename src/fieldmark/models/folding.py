"""Batch normalisation folded into the convolution before it, for prediction only.

In: a trained network. Out: a copy that gives the same outputs with fewer passes over memory.
A normalisation in evaluation mode is a fixed scale and shift a channel, so the convolution can do
it: w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta.
Not covered: normalisations that do not directly follow a convolution; they stay as they are.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

MAX_RELATIVE_ERROR = 1e-4
"""How far a folded network may stray on random images before the plain one is used instead."""


def fold_batchnorm(network: nn.Module, *, size_px: int) -> nn.Module:
    """Return a copy in evaluation mode with each conv + batch-norm pair folded.

    Which normalisation follows which convolution is seen by running one random image, and the
    folded copy is compared with the original on another; if they differ, the plain copy is
    returned.
    """
    plain = copy.deepcopy(network).cpu().eval().float()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, size_px, size_px, generator=generator)
    folded = copy.deepcopy(plain)
    with torch.no_grad():
        for norm_name, conv in _pairs(folded, images[:1]):
            _fold_pair(folded, norm_name, conv)
        expected, found = plain(images), folded(images)
        error = (found - expected).norm() / expected.norm().clamp_min(1e-12)
    return folded if float(error) <= MAX_RELATIVE_ERROR else plain


def _pairs(network: nn.Module, images_NCHW: Tensor) -> list[tuple[str, nn.Conv2d]]:
    """Return (name of the normalisation, the convolution whose very output it takes)."""
    outputs: dict[int, tuple[Tensor, nn.Conv2d]] = {}
    calls: dict[nn.Module, int] = {}
    pairs: list[tuple[str, nn.Conv2d]] = []
    handles = []

    def remember(module: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        calls[module] = calls.get(module, 0) + 1
        # The tensor is kept alive so that its id cannot be given to another one.
        outputs[id(output)] = (output, module)

    def match(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if found := outputs.get(id(inputs[0])):
                pairs.append((name, found[1]))

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(remember))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(match(name)))
    network(images_NCHW)
    for handle in handles:
        handle.remove()
    return [(name, conv) for name, conv in pairs if calls[conv] == 1]


def _fold_pair(network: nn.Module, norm_name: str, conv: nn.Conv2d) -> None:
    norm = network.get_submodule(norm_name)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    parent, _, attribute = norm_name.rpartition(".")
    # timm's normalisations carry their activation; what remains of them is just that.
    rest = getattr(norm, "act", None) or nn.Identity()
    setattr(network.get_submodule(parent), attribute, rest)
