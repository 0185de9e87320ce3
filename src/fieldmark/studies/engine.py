"""Engines: who computes the trials of a study, and where.

In: trials one after another, and the work that each is. Out: how each ended, as it ends.
`LocalEngine` is the plain loop; the engine for several machines stands in `scale`.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from fieldmark.studies.trials import Trial, TrialEnd

Work = Callable[[Trial], TrialEnd]
"""Runs a trial to its end. It can be pickled, and raises nothing but KeyboardInterrupt: what goes
wrong with a trial is its `TrialEnd`."""
OnDone = Callable[[Trial, TrialEnd], None]
"""Told of each trial as it ends, in the process and the thread of the caller."""


class Engine(Protocol):
    """Computes trials."""

    def run(self, trials: Iterable[Trial], work: Work, on_done: OnDone) -> None:
        """Compute every trial.

        Args:
            trials: in the order to be begun; the next one is taken only once there is room for it,
                since taking it marks it as running, and what it is may depend on those that ended.
            work: what each is.
            on_done: told of each, once.

        Raises:
            KeyboardInterrupt: the study was stopped; trials not told of are not done.
        """


class LocalEngine:
    """Computes one trial after another in this process."""

    def run(self, trials: Iterable[Trial], work: Work, on_done: OnDone) -> None:
        """Compute every trial."""
        for trial in trials:
            on_done(trial, work(trial))
