"""What runs next, and what is stopped early."""

from dataclasses import replace
from pathlib import Path

import pytest

from fieldmark.studies.engine import LocalEngine
from fieldmark.studies.schedule import Halving, Planned, is_behind
from fieldmark.studies.store import SqliteTrials
from fieldmark.studies.trials import EpochPoint, Trial, TrialEnd, TrialResult


def curve(*losses: float) -> tuple[EpochPoint, ...]:
    return tuple(
        EpochPoint(
            epoch=place, train_loss=loss, train_accuracy=0.5, val_loss=loss, val_accuracy=0.5
        )
        for place, loss in enumerate(losses, start=1)
    )


def result(*losses: float, num_epochs: int) -> TrialResult:
    return TrialResult(
        num_validation=10,
        val_loss=losses[-1],
        val_accuracy=0.5,
        train_loss=0.1,
        train_accuracy=1.0,
        curve=curve(*losses),
        seconds=1.0,
        num_epochs=num_epochs,
    )


def trial(number: int) -> Trial:
    return Trial(number=number, settings={}, seed=0, kind="network")


@pytest.fixture
def store(tmp_path: Path) -> SqliteTrials:
    opened = SqliteTrials(tmp_path / "trials.sqlite")
    opened.add([trial(number) for number in range(6)])
    return opened


def ended(store: SqliteTrials, *ends: TrialResult) -> None:
    for one in ends:
        claimed = store.claim()
        assert claimed is not None
        store.end(claimed.number, TrialEnd(status="finished", result=one))


def test_an_engine_runs_what_waits_and_each_is_written_down(store: SqliteTrials) -> None:
    source = Planned(store)
    end = TrialEnd(status="finished", result=result(0.5, num_epochs=1))
    LocalEngine().run(source, lambda _: end, source.done)
    assert [one.status for one in store.all()] == ["finished"] * 6
    store.close()


@pytest.mark.parametrize(
    ("loss", "others", "behind"),
    [
        (0.9, [0.1], False),  # too few to tell
        (0.9, [0.1, 0.2], True),
        (0.1, [0.2, 0.3], False),
        (float("nan"), [0.2, 0.3], True),
        (0.25, [0.1, 0.2, 0.3, 0.4, 0.5], True),  # third of six
        (0.15, [0.1, 0.2, 0.3, 0.4, 0.5], False),  # second of six
    ],
)
def test_the_best_third_goes_on(loss: float, others: list[float], behind: bool) -> None:
    assert is_behind(loss, others) is behind


def test_a_trial_is_looked_at_after_a_ninth_and_a_third_of_its_epochs(
    store: SqliteTrials, tmp_path: Path
) -> None:
    good = result(*[0.1] * 9, num_epochs=9)
    ended(store, good, good, good)
    halving = Halving(trials=tmp_path / "trials.sqlite")
    met = [
        epoch
        for epoch in range(1, 10)
        if halving.is_hopeless(trial(5), curve(*[0.9] * epoch), num_epochs=9)
    ]
    assert met == [1, 3]
    assert not halving.is_hopeless(trial(5), curve(0.05), num_epochs=9)
    store.close()


def test_trials_of_other_lengths_are_compared_at_the_same_share(
    store: SqliteTrials, tmp_path: Path
) -> None:
    ended(store, *[result(*[0.9] * 5, 0.1, *[0.1] * 12, num_epochs=18)] * 3)
    halving = Halving(trials=tmp_path / "trials.sqlite")
    # After a third the others had come to 0.1, which is after 6 of their 18 epochs.
    assert halving.is_hopeless(trial(5), curve(0.9, 0.8, 0.5), num_epochs=9)
    assert not halving.is_hopeless(trial(5), curve(0.5), num_epochs=9)
    store.close()


def test_a_store_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    file = tmp_path / "trials.sqlite"
    file.write_text("no database at all, though long enough to look like one " * 40)
    assert not Halving(trials=file).is_hopeless(trial(0), curve(9.0), num_epochs=9)


def test_a_trial_is_not_compared_with_itself(store: SqliteTrials, tmp_path: Path) -> None:
    ended(store, *[result(*[0.5] * 9, num_epochs=9)] * 2)
    halving = Halving(trials=tmp_path / "trials.sqlite")
    again = replace(trial(1), attempts=2)
    assert not halving.is_hopeless(again, curve(0.9), num_epochs=9)
    store.close()
