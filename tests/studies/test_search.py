"""Searches with Optuna: what is asked and told, by one machine and by several, stopped or not."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RecipeError, RunError
from fieldmark.studies import search as module
from fieldmark.studies.optuna_storage import (
    distributions,
    forget_storages,
    local_storage,
    open_study,
    require_optuna,
    settings_drawn,
    without_password,
)
from fieldmark.studies.search import (
    ALONE,
    Place,
    Search,
    SearchSpace,
    SearchVerdict,
    rungs_of,
    score_of,
)
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.store import SqliteTrials
from fieldmark.studies.trials import EpochPoint, Trial, TrialEnd, TrialResult

pytest.importorskip("optuna")

RATE = Range(key="optim.lr", low=1e-5, high=1e-1, is_log=True, is_whole=False)
EPOCHS = Range(key="train.epochs", low=1, high=20, is_log=False, is_whole=True)
NAMES = Factor(key="optim.name", values=("adam", "sgd"))

MakeSearch = Callable[..., tuple[Search, SqliteTrials]]


def result_of(settings: Mapping[str, Any]) -> TrialResult:
    """Return what a trial would come to: best at a rate of 1e-3, with Adam."""
    far = abs(math.log10(settings["optim.lr"]) + 3) / 4
    accuracy = 0.95 - 0.2 * far - 0.05 * (settings.get("optim.name") == "sgd")
    return TrialResult(
        num_validation=200,
        val_loss=1 - accuracy,
        val_accuracy=accuracy,
        train_loss=0.1,
        train_accuracy=1.0,
        curve=(),
        num_epochs=10,
        seconds=0.5,
    )


def finished(trial: Trial) -> TrialEnd:
    return TrialEnd(status="finished", result=result_of(trial.settings))


@pytest.fixture
def make_search(tmp_path: Path, here: Place) -> Iterator[MakeSearch]:
    """Return a function that begins, or goes on with, a search of a machine's own store."""
    with ExitStack() as open_stores:

        def make(machine: str = "one", **changes: Any) -> tuple[Search, SqliteTrials]:
            store = open_stores.enter_context(SqliteTrials(tmp_path / f"{machine}.sqlite"))
            store.take_over()
            space = {"factors": (NAMES,), "ranges": (RATE,), "num_settings": 6, "seeds": (0,)}
            search = Search(
                store,
                space=SearchSpace(**{**space, **changes}),
                place=here,
                owner=machine,
                seed=0,
                kind=lambda _: "head",
            )
            return search, store

        yield make


