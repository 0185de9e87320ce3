"""What a study runs next, and what it stops early.

In: the store of trials. Out: trials to be run, one at a time, and whether one goes on after an
epoch. `Planned` gives out what a design planned; a search decides while it goes on (`search`).
`Halving` stops trials that are behind others at the same share of their epochs: successive halving
(Jamieson and Talwalkar 2016), asynchronous as by Li et al. 2020, so that nobody waits for anybody.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fieldmark.base.errors import RunError
from fieldmark.studies.store import SqliteTrials, read_trials
from fieldmark.studies.trials import EpochPoint, Trial, TrialEnd

REDUCTION = 3
"""Of the trials at a rung, the best third goes on: the eta of Li et al. 2020, who take 4; 3 is that
of Li et al. 2018 (Hyperband)."""
MIN_AT_RUNG = 3
"""Below this many trials at a rung, nobody is stopped there."""
SHARES = (1 / 9, 1 / 3)
"""Shares of its epochs after which a trial is looked at: the rungs of two reductions."""


class Source(Protocol):
    """Where the trials of a study come from."""

    def __iter__(self) -> Iterator[Trial]:
        """Yield trials, each marked as running in the store as it is taken, until none is left."""

    def done(self, trial: Trial, end: TrialEnd) -> None:
        """Write down how a trial ended."""


class Verdict(Protocol):
    """Says after each epoch whether a trial is hopeless; it can be pickled."""

    def is_hopeless(self, trial: Trial, curve: Sequence[EpochPoint], *, num_epochs: int) -> bool:
        """Tell whether to stop.

        Args:
            trial: the one that runs.
            curve: its epochs so far.
            num_epochs: that it would have in all.
        """


class Planned:
    """Gives out the trials of a store until none waits."""

    def __init__(self, store: SqliteTrials) -> None:
        self._store = store

    def __iter__(self) -> Iterator[Trial]:
        """Yield the next trial, marked as running."""
        while (trial := self._store.claim()) is not None:
            yield trial

    def done(self, trial: Trial, end: TrialEnd) -> None:
        """Write down how a trial ended."""
        self._store.end(trial.number, end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halving:
    """Stops the trials whose validation loss is not among the best third at a rung."""

    trials: Path
    """The file of the store, in which the others' curves are."""

    def is_hopeless(self, trial: Trial, curve: Sequence[EpochPoint], *, num_epochs: int) -> bool:
        """Tell whether to stop; a store that cannot be read stops nobody."""
        for share, epoch in _rungs(num_epochs).items():
            if epoch != curve[-1].epoch:
                continue
            try:
                others = [one for one in read_trials(self.trials) if one.number != trial.number]
            except RunError:
                return False
            losses = [loss for one in others if (loss := _loss_at(one, share)) is not None]
            return is_behind(curve[-1].val_loss, losses)
        return False


def is_behind(loss: float, others: Sequence[float]) -> bool:
    """Tell whether a loss is not among the best `1 / REDUCTION` of itself and the others."""
    if len(others) + 1 < MIN_AT_RUNG:
        return False
    if not math.isfinite(loss):
        return True
    num_better = sum(other < loss for other in others)
    return num_better >= max(1, (len(others) + 1) // REDUCTION)


def _rungs(num_epochs: int) -> dict[float, int]:
    """Return the epoch of each rung; none at the last epoch, or at the same as another."""
    rungs: dict[float, int] = {}
    for share in SHARES:
        epoch = math.ceil(share * num_epochs)
        if epoch < num_epochs and epoch not in rungs.values():
            rungs[share] = epoch
    return rungs


def _loss_at(trial: Trial, share: float) -> float | None:
    """Return another trial's loss at a rung, None where it has not come so far."""
    if trial.result is None:
        return None
    epoch = _rungs(trial.result.num_epochs).get(share)
    reached = [point for point in trial.result.curve if point.epoch == epoch]
    return reached[0].val_loss if reached and math.isfinite(reached[0].val_loss) else None
