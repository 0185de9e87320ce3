"""The layer table of a network: name, kind, output shape, parameters and cost of each layer.

In: a network and the size of its input. Out: one row a layer, in the order of use, and their sums.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

STATISTICS = ("running_mean", "running_var")
"""What a normalisation keeps of the photos it has seen, by torch's names. How many batches they
were is not among them: Keras counts these two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, with the parameters that are its own."""

    name: str
    kind: str
    output_shape: str
    """Without the batch, such as "64x112x112"; empty for a layer that no photo passes through."""
    num_parameters: int
    num_trainable: int
    num_statistics: int
    """Running means and variances, which no gradient changes: Keras' non-trainable parameters."""
    num_multiply_adds: int
    """Of one photo: see `multiply_adds`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over layers."""

    num_parameters: int
    num_trainable: int
    num_statistics: int
    num_multiply_adds: int

    @property
    def num_in_all(self) -> int:
        """Parameters and statistics: what Keras calls the total of the parameters."""
        return self.num_parameters + self.num_statistics


def layer_table(network: nn.Module, *, size_px: int) -> Sequence[Layer]:
    """Return the layers of `network` as a blank photo of `size_px` pixels square meets them.

    A layer is a module without parts, or a block with parameters besides those of its parts, such
    as position embeddings. One that is met twice stands once, with its first output and the work
    of both times; those with parameters that the photo does not meet come last. So the parameters
    add up to those of the network. The network is not changed. One on torch's meta device is
    measured there: nothing is computed, only shapes.
    """
    is_meta = any(parameter.is_meta for parameter in network.parameters())
    device = torch.device("meta" if is_meta else "cpu")
    probe = copy.deepcopy(network).to(device).float().eval()
    layers = {name: module for name, module in probe.named_modules() if _is_layer(module)}
    shapes: dict[str, str] = {}
    work: Counter[str] = Counter()

    def record(name: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                shapes.setdefault(name, "x".join(str(size) for size in output.shape[1:]))
                work[name] += multiply_adds(module, output)

        return hook

    for name, module in layers.items():
        module.register_forward_hook(record(name))
    with torch.no_grad():
        probe(torch.zeros(1, 3, size_px, size_px, device=device))
    unmet = [name for name in layers if name not in shapes and _has_numbers(layers[name])]
    met = [(name, layers[name], shapes.get(name, "")) for name in (*shapes, *unmet)]
    return _rows(met, work=work)


def multiply_adds(module: nn.Module, output: Tensor) -> int:
    """Return how many products a layer summed up for the photo whose `output` it is.

    Each number that a convolution or a dense layer gives is a sum of products: of a convolution
    as many as the kernel has places, times the channels in divided by the groups; of a dense
    layer one for each feature in. A product and its addition are one. That is what He et al. 2015
    (table 1) count as FLOPs, and torchvision gives as GFLOPS. Biases, normalisations, activations
    and pooling are not counted, nor products outside of such layers, as those of attention.
    """
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
        return output.numel() * module.weight[0].numel()
    return 0


def totals(layers: Iterable[Layer]) -> Totals:
    """Return the sums over some layers."""
    rows = list(layers)
    return Totals(
        num_parameters=sum(layer.num_parameters for layer in rows),
        num_trainable=sum(layer.num_trainable for layer in rows),
        num_statistics=sum(layer.num_statistics for layer in rows),
        num_multiply_adds=sum(layer.num_multiply_adds for layer in rows),
    )


def _rows(met: Sequence[tuple[str, nn.Module, str]], *, work: Counter[str]) -> list[Layer]:
    rows = []
    counted: set[Tensor] = set()
    for name, module, shape in met:
        # Parameters that two layers share are those of the first.
        own = [parameter for parameter in _own_parameters(module) if parameter not in counted]
        statistics = [kept for kept in _own_statistics(module) if kept not in counted]
        counted.update(own, statistics)
        rows.append(
            Layer(
                name=name.removeprefix("extractor."),
                kind=type(module).__name__,
                output_shape=shape,
                num_parameters=sum(parameter.numel() for parameter in own),
                num_trainable=sum(p.numel() for p in own if p.requires_grad),
                num_statistics=sum(kept.numel() for kept in statistics),
                num_multiply_adds=work[name],
            )
        )
    return rows


def _is_layer(module: nn.Module) -> bool:
    return not any(True for _ in module.children()) or _has_numbers(module)


def _has_numbers(module: nn.Module) -> bool:
    return bool(_own_parameters(module) or _own_statistics(module))


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))


def _own_statistics(module: nn.Module) -> list[Tensor]:
    kept = dict(module.named_buffers(recurse=False))
    return [kept[name] for name in STATISTICS if name in kept]
