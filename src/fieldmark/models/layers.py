"""The layer table of a network: name, kind, output shape and parameters of each layer.

In: a network and the size of its input. Out: one row a layer, in the order of use.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, with the parameters that are its own."""

    name: str
    kind: str
    output_shape: str
    """Without the batch, such as "64x112x112"; empty for a layer that no photo passes through."""
    num_parameters: int
    num_trainable: int


def layer_table(network: nn.Module, *, size_px: int) -> Sequence[Layer]:
    """Return the layers of `network` as a blank photo of `size_px` pixels square meets them.

    A layer is a module without parts, or a block with parameters besides those of its parts, such
    as position embeddings. One that is met twice stands once, with its first output; those with
    parameters that the photo does not meet come last. So the parameters add up to those of the
    network. The network is not changed.
    """
    probe = copy.deepcopy(network).cpu().float().eval()
    layers = {name: module for name, module in probe.named_modules() if _is_layer(module)}
    shapes: dict[str, str] = {}

    def record(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                shapes.setdefault(name, "x".join(str(size) for size in output.shape[1:]))

        return hook

    for name, module in layers.items():
        module.register_forward_hook(record(name))
    with torch.no_grad():
        probe(torch.zeros(1, 3, size_px, size_px))
    unmet = [name for name in layers if name not in shapes and _own_parameters(layers[name])]
    return _rows([(name, layers[name], shapes.get(name, "")) for name in (*shapes, *unmet)])


def _rows(met: Sequence[tuple[str, nn.Module, str]]) -> list[Layer]:
    rows = []
    counted: set[nn.Parameter] = set()
    for name, module, shape in met:
        # Parameters that two layers share are those of the first.
        own = [parameter for parameter in _own_parameters(module) if parameter not in counted]
        counted.update(own)
        rows.append(
            Layer(
                name=name.removeprefix("extractor."),
                kind=type(module).__name__,
                output_shape=shape,
                num_parameters=sum(parameter.numel() for parameter in own),
                num_trainable=sum(p.numel() for p in own if p.requires_grad),
            )
        )
    return rows


def _is_layer(module: nn.Module) -> bool:
    return not any(True for _ in module.children()) or bool(_own_parameters(module))


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))
