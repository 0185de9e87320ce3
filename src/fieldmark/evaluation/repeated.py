"""What several trainings of one recipe come to, as plain typed data.

In: numbers. Out: `Repeated`, whose content stands in `repeats.json`.
Not covered: computing it (`repeats`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fieldmark.evaluation.evaluation import ClassMetrics, ConfusedPair
from fieldmark.evaluation.intervals import Estimate

Kind = Literal["folds", "seeds"]
FOLDS: Final = "folds"
SEEDS: Final = "seeds"
MEASURES = ("accuracy", "f1", "loss", "ece")
"""What is told of each repeat: fields of `RepeatScores`, keys of `Repeated.measures`."""
Z_ONE_SIDED = 1.644854
"""The 95 % point of the standard normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far a number lies apart over repeats."""

    mean: float
    sd: float
    """Standard deviation, with one less than their number in the denominator."""
    low: float
    """The lowest."""
    high: float
    """The highest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatScores:
    """The numbers of one repeat, each with the interval of its own test photos."""

    name: str
    num_images: int
    accuracy: Estimate
    f1: Estimate
    """Mean over the classes."""
    loss: Estimate
    ece: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSpread:
    """How well a class is recognised over the repeats that were tested on it."""

    support: int
    """Photos of it that were tested, each counted once."""
    precision: Spread
    recall: Spread
    f1: Spread
    pooled: ClassMetrics | None
    """Over all photos at once, where the repeats are folds; intervals take groups into account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongPhoto:
    """A photo that at least one repeat named wrong."""

    path: str
    label: str
    num_tested: int
    """Repeats that were tested on it: 1 for folds, all for seeds."""
    num_wrong: int
    predicted: str
    """The wrong name that it was given most often, the first in the order of classes."""
    num_agreeing: int
    """Repeats that gave it that name."""
    confidence: float
    """The mean of how sure those were, 0 to 1."""
    repeat: str
    """The fold in which it was tested; empty for seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The answers to all photos, each by the one fold that had not seen it; intervals are 95 %."""

    accuracy: Estimate
    f1: Estimate
    loss: Estimate
    ece: Estimate
    most_confused: tuple[ConfusedPair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What several trainings of one recipe come to."""

    kind: str
    """folds or seeds."""
    num_photos: int
    """Photos that were tested, each counted once."""
    num_groups: int
    """Groups of them; a photo that stands alone is one."""
    repeats: tuple[RepeatScores, ...]
    measures: Mapping[str, Spread]
    """Over the repeats, by the names of `MEASURES`."""
    overall: Estimate
    """The accuracy over all photos and repeats; the interval is that of the choice of photos."""
    sd_by_chance: float | None
    """Of folds: the standard deviation that their accuracies would have if nothing but the choice
    of test photos made them differ."""
    pooled: Pooled | None
    """None for seeds."""
    per_class: Mapping[str, ClassSpread]
    wrong: tuple[WrongPhoto, ...]
    """Wrong in the most repeats first, then the surest."""

    @property
    def num_always_wrong(self) -> int:
        """Photos that every repeat tested on them named wrong."""
        return sum(photo.num_wrong == photo.num_tested for photo in self.wrong)

    @property
    def num_mostly_wrong(self) -> int:
        """Photos that more than half of the repeats tested on them named wrong."""
        return sum(2 * photo.num_wrong > photo.num_tested for photo in self.wrong)

    @property
    def differ_beyond_chance(self) -> bool:
        """Whether folds lie further apart than the choice of test photos explains, in 19 of 20.

        The variance of the accuracies against the chi-squared distribution, whose 95 % point is
        that of E. B. Wilson and M. M. Hilferty, Proceedings of the National Academy of Sciences 17
        (1931), 684-688; within 3 % of the exact one.
        """
        if self.sd_by_chance is None:
            return False
        freedom = len(self.repeats) - 1
        part = 2 / (9 * freedom)
        limit = freedom * (1 - part + Z_ONE_SIDED * math.sqrt(part)) ** 3
        return freedom * self.measures["accuracy"].sd ** 2 > limit * self.sd_by_chance**2

    @property
    def are_alike(self) -> bool:
        """Whether all repeats of the same test photos came out the same, to the last bit."""
        return self.kind == SEEDS and all(
            spread.low == spread.high for spread in self.measures.values()
        )


def spread_of(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and ends of numbers; of a single one the deviation is 0."""
    # Written out, so that equal values have a spread of 0 and a mean of themselves to the bit.
    low, high = min(values), max(values)
    mean = low if low == high else min(max(math.fsum(values) / len(values), low), high)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return Spread(mean=mean, sd=math.sqrt(squares / max(1, len(values) - 1)), low=low, high=high)
