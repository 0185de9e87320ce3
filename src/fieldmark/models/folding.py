"""Batch normalisation folded into the convolution before it, for prediction only.

In: a trained network. Out: a copy that gives the same outputs with fewer passes over memory.
A normalisation in evaluation mode is a fixed scale and shift a channel, so the convolution can do
it: w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta.
Not covered: normalisations that do not directly follow a convolution; they stay as they are.
"""

import copy
from collections import Counter
from dataclasses import dataclass, field
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
        folded.eval()
        expected, found = plain(images), folded(images)
        error = (found - expected).norm() / expected.norm().clamp_min(1e-12)
    return folded if float(error) <= MAX_RELATIVE_ERROR else plain


@dataclass(slots=True)
class _Trace:
    """What one run of the network shows: who made each tensor, and who took it."""

    outputs: dict[int, tuple[Tensor, nn.Conv2d]] = field(default_factory=dict)
    pairs: list[tuple[nn.Module, nn.Conv2d]] = field(default_factory=list)
    calls: Counter[nn.Module] = field(default_factory=Counter)

    def after_conv(self, conv: nn.Module, _inputs: Any, output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        self.calls[conv] += 1
        # The tensor is kept alive so that its id cannot be given to another one.
        self.outputs[id(output)] = (output, conv)

    def before_norm(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.calls[norm] += 1
        if made := self.outputs.get(id(inputs[0])):
            self.pairs.append((norm, made[1]))


def _pairs(network: nn.Module, images_NCHW: Tensor) -> list[tuple[str, nn.Conv2d]]:
    """Return (name of the normalisation, the convolution whose very output it takes).

    Only where each is used once, and the normalisation has kept statistics.
    """
    trace = _Trace()
    handles = []
    names: dict[nn.Module, list[str]] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    for module in names:
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(trace.after_conv))
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            handles.append(module.register_forward_pre_hook(trace.before_norm))
    network(images_NCHW)
    for handle in handles:
        handle.remove()
    takers = Counter(conv for _, conv in trace.pairs)
    return [
        (names[norm][0], conv)
        for norm, conv in trace.pairs
        if trace.calls[conv] == trace.calls[norm] == len(names[norm]) == takers[conv] == 1
    ]


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
