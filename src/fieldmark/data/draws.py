"""The random numbers of augmentation: all kinds drawn for every batch, whatever is switched on.

In: a generator. Out: uniform numbers in [0, 1), one of each kind for every photo, on the CPU. So
two runs which differ in one setting share the draws of all the others.
Shapes: N images.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

NUM_FROM_GENERATOR = 10
"""So many kinds come from the generator itself, one column each. The others come from a child of
it, one row each, so that a kind added at the end changes no draw of the kinds before."""
FURTHER, NOISE = range(2)
"""Places of children: of the further kinds; of the noise that photos are filled with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """One number of each kind for every photo: (N,), on the CPU."""

    flip_horizontal: Tensor
    flip_vertical: Tensor
    turn: Tensor
    area: Tensor
    aspect: Tensor
    across: Tensor
    down: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    move_across: Tensor
    move_down: Tensor
    erase: Tensor
    erase_area: Tensor
    erase_aspect: Tensor
    erase_across: Tensor
    erase_down: Tensor
    operation: Tensor
    strength: Tensor

    @classmethod
    def sample(cls, num_images: int, *, generator: torch.Generator) -> Self:
        """Draw all kinds for a batch."""
        kinds = tuple(cls.__dataclass_fields__)
        columns = torch.rand(num_images, NUM_FROM_GENERATOR, generator=generator).unbind(1)
        rows = torch.rand(
            len(kinds) - NUM_FROM_GENERATOR, num_images, generator=child(generator, FURTHER)
        ).unbind(0)
        return cls(**dict(zip(kinds, (*columns, *rows), strict=True)))

    def part(self, photos: slice) -> Self:
        """Return the draws of some of the photos."""
        kinds = self.__dataclass_fields__
        return replace(self, **{kind: getattr(self, kind)[photos] for kind in kinds})


def child(generator: torch.Generator, place: int) -> torch.Generator:
    """Return a generator that starts from where this one stands, and leave this one there.

    So what is drawn from the child changes nothing of what is drawn from `generator` later.

    Args:
        generator: on the CPU.
        place: 0 or more; children of other places draw other numbers.
    """
    seeds = torch.randint(2**62, (place + 1,), generator=generator.clone_state())
    return torch.Generator().manual_seed(int(seeds[place]))
