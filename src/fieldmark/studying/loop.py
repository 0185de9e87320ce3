"""The trials of a study run one after another, each kept as it ends, and told of.

In: where trials come from, who computes them, and the store they are kept in. Out: the store, full.
Not covered: what a trial does (`trials`), what is made of them (`sitting`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from fieldmark.base.counting import counted
from fieldmark.base.progress import Progress, format_duration
from fieldmark.studies.best import best_of, tried_settings
from fieldmark.studies.engine import Engine, LocalEngine
from fieldmark.studies.schedule import Source
from fieldmark.studies.space import text_of
from fieldmark.studies.store import SqliteTrials
from fieldmark.studies.trials import SETTLED, EpochPoint, Kind, Trial, TrialEnd
from fieldmark.studying.trials import Bench, run_trial

KEEP_EVERY_S = 60.0
"""How often the tables and the page are written while trials run."""
MAX_SHARE_OF_KEEPING = 0.05
"""Of the time may go into that."""
TOLD_FROM_S = 10.0
"""What is left of a kind is told of after its first trial, where it is more than this."""
NUM_FAILURES_TOLD = 3
"""Failures told of one by one; each of the others is in the tables."""
KIND_WORDS: Mapping[Kind, str] = {"head": "head", "network": "network"}


def run_trials(
    source: Source,
    *,
    store: SqliteTrials,
    engine: Engine,
    bench: Bench,
    num_trials: int,
    keep: Callable[[], None],
    progress: Progress,
) -> None:
    """Run every trial that the source gives.

    Args:
        source: gives trials, and is told how they end.
        store: of all trials.
        engine: who computes.
        bench: what with.
        num_trials: how many there are in all, those of before included.
        keep: writes tables and page; called now and then.
        progress: told of each trial.

    Raises:
        KeyboardInterrupt: the study was stopped; trials that were running wait again.
    """
    # Only of trials that run one by one in this process are there epochs to be told of, and a time
    # from which that of the others follows.
    is_local = isinstance(engine, LocalEngine)
    board = _Board(store=store, source=source, progress=progress, keep=keep, is_local=is_local)
    work = partial(run_trial, bench=bench, on_epoch=board.epoch if is_local else None)
    num_left = num_trials - board.num_settled
    progress.start("Trials", total=num_left, unit="trials")
    try:
        engine.run(board.begun(source), work, board.done)
    except KeyboardInterrupt:
        store.release()
        raise
    progress.finish(board.summary())


@dataclass(slots=True, kw_only=True)
class _Board:
    """What is known of the trials while they run."""

    store: SqliteTrials
    source: Source
    progress: Progress
    keep: Callable[[], None]
    is_local: bool
    trials: dict[int, Trial] = field(default_factory=dict)
    _began: dict[int, float] = field(default_factory=dict)
    _told: set[Kind] = field(default_factory=set)
    _num_failed: int = 0
    _kept_s: float = field(default_factory=time.monotonic)
    _wait_s: float = field(default_factory=lambda: KEEP_EVERY_S)

    def __post_init__(self) -> None:
        self.trials = {trial.number: trial for trial in self.store.all()}

    @property
    def num_settled(self) -> int:
        """How many trials have ended."""
        return sum(trial.status in SETTLED for trial in self.trials.values())

    def begun(self, trials: Iterable[Trial]) -> Iterator[Trial]:
        """Pass trials on, and remember when they began."""
        for trial in trials:
            self._began[trial.number] = time.monotonic()
            yield trial

    def epoch(self, trial: Trial, curve: Sequence[EpochPoint], num_epochs: int) -> None:
        """Show how far a network is; a head is done before anybody has read it."""
        if trial.kind == "network":
            last = curve[-1]
            now = f"trial {trial.number}, epoch {last.epoch}/{num_epochs}: {last.val_accuracy:.2%}"
            self.progress.advance(0, detail=f"{now}; {self._best_so_far()}")

    def done(self, trial: Trial, end: TrialEnd) -> None:
        """Keep how a trial ended, and tell."""
        self.source.done(trial, end)
        self.trials[trial.number] = self.store.get(trial.number)
        if end.status == "failed":
            self._tell_failure(trial, end)
        self.progress.advance(1, detail=self._best_so_far())
        if end.status == "finished":
            self._tell_time(trial)
        self._keep_now_and_then()

    def summary(self) -> str:
        """Say what came of the trials."""
        ended: list[str] = [trial.status for trial in self.trials.values()]
        parts = [counted(ended.count("finished"), "trial")]
        for status, words in (("pruned", "stopped early"), ("failed", "failed")):
            if number := ended.count(status):
                parts.append(f"{number:,} {words}")
        return f"{', '.join(parts)}; {self._best_so_far()}"

    def _best_so_far(self) -> str:
        tried = tried_settings(list(self.trials.values()))
        if not tried:
            return "none has finished yet"
        best = best_of(tried)
        return f"best {best.accuracy:.2%} ({_settings(best.settings)})"

    def _tell_failure(self, trial: Trial, end: TrialEnd) -> None:
        self._num_failed += 1
        if self._num_failed <= NUM_FAILURES_TOLD:
            more = " Further ones are told in trials.csv." * (self._num_failed == NUM_FAILURES_TOLD)
            self.progress.note(
                f"Trial {trial.number} ({_settings(trial.settings)}) failed: {end.error}{more}"
            )

    def _tell_time(self, trial: Trial) -> None:
        """After the first of a kind, tell how long those take that are left."""
        if trial.kind in self._told or not self.is_local:
            return
        self._told.add(trial.kind)
        seconds = time.monotonic() - self._began[trial.number]
        left = sum(
            one.kind == trial.kind and one.status not in SETTLED for one in self.trials.values()
        )
        if left * seconds > TOLD_FROM_S:
            self.progress.note(
                f"The first trial of a {KIND_WORDS[trial.kind]} took {format_duration(seconds)}; "
                f"at that, the {left:,} that are left take {format_duration(left * seconds)}."
            )

    def _keep_now_and_then(self) -> None:
        """Write tables and page, so that a study which is killed can be read."""
        began_s = time.monotonic()
        if began_s - self._kept_s < self._wait_s:
            return
        self.keep()
        self._kept_s = time.monotonic()
        self._wait_s = max(KEEP_EVERY_S, (self._kept_s - began_s) / MAX_SHARE_OF_KEEPING)


def _settings(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {text_of(value)}" for key, value in settings.items())
