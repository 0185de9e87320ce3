"""What a training run does, once everything is settled, and who is told of it.

In: the recipe's sections and what was measured for them. Out: a `Course` for the loop, and the
`Choice`s with their reasons for people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fieldmark.data.augment import AugmentConfig
from fieldmark.models.depth import DepthGroup
from fieldmark.training.config import TrainConfig
from fieldmark.training.optim import OptimConfig
from fieldmark.training.range_test import RangeTest
from fieldmark.training.tally import Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the network computes while it is trained."""

    precision: str = "float32"
    """"float32", or "bfloat16" for autocast to it; weights stay float32."""
    channels_last: bool = True
    """Whether the channels of a pixel lie beside each other in memory."""
    lowered: bool = False
    """Whether convolutions are computed as matrix products (see `models.lowering`)."""
    compiled: bool = False
    """Whether torch.compile made kernels for this network."""

    @property
    def autocast(self) -> torch.dtype | None:
        """The dtype of the forward pass, or None for float32 throughout."""
        return torch.bfloat16 if self.precision == "bfloat16" else None

    @property
    def memory_format(self) -> torch.memory_format:
        """How weights and photos lie in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Something that was measured or derived and then chosen, in words."""

    what: str
    chosen: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is decided before the first step and holds for the whole run, also when it goes on."""

    pace: Pace
    lr: float
    num_epochs: int
    choices: tuple[Choice, ...] = ()
    time_left_s: float | None = None
    """Of the time budget for epochs, once all was measured; None: there is no budget."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            pace=Pace(**values["pace"]),
            lr=values["lr"],
            num_epochs=values["num_epochs"],
            choices=tuple(Choice(**choice) for choice in values["choices"]),
            time_left_s=values.get("time_left_s"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The parts of a run that follow from the recipe and the network alone."""

    config: TrainConfig
    optim: OptimConfig
    augmentation: AugmentConfig
    device: torch.device
    batch_norm: str
    """"frozen" or "batch"."""
    groups: Sequence[DepthGroup]
    """The backbone from input to output."""
    frozen: Sequence[nn.Module] = ()
    """Modules that stay as they came."""


class Watch(Protocol):
    """Who is told how training goes on."""

    def batch(self, num_photos: int) -> None:
        """So many more photos were learned from."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Figures after `step` steps in all: loss, learning rate, photos a second."""

    def epoch(self, history: Sequence[Epoch], *, num_epochs: int) -> None:
        """An epoch ended; its row is the last of `history`."""

    def note(self, text: str) -> None:
        """Something that a person should read."""

    def saved(self, step: int, seconds: float) -> None:
        """A checkpoint was written."""

    def shown(self, before_NHWC: NDArray[np.uint8], after_NHWC: NDArray[np.uint8]) -> None:
        """Some photos of the first batch, as they are and as the network is shown them."""

    def range_tested(self, test: RangeTest) -> None:
        """A learning rate was looked for, and this was found."""


class Unwatched:
    """Tells nobody."""

    def batch(self, num_photos: int) -> None:
        """Tell nobody."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Tell nobody."""

    def epoch(self, history: Sequence[Epoch], *, num_epochs: int) -> None:
        """Tell nobody."""

    def note(self, text: str) -> None:
        """Tell nobody."""

    def saved(self, step: int, seconds: float) -> None:
        """Tell nobody."""

    def shown(self, before_NHWC: NDArray[np.uint8], after_NHWC: NDArray[np.uint8]) -> None:
        """Tell nobody."""

    def range_tested(self, test: RangeTest) -> None:
        """Tell nobody."""
