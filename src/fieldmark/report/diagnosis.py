"""What the curves of a training show, as plain data.

Not covered: how it is found (`overfitting`) and said (`verdict`).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gap", "growing", "rising", "unsteady", "jagged", "falling", "diverged", "chance"]
"""gap: training photos are named right more often than held-out ones. growing: that gap widens.
rising: the held-out loss went up again, the training loss did not. unsteady: both went up again.
jagged: the held-out accuracy goes up and down. falling: both losses still fall at the end.
diverged: the training loss ended far above that of guessing. chance: no accuracy got beyond it."""

FAILURES = frozenset[Kind](("diverged", "chance"))
"""Signs that nothing was learned; beside them no other means anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """Something that was seen in the curves: its number, which reached the threshold."""

    kind: Kind
    value: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Where the curves end and where they were best; accuracies in 0..1 or NaN, losses in nats."""

    train_accuracy: float
    accuracy: float
    train_loss: float
    loss: float
    best_epoch: int
    """That of the lowest held-out loss."""
    best_loss: float
    first_loss: float
    """The held-out loss after the first epoch."""

    @property
    def gap(self) -> float:
        """Accuracy on training photos less that on held-out ones; negative where it is lower."""
        return self.train_accuracy - self.accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the curves show; `levels` is None where there is nothing to compare."""

    held_out: str
    """"validation", "test", or nothing where no photos were held out."""
    num_epochs: int
    """Epochs in which both training and held-out photos were scored."""
    levels: Levels | None
    signs: tuple[Sign, ...]
    overfits: bool
    num_classes: int | None = None
    """None where that is not known; then nothing is said of guessing."""

    @property
    def failed(self) -> bool:
        """Whether nothing was learned."""
        return any(sign.kind in FAILURES for sign in self.signs)

    def sign(self, kind: Kind) -> Sign | None:
        """Return the sign of a kind; None where it was not seen."""
        return next((sign for sign in self.signs if sign.kind == kind), None)
