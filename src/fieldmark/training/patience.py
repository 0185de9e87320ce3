"""When training ends before its last epoch.

In: the epochs so far and the patience of the recipe. Out: a reason in words, or None.
"""

import math
from collections.abc import Sequence

import numpy as np

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
