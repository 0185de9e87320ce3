"""Searches: settings proposed one after another by what came of those before.

In: ranges and lists of values, and how trials ended. Out: the next trials, until there are enough.
Settings are proposed by Optuna's TPE (Bergstra et al. 2011) and kept in its storage: a file in the
study's folder or, for several machines that work on one search, a database that all of them reach.
Each machine keeps its own store of trials; those of the others are taken over into it as they end.
Not covered: which fields can be searched (`basis`), and what mattered most (`importance`).
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fieldmark.base.errors import FieldmarkError
from fieldmark.studies.optuna_storage import distributions, open_study, settings_drawn, told
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.store import SqliteTrials
from fieldmark.studies.trials import SETTLED, EpochPoint, Kind, Trial, TrialEnd, TrialResult

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ALONE = "here"
"""The owner of a search that no other machine works on."""
OWNER, RESULTS, HOPELESS = "owner", "results", "hopeless"
"""What is noted of each of Optuna's trials."""
NUM_STARTUP = 10
"""Settings drawn at random before any is proposed: Optuna's own number, or a quarter of all."""
MIN_STARTUP = 4
NUM_SPARED = 5
"""Settings that end before any is stopped early: of fewer, the best third says nothing."""
REDUCTION = 3
SHARE = 1 / 9
"""Of a trial's epochs, after which it is looked at first; the second time is after three times as
many. As in `schedule.Halving`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """What a search explores, and how far."""

    factors: tuple[Factor, ...]
    ranges: tuple[Range, ...]
    num_settings: int
    """Over all machines."""
    seeds: tuple[int, ...]
    """One trial each for every setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the settings and scores of a search are kept."""

    storage: str
    """A URL that Optuna knows."""
    name: str
    """Of the search in that storage; the same for all machines that work on it."""


class Search:
    """Gives out the trials of a search; the store has all of them, those of others included.

    The number of a trial is that of its setting times the number of seeds, plus the place of its
    seed.

    Raises:
        RecipeError: Optuna is not installed.
        RunError: the storage cannot be used.
    """

    def __init__(
        self,
        store: SqliteTrials,
        *,
        space: SearchSpace,
        place: Place,
        owner: str,
        seed: int,
        kind: Callable[[Mapping[str, Any]], Kind],
    ) -> None:
        """Begin a search, or go on with it.

        Args:
            store: of this machine.
            space: what is explored.
            place: where the search is kept.
            owner: names this machine's part, the same whenever it goes on. Different owners draw
                different settings.
            seed: of the draws; together with the number of the setting.
            kind: what a trial of given settings trains.
        """
        self._store, self._space, self._place = store, space, place
        self._owner, self._seed, self._kind = owner, seed, kind
        self._study = open_study(place.storage, place.name)
        self._drawn_from = distributions(space.factors, space.ranges)
        self.sync()

    def __iter__(self) -> Iterator[Trial]:
        """Yield the next trial, marked as running, until all settings were given out."""
        while True:
            trial = self._store.claim()
            if trial is None:
                if not self._ask():
                    return
                continue
            yield trial

    def done(self, trial: Trial, end: TrialEnd) -> None:
        """Write down how a trial ended; once all of its setting have, tell the sampler."""
        self._store.end(trial.number, end)
        self._tell(trial.number // len(self._space.seeds))

    def sync(self) -> None:
        """Take over what others did, and put right what a process that was killed left open."""
        with told(self._place.storage):
            known = self._study.get_trials(deepcopy=False)
        here = {trial.number for trial in self._store.all()}
        for one in known:
            attributes = one.user_attrs
            is_here = self._numbers(one.number)[0] in here
            owner = attributes.get(OWNER)
            if owner is None and self._owner == ALONE and not one.state.is_finished():
                # Killed between asking and noting whose it is; nobody else can have asked.
                self._set(one, OWNER, owner := ALONE)
            if owner == self._owner and not one.state.is_finished():
                if is_here:
                    self._tell(one.number)
                else:
                    self._add(one)
            elif RESULTS in attributes and not is_here:
                self._take_over(one)

    def _ask(self) -> bool:
        """Add the trials of another setting to the store; say whether there was one left."""
        import optuna

        space = self._space
        with told(self._place.storage):
            num_asked = len(self._study.get_trials(deepcopy=False))
            if num_asked >= space.num_settings:
                self.sync()
                return False
            # A sampler of its own for each setting: what it draws does not depend on how often
            # the search was stopped, and two machines that ask at once draw different settings.
            self._study.sampler = optuna.samplers.TPESampler(
                seed=_seed(self._seed, num_asked, self._owner),
                n_startup_trials=min(NUM_STARTUP, max(MIN_STARTUP, space.num_settings // 4)),
            )
            asked = self._study.ask(self._drawn_from)
            if asked.number >= space.num_settings:  # another machine was faster
                self._study.tell(asked.number, state=optuna.trial.TrialState.FAIL)
                return False
            asked.set_user_attr(OWNER, self._owner)
            self._add(self._study.get_trials(deepcopy=False)[asked.number])
        return True

    def _add(self, one: "FrozenTrial") -> None:
        """Put the trials of one of Optuna's into the store, to be run."""
        settings = settings_drawn(one.params, self._space.factors, self._space.ranges)
        numbers = self._numbers(one.number)
        kind = self._kind(settings)
        self._store.add(
            [
                Trial(number=number, settings=settings, seed=seed, kind=kind)
                for number, seed in zip(numbers, self._space.seeds, strict=True)
            ]
        )

    def _tell(self, setting: int) -> None:
        """Give the sampler the score of a setting, once all of its trials have ended."""
        from optuna.trial import TrialState

        trials = [self._store.get(number) for number in self._numbers(setting)]
        if any(trial.status not in SETTLED for trial in trials):
            return
        results = [trial.result for trial in trials if trial.status == "finished"]
        scores = [score_of(result) for result in results if result is not None]
        scores = [score for score in scores if math.isfinite(score)]
        with told(self._place.storage):
            one = self._study.get_trials(deepcopy=False)[setting]
            if one.state.is_finished():
                return
            self._set(one, RESULTS, [_ended(trial) for trial in trials])
            if any(trial.status == "pruned" for trial in trials):
                self._study.tell(setting, state=TrialState.PRUNED)
            elif scores:
                self._study.tell(setting, sum(scores) / len(scores))
            else:
                self._study.tell(setting, state=TrialState.FAIL)

    def _take_over(self, one: "FrozenTrial") -> None:
        """Enter what another machine did into this one's store."""
        self._add(one)
        for number, content in zip(self._numbers(one.number), one.user_attrs[RESULTS], strict=True):
            if self._store.claim(number) is not None:
                self._store.end(number, _read_end(content))

    def _set(self, one: "FrozenTrial", key: str, value: Any) -> None:
        _handle(self._place, one.number).set_user_attr(key, value)

    def _numbers(self, setting: int) -> range:
        num_seeds = len(self._space.seeds)
        return range(setting * num_seeds, (setting + 1) * num_seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchVerdict:
    """Stops trials by Optuna's successive halving (Li et al. 2020), asynchronous.

    A setting is looked at with its first seed, after a ninth and after a third of its epochs; where
    it is not among the best third of those that came so far, it is hopeless with every seed. A
    storage that cannot be reached stops nobody.
    """

    place: Place
    seeds: tuple[int, ...]

    def is_hopeless(self, trial: Trial, curve: Sequence[EpochPoint], *, num_epochs: int) -> bool:
        """Tell whether to stop after the last epoch of `curve`."""
        rungs, setting = rungs_of(num_epochs), trial.number // len(self.seeds)
        if curve[-1].epoch not in rungs:
            return False
        try:
            if self._is_given_up(setting):
                return True
            return trial.seed == self.seeds[0] and self._is_behind(setting, curve[-1], rungs[0])
        except FieldmarkError:
            return False

    def _is_given_up(self, setting: int) -> bool:
        with told(self.place.storage):
            study = open_study(self.place.storage, self.place.name)
            return HOPELESS in study.get_trials(deepcopy=False)[setting].user_attrs

    def _is_behind(self, setting: int, point: EpochPoint, first_rung: int) -> bool:
        from optuna.pruners import SuccessiveHalvingPruner

        with told(self.place.storage):
            study = open_study(self.place.storage, self.place.name)
            study.pruner = SuccessiveHalvingPruner(
                min_resource=first_rung, reduction_factor=REDUCTION
            )
            handle = _handle(self.place, setting)
            if point.epoch in study.get_trials(deepcopy=False)[setting].intermediate_values:
                return False  # it was killed after this look, and is trained again
            handle.report(_score(point.val_accuracy, point.val_loss), point.epoch)
            is_behind = handle.should_prune()  # also enters it at the rung, for the others
            num_ended = sum(one.state.is_finished() for one in study.get_trials(deepcopy=False))
            if not is_behind or num_ended < NUM_SPARED:
                return False
            handle.set_user_attr(HOPELESS, value=True)
        return True


def score_of(result: TrialResult) -> float:
    """Return what a search makes as large as it can: accuracy first, and loss among equals.

    Over `num_validation` photos no loss is worth as much as one more photo named right.
    """
    return _score(result.val_accuracy, result.val_loss, num_photos=result.num_validation)


def rungs_of(num_epochs: int) -> tuple[int, ...]:
    """Return the epochs after which a trial is looked at; none at its last."""
    first = math.ceil(SHARE * num_epochs)
    return tuple(epoch for epoch in (first, REDUCTION * first) if epoch < num_epochs)


def _score(accuracy: float, loss: float, *, num_photos: int = 1_000_000) -> float:
    """Return a score; NaN where nothing was measured, or the loss is lost."""
    if not (math.isfinite(accuracy) and math.isfinite(loss)):
        return math.nan
    return accuracy - loss / (1 + loss) / max(1, num_photos)


def _handle(place: Place, setting: int) -> Any:
    """Return one of Optuna's trials as whoever runs it has it."""
    from optuna.trial import Trial as Handle

    study = open_study(place.storage, place.name)
    one = study.get_trials(deepcopy=False)[setting]
    return Handle(study, one._trial_id)  # noqa: SLF001 - there is no other way back to a trial


def _seed(seed: int, number: int, owner: str) -> int:
    text = f"{seed},{number},{owner}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4])


def _ended(trial: Trial) -> dict[str, Any]:
    """Return how a trial ended, as plain values for other machines."""
    result = None if trial.result is None else trial.result.to_json()
    return {"status": trial.status, "error": trial.error, "result": result}


def _read_end(content: Mapping[str, Any]) -> TrialEnd:
    result = content["result"]
    read = None if result is None else TrialResult.from_json(result)
    return TrialEnd(status=content["status"], error=content["error"], result=read)
