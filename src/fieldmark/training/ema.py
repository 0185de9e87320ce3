"""A running average of a network's weights, which often predicts better than the last weights.

In: a network after each step. Out: its averaged tensors.
Not covered: whether the average is used (see `config`), how it is saved (see `checkpoint`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fieldmark.base.counting import listed
from fieldmark.base.errors import RunError

WARM_UP_NUMERATOR, WARM_UP_DENOMINATOR = 1, 10
"""The decay at step n is at most (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage,
so that a short training does not average in its random start."""


class Ema:
    """Exponential moving average of a network's parameters and floating-point buffers.

    Buffers of whole numbers, such as the count of batches of a batch normalisation, are those of
    the network. The averages start as the network is and stay on its device, in its dtypes, which
    are to be float32: a step of bfloat16 is too coarse for a slow average.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        """Start with the values that `network` has now; `decay` is over 0 and below 1."""
        self.decay = decay
        self._averages = {
            name: value.detach().clone() for name, value in network.state_dict().items()
        }

    def decay_at(self, step: int) -> float:
        """Return the share of the old average that is kept at `step`, counted from 0."""
        return min(self.decay, (WARM_UP_NUMERATOR + step) / (WARM_UP_DENOMINATOR + step))

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move the averages towards the network as it is after `step`, counted from 0."""
        averages, values = self._pairs(network, floating=True)
        torch._foreach_lerp_(averages, values, 1 - self.decay_at(step))
        for average, value in zip(*self._pairs(network, floating=False), strict=True):
            average.copy_(value)

    def tensors(self) -> dict[str, Tensor]:
        """Return the averages by their names in the network's `state_dict`; not copies."""
        return dict(self._averages)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over averages that were saved.

        Raises:
            RunError: their names or shapes are not those of this network.
        """
        shapes = {name: tuple(average.shape) for name, average in self._averages.items()}
        saved = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if saved != shapes:
            wrong = sorted(
                name for name in saved.keys() | shapes.keys() if saved.get(name) != shapes.get(name)
            )
            raise RunError(
                "The averaged weights that were saved are not of this network: "
                f"{listed(wrong)} differ. Start a new run without --resume."
            )
        for name, average in self._averages.items():
            average.copy_(tensors[name])

    @contextmanager
    def swapped(self, network: nn.Module) -> Iterator[None]:
        """Let the network carry the averages inside the block; afterwards it is as before it."""
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self._averages)
        try:
            yield
        finally:
            network.load_state_dict(own)

    def _pairs(self, network: nn.Module, *, floating: bool) -> tuple[list[Tensor], list[Tensor]]:
        """Return the averages and the network's own tensors of one kind, in the same order."""
        values = network.state_dict()
        names = [name for name in values if values[name].is_floating_point() == floating]
        return [self._averages[name] for name in names], [values[name] for name in names]