@pytest.fixture(scope="module", autouse=True)
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a storage that the tests share, each with a search of its own in it."""
    return tmp_path_factory.mktemp("storage")


@pytest.fixture
def here(storage: Path, tmp_path: Path) -> Place:
    """Where the search of a test is kept."""
    return Place(storage=local_storage(storage), name=str(tmp_path))


def run_all(search: Search, *, most: int | None = None) -> list[Trial]:
    done: list[Trial] = []
    for trial in search:
        search.done(trial, finished(trial))
        done.append(trial)
        if len(done) == most:
            break
    return done


def states(here: Place) -> list[str]:
    study = open_study(here.storage, here.name)
    return [one.state.name for one in study.get_trials(deepcopy=False)]


def test_a_search_gives_out_as_many_settings_as_asked_within_their_ranges(
    make_search: MakeSearch, here: Place
) -> None:
    search, store = make_search(ranges=(RATE, EPOCHS))
    trials = run_all(search)
    assert [trial.number for trial in trials] == list(range(6))
    for trial in trials:
        assert RATE.low <= trial.settings["optim.lr"] <= RATE.high
        assert trial.settings["optim.name"] in NAMES.values
        epochs = trial.settings["train.epochs"]
        assert isinstance(epochs, int)
        assert 1 <= epochs <= 20
    assert all(trial.status == "finished" for trial in store.all())
    assert states(here) == ["COMPLETE"] * 6


def test_proposals_come_closer_to_what_did_well(make_search: MakeSearch) -> None:
    search, _ = make_search(num_settings=26)
    trials = run_all(search)

    def mean(some: list[Trial]) -> float:
        return sum(result_of(trial.settings).val_accuracy for trial in some) / len(some)

    assert mean(trials[-8:]) > mean(trials[:6]) + 0.03


def test_the_same_seed_proposes_the_same_settings_however_often_it_is_stopped(
    make_search: MakeSearch, here: Place, tmp_path: Path
) -> None:
    for _ in range(6):
        run_all(make_search(num_settings=6)[0], most=1)
    stopped = [trial.settings for trial in make_search(num_settings=6)[1].all()]
    with SqliteTrials(tmp_path / "whole.sqlite") as store:
        whole = Search(
            store,
            space=SearchSpace(factors=(NAMES,), ranges=(RATE,), num_settings=6, seeds=(0,)),
            place=replace(here, name="in one go"),
            owner="one",
            seed=0,
            kind=lambda _: "head",
        )
        assert [trial.settings for trial in run_all(whole)] == stopped


def test_every_setting_has_a_trial_for_each_seed_and_is_told_their_mean(
    make_search: MakeSearch, here: Place
) -> None:
    search, store = make_search(num_settings=3, seeds=(5, 6))
    by_seed = {5: 0.0, 6: 0.1}
    for trial in search:
        result = result_of(trial.settings)
        better = {"val_accuracy": result.val_accuracy - by_seed[trial.seed]}
        values = {name: getattr(result, name) for name in result.__slots__}
        search.done(trial, TrialEnd(status="finished", result=TrialResult(**{**values, **better})))
    trials = store.all()
    assert [(trial.number, trial.seed) for trial in trials] == [
        *((0, 5), (1, 6), (2, 5), (3, 6), (4, 5), (5, 6))
    ]
    assert trials[0].settings == trials[1].settings != trials[2].settings
    value = open_study(here.storage, here.name).get_trials()[0].value
    results = [trial.result for trial in trials[:2] if trial.result is not None]
    assert value == pytest.approx(sum(map(score_of, results)) / 2)


def test_one_more_photo_named_right_counts_for_more_than_any_loss() -> None:
    def score(accuracy: float, loss: float) -> float:
        base = result_of({"optim.lr": 1e-3})
        values = {name: getattr(base, name) for name in base.__slots__}
        return score_of(TrialResult(**{**values, "val_accuracy": accuracy, "val_loss": loss}))

    assert score(0.905, 50.0) > score(0.9, 0.01)
    assert score(0.9, 0.2) > score(0.9, 0.3)
    assert math.isnan(score(0.9, math.nan))


def test_failed_and_pruned_trials_are_told_as_such(make_search: MakeSearch, here: Place) -> None:
    search, _ = make_search(num_settings=4)
    lost = TrialResult.from_json({**result_of({"optim.lr": 1e-3}).to_json(), "val_loss": None})
    ends = iter(
        [
            TrialEnd(status="failed", error="out of memory"),
            TrialEnd(status="pruned", result=result_of({"optim.lr": 1e-3})),
            TrialEnd(status="finished", result=lost),
            TrialEnd(status="finished", result=result_of({"optim.lr": 1e-3})),
        ]
    )
    for trial in search:
        search.done(trial, next(ends))
    assert states(here) == ["FAIL", "PRUNED", "FAIL", "COMPLETE"]


# Going on


def test_a_search_that_was_stopped_goes_on_with_nothing_lost_or_done_twice(
    make_search: MakeSearch, here: Place
) -> None:
    before = run_all(make_search()[0], most=3)
    search, store = make_search()
    after = run_all(search)
    assert [trial.number for trial in before] == [0, 1, 2]
    assert [trial.number for trial in after] == [3, 4, 5]
    assert len({str(trial.settings) for trial in store.all()}) == 6
    assert states(here) == ["COMPLETE"] * 6
    assert run_all(make_search()[0]) == []


def test_a_trial_that_ran_when_its_process_was_killed_is_run_again(
    make_search: MakeSearch, here: Place
) -> None:
    search, _ = make_search(num_settings=3)
    killed = next(iter(search))
    again, store = make_search(num_settings=3)
    trials = run_all(again)
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert trials[0].settings == killed.settings
    assert store.get(0).attempts == 2
    assert states(here) == ["COMPLETE"] * 3


def test_what_was_asked_and_not_yet_kept_when_killed_is_run(
    make_search: MakeSearch, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, store = make_search(num_settings=2)
    monkeypatch.setattr(store, "add", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        next(iter(search))
    assert states(here) == ["RUNNING"]
    again, _ = make_search(num_settings=2)
    assert [trial.number for trial in run_all(again)] == [0, 1]
    assert states(here) == ["COMPLETE"] * 2


def test_what_was_asked_and_not_yet_owned_when_killed_is_run(tmp_path: Path, here: Place) -> None:
    open_study(here.storage, here.name).ask(distributions((), (RATE,)))
    with SqliteTrials(tmp_path / "alone.sqlite") as store:
        search = Search(
            store,
            space=SearchSpace(factors=(), ranges=(RATE,), num_settings=2, seeds=(0,)),
            place=here,
            owner=ALONE,
            seed=0,
            kind=lambda _: "head",
        )
        assert [trial.number for trial in run_all(search)] == [0, 1]
    assert states(here) == ["COMPLETE"] * 2


def test_what_others_have_asked_and_not_yet_owned_is_left_to_them(
    make_search: MakeSearch, here: Place
) -> None:
    open_study(here.storage, here.name).ask(distributions((NAMES,), (RATE,)))
    search, _ = make_search(num_settings=2)
    assert [trial.number for trial in run_all(search)] == [1]


def test_what_ended_and_was_not_yet_told_when_killed_is_told(
    make_search: MakeSearch, here: Place
) -> None:
    search, store = make_search(num_settings=2)
    trial = next(iter(search))
    store.end(trial.number, finished(trial))  # and here the process dies
    again, _ = make_search(num_settings=2)
    assert states(here) == ["COMPLETE"]
    assert [trial.number for trial in run_all(again)] == [1]


# Several machines


def test_machines_share_a_search_and_each_ends_with_all_of_it(
    make_search: MakeSearch, here: Place
) -> None:
    (one, store), (other, other_store) = make_search("one"), make_search("other")
    taken: dict[str, list[int]] = {"one": [], "other": []}
    sources = {"one": iter(one), "other": iter(other)}
    while sources:
        for name, source in list(sources.items()):
            trial = next(source, None)
            if trial is None:
                del sources[name]
                continue
            taken[name].append(trial.number)
            (one if name == "one" else other).done(trial, finished(trial))
    assert sorted(taken["one"] + taken["other"]) == list(range(6))
    assert len(taken["one"]) == len(taken["other"]) == 3
    one.sync()
    other.sync()
    assert [trial.to_json() for trial in store.all()] == [
        trial.to_json() for trial in other_store.all()
    ]
    assert all(trial.status == "finished" for trial in store.all())
    assert states(here) == ["COMPLETE"] * 6


def test_machines_that_ask_at_once_draw_different_settings(make_search: MakeSearch) -> None:
    (one, _), (other, _) = make_search("one"), make_search("other")
    first, second = next(iter(one)), next(iter(other))
    assert (first.number, second.number) == (0, 1)
    assert first.settings != second.settings


def test_what_another_machine_still_runs_is_left_to_it(make_search: MakeSearch) -> None:
    one, _ = make_search("one", num_settings=2)
    held = next(iter(one))
    other, other_store = make_search("other", num_settings=2)
    assert [trial.number for trial in run_all(other)] == [1]
    assert [trial.number for trial in other_store.all()] == [1]
    one.done(held, finished(held))
    other.sync()
    assert [trial.number for trial in other_store.all()] == [0, 1]


# Stopping hopeless trials


def points(accuracies: list[float]) -> list[EpochPoint]:
    return [
        EpochPoint(
            epoch=number + 1,
            train_loss=0.5,
            train_accuracy=0.9,
            val_loss=1 - accuracy,
            val_accuracy=accuracy,
        )
        for number, accuracy in enumerate(accuracies)
    ]


def judged(verdict: SearchVerdict, trial: Trial, accuracy: float, *, num_epochs: int = 9) -> int:
    """Return the epoch after which a trial of one accuracy throughout is stopped; 0: never."""
    curve = points([accuracy] * num_epochs)
    for epoch in range(1, num_epochs + 1):
        if verdict.is_hopeless(trial, curve[:epoch], num_epochs=num_epochs):
            return epoch
    return 0


def test_trials_are_looked_at_after_a_ninth_and_a_third_but_not_at_their_end() -> None:
    assert rungs_of(9) == (1, 3)
    assert rungs_of(20) == (3, 9)
    assert rungs_of(3) == (1,)
    assert rungs_of(1) == ()


def test_a_trial_behind_others_is_stopped_and_the_first_five_never_are(
    make_search: MakeSearch, here: Place
) -> None:
    search, _ = make_search(num_settings=9)
    verdict = SearchVerdict(place=here, seeds=(0,))
    accuracies = [0.9, 0.5, 0.8, 0.4, 0.7, 0.3, 0.95, 0.89, 0.92]
    stopped = []
    for trial, accuracy in zip(search, accuracies, strict=True):
        stopped.append(judged(verdict, trial, accuracy))
        search.done(trial, finished(trial))
    # Of the six, seven, eight and nine that came to the first look, two or three may go on.
    assert stopped == [0, 0, 0, 0, 0, 1, 0, 1, 0]


def test_a_lost_loss_is_hopeless(make_search: MakeSearch, here: Place) -> None:
    search, _ = make_search()
    verdict = SearchVerdict(place=here, seeds=(0,))
    stopped = []
    for trial in search:
        stopped.append(judged(verdict, trial, math.nan if trial.number == 5 else 0.9))
        search.done(trial, finished(trial))
    assert stopped == [0, 0, 0, 0, 0, 1]


def test_a_setting_given_up_is_given_up_with_every_seed(
    make_search: MakeSearch, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NUM_SPARED", 0)
    search, _ = make_search(num_settings=2, seeds=(0, 1))
    verdict = SearchVerdict(place=here, seeds=(0, 1))
    ends = []
    for trial in search:
        at = judged(verdict, trial, {0: 0.9, 1: 0.2}[trial.number // 2])
        end = TrialEnd(status="pruned" if at else "finished", result=result_of(trial.settings))
        search.done(trial, end)
        ends.append(at)
    assert ends == [0, 0, 1, 1]
    assert states(here) == ["COMPLETE", "PRUNED"]


def test_a_trial_that_is_trained_again_is_judged_as_it_was_before(
    make_search: MakeSearch, here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NUM_SPARED", 0)
    search, _ = make_search(num_settings=2)
    verdict, source = SearchVerdict(place=here, seeds=(0,)), iter(search)
    first, second = next(source), next(source)
    assert [judged(verdict, first, 0.9) for _ in range(2)] == [0, 0]
    assert [judged(verdict, second, 0.2) for _ in range(2)] == [1, 1]


def test_a_storage_that_cannot_be_reached_stops_no_trial(tmp_path: Path) -> None:
    away = Place(storage=f"sqlite:///{tmp_path}/no/such/folder/search.sqlite", name="search")
    verdict = SearchVerdict(place=away, seeds=(0,))
    trial = Trial(number=0, settings={}, seed=0, kind="network")
    assert judged(verdict, trial, 0.1) == 0


# Storages


def test_a_storage_that_cannot_be_used_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"sqlite:////.*search\.sqlite.* cannot be used: .*open"):
        open_study(f"sqlite:///{tmp_path}/no/such/folder/search.sqlite", "search")
    with pytest.raises(RunError, match=r"The storage nosuch://me:\*\*\*@host/db") as refused:
        open_study("nosuch://me:secret@host/db", "search")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("sqlite:////folder/search.sqlite", "sqlite:////folder/search.sqlite"),
        ("redis://:secret@host:6379", "redis://:***@host:6379"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_without_optuna_a_search_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RecipeError, match=r"pip install 'fieldmark\[study\]'"):
        require_optuna()


def test_numbers_are_drawn_to_four_digits_within_their_ends() -> None:
    narrow = Range(key="optim.lr", low=0.123456, high=0.123461, is_log=False, is_whole=False)
    drawn = settings_drawn({"optim.lr": 0.1234599}, (), (narrow,))
    assert drawn == {"optim.lr": 0.123461}
    assert settings_drawn({"optim.lr": 0.000123456}, (), (RATE,)) == {"optim.lr": 0.0001235}


def test_a_search_removed_and_begun_anew_is_a_new_one(tmp_path: Path) -> None:
    url = local_storage(tmp_path)
    open_study(url, "study").ask(distributions((), (RATE,)))
    (tmp_path / "search.sqlite").unlink()
    forget_storages()
    assert open_study(url, "study").get_trials() == []


def test_values_of_any_kind_come_back_as_they_were_named() -> None:
    mixed = Factor(key="augment.crop_scale", values=((0.5, 1.0), "none", True, 3))
    for value in mixed.values:
        text = {(0.5, 1.0): "[0.5, 1]", "none": "none", True: "true", 3: "3"}[value]
        assert settings_drawn({mixed.key: text}, (mixed,), ())[mixed.key] == value
