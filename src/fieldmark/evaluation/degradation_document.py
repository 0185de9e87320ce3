"""The accuracy on damaged photos, as a document.

In: what `degradation` measured. Out: `Degradation`, which is `degradation.json`, and the rows of
`degradation.csv`.
Not covered: measuring it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldmark.base.run_folder import RunFolder, check_schema
from fieldmark.evaluation.document import from_plain, read_document, to_plain
from fieldmark.evaluation.intervals import Estimate, wilson_interval

SCHEMA_VERSION = 1
UNDAMAGED = "none"
"""What the table names the kind of photos as they are, with strength 0."""
HEADER = (
    "kind",
    "strength",
    "amount",
    "label",
    "num_photos",
    "num_right",
    "recall",
    "recall_low",
    "recall_high",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was named right at one strength of one kind."""

    strength: int
    """From 1; 0 is undamaged."""
    amount: float
    """How much damage that is, in the unit that `told` writes."""
    told: str
    accuracy: Estimate
    """Share of photos named right. Wilson."""
    drop: Estimate
    """How far that is below the accuracy undamaged. Paired bootstrap over groups."""
    confidence: float
    """Mean probability of the class that was named."""
    num_right: Mapping[str, int]
    """Photos named right, by their class."""
    num_named: Mapping[str, int]
    """Photos named as each class, right or wrong; classes that none was named as are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One kind of damage, strength by strength."""

    key: str
    title: str
    what: str
    source: str
    steps: tuple[Step, ...]
    drop: Estimate
    """The mean over the strengths. Paired bootstrap over groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePhoto:
    """The photo by which a page shows what each kind of damage looks like."""

    path: str
    sha256: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """The accuracy of a classifier on damaged photos; intervals cover 95 %."""

    num_photos: int
    """How many test photos were damaged."""
    num_test: int
    """How many there are."""
    seed: int
    side_px: int
    """At which side they were damaged."""
    num_of_class: Mapping[str, int]
    """The photos damaged, by their class; classes without one are not there."""
    undamaged: Step
    """Strength 0: the same photos on the same way into the network."""
    curves: tuple[Curve, ...]
    drop_of_class: Mapping[str, Estimate]
    """How much recall each class loses: the mean over all kinds and strengths. Paired bootstrap
    over groups."""
    sample: SamplePhoto

    @property
    def weakest_curve(self) -> Curve:
        """The kind that costs most accuracy, the mean over its strengths; the first of equals."""
        return max(self.curves, key=lambda curve: curve.drop.value)

    @property
    def weakest_class(self) -> str:
        """The class that loses most recall; the first of equals."""
        return max(self.drop_of_class, key=lambda name: self.drop_of_class[name].value)

    def recall(self, step: Step, name: str) -> Estimate:
        """Return the share of a class' photos that a step named right. Wilson."""
        return wilson_interval(step.num_right[name], self.num_of_class[name])

    def mean_recall(self, curve: Curve, name: str) -> float:
        """Return the recall of a class under a kind, the mean over the strengths."""
        right = sum(step.num_right[name] for step in curve.steps)
        return right / (len(curve.steps) * self.num_of_class[name])

    def mean_drop(self, curve: Curve, name: str) -> float:
        """Return how much recall a class loses to a kind, the mean over the strengths."""
        before = self.undamaged.num_right[name] / self.num_of_class[name]
        return before - self.mean_recall(curve, name)

    def weakest_class_of(self, curve: Curve) -> str:
        """Return the class with the lowest mean recall under a kind; the first of equals."""
        return min(self.num_of_class, key=lambda name: self.mean_recall(curve, name))

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Yield the rows of `degradation.csv`: the undamaged photos first, a row a class."""
        yield from self._rows(UNDAMAGED, self.undamaged)
        for curve in self.curves:
            for step in curve.steps:
                yield from self._rows(curve.key, step)

    def _rows(self, key: str, step: Step) -> Iterator[tuple[object, ...]]:
        for name, num in self.num_of_class.items():
            share = self.recall(step, name)
            counts = num, step.num_right[name]
            ends = share.value, share.low, share.high
            yield key, step.strength, f"{step.amount:g}", name, *counts, *ends

    def to_json(self) -> dict[str, Any]:
        """Return the content of `degradation.json`."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: object, *, where: str = "degradation.json") -> "Degradation":
        """Read what `to_json` gave.

        Raises:
            RunError: the content is of a newer schema, or not what `to_json` writes.
        """
        check_schema(content, what=where, newest=SCHEMA_VERSION)
        found: Degradation = from_plain(cls, content, where=where)
        return found


def read_degradation(run: Path) -> Degradation | None:
    """Read `degradation.json` of a run folder; None where nothing was damaged yet.

    Raises:
        RunError: the file is there and is not JSON, is malformed or of a newer schema.
    """
    return read_document(RunFolder(run).degradation_json, Degradation.from_json)
