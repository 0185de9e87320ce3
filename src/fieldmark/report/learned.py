"""Tells whether a network learned anything at all, against what blind guessing gets.

In: where its curves end. Out: yes or no.
Not covered: what is made of it (`overfitting`, `verdict`).
"""

import math

from fieldmark.evaluation.intervals import wilson_interval

DIVERGED = 2.0
"""A training loss so many times that of blind guessing is no slow start: the network is certain,
and wrong. With outputs near zero, as at the first step, it has about the loss of guessing."""


def blind_loss(num_classes: int) -> float:
    """Return the cross-entropy of giving each class the same probability, ln C, in nats."""
    return math.log(num_classes)


def has_diverged(train_loss: float, held_out_loss: float, *, num_classes: int) -> bool:
    """Tell whether the training loss is far above that of guessing, and no other loss below it.

    A network that does well on held-out photos has learned, however altered the training photos.
    """
    blind = blind_loss(num_classes)
    return train_loss > DIVERGED * blind and held_out_loss > blind


def is_above_chance(share: float, *, num: int | None, num_classes: int) -> bool:
    """Tell whether a share of photos named right is clearly more than one in `num_classes`.

    Args:
        share: in 0..1, or NaN where it was not measured, which is not above anything.
        num: of the photos, whose 95 % interval (Wilson) must lie above chance; None or 0 where
            that is not known, and then the share itself must.
        num_classes: 2 or more.
    """
    if not math.isfinite(share):
        return False
    low = wilson_interval(round(share * num), num).low if num else share
    return low > 1 / num_classes
