"""The layer table of a network: name, kind, output shape and parameters of each layer.

In: a network and the size of its input. Out: one row a leaf layer, in the order of use.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

BLANK_PHOTOS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer; `output_shape` is without the batch, such as "64x112x112"."""

    name: str
    kind: str
    output_shape: str
    num_parameters: int
    num_trainable: int


def layer_table(network: nn.Module, *, size_px: int) -> Sequence[Layer]:
    """Return the layers of `network` as a blank photo of `size_px` pixels square meets them.

    A layer that is met twice stands once, with its first output. The network is not changed.
    """
    probe = copy.deepcopy(network).cpu().float().eval()
    rows: dict[str, Layer] = {}

    def record(name: str) -> Any:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if name not in rows and isinstance(output, Tensor):
                rows[name] = _row(name, module, output)

        return hook

    for name, module in probe.named_modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(record(name))
    with torch.no_grad():
        probe(torch.zeros(BLANK_PHOTOS, 3, size_px, size_px))
    return list(rows.values())


def _row(name: str, module: nn.Module, output: Tensor) -> Layer:
    parameters = list(module.parameters())
    return Layer(
        name=name.removeprefix("extractor."),
        kind=type(module).__name__,
        output_shape="x".join(str(size) for size in output.shape[1:]),
        num_parameters=sum(parameter.numel() for parameter in parameters),
        num_trainable=sum(p.numel() for p in parameters if p.requires_grad),
    )
