"""When training ends before its last epoch.

In: the epochs so far, and the patience or the time that the recipe gives. Out: a reason in words,
or None.
"""

import math
from collections.abc import Sequence
from statistics import median_low

import numpy as np

from fieldmark.base.counting import counted
from fieldmark.training.course import Settled
from fieldmark.training.tally import Epoch


def reason_to_stop(
    history: Sequence[Epoch], *, patience: int | None, num_epochs: int
) -> str | None:
    """Say why training ends after the last epoch of `history`; None where it goes on.

    Args:
        history: from the first epoch on, at least one.
        patience: epochs without a lower validation loss, 1 or more; None: never a reason. Neither
            is there one without validation photos.
        num_epochs: that were planned; after the last one there is nothing to stop.
    """
    epoch = len(history)
    if patience is None or epoch >= num_epochs:
        return None
    losses = [row.val_loss for row in history]
    if not any(map(math.isfinite, losses)):
        return None
    best = int(np.nanargmin(losses)) + 1
    if epoch - best < patience:
        return None
    return (
        f"no lower validation loss in {patience} epochs after epoch {best}, so training "
        f"stopped after {epoch} of {num_epochs}"
    )


def reason_of_time(settled: Settled, history: Sequence[Epoch], *, spent_s: float) -> str | None:
    """Say why a time budget has no room for another epoch; None where it has.

    Another is taken to last as long as the (lower) median of those so far, its scoring and saving
    as long as theirs on average. A compiled network's first epoch, in which its kernels are built,
    tells nothing of the next.

    Args:
        settled: the epochs that were planned, after the last of which there is nothing to stop,
            and the time that the budget left for them.
        history: from the first epoch on, at least one.
        spent_s: on all of these.
    """
    epoch, time_left_s = len(history), settled.time_left_s
    if time_left_s is None or epoch >= settled.num_epochs:
        return None
    seconds = [row.seconds for row in history]
    next_s = median_low(seconds) + max(0.0, spent_s - sum(seconds)) / epoch
    if settled.pace.compiled and epoch == 1:
        next_s = 0.0
    if spent_s + next_s <= time_left_s:
        return None
    return (
        f"{counted(epoch, 'epoch')} took {spent_s:,.1f} s of the {time_left_s:,.1f} s that the "
        "time budget left, and another would overrun it, so training stopped after "
        f"{epoch} of {settled.num_epochs}"
    )
